"""Summaries of a forecast: one row a trust, region, type, for the sector and the whole NHS."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sector_risk.engine import default_threads
from sector_risk.faults import Fault, InputError, raise_if_any
from sector_risk.kernels.moments import BELOW, MEAN, SD, group_sums, moments, tails
from sector_risk.kernels.order import order_statistics
from sector_risk.kernels.reduce import BALANCE
from sector_risk.schema import SUMMARY

F64 = NDArray[np.float64]
Array = NDArray[Any]
Rows = tuple[Array, Array, Array]
"""Rows of draws of some units: position, position before support; and their plans before support."""
TAIL = 0.05
NOT_FINITE = ("draws are not finite", "NaN or infinity", "Give a forecast as simulate made it, with no draw masked.")
SECTOR, NHS = "Provider sector", "Whole NHS"
NEEDED = (
    "position",
    "position_before_support",
    "sector_position",
    "sector_position_before_support",
    "nhs_position",
    "plan",
    "planned_support",
    "sector_plan_ytd",
)


def summarise(forecast: xr.Dataset, quantiles: Sequence[float] = (0.05, 0.25, 0.5, 0.75, 0.95)) -> xr.Dataset:
    """Summarise the draws of a forecast by trust, region, type, for the provider sector and the whole NHS.

    Parameters
    ----------
    forecast : Dataset
        From `simulate` or `open_forecast`.
    quantiles : sequence of float
        Probabilities, each between 0 and 1.

    Returns
    -------
    Dataset
        Dimension `unit` (trust codes, regions, types, "Provider sector", "Whole NHS") with coordinates `level`
        ("trust", "region", "trust_type", "sector", "nhs"), `name`, `region`, `trust_type`; GBP million:

        * `plan` (after support), `mean`, `sd`, `mean_se` = sd / sqrt(n);
        * `position_quantile(unit, quantile)`, order statistic of rank ceil(p n), and its error
          `position_quantile_se`, half the distance of the order statistics one binomial sd of rank to each side;
        * `p_deficit`, `p_missing_plan` (position before support below plan before support), each by GBP 5,000 or more,
          and their errors sqrt(p (1 - p) / n); the whole NHS has no plan before support: NaN;
        * `expected_shortfall`, mean of the worst 5% of draws, and its error.

    Raises
    ------
    InputError
        If a variable is missing, draws are not finite, or a quantile is not a probability.

    Examples
    --------
    >>> import sector_risk as sr
    >>> summary = sr.summarise(sr.simulate(sr.load_case("england-2018-19"), n_draws=400))
    >>> sector = summary.sel(unit="Provider sector")
    >>> bool(sector["mean"] < sector["plan"])
    True
    >>> sorted(set(summary["level"].values.tolist()))
    ['nhs', 'region', 'sector', 'trust', 'trust_type']
    """
    levels = np.asarray(quantiles, dtype=float)
    check_forecast(forecast, levels)
    rows, labels = _units(forecast)
    measured = _measure_all(rows, levels)
    measured["plan"] = labels.pop("plan")
    units = {name: ("unit", values) for name, values in labels.items()}
    variables = {name: (("unit", "quantile")[: v.ndim], v) for name, v in measured.items()}
    summary = xr.Dataset(variables, units | {"quantile": levels}, attrs=forecast.attrs)
    for name in summary.variables:
        summary[name].attrs = SUMMARY[str(name)].attrs
    return summary


def check_forecast(forecast: xr.Dataset, levels: F64) -> None:
    """Raise one `InputError` for all that keeps a forecast from being summarised."""
    faults = forecast_faults(forecast, NEEDED, "summarise_projection") + quantile_faults("summarise", levels)
    if not faults and not np.isfinite(forecast["sector_position"].values).all():
        faults.append(Fault("forecast", *NOT_FINITE, variable="sector_position"))
    raise_if_any(faults)


def forecast_faults(forecast: xr.Dataset, needed: Iterable[str], instead: str) -> list[Fault]:
    """Return a fault for each variable that is missing, or one if it is not a forecast of one year at all.

    `instead` is the function that takes a projection.
    """
    if "year" in forecast.dims:
        remedy = f"Use {instead} for what project gave."
        return [Fault("forecast", "a projection of several years", "", remedy, variable="year")]
    remedy = "Give a forecast made by simulate."
    return [
        Fault("forecast", "variable is missing", name, remedy, variable=name) for name in needed if name not in forecast
    ]


def quantile_faults(place: str, levels: F64) -> list[Fault]:
    """Return a fault if the levels are not a list of probabilities."""
    if levels.ndim == 1 and len(levels) and ((levels >= 0) & (levels <= 1)).all():
        return []
    return [Fault(place, "must be probabilities", str(levels), "Use (0.05, 0.5, 0.95).", variable="quantiles")]


def _units(forecast: xr.Dataset) -> tuple[list[Rows], dict[str, Array]]:
    """Rows of draws by level, and the units' labels."""
    position, before = _draws_last(forecast, "position"), _draws_last(forecast, "position_before_support")
    plan, support = forecast["plan"].values, forecast["planned_support"].values
    after = plan + support
    parts = [(position, before, plan)]
    columns = {
        "unit": [*forecast["trust"].values],
        "level": ["trust"] * len(plan),
        "name": [*forecast["name"].values],
        "region": [*forecast["region"].values],
        "trust_type": [*forecast["trust_type"].values],
        "plan": [*after],
    }
    for level in ("region", "trust_type"):
        names, group = np.unique(forecast[level].values.astype(str), return_inverse=True)
        parts.append(
            (_group_sums(position, group, len(names)), _group_sums(before, group, len(names)), np.bincount(group, plan))
        )
        _append(columns, level, names, np.bincount(group, after))
    sector = forecast["sector_plan_ytd"].values[-1]
    total, total_before, nhs = (
        forecast[name].values[None, :] for name in ("sector_position", "sector_position_before_support", "nhs_position")
    )
    _check_whole(parts[-1][0], total)
    parts.append((total, total_before, np.array([plan.sum()])))
    parts.append((nhs, np.full_like(nhs, np.nan), np.array([np.nan])))
    _append(columns, "sector", [SECTOR], [sector])
    _append(columns, "nhs", [NHS], [np.nan])
    return parts, {name: np.array(values, float if name == "plan" else object) for name, values in columns.items()}


def _check_whole(by_type: Array, sector: Array) -> None:
    """Refuse a selection of trusts or draws whose sector figures are still those of the whole."""
    gap = np.abs(by_type.sum(axis=0) - sector[0]).max()
    if gap > 1e-6 * (1.0 + np.abs(by_type).max()):
        remedy = "Summarise the whole forecast and select units from the summary."
        rule = "the trusts do not add up to the sector: is it a selection?"
        raise InputError([Fault("forecast", rule, f"GBP {gap:.1f}m apart", remedy, variable="sector_position")])


def _draws_last(forecast: xr.Dataset, name: str) -> Array:
    return np.ascontiguousarray(forecast[name].transpose("trust", "draw").values)


def _append(columns: dict[str, list[Any]], level: str, names: Iterable[Any], plans: Iterable[float]) -> None:
    """Add units of a level to the label columns; a region says its region, a type its type."""
    columns["unit"] += [*names]
    columns["level"] += [level for _ in names]
    columns["name"] += [*names]
    for column in ("region", "trust_type"):
        columns[column] += [name if column == level else "" for name in names]
    columns["plan"] += [*plans]


def _group_sums(rows: Array, group: Array, n_groups: int) -> F64:
    out = np.zeros((n_groups, rows.shape[1]))
    group_sums(rows, group, out)
    return out


def _measure_all(parts: list[Rows], levels: F64) -> dict[str, Array]:
    """Measure every level's rows, in pieces on threads, and join them."""
    pieces = [(a[k : k + 32], b[k : k + 32], c[k : k + 32]) for a, b, c in parts for k in range(0, len(a), 32)]
    with ThreadPoolExecutor(default_threads()) as pool:
        measured = list(pool.map(lambda piece: _measure(piece, levels), pieces))
    return {name: np.concatenate([m[name] for m in measured]) for name in measured[0]}


def _measure(rows: Rows, levels: F64) -> dict[str, Array]:
    """Measures of some rows of draws."""
    position, before, plan = rows
    n = position.shape[1]
    main = by_row(moments, position, np.full(len(position), -BALANCE, position.dtype))
    if not np.isfinite(main[:, MEAN]).all():
        raise InputError([Fault("forecast", *NOT_FINITE, variable="position")])
    missed = by_row(moments, before, (plan.astype(before.dtype) - BALANCE).astype(before.dtype))[:, BELOW]
    missed = np.where(np.isnan(plan), np.nan, missed)
    values, errors, worst = quantiles_of(position, levels)
    tail = by_row(tails, position, worst)
    return {
        "mean": main[:, MEAN],
        "mean_se": main[:, SD] / np.sqrt(n),
        "sd": main[:, SD],
        "position_quantile": values,
        "position_quantile_se": errors,
        "p_deficit": main[:, BELOW],
        "p_deficit_se": binomial_se(main[:, BELOW], n),
        "p_missing_plan": missed,
        "p_missing_plan_se": binomial_se(missed, n),
        "expected_shortfall": tail[:, 1],
        "expected_shortfall_se": np.hypot(tail[:, 2], np.sqrt(1 - TAIL) * (tail[:, 1] - worst)) / np.sqrt(tail[:, 0]),
    }


def by_row(measure: Callable[..., None], rows: Array, limit: Array) -> F64:
    """Return what a kernel measures of each row, (row, 3)."""
    out = np.empty((len(rows), 3))
    measure(rows, limit, out)
    return out


def binomial_se(p: F64, n: int) -> F64:
    """Return the Monte Carlo standard error of shares of n draws."""
    return np.sqrt(p * (1.0 - p) / n)


def quantiles_of(rows: Array, levels: F64) -> tuple[F64, F64, Array]:
    """Order statistics at the levels, their errors, and the one that bounds the tail."""
    n = rows.shape[1]
    wanted = np.append(levels, TAIL)
    rank = np.ceil(wanted * n - 1e-9) - 1  # .07 * 100 is a little above 7 in floating point
    spread = np.sqrt(n * wanted * (1.0 - wanted))
    ranks = np.clip(np.concatenate([rank, np.floor(rank - spread), np.ceil(rank + spread)]), 0, n - 1).astype(int)
    ascending, back = np.unique(ranks, return_inverse=True)
    out = np.empty((len(rows), len(ascending)), rows.dtype)
    order_statistics(rows, ascending, out)
    value, low, high = np.split(out[:, back], 3, axis=1)
    error = 0.5 * (high[:, :-1].astype(float) - low[:, :-1])
    return value[:, :-1].astype(float), error, value[:, -1]
