"""The log of decisions: modelling choices in force for a forecast, and what is not modelled."""

import json
from collections.abc import Iterator

import xarray as xr

from sector_risk.assumptions import Assumptions, CentralAction, Centre
from sector_risk.assumptions.dependence import FACTOR_DRIVERS, LEVELS
from sector_risk.kernels.reduce import BALANCE
from sector_risk.quality.record import assumptions_of
from sector_risk.quality.rows import DecisionRow
from sector_risk.readings import rules_in_force

NOT_MODELLED = "not modelled"


def decisions_log(forecast: xr.Dataset) -> tuple[DecisionRow, ...]:
    """Choices in force, each with its reason and where it can be changed, and then what is not modelled."""
    assumptions = assumptions_of(forecast)
    return (
        *run_decisions(forecast),
        *dependence_decisions(assumptions),
        *centre_decisions(assumptions),
        *user_driver_decisions(forecast),
        *DEFINITIONS,
        *left_out(forecast),
    )


def run_decisions(forecast: xr.Dataset) -> Iterator[DecisionRow]:
    """What the run was asked."""
    attrs, n_draws = forecast.attrs, forecast.sizes["draw"]
    yield DecisionRow(
        "rules",
        rules_in_force(attrs),
        "Support and its conditions are part of the question; unless asked for, those of the panel's year are taken "
        "where it has support allocations, else none",
        "regime= (--regime); settings in rules.csv",
    )
    yield DecisionRow(
        "seed", str(attrs["seed"]), "Any will do; the same one makes scenarios share chance", "seed= (--seed)"
    )
    reason = "Chance in the draws must be small beside the spread: errors.csv says how small it is"
    yield DecisionRow("draws", f"{n_draws:,}", reason, "n_draws= (--draws)")
    yield _evidence_decision(forecast)
    yield _parameter_decision(forecast)


def _evidence_decision(forecast: xr.Dataset) -> DecisionRow:
    where = "condition(through_month=) (--through-month)"
    if "months_seen" not in forecast:
        return DecisionRow("months seen", "none", "The forecast is made before the year, from plans", where)
    reported, month = forecast.attrs["trusts_reporting"], forecast.attrs["last_month_reported"]
    reason = "What was reported is met in every draw; what is behind it follows from all reports"
    return DecisionRow("months seen", f"up to month {month}, {reported} reporting", reason, where)


def _parameter_decision(forecast: xr.Dataset) -> DecisionRow:
    where = "simulate_with_parameters (--assumptions with a fit, --parameter-sets)"
    if "parameter_set" not in forecast.coords:
        reason = "Every assumption is held at the value in assumptions.csv: ranges leave out that it may be wrong"
        return DecisionRow("parameters", "held at one value", reason, where)
    sets = forecast.attrs["parameter_sets"]
    reason = "Ranges take in that fitted parameters are not known; errors are those of chance, given the sets"
    return DecisionRow("parameters", f"drawn {sets} times from a fit", reason, where)


def dependence_decisions(assumptions: Assumptions) -> Iterator[DecisionRow]:
    """What trusts share, and how extremes come together."""
    dof = assumptions.dependence.tail_dof
    tails = f"Student t with {dof:g} degrees of freedom" if dof else "Gaussian"
    reason = (
        f"{assumptions.dependence.evidence_of('tail_dof').source}; with Student t, extremes come together more often"
    )
    yield DecisionRow("dependence between trusts", tails, reason, "assumptions: dependence.tail_dof")
    said = ", ".join(name for name in FACTOR_DRIVERS if not any(shares_of(assumptions, name))) or "none"
    reason = "Independence is said, never assumed; the source of each is in assumptions.csv"
    yield DecisionRow("drivers that are independent between trusts", said, reason, "assumptions: dependence")


def centre_decisions(assumptions: Assumptions) -> Iterator[DecisionRow]:
    """Central actions in force, and those of the defaults that are left out."""
    where = "assumptions: centre.actions"
    for action in assumptions.centre.actions:
        yield DecisionRow(
            f"central action: {action.name}", _amount(action), action.evidence_of("planned").source, where
        )
    here = {action.name for action in assumptions.centre.actions}
    for name in (action.name for action in Centre().actions if action.name not in here):
        yield DecisionRow(
            f"central action: {name}", "left out", "The defaults have it; the assumptions given do not", where
        )


def user_driver_decisions(forecast: xr.Dataset) -> Iterator[DecisionRow]:
    """Drivers of the user's own."""
    where = "sector_risk.driver and assumptions: drivers"
    own = json.loads(forecast.attrs.get("drivers", "{}"))
    for name, said in own.items():
        yield DecisionRow(f"own driver: {name}", "in force", str(said["source"]), where)
    if not own:
        yield DecisionRow("own drivers", "none", "The library's own causes are taken to be enough", where)


def left_out(forecast: xr.Dataset) -> Iterator[DecisionRow]:
    """What is not modelled, of every forecast and of this one."""
    if "turnover" in json.loads(forecast.attrs.get("filled", "{}")):
        reason = "Turnover was filled by a rule: per cents hold, millions are as good as the rule"
        yield DecisionRow("doubt about filled figures", NOT_MODELLED, reason, "give turnover in the panel")
    yield from OUTSIDE


def shares_of(assumptions: Assumptions, driver: str) -> list[float]:
    """Shares of a driver's variance that trusts have in common, by level.

    >>> shares_of(Assumptions(), "pay_award")
    [0.0, 0.0, 0.0, 0.0]
    """
    shares = getattr(assumptions.dependence, driver)
    return [getattr(shares, level) for level in LEVELS]


def _amount(action: CentralAction) -> str:
    """What an action plans, and what is expected of it."""
    return f"GBP {action.planned:,.0f}m planned, {action.delivery.mean():.0%} of it expected"


DEFINITIONS = (
    DecisionRow(
        "deficit",
        f"GBP {1e6 * float(BALANCE):,.0f} or more below nought",
        "Half of the smallest unit published, GBP 0.01 million: less is rounded away",
        "kernels/reduce.py: BALANCE",
    ),
    DecisionRow("expected", "mean of the draws", "Means may be added up; medians may not", "summarise: quantiles="),
    DecisionRow(
        "worst case",
        "mean of the worst 5% of draws",
        "Says how bad it is beyond a quantile, and adds up over parts",
        "summarise: confidence=",
    ),
    DecisionRow(
        "one cause of variances",
        "pressure less one-off cover; what is better than plan is kept in part",
        "It makes what is seen: many trusts exactly on plan, a long adverse tail, a jump at the year end",
        "docs: theory; a driver of one's own adds pressure",
    ),
)

OUTSIDE = (
    DecisionRow(
        "years after this one",
        NOT_MODELLED,
        "The question is this year's end; the underlying position is there to start from",
        "project (sector-risk project)",
    ),
    DecisionRow(
        "decisions in answer to the forecast",
        NOT_MODELLED,
        "New money, changed plans and changed rules within the year are choices, not chance",
        "another panel or regime, compared on the same draws",
    ),
    DecisionRow(
        "cash, capital, and the balance sheet",
        NOT_MODELLED,
        "The position is income less expenditure; borrowing enters as a rule only",
        "regime: distress_loans",
    ),
    DecisionRow(
        "activity, workforce and waiting times",
        NOT_MODELLED,
        "What they cost is part of drift; no figures by trust are asked for",
        "a driver of one's own",
    ),
    DecisionRow(
        "single commissioners",
        NOT_MODELLED,
        "They enter as totals, as central actions, independent of providers and of each other",
        "assumptions: centre.actions",
    ),
    DecisionRow(
        "errors in the panel's figures",
        NOT_MODELLED,
        "Plans, turnover and reports are taken as given",
        "change the panel and compare",
    ),
    DecisionRow(
        "events without a like in the years behind the assumptions",
        NOT_MODELLED,
        "Spread and dependence rest on a few years; a break with them is not among the draws",
        "assumptions, or a driver of one's own",
    ),
)
