"""Regimes: named, ordered lists of the funding and turnaround rules of the day."""

import json
from dataclasses import dataclass

from sector_risk.faults import Fault, InputError, as_sentence, nearest
from sector_risk.regimes.rule import Block, Panel, PreparedRule, Rule
from sector_risk.regimes.sustainability import SustainabilityFunding

__all__ = ["REGIMES", "Block", "Panel", "PreparedRule", "Regime", "Rule", "SustainabilityFunding", "regime_for"]


@dataclass(frozen=True)
class Regime:
    """An ordered list of rules under a name.

    Examples
    --------
    >>> Regime("softer gate", (SustainabilityFunding(finance_share=0.5),)).rules[0].finance_share
    0.5
    """

    name: str
    rules: tuple[Rule, ...] = ()

    def to_json(self) -> str:
        """Return name, rules and settings, for provenance."""
        rules = [{"rule": rule.name} | dict(rule.settings()) for rule in self.rules]
        return json.dumps({"name": self.name, "rules": rules})


REGIMES = {
    "none": Regime("none"),
    "2018-19": Regime("2018-19", (SustainabilityFunding(),)),
}
"""Bundled regimes by name."""


def regime_for(choice: Regime | str | None, allocations: float) -> Regime:
    """Return the regime asked for; None picks by the panel: with support allocations 2018-19, else none."""
    if isinstance(choice, Regime):
        return choice
    name = choice or ("2018-19" if allocations > 0.0 else "none")
    if name not in REGIMES:
        remedy = as_sentence(nearest(name, list(REGIMES)) or f"use one of {', '.join(REGIMES)}.")
        raise InputError([Fault("regime", "unknown regime", name, remedy)])
    return REGIMES[name]
