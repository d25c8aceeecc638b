"""What all settings can do, assumptions and rules alike: check themselves, name their sources, go to and from TOML."""

import dataclasses
import json
import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

from sector_risk.faults import Fault, InputError, as_sentence, nearest
from sector_risk.marginal import Marginal
from sector_risk.schema import is_year_label

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


class ByYear(Mapping[str, float]):
    """A value by financial year; it holds until the next year named, and before the first it is nought.

    Examples
    --------
    >>> pots = ByYear({"2019-20": 1050.0, "2021-22": 500.0})
    >>> pots.at("2018-19"), pots.at("2020-21"), pots.at("2024-25")
    (0.0, 1050.0, 500.0)
    """

    def __init__(self, values: Mapping[str, float] | None = None) -> None:
        self._values = dict(values or {})

    def at(self, label: str) -> float:
        """Return the value in force in a year."""
        named = [year for year in sorted(self) if year <= label]
        return float(self[named[-1]]) if named else 0.0

    def __getitem__(self, label: str) -> float:
        """Return the value named for this very year."""
        return self._values[label]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the years named."""
        return iter(self._values)

    def __len__(self) -> int:
        """Count the years named."""
        return len(self._values)

    def __hash__(self) -> int:
        """Hash: the values never change, and their order does not count."""
        return hash(frozenset(self._values.items()))

    def __repr__(self) -> str:
        """Show the values."""
        return f"ByYear({self._values})"


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
    choices: tuple[str, ...] = (),
    any_length: bool = False,
) -> Any:
    """Declare a field of a settings class with its evidence and range.

    A text is one of `choices` or, where there are none, a financial year or nothing (""). A list has as many values
    as its default or, with `any_length`, one or more.
    """
    metadata = {
        "unit": unit,
        "meaning": meaning,
        "evidence": Evidence(source, confidence),
        "low": low,
        "high": high,
        "choices": choices,
        "any_length": any_length,
    }
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """Base of groups of assumptions and of rules: fields made by `assumption`, and evidence for those changed.

    `evidence` maps a field's name to the `Evidence` for the value given here. A changed value without one is
    logged as set by the user. Lists and tables may be given as plain Python has them.
    """

    place: ClassVar[str] = "assumptions"
    """Where faults say that they are."""

    evidence: tuple[tuple[str, Evidence], ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        """Check every value; all faults in one `InputError`."""
        for name, f in self.assumptions().items():
            object.__setattr__(self, name, from_plain(getattr(self, name), f.default))
        faults = [*self._value_faults()] or [*self._relation_faults()]
        if faults:
            raise InputError(faults)
        given = dict(self.evidence)
        named = [name for name in self.assumptions() if name in given]  # in one order, so that equal settings are equal
        changed = tuple((name, given[name]) for name in named if self._usual_evidence(name) != given[name])
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

    @classmethod
    def section(cls) -> str:
        """Name of the section that holds these settings in files and messages."""
        return cls.__name__.lower()

    def _relation_faults(self) -> Iterator[Fault]:
        """Yield what is wrong between values that are each right; groups that have such rules say so here."""
        yield from ()

    def _value_faults(self) -> Iterator[Fault]:
        for name, f in self.assumptions().items():
            problem = _problem(getattr(self, name), f.default, f.metadata)
            if problem:
                meaning = as_sentence(f"{f.metadata['meaning']} ({f.metadata['unit']}).")
                came = str(getattr(self, name))
                yield Fault(self.place, problem, came, meaning, variable=f"{self.section()}.{name}")
        for name, e in self.evidence:
            if name not in self.assumptions():
                yield unknown_key(self.section(), name, self.assumptions(), self.place)
            if e.confidence not in CONFIDENCE:
                remedy = f"use one of {', '.join(CONFIDENCE)}"
                where = f"{self.section()}.{name}"
                yield Fault(self.place, "confidence is not a known mark", e.confidence, remedy, variable=where)


def _problem(value: Any, default: Any, limits: Mapping[str, Any]) -> str:
    """Say what is wrong with a value, or nothing."""
    checks = (problem for kind, problem in _PROBLEMS if isinstance(default, kind))
    return next(checks, _number_problem)(value, default, limits)


def _marginal_problem(value: Any, _default: Any, _limits: Any) -> str:
    return value.faults() if isinstance(value, Marginal) else "must be a distribution"


def _tuple_problem(value: Any, default: Any, limits: Mapping[str, Any]) -> str:
    if limits["any_length"] and isinstance(value, tuple) and value:
        default = default[:1] * len(value)
    if not isinstance(value, tuple) or len(value) != len(default):
        return "must have one value or more" if limits["any_length"] else f"must have {len(default)} values"
    return _first_problem(_problem(v, d, limits) for v, d in zip(value, default, strict=True))


def _table_problem(value: Any, _default: Any, limits: Mapping[str, Any]) -> str:
    if not isinstance(value, ByYear):
        return "must be a table of values by year"
    wrong = [label for label in value if not is_year_label(label)]
    if wrong:
        return f"must have financial years such as 2019-20 as names, not {wrong[0]}"
    return _first_problem(_number_problem(v, 0.0, limits) for v in value.values())


def _text_problem(value: Any, _default: Any, limits: Mapping[str, Any]) -> str:
    choices = limits["choices"]
    if choices:
        return "" if value in choices else f"must be one of {', '.join(choices)}"
    is_year = isinstance(value, str) and (not value or is_year_label(value))
    return "" if is_year else "must be a financial year such as 2019-20"


def _settings_problem(value: Any, default: Any, _limits: Any) -> str:
    return "" if isinstance(value, type(default)) else f"must be {type(default).__name__}"


def _flag_problem(value: Any, _default: Any, _limits: Any) -> str:
    return "" if isinstance(value, bool) else "must be true or false"


def _optional_problem(value: Any, _default: Any, limits: Mapping[str, Any]) -> str:
    return "" if value is None else _number_problem(value, 0.0, limits)


def _number_problem(value: Any, default: Any, limits: Mapping[str, Any]) -> str:
    low, high = limits["low"], limits["high"]
    if isinstance(default, int) and (not isinstance(value, int) or isinstance(value, bool)):
        return "must be a whole number"
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return "must be a number"
    if low is not None and value < low:
        return f"must be at least {low:g}"
    if high is not None and value > high:
        return f"must be at most {high:g}"
    return ""


def _first_problem(problems: Iterator[str]) -> str:
    return next(filter(None, problems), "")


_PROBLEMS: tuple[tuple[type, Any], ...] = (
    (Marginal, _marginal_problem),
    (tuple, _tuple_problem),
    (ByYear, _table_problem),
    (str, _text_problem),
    (Settings, _settings_problem),
    (bool, _flag_problem),
    (type(None), _optional_problem),
)


def read_toml(source: str | Path, place: str) -> dict[str, Any]:
    """Read TOML from a file, or from text (recognised by its line breaks or equals signs)."""
    is_text = isinstance(source, str) and ("\n" in source or "=" in source)
    text = str(source) if is_text else _read(Path(source))
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError([Fault(place, "not TOML", str(error), "Correct the line that is named.")]) from None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError([Fault(str(path), "cannot be read as text", str(error), "Give a TOML file.")]) from None


def to_plain(value: Any) -> Any:
    """Return a value as JSON and TOML hold it."""
    if isinstance(value, Marginal):
        return value.as_mapping()
    if isinstance(value, tuple):
        return [to_plain(v) for v in value]
    if isinstance(value, Settings):
        return {name: to_plain(getattr(value, name)) for name in value.assumptions()}
    return dict(value) if isinstance(value, ByYear) else value


def from_plain(plain: Any, default: Any) -> Any:
    """Return a plain value as the type that a field's default has."""
    if isinstance(default, Marginal) and isinstance(plain, Mapping) and "family" in plain:
        return Marginal.from_mapping(plain)
    if isinstance(default, tuple) and isinstance(plain, list):
        inner = default[0] if default else 0.0
        return tuple(from_plain(v, inner) for v in plain)
    if isinstance(default, ByYear) and isinstance(plain, Mapping):
        return ByYear(plain)
    if isinstance(default, Settings) and isinstance(plain, Mapping):
        return from_section(type(default), plain, default.section())
    return float(plain) if isinstance(default, float) and type(plain) is int else plain


def with_evidence(settings: Settings) -> dict[str, Any]:
    """Return value, source and confidence of each setting; what is not given (None) only if it has its own evidence."""
    entries = {name: _entry(settings, name) for name in settings.assumptions()}
    own = dict(settings.evidence)
    return {name: entry for name, entry in entries.items() if "value" in entry or name in own}


def _entry(settings: Settings, name: str) -> dict[str, Any]:
    value, evidence = to_plain(getattr(settings, name)), settings.evidence_of(name)
    said = {"source": evidence.source, "confidence": evidence.confidence}
    return said if value is None else {"value": value} | said


def from_section(cls: type[Any], section: Mapping[str, Any], place: str, **fixed: Any) -> Any:
    """Build a settings group from a TOML section; unknown keys name the nearest known one."""
    known = cls.assumptions()
    faults = [unknown_key(place, key, known, cls.place) for key in section if key not in known]
    values, evidence = {}, []
    for name, given in ((name, given) for name, given in section.items() if name in known):
        with_evidence = isinstance(given, Mapping) and "value" in given
        if with_evidence:
            faults += [unknown_key(f"{place}.{name}", key, ENTRY, cls.place) for key in given if key not in ENTRY]
        values[name] = given["value"] if with_evidence else given
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


def unknown_key(section: str, key: str, known: Any, place: str = "assumptions") -> Fault:
    """Fault for a key that is not known."""
    where = f"{section}.{key}" if section else key
    remedy = as_sentence(nearest(key, list(known)) or f"known keys: {', '.join(known)}.")
    return Fault(place, "unknown key", key, remedy, variable=where)


def toml_inline(value: Any) -> str:
    """Return a plain value in TOML's inline form."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_toml_key(key)} = {toml_inline(v)}" for key, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(toml_inline(v) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _toml_key(key: str) -> str:
    return key if key.replace("_", "").isalnum() and key.isascii() else json.dumps(key)
