"""A projection as a page of text: the sector year by year, the milestones, what the rules do, and how sure.

Every figure comes from `project` and `summarise_projection`, or is a total of draws that a rule reports. Sector
figures are GBP million without decimals; wherever the sector's position stands, the number of trusts in deficit
stands beside it.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from sector_risk.chances import chance_error, error_note, few_draws, probability
from sector_risk.faults import as_sentence
from sector_risk.milestones import LONG_TERM_PLAN, Milestone, years_to_reach
from sector_risk.readings import counted_draws, data_notes, effect_label, is_whole_sector, money, most_likely
from sector_risk.report_text import about, new_table, title, trust_label
from sector_risk.schema import MONEY, PROJECTION

__all__ = ["milestone_lines", "projection_headline", "projection_report", "rule_lines"]

RANGE = (0.05, 0.95)
LONG = 10  # years, from which what is named for each year has run out
MOST_YEARS = 6  # that a line lists
SAID_OTHERWISE = ("debt", "interest", "turnaround_chosen", "turnaround_position", "programme_status", "segment")
NOT_SAID = ("finance_score", "average_score", "reset_plan", "administrative_savings_central")
SAID_IF_ANY = ("left_control_totals",)
COUNTED = {
    "reviewed": "Trusts called to quarter 1 review",
    "left_control_totals": "Trusts that have left control totals",
}


def projection_report(
    projection: xr.Dataset, summary: xr.Dataset, written: Sequence[Path] = (), *, regime_asked: bool = True
) -> list[RenderableType]:
    """Everything that `sector-risk project` prints, in order, ready for a rich console.

    Parameters
    ----------
    projection : xarray.Dataset
        What `sector_risk.project` gave.
    summary : xarray.Dataset
        What `sector_risk.summarise_projection` made of it, with the 5% and 95% quantiles.
    written : sequence of pathlib.Path
        The files that were written, to be named at the end.
    regime_asked : bool
        Whether the rules were asked for; where they were not, and there are none, the page says why.

    Returns
    -------
    list
        Strings and rich tables, GBP million.

    Examples
    --------
    >>> from rich.console import Console
    >>> import sector_risk as sr
    >>> path = sr.project(sr.load_case("england-2018-19"), years=2, n_draws=200)
    >>> page = projection_report(path, sr.summarise_projection(path))
    >>> Console(width=90).print(page[0])
    NHS providers in England, 2018-19 to 2019-20: the year-end position, GBP million
    """
    years = " to ".join(dict.fromkeys((_years(projection)[0], _years(projection)[-1])))
    parts: list[RenderableType] = [Text(title(projection, years), style="bold")]
    parts += [*map(Text, about(projection, regime_asked)), "", *map(Text, projection_headline(projection, summary))]
    parts += ["", _year_table(projection, summary), "", _deficit_table(projection, summary)]
    whose = "" if is_whole_sector(projection) else ", of these trusts alone"
    for heading, lines in (
        (f"Milestones{whose}", milestone_lines(projection, summary)),
        ("What the rules do", rule_lines(projection, summary)),
    ):
        said = list(lines)
        parts += ["", Text(heading, style="bold"), *map(Text, said)] if said else []
    return [*parts, "", *map(Text, _notes(projection, summary)), *(Text(f"Wrote {path}") for path in written)]


def projection_headline(projection: xr.Dataset, summary: xr.Dataset) -> list[str]:
    """Give the answer in three sentences: the sector's position, the trusts in deficit, what lies underneath.

    Parameters
    ----------
    projection, summary : xarray.Dataset
        As for `projection_report`.

    Returns
    -------
    list of str
        One sentence each, GBP million.

    Examples
    --------
    >>> import sector_risk as sr
    >>> path = sr.project(sr.load_case("england-2018-19"), years=2, n_draws=200)
    >>> for line in projection_headline(path, sr.summarise_projection(path)):
    ...     print(line)
    Provider sector: expected -9... in 2018-19 and ... in 2019-20 (90% between ... and ...); chance of balance ...
    Trusts in deficit: expected 107 of 227 in 2018-19 and ... in 2019-20 (90% between ... and ...); their ...
    Underlying position, ...
    """
    last, years, n_draws = summary.isel(year=-1), _years(projection), projection.sizes["draw"]
    (low, high), (fewest, most) = (_range(last, name) for name in ("sector_quantile", "deficit_count_quantile"))
    trusts, gross = f" of {projection.sizes['trust']}", _over_years(summary.gross_deficit_mean, years)
    return [
        f"Provider sector: expected {_over_years(summary.sector_mean, years)} (90% between {low} and {high}); "
        f"chance of balance in {years[-1]} {probability(float(last.p_sector_balance), n_draws)}.",
        f"Trusts in deficit: expected {_over_years(summary.deficit_count_mean, years, trusts)} "
        f"(90% between {fewest} and {most}); their deficits alone, surpluses left out, add up to {gross}.",
        f"Underlying position, without support and one-off measures: {_over_years(summary.underlying_mean, years)}.",
    ]


def milestone_lines(projection: xr.Dataset, summary: xr.Dataset) -> Iterator[str]:
    """Say of each milestone how probable it is and how sure that is, and what the years do not reach.

    Parameters
    ----------
    projection, summary : xarray.Dataset
        As for `projection_report`.

    Yields
    ------
    str
        One line a milestone.

    Examples
    --------
    >>> import sector_risk as sr
    >>> path = sr.project(sr.load_case("england-2018-19"), years=3, n_draws=200)
    >>> *_, last = milestone_lines(path, sr.summarise_projection(path))
    >>> print(last)
    Every trust in balance in 2023-24: beyond these years; ask for 6 years.
    """
    if "p_milestone" in summary:
        found = zip(summary.milestone.values, summary.p_milestone.values, strict=True)
        yield from (f"{as_sentence(str(name))}: {_chance(float(p), projection.sizes['draw'])}." for name, p in found)
    names = [name for name in projection.attrs.get("milestones_beyond", "").split("; ") if name]
    yield from _out_of_reach(names, _years(projection))


def rule_lines(projection: xr.Dataset, summary: xr.Dataset) -> Iterator[str]:
    """Say in a line each what the rules report, where there is something to say.

    Parameters
    ----------
    projection, summary : xarray.Dataset
        As for `projection_report`.

    Yields
    ------
    str
        One line each.

    Examples
    --------
    >>> import sector_risk as sr
    >>> path = sr.project(sr.load_case("england-2018-19"), regime="none", years=2, n_draws=200)
    >>> list(rule_lines(path, sr.summarise_projection(path)))
    []
    """
    yield from _fund_lines(summary)
    yield from _turnaround_line(projection)
    yield from _oversight_lines(projection, summary)
    yield from _programme_lines(projection, summary)
    yield from _other_lines(projection)
    if "central_effect" in projection and projection.central_effect.values.any():
        saved = _over_years(projection.central_effect.mean("draw"), _years(projection))
        yield f"Saved centrally by the rules: {saved} (a cost is negative). The sector's figures leave it out."


def _year_table(projection: xr.Dataset, summary: xr.Dataset) -> Table:
    """One row a year: what is expected with its range below, and the number of trusts in deficit beside it."""
    chance, trusts = "Chance of\nbalance", f"In deficit\n(of {projection.sizes['trust']})"
    loans = ["Loans owed\n(interest)"] if "sector_debt_mean" in summary else []
    table = new_table("\nYear", "Expected\n(90% range)", chance, trusts, "Under-\nlying", "Support\npaid", *loans)
    for place, column in enumerate(table.columns):
        column.vertical = "top"
        column.justify = "center" if place in (1, 3) else column.justify
    support = summary.support_mean.sum("fund").values
    for i, label in enumerate(_years(projection)):
        year = summary.isel(year=i)
        table.add_row(
            label,
            _with_range(float(year.sector_mean), *_range(year, "sector_quantile")),
            probability(float(year.p_sector_balance), projection.sizes["draw"]),
            _with_range(float(year.deficit_count_mean), *_range(year, "deficit_count_quantile")),
            money(float(year.underlying_mean)),
            money(support[i]),
            *(f"{money(float(year.sector_debt_mean))}\n({money(float(year.sector_interest_mean))})" for _ in loans),
        )
    return table


def _deficit_table(projection: xr.Dataset, summary: xr.Dataset) -> Table:
    """The trusts most likely in deficit in the last year."""
    year, n_draws = _years(projection)[-1], projection.sizes["draw"]
    table = new_table(f"Most likely in deficit\nat the end of {year}", "Expected", "P(in\ndeficit)")
    trusts = most_likely(summary, "p_deficit", year)
    for label, mean, p in zip(_labels(trusts), trusts["mean"].values, trusts.p_deficit.values, strict=True):
        table.add_row(escape(label), money(float(mean), 1), probability(float(p), n_draws))
    return table


def _notes(projection: xr.Dataset, summary: xr.Dataset) -> Iterable[str]:
    """How to read the figures, how sure they are, and what was done to the data on the way."""
    last = summary.isel(year=-1)
    years, n_draws = _years(projection), projection.sizes["draw"]
    yield "Underlying: before support, without one-offs, with this year's recurrent savings in full."
    if "sector_debt_mean" in summary:
        yield (
            "Loans owed: at the year end, with what the panel says was owed before; in brackets the interest paid in "
            "the year."
        )
    if len(years) > 1:
        yield (
            "Each year follows from the one before. How income, costs and demand grow is assumed, much of it by "
            "judgement: the further off, the less sure."
        )
    if len(years) >= LONG:
        yield (
            "Over so many years the rules and the growth of the last year that is named are simply held: read it as "
            "arithmetic, not as a forecast."
        )
    yield from few_draws(projection)
    if n_draws > 1:
        se, share = float(last.sector_mean_se), float(last.p_sector_balance)
        yield error_note(se, share, n_draws, when=f", {years[-1]}", chance="balance")
    yield from data_notes(projection.attrs, brief=True)


def _fund_lines(summary: xr.Dataset) -> Iterator[str]:
    """What each fund pays in every year, where there are several funds."""
    if summary.sizes["fund"] > 1:
        for name in summary.fund.values:
            yield f"{effect_label(str(name))} pays {_by_year(summary.support_mean.sel(fund=name), _years(summary))}."


def _turnaround_line(projection: xr.Dataset) -> Iterator[str]:
    """Who is chosen first, and the part of the sector's net deficit that they have."""
    if "turnaround_position" not in projection:
        return
    chosen = projection.turnaround_chosen.sum("trust").mean("draw").values.round()
    if not chosen.any():
        return
    first = int(np.flatnonzero(chosen)[0])
    year = projection.isel(year=first)
    theirs, sector = (float(year[name].mean()) for name in ("turnaround_position", "sector_position"))
    share = f", {100 * theirs / sector:.0f}% of the sector's net deficit of {money(-sector)}" if sector < 0 else ""
    yield (
        f"Accelerated turnaround: the {chosen[first]:.0f} trusts chosen at the end of {year.year.item()} have deficits "
        f"of {money(-theirs)} together{share}."
    )


def _oversight_lines(projection: xr.Dataset, summary: xr.Dataset) -> Iterator[str]:
    """How many trusts are in segment 4, and which first."""
    if "p_segment_4" in summary:
        count = _over_years(summary.segment_4_count_mean, _years(projection), " trusts in segment 4")
        yield f"Oversight: {count}."
        yield from _most_likely_line("in segment 4", "p_segment_4", projection, summary)


def _programme_lines(projection: xr.Dataset, summary: xr.Dataset) -> Iterator[str]:
    """How many trusts are inside the programme, how many of them it has not put right in time, and who enters first."""
    if "p_in_programme" not in summary:
        return
    years = _years(projection)
    inside = _over_years(summary.in_programme_count_mean, years, " trusts inside")
    escalated = round(float(_expected_total(projection.programme_status >= 3)[-1]))
    where = f"; of these {escalated} with a national taskforce, in administration or taken over in {years[-1]}"
    yield f"Improvement programme: {inside}{where if escalated else ''}."
    yield from _most_likely_line("inside the programme", "p_in_programme", projection, summary)


def _most_likely_line(what: str, chance: str, projection: xr.Dataset, summary: xr.Dataset) -> Iterator[str]:
    """Name the trusts for which something is most probable at the end of the panel's year."""
    year = _years(projection)[0]
    trusts = most_likely(summary, chance, year)
    chances = (probability(float(p), projection.sizes["draw"]) for p in trusts[chance].values)
    if named := [f"{label} ({p})" for label, p in zip(_labels(trusts), chances, strict=True)]:
        yield f"Most likely {what} at the end of {year}: {', '.join(named)}."


def _other_lines(projection: xr.Dataset) -> Iterator[str]:
    """What other rules report, rules of one's own among them: amounts are added up, flags are counted."""
    for name, values in projection.data_vars.items():
        reported = {"year", "draw"} <= set(values.dims) and name not in (*PROJECTION, *SAID_OTHERWISE, *NOT_SAID)
        silent = name in SAID_IF_ANY and not values.any()
        if reported and not silent and (values.dtype == bool or values.attrs.get("units") == MONEY):
            label = COUNTED.get(str(name), as_sentence(str(values.attrs.get("long_name", name))))
            yield f"{label}: {_over_years(_expected_total(values), _years(projection))}."


def _out_of_reach(names: Sequence[str], years: Sequence[str]) -> Iterator[str]:
    """Name milestones beyond the years, with the years to ask for; count those that lie before them."""
    known = {milestone.name: milestone for milestone in LONG_TERM_PLAN}
    early = [name for name in names if name in known and known[name].year <= years[0]]
    for name in (name for name in names if name not in early):
        yield f"{as_sentence(name)}: beyond these years{_years_to_ask_for(known.get(name), years[0])}."
    if early:
        yield f"Left out, because they need years before {years[0]}: {len(early)} milestones of the long-term plan."


def _years_to_ask_for(milestone: Milestone | None, first: str) -> str:
    return f"; ask for {years_to_reach((milestone,), first)} years" if milestone else ""


def _chance(p: float, n_draws: int) -> str:
    """A chance, in how many draws, and its Monte Carlo error."""
    count = round(p * n_draws)
    how_many = {0: "none", n_draws: "all"}.get(count, f"{count:,}")
    error = f"; Monte Carlo error {chance_error(p, n_draws)}" if 0 < count < n_draws else ""
    return f"{probability(p, n_draws)} (met in {how_many} of {counted_draws(n_draws)}{error})"


def _over_years(values: xr.DataArray, years: Sequence[str], unit: str = "") -> str:
    """The first year's figure and the last one's."""
    first = f"{money(float(values[0]))}{unit} in {years[0]}"
    return first if len(years) == 1 else f"{first} and {money(float(values[-1]))} in {years[-1]}"


def _by_year(values: xr.DataArray, years: Sequence[str]) -> str:
    """The figure of every year, or of the first few and the last."""
    said = [f"{money(float(value))} in {year}" for value, year in zip(values.values, years, strict=True)]
    return ", ".join(said if len(said) <= MOST_YEARS else [*said[: MOST_YEARS - 2], "...", said[-1]])


def _labels(trusts: xr.Dataset) -> list[str]:
    """Code and name of each trust."""
    return list(map(trust_label, trusts.trust.values, trusts.name.values))


def _expected_total(values: xr.DataArray) -> xr.DataArray:
    """Expected sum over trusts of what is reported by trust, and the mean of what is reported of all."""
    total = values.sum("trust", dtype=float) if "trust" in values.dims else values.astype(float)
    return total.mean("draw")


def _with_range(expected: float, low: str, high: str) -> Text:
    return Text.assemble((money(expected), "bold"), "\n", (f"{low} to {high}", "dim"))


def _range(year: xr.Dataset, name: str) -> tuple[str, str]:
    low, high = (money(float(_quantile(year, name, level))) for level in RANGE)
    return low, high


def _quantile(summary: xr.Dataset, name: str, level: float) -> xr.DataArray:
    found: xr.DataArray = summary[name].sel(quantile=level, method="nearest")
    return found


def _years(data: xr.Dataset) -> list[str]:
    return [str(label) for label in data.year.values]
