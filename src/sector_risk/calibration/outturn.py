"""What a fit makes of the sector's year, given the variances of its first quarters."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import special

from sector_risk.calibration.fit import CASE
from sector_risk.calibration.posterior import log_normal
from sector_risk.calibration.result import Calibration
from sector_risk.calibration.statistics import sector_left_out, simulate_quarters
from sector_risk.cases import load_case
from sector_risk.engine import default_threads
from sector_risk.faults import Fault, raise_if_any
from sector_risk.history import QUARTER_ENDS

F64 = NDArray[np.float64]
LEAST_PER_SET = 32


class Conditioned(NamedTuple):
    """Year-end variances of one parameter set, and the log density of the quarters seen under it."""

    year_end: F64
    log_weight: float


def sector_outturn(
    calibration: Calibration,
    seen: Mapping[int, float],
    *,
    n_draws: int = 10_000,
    parameter_sets: int = 100,
    seed: int = 0,
) -> F64:
    """Draw the sector's year-end variance, given its variances to date at some quarter ends.

    The bundled case is simulated under joint draws of the parameters. Within each set, and with what the model leaves
    out, quarters are sums over 227 trusts and nearly Normal: each draw is moved by regression on the quarters seen,

        y' = y + S_ys S_ss^-1 (seen - s),

    which is exact for Normals. Sets are weighed by the density that they give to what was seen.

    Parameters
    ----------
    calibration : Calibration
        From `calibrate`; leave the year itself out of the history for an honest test.
    seen : mapping of month (3, 6, 9) to variance
        Variance to date in per cent of the year's turnover, negative if adverse. May be empty.
    n_draws : int
        Draws in all, a multiple of `parameter_sets`, at least 32 for each.
    parameter_sets : int
        Joint draws of the parameters.
    seed : int
        Not negative.

    Returns
    -------
    array (n_draws)
        Year-end variance in per cent of turnover.

    Raises
    ------
    InputError
        With every fault of what is seen and of the numbers.

    Examples
    --------
    >>> from sector_risk.history import History
    >>> from sector_risk.calibration import calibrate
    >>> nothing_known = calibrate(History())
    >>> bad, good = (sector_outturn(nothing_known, {6: v}, n_draws=640, parameter_sets=20) for v in (-0.4, 0.0))
    >>> bool(bad.mean() < good.mean() and bad.std() > 0)
    True
    """
    raise_if_any(faults_of(seen, n_draws, parameter_sets))
    case, each = load_case(CASE), n_draws // parameter_sets
    with ThreadPoolExecutor(default_threads()) as pool:
        sets = [*pool.map(lambda k: condition_set(case, calibration, k, each, seed, seen), range(parameter_sets))]
    return resample(sets, n_draws, seed)


def faults_of(seen: Mapping[int, float], n_draws: int, parameter_sets: int) -> Iterator[Fault]:
    """Faults of what is seen, and of numbers of draws."""
    place = "sector_outturn"
    for month, value in seen.items():
        if month not in QUARTER_ENDS[:3]:
            yield Fault(place, "must be the end of one of the first three quarters", str(month), "", variable="seen")
        if not np.isfinite(value):
            yield Fault(place, "must be a number", str(value), "Leave the month out.", variable="seen")
    if parameter_sets < 1 or n_draws % parameter_sets or n_draws < LEAST_PER_SET * parameter_sets:
        rule = f"must be a multiple of parameter_sets, at least {LEAST_PER_SET} for each"
        yield Fault(place, rule, f"{n_draws} for {parameter_sets}", "", variable="n_draws")


def condition_set(
    case: xr.Dataset, calibration: Calibration, k: int, n_draws: int, seed: int, seen: Mapping[int, float]
) -> Conditioned:
    """Simulate the case under one parameter set and move every draw to what was seen."""
    rng = np.random.default_rng([seed, k])
    left_out = sector_left_out()[:4, :4]
    year = simulate_quarters(case, calibration.draw(k, seed), n_draws, int(rng.integers(2**62)))
    variance = 100.0 * year.variance.sum(axis=1) / float(case["turnover"].sum())
    covariance = np.cov(variance) + left_out
    noisy = variance + np.linalg.cholesky(left_out) @ rng.standard_normal(variance.shape)
    rows = [QUARTER_ENDS.index(month) for month in sorted(seen)]
    if not rows:
        return Conditioned(noisy[3], 0.0)
    values, among = np.array([seen[month] for month in sorted(seen)]), np.ix_(rows, rows)
    moved = covariance[3, rows] @ np.linalg.solve(covariance[among], values[:, None] - noisy[rows])
    weight = log_normal((values - variance[rows].mean(axis=1))[None, :, None], covariance[among][None])
    return Conditioned(noisy[3] + moved, float(weight[0]))


def resample(sets: list[Conditioned], n_draws: int, seed: int) -> F64:
    """Draws of all sets, each set as often as its weight says (systematic resampling)."""
    rng = np.random.default_rng([seed, len(sets)])
    pool = np.concatenate([rng.permutation(one.year_end) for one in sets])
    share = np.repeat(special.softmax([one.log_weight for one in sets]), len(pool) // len(sets))
    at = (rng.random() + np.arange(n_draws)) / n_draws
    return pool[np.minimum(np.searchsorted(np.cumsum(share) / share.sum(), at), len(pool) - 1)]
