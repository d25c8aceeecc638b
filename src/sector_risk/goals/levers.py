"""Levers: what can be moved to reach a goal, in units of its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr

from sector_risk.assumptions import Marginal
from sector_risk.faults import Fault, InputError, as_sentence, nearest
from sector_risk.panel import check_panel
from sector_risk.prepare import first_year
from sector_risk.regimes import Regime, regime_for
from sector_risk.scenarios import Scenario
from sector_risk.schema import FRACTION, MONEY

DELIVERY = "efficiency.recurrent_ratio"


@dataclass(frozen=True)
class Lever:
    """One number that can be moved.

    Parameters
    ----------
    name : str
    unit_of_value : str
        ``"GBP million"``, or ``"1"`` for a fraction.
    meaning : str
        What the value is, in words.
    present : function (scenario) -> float
        The lever's value in a scenario.
    apply : function (scenario, float) -> Scenario, optional
        The scenario with the lever at another value. None: the value is money paid to the unit at the year end
        whatever happens, so that nothing has to be simulated.
    low, high : float
        The least and the greatest value that is looked at, unless others are asked for.

    Examples
    --------
    >>> import sector_risk as sr
    >>> def with_drift(scenario, value):
    ...     assumptions = scenario.assumptions
    ...     deterioration = assumptions.deterioration.replace(headroom=value)
    ...     return scenario.replace(assumptions=assumptions.replace(deterioration=deterioration))
    >>> headroom = Lever(
    ...     "headroom",
    ...     "1",
    ...     "contingency that plans hold, as a fraction of turnover",
    ...     present=lambda scenario: scenario.assumptions.deterioration.headroom,
    ...     apply=with_drift,
    ...     low=0.0,
    ...     high=0.1,
    ... )
    >>> base = Scenario(sr.load_case("england-2018-19"))
    >>> headroom.present(headroom.apply(base, 0.02))
    0.02
    """

    name: str
    unit_of_value: str
    meaning: str
    present: Callable[[Scenario], float]
    apply: Callable[[Scenario, float], Scenario] | None = None
    low: float = -inf
    high: float = inf


def find_lever(lever: Lever | str) -> Lever:
    """Return a lever, or the bundled one of that name."""
    if isinstance(lever, Lever):
        return lever
    if lever in LEVERS:
        return LEVERS[lever]
    remedy = as_sentence(nearest(str(lever), LEVERS) or f"give a Lever, or one of {', '.join(LEVERS)}.")
    raise InputError([Fault("goal_seek", "unknown lever", str(lever), remedy, variable="lever")])


def delivery(scenario: Scenario) -> float:
    """Mean recurrent delivery of a trust with the sector's average ask, a / (a + b) of its Beta distribution."""
    given = _beta(scenario)
    return given["loc"] + given["scale"] * given["a"] / (given["a"] + given["b"])


def with_delivery(scenario: Scenario, mean: float) -> Scenario:
    """Return the scenario with another mean of recurrent delivery, and the same concentration a + b."""
    given = _beta(scenario)
    concentration, share = given["a"] + given["b"], (mean - given["loc"]) / given["scale"]
    ratio = Marginal.of("beta", **given | {"a": concentration * share, "b": concentration * (1.0 - share)})
    efficiency = scenario.assumptions.efficiency.replace(recurrent_ratio=ratio)
    return scenario.replace(assumptions=scenario.assumptions.replace(efficiency=efficiency))


def _beta(scenario: Scenario) -> dict[str, Any]:
    """Parameters of the Beta distribution of recurrent delivery."""
    ratio = scenario.assumptions.efficiency.recurrent_ratio
    if ratio.family != "beta":
        remedy = "Use a Beta distribution, or make a Lever for yours."
        rule = "the mean can be moved for a Beta distribution only"
        raise InputError([Fault("assumptions", rule, ratio.family, remedy, variable=DELIVERY)])
    return {"loc": 0.0, "scale": 1.0} | dict(ratio.parameters)


def with_pay_funding(scenario: Scenario, extra: float) -> Scenario:
    """Return the scenario with more funding of the pay award, GBP million, spread by Agenda for Change pay."""
    panel = check_panel(scenario.panel)
    pay = panel["pay_afc"]
    formula = scenario.assumptions.pay.funding_afc(pay.values)
    given = panel["pay_award_funding"].values if "pay_award_funding" in panel else np.full(len(formula), np.nan)
    funding = np.where(np.isnan(given), formula, given) + extra * pay.values / pay.values.sum()
    return scenario.replace(panel=panel.assign(pay_award_funding=("trust", funding)))


def fund_size(scenario: Scenario) -> float:
    """Pots of all funds of the regime in the panel's year, GBP million."""
    panel = check_panel(scenario.panel)
    regime = _regime(scenario, panel)
    pots = [POTS[rule.name](rule, panel, first_year(panel, 1)) for rule in regime.rules if rule.name in POTS]
    if not sum(pots) > 0.0:
        rule = "its funds have no money" if pots else "it has no fund whose size can be moved"
        remedy = f"Use a regime with {' or '.join(POTS)}, and a panel that it offers money to; or the lever 'support'."
        raise InputError([Fault("regime", rule, regime.name, remedy, variable="fund_size")])
    return float(sum(pots))


def with_fund_size(scenario: Scenario, size: float) -> Scenario:
    """Return the scenario with funds of another size in all, GBP million; several funds are scaled alike."""
    factor, panel = size / fund_size(scenario), check_panel(scenario.panel)
    regime = _regime(scenario, panel)
    funds = [rule for rule in regime.rules if rule.name in POTS]
    for fund in funds:
        regime = regime.with_rule(fund.scaled(factor))
    if any(fund.name == "sustainability_funding" for fund in funds):
        panel = panel.assign(support_allocation=panel["support_allocation"] * factor)
    return scenario.replace(panel=panel, regime=regime)


def _regime(scenario: Scenario, panel: xr.Dataset) -> Regime:
    """Return the regime in force, chosen by the panel as it is where none is named."""
    return regime_for(scenario.regime, float(panel["support_allocation"].sum()), first_year(panel, 1))


def _sustainability_pot(rule: Any, panel: xr.Dataset, year: str) -> float:
    allocations = float(panel["support_allocation"].sum())
    return float(rule.share(year, year) * (allocations if rule.pot is None else rule.pot))


POTS: Mapping[str, Callable[[Any, xr.Dataset, str], float]] = MappingProxyType(
    {
        "sustainability_funding": _sustainability_pot,
        "financial_recovery_fund": lambda rule, panel, year: rule.pots.at(year),
        "deficit_support": lambda rule, panel, year: rule.pot,
    }
)
"""Size of each fund in a year, GBP million, by the name of its rule."""

LEVERS: Mapping[str, Lever] = MappingProxyType(
    {
        lever.name: lever
        for lever in (
            Lever(
                "recurrent_delivery",
                FRACTION,
                "mean recurrent delivery of a trust with the sector's average ask, at the same concentration",
                delivery,
                with_delivery,
                0.01,
                0.99,
            ),
            Lever(
                "pay_funding",
                MONEY,
                "funding of the pay award beyond what the scenario has, before clawback, spread by Agenda for Change"
                " pay",
                lambda scenario: 0.0,
                with_pay_funding,
                0.0,
                5_000.0,
            ),
            Lever(
                "fund_size",
                MONEY,
                "pots of the regime's funds; several are scaled alike, and so are allocations of sustainability"
                " funding; a fund pays no more than is claimed",
                fund_size,
                with_fund_size,
                0.0,
                10_000.0,
            ),
            Lever(
                "support",
                MONEY,
                "money paid to the unit at the year end, whatever happens",
                lambda scenario: 0.0,
            ),
        )
    }
)
"""Bundled levers by name."""
