"""How bad it can get: chances of deficits beyond a sum, of many trusts at once, and who is always among the worst.

Chances beyond a sum are read off a summary of draws that were not kept, too, and what a summary must have is said here.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil, floor, log10
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import ndtr

from sector_risk.engine import default_threads
from sector_risk.faults import Fault, as_sentence, nearest, raise_if_any
from sector_risk.kernels.moments import MEAN, SD, count_below, moments
from sector_risk.kernels.ranks import rank_block
from sector_risk.kernels.reduce import BALANCE
from sector_risk.schema import (
    DEFICIT_SIGN,
    FORECAST,
    MONEY,
    STREAMED,
    SUMMARY,
    VariableSpec,
    bound_of,
    described,
    with_error,
)
from sector_risk.summary import binomial_se, by_row, mean_se, quantile_faults, tail_size, wanted_ranks, widening
from sector_risk.units import BALANCED, SECTOR, check_forecast, draws_last, numbers, positions_of

__all__ = [
    "SURE",
    "deficit_counts",
    "exceedance",
    "is_summary",
    "mean_effects",
    "rank_stability",
    "summary_faults",
    "tail_of",
    "worst_draws",
    "worst_first",
]

F64 = NDArray[np.float64]
Array = NDArray[Any]
Variables = dict[str, tuple[tuple[str, ...], Any]]
SURE = 0.8
"""Chance from which a trust is surely among the worst: four draws in five."""
POINTS = 101
"""Thresholds at most, where none are given."""
STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
EVENTS = ("deficit", "missing_plan", "missing_control_total")
NEEDED = ("position", "sector_position", "nhs_position")
NEEDED_OF_SUMMARY = ("histogram", "bin_start", "bin_width", "p_deficit")
NEEDED_BY_COUNTS = ("position", "position_before_support", "sector_position", "plan", "control_total")
NEEDED_BY_RANKS = ("position", "sector_position")
DRAWS = 4096
"""Draws that a thread ranks at a time."""
TINY = 1e-9
"""Part of a bin by which a position that is meant to be its edge may be off it in floating point."""
LABELS = ("trust", "name", "region", "trust_type", "system")
_BY_THRESHOLD, _BY_COUNT, _BY_EVENT, _TRUST = ("unit", "threshold"), ("event", "count"), ("event",), ("trust",)
_BY_QUANTILE = ("event", "quantile")

_MEASURES = (
    *with_error("p_exceeding", _BY_THRESHOLD, "1", "probability of a deficit worse than the threshold"),
    bound_of("p_exceeding", _BY_THRESHOLD, "1", "probability of a deficit worse than the threshold"),
    VariableSpec("threshold", ("threshold",), MONEY, "year-end deficit", sign=DEFICIT_SIGN),
    *with_error("p_at_least", _BY_COUNT, "1", "probability that so many trusts or more have the event at once"),
    *with_error("count_mean", _BY_EVENT, "1", "expected number of trusts that have the event"),
    *with_error("count_quantile", _BY_QUANTILE, "1", "quantile of the number of trusts that have the event"),
    VariableSpec(
        "event",
        _BY_EVENT,
        "",
        "what trusts end the year with: a deficit, or less than plan or control total",
        kind="text",
    ),
    VariableSpec("count", ("count",), "1", "number of trusts"),
    *with_error("p_among_worst", _TRUST, "1", "probability of being among the worst positions of a draw"),
    *with_error("expected_rank", _TRUST, "1", "expected rank of the position, 1 the worst of a draw"),
    VariableSpec("rank_sd", _TRUST, "1", "standard deviation of the rank over draws"),
    *with_error("expected_overlap", (), "1", "expected share of the list that is among the worst of a draw"),
    *with_error("sure", (), "1", f"number of trusts among the worst in {SURE:.0%} of draws or more"),
)
SPECS: Mapping[str, VariableSpec] = MappingProxyType(
    {spec.name: spec for spec in _MEASURES}
    | {name: SUMMARY[name] for name in ("unit", "quantile")}
    | {name: FORECAST[name] for name in LABELS}
)
"""What is said of every variable that is returned."""
OF_SUMMARY: Mapping[str, VariableSpec] = MappingProxyType({**FORECAST, **SPECS, **SUMMARY, **STREAMED})
"""What a summary of draws that were not kept has."""


def exceedance(
    forecast: xr.Dataset, unit: str | Sequence[str] = SECTOR, thresholds: Sequence[float] | None = None
) -> xr.Dataset:
    """Say how probable deficits beyond given sums are.

    Parameters
    ----------
    forecast : Dataset
        From `simulate`, `condition` or `open_forecast`, n draws; or the summary of `simulate(..., keep="summary")`.
    unit : str or sequence of str
        Trusts' codes, regions, types, systems, "Provider sector" or "Whole NHS".
    thresholds : sequence of float, optional
        Deficits, GBP million; a surplus is negative. Default: up to 101 round numbers over the draws of all units.

    Returns
    -------
    Dataset
        On (unit, threshold): `p_exceeding`, the share p of draws in which the deficit is worse than the threshold by
        GBP 5,000 or more (at threshold 0 it is `p_deficit` of `summarise`), and its error `p_exceeding_se`,
        sqrt(p (1 - p) / n). The unit's dimension stays where there is one unit.

        Of a summary p is read off its histogram, and `p_exceeding_bound` says how far it may be from that share. With
        the unit's position t at the threshold a part f of the way from where its bin begins (a draw there is in the
        bin) to where it ends, and c draws in the bin,

            p = (draws in bins below + f c) / n,    bound = max(f, 1 - f) c / n

        and the bound is nought where t is an edge of two bins, or the threshold is 0 (which cuts its bin in two). The
        first and the last bin take what lies beyond: their outer ends are no edges, and beyond them the bound is c / n.

        Errors take draws as independent: where they come in parameter sets (`simulate_with_parameters`), they are too
        small, for the draws of a set share its parameters.

    Raises
    ------
    InputError
        If the forecast is not whole (see `summarise`), the summary has lost units, bins or variables, a unit is not
        known, or thresholds are not finite.

    Examples
    --------
    >>> import sector_risk as sr
    >>> panel = sr.load_case("england-2018-19")
    >>> curve = exceedance(sr.simulate(panel, n_draws=2_000), ["London", "Provider sector"], thresholds=[-1000, 0, 500])
    >>> curve["p_exceeding"].dims, curve["unit"].values.tolist()
    (('unit', 'threshold'), ['London', 'Provider sector'])
    >>> bool((curve["p_exceeding"].diff("threshold") <= 0).all())
    True
    >>> summary = sr.simulate(panel, n_draws=2_000, keep="summary")
    >>> read_off = exceedance(summary, ["London", "Provider sector"], thresholds=[-1000, 0, 500])
    >>> bool((abs(read_off["p_exceeding"] - curve["p_exceeding"]) <= read_off["p_exceeding_bound"]).all())
    True
    """
    names = [str(name) for name in np.atleast_1d(np.asarray(unit, object))]
    faults = [*_threshold_faults(thresholds), *_name_faults(names)]
    look = _read_off_bins if is_summary(forecast) else _count_beyond
    found, deficits = look(forecast, names, thresholds, faults)
    return _described(found, {"unit": np.array(names, object), "threshold": deficits}, forecast)


def deficit_counts(forecast: xr.Dataset, quantiles: Sequence[float] = (0.05, 0.25, 0.5, 0.75, 0.95)) -> xr.Dataset:
    """Say how probable it is that so many trusts at once are in deficit, or miss their plan or control total.

    Parameters
    ----------
    forecast : Dataset
        From `simulate`, `condition` or `open_forecast`: T trusts, n draws.
    quantiles : sequence of float
        Probabilities, each from 0 to 1.

    Returns
    -------
    Dataset
        By `event`: "deficit" (after support), "missing_plan" and "missing_control_total" (both before support), each by
        GBP 5,000 or more, counted draw by draw:

        * `p_at_least(event, count)`, count 0 .. T: share p of draws in which so many trusts or more have the event;
          and its error `p_at_least_se`, sqrt(p (1 - p) / n). Summed over count from 1 it is `count_mean`;
        * `count_mean(event)` and its error `count_mean_se`, sd / sqrt(n);
        * `count_quantile(event, quantile)` and its error, as `position_quantile` of `summarise`.

        Errors take draws as independent: where they come in parameter sets (`simulate_with_parameters`), they are too
        small, for the draws of a set share its parameters.

    Raises
    ------
    InputError
        If the forecast is not whole (see `summarise`), or a quantile is not a probability.

    Examples
    --------
    >>> import sector_risk as sr
    >>> forecast = sr.simulate(sr.load_case("england-2018-19"), n_draws=400)
    >>> counts = deficit_counts(forecast)
    >>> counts["p_at_least"].sizes["count"], float(counts["p_at_least"].sel(event="deficit", count=0))
    (228, 1.0)
    >>> bool(np.isclose(counts["count_mean"].sel(event="deficit"), forecast["deficit_count"].mean()))
    True
    """
    check_forecast(forecast, NEEDED_BY_COUNTS, also=quantile_faults("deficit_counts", quantiles))
    levels, n_trusts = numbers(quantiles), forecast.sizes["trust"]
    events = np.array([np.bincount(row, minlength=n_trusts + 1) for row in _counts(forecast)])
    found: Variables = {name: (SPECS[name].dims, values) for name, values in count_figures(events, levels).items()}
    labels = {"event": np.array(EVENTS, object), "count": np.arange(n_trusts + 1), "quantile": levels}
    return _described(found, labels, forecast)


def count_figures(events: NDArray[np.int64], levels: F64) -> dict[str, F64]:
    """Return the figures of `deficit_counts`, from draws by event and number of trusts (event, T + 1), and quantiles.

    Examples
    --------
    >>> figures = count_figures(np.array([[1, 0, 3]]), np.array([0.5]))
    >>> figures["p_at_least"].tolist(), figures["count_mean"].tolist(), figures["count_quantile"].tolist()
    ([[1.0, 0.75, 0.75]], [1.5], [[2.0]])
    """
    n, number = int(events[0].sum()), np.arange(events.shape[1])
    p = events[:, ::-1].cumsum(axis=1)[:, ::-1] / n
    mean = events @ number / n
    squares = (events * (number - mean[:, None]) ** 2).sum(axis=1)
    wanted, ranks = wanted_ranks(n, levels)
    at_ranks = np.array([np.searchsorted(row.cumsum(), ranks, side="right") for row in events]).astype(float)
    value, low, high = np.split(at_ranks, 3, axis=1)
    return {
        "p_at_least": p,
        "p_at_least_se": binomial_se(p, n),
        "count_mean": mean,
        "count_mean_se": mean_se(np.sqrt(squares / max(n - 1, 1)), n),
        "count_quantile": value,
        "count_quantile_se": 0.5 * (high - low) * widening(wanted, ranks),
    }


def rank_stability(forecast: xr.Dataset, count: int = 30) -> xr.Dataset:
    """Say how often each trust is among the worst positions of a draw, and so how far a list of the worst can be held.

    Parameters
    ----------
    forecast : Dataset
        From `simulate`, `condition` or `open_forecast`: T trusts, n draws.
    count : int
        How many trusts are the worst, 1 to T.

    Returns
    -------
    Dataset
        Within a draw the trusts are ranked by position, 1 the worst; of equal ones the earlier in the panel is worse.
        On `trust`:

        * `p_among_worst`, the share p of draws in which it has rank `count` or worse, and its error
          sqrt(p (1 - p) / n). Summed over trusts it is `count`;
        * `expected_rank`, its error sd / sqrt(n), and `rank_sd`, the sd over draws.

        Of the list of the `count` trusts most often among the worst:

        * `expected_overlap`, the mean share of it that is among the worst of a draw, and its error sd / sqrt(n);
        * `sure`, how many trusts have p_among_worst >= .8, and its error: the square root of the sum of q (1 - q), with
          q the Normal probability, given a trust's p and error, that other draws would count it.

        Errors take draws as independent: where they come in parameter sets (`simulate_with_parameters`), they are too
        small, for the draws of a set share its parameters.

    Raises
    ------
    InputError
        If the forecast is not whole (see `summarise`), or `count` is not a whole number from 1 to T.

    Examples
    --------
    >>> import sector_risk as sr
    >>> ranks = rank_stability(sr.simulate(sr.load_case("england-2018-19"), n_draws=400), count=10)
    >>> round(float(ranks["p_among_worst"].sum()), 6), round(float(ranks["expected_rank"].mean()), 6)
    (10.0, 114.0)
    >>> bool(0 < ranks["expected_overlap"] < 1)
    True
    """
    check_forecast(forecast, NEEDED_BY_RANKS, also=_count_faults(forecast, count))
    ranks, chosen = _ranked(draws_last(forecast, "position").astype(np.float32, copy=False), int(count))
    n = chosen.shape[1]
    p = ranks[:, :count].sum(axis=1) / n
    p_se = binomial_se(p, n)
    mean, sd = _mean_rank(ranks, n)
    listed = np.argsort(-p, kind="stable")[:count]
    overlap = by_row(moments, chosen[listed].mean(axis=0)[None, :], np.zeros(1))
    found: Variables = {
        "p_among_worst": (_TRUST, p),
        "p_among_worst_se": (_TRUST, p_se),
        "expected_rank": (_TRUST, mean),
        "expected_rank_se": (_TRUST, mean_se(sd, n)),
        "rank_sd": (_TRUST, sd),
        "expected_overlap": ((), overlap[0, MEAN]),
        "expected_overlap_se": ((), mean_se(overlap[:, SD], n)[0]),
        "sure": ((), int((p >= SURE).sum())),
        "sure_se": ((), _sure_se(p, p_se)),
    }
    return _described(found, {name: forecast[name].variable for name in LABELS} | {"count": count}, forecast)


def worst_draws(position: Array, confidence: float) -> NDArray[np.int64]:
    """Return the draws that a unit's `tail_value_at_risk` is the mean of: its k worst, k = ceil((1 - confidence) n).

    Parameters
    ----------
    position : float array, shape (n,)
        Positions of the unit by draw, as `position_of` gives them.
    confidence : float
        Between 0 and 1.

    Returns
    -------
    int array, shape (k,)
        Places of the draws, ascending. Of draws that equal the k-th worst the earlier ones are taken.

    Examples
    --------
    >>> worst_draws(np.array([3.0, -2.0, 5.0, -2.0, -9.0]), 0.6).tolist()
    [1, 4]
    """
    return tail_of(worst_first(position), confidence)


def worst_first(position: Array) -> NDArray[np.int64]:
    """Return all draws of a position, the worst first; of equal draws the earlier is the worse."""
    return np.argsort(position, kind="stable")


def tail_of(order: NDArray[np.int64], confidence: float) -> NDArray[np.int64]:
    """Return the worst ceil((1 - confidence) n) of n draws that are in order, the worst first; ascending."""
    return np.sort(order[: int(tail_size(len(order), confidence))])


def is_summary(result: xr.Dataset) -> bool:
    """Whether it is the summary of draws that were not kept: it has what only such a summary has.

    Examples
    --------
    >>> import sector_risk as sr
    >>> panel = sr.load_case("england-2018-19")
    >>> kept = sr.simulate(panel, n_draws=10)
    >>> is_summary(kept), is_summary(sr.summarise(kept)), is_summary(sr.simulate(panel, n_draws=10, keep="summary"))
    (False, False, True)
    """
    return not STREAMED.keys().isdisjoint(map(str, result.variables))


def summary_faults(
    summary: xr.Dataset, needed: Iterable[str], units: Iterable[str] = (), quantiles: Iterable[float] = ()
) -> list[Fault]:
    """Return a fault for each variable, unit and quantile that is needed of a summary and is not there.

    Examples
    --------
    >>> [f"{fault.variable}: {fault.rule}" for fault in summary_faults(xr.Dataset(), ["mean", "plan"])]
    ['mean: variable is missing', 'plan: variable is missing']
    """
    return [*_lost_faults(summary, needed)] or [*_unit_faults(summary, units), *_level_faults(summary, quantiles)]


def mean_effects(summary: xr.Dataset) -> xr.DataArray:
    """Mean effects that lead the provider sector from its plan to its expected year end, from a summary of its draws.

    They are `mean_effect` of `waterfall`, (effect,), GBP million: drivers, and support above or below what the plan
    counts on.

    Examples
    --------
    >>> import sector_risk as sr
    >>> panel = sr.load_case("england-2018-19")
    >>> effects = mean_effects(sr.simulate(panel, n_draws=400, keep="summary"))
    >>> kept = sr.waterfall(sr.simulate(panel, n_draws=400))["mean_effect"]
    >>> bool((abs(effects - kept) < 0.001).all())
    True
    """
    drivers = summary["contribution_mean"].sum("trust").values
    change = summary["mean"].sel(unit=SECTOR).item() - summary["sector_plan_ytd"].values[-1]
    values = np.append(drivers, change - drivers.sum())
    return xr.DataArray(values, {"effect": summary["effect"].values}, ["effect"])


@dataclass(frozen=True)
class Binned:
    """Draws of a unit below some positions: as counted, but for the first and the last, which end what is open."""

    at: F64  # (K,) ascending
    below: F64  # (K,)

    @classmethod
    def of(cls, unit: xr.Dataset) -> "Binned":
        """Take edges of the histogram of one unit, and the position at which a deficit begins."""
        count, start, width = unit["histogram"].values, float(unit["bin_start"]), float(unit["bin_width"])
        edge, below, n = start + width * np.arange(1, len(count)), count.cumsum()[:-1], int(count.sum())
        apart = np.abs(edge - BALANCED) > TINY * width
        at, below = np.append(edge[apart], BALANCED), np.append(below[apart], np.rint(n * float(unit["p_deficit"])))
        order = np.argsort(at)
        ends = min(start, at.min() - width), max(start + width * len(count), at.max() + width)
        return cls(np.array([ends[0], *at[order], ends[1]]), np.array([0.0, *below[order], n]))

    def share_below(self, position: F64) -> tuple[F64, F64]:
        """Share of draws below positions, as if they lay evenly between those that are known; and its bound."""
        last = len(self.at) - 2
        i = np.clip(np.searchsorted(self.at, position, side="right") - 1, 0, last)
        part = ((position - self.at[i]) / (self.at[i + 1] - self.at[i])).clip(0.0, 1.0)
        part = np.where(np.abs(part - np.rint(part)) < TINY, np.rint(part), part)
        between = self.below[i + 1] - self.below[i]
        known = ((part == 0.0) & (i > 0)) | ((part == 1.0) & (i < last))
        off = np.where(known, 0.0, np.maximum(part, 1.0 - part) * between)
        return (self.below[i] + part * between) / self.below[-1], off / self.below[-1]


def _count_beyond(
    forecast: xr.Dataset, names: list[str], thresholds: Sequence[float] | None, faults: list[Fault]
) -> tuple[Variables, F64]:
    """Variables of `exceedance` from draws, and the thresholds."""
    check_forecast(forecast, NEEDED, also=faults)
    positions = positions_of(forecast, names, "exceedance")
    deficits = _covering(positions) if thresholds is None else numbers(thresholds)
    p = np.array([_share_beyond(position, deficits) for position in positions])
    error = binomial_se(p, forecast.sizes["draw"])
    return {"p_exceeding": (_BY_THRESHOLD, p), "p_exceeding_se": (_BY_THRESHOLD, error)}, deficits


def _read_off_bins(
    summary: xr.Dataset, names: list[str], thresholds: Sequence[float] | None, faults: list[Fault]
) -> tuple[Variables, F64]:
    """Variables of `exceedance` from histograms, and the thresholds."""
    raise_if_any([*faults, *summary_faults(summary, NEEDED_OF_SUMMARY, names)])
    raise_if_any(_bin_faults(summary))
    units = [summary[[*NEEDED_OF_SUMMARY]].sel(unit=name).transpose("bin") for name in names]
    deficits = _covering(np.array([_reach(unit) for unit in units])) if thresholds is None else numbers(thresholds)
    read = np.array([Binned.of(unit).share_below(-(deficits + float(BALANCE))) for unit in units])
    p, bound = read[:, 0], read[:, 1]
    found: Variables = {
        "p_exceeding": (_BY_THRESHOLD, p),
        "p_exceeding_se": (_BY_THRESHOLD, binomial_se(p, int(units[0]["histogram"].sum()))),
        "p_exceeding_bound": (_BY_THRESHOLD, bound),
    }
    return found, deficits


def _reach(unit: xr.Dataset) -> tuple[float, float]:
    """Where the first bin of a unit that has draws begins, and the last ends."""
    filled, start, width = np.flatnonzero(unit["histogram"].values), float(unit["bin_start"]), float(unit["bin_width"])
    return start + width * filled[0], start + width * (filled[-1] + 1)


def _lost_faults(summary: xr.Dataset, needed: Iterable[str]) -> Iterator[Fault]:
    remedy = "Give the whole summary, as simulate(keep='summary') made it."
    for name in needed:
        wanted = OF_SUMMARY[name].dims
        if name not in summary:
            yield Fault("summary", "variable is missing", name, remedy, variable=name)
        elif set(summary[name].dims) != set(wanted):
            dims = ", ".join(map(str, summary[name].dims))
            yield Fault("summary", f"must be on ({', '.join(wanted)})", f"({dims})", remedy, variable=name)


def _unit_faults(summary: xr.Dataset, names: Iterable[str]) -> Iterator[Fault]:
    known = summary["unit"].values.astype(str).tolist() if "unit" in summary else []
    for name in names:
        if known.count(name) > 1:
            yield Fault("summary", "several units have this name", name, "Rename all but one of them.", variable="unit")
        if name not in known:
            yield Fault("summary", "no unit has this name", name, as_sentence(nearest(name, known)), variable="unit")


def _level_faults(summary: xr.Dataset, quantiles: Iterable[float]) -> Iterator[Fault]:
    asked = [*quantiles]
    lost = [f"{level:g}" for level in asked if not np.isclose(summary["quantile"].values, level).any()]
    if lost:
        remedy = f"Ask for quantiles=({', '.join(f'{level:g}' for level in asked)})."
        yield Fault("quantiles", "some that are shown are missing", ", ".join(lost), remedy)


def _bin_faults(summary: xr.Dataset) -> Iterator[Fault]:
    """Yield a fault if bins were taken out: what is left does not hold all draws."""
    held, n = summary["histogram"].sum("bin").values, summary.attrs.get("n_draws")
    if n is not None and (held != n).any():
        remedy = "Give the whole summary, and select from the result."
        yield Fault("summary", "does not hold all draws: is it a selection of bins?", "", remedy, variable="histogram")


def _described(found: Variables, labels: Mapping[str, Any], forecast: xr.Dataset) -> xr.Dataset:
    """Dataset of the variables, each with its attributes, and with those of the forecast."""
    data = xr.Dataset(found, labels, attrs=forecast.attrs)
    return described(data, SPECS)


def _threshold_faults(thresholds: Any) -> list[Fault]:
    deficits = np.zeros(1) if thresholds is None else numbers(thresholds)
    if deficits.ndim == 1 and len(deficits) and np.isfinite(deficits).all():
        return []
    remedy = "Give deficits in GBP million, such as [0, 500, 1000]."
    return [Fault("exceedance", "must be a list of finite sums", str(thresholds), remedy, variable="thresholds")]


def _name_faults(names: list[str]) -> Iterator[Fault]:
    if not names:
        yield Fault("exceedance", "names no unit", "", f"Give units, such as ['{SECTOR}'].", variable="unit")


def _count_faults(forecast: xr.Dataset, count: int) -> list[Fault]:
    n_trusts = forecast.sizes.get("trust", 1)
    if isinstance(count, int | np.integer) and not isinstance(count, bool) and 1 <= count <= n_trusts:
        return []
    rule = f"must be a whole number from 1 to {n_trusts}, the number of trusts"
    return [Fault("rank_stability", rule, str(count), "", variable="count")]


def _covering(positions: F64) -> F64:
    """Round deficits, evenly spaced, from the least of all units and draws, or below, to the greatest, or above."""
    low, high = -positions.max(), -positions.min()
    step = _round_up((high - low) / (POINTS - 2) or 0.01)
    return step * np.arange(floor(low / step), ceil(high / step) + 1)


def _round_up(step: float) -> float:
    """Least round number that is not below a positive one.

    >>> _round_up(0.013), _round_up(21.0), _round_up(5.0)
    (0.02, 25.0, 5.0)
    """
    scale: float = 10.0 ** floor(log10(step))
    return scale * next(round_one for round_one in STEPS if round_one * scale >= step)


def _share_beyond(position: F64, deficits: F64) -> F64:
    """Share of draws in which the deficit is worse than each of some deficits."""
    return np.searchsorted(np.sort(position), -(deficits + float(BALANCE))) / len(position)


def _counts(forecast: xr.Dataset) -> NDArray[np.int32]:
    """How many trusts have each event in each draw, (event, draw)."""
    position, before = draws_last(forecast, "position"), draws_last(forecast, "position_before_support")
    counts = np.zeros((len(EVENTS), position.shape[1]), np.int32)
    count_below(position, np.full(len(position), -BALANCE, position.dtype), counts[0])
    for count, against in zip(counts[1:], ("plan", "control_total"), strict=True):
        count_below(before, (forecast[against].values.astype(before.dtype) - BALANCE).astype(before.dtype), count)
    return counts


def _ranked(position: Array, count: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """How often each trust has each rank, (trust, rank); and whether it is among the worst, (trust, draw)."""
    n_trusts, n = position.shape
    chosen = np.zeros((n_trusts, n), bool)

    def rank(first: int) -> NDArray[np.int64]:
        rows = np.ascontiguousarray(position[:, first : first + DRAWS])
        ranks, worst = np.zeros((n_trusts, n_trusts), np.int64), np.zeros(rows.shape, bool)
        rank_block(rows, count, ranks, worst)
        chosen[:, first : first + DRAWS] = worst
        return ranks

    with ThreadPoolExecutor(default_threads()) as pool:
        return sum(pool.map(rank, range(0, n, DRAWS)), np.zeros((n_trusts, n_trusts), np.int64)), chosen


def _mean_rank(ranks: NDArray[np.int64], n: int) -> tuple[F64, F64]:
    """Mean and sd of each trust's rank, 1 the worst."""
    rank = np.arange(1, len(ranks) + 1)
    mean = ranks @ rank / n
    squares = (ranks * (rank - mean[:, None]) ** 2).sum(axis=1)
    return mean, np.sqrt(squares / max(n - 1, 1))


def _sure_se(p: F64, p_se: F64) -> float:
    """Error of the number of trusts that are surely among the worst."""
    open_ones = p_se > 0.0
    q = ndtr((p[open_ones] - SURE) / p_se[open_ones])
    return float(np.sqrt((q * (1.0 - q)).sum()))
