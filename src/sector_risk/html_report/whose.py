"""Second question, whose risk it is: all trusts in a table, regions as on a map, types and systems."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr

from sector_risk.chances import NORMAL_95
from sector_risk.findings import Findings, quantile
from sector_risk.html_report.scale import Scale
from sector_risk.html_report.tables import (
    MINUS,
    Cell,
    Column,
    Table,
    amount,
    chance,
    error,
    named,
    points,
    table,
    text,
    words,
)
from sector_risk.measures import SURE
from sector_risk.readings import balance, pounds, worst_total

__all__ = ["Choice", "Tile", "Whose", "whose"]

MAP = {
    "North West": "nw",
    "North East and Yorkshire": "ne",
    "Midlands": "mi",
    "East of England": "ee",
    "South West": "sw",
    "South East": "se",
    "London": "lo",
}
BANDS = ((-0.02, -3), (-0.01, -2), (0.0, -1), (0.01, 1), (np.inf, 2))
"""Upper limits of a share of turnover, and the colour up to each."""
LEVELS = {"region": "Regions", "trust_type": "Types", "system": "Systems"}


@dataclass(frozen=True)
class Tile:
    """A region: its expected position as a share of turnover and in GBP million, and the chance of a deficit."""

    name: str
    area: str
    share: str
    band: int
    expected: str
    p_deficit: str


@dataclass(frozen=True)
class Choice:
    """A list to choose trusts by: its label, its column, and what may be chosen."""

    label: str
    column: int
    options: tuple[str, ...]


@dataclass(frozen=True)
class Whose:
    """What the section shows."""

    lead: tuple[str, ...]
    tiles: tuple[Tile, ...]
    mapped: bool
    tiles_note: str
    league: Table
    league_note: str
    choices: tuple[Choice, ...]
    groups: tuple[Table, ...]


def whose(found: Findings) -> Whose:
    """Show trusts, regions, types and systems."""
    tiles = tuple(_tiles(found))
    return Whose(
        lead=(_lead(found),),
        tiles=tiles,
        mapped=len(tiles) == len(MAP) and all(tile.area for tile in tiles),
        tiles_note=(
            "Large figure and colour: expected year-end position as a share of turnover; red for a deficit, green for "
            "a surplus, darker where it is larger."
        ),
        league=_league(found),
        league_note=_league_note(found),
        choices=_choices(found.at("trust")),
        groups=tuple(_group_table(found, level) for level in LEVELS if found.at(level).sizes["unit"]),
    )


def _lead(found: Findings) -> str:
    count, sure = found.worst_count, int(found.ranks.sure)
    worst = balance(float(worst_total(found.forecast, count).mean()))
    return (
        f"The {count} worst trusts of a draw end with {worst} together, on average. {sure} trusts are among them in "
        f"{SURE:.0%} of draws or more; who the others are differs from draw to draw."
    )


def _tiles(found: Findings) -> Iterator[Tile]:
    regions = found.at("region")
    shares = regions["mean"].values / found.turnover("region")
    for i, share in enumerate(shares):
        region = regions.isel(unit=i)
        name = words(region.unit.item())
        yield Tile(
            name=name,
            area=MAP.get(name, ""),
            share=f"{100 * share:+.1f}%".replace("-", MINUS),
            band=next(colour for limit, colour in BANDS if share < limit),
            expected=pounds(region["mean"].item()),
            p_deficit=chance(region.p_deficit.item(), found.n_draws).text,
        )


def _choices(trusts: xr.Dataset) -> tuple[Choice, ...]:
    lists = (("Region", 1, "region"), ("Type", 2, "trust_type"))
    return tuple(
        Choice(label, column, tuple(sorted({words(name) for name in trusts[level].values})))
        for label, column, level in lists
    )


def _league(found: Findings) -> Table:
    """One row a trust, those most often among the worst first."""
    trusts = found.at("trust")
    scale = Scale.of(np.concatenate([quantile(trusts, 0.05), quantile(trusts, 0.95), trusts.plan.values]))
    columns = (
        Column("Trust"),
        Column("Region", "text"),
        Column("Type", "text"),
        "Plan, £m",
        "Expected, £m",
        "5%, £m",
        "95%, £m",
        Column("Range 5% to 95%, £m", "bar", scale.ticks()),
        "P(deficit)",
        "P(below plan)",
        f"P(worst {found.worst_count})",
    )
    often = found.ranks.p_among_worst.values
    order = np.lexsort((trusts["mean"].values, -often))
    rows = (_league_row(found, trusts.isel(unit=i), often[i], scale) for i in order)
    return table("All trusts, those most often among the worst first", columns, rows)


def _league_row(found: Findings, trust: xr.Dataset, p_worst: float, scale: Scale) -> list[Cell]:
    low, high, median = (quantile(trust, level).item() for level in (0.05, 0.95, 0.5))
    plan, n = trust.plan.item(), found.n_draws
    return [
        named(trust.unit.item(), trust.name.item()),
        text(trust["region"].item()),
        text(trust["trust_type"].item()),
        *(amount(value, 1) for value in (plan, trust["mean"].item(), low, high)),
        Cell("", bar=scale.bar(low, high, median, plan)),
        *(chance(p, n) for p in (trust.p_deficit.item(), trust.p_missing_plan.item(), p_worst)),
    ]


def _league_note(found: Findings) -> str:
    trusts = found.at("trust")
    return (
        "Year-end position after support. Bar: from the 5% to the 95% quantile of draws; blue line: median; dashed "
        "black line: plan; grey line: breakeven. Below plan: before support. Monte Carlo error (95%): at most "
        f"{error(trusts.mean_se.max().item(), 2).text} on an expected position and "
        f"{100 * NORMAL_95 * trusts.p_deficit_se.max().item():.1f} points on a chance."
    )


def _group_table(found: Findings, level: str) -> Table:
    columns = (
        Column(LEVELS[level].removesuffix("s")),
        "Trusts",
        "Plan, £m",
        "Expected, £m",
        "±",
        "5%, £m",
        "95%, £m",
        "P(deficit)",
        "± points",
        "P(below plan)",
        "± points",
    )
    counts = found.members(level)
    groups = found.at(level)
    rows = (_group_row(found, groups.isel(unit=i), counts[i]) for i in range(len(counts)))
    return table(f"{LEVELS[level]} (±: Monte Carlo error at 95%)", columns, rows)


def _group_row(found: Findings, group: xr.Dataset, count: int) -> list[Cell]:
    n = found.n_draws
    return [
        text(group.unit.item()),
        amount(count),
        amount(group.plan.item()),
        amount(group["mean"].item()),
        error(group.mean_se.item()),
        amount(quantile(group, 0.05).item()),
        amount(quantile(group, 0.95).item()),
        chance(group.p_deficit.item(), n),
        points(group.p_deficit.item(), n),
        chance(group.p_missing_plan.item(), n),
        points(group.p_missing_plan.item(), n),
    ]
