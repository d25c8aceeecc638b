"""Two forecasts on the same draws side by side: what changes, by how much, and because of what."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sector_risk.effects import SUPPORT, waterfall
from sector_risk.engine import default_threads
from sector_risk.faults import Fault, InputError, InputWarning, raise_if_any
from sector_risk.kernels.moments import MEAN, SD, moments
from sector_risk.kernels.reduce import BALANCE
from sector_risk.pairs import aligned, pair_faults, said_of_both
from sector_risk.projection_summary import projection_faults
from sector_risk.schema import BALANCE_SIGN, ERROR, FRACTION, MONEY, VariableSpec, described, with_error
from sector_risk.summary import binomial_se, by_row, mean_se, quantile_faults, quantiles_of
from sector_risk.units import (
    GROUPED,
    SECTOR,
    Units,
    check_forecast,
    find_unit,
    numbers,
    unit_faults,
    unit_positions,
    units_of,
)

__all__ = ["compare"]

F64 = NDArray[np.float64]
Array = NDArray[Any]
PLACE, PLAN = "compare", "plan"
ROWS = 4  # measured at a time by a thread: copies in double precision stay in its cache
BY_DRAW = ("position", "sector_position", "deficit_count", *GROUPED)
OF_YEAR = (*BY_DRAW, "sector_position_before_support", "sector_contribution")
OF_FORECAST = (*BY_DRAW, "nhs_position", "plan")
BETTER = "better at the end positive, worse negative"
_UNIT, _BY_QUANTILE = ("unit",), ("unit", "quantile")


SPECS: Mapping[str, VariableSpec] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            *with_error("start_mean", _UNIT, MONEY, "expected year-end position at the start", BALANCE_SIGN),
            *with_error("end_mean", _UNIT, MONEY, "expected year-end position at the end", BALANCE_SIGN),
            *with_error("difference", _UNIT, MONEY, "expected change of the year-end position", BETTER),
            VariableSpec(
                "difference_se_independent",
                _UNIT,
                MONEY,
                ERROR + "the expected change, had the draws been independent",
            ),
            *with_error("gain", _UNIT, "1", "how many times more draws independent runs would need"),
            *with_error("difference_quantile", _BY_QUANTILE, MONEY, "quantile of the change", BETTER),
            *with_error("p_better", _UNIT, FRACTION, "probability of being better by GBP 5,000 or more"),
            *with_error("p_worse", _UNIT, FRACTION, "probability of being worse by GBP 5,000 or more"),
            *with_error("start_p_breakeven", _UNIT, FRACTION, "probability of breakeven or a surplus at the start"),
            *with_error("end_p_breakeven", _UNIT, FRACTION, "probability of breakeven or a surplus at the end"),
            *with_error("p_breakeven_difference", _UNIT, FRACTION, "change of the probability of breakeven", BETTER),
            *with_error(
                "deficit_count_difference",
                (),
                "1",
                "expected change of the number of trusts in deficit",
                "more positive",
            ),
            *with_error("effect_difference", ("effect",), MONEY, "expected change by cause", BETTER),
            *with_error("p_milestone_difference", ("milestone",), FRACTION, "change of the milestone's probability"),
            VariableSpec("unit", _UNIT, "", "trust, region, type, system, provider sector or whole NHS", kind="text"),
            VariableSpec("level", _UNIT, "", "what the unit is", kind="text"),
            VariableSpec("quantile", ("quantile",), "1", "probability of being at or below the value"),
            VariableSpec("effect", ("effect",), "", "cause of the change", kind="text"),
            VariableSpec("milestone", ("milestone",), "", "what is to be reached, and when", kind="text"),
            VariableSpec("year", ("year",), "", "financial year", kind="text"),
        )
    }
)
"""What `compare` returns."""


def compare(
    start: xr.Dataset,
    end: xr.Dataset,
    quantiles: Sequence[float] = (0.05, 0.25, 0.5, 0.75, 0.95),
    *,
    unit: str = SECTOR,
) -> xr.Dataset:
    r"""Say what changes from one forecast to another that is made with the same draws, and because of what.

    The same draw of the two is the same year under two sets of assumptions or rules. Their difference has far less
    chance in it than either: with d = end - start in each of n draws,

    .. math:: se = sd(d) / \sqrt{n},\quad gain = (var(start) + var(end)) / var(d)

    Parameters
    ----------
    start, end : Dataset
        Both from `simulate`, `condition` or `open_forecast`, or both from `project`: of the same trusts, in any order,
        with the same seed. Where one has more draws, the first ones that both have are compared; of projections, the
        years that both have. Regions, types and systems are those of `start`.
    quantiles : sequence of float
        Probabilities, each from 0 to 1.
    unit : str
        The unit whose change is given by cause; of a projection only the sector's is known.

    Returns
    -------
    Dataset
        GBP million, end less start: better is positive. Each figure has its Monte Carlo error beside it, `..._se`. On
        `unit` with coordinate `level`, as `summarise` has them (no whole NHS for projections):

        * `start_mean`, `end_mean`, with errors sd / sqrt(n);
        * `difference`, with the paired error; `difference_se_independent`, sqrt((var(start) + var(end)) / n), which it
          would be with other draws for each; and `gain`, the ratio of the squares of the two: infinite where every draw
          changes by the same sum (then the difference is exact; with a trace of rounding, the gain is beyond 1e9), NaN
          where nothing is random at all. Its error is that of a ratio of means, NaN in these cases;
        * `difference_quantile(unit, quantile)`, order statistic of rank ceil(p n), with an error as in `summarise`;
        * `p_better`, `p_worse`: by GBP 5,000 or more; errors sqrt(p (1 - p) / n);
        * `start_p_breakeven`, `end_p_breakeven`, with such errors, and `p_breakeven_difference`, whose error comes from
          the draws that disagree: with shares b won and c lost, sqrt((b + c - (b - c)^2) / n) (McNemar 1947).

        Without a unit: `deficit_count_difference`, trusts in deficit, more is positive. On `effect`, for the unit asked
        for (attribute `effects_of`): `effect_difference`, the change of the plan before support ("plan"), of what each
        driver contributes, of the support paid and, for the whole NHS, of the centre. Causes add up to the unit's
        `difference`; a driver that only one of the two has counts as nought in the other.

        Projections have dimension `year` first, and on `milestone` the change of its probability,
        `p_milestone_difference`, with a paired error.

        Attributes are those of `start`, and as `end_...` those in which `end` differs; `n_draws` is how many are
        compared.

        Errors take draws as independent: where they come in parameter sets (`simulate_with_parameters`), they are too
        small, for the draws of a set share its parameters.

    Raises
    ------
    InputError
        With every fault: what is no whole forecast (a variable missing, another version, draws that are not finite, a
        selection), a forecast and a projection, trusts that only one has, different seeds or random streams, draws
        with different numbers or parameter sets, no year in common, a quantile that is no probability, no such unit.

    Warns
    -----
    InputWarning
        If the two are of different financial years.

    Examples
    --------
    >>> import sector_risk as sr
    >>> case = sr.load_case("england-2018-19")
    >>> without, paid = (sr.simulate(case, regime=rules, n_draws=400) for rules in ("none", "2018-19"))
    >>> change = compare(without, paid)
    >>> sector = change.sel(unit="Provider sector")
    >>> bool(sector["difference"] > 0), bool(sector["difference_se"] < sector["difference_se_independent"])
    (True, True)
    >>> bool(abs(change["effect_difference"].sum() - sector["difference"]) < 1e-6)
    True
    """
    check_pair(start, end, quantiles, unit)
    levels, (start, end) = numbers(quantiles), aligned(start, end)
    pairs = list(_by_year(start, end))
    units = units_compared(pairs[0][0])
    causes = [_causes(a, b, unit) for a, b in pairs]
    measured = [_units_measured(a, b, units, levels) | _deficits(a, b) for a, b in pairs]
    found = [
        m | {"effect_difference": c[1], "effect_difference_se": c[2]} for m, c in zip(measured, causes, strict=True)
    ]
    labels = {"unit": units.unit, "level": (_UNIT, units.level), "quantile": levels, "effect": causes[0][0]}
    variables = _on_years(found, start) | _milestones(start, end)
    return _described(xr.Dataset(variables, labels | _labels_of(start, end)), start, end, unit)


def check_pair(start: xr.Dataset, end: xr.Dataset, quantiles: Any, unit: str) -> None:
    """Raise one `InputError` for all that keeps two forecasts from being compared; warn of different years."""
    faults = [*_own_faults("start", start), *_own_faults("end", end)]
    faults += [] if faults else [*_pair_faults(start, end)]
    faults += [*quantile_faults(PLACE, quantiles), *([] if faults else _unit_faults(start, unit))]
    raise_if_any(faults)
    years = [str(forecast.attrs.get("year", "")) for forecast in (start, end)]
    if years[0] != years[1]:
        warnings.warn(f"forecasts of different years are compared: {' and '.join(years)}", InputWarning, stacklevel=3)


def units_compared(forecast: xr.Dataset) -> Units:
    """Return the units of a forecast, or of a year of a projection, which does not say what the whole NHS does."""
    units = units_of(forecast)
    if "nhs_position" in forecast:
        return units
    kept = units.level != "nhs"
    return Units(units.unit[kept], units.level[kept], units.members[: int(kept.sum())])


def measure(start: Array, end: Array, levels: F64) -> dict[str, F64]:
    """Measures of the positions of some units, each (unit, draw), at the start and at the end."""
    change = np.subtract(end, start, dtype=np.float64)
    was, now, moved = (_moments(rows) for rows in (start, end, change))
    n = change.shape[1]
    values, errors = quantiles_of(change, levels)
    means = {"start_mean": was, "end_mean": now, "difference": moved}
    found = {name: m[:, MEAN] for name, m in means.items()}
    found |= {f"{name}_se": mean_se(m[:, SD], n) for name, m in means.items()}
    found |= {"difference_quantile": values, "difference_quantile_se": errors}
    found["difference_se_independent"] = mean_se(np.hypot(was[:, SD], now[:, SD]), n)
    found["gain"], found["gain_se"] = _gain((start, was), (end, now), (change, moved))
    return found | _chances(start, end, change)


def share_change(was: Array, now: Array) -> tuple[F64, F64]:
    """Change of the share of draws that are so, from flags (row, draw), and its error from draws that disagree.

    >>> share_change(np.array([[True, False, False, False]]), np.array([[True, True, False, False]]))
    (array([0.25]), array([0.21650635]))
    """
    won, lost = (now & ~was).mean(axis=1), (was & ~now).mean(axis=1)
    return won - lost, np.sqrt((won + lost - (won - lost) ** 2) / was.shape[1])


def _moments(rows: Array) -> F64:
    """Mean and sd of rows: nought for equal numbers, and not what rounding makes of it; NaN for a single one."""
    found = by_row(moments, rows, np.zeros(len(rows), rows.dtype))
    found[rows.min(axis=1) == rows.max(axis=1), SD] = 0.0 if rows.shape[1] > 1 else np.nan
    return found


def _gain(*parts: tuple[Array, F64]) -> tuple[F64, F64]:
    """Ratio of variances, (start + end) / change, and its error as that of a ratio of means of squares."""
    start, end, change = (np.square(rows - found[:, [MEAN]]) for rows, found in parts)
    was, now, moved = (found[:, SD] for _, found in parts)
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = (was**2 + now**2) / moved**2
        left_over = start + end - gain[:, None] * change
        return gain, left_over.std(axis=1) / (change.mean(axis=1) * np.sqrt(change.shape[1]))


def _chances(start: Array, end: Array, change: F64) -> dict[str, F64]:
    """Shares of draws that are better, worse and balanced, and what becomes of balance."""
    was, now = start >= -BALANCE, end >= -BALANCE
    shares = {
        "p_better": (change > BALANCE).mean(axis=1),
        "p_worse": (change < -BALANCE).mean(axis=1),
        "start_p_breakeven": was.mean(axis=1),
        "end_p_breakeven": now.mean(axis=1),
    }
    turned, error = share_change(was, now)
    errors = {f"{name}_se": binomial_se(p, change.shape[1]) for name, p in shares.items()}
    return shares | errors | {"p_breakeven_difference": turned, "p_breakeven_difference_se": error}


def _units_measured(start: xr.Dataset, end: xr.Dataset, units: Units, levels: F64) -> dict[str, F64]:
    """Measures of all units, in pieces on threads."""
    with ThreadPoolExecutor(default_threads()) as pool:
        pieces = _pieces(start, end, units)
        measured = list(pool.map(lambda piece: measure(piece[0], piece[1], levels), pieces))
    return {name: np.concatenate([m[name] for m in measured]) for name in measured[0]}


def _pieces(start: xr.Dataset, end: xr.Dataset, units: Units) -> Iterator[tuple[Array, Array]]:
    """Yield positions of a few units at the start and the end, in the units' order."""
    for was, now in zip(unit_positions(start, units), unit_positions(end, units), strict=True):
        yield from ((was[k : k + ROWS], now[k : k + ROWS]) for k in range(0, len(was), ROWS))


def _deficits(start: xr.Dataset, end: xr.Dataset) -> dict[str, F64]:
    """Change of the number of trusts in deficit."""
    mean, error = _mean_and_error((end["deficit_count"].values - start["deficit_count"].values)[None, :])
    return {"deficit_count_difference": mean[0], "deficit_count_difference_se": error[0]}


def _causes(start: xr.Dataset, end: xr.Dataset, unit: str) -> tuple[Array, F64, F64]:
    """Names of causes, the expected change by cause, and its error."""
    was, now = _told_of("start", _effects, start, unit), _told_of("end", _effects, end, unit)
    names = in_order(list(was), list(now))
    none = np.zeros(start.sizes["draw"])
    rows = np.array([now.get(name, none) - was.get(name, none) for name in names])
    return np.array(names, object), *_mean_and_error(rows)


def in_order(names: list[str], more: list[str]) -> list[str]:
    """Return names, and those that only the others have, each after the one that it follows there.

    >>> in_order(["plan", "pay", "support"], ["plan", "pay", "weather", "support", "centre"])
    ['plan', 'pay', 'weather', 'support', 'centre']
    """
    merged = list(names)
    for i, name in enumerate(more):
        if name not in merged:
            merged.insert(merged.index(more[i - 1]) + 1 if i else 0, name)
    return merged


def _effects(forecast: xr.Dataset, unit: str) -> dict[str, F64]:
    """What a unit's position is made of, draw by draw: plan before support, drivers, support, centre."""
    if "sector_contribution" in forecast:
        return _effects_of_year(forecast)
    flow = waterfall(forecast, unit)
    plan = forecast["plan"].values[find_unit(forecast, unit, PLACE)[1]].sum()
    effects = dict(zip(flow["effect"].values.tolist(), flow["effect_by_draw"].values, strict=True))
    effects[SUPPORT] = effects[SUPPORT] + (flow["plan"].item() - plan)
    return {PLAN: np.full(flow.sizes["draw"], plan)} | effects


def _effects_of_year(forecast: xr.Dataset) -> dict[str, F64]:
    """What the sector's position is made of in a year of a projection; the plans of later years are drawn too."""
    contribution = forecast["sector_contribution"].transpose("driver", "draw").values
    before, position = forecast["sector_position_before_support"].values, forecast["sector_position"].values
    drivers = dict(zip(forecast["driver"].values.tolist(), contribution, strict=True))
    return {PLAN: before - contribution.sum(axis=0)} | drivers | {SUPPORT: position - before}


def _mean_and_error(rows: Array) -> tuple[F64, F64]:
    found = _moments(np.ascontiguousarray(rows, np.float64))
    return found[:, MEAN], mean_se(found[:, SD], rows.shape[1])


def _by_year(start: xr.Dataset, end: xr.Dataset) -> Iterator[tuple[xr.Dataset, xr.Dataset]]:
    """Yield the two, or of projections the years that both have."""
    if not is_projection(start):
        yield start, end
        return
    for year in _common(start, end, "year"):
        yield start.sel(year=year), end.sel(year=year)


def is_projection(forecast: xr.Dataset) -> bool:
    """Whether it spans years."""
    return "year" in forecast.dims


def _common(start: xr.Dataset, end: xr.Dataset, name: str) -> list[Any]:
    """Labels that both have, in the order of the start."""
    return [label for label in start[name].values.tolist() if label in end[name].values.tolist()]


def _on_years(found: list[dict[str, F64]], start: xr.Dataset) -> dict[str, Any]:
    """Variables with their dimensions; those of several years with dimension `year` first."""
    if not is_projection(start):
        return {name: (SPECS[name].dims, values) for name, values in found[0].items()}
    return {name: (("year", *SPECS[name].dims), np.array([f[name] for f in found])) for name in found[0]}


def _labels_of(start: xr.Dataset, end: xr.Dataset) -> dict[str, Any]:
    """Labels of years, where there are several."""
    return {"year": np.array(_common(start, end, "year"), object)} if is_projection(start) else {}


def _milestones(start: xr.Dataset, end: xr.Dataset) -> dict[str, Any]:
    """Change of the probability of milestones that both look for."""
    if "milestone_met" not in start or "milestone_met" not in end:
        return {}
    names = _common(start, end, "milestone")
    was, now = (f["milestone_met"].sel(milestone=names).transpose("milestone", "draw").values for f in (start, end))
    change, error = share_change(was.astype(bool), now.astype(bool))
    of_milestone = {"p_milestone_difference": change, "p_milestone_difference_se": error}
    return {"milestone": np.array(names, object)} | {name: ("milestone", v) for name, v in of_milestone.items()}


def _described(found: xr.Dataset, start: xr.Dataset, end: xr.Dataset, unit: str) -> xr.Dataset:
    """Say what every variable is, and what was compared."""
    return described(found, SPECS).assign_attrs(
        said_of_both(start, end) | {"n_draws": start.sizes["draw"], "effects_of": unit}
    )


def _told_of(place: str, function: Callable[..., Any], *values: Any) -> Any:
    """Call a function; say of its faults which of the two forecasts they are in."""
    try:
        return function(*values)
    except InputError as error:
        raise InputError(replace(fault, place=place) for fault in error.faults) from None


def _own_faults(place: str, forecast: xr.Dataset) -> list[Fault]:
    """Faults of one of the two."""
    if "year" not in forecast.coords:
        return _faults_of(place, [forecast], OF_FORECAST)
    faults = projection_faults(forecast, OF_YEAR, PLACE)
    if faults:
        return [replace(fault, place=place) for fault in faults]
    years = (forecast.isel(year=y) for y in range(forecast.sizes["year"]))
    return _faults_of(place, years, OF_YEAR)


def _faults_of(place: str, forecasts: Iterable[xr.Dataset], needed: Sequence[str]) -> list[Fault]:
    """Faults of forecasts of one year, each once."""
    faults: list[Fault] = []
    for forecast in forecasts:
        try:
            _told_of(place, check_forecast, forecast, needed)
        except InputError as error:
            faults += error.faults
        if PLAN in forecast.get("driver", ()):
            faults.append(Fault(place, "a driver has the name of another cause", PLAN, "Rename it.", variable="driver"))
    return list(dict.fromkeys(faults))


def _pair_faults(start: xr.Dataset, end: xr.Dataset) -> Iterator[Fault]:
    """Faults of what cannot be compared."""
    if is_projection(start) != is_projection(end):
        remedy = "Give two forecasts, or two projections."
        yield Fault(PLACE, "a projection and a forecast of one year", "", remedy, variable="year")
        return
    yield from pair_faults(start, end, PLACE)
    if is_projection(start) and not _common(start, end, "year"):
        yield Fault(PLACE, "no year in common", "", "Project the same years.", variable="year")


def _unit_faults(start: xr.Dataset, unit: str) -> list[Fault]:
    """Faults of the unit that causes are asked for."""
    if is_projection(start):
        if unit == SECTOR:
            return []
        remedy = f"Leave it at '{SECTOR}'."
        return [Fault(PLACE, "of projections the causes are known for the sector only", unit, remedy, variable="unit")]
    return unit_faults(start, [unit], PLACE)
