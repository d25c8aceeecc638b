"""The values that a forecast assumes, of the model and of its rules, as the forecast itself records them."""

import json
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any

from sector_risk.assumptions import Assumptions
from sector_risk.faults import InputError
from sector_risk.regimes import Regime
from sector_risk.settings import LogRow

__all__ = ["JUDGED", "assumption_rows", "rule_rows"]

JUDGED = ("G", "W")
"""Marks of what is judgement or weakly founded."""


def assumption_rows(attrs: Mapping[Hashable, Any]) -> tuple[LogRow, ...]:
    """The assumptions log of a forecast."""
    return Assumptions.from_json(attrs["assumptions"]).log()


def rule_rows(attrs: Mapping[Hashable, Any]) -> tuple[LogRow, ...]:
    """The log of a forecast's rules; of a rule that is not registered here, what the forecast itself says of it."""
    try:
        return Regime.from_json(attrs["regime"]).log()
    except InputError:
        return tuple(_unregistered(json.loads(attrs["regime"])["rules"]))


def _unregistered(rules: Iterable[Mapping[str, Any]]) -> Iterator[LogRow]:
    for rule in rules:
        for name, entry in rule.items():
            if isinstance(entry, Mapping) and "confidence" in entry:
                value, source = entry.get("value"), entry.get("source", "")
                yield LogRow(f"{rule['rule']}.{name}", value, "", source, entry["confidence"], "")
