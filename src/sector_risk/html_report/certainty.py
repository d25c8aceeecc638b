"""Fifth question, how sure: Monte Carlo errors, how firm the list of the worst is, evidence, and gaps in the data."""

from collections.abc import Iterator

from sector_risk.chances import NORMAL_95, evidence_notes, few_draws, held_support, mean_error_of_sector
from sector_risk.findings import Findings, quantile
from sector_risk.html_report.record import mark_table
from sector_risk.html_report.section import Section
from sector_risk.html_report.tables import (
    Cell,
    Column,
    amount,
    chance,
    error,
    points,
    table,
    text,
    words,
)
from sector_risk.measures import SURE
from sector_risk.readings import counted_draws, data_notes, pounds

__all__ = ["certainty"]


def certainty(found: Findings) -> Section:
    """Errors of the main figures, evidence marks, and notes on the data."""
    attrs = found.forecast.attrs
    lead = (
        f"Two doubts add up. Chance in {counted_draws(found.n_draws)} moves figures by the errors below; more draws "
        "make them smaller. Doubt about the assumptions stays: the marks of evidence say how many of them are "
        "judgement."
    )
    columns = (Column("Figure"), "Value", "Monte Carlo error (95%)")
    errors = table("How far chance in the draws may move the main figures", columns, _errors(found))
    evidence = (*_alike(found), *evidence_notes(found.forecast), *few_draws(found.forecast))
    notes = (*held_support(found.forecast), *data_notes(attrs))
    return Section((lead, *evidence), tables=(errors, mark_table(attrs)), notes=tuple(map(words, notes)))


def _alike(found: Findings) -> Iterator[str]:
    """Say so where errors in the tables are too small, for draws are not independent."""
    if "parameter_set" in found.forecast.coords or "months_seen" in found.forecast:
        whole = pounds(NORMAL_95 * mean_error_of_sector(found.forecast))
        yield (
            "Errors in the tables take draws as independent. These are not, for they share parameters or what was seen "
            f"of the year: the expected year end of all trusts together is within ±{whole}."
        )


def _errors(found: Findings) -> Iterator[tuple[Cell, Cell, Cell]]:
    for level in ("sector", "nhs") if found.whole else ("sector",):
        unit = found.one(level)
        name = found.who if level == "sector" else unit.unit.item()
        low_se = unit.position_quantile_se.sel(quantile=0.05, method="nearest").item()
        yield text(f"{name}: expected position, £m"), amount(unit["mean"].item()), error(unit.mean_se.item())
        yield text(f"{name}: 5% quantile, £m"), amount(quantile(unit, 0.05).item()), error(low_se)
        p = unit.p_breakeven.item()
        yield text(f"{name}: chance of breakeven"), chance(p, found.n_draws), _in_points(p, found.n_draws)
    counts, ranks = found.counts.sel(event="deficit"), found.ranks
    yield text("Trusts in deficit, expected"), amount(counts.count_mean.item(), 1), error(counts.count_mean_se.item())
    yield (
        text(f"Trusts among the worst {found.worst_count} in {SURE:.0%} of draws or more"),
        amount(ranks.sure.item()),
        error(ranks.sure_se.item()),
    )
    yield (
        text(f"Per cent of the list of {found.worst_count} that are among the worst of a draw, expected"),
        amount(100 * ranks.expected_overlap.item()),
        error(100 * ranks.expected_overlap_se.item()),
    )


def _in_points(p: float, n_draws: int) -> Cell:
    return text(f"{points(p, n_draws).text} points")
