"""The years ahead: the sector's path, trusts in deficit, and the milestones."""

import xarray as xr

from sector_risk.html_report.pictures import picture
from sector_risk.html_report.section import Section
from sector_risk.html_report.tables import (
    Cell,
    Column,
    Table,
    amount,
    chance,
    error,
    points,
    table,
    text,
    words,
)
from sector_risk.plots import plot_count_by_year, plot_position_by_year
from sector_risk.projection_summary import summarise_projection
from sector_risk.readings import counted_draws, data_notes, regime_name

__all__ = ["years"]


def years(projection: xr.Dataset) -> Section:
    """Show a projection: pictures by year, a table of the years, and the milestones."""
    summary = summarise_projection(projection)
    by_year = _by_year(summary, projection)
    return Section(
        lead=(
            f"Each year follows from the one before, under the rules of {regime_name(projection.attrs)}. How income, "
            "costs and demand grow is assumed, much of it by judgement: the further off, the less sure. "
            f"{counted_draws(projection.sizes['draw'])}, seed {projection.attrs.get('seed', 'not stated')}: with other "
            "rules or draws than the forecast's, the first year differs from it.",
        ),
        pictures=(
            picture("position-by-year", lambda ax: plot_position_by_year(projection, ax), None),
            picture("count-by-year", lambda ax: plot_count_by_year(projection, ax), _counts(summary)),
        ),
        tables=(by_year, *_milestones(summary, projection)),
        notes=tuple(map(words, data_notes(projection.attrs))),
    )


def _by_year(summary: xr.Dataset, projection: xr.Dataset) -> Table:
    columns = (
        Column("Year"),
        "Expected, £m",
        "±",
        "5%, £m",
        "95%, £m",
        "Chance of balance",
        "± points",
        "Trusts in deficit",
        "Underlying, £m",
        "Support paid, £m",
    )
    rows = (_year_row(summary.isel(year=i), projection.sizes["draw"]) for i in range(summary.sizes["year"]))
    return table("All trusts together by year, expected unless said (±: Monte Carlo error at 95%)", columns, rows)


def _year_row(year: xr.Dataset, n: int) -> list[Cell]:
    low, high = (year.sector_quantile.sel(quantile=level, method="nearest").item() for level in (0.05, 0.95))
    p = year.p_sector_balance.item()
    return [
        text(year.year.item()),
        amount(year.sector_mean.item()),
        error(year.sector_mean_se.item()),
        amount(low),
        amount(high),
        chance(p, n),
        points(p, n),
        amount(year.deficit_count_mean.item()),
        amount(year.underlying_mean.item()),
        amount(year.support_mean.sum().item()),
    ]


def _counts(summary: xr.Dataset) -> Table:
    levels = summary["quantile"].values
    columns: list[Column | str] = [Column("Year"), "Expected", *(f"{100 * level:g}%" for level in levels)]
    rows = (
        (text(year), amount(mean, 1), *map(amount, values))
        for year, mean, values in zip(
            summary.year.values,
            summary.deficit_count_mean.values,
            summary.deficit_count_quantile.transpose("year", "quantile").values,
            strict=True,
        )
    )
    return table("Trusts in deficit by year", columns, rows)


def _milestones(summary: xr.Dataset, projection: xr.Dataset) -> tuple[Table, ...]:
    """How probable each milestone is, where there are any."""
    if "p_milestone" not in summary:
        return ()
    n = projection.sizes["draw"]
    found = zip(summary.milestone.values, summary.p_milestone.values, strict=True)
    rows = ((text(f"{str(name)[0].upper()}{str(name)[1:]}"), chance(p, n), points(p, n)) for name, p in found)
    return (table("Milestones", (Column("Milestone"), "Chance", "± points"), rows),)
