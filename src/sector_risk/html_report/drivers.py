"""Third question, what drives it: from plan to year end, what a bad driver costs, and where the spread comes from."""

import math

from sector_risk.findings import Findings
from sector_risk.html_report.pictures import picture
from sector_risk.html_report.section import Section
from sector_risk.html_report.tables import Column, Table, amount, error, table, text
from sector_risk.plots import plot_shares, plot_tornado, plot_waterfall
from sector_risk.readings import effect_label

__all__ = ["drivers"]

LEAD = (
    "Mean effects lead from the plan to the expected year end. Which effects make the year uncertain is another "
    "matter: cover found within the year follows the pressures that it covers, and so evens them out."
)

TALL = (3.9, 4.9)
"""Inches, wide and narrow: where it is narrow, names of effects stand above their bars."""


def drivers(found: Findings) -> Section:
    """Waterfall, tornado and shares of variance of the provider sector."""
    flow = picture("waterfall", lambda ax: plot_waterfall(found.forecast, ax), _effects(found), TALL)
    swings = picture("tornado", lambda ax: plot_tornado(found.swings, ax), _swings(found), TALL)
    shares = picture("shares", lambda ax: plot_shares(found.shares, ax), None, TALL)
    return Section((LEAD,), (flow, swings, shares), beside=_shares(found))


def _swings(found: Findings) -> Table:
    """The sector's mean position where each effect is worst and best."""
    bars = found.swings
    columns = (Column("Effect"), "Worst, £m", "±", "Best, £m", "±", "Swing, £m", "±")
    rows = (
        (
            text(effect_label(str(bar.effect.item()))),
            *(
                cell
                for name in ("low", "high", "swing")
                for cell in (amount(bar[name].item()), error(bar[f"{name}_se"].item()))
            ),
        )
        for bar in (bars.isel(effect=i) for i in range(bars.sizes["effect"]))
    )
    share = f"{bars.share.item():.0%}"
    return table(f"Mean position in the worst and best {share} of draws of each effect", columns, rows)


def _effects(found: Findings) -> Table:
    """From plan to expected, with errors."""
    flow = found.effects
    nothing = float("nan")
    rows = [(text("Plan, after support"), amount(flow.plan.item()), error(nothing))]
    rows += [
        (text(effect_label(str(name))), amount(mean), error(se))
        for name, mean, se in zip(flow.effect.values, flow.mean_effect.values, flow.mean_effect_se.values, strict=True)
    ]
    rows += [(text("Expected"), amount(flow["mean"].item()), error(flow.mean_se.item()))]
    return table("From plan to expected year end", (Column("Effect"), "Mean, £m", "±"), rows)


def _shares(found: Findings) -> Table:
    """What each effect adds to the spread and to the bad draws."""
    shares = found.shares
    sd = shares.sd.item() or math.nan
    columns = (
        Column("Effect"),
        "Part of sd, £m",
        "±",
        "% of variance",
        "Worst 5% of draws, £m",
        "±",
    )
    rows = (
        (
            text(effect_label(str(at.effect.item()))),
            amount(at.sd_by_effect.item(), 1),
            error(at.sd_by_effect_se.item()),
            amount(100 * at.sd_by_effect.item() / sd, 1),
            amount(-at.tail_value_at_risk_by_effect.item()),
            error(at.tail_value_at_risk_by_effect_se.item()),
        )
        for at in (shares.isel(effect=i) for i in range(shares.sizes["effect"]))
    )
    return table("Where the spread comes from", columns, rows)
