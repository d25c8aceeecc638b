"""What every group of assumptions can do: check itself, say where a value comes from, go to and from TOML."""

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from sector_risk.assumptions.marginal import Marginal
from sector_risk.faults import Fault, InputError, as_sentence, nearest

CONFIDENCE = {
    "V": "verified in a copy of the named source",
    "D": "derived from verified figures or computed from a published data file",
    "G": "general knowledge or judgement, not verified",
    "W": "weak: one survey, a scanned page or a hobby analysis",
    "U": "set by the user",
}


@dataclass(frozen=True)
class Evidence:
    """Where a value comes from and how far to trust it (a key of `CONFIDENCE`)."""

    source: str
    confidence: str


ENTRY = ("value", "source", "confidence")
BY_USER = Evidence("set by the user", "U")


class LogRow(NamedTuple):
    """One line of the assumptions log."""

    name: str
    value: Any
    unit: str
    source: str
    confidence: str
    meaning: str


def assumption(
    default: Any,
    *,
    unit: str,
    meaning: str,
    source: str,
    confidence: str,
    low: float | None = None,
    high: float | None = None,
) -> Any:
    """Declare a field of a settings class with its evidence and range."""
    metadata = {
        "unit": unit,
        "meaning": meaning,
        "evidence": Evidence(source, confidence),
        "low": low,
        "high": high,
    }
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """Base of a group of assumptions: fields made by `assumption`, and evidence for those that were changed.

    `evidence` maps a field's name to the `Evidence` for the value given here. A changed value without one is
    logged as set by the user.
    """

    evidence: tuple[tuple[str, Evidence], ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        """Check every value; all faults in one `InputError`."""
        faults = [*self._value_faults()] or [*self._relation_faults()]
        if faults:
            raise InputError(faults)
        changed = tuple((name, e) for name, e in self.evidence if self._usual_evidence(name) != e)
        object.__setattr__(self, "evidence", changed)

    @classmethod
    def assumptions(cls) -> dict[str, dataclasses.Field[Any]]:
        """Fields that are assumptions, by name."""
        return {f.name: f for f in dataclasses.fields(cls) if "unit" in f.metadata}

    def evidence_of(self, name: str) -> Evidence:
        """Evidence of the value that is in force."""
        return dict(self.evidence).get(name) or self._usual_evidence(name)

    def log(self, group: str) -> Iterator[LogRow]:
        """Yield a log row for each assumption of this group."""
        for name, f in self.assumptions().items():
            e = self.evidence_of(name)
            value = to_plain(getattr(self, name))
            unit, meaning = f.metadata["unit"], f.metadata["meaning"]
            yield LogRow(f"{group}.{name}", value, unit, e.source, e.confidence, meaning)

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some values changed."""
        kept = tuple((name, e) for name, e in self.evidence if name not in changes)
        return dataclasses.replace(self, **changes | {"evidence": (*kept, *changes.get("evidence", ()))})

    def _usual_evidence(self, name: str) -> Evidence:
        """Evidence of a value that was given without one: the default's own, or the user."""
        f = self.assumptions().get(name)
        is_default = f is not None and getattr(self, name) == f.default
        return f.metadata["evidence"] if f is not None and is_default else BY_USER

    def _relation_faults(self) -> Iterator[Fault]:
        """Yield what is wrong between values that are each right; groups that have such rules say so here."""
        yield from ()

    def _value_faults(self) -> Iterator[Fault]:
        place = type(self).__name__.lower()
        for name, f in self.assumptions().items():
            problem = _problem(getattr(self, name), f.default, f.metadata["low"], f.metadata["high"])
            if problem:
                meaning = as_sentence(f"{f.metadata['meaning']} ({f.metadata['unit']}).")
                came = str(getattr(self, name))
                yield Fault("assumptions", problem, came, meaning, variable=f"{place}.{name}")
        for name, e in self.evidence:
            if name not in self.assumptions():
                yield unknown_key(place, name, self.assumptions())
            if e.confidence not in CONFIDENCE:
                remedy = f"use one of {', '.join(CONFIDENCE)}"
                where = f"{place}.{name}"
                yield Fault("assumptions", "confidence is not a known mark", e.confidence, remedy, variable=where)


def _problem(value: Any, default: Any, low: float | None, high: float | None) -> str:
    """Say what is wrong with a value, or nothing."""
    if isinstance(default, Marginal):
        return value.faults() if isinstance(value, Marginal) else "must be a distribution"
    if isinstance(default, tuple):
        same = isinstance(value, tuple) and len(value) == len(default)
        if not same:
            return f"must have {len(default)} values"
        return next(filter(None, (_problem(v, d, low, high) for v, d in zip(value, default, strict=True))), "")
    if isinstance(default, Settings):
        return "" if isinstance(value, type(default)) else f"must be {type(default).__name__}"
    if isinstance(default, int) and not isinstance(value, int):
        return "must be a whole number"
    return _number_problem(value, low, high)


def _number_problem(value: Any, low: float | None, high: float | None) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return "must be a number"
    if low is not None and value < low:
        return f"must be at least {low:g}"
    if high is not None and value > high:
        return f"must be at most {high:g}"
    return ""


def to_plain(value: Any) -> Any:
    """Return a value as JSON and TOML hold it."""
    if isinstance(value, Marginal):
        return value.as_mapping()
    if isinstance(value, tuple):
        return [to_plain(v) for v in value]
    if isinstance(value, Settings):
        return {name: to_plain(getattr(value, name)) for name in value.assumptions()}
    return value


def from_plain(plain: Any, default: Any) -> Any:
    """Return a plain value as the type that a field's default has."""
    if isinstance(default, Marginal) and isinstance(plain, Mapping) and "family" in plain:
        return Marginal.from_mapping(plain)
    if isinstance(default, tuple) and isinstance(plain, list):
        inner = default[0] if default else 0.0
        return tuple(from_plain(v, inner) for v in plain)
    if isinstance(default, Settings) and isinstance(plain, Mapping):
        return from_section(type(default), plain, type(default).__name__.lower())
    return float(plain) if isinstance(default, float) and type(plain) is int else plain


def from_section(cls: type[Any], section: Mapping[str, Any], place: str, **fixed: Any) -> Any:
    """Build a settings group from a TOML section; unknown keys name the nearest known one."""
    known = cls.assumptions()
    faults = [unknown_key(place, key, known) for key in section if key not in known]
    values, evidence = {}, []
    for name, given in ((name, given) for name, given in section.items() if name in known):
        with_evidence = isinstance(given, Mapping) and "value" in given
        if with_evidence:
            faults += [unknown_key(f"{place}.{name}", key, ENTRY) for key in given if key not in ENTRY]
        values[name] = from_plain(given["value"] if with_evidence else given, known[name].default)
        if with_evidence and ("source" in given or "confidence" in given):
            source, confidence = given.get("source", BY_USER.source), given.get("confidence", "U")
            evidence.append((name, Evidence(str(source), str(confidence))))
    try:
        made = cls(**fixed, **values, evidence=tuple(evidence))
    except InputError as error:
        raise InputError([*faults, *error.faults]) from None
    if faults:
        raise InputError(faults)
    return made


def unknown_key(place: str, key: str, known: Any) -> Fault:
    """Fault for a key that is not known."""
    where = f"{place}.{key}" if place else key
    remedy = as_sentence(nearest(key, list(known)) or f"known keys: {', '.join(known)}.")
    return Fault("assumptions", "unknown key", key, remedy, variable=where)


def toml_inline(value: Any) -> str:
    """Return a plain value in TOML's inline form."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {toml_inline(v)}" for key, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(toml_inline(v) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False)
