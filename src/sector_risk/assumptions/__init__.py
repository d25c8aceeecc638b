"""Assumptions: frozen, validated, with the evidence for each value; in and out of TOML and JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from sector_risk.assumptions.centre import CentralAction, Centre
from sector_risk.assumptions.dependence import Dependence, Shares
from sector_risk.assumptions.deterioration import Deterioration
from sector_risk.assumptions.efficiency import Efficiency
from sector_risk.assumptions.flexibility import Flexibility
from sector_risk.assumptions.outlook import Outlook
from sector_risk.assumptions.pay import Pay
from sector_risk.assumptions.reporting import Reporting
from sector_risk.faults import Fault, InputError
from sector_risk.marginal import Marginal
from sector_risk.settings import (
    CONFIDENCE,
    Evidence,
    LogRow,
    Settings,
    from_section,
    read_toml,
    toml_inline,
    unknown_key,
    with_evidence,
)

ASSUMPTIONS_YEAR = "2018-19"
"""The year whose pay awards and central actions the defaults describe."""

__all__ = [
    "ASSUMPTIONS_YEAR",
    "CONFIDENCE",
    "Assumptions",
    "CentralAction",
    "Centre",
    "Dependence",
    "Deterioration",
    "Efficiency",
    "Evidence",
    "Flexibility",
    "LogRow",
    "Marginal",
    "Outlook",
    "Pay",
    "Reporting",
    "Shares",
]


@dataclass(frozen=True)
class Assumptions:
    """All assumptions of a forecast; the defaults describe 2018-19.

    Examples
    --------
    >>> a = Assumptions()
    >>> harder = a.replace(efficiency=a.efficiency.replace(ask_effect=0.04))
    >>> harder.efficiency.evidence_of("ask_effect").confidence
    'U'
    >>> Assumptions.from_toml(harder.to_toml()) == harder
    True
    """

    efficiency: Efficiency = field(default_factory=Efficiency)
    pay: Pay = field(default_factory=Pay)
    deterioration: Deterioration = field(default_factory=Deterioration)
    flexibility: Flexibility = field(default_factory=Flexibility)
    dependence: Dependence = field(default_factory=Dependence)
    outlook: Outlook = field(default_factory=Outlook)
    reporting: Reporting = field(default_factory=Reporting)
    centre: Centre = field(default_factory=Centre)
    drivers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that each group is of its kind; all faults in one `InputError`."""
        faults = [
            Fault("assumptions", f"must be {kind.__name__}", str(getattr(self, name)), "", variable=name)
            for name, kind in _KINDS.items()
            if not isinstance(getattr(self, name), kind)
        ]
        if len(set(self.drivers)) < len(self.drivers):
            rule, remedy = "a name occurs twice", "Name each driver once."
            faults.append(Fault("assumptions", rule, str(self.drivers), remedy, variable="drivers"))
        if faults:
            raise InputError(faults)

    def replace(self, **groups: Any) -> Self:
        """Return a copy with some groups changed."""
        return type(self)(**({f.name: getattr(self, f.name) for f in fields(self)} | groups))

    def log(self) -> tuple[LogRow, ...]:
        """Return the assumptions log: name, value, unit, source, confidence (V, D, G, W, U) and meaning of each."""
        rows = [row for name, group in self._groups().items() for row in group.log(name)]
        central = [row for action in self.centre.actions for row in action.log(f"centre.{action.name}")]
        return (*rows, *central)

    def to_json(self) -> str:
        """Return the assumptions with their evidence as JSON; `from_json` reads it back."""
        return json.dumps({"drivers": list(self.drivers)} | self._sections(), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        return cls._from_mapping(json.loads(text))

    def to_toml(self) -> str:
        """Return the assumptions with source and confidence of each value as TOML.

        A library could not be used: the standard one only reads, and others break the inline tables that keep a
        value beside its evidence on one line.
        """
        lines = [f"drivers = {toml_inline(list(self.drivers))}", ""]
        for name, section in self._sections().items():
            for block in section["actions"] if name == "centre" else [section]:
                lines += ["[[centre.actions]]" if name == "centre" else f"[{name}]"]
                lines += [f"{key} = {toml_inline(value)}" for key, value in block.items()] + [""]
        return "\n".join(lines)

    @classmethod
    def from_toml(cls, source: str | Path) -> Self:
        """Read assumptions from a TOML file or text; what is absent keeps its default.

        Parameters
        ----------
        source : path of a file, or TOML text (recognised by its line breaks or equals signs)

        Raises
        ------
        InputError
            With every unknown key (and the nearest known one), value out of range or fault of the TOML itself.
        """
        return cls._from_mapping(read_toml(source, "assumptions"))

    def _groups(self) -> dict[str, Settings]:
        return {name: group for name, group in vars(self).items() if isinstance(group, Settings)}

    def _sections(self) -> dict[str, Any]:
        groups: dict[str, Any] = {name: with_evidence(group) for name, group in self._groups().items()}
        actions = [{"name": action.name} | with_evidence(action) for action in self.centre.actions]
        return groups | {"centre": {"actions": actions}}

    @classmethod
    def _from_mapping(cls, mapping: Mapping[str, Any]) -> Self:
        faults, groups = [unknown_key("", key, _KINDS) for key in mapping if key not in _KINDS], {}
        for name in (name for name in _KINDS if name in mapping):
            try:
                groups[name] = _PARSERS.get(name, _group)(mapping[name], name, _KINDS[name])
            except InputError as error:
                faults.extend(error.faults)
        if faults:
            raise InputError(faults)
        return cls(**groups)


def _group(section: Any, name: str, cls: Any) -> Any:
    if not isinstance(section, Mapping):
        remedy = f"Write it as [{name}]."
        raise InputError([Fault("assumptions", "must be a section", str(section), remedy, variable=name)])
    return from_section(cls, section, name)


def _centre(section: Any, _name: str, _cls: Any) -> Centre:
    actions = section.get("actions") if isinstance(section, Mapping) else None
    if not isinstance(actions, list) or set(section) != {"actions"}:
        remedy = "Write each as [[centre.actions]]."
        raise InputError([Fault("assumptions", "holds only actions", str(section), remedy, variable="centre")])
    return Centre(tuple(_action(action) for action in actions))


def _action(entry: Any) -> CentralAction:
    if not isinstance(entry, Mapping):
        remedy = 'Write [[centre.actions]] with name = "...", planned = 100.0.'
        raise InputError([Fault("assumptions", "must be a table", str(entry), remedy, variable="centre.actions")])
    values = {key: value for key, value in entry.items() if key != "name"}
    return from_section(CentralAction, values, "centre.actions", name=str(entry.get("name", "")))


def _drivers(names: Any, name: str, _cls: Any) -> tuple[str, ...]:
    if isinstance(names, list) and all(isinstance(n, str) for n in names):
        return tuple(names)
    remedy = 'Write drivers = ["name", ...].'
    raise InputError([Fault("assumptions", "must be a list of names", str(names), remedy, variable=name)])


_KINDS: dict[str, type] = {
    "efficiency": Efficiency,
    "pay": Pay,
    "deterioration": Deterioration,
    "flexibility": Flexibility,
    "dependence": Dependence,
    "outlook": Outlook,
    "reporting": Reporting,
    "centre": Centre,
    "drivers": tuple,
}
_PARSERS: dict[str, Any] = {"centre": _centre, "drivers": _drivers}
