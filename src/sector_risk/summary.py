"""Summaries of a forecast: one row a trust, region, type and system, for the sector and the whole NHS."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sector_risk.engine import default_threads
from sector_risk.faults import Fault
from sector_risk.kernels.moments import BELOW, MEAN, SD, moments, shares_below, tails
from sector_risk.kernels.order import order_statistics
from sector_risk.kernels.reduce import BALANCE
from sector_risk.schema import SUMMARY, described
from sector_risk.units import GROUPED, Units, check_forecast, draws_last, numbers, totals, units_of

F64 = NDArray[np.float64]
Array = NDArray[Any]
Rows = tuple[Array, Array, F64]
"""Rows of draws of some units: position, position before support; and plan and control total of each, (unit, 2)."""
ROWS = 32  # measured at a time by a thread
NEEDED = (
    "position",
    "position_before_support",
    "sector_position",
    "sector_position_before_support",
    "nhs_position",
    "plan",
    "planned_support",
    "control_total",
    "sector_plan_ytd",
)


def summarise(
    forecast: xr.Dataset,
    quantiles: Sequence[float] = (0.05, 0.25, 0.5, 0.75, 0.95),
    confidence: Sequence[float] = (0.9, 0.95, 0.99),
) -> xr.Dataset:
    """Summarise the draws of a forecast by trust, region, type, system, for the provider sector and the whole NHS.

    Parameters
    ----------
    forecast : Dataset
        From `simulate`, `condition` or `open_forecast`, n draws.
    quantiles : sequence of float
        Probabilities, each from 0 to 1.
    confidence : sequence of float
        Levels of the measures of deficit, each between 0 and 1.

    Returns
    -------
    Dataset
        Dimension `unit` (trust codes, regions, types, systems, "Provider sector", "Whole NHS") with coordinates
        `level` ("trust", "region", "trust_type", "system", "sector", "nhs"), `name`, `region`, `trust_type`, `system`;
        GBP million:

        * `plan` (after support), `mean`, `sd`, `mean_se` = sd / sqrt(n);
        * `position_quantile(unit, quantile)`, order statistic of rank ceil(p n), and its error
          `position_quantile_se`, half the distance of the order statistics one binomial sd of rank to each side
          (widened in proportion where one of the two would lie beyond the draws);
        * `p_deficit`, `p_breakeven` (the rest), `p_missing_plan` and `p_missing_control_total` (position before support
          below plan before support, and below control total), each by GBP 5,000 or more; and their errors
          sqrt(p (1 - p) / n). A group's plan is the sum of its trusts'; the sector's has
          also the support on offer that no trust agreed to; the whole NHS has none: NaN;
        * `value_at_risk(unit, confidence)`, the deficit of the k-th worst draw, k = ceil((1 - confidence) n): a deficit
          is positive. Its error is that of the quantile;
        * `tail_value_at_risk(unit, confidence)`, the mean deficit of the k worst draws, no fewer and no more (of equal
          draws it does not matter which). With d what a draw falls below the k-th worst, its error is
          sqrt((mean(d^2) - k/n mean(d)^2) / (k - 1)), means over the k draws: of the tail and of where it begins.

        Errors take draws as independent: where they come in parameter sets (`simulate_with_parameters`), they are too
        small, for the draws of a set share its parameters. Of Sobol points (`sampling="sobol"`) they are right for
        trusts and too large for what trusts share: for the sector up to one and a half times, for the whole NHS three
        times; `controlled` gives theirs. An error that the draws cannot tell (n = 1, k = 1) is NaN.

    Raises
    ------
    InputError
        If the forecast is not whole (a projection, a file of another version, Dask arrays, a variable that is missing,
        draws that are not finite, a selection), a quantile is not a probability, or a level is not between 0 and 1.

    Examples
    --------
    >>> import sector_risk as sr
    >>> summary = sr.summarise(sr.simulate(sr.load_case("england-2018-19"), n_draws=400))
    >>> sector = summary.sel(unit="Provider sector")
    >>> bool(sector["mean"] < sector["plan"])
    True
    >>> bool((sector["tail_value_at_risk"] > sector["value_at_risk"]).all())
    True
    >>> sorted(set(summary["level"].values.tolist()))
    ['nhs', 'region', 'sector', 'system', 'trust', 'trust_type']
    """
    faults = [*quantile_faults("summarise", quantiles), *confidence_faults("summarise", confidence)]
    check_forecast(forecast, NEEDED, also=faults)
    levels, sure, units = numbers(quantiles), numbers(confidence), units_of(forecast)
    measured = _measure_all(_rows(forecast, units), levels, sure) | {"plan": plans_after_support(forecast, units)}
    labels = unit_labels(forecast, units) | {"quantile": ("quantile", levels), "confidence": ("confidence", sure)}
    variables = {name: (SUMMARY[name].dims, values) for name, values in measured.items()}
    summary = xr.Dataset(variables, labels, attrs=forecast.attrs)
    return described(summary, SUMMARY)


def quantile_faults(place: str, quantiles: Any) -> list[Fault]:
    """Return a fault unless quantiles are a list of probabilities."""
    levels = numbers(quantiles)
    if levels.ndim == 1 and len(levels) and ((levels >= 0) & (levels <= 1)).all():
        return []
    rule = in_a_list("must be probabilities", quantiles)
    return [Fault(place, rule, str(quantiles), "Use (0.05, 0.5, 0.95).", variable="quantiles")]


def confidence_faults(place: str, confidence: Any) -> list[Fault]:
    """Return a fault unless confidence levels are a list of numbers between 0 and 1."""
    sure = numbers(confidence)
    if sure.ndim == 1 and len(sure) and ((sure > 0) & (sure < 1)).all():
        return []
    rule = in_a_list("must be between 0 and 1", confidence)
    return [Fault(place, rule, str(confidence), "Use (0.9, 0.95, 0.99).", variable="confidence")]


def in_a_list(rule: str, given: Any) -> str:
    """Say of a bare number that a list is wanted.

    >>> in_a_list("must be probabilities", 0.5), in_a_list("must be probabilities", [1.5])
    ('must be probabilities, in a list', 'must be probabilities')
    """
    return f"{rule}, in a list" if np.isscalar(given) else rule


def tail_size(n: int, confidence: F64 | float) -> Array:
    """How many of n draws are the worst 1 - confidence of them: rounded up, so one at least.

    >>> tail_size(1000, 0.95).item(), tail_size(30, 0.95).item(), tail_size(3, 0.99).item()
    (50, 2, 1)
    """
    return ranks_of(n, 1.0 - np.asarray(confidence)).clip(0) + 1


def _rows(forecast: xr.Dataset, units: Units) -> Iterator[Rows]:
    """Rows of draws of all units, level by level."""
    position, before = draws_last(forecast, "position"), draws_last(forecast, "position_before_support")
    against = held_against(forecast, units)
    yield position, before, against[units.at("trust")]
    for level in GROUPED:
        labels, names = forecast[level].values.astype(str), units.unit[units.at(level)]
        yield totals(position, labels, names), totals(before, labels, names), against[units.at(level)]
    total, total_before, nhs = (
        forecast[name].values[None, :] for name in ("sector_position", "sector_position_before_support", "nhs_position")
    )
    yield total, total_before, against[units.at("sector")]
    yield nhs, nhs, against[units.at("nhs")]


def held_against(forecast: xr.Dataset, units: Units) -> F64:
    """Plan and control total of each unit, before support, (unit, 2); the whole NHS has none: NaN."""
    held = np.column_stack([forecast["plan"].values, forecast["control_total"].values])
    against = np.array([held[members].sum(axis=0) for members in units.members])
    against[units.at("nhs")] = np.nan
    return against


def plans_after_support(forecast: xr.Dataset, units: Units) -> F64:
    """Planned year-end position of each unit; the sector's has all support on offer, the whole NHS has none."""
    after = forecast["plan"].values + forecast["planned_support"].values
    plans = np.array([after[members].sum() for members in units.members])
    plans[units.at("sector")] = forecast["sector_plan_ytd"].values[-1]
    plans[units.at("nhs")] = np.nan
    return plans


def unit_labels(forecast: xr.Dataset, units: Units) -> dict[str, tuple[str, Array]]:
    """Unit, level and name of each unit; a trust says its region, type and system, a group of trusts itself."""
    labels = {"unit": units.unit, "level": units.level, "name": units.unit.copy()}
    labels["name"][units.at("trust")] = forecast["name"].values
    for level in GROUPED:
        labels[level] = np.where(units.level == level, units.unit, "").astype(object)
        labels[level][units.at("trust")] = forecast[level].values
    return {name: ("unit", values) for name, values in labels.items()}


def _measure_all(parts: Iterator[Rows], levels: F64, confidence: F64) -> dict[str, Array]:
    """Measure every level's rows, in pieces on threads, and join them."""
    pieces = [(a[k : k + ROWS], b[k : k + ROWS], c[k : k + ROWS]) for a, b, c in parts for k in range(0, len(a), ROWS)]
    with ThreadPoolExecutor(default_threads()) as pool:
        measured = list(pool.map(lambda piece: _measure(piece, levels, confidence), pieces))
    return {name: np.concatenate([m[name] for m in measured]) for name in measured[0]}


def _measure(rows: Rows, levels: F64, confidence: F64) -> dict[str, Array]:
    """Measures of some rows of draws."""
    position, before, against = rows
    n, n_levels = position.shape[1], len(levels)
    main = by_row(moments, position, np.full(len(position), -BALANCE, position.dtype))
    missed = _missed(before, against)
    values, errors = quantiles_of(position, np.append(levels, 1.0 - confidence))
    tail = np.empty((len(position), len(confidence), 2))
    tails(position, values[:, n_levels:].astype(position.dtype), tail_size(n, confidence), tail)
    found = {
        "mean": main[:, MEAN],
        "mean_se": mean_se(main[:, SD], n),
        "sd": main[:, SD],
        "position_quantile": values[:, :n_levels],
        "position_quantile_se": errors[:, :n_levels],
        "value_at_risk": -values[:, n_levels:],
        "value_at_risk_se": errors[:, n_levels:],
        "tail_value_at_risk": -tail[:, :, 0],
        "tail_value_at_risk_se": tail[:, :, 1],
    }
    chances = {
        "p_deficit": main[:, BELOW],
        "p_breakeven": 1.0 - main[:, BELOW],
        "p_missing_plan": missed[:, 0],
        "p_missing_control_total": missed[:, 1],
    }
    return found | chances | {f"{name}_se": binomial_se(p, n) for name, p in chances.items()}


def _missed(before: Array, against: F64) -> F64:
    """Share of draws in which units miss what they are held against, by GBP 5,000 or more; NaN against nothing."""
    missed = np.empty(against.shape)
    shares_below(before, (against.astype(before.dtype) - BALANCE).astype(before.dtype), missed)
    return np.where(np.isnan(against), np.nan, missed)


def by_row(measure: Callable[..., None], rows: Array, limit: Array) -> F64:
    """Return what a kernel measures of each row, (row, 3)."""
    out = np.empty((len(rows), 3))
    measure(rows, limit, out)
    return out


def binomial_se(p: F64, n: int) -> F64:
    """Return the Monte Carlo standard error of shares of n draws."""
    return np.sqrt(p * (1.0 - p) / n)


def mean_se(sd: F64, n: int) -> F64:
    """Return the Monte Carlo standard error of means of n draws; one draw does not tell it: NaN."""
    return sd / np.sqrt(n) if n > 1 else np.full_like(sd, np.nan)


def mean_error(rows: F64) -> F64:
    """Return the Monte Carlo standard error of the mean of each row of draws, as `mean_se` has it.

    >>> mean_error(np.array([1.0, 3.0])).item(), mean_error(np.array([1.0])).item()
    (1.0, nan)
    """
    n = rows.shape[-1]
    return mean_se(rows.std(axis=-1, ddof=1 if n > 1 else 0), n)


def quantiles_of(rows: Array, levels: F64) -> tuple[F64, F64]:
    """Order statistics of rows of draws at the levels, and their errors, each (row, level)."""
    n = rows.shape[1]
    wanted, ranks = wanted_ranks(n, levels)
    ascending, back = np.unique(ranks, return_inverse=True)
    out = np.empty((len(rows), len(ascending)), rows.dtype)
    order_statistics(rows, ascending, out)
    value, low, high = np.split(out[:, back].astype(float), 3, axis=1)
    return value, 0.5 * (high - low) * widening(wanted, ranks)


def wanted_ranks(n: int, levels: F64) -> tuple[F64, Array]:
    """Ranks of quantiles among n draws, then those one binomial sd below and above: as wanted, and as there are."""
    rank, spread = ranks_of(n, levels), np.sqrt(n * levels * (1.0 - levels))
    wanted = np.concatenate([rank, np.floor(rank - spread), np.ceil(rank + spread)])
    return wanted, wanted.clip(0, n - 1).astype(int)


def ranks_of(n: int, levels: F64) -> Array:
    """Ranks of quantiles among n, counted from 0."""
    return np.ceil(levels * n - 1e-9).astype(int) - 1  # .07 * 100 is a little above 7 in floating point


def widening(wanted: F64, ranks: Array) -> F64:
    """Distance in rank that was wanted over the one that there is; NaN where there is none."""
    _, low, high = np.split(wanted, 3)
    _, least, most = np.split(ranks, 3)
    return (high - low) / np.where(most > least, most - least, np.nan)
