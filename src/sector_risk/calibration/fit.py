"""Fit assumptions to history."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sector_risk.assumptions import Assumptions, Evidence
from sector_risk.calibration.emulator import Emulator, fit_emulator, simulate_at, sobol_points
from sector_risk.calibration.parameters import NAMES, PARAMETERS, PRIOR_MEAN, PRIOR_SD, put_values
from sector_risk.calibration.posterior import ROUNDS, Posterior, log_likelihood, sample_posterior
from sector_risk.calibration.result import IDENTIFIED, Calibration
from sector_risk.calibration.statistics import (
    SECTOR,
    CrossSection,
    Observed,
    Quarters,
    sector_statistics,
    sector_years,
    simulate_quarters,
)
from sector_risk.cases import load_case
from sector_risk.faults import Fault, InputWarning, raise_if_any
from sector_risk.history import History
from sector_risk.panel import check_panel
from sector_risk.progress import Progress, points_done, reporter

F64 = NDArray[np.float64]
CASE = "england-2018-19"
FEWEST_POINTS, FEWEST_DRAWS = 128, 32
FEW_SAMPLES = 800.0
FAMILIES = {"efficiency.recurrent_ratio": "beta", "flexibility.amount": "gamma"}
USED_MARKS = "VDU"
"""Marks of figures that enter a fit: those that were verified, derived from such, or given by the user."""


@dataclass(frozen=True)
class Effort:
    """How the simulation is explored; threads and progress change no result."""

    points: int
    n_draws: int
    seed: int
    threads: int | None = field(default=None, compare=False)
    progress: Progress | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Evidenced:
    """What came to pass, once or in several years, and the emulator of what it is held against."""

    emulator: Emulator
    observed: tuple[Observed, ...]

    def log_likelihood(self, z: F64) -> F64:
        """Log likelihood at points in standard units."""
        return log_likelihood(z, self.emulator, self.observed)

    def errors(self) -> tuple[tuple[str, float], ...]:
        """Error of the emulator by statistic."""
        return tuple(zip(self.observed[0].labels, self.emulator.error.tolist(), strict=True))


def calibrate(
    history: History,
    assumptions: Assumptions | None = None,
    *,
    points: int = 1024,
    n_draws: int = 256,
    seed: int = 0,
    threads: int | None = None,
    progress: bool | Progress = False,
) -> Calibration:
    """Fit assumptions to history.

    Nine parameters, Normal beforehand on a logit scale, are weighed by a synthetic likelihood of what came to pass: the
    sector's variances at quarter ends in per cent of turnover, savings delivered and one-off savings of each year, and
    how variances spread over trusts where panels are given. Years are held to be exchangeable and independent given the
    parameters; the sector's are simulated on the bundled case. Figures marked G or W (not verified, weak) stay out.

    Parameters
    ----------
    history : History
        From `load_history`, `read_history` or made by hand; an empty one gives the prior.
    assumptions : Assumptions, optional
        Hold what is not fitted. Default: `Assumptions()`.
    points : int
        Points at which the year is simulated, a power of two from 128.
    n_draws : int
        Draws at each, from 32.
    seed : int
        Not negative; the same seed gives the same fit.
    threads : int, optional
        Speed only. Default: all cores.
    progress : bool or function (points done, points in all)
        True shows a bar on standard error.

    Returns
    -------
    Calibration

    Raises
    ------
    InputError
        If a number is out of range, or a distribution whose mean is fitted is not of the default's family.

    Warns
    -----
    InputWarning
        If few samples agree with the history, so that the fit is rough.

    References
    ----------
    Wood (2010), Statistical inference for noisy nonlinear ecological dynamic systems, Nature 466.

    Examples
    --------
    >>> from sector_risk.history import History
    >>> nothing_known = calibrate(History())
    >>> any(p.identified for p in nothing_known.parameters)
    False
    """
    base, used = assumptions or Assumptions(), history.marked(USED_MARKS)
    raise_if_any([*number_faults(points, n_draws, seed), *family_faults(base)])
    effort = Effort(points, n_draws, seed, threads, reporter(progress, points_done))
    evidence = [*sector_evidence(used, base, effort), *(panel_evidence(p, base, effort) for p in used.trusts)]
    found = weigh(evidence, seed)
    if found.effective < FEW_SAMPLES:
        warnings.warn(f"the fit rests on about {found.effective:.0f} samples and is rough", InputWarning, stacklevel=2)
    return labelled(found, base, used_years(used), evidence)


def number_faults(points: int, n_draws: int, seed: int) -> Iterator[Fault]:
    """Faults of numbers out of range."""
    rules = {
        "points": (points, points >= FEWEST_POINTS and points & (points - 1) == 0, "a power of two from 128"),
        "n_draws": (n_draws, n_draws >= FEWEST_DRAWS, "a whole number from 32"),
        "seed": (seed, seed >= 0, "a whole number from 0"),
    }
    for name, (value, right, rule) in rules.items():
        if not right:
            yield Fault("calibrate", f"must be {rule}", str(value), "", variable=name)


def family_faults(assumptions: Assumptions) -> Iterator[Fault]:
    """Faults of distributions whose mean is fitted, and which are not of the family that this is done for."""
    for name, family in FAMILIES.items():
        group, field_name = name.split(".")
        came = getattr(getattr(assumptions, group), field_name).family
        if came != family:
            remedy = "Fit with that family, and change the distribution after."
            yield Fault("calibrate", f"its mean is fitted as that of a {family}", came, remedy, variable=name)


def used_years(history: History) -> tuple[str, ...]:
    """Years of which a fit uses anything."""
    return tuple(sorted({*sector_years(history), *(panel.attrs["year"] for panel in history.trusts)}))


def sector_evidence(history: History, base: Assumptions, effort: Effort) -> list[Evidenced]:
    """Years of the sector, if anything is known of one."""
    years = sector_years(history)
    return [Evidenced(sector_emulator(base, effort), tuple(years.values()))] if years else []


@lru_cache(maxsize=4)
def sector_emulator(base: Assumptions, effort: Effort) -> Emulator:
    """Emulator of the sector's year on the bundled case. It knows nothing of history: one serves every fit."""
    case = load_case(CASE)
    turnover = float(case["turnover"].sum())
    return emulate(case, base, effort, lambda year: sector_statistics(year, turnover), len(SECTOR))


def panel_evidence(panel: xr.Dataset, base: Assumptions, effort: Effort) -> Evidenced:
    """How variances spread over the trusts of a panel."""
    section = CrossSection(panel)
    observed = section.observed()
    clean = check_panel(panel.drop_vars(["variance_ytd", "actual"], errors="ignore"))
    emulator = emulate(clean, base, effort, lambda year: section.of(year.variance), len(observed.labels))
    return Evidenced(emulator, (observed,))


def emulate(
    panel: xr.Dataset, base: Assumptions, effort: Effort, measure: Callable[[Quarters], F64], size: int
) -> Emulator:
    """Simulate a panel's year at points spread over the prior, each with a seed of its own, and fit an emulator."""
    spread = sobol_points(effort.points, len(PARAMETERS), effort.seed)

    def at(z: F64, k: int) -> F64:
        there = put_values(base, PRIOR_MEAN + PRIOR_SD * z)
        return measure(simulate_quarters(panel, there, effort.n_draws, effort.seed + k))

    return fit_emulator(spread, simulate_at(spread, at, effort.threads, effort.progress), size)


def weigh(evidence: list[Evidenced], seed: int) -> Posterior:
    """Posterior in standard units; the prior itself where there is no evidence."""
    if not evidence:
        return Posterior(np.zeros(len(PARAMETERS)), np.eye(len(PARAMETERS)), float(ROUNDS[-1]))
    return sample_posterior(lambda z: np.sum([e.log_likelihood(z) for e in evidence], axis=0), len(PARAMETERS), seed)


def labelled(found: Posterior, base: Assumptions, years: tuple[str, ...], evidence: list[Evidenced]) -> Calibration:
    """From standard units to assumptions with evidence."""
    mean = PRIOR_MEAN + PRIOR_SD * found.mean
    sd_ratio = np.sqrt(np.diag(found.covariance))
    said = [evidence_for(p.source, ratio, years) for p, ratio in zip(PARAMETERS, sd_ratio.tolist(), strict=True)]
    covariance = found.covariance * np.outer(PRIOR_SD, PRIOR_SD)
    return Calibration(
        fitted=put_values(base, mean, said),
        names=NAMES,
        prior_mean=tuple(PRIOR_MEAN.tolist()),
        prior_sd=tuple(PRIOR_SD.tolist()),
        mean=tuple(mean.tolist()),
        covariance=tuple(map(tuple, covariance.tolist())),
        years=years,
        emulator_error=tuple(error for e in evidence for error in e.errors()),
        effective=found.effective,
    )


def evidence_for(prior: str, sd_ratio: float, years: tuple[str, ...]) -> Evidence:
    """Source and mark of a fitted value: derived where history narrowed it, judgement where it did not."""
    if sd_ratio <= IDENTIFIED:
        return Evidence(f"fit to {', '.join(years)}; sd {sd_ratio:.2f} of the prior's", "D")
    return Evidence(f"prior, which history does not identify: {prior}", "G")
