"""First question, how bad it can get: the year by month, the year end, the whole NHS, and trusts in deficit."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sector_risk.findings import Findings, quantile
from sector_risk.html_report.pictures import picture
from sector_risk.html_report.section import Section
from sector_risk.html_report.tables import Cell, Column, Table, amount, chance, error, points, table, text
from sector_risk.plots import plot_balance, plot_deficit_counts, plot_exceedance, plot_fan
from sector_risk.readings import balance
from sector_risk.summary import mean_error

__all__ = ["how_bad"]

MONTHS = (
    *("April", "May", "June", "July", "August", "September"),
    *("October", "November", "December", "January", "February", "March"),
)
EVENTS = {
    "deficit": "In deficit",
    "missing_plan": "Below plan, before support",
    "missing_control_total": "Below control total, before support",
}
RANGE = (0.05, 0.25, 0.5, 0.75, 0.95)


def how_bad(found: Findings) -> Section:
    """The sector by month and at the year end, the whole NHS, and trusts in deficit."""
    forecast = found.forecast
    fan = picture("fan", lambda ax: plot_fan(forecast, ax), _months(found))
    curve = picture("exceedance", lambda ax: plot_exceedance(found.curve, ax), _curve(found))
    counts = picture("counts", lambda ax: plot_deficit_counts(found.counts, ax), _counts(found))
    nhs = [picture("nhs", lambda ax: plot_balance(forecast, ax), None)] if found.whole else []
    return Section(_lead(found), (fan, curve, *nhs, counts), tables=(_balance(found),))


def _lead(found: Findings) -> tuple[str, ...]:
    sector = found.one("sector").sel(confidence=0.95, method="nearest")
    worst, tail = (balance(-sector[name].item()) for name in ("value_at_risk", "tail_value_at_risk"))
    return (f"{found.who} ends the worst twentieth of draws with {worst} or worse, with {tail} on average.",)


def _curve(found: Findings) -> Table:
    """About twenty points of the curve."""
    curve = found.curve.isel(unit=0)
    every = curve.isel(threshold=slice(None, None, max(1, curve.sizes["threshold"] // 20)))
    rows = (
        (amount(limit), chance(p, found.n_draws), points(p, found.n_draws))
        for limit, p in zip(every.threshold.values, every.p_exceeding.values, strict=True)
    )
    return table("Chance of a worse deficit", (Column("Deficit, £m"), "Chance", "± points"), rows)


def _counts(found: Findings) -> Table:
    """Chance of so many trusts or more, for every fifth number that is neither sure nor impossible."""
    counts, n = found.counts, found.n_draws
    p = counts.p_at_least.transpose("count", "event").values
    step = 5 if len(p) > 30 else 1
    shown = [k for k in range(0, len(p), step) if p[k].max() > 0 and p[k].min() < 1]
    events = [EVENTS[str(name)] for name in counts.event.values]
    rows = ((amount(k), *(chance(share, n) for share in p[k])) for k in shown)
    return table("Chance of so many trusts or more", (Column("Trusts"), *events), rows)


def _months(found: Findings) -> Table:
    """The sector's year to date by month."""
    ytd = found.forecast.sector_ytd.transpose("month", "draw").values
    columns = (Column("Month"), "Plan, £m", "5%", "25%", "Median", "75%", "95%")
    values = np.quantile(ytd, RANGE, axis=1).T
    plans = found.forecast.sector_plan_ytd.values
    rows = (
        (text(MONTHS[month - 1], order=int(month)), amount(plan), *map(amount, row))
        for month, plan, row in zip(found.forecast.month.values, plans, values, strict=True)
    )
    return table(f"{found.who}, year to date after support, £m", columns, rows)


def _balance(found: Findings) -> Table:
    """What adds up to the position of the whole NHS."""
    columns = (Column("£m"), "Plan", "Expected", "±", "5%", "95%", "Chance of breakeven", "± points")
    caption = f"{found.who} and the whole NHS" if found.whole else found.who
    return table(f"{caption} at the year end (±: Monte Carlo error at 95%)", columns, _balance_rows(found))


def _balance_rows(found: Findings) -> Iterator[list[Cell]]:
    yield _unit_row(found, "sector", f"{found.who}, after support")
    if not found.whole:
        return
    actions = found.forecast.central_action
    for name in actions.action.values:
        yield _sum_row(f"Central: {name}", actions.sel(action=name).values)
    if found.forecast.central_effect.values.any():
        yield _sum_row("Central: saved by rules", found.forecast.central_effect.values)
    yield _unit_row(found, "nhs", "Whole NHS, the sum")


def _unit_row(found: Findings, level: str, label: str) -> list[Cell]:
    unit, n = found.one(level), found.n_draws
    p = unit.p_breakeven.item()
    return [
        text(label),
        amount(unit.plan.item()),
        amount(unit["mean"].item()),
        error(unit.mean_se.item()),
        amount(quantile(unit, 0.05).item()),
        amount(quantile(unit, 0.95).item()),
        chance(p, n),
        points(p, n),
    ]


def _sum_row(label: str, draws: NDArray[Any]) -> list[Cell]:
    """A sum of money that has no breakeven and no plan in a forecast."""
    low, high = np.quantile(draws, (0.05, 0.95))
    nothing = float("nan")
    return [
        text(label),
        amount(nothing),
        *(amount(draws.mean()), error(float(mean_error(draws))), amount(low), amount(high)),
        amount(nothing),
        amount(nothing),
    ]
