"""A forecast as a page of text: the answer first, then why, where, and how sure.

Nothing is computed here beyond adding up and rounding; every figure comes from `simulate` and `summarise`. What a
summary of draws that were not kept does not say is left out.
Sector figures are GBP million without decimals, trusts have one, and a chance of nought is never claimed.
"""

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from rich import box
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from sector_risk.chances import error_note, evidence_notes, few_draws, held_support, probability
from sector_risk.effects import waterfall
from sector_risk.faults import raise_if_any
from sector_risk.kernels.reduce import BALANCE
from sector_risk.measures import is_summary, mean_effects, summary_faults
from sector_risk.readings import (
    NO_FIGURE,
    counted_draws,
    data_notes,
    effect_label,
    is_whole_sector,
    money,
    most_at_risk,
    plan_after_support,
    rules_in_force,
    sector_plan,
    share_on_plan,
    worst_total,
)
from sector_risk.units import SECTOR

WORST = 30  # whose deficits were set against the sector's in January 2019
LABEL_WIDTH = 28  # what the other columns leave of 80
RANGE = (0.05, 0.95)
NEEDED_OF_SUMMARY = (
    *("plan", "mean", "mean_se", "p_deficit", "p_missing_plan", "position_quantile", "tail_value_at_risk"),
    *("contribution_mean", "count_mean", "count_quantile", "sector_plan_ytd"),
)
NO_RULES = ", since the panel has no support allocations; choose others with --regime"

__all__ = ["headline", "report"]


def report(
    forecast: xr.Dataset, summary: xr.Dataset, written: Sequence[Path] = (), *, regime_asked: bool = True
) -> list[RenderableType]:
    """Everything that `sector-risk forecast` prints, in order, ready for a rich console.

    Parameters
    ----------
    forecast : xarray.Dataset
        What `sector_risk.simulate` gave: draws, or with `keep="summary"` a summary of them.
    summary : xarray.Dataset
        What `sector_risk.summarise` made of it, with the 5% and 95% quantiles; a summary is its own.
    written : sequence of pathlib.Path
        The files that were written, to be named at the end.
    regime_asked : bool
        Whether the rules were asked for; where they were not, and there are none, the page says why.

    Returns
    -------
    list
        Strings and rich tables, GBP million. Of a summary without what it does not say: the trusts exactly on plan,
        what the worst add up to, the deficits without surpluses, and ranges of effects.

    Raises
    ------
    InputError
        If a summary lacks variables, units or the two quantiles.

    Examples
    --------
    >>> from rich.console import Console
    >>> import sector_risk as sr
    >>> forecast = sr.simulate(sr.load_case("england-2018-19"), n_draws=200)
    >>> page = report(forecast, sr.summarise(forecast))
    >>> Console(width=80).print(page[0])
    NHS providers in England, 2018-19: the year-end position, GBP million
    """
    if is_summary(forecast):
        raise_if_any(summary_faults(forecast, NEEDED_OF_SUMMARY, [SECTOR], RANGE))
    bare = without_draws(forecast) if is_summary(forecast) else forecast
    n_draws = bare.sizes["draw"]
    if not is_whole_sector(forecast):
        summary = summary.isel(unit=summary.level.values != "nhs")
    return [
        Text(title(forecast, forecast.attrs["year"]), style="bold"),
        *(Text(line) for line in about(bare, regime_asked)),
        "",
        *(Text(line) for line in headline(forecast, summary)),
        "",
        _why_table(forecast),
        "",
        _unit_table("Sector and regions", _places(summary), n_draws),
        "",
        _unit_table("Ten trusts at most risk", most_at_risk(summary), n_draws, decimals=1),
        "",
        *(Text(line) for line in _notes(bare, summary)),
        *(Text(f"Wrote {path}") for path in written),
    ]


def headline(forecast: xr.Dataset, summary: xr.Dataset) -> list[str]:
    """Give the answer in sentences: provider sector, whole NHS, trusts in deficit and, of draws, how far they spread.

    Parameters
    ----------
    forecast, summary : xarray.Dataset
        As for `report`.

    Returns
    -------
    list of str
        One sentence each, GBP million.

    Examples
    --------
    >>> import sector_risk as sr
    >>> forecast = sr.simulate(sr.load_case("england-2018-19"), n_draws=200)
    >>> for line in headline(forecast, sr.summarise(forecast)):
    ...     print(line)
    Provider sector: plan -519, expected ...
    Whole NHS: ...
    Trusts in deficit: ...
    Exactly on plan ...
    """
    bare = without_draws(forecast) if is_summary(forecast) else forecast
    n_draws = bare.sizes["draw"]
    levels = [level for level in ("sector", "nhs") if level in summary.level.values]
    positions = [_position_sentence(_at_level(summary, level), n_draws) for level in levels]
    if is_summary(forecast):
        return [*positions, _counted_sentence(forecast, bare)]
    return [*positions, _count_sentence(forecast), _spread_sentence(forecast)]


def without_draws(summary: xr.Dataset) -> xr.Dataset:
    """Return what a summary has that is read off a forecast too: plans of trusts, sizes and attributes.

    Examples
    --------
    >>> import sector_risk as sr
    >>> bare = without_draws(sr.simulate(sr.load_case("england-2018-19"), n_draws=500, keep="summary"))
    >>> sorted(bare.data_vars), bare.sizes["draw"], bare.sizes["trust"]
    (['no_figure', 'plan', 'planned_support', 'sector_plan_ytd'], 500, 227)
    """
    plan = summary.plan.values[summary.level.values == "trust"]
    found = {
        "plan": ("trust", plan),  # after support
        "planned_support": ("trust", np.zeros(len(plan))),
        "sector_plan_ytd": ("month", summary.sector_plan_ytd.values),
        "no_figure": ("draw", np.broadcast_to(np.nan, summary.attrs["n_draws"])),  # a size that takes no memory
    }
    return xr.Dataset(found, attrs=summary.attrs)


def title(result: xr.Dataset, years: str) -> str:
    """Say of whom, when and what the page speaks.

    Examples
    --------
    >>> title(xr.Dataset(), "2018-19 to 2022-23")
    'NHS providers in England, 2018-19 to 2022-23: the year-end position, GBP million'
    """
    when = "financial year not stated" if years == "not stated" else years
    who = "NHS providers in England" if is_whole_sector(result) else "Some NHS providers in England"
    return f"{who}, {when}: the year-end position, GBP million"


def about(forecast: xr.Dataset, regime_asked: bool = True) -> Iterable[str]:
    """Say how many trusts and draws there are, how to read signs, which rules hold, and if trusts are synthetic."""
    yield (
        f"{forecast.sizes['trust']} trusts, {counted_draws(forecast.sizes['draw'])}, seed {forecast.attrs['seed']}. "
        "Surplus positive, deficit negative; after support unless said."
    )
    if "turnover" in json.loads(forecast.attrs.get("filled", "{}")):
        yield (
            "Turnover is filled by rule, see below: per cents hold, but millions are as good as the rule, and ranges "
            "leave that doubt out."
        )
    rules = rules_in_force(forecast.attrs)
    why = "" if regime_asked or rules != "none" else NO_RULES
    yield f"Rules: {rules}{why}."
    if forecast.attrs.get("synthetic"):
        yield (
            f"Bundled case {forecast.attrs['case']}: the trusts are synthetic. Together they match published "
            "totals; none of them is a real trust."
        )


def _position_sentence(unit: xr.Dataset, n_draws: int) -> str:
    low, high = (money(_quantile(unit, level).item()) for level in RANGE)
    plan, expected = unit.plan.item(), unit["mean"].item()
    against = "" if math.isnan(plan) else f"plan {money(plan)}, "
    breakeven = probability(1 - unit.p_deficit.item(), n_draws)
    return (
        f"{unit.unit.item()}: {against}expected {money(expected)} (90% between {low} and {high}); "
        f"chance of breakeven {breakeven}."
    )


def _spread_sentence(forecast: xr.Dataset) -> str:
    on_plan = f"Exactly on plan before support: {100 * share_on_plan(forecast):.0f}% of trusts."
    if forecast.sizes["trust"] < 2 * WORST:
        return on_plan
    return f"{on_plan} The {WORST} worst of each draw add up to {money(worst_total(forecast, WORST).mean())}."


def _count_sentence(forecast: xr.Dataset) -> str:
    count = forecast.deficit_count.values
    low, high = np.quantile(count, RANGE)
    total = money(forecast.gross_deficit.mean().item())
    said = _count_words(forecast, count.mean(), low, high)
    return f"{said}; their deficits alone, surpluses left out, add up to {total}."


def _counted_sentence(summary: xr.Dataset, bare: xr.Dataset) -> str:
    deficit = summary.sel(event="deficit")
    low, high = (deficit.count_quantile.sel(quantile=level, method="nearest").item() for level in RANGE)
    return f"{_count_words(bare, deficit.count_mean.item(), low, high)}."


def _count_words(forecast: xr.Dataset, mean: float, low: float, high: float) -> str:
    planned = int((plan_after_support(forecast) < -BALANCE).sum())
    return (
        f"Trusts in deficit: plan {planned}, expected {mean:.0f} of {forecast.sizes['trust']} "
        f"(90% between {low:.0f} and {high:.0f})"
    )


def _why_table(forecast: xr.Dataset) -> Table:
    """Plan, the mean effect of each driver with its 90% range, and the outturn they add up to."""
    table = new_table("Why: from plan to expected", "Mean", "5%", "95%")
    table.add_row("Plan, after support", money(sector_plan(forecast)), "", "")
    rows = _mean_rows(forecast) if is_summary(forecast) else _effect_rows(forecast)
    for effect, *figures in rows:
        table.add_row(f"  {effect_label(effect)}", *figures)
    table.add_row("Expected", *map(money, _sector_figures(forecast)), style="bold")
    return table


def _effect_rows(forecast: xr.Dataset) -> Iterable[tuple[str, ...]]:
    """Name, mean and range of each effect."""
    flow = waterfall(forecast)
    low, high = np.quantile(flow["effect_by_draw"].values, RANGE, axis=1)
    for effect, *figures in zip(flow["effect"].values, flow["mean_effect"].values, low, high, strict=True):
        yield str(effect), *map(money, figures)


def _mean_rows(summary: xr.Dataset) -> Iterable[tuple[str, ...]]:
    """Name and mean of each effect; a summary has no ranges of theirs."""
    effects = mean_effects(summary)
    for effect, mean in zip(effects["effect"].values, effects.values, strict=True):
        yield str(effect), money(mean), NO_FIGURE, NO_FIGURE


def _sector_figures(forecast: xr.Dataset) -> tuple[float, float, float]:
    """Mean and 90% range of the sector's position."""
    if is_summary(forecast):
        sector = _at_level(forecast, "sector")
        low, high = (_quantile(sector, level).item() for level in RANGE)
        return sector["mean"].item(), low, high
    position = forecast.sector_position.values
    low, high = np.quantile(position, RANGE)
    return position.mean(), low, high


def _unit_table(heading: str, summary: xr.Dataset, n_draws: int, decimals: int = 0) -> Table:
    table = new_table(heading, "Plan", "Expected", "5%", "95%", "P(in\ndeficit)", "P(below\nplan)")
    figures = [summary.plan, summary["mean"], _quantile(summary, 0.05), _quantile(summary, 0.95)]
    chances = [summary.p_deficit, summary.p_missing_plan]
    columns = (column.values for column in figures + chances)
    for label, *row in zip(_labels(summary), *columns, strict=True):
        amounts = (money(value, decimals) for value in row[:4])
        table.add_row(label, *amounts, *(probability(value, n_draws) for value in row[4:]))
    return table


def _notes(forecast: xr.Dataset, summary: xr.Dataset) -> Iterable[str]:
    """How sure the figures are, and what was done to the data on the way."""
    sector = _at_level(summary, "sector")
    yield "Below plan: before support. At most risk: furthest below plan in the worst 5% of draws."
    yield from few_draws(forecast)
    yield from evidence_notes(forecast)
    if forecast.sizes["draw"] > 1 and "parameter_set" not in forecast.coords:
        yield error_note(sector.mean_se.item(), sector.p_deficit.item(), forecast.sizes["draw"])
    yield from held_support(forecast)
    yield from data_notes(forecast.attrs, brief=True)


def _places(summary: xr.Dataset) -> xr.Dataset:
    """Sector, whole NHS and regions: the rows a director reads first."""
    levels = summary.level.values
    order = [np.flatnonzero(levels == level) for level in ("sector", "nhs", "region")]
    return summary.isel(unit=np.concatenate(order))


def _at_level(summary: xr.Dataset, level: str) -> xr.Dataset:
    return summary.isel(unit=int(np.flatnonzero(summary.level.values == level)[0]))


def _quantile(summary: xr.Dataset, level: float) -> xr.DataArray:
    position: xr.DataArray = summary.position_quantile.sel(quantile=level, method="nearest")
    return position


def _labels(summary: xr.Dataset) -> list[str]:
    return [
        escape(trust_label(code, name)) for code, name in zip(summary.unit.values, summary.name.values, strict=True)
    ]


def trust_label(code: object, name: object) -> str:
    """Code and name of a trust, once where they are the same.

    >>> trust_label("SYN001", "Synthetic trust 001"), trust_label("London", "London")
    ('SYN001 Synthetic trust 001', 'London')
    """
    return str(code) if str(name) in ("", str(code)) else f"{code} {name}"


def new_table(heading: str, *columns: str) -> Table:
    """Make an empty table whose first column has the table's heading."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    table.add_column(heading, no_wrap=True, overflow="ellipsis", max_width=LABEL_WIDTH, vertical="bottom")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True, vertical="bottom")
    return table
