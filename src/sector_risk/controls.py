"""More from the draws there are: figures of the sector and the whole NHS by control variates and Sobol points."""

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import special

from sector_risk.assumptions import Assumptions
from sector_risk.faults import Fault, InputWarning
from sector_risk.kernels import quantile
from sector_risk.kernels.controls import CURVATURE, LINEAR, OWN_WALK, SMOOTH
from sector_risk.kernels.sobol import REPLICATE
from sector_risk.schema import MONEY, VariableSpec, described, with_error
from sector_risk.slopes import ramp
from sector_risk.summary import confidence_faults, tail_size
from sector_risk.units import NHS, SECTOR, check_forecast, numbers

__all__ = ["controlled"]

F64 = NDArray[np.float64]
Figure = tuple[float, float, float]
"""Estimate, its standard error, and how many plain draws one draw is worth."""

PLACE = "controlled"
NEEDED = ("sector_position", "sector_position_before_support", "nhs_position", "central_action")
FEWEST_REPLICATES = 16
"""With fewer, their spread does not tell an error."""
FEWEST_BEYOND = 20
"""Draws on each side of a threshold that controls near it need: with fewer, it may be that none of them shows there."""
BANDWIDTH = 0.3
"""Width over which the own walks' control is smoothed, in standard deviations of the sector's position."""
CELLS, HALVINGS = 4096, 40
TINY = 1e-9

_UNIT, _WORTH = ("unit",), "how many plain random draws one of these draws is worth (an estimate) for the "
_BY_THRESHOLD, _BY_CONFIDENCE = ("unit", "threshold"), ("unit", "confidence")
_BALANCE, _DEFICIT = "surplus positive, deficit negative", "deficit positive, surplus negative"
_FIGURES = (
    ("mean", _UNIT, MONEY, "expected year-end position", _BALANCE),
    ("p_reaching", _BY_THRESHOLD, "1", "probability of a year-end position at the threshold or better", ""),
    (
        "tail_value_at_risk",
        _BY_CONFIDENCE,
        MONEY,
        "mean year-end deficit of the worst 1 - confidence of draws",
        _DEFICIT,
    ),
)
SPECS = {
    spec.name: spec
    for name, dims, unit, text, sign in _FIGURES
    for spec in (*with_error(name, dims, unit, text, sign), VariableSpec(f"{name}_worth", dims, "1", _WORTH + text))
} | {
    "unit": VariableSpec("unit", _UNIT, "", "provider sector or whole NHS", kind="text"),
    "threshold": VariableSpec("threshold", ("threshold",), MONEY, "year-end position", sign=_BALANCE),
    "confidence": VariableSpec(
        "confidence", ("confidence",), "1", "confidence: at 0.95 the tail is the worst 5% of draws"
    ),
}


def controlled(
    forecast: xr.Dataset, thresholds: Sequence[float] = (0.0,), confidence: Sequence[float] = (0.95,)
) -> xr.Dataset:
    r"""Estimate figures of the sector and the whole NHS from a forecast made with controls, Sobol points or both.

    A figure is the mean of some y over draws. With controls x, whose means are known to be nought,

        estimate = mean(y - b x),    b = cov(x)^-1 cov(x, y)

    The controls are what the year would be if it were simpler (see `sector_risk.kernels.controls`): L, Normal; D, the
    curvature of quantiles; N, what trusts' own walks do beyond a straight line; and C, central actions less their
    mean. With S the unit's position, A = L + C (L alone for the sector), R the position without own walks, h = .3 sd of
    the sector, r(x) = x Phi(x) + phi(x), and q the k-th worst draw, k = ceil((1 - confidence) n):

    ================== ================================ ==========================================================
    figure             y                                controls
    ================== ================================ ==========================================================
    mean               S                                L, C, D, N
    p_reaching         1{S >= t}                        L, C, D, Phi((A - t') / h) - E, phi((t - R) / h) N
    tail_value_at_risk -q - min(S - q, 0) n / k         L, C, D, h r((t' - A) / h) - E, Phi((q - R) / h) N
    ================== ================================ ==========================================================

    with t' the quantile of A + h Z that y asks for. Expectations E follow from the laws of L and C. With fewer than 20
    draws below the threshold or above it, or fewer than 20 in the tail, L, C and D are all controls there are.

    Errors: without Sobol points, the jackknife's: sqrt(n - 1) times the sd of what leaving out one draw after the other
    does to the estimate, w e / (1 - l), with residuals e of the regression, leverages l, and w such that the estimate
    is the sum of w y. With them, draws of a replicate are not independent but replicates are: sd of the R replicates'
    means of y - b x / sqrt(R), to be taken with Student's t of R - 1 degrees of freedom; NaN with fewer than 16
    replicates, 16,384 draws. In parameter sets' draws all of this is too small. Intervals hold the truth as often as
    they say from 1,000 draws, and 50 in the tail and on each side of a threshold; with 20 there 95% intervals do so 91%
    of the time, with 10 87%, as those of `summarise`.

    Parameters
    ----------
    forecast : Dataset
        From `simulate` with `controls=True`, `sampling="sobol"` or both; n draws, whole replicates.
    thresholds : sequence of float
        Year-end positions, GBP million, surplus positive.
    confidence : sequence of float
        Levels of the measure of deficit, each between 0 and 1.

    Returns
    -------
    Dataset
        On `unit` ("Provider sector", "Whole NHS"), GBP million: `mean(unit)`, `p_reaching(unit, threshold)` and
        `tail_value_at_risk(unit, confidence)`, a deficit positive; each with its error (`mean_se`, ...) and with
        `mean_worth`, ...: var(y) / n / se^2, how many plain draws one draw is worth. That is an estimate too: with R
        replicates its relative error is about sqrt(2 / R). It is NaN where the error is, or is nought. The attribute
        `replicates` is R, nought without Sobol points.

    Raises
    ------
    InputError
        If the forecast was made with neither, has parts of replicates, is not whole, or thresholds or levels are not
        numbers of their kind.

    Warns
    -----
    InputWarning
        If there are too few replicates for errors.

    References
    ----------
    Glasserman (2004), "Monte Carlo Methods in Financial Engineering", ch. 4 and 5; Owen (1998), "Scrambling Sobol' and
    Niederreiter-Xing points", J. Complexity 14; Joe and Kuo (2008), SIAM J. Sci. Comput. 30.

    Examples
    --------
    >>> import sector_risk as sr
    >>> kept = ["sector_position", "sector_position_before_support", "nhs_position", "central_action", "control_value"]
    >>> forecast = sr.simulate(sr.load_case("england-2018-19"), n_draws=1000, controls=True, keep=kept)
    >>> found = controlled(forecast)
    >>> found["mean"].dims, bool((found["mean_worth"] > 2).all())
    (('unit',), True)
    """
    faults = [*threshold_faults(thresholds), *confidence_faults(PLACE, confidence), *sampling_faults(forecast)]
    with_controls = "control_value" in forecast
    check_forecast(forecast, (*NEEDED, "control_value") if with_controls else NEEDED, also=faults)
    replicates = forecast.sizes["draw"] // REPLICATE if "replicate" in forecast.coords else 0
    warn_of_few_replicates(replicates)
    goals, sure = numbers(thresholds), numbers(confidence)
    measured = [measure(sample, goals, sure) for sample in samples_of(forecast)]
    variables = {name: (SPECS[name].dims, np.array([m[name] for m in measured])) for name in measured[0]}
    labels = {"unit": np.array([SECTOR, NHS], object), "threshold": goals, "confidence": sure}
    return described(xr.Dataset(variables, labels, forecast.attrs | {"replicates": replicates}), SPECS)


@dataclass(frozen=True)
class Law:
    """Law of a Normal with mean nought around points with weights."""

    sd: float
    points: F64
    weights: F64

    def at_least(self, t: float) -> float:
        """P(X >= t)."""
        return float(self.weights @ special.ndtr((self.points - t) / self.sd))

    def shortfall(self, t: float) -> float:
        """E (t - X)^+."""
        return self.sd * float(self.weights @ ramp((t - self.points) / self.sd))

    def quantile(self, p: float) -> float:
        """Return about that t below which X is with probability p."""
        low, high = self.points.min() - 6.0 * self.sd, self.points.max() + 6.0 * self.sd
        for _ in range(HALVINGS):
            t = 0.5 * (low + high)
            low, high = (t, high) if self.at_least(t) > 1.0 - p else (low, t)
        return float(low)


@dataclass(frozen=True)
class Controls:
    """Controls of one unit's draws."""

    linear: F64  # L (draw,)
    centre: F64  # C less its mean (draw,); noughts for the sector
    own_walk: F64  # N (draw,)
    curvature: F64  # D (draw,)
    smooth: F64  # R (draw,)
    width: float  # h
    law: Law  # of L + C, C less its mean

    @property
    def of_mean(self) -> tuple[F64, ...]:
        """What has mean nought as it stands, but for the own walks."""
        return self.linear, self.centre, self.curvature

    @property
    def smoothed(self) -> Law:
        """Law of L + C + h Z, with Z a standard Normal of its own."""
        return replace(self.law, sd=math.hypot(self.law.sd, self.width))


@dataclass(frozen=True)
class Sample:
    """One unit's positions by draw, their controls, if any, and whether draws are Sobol points."""

    position: F64  # (draw,)
    controls: Controls | None
    replicates: int


def samples_of(forecast: xr.Dataset) -> Iterator[Sample]:
    """Yield the sector's draws and those of the whole NHS."""
    position = forecast["sector_position"].values
    replicates = len(position) // REPLICATE if "replicate" in forecast.coords else 0
    sector = sector_controls(forecast) if "control_value" in forecast else None
    yield Sample(position, sector, replicates)
    yield Sample(forecast["nhs_position"].values, with_centre(forecast, sector) if sector else None, replicates)


def sector_controls(forecast: xr.Dataset) -> Controls:
    """Controls of the sector; support is taken at its mean, for that of a draw may depend on own walks."""
    values = forecast["control_value"].transpose("control", "draw").values
    position, before = forecast["sector_position"].values, forecast["sector_position_before_support"].values
    return Controls(
        linear=values[LINEAR],
        centre=np.zeros(len(position)),
        own_walk=values[OWN_WALK],
        curvature=values[CURVATURE],
        smooth=values[SMOOTH] + (position - before).mean(),
        width=max(BANDWIDTH * float(position.std()), TINY),
        law=Law(max(float(forecast.attrs["linear_sd"]), TINY), np.zeros(1), np.ones(1)),
    )


def with_centre(forecast: xr.Dataset, sector: Controls) -> Controls:
    """Return the same with central actions, as the whole NHS has them."""
    amount = forecast["central_action"].sum("action").values
    points, weights = law_of_centre(Assumptions.from_json(forecast.attrs["assumptions"]))
    mean = float(weights @ points)
    return Controls(
        linear=sector.linear,
        centre=amount - mean,
        own_walk=sector.own_walk,
        curvature=sector.curvature,
        smooth=sector.smooth + amount,
        width=sector.width,
        law=Law(sector.law.sd, points - mean, weights),
    )


def law_of_centre(assumptions: Assumptions) -> tuple[F64, F64]:
    """Points and weights of all central actions together, GBP m: each one at even latents, added up on a grid."""
    z = np.linspace(-quantile.Z_MAX, quantile.Z_MAX, 241)
    chance = np.exp(-0.5 * z * z) / np.exp(-0.5 * z * z).sum()
    points, weights = np.zeros(1), np.ones(1)
    for action in assumptions.centre.actions:
        amounts = np.add.outer(points, action.planned * action.delivery.from_normal(z)).ravel()
        points, weights = on_grid(amounts, np.multiply.outer(weights, chance).ravel())
    return points, weights


def on_grid(points: F64, weights: F64) -> tuple[F64, F64]:
    """Bring points to an even grid: each one's weight is split between its neighbours, so that the mean stays.

    >>> grid, weights = on_grid(np.array([0.0, 0.3, 1.0]), np.array([0.2, 0.5, 0.3]))
    >>> round(float(grid @ weights), 12), round(float(weights.sum()), 12)
    (0.45, 1.0)
    """
    grid = np.linspace(points.min(), max(points.max(), points.min() + TINY), CELLS + 1)
    place = (points - grid[0]) / (grid[1] - grid[0])
    low = np.minimum(place.astype(np.int64), CELLS - 1)
    share = place - low
    shared = np.bincount(low, weights * (1.0 - share), CELLS + 1) + np.bincount(low + 1, weights * share, CELLS + 1)
    return np.asarray(grid, np.float64), np.asarray(shared, np.float64)


def measure(sample: Sample, thresholds: F64, confidence: F64) -> dict[str, Any]:
    """Measure all figures of a unit."""
    found = {
        "mean": mean_position(sample),
        "p_reaching": [p_reaching(sample, t) for t in thresholds],
        "tail_value_at_risk": [tail_value_at_risk(sample, c) for c in confidence],
    }
    split = {name: np.moveaxis(np.array(figures), -1, 0) for name, figures in found.items()}
    return {f"{name}{end}": rows[k] for name, rows in split.items() for k, end in enumerate(("", "_se", "_worth"))}


def mean_position(sample: Sample) -> Figure:
    """Estimate the expected position."""
    c = sample.controls
    return estimate(sample.position, [*c.of_mean, c.own_walk] if c else [], sample.replicates)


def p_reaching(sample: Sample, threshold: float) -> Figure:
    """Estimate the probability of a position or a better one."""
    reached, c = (sample.position >= threshold).astype(np.float64), sample.controls
    if c is None:
        return estimate(reached, [], sample.replicates)
    above, n, law = int(reached.sum()), len(reached), c.smoothed
    if min(above, n - above) < FEWEST_BEYOND:
        return estimate(reached, c.of_mean, sample.replicates)
    t = law.quantile(1.0 - above / n)
    simple = special.ndtr((c.linear + c.centre - t) / c.width) - law.at_least(t)
    away = (threshold - c.smooth) / c.width
    return estimate(reached, [simple, *c.of_mean, np.exp(-0.5 * away * away) * c.own_walk], sample.replicates)


def tail_value_at_risk(sample: Sample, confidence: float) -> Figure:
    """Estimate the mean deficit of the worst draws."""
    n, c = len(sample.position), sample.controls
    k = int(tail_size(n, confidence))
    q = float(np.partition(sample.position, k - 1)[k - 1])
    deficit = -q - np.minimum(sample.position - q, 0.0) * (n / k)
    if c is None:
        return estimate(deficit, [], sample.replicates)
    if k < FEWEST_BEYOND:
        return estimate(deficit, c.of_mean, sample.replicates)
    law = c.smoothed
    t = law.quantile(k / n)
    simple = c.width * ramp((t - c.linear - c.centre) / c.width) - law.shortfall(t)
    moved = special.ndtr((q - c.smooth) / c.width) * c.own_walk
    return estimate(deficit, [simple, *c.of_mean, moved], sample.replicates)


def estimate(y: F64, controls: Sequence[Any], replicates: int) -> Figure:
    """Mean of y with what controls explain taken out, its error, and what a draw is worth beside a plain one.

    >>> x = np.array([-1.0, 1.0, -1.0, 1.0, 3.0])
    >>> round(estimate(2.0 + 3.0 * x + np.array([0.1, -0.1, -0.1, 0.1, 0.0]), [x], 0)[0], 12)
    2.0
    """
    fit = Fit.of(y, np.reshape(controls, (len(controls), len(y))))
    se = fit.error_of_replicates(replicates) if replicates else fit.error()
    plain = float(y.var(ddof=1)) / len(y) if len(y) > 1 else math.nan
    return fit.mean, se, plain / se**2 if se > 0.0 else math.nan


@dataclass(frozen=True)
class Fit:
    """Regression of some y on controls with mean nought."""

    mean: float  # of y where controls are nought: the estimate
    residual: F64  # (draw,)
    weight: F64  # (draw,) of each y in the estimate
    leverage: F64  # (draw,)
    n_controls: int

    @classmethod
    def of(cls, y: F64, x: F64) -> "Fit":
        """Fit y to controls x, (control, draw), that need not differ."""
        n, scale = len(y), np.maximum(x.std(axis=1), TINY)
        mean = x.mean(axis=1) / scale
        around = x / scale[:, None] - mean[:, None]
        inverse = np.linalg.pinv(around @ around.T, rcond=1e-10, hermitian=True)
        b = inverse @ (around @ (y - y.mean()))
        return cls(
            mean=float(y.mean() - b @ mean),
            residual=y - y.mean() - b @ around,
            weight=1.0 / n - (inverse @ mean) @ around,
            leverage=1.0 / n + ((inverse @ around) * around).sum(axis=0),
            n_controls=len(x),
        )

    def error(self) -> float:
        """Standard error by the jackknife, draws being independent: controls' slopes are estimates too."""
        n = len(self.residual)
        if n - 1 <= self.n_controls:
            return math.nan
        moved = self.weight * self.residual / np.maximum(1.0 - self.leverage, TINY)
        return math.sqrt(n - 1) * float(moved.std())

    def error_of_replicates(self, replicates: int) -> float:
        """Standard error from the means of replicates, which are independent of each other."""
        if replicates < FEWEST_REPLICATES:
            return math.nan
        means = self.residual.reshape(replicates, -1).mean(axis=1)
        return float(means.std(ddof=1)) / math.sqrt(replicates)


def warn_of_few_replicates(replicates: int) -> None:
    """Warn where Sobol points are too few for errors."""
    if 0 < replicates < FEWEST_REPLICATES:
        counted = "one replicate of Sobol points does" if replicates == 1 else f"{replicates} replicates do"
        rule = f"{counted} not tell errors, which are NaN; {FEWEST_REPLICATES} do"
        remedy = f"Simulate {FEWEST_REPLICATES * REPLICATE:,} draws or more, or leave sampling as it is by default."
        warnings.warn(f"{rule}. {remedy}", InputWarning, stacklevel=3)


def threshold_faults(thresholds: Any) -> list[Fault]:
    """Return a fault unless thresholds are a list of finite sums."""
    goals = numbers(thresholds)
    if goals.ndim == 1 and len(goals) and np.isfinite(goals).all():
        return []
    remedy = "Give year-end positions in GBP million, such as [-500, 0]."
    return [Fault(PLACE, "must be a list of finite sums", str(thresholds), remedy, variable="thresholds")]


def sampling_faults(forecast: xr.Dataset) -> Iterator[Fault]:
    """Yield a fault for a forecast with neither controls nor Sobol points, and for parts of replicates."""
    if "control_value" not in forecast and "replicate" not in forecast.coords:
        remedy = 'Simulate with controls=True, sampling="sobol" or both; for other forecasts use summarise.'
        yield Fault("forecast", "has neither controls nor Sobol points", "", remedy)
    lost = [name for name in ("linear_sd", "assumptions") if name not in forecast.attrs]
    if "control_value" in forecast and lost:
        remedy = "Keep the attributes that simulate gave the forecast."
        yield Fault("forecast", "has lost attributes", ", ".join(lost), remedy)
    if "replicate" in forecast.coords and not forecast["replicate"].chunks:
        number = forecast["replicate"].values
        if (number != number[::REPLICATE].repeat(REPLICATE)[: len(number)]).any() or len(number) % REPLICATE:
            remedy = f"Keep whole replicates of {REPLICATE:,} draws, in their order."
            yield Fault("forecast", "has parts of replicates", f"{len(number):,} draws", remedy, variable="replicate")
