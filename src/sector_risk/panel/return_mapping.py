"""What a finance return's columns are, in which units: read from a mapping or a TOML file, and checked."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sector_risk.faults import Fault, InputError, as_sentence, nearest, raise_if_any
from sector_risk.panel.columns import NAMES, key_of
from sector_risk.panel.draft import PER_CENT
from sector_risk.panel.months import month_of
from sector_risk.schema import MONEY, PANEL

CUMULATIVE, IN_MONTH = "cumulative", "in month"
DIVISORS: Mapping[str, float] = {MONEY: 1.0, "GBP thousand": 1e3, "GBP": 1e6, PER_CENT: 1.0}
KEYS = ("as_at", "columns", "constants", "monthly", "sheet", "unit", "units")
MONTH = "month"
SLOT = "{month}"

# What a return says of savings beyond what a panel has, year to date like every monthly figure.
SPLITS: Mapping[str, str] = {
    "recurrent_planned": "recurrent savings planned, year to date",
    "one_off_planned": "one-off savings planned, year to date",
    "recurrent_delivered": "recurrent savings delivered, year to date",
    "one_off_delivered": "one-off savings delivered, year to date",
}
KNOWN: Mapping[str, str] = {**NAMES, **{name: name for name in SPLITS}, MONTH: MONTH, "period": MONTH}
VARIABLES = (*PANEL, *SPLITS, MONTH)
CONSTANTS = ("region", "trust_type", "trust_subtype", "system")

_WITH_MONTH = re.compile(r"(?P<stem>.+?)_m(?P<month>\d{1,2})(?P<rest>_pct(?:_(?:of_)?turnover)?)?")
_PER_CENT = re.compile(r"(?P<stem>.+?)_pct(?:_(?:of_)?turnover)?")


@dataclass(frozen=True)
class ReturnColumn:
    """What a column holds: a variable, its month where the name says it, and whether it is in per cent."""

    variable: str
    month: str = ""
    per_cent: bool = False


@dataclass(frozen=True)
class ReturnMapping:
    """A checked mapping.

    Parameters
    ----------
    columns : mapping of str to str
        Column to variable; ``{month}`` in a column's name stands for any month.
    constants : mapping of str to str
        Labels that are the same for every trust.
    unit : str
        The unit of money where `units` says nothing else.
    units : mapping of str to str
        The unit of single variables.
    monthly : str
        Whether monthly figures are cumulative or in-month.
    sheet : str or None
        The sheet of a workbook.
    as_at : int or None
        The month of the return: the last with actual figures.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    unit: str = MONEY
    units: Mapping[str, str] = field(default_factory=dict)
    monthly: str = CUMULATIVE
    sheet: str | None = None
    as_at: int | None = None

    def unit_of(self, variable: str) -> str:
        """The unit of a variable's money; turnover is never in per cent of itself."""
        general = MONEY if variable == "turnover" and self.unit == PER_CENT else self.unit
        return self.units.get(variable, general)

    def column(self, header: str) -> ReturnColumn | None:
        """What a column is; None if nobody says and its own name is not known."""
        for pattern, meant in self.columns.items():
            if slot := _match(pattern, header):
                named = meaning(meant)
                return named and ReturnColumn(named.variable, slot[1] or named.month, named.per_cent)
        return meaning(header)

    def label(self, header: str) -> str:
        """The variable of a column, for telling the row of column names from others."""
        found = self.column(header)
        return found.variable if found else ""

    def unmatched(self, header: Iterable[str]) -> list[str]:
        """Columns of the mapping that the table has not."""
        names = list(header)
        return [pattern for pattern in self.columns if not any(_match(pattern, name) for name in names)]


def meaning(name: str) -> ReturnColumn | None:
    """What a column's name means by itself.

    >>> meaning("Actual M13")
    ReturnColumn(variable='actual', month='13', per_cent=False)
    >>> meaning("postcode") is None
    True
    """
    key = key_of(name)
    if key in KNOWN:
        return ReturnColumn(KNOWN[key])
    match = _WITH_MONTH.fullmatch(key)
    stem, month = (match["stem"] + (match["rest"] or ""), match["month"]) if match else (key, "")
    share = _PER_CENT.fullmatch(stem)
    variable = KNOWN.get(share["stem"] if share else stem, "")
    monthly = variable in SPLITS or (variable in PANEL and PANEL[variable].is_monthly)
    if not variable or (month and not monthly) or (share and not is_money(variable)):
        return None
    return ReturnColumn(variable, month, bool(share))


def is_money(variable: str) -> bool:
    """Whether a variable of a return is money."""
    return variable in SPLITS or (variable in PANEL and PANEL[variable].is_money)


def _match(pattern: str, header: str) -> tuple[str, str] | None:
    """The header and the month that stands in its slot, if it fits."""
    if SLOT not in pattern:
        return (header, "") if pattern.strip() == header else None
    before, after = (re.escape(part) for part in pattern.strip().split(SLOT, 1))
    match = re.fullmatch(f"{before}(.+){after}", header)
    return (header, match[1].strip()) if match else None


def read_mapping(mapping: Mapping[str, Any] | str | Path | None) -> ReturnMapping:
    """Read and check a mapping.

    Parameters
    ----------
    mapping : mapping, str, Path or None
        The mapping itself, or the path of a TOML file that holds it.

    Returns
    -------
    ReturnMapping
        With what was not said left at its default.

    Raises
    ------
    InputError
        With every fault: a key, a variable or a unit that is not known (and the nearest that is).

    Examples
    --------
    >>> read_mapping({"unit": "GBP thousand", "columns": {"Org": "trust"}}).unit_of("plan")
    'GBP thousand'
    """
    if mapping is None:
        return ReturnMapping()
    place = "mapping" if isinstance(mapping, Mapping) else Path(mapping).name
    given = dict(mapping) if isinstance(mapping, Mapping) else _from_toml(Path(mapping))
    raise_if_any(_faults(given, place))
    as_at = given.get("as_at")
    return ReturnMapping(**{**given, "as_at": None if as_at is None else month_of(str(as_at), None)})


def _from_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        remedy = "Check the name and the folder."
        raise InputError([Fault(str(path), "the mapping cannot be opened", str(error.strerror), remedy)]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        remedy = 'Write lines such as "Org code" = "trust" under [columns].'
        raise InputError([Fault(path.name, "not readable as TOML", str(error), remedy)]) from None


def _faults(given: Mapping[str, Any], place: str) -> Iterator[Fault]:
    for key in given:
        if key not in KEYS:
            remedy = f"The keys are {', '.join(KEYS)}; columns go under 'columns'."
            yield Fault(place, "unknown key", str(key), _asked(str(key), KEYS, remedy))
    tables = ("columns", "constants", "units")
    wrong = [key for key in tables if not _is_table(given.get(key, {}))]
    for key in wrong:
        yield Fault(place, f"'{key}' is not a table of texts", str(given[key]), f"Write it under [{key}].")
    if not wrong:
        yield from _unknown(given, place)
    yield from _wrong_values(given, place)


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(text, str) for text in (*value, *value.values()))


def _unknown(given: Mapping[str, Any], place: str) -> Iterator[Fault]:
    for name, meant in given.get("columns", {}).items():
        if meaning(meant) is None:
            remedy = _asked(meant, KNOWN, f"The variables are {', '.join(VARIABLES)}.")
            yield Fault(place, f"column '{name}' is mapped to an unknown variable", meant, remedy)
    for name in given.get("constants", {}):
        if name not in CONSTANTS:
            remedy = _asked(name, CONSTANTS, f"They may be {', '.join(CONSTANTS)}.")
            yield Fault(place, "not a label that can be the same for all", name, remedy)
    money = [name for name in VARIABLES if is_money(name)]
    for name in given.get("units", {}):
        if name not in money:
            yield Fault(place, "a unit of what is not money", name, _asked(name, money, "Leave it out."))


def _wrong_values(given: Mapping[str, Any], place: str) -> Iterator[Fault]:
    units = given["units"].values() if _is_table(given.get("units", {})) and "units" in given else ()
    for unit in (given.get("unit", MONEY), *units):
        if unit not in DIVISORS:
            yield Fault(place, "unknown unit", str(unit), _asked(str(unit), DIVISORS, f"Use {', '.join(DIVISORS)}."))
    monthly = given.get("monthly", CUMULATIVE)
    if monthly not in (CUMULATIVE, IN_MONTH):
        yield Fault(place, "unknown kind of monthly figure", str(monthly), f"Use '{CUMULATIVE}' or '{IN_MONTH}'.")
    if not isinstance(given.get("sheet", ""), str):
        yield Fault(place, "not a sheet", str(given["sheet"]), "Give the sheet's name as text.")
    try:
        month_of(str(given.get("as_at", 1)), None)
    except ValueError as error:
        remedy = "Give a month from 1 (April) to 12 (March)."
        yield Fault(place, f"as_at is {error}", str(given["as_at"]), remedy)


def _asked(name: str, known: Iterable[str], otherwise: str) -> str:
    return as_sentence(nearest(name, known)) or otherwise
