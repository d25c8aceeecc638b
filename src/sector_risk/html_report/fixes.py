"""Fourth question, what would fix it: money that would bring balance, and the trusts where a pound does most."""

import numpy as np

from sector_risk.findings import SUPPORT, Findings
from sector_risk.html_report.section import Section
from sector_risk.html_report.tables import (
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
)
from sector_risk.readings import pounds
from sector_risk.units import SECTOR

__all__ = ["fixes"]

LISTED = 15


def fixes(found: Findings) -> Section:
    """Money for breakeven by sector and region, and the trusts where support does most."""
    needed = found.needed.sel(unit=SECTOR).switching_value
    even, sure = (_more(needed.sel(probability=p).item()) for p in (0.5, 0.9))
    lead = (
        f"{found.who} would have an even chance of breakeven with {even}, paid whatever happens, and a chance of 90% "
        f"with {sure}."
    )
    value, chosen = found.support, int(found.support.chosen.sum())
    most = (
        f"£{SUPPORT:g}m at each of the {chosen} trusts that make most of it, {pounds(value.chosen_cost.item())} in "
        f"all, would remove {pounds(value.chosen_removed.item())} of expected deficits."
    )
    return Section((lead, most), tables=(_switching(found), _support(found)))


def _more(needed: float) -> str:
    return f"{pounds(abs(needed))} {'more' if needed > 0 else 'less'}"


def _switching(found: Findings) -> Table:
    """Sums for even and for nine-in-ten chances of breakeven."""
    columns = (
        Column("Where"),
        "Chance of breakeven now",
        "± points",
        "£m for 50%",
        "±",
        "£m for 90%",
        "±",
    )
    levels = ("sector", "nhs", "region") if found.whole else ("sector", "region")
    order = np.concatenate([np.flatnonzero(found.needed.level.values == level) for level in levels])
    caption = "Money needed for breakeven; below nought: headroom (±: Monte Carlo error at 95%)"
    return table(caption, columns, (_switching_row(found, int(i)) for i in order))


def _switching_row(found: Findings, place: int) -> list[Cell]:
    unit, p = found.needed.isel(unit=place), found.summary.p_breakeven.values[place]
    sums = zip(unit.switching_value.values, unit.switching_value_se.values, strict=True)
    return [
        text(found.who if unit.level.item() == "sector" else unit.unit.item()),
        chance(p, found.n_draws),
        points(p, found.n_draws),
        *(cell for value, se in sums for cell in (amount(value), error(se))),
    ]


def _support(found: Findings) -> Table:
    """The trusts at which a given sum does most for breakeven."""
    rise = found.support.p_breakeven_rise.values
    order = np.argsort(-rise, kind="stable")[: min(LISTED, int((rise > 0.0).sum()))]
    columns = (
        Column("Trust"),
        "P(breakeven) now",
        "Rise, points",
        "± points",
        "Expected deficit, £m",
        "Removed, £m",
        "±",
        "£ per £ removed",
        "±",
    )
    caption = f"Where £{SUPPORT:g}m to a trust does most for its breakeven (±: Monte Carlo error at 95%)"
    return table(caption, columns, (_support_row(found, int(i)) for i in order))


def _support_row(found: Findings, place: int) -> list[Cell]:
    value, trust = found.support.isel(trust=place), found.at("trust").isel(unit=place)
    return [
        named(trust.unit.item(), trust.name.item()),
        chance(trust.p_breakeven.item(), found.n_draws),
        amount(100 * value.p_breakeven_rise.item(), 1),
        error(100 * value.p_breakeven_rise_se.item()),
        amount(value.expected_deficit.item(), 1),
        amount(value.deficit_removed.item(), 2),
        error(value.deficit_removed_se.item(), 2),
        amount(value.pounds_per_pound.item(), 2),
        error(value.pounds_per_pound_se.item(), 2),
    ]
