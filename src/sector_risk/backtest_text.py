"""A back-test as a page of text: how near, how wide, which chances held, who was missed, which bars are met.

Nothing is computed here; every figure comes from `backtest` or `backtest_years`.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import xarray as xr
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from sector_risk.backtesting import in_money
from sector_risk.readings import NO_FIGURE, money
from sector_risk.report_text import new_table, trust_label
from sector_risk.rivals import RIVALS
from sector_risk.scores import pit_band

COVERAGE_BAR = (0.7, 0.9)
P_BAR = 0.01
MISSES = 5

__all__ = ["Verdict", "backtest_report", "verdicts"]


class Verdict(NamedTuple):
    """One bar that a back-test is held against: whether it is met, what it is, and the figures."""

    met: bool
    bar: str
    figures: str

    def __str__(self) -> str:
        return f"{'Met' if self.met else 'MISSED'}: {self.bar}. {self.figures}."


def backtest_report(result: xr.Dataset) -> list[RenderableType]:
    """Everything that there is to say of a back-test, in order, ready for a rich console.

    Parameters
    ----------
    result : Dataset
        From `backtest` or `backtest_years`.

    Returns
    -------
    list
        Strings and rich tables: per cent of turnover to date for trusts, GBP million for years of the sector.

    Examples
    --------
    >>> from rich.console import Console
    >>> from sector_risk.backtesting import backtest_years
    >>> from sector_risk.history import load_history
    >>> page = backtest_report(backtest_years(load_history(), points=128, fit_draws=32, n_draws=640, parameter_sets=20))
    >>> Console(width=100).print(page[0])
    Back-test of the sector, one year left out at a time: 5 years, outturn against plan, GBP million
    """
    parts = of_years(in_money(result)) if "year" in result.dims else of_trusts(result)
    return [*parts, "", *(Text(str(verdict)) for verdict in verdicts(result))]


def verdicts(result: xr.Dataset) -> list[Verdict]:
    """Hold a back-test against the bars that were set before it was run.

    Parameters
    ----------
    result : Dataset
        From `backtest` or `backtest_years`.

    Returns
    -------
    list of Verdict
        Trusts: skill on CRPS above nought, 70 to 90% of outcomes in the 80% interval, PIT not rejected at 1%, at each
        origin. Years: every outturn in the 95% interval from quarter 2, mean CRPS below the error of the declared
        forecast.
    """
    judge = year_verdicts if "year" in result.dims else trust_verdicts
    return [verdict for month in result["origin"].values for verdict in judge(result, int(month))]


def trust_verdicts(result: xr.Dataset, month: int) -> Iterator[Verdict]:
    """Bars of a back-test of trusts, as of one month."""
    at = result.sel(origin=month)
    crps, low, high = at.sel(score="crps"), *COVERAGE_BAR
    skill, covered, p = (float(v) for v in (crps["skill"], at["coverage"].sel(interval=0.8), at["pit_p_value"]))
    best = str(crps["best_rival"].item())
    error = float(crps["skill_over_se"].sel(rival=best))
    figures = f"Skill {skill:.2f} (standard error {error:.2f}) over the {RIVALS[best]}"
    yield Verdict(skill > 0.0, f"month {month}: skill over the best rival on CRPS", figures)
    covers = f"month {month}: 80% intervals cover {100 * low:.0f} to {100 * high:.0f}%"
    yield Verdict(low <= covered <= high, covers, f"They cover {100 * covered:.0f}%")
    shared = float(at["pit_p_value_shared"])
    figures = f"p = {p:.2g} (with what trusts share in the draws, {shared:.2g})"
    yield Verdict(p >= P_BAR, f"month {month}: PIT uniform, not rejected at 1%", figures)


def year_verdicts(result: xr.Dataset, month: int) -> Iterator[Verdict]:
    """Bars of a back-test of the sector's years, as of one month."""
    at = in_money(result).sel(origin=month)
    inside = at["covered"].sel(interval=0.95).values.astype(bool)
    outside = ", ".join(at["year"].values[~inside]) or "none"
    if month >= 6:
        figures = f"{inside.sum()} of {len(inside)} are; outside: {outside}"
        yield Verdict(bool(inside.all()), f"month {month}: every outturn in the 95% interval", figures)
    rival = at.sel(score="crps", rival="declared_forecast")
    known = rival["rival_score"].notnull()
    if known.any():
        ours, theirs = (float(rival[name].where(known).mean()) for name in ("forecast_score", "rival_score"))
        figures = f"{ours:.0f} and {theirs:.0f}, GBP million, over the {int(known.sum())} year(s) with a forecast"
        yield Verdict(ours < theirs, f"month {month}: mean CRPS below the declared forecast's mean error", figures)


def of_trusts(result: xr.Dataset) -> Iterator[RenderableType]:
    """Page of a back-test of trusts."""
    attrs, count = result.attrs, int((result["level"] == "trust").sum())
    target = f"variance to date at month {attrs['target_month']}, {attrs['scored_in']}"
    yield Text(f"Back-test of {count} trusts, {attrs['year']}: {target}", style="bold")
    sets = f" in {attrs['parameter_sets']} joint draws of the parameters" if attrs["parameter_sets"] else ""
    yield Text(f"Assumptions {attrs['fit']}. {attrs['n_draws']:,} draws{sets}, seed {attrs['seed']}.")
    if in_view := attrs["set_with_this_year_in_view"]:
        yield Text(f"Not a clean test: set with {attrs['year']} in view were {in_view}.")
    yield from (
        "",
        score_table(result, "Mean over trusts", {int(m): f"From\nmonth {m}" for m in result["origin"].values}),
    )
    yield from ("", pit_table(result, count))
    last = result.isel(origin=-1)
    yield from ("", sum_table(result), "", miss_table(last.isel(unit=(last["level"] == "trust").values)))


def score_table(result: xr.Dataset, heading: str, columns: dict[int, str]) -> Table:
    """Scores of the forecasts and of rivals, skill, coverage, PIT: a column for each origin."""
    table = new_table(heading, *columns.values())
    at = [result.sel(origin=month) for month in columns]
    for score in result["score"].values:
        one = [a.sel(score=score) for a in at]
        table.add_row(f"{score.upper()}: forecast", *(f"{float(a['mean_score']):.3f}" for a in one), style="bold")
        for rival in result["rival"].values:
            table.add_row(f"  {RIVALS[rival]}", *(figure(a["mean_rival_score"].sel(rival=rival)) for a in one))
        table.add_row("  skill over the best", *(figure(a["skill"], 2) for a in one))
    for interval in result["interval"].values:
        covered = [100 * float(a["coverage"].sel(interval=interval)) for a in at]
        table.add_row(f"In the {100 * interval:.0f}% interval", *(f"{c:.0f}%" for c in covered))
    table.add_row("PIT uniform, p", *(f"{float(a['pit_p_value']):.2g}" for a in at))
    table.add_row("  with what trusts share", *(f"{float(a['pit_p_value_shared']):.2g}" for a in at))
    return table


def pit_table(result: xr.Dataset, count: int) -> Table:
    """PIT histogram: how many outcomes in each tenth of the draws."""
    low, high = pit_band(count)
    table = new_table("Outcomes by tenth", *(f"{10 * k}%" for k in range(1, result.sizes["bin"] + 1)))
    for month in result["origin"].values:
        counts = result["pit_count"].sel(origin=month).values
        table.add_row(f"From month {month}", *(f"{c:.1f}{'' if low <= c <= high else '*'}" for c in counts))
    even = count / result.sizes["bin"]
    table.caption = f"Even: {even:.1f} each, 95% between {low} and {high}; * is outside. Mean over ways to break ties."
    table.caption_justify = "left"
    return table


def sum_table(result: xr.Dataset) -> Table:
    """The sum of all trusts scored."""
    table = new_table("Sum of all trusts scored", "Came", "Expected", "5%", "95%", "CRPS", "Plan", "Run\nrate")
    total = result.isel(unit=int(np.flatnonzero(result["level"].values == "all")[0])).sel(score="crps")
    for month in total["origin"].values:
        at = total.sel(origin=month)
        low, high = (at["forecast_quantile"].sel(quantile=q) for q in (0.05, 0.95))
        rivals = (at["rival_score"].sel(rival=rival) for rival in ("plan", "run_rate"))
        row = (at["outcome"], at["forecast_mean"], low, high, at["forecast_score"], *rivals)
        table.add_row(f"From month {month}", *map(figure, row))
    return table


def miss_table(at: xr.Dataset) -> Table:
    """Trusts with the highest CRPS as of the last origin."""
    month, crps = int(at["origin"]), at["forecast_score"].sel(score="crps")
    table = new_table(f"Furthest off, from month {month}", "Came", "Expected", "5%", "95%", "CRPS")
    for k in np.argsort(-crps.values, kind="stable")[:MISSES]:
        one = at.isel(unit=int(k))
        low, high = (one["forecast_quantile"].sel(quantile=q) for q in (0.05, 0.95))
        label = escape(trust_label(one["unit"].item(), one["name"].item()))
        table.add_row(
            label, *(figure(v, 2) for v in (one["outcome"], one["forecast_mean"], low, high, crps.isel(unit=int(k))))
        )
    return table


def of_years(result: xr.Dataset) -> Iterator[RenderableType]:
    """Page of a back-test of the sector's years, GBP million."""
    attrs = result.attrs
    years = f"{result.sizes['year']} years, outturn against plan, {attrs['scored_in']}"
    yield Text(f"{attrs['title']}: {years}", style="bold")
    yield Text(f"Each year is forecast with a fit to the others. {attrs['n_draws']:,} draws, seed {attrs['seed']}.")
    yield Text("Last seen: last month with a known variance. Right of CRPS: how far simple rivals were off.")
    for month in result["origin"].values:
        yield from ("", year_table(result.sel(origin=month, score="crps")))


def year_table(at: xr.Dataset) -> Table:
    """Every year as of one month."""
    money_columns = ("Came", "Fore-\ncast", "2.5%", "97.5%", "CRPS", "Plan", "Run\nrate", "De-\nclared", "Past\nerror")
    table = new_table(f"From month {int(at['origin'])}", "Last\nseen", *money_columns)
    for year in at["year"].values:
        one = at.sel(year=year)
        ends = (one["forecast_quantile"].sel(quantile=q) for q in (0.025, 0.975))
        figures = (one["outcome"], one["forecast_mean"], *ends, one["forecast_score"], *one["rival_score"])
        table.add_row(str(year), str(int(one["last_seen"])), *(amount(v) for v in figures))
    means = (at["mean_score"], *at["mean_rival_score"])
    table.add_row("Mean", "", "", "", "", "", *(amount(v) for v in means), style="bold")
    table.add_row("Skill over it", "", "", "", "", "", "", *(figure(v, 2) for v in at["skill_over"]))
    return table


def figure(value: xr.DataArray, decimals: int = 3) -> str:
    """A figure with its sign, or a dash where there is none."""
    return NO_FIGURE if np.isnan(float(value)) else f"{float(value):.{decimals}f}"


def amount(value: xr.DataArray) -> str:
    """GBP million without decimals, or a dash."""
    return NO_FIGURE if np.isnan(float(value)) else money(float(value))
