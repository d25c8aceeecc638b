"""Forecasts with as many draws as an answer needs: more are made until the errors asked for are reached."""

import json
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sector_risk.assumptions import Assumptions
from sector_risk.conditioning import condition
from sector_risk.faults import Fault, InputError, InputWarning, as_sentence, nearest, raise_if_any
from sector_risk.kernels.random import MAX_DRAWS
from sector_risk.progress import Progress
from sector_risk.regimes import Regime
from sector_risk.simulation import check_settings, simulate
from sector_risk.summary import summarise
from sector_risk.units import LEVELS, SECTOR, unit_faults

__all__ = ["Target", "simulate_until"]

F64 = NDArray[np.float64]
PLACE = "simulate_until"
BY_SEED = (
    "given the months seen all draws rest on the same particles: what that leaves open, about 6% of the standard "
    "deviation of the sector's mean, is not in these errors; another seed shows it"
)
TAKES = {
    "mean": "",
    "position_quantile": "quantile",
    "p_deficit": "",
    "p_breakeven": "",
    "p_missing_plan": "",
    "p_missing_control_total": "",
    "value_at_risk": "confidence",
    "tail_value_at_risk": "confidence",
}
"""Measures of `summarise` that a target may name, and the coordinate that `at` is of."""
AT = ("quantile", "confidence")
MOST_DRAWS = 200_000
"""A draw takes some 13 numbers of 4 bytes for each trust: 227 trusts and 200,000 draws fill 2.6 GB."""
MARGIN = 1.1
"""Draws on top of what the errors so far ask for: these are estimates too."""
GROWTH, LEAP = 1.25, 8.0
"""No run is less than this many times the one before, so that there are few; beyond the other, one comes between."""


@dataclass(frozen=True)
class Target:
    """A standard error that a figure is to have.

    Parameters
    ----------
    measure : str
        A measure of `summarise`: "mean", "position_quantile", "p_deficit", "p_breakeven", "p_missing_plan",
        "p_missing_control_total", "value_at_risk" or "tail_value_at_risk".
    se : float
        The Monte Carlo standard error wanted, in the measure's units: GBP million, or a fraction for probabilities.
    units : str or sequence of str
        Names of units, or a level ("trust", "region", "trust_type", "system", "sector", "nhs"), which is all units of
        it that have the figure. The target is met when every one of them has the error or a smaller one.
    at : float, optional
        The probability of a quantile, or the confidence of a value at risk or a tail value at risk; needed for these.

    Raises
    ------
    InputError
        With every fault.

    Examples
    --------
    >>> Target("p_deficit", 0.005, units="trust").se
    0.005
    >>> Target("position_quantile", 5.0, at=0.05).units
    'Provider sector'
    """

    measure: str
    se: float
    units: str | Sequence[str] = SECTOR
    at: float | None = None

    def __post_init__(self) -> None:
        """Check every part; all faults in one `InputError`."""
        raise_if_any(_target_faults(self))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of units and levels, as they are asked for."""
        return (self.units,) if isinstance(self.units, str) else tuple(self.units)


@dataclass(frozen=True)
class Reached:
    """The largest standard error among a target's units, and whose it is."""

    target: Target
    se: float
    unit: str

    def draws_needed(self, n_draws: int) -> int:
        """Draws at which the error would be as asked; four times as many where they are too few to tell it."""
        ratio = self.se / self.target.se if math.isfinite(self.se) else 2.0
        return math.ceil(min(n_draws * ratio * ratio, MAX_DRAWS))

    def said(self, n_draws: int) -> dict[str, Any]:
        """What the forecast's attributes say of it."""
        target = self.target
        return {
            "measure": target.measure,
            "units": list(target.names),
            "at": target.at,
            "se": float(target.se),
            "se_reached": self.se if math.isfinite(self.se) else None,
            "unit_reached": self.unit,
            "met": self.draws_needed(n_draws) <= n_draws,
        }


def simulate_until(
    panel: xr.Dataset,
    assumptions: Assumptions | None = None,
    regime: Regime | str | None = None,
    *,
    targets: Target | Sequence[Target],
    max_draws: int = MOST_DRAWS,
    start_draws: int = 2_000,
    seed: int = 0,
    threads: int | None = None,
    progress: bool | Progress = False,
    through_month: int | None = None,
) -> xr.Dataset:
    r"""Forecast with as many draws as it takes to reach standard errors.

    A first run shows the errors; they fall with the root of the number of draws, which says how many are needed:

    .. math:: n' = \max_k n (se_k / target_k)^2

    With a tenth more, that number is run, and so on until every target is met; where it is more than eight times as
    many, a run between the two comes first, because the first errors are rough. The result is to the bit what
    `simulate` (or `condition`) gives for the number of draws chosen. Every run starts anew: two or three are usual, and
    all of them together usually cost less than twice what the last one does. Each, but for one at `max_draws`, is at
    least a quarter larger than the one before, so that they never cost more than six times the last one.

    Errors are estimates, and a run stops where they happen to be low: at the stop they are slightly too favourable.
    Errors of means and probabilities are estimated well from 2,000 draws; of quantiles and of the tail less so, and
    there more `start_draws` help. A probability that no draw, or every draw, speaks for counts as having the error 1/n.

    Parameters
    ----------
    panel : Dataset with dimension `trust`
    assumptions, regime, seed, threads
        As for `simulate`.
    targets : Target or sequence of Target
        All of them are to be met.
    max_draws : int
        Draws that are never exceeded. A draw takes some 13 numbers of 4 bytes for each trust: 200,000 draws of 227
        trusts take 2.6 GB.
    start_draws : int
        Draws of the first run, 2 or more.
    progress : bool or function (blocks done, blocks in all)
        As for `simulate`, for each run anew.
    through_month : int, optional
        Months up to this one are seen, as for `condition`; nothing is seen if not given.

    Returns
    -------
    Dataset
        The forecast, with attributes `stopped_because` ("targets met" or "cap reached") and `targets`: JSON, for each
        target its `measure`, `se`, `units` and `at`, and `se_reached`, the largest error of its units, `unit_reached`,
        the unit that has it, and `met`.

    Raises
    ------
    InputError
        With every fault of the settings and targets; of panel, assumptions and regime as `simulate`; for units that the
        forecast does not have, or that do not have the figure.

    Warns
    -----
    InputWarning
        If `max_draws` is reached before the targets: with the draws that they would need. Where months are seen: all
        draws rest on the same particles, and what that leaves open no number of draws makes smaller. And as
        `simulate`, each run.

    Examples
    --------
    >>> import sector_risk as sr
    >>> case = sr.load_case("england-2018-19")
    >>> forecast = simulate_until(case, targets=Target("mean", 8.0), start_draws=500)
    >>> forecast.attrs["stopped_because"]
    'targets met'
    >>> sr.summarise(forecast)["mean_se"].sel(unit="Provider sector").item() <= 8.0
    True
    """
    settings = {"n_draws": max_draws, "seed": seed, "threads": threads}
    if through_month is not None:
        settings["through_month"] = through_month
    wanted = check_request(targets, assumptions, regime, start_draws, settings)
    make = simulate if through_month is None else partial(condition, through_month=through_month)
    if through_month:
        warnings.warn(BY_SEED, InputWarning, stacklevel=2)
    n_draws = start_draws
    while True:
        forecast = make(panel, assumptions, regime, n_draws=n_draws, seed=seed, threads=threads, progress=progress)
        reached = errors_reached(forecast, wanted)
        needed = max(r.draws_needed(n_draws) for r in reached)
        if needed <= n_draws or n_draws == max_draws:
            break
        del forecast  # before the next one is made, so that there are never two of them
        n_draws = next_draws(n_draws, needed, max_draws)
    if needed > n_draws:
        warn_of_cap(n_draws, needed)
    because = "targets met" if needed <= n_draws else "cap reached"
    said = [r.said(n_draws) for r in reached]
    return forecast.assign_attrs(stopped_because=because, targets=json.dumps(said))


def check_request(
    targets: Any, assumptions: Assumptions | None, regime: Regime | str | None, start_draws: Any, settings: Any
) -> tuple[Target, ...]:
    """Return the targets; raise one `InputError` for all faults of targets and settings."""
    wanted = (targets,) if isinstance(targets, Target) else tuple(targets) if isinstance(targets, Sequence) else ()
    faults = []
    if not wanted or not all(isinstance(target, Target) for target in wanted):
        remedy = 'Give one or several, such as Target("mean", 5.0).'
        faults.append(Fault(PLACE, "must be targets", str(targets), remedy, variable="targets"))
    try:
        check_settings(PLACE, Assumptions() if assumptions is None else assumptions, regime, **settings)
    except InputError as error:
        faults += [
            replace(fault, variable="max_draws") if fault.variable == "n_draws" else fault for fault in error.faults
        ]
    if isinstance(start_draws, bool) or not isinstance(start_draws, int | np.integer) or start_draws < 2:
        faults.append(Fault(PLACE, "must be a whole number from 2", str(start_draws), "", variable="start_draws"))
    elif not faults and start_draws > settings["n_draws"]:
        came = f"{start_draws:,} above {settings['n_draws']:,}"
        faults.append(Fault(PLACE, "must not be more than max_draws", came, "", variable="start_draws"))
    raise_if_any(faults)
    return wanted


def errors_reached(forecast: xr.Dataset, targets: Sequence[Target]) -> list[Reached]:
    """Return of each target the largest standard error among its units."""
    at = {name: sorted({t.at for t in targets if t.at is not None and TAKES[t.measure] == name}) for name in AT}
    summary = summarise(forecast, at["quantile"] or [0.5], at["confidence"] or [0.5])
    raise_if_any(fault for target in targets for fault in _unit_faults(forecast, summary, target))
    return [_reached(summary, target) for target in targets]


def next_draws(n_draws: int, needed: int, max_draws: int) -> int:
    """Draws of the next run; where far more are needed than there are, half of the way there in powers.

    >>> next_draws(1000, 5_000, 200_000), next_draws(1000, 1001, 200_000), next_draws(1000, 5_000, 3_000)
    (5500, 1250, 3000)
    >>> next_draws(1000, 100_000, 200_000)
    10000
    """
    if needed > LEAP * n_draws:
        return min(math.ceil(math.sqrt(n_draws * needed)), max_draws)
    return min(max(math.ceil(MARGIN * needed), math.ceil(GROWTH * n_draws)), max_draws)


def warn_of_cap(n_draws: int, needed: int) -> None:
    """Warn that the targets are not met."""
    rule = f"the targets are not met with max_draws of {n_draws:,}: they would need about {needed:,}"
    warnings.warn(f"{rule}. Raise max_draws, or ask for larger errors.", InputWarning, stacklevel=3)


def _reached(summary: xr.Dataset, target: Target) -> Reached:
    """Largest error of a target's units; one that the draws are too few to tell is the largest of all."""
    value, error = _figures(summary, target)
    rows = np.concatenate([_rows(summary, name) for name in target.names])
    rows = rows[np.isfinite(value[rows])]
    worst = rows[np.argmax(error[rows])]  # the first NaN, if there is any
    return Reached(target, float(error[worst]), str(summary["unit"].values[worst]))


def _figures(summary: xr.Dataset, target: Target) -> tuple[F64, F64]:
    """A measure and its error for all units, (unit,); no share of draws is known better than to one draw."""
    chosen = summary.sel({TAKES[target.measure]: target.at}) if TAKES[target.measure] else summary
    value, error = chosen[target.measure].values, chosen[f"{target.measure}_se"].values
    least = 1.0 / summary.attrs["n_draws"] if target.measure.startswith("p_") else 0.0
    return value, np.maximum(error, least)


def _rows(summary: xr.Dataset, name: str) -> NDArray[np.intp]:
    """Where the units of a level, or the unit of a name, are in a summary."""
    return np.flatnonzero((summary["level"] if name in LEVELS else summary["unit"]).values == name)


def _unit_faults(forecast: xr.Dataset, summary: xr.Dataset, target: Target) -> Iterator[Fault]:
    """Faults of names that are of no unit or of several, and of units that do not have the figure."""
    value, _ = _figures(summary, target)
    for name in target.names:
        faults = [] if name in LEVELS else unit_faults(forecast, [name], PLACE)
        yield from faults
        if not faults and not np.isfinite(value[_rows(summary, name)]).any():
            remedy = "Ask for other units, or leave the target out."
            yield Fault(PLACE, f"no such unit has the figure {target.measure}", name, remedy, variable="units")


def _target_faults(target: Target) -> Iterator[Fault]:
    """Faults of a target, part by part."""
    takes = TAKES.get(target.measure)
    if takes is None:
        remedy = as_sentence(nearest(str(target.measure), TAKES)) or f"Use one of {', '.join(TAKES)}."
        yield Fault(
            "Target", "no measure of summarise with an error to aim at", str(target.measure), remedy, variable="measure"
        )
    elif takes and not _is_number(target.at, 0.0, 1.0):
        yield Fault("Target", f"must be the {takes}, between 0 and 1", str(target.at), "Use 0.95.", variable="at")
    elif not takes and target.at is not None:
        remedy = "Leave it out, or name a quantile or a value at risk."
        yield Fault("Target", f"{target.measure} is not taken at anything", str(target.at), remedy, variable="at")
    if not _is_number(target.se, 0.0, math.inf):
        yield Fault("Target", "must be a number above 0", str(target.se), "", variable="se")
    if not target.names or not all(isinstance(name, str) for name in target.names):
        remedy = f"Use '{SECTOR}', a trust's code or a level such as 'trust'."
        yield Fault("Target", "must be names of units or levels", str(target.units), remedy, variable="units")


def _is_number(value: Any, low: float, high: float) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and bool(low < value < high)
