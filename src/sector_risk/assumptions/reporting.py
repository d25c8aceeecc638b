"""Reporting: how far a reported figure is what it says, and what a declared forecast is worth."""

from dataclasses import dataclass

from sector_risk.settings import Settings, assumption

OVERSIGHT_M9 = "NHS England, month 9 financial position 2025-26, scanned tables of 80 trusts"


@dataclass(frozen=True)
class Reporting(Settings):
    """What reports of the year so far say of it; used only where a forecast is conditional on them.

    A trust that expects its year to end on plan or better declares its plan; one that expects a shortfall
    declares its plan all the same with chance `forecast_held`, and else what it expects. What it expects is the
    year-end variance with an error of `forecast_sd`.
    """

    on_plan: float = assumption(
        0.0002,
        unit="fraction of turnover to date",
        meaning="a variance smaller than this counts as on plan, and a declared forecast as the plan",
        source="a third to a half of trusts report a variance within .02%: NHS Oversight Framework data 2025-26",
        confidence="D",
        low=0.0,
        high=0.01,
    )
    forecast_held: float = assumption(
        0.68,
        unit="probability",
        meaning="chance that a trust which expects a shortfall still declares its plan",
        source=f"23 of 34 trusts more than .5% behind plan declared their plan: {OVERSIGHT_M9}",
        confidence="W",
        low=0.0,
        high=1.0,
    )
    forecast_sd: float = assumption(
        0.006,
        unit="fraction of turnover",
        meaning="sd of the year-end variance about what the trust expects when it declares",
        source="judgement: revised forecasts were .6 to 3.4 times the variance to date",
        confidence="G",
        low=0.0001,
        high=0.1,
    )
