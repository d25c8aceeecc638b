"""Which column of a table is which variable, in which month and in which unit."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sector_risk.faults import Fault, as_sentence, nearest
from sector_risk.schema import PANEL

NAMES: Mapping[str, str] = {name: spec.name for spec in PANEL.values() for name in (spec.name, *spec.aliases)}

# What a header is likely to have meant, for "did you mean": monthly names with a month.
LIKELY = tuple(f"{name}_m1" if PANEL[variable].is_monthly else name for name, variable in NAMES.items())

# Below this, real columns that are no variable ("nof_type") would pass for slips of the pen.
NEAR_MISS = 0.85

_HEADER = re.compile(
    r"(?P<stem>.+?)(?P<unit>_(?:£m|gbp_m|gbpm|m))?(?P<before>_pct(?:_(?:of_)?turnover)?)?"
    r"(?:_m(?P<month>0?[1-9]|1[0-2]))?(?P<after>_pct(?:_(?:of_)?turnover)?)?"
)


@dataclass(frozen=True)
class Column:
    """What a column holds.

    Parameters
    ----------
    variable : str
        A name of `PANEL`.
    month : int, optional
        The month, for a monthly variable.
    per_cent : bool
        Whether its cells are per cent of turnover and not GBP million.
    """

    variable: str
    month: int | None = None
    per_cent: bool = False

    @property
    def label(self) -> str:
        """The variable's name with its month: ``actual_m3``."""
        return f"{self.variable}_m{self.month}" if self.month else self.variable


@dataclass(frozen=True)
class Layout:
    """The columns of a table by position, and what was found on the way."""

    columns: Mapping[int, Column]
    ignored: tuple[str, ...]
    near_misses: Mapping[str, str]
    faults: tuple[Fault, ...]


def recognise(header: str) -> Column | None:
    """Say which variable a header names, if any.

    Parameters
    ----------
    header : str
        A column's name. Case, blanks and punctuation do not count.

    Returns
    -------
    Column or None
        None if no variable is known under this name.

    Examples
    --------
    >>> recognise("ODS code")
    Column(variable='trust', month=None, per_cent=False)
    >>> recognise("ytd_var_pct_M3")
    Column(variable='variance_ytd', month=3, per_cent=True)
    """
    key = key_of(header)
    match = _HEADER.fullmatch(key)
    parts = {"stem": key, "month": None} if key in NAMES or match is None else match.groupdict()
    spec = PANEL.get(NAMES.get(str(parts["stem"]), ""))
    per_cent = bool(parts.get("before") or parts.get("after"))
    if spec is None or bool(parts["month"]) != spec.is_monthly:
        return None
    if (per_cent or parts.get("unit")) and not spec.is_money:
        return None
    return Column(spec.name, int(parts["month"]) if parts["month"] else None, per_cent)


def label_of(header: str, mapping: Mapping[str, str] | None = None) -> str:
    """The variable that a column's name means, by the mapping or as it stands; empty if it is not known.

    >>> label_of("ODS code"), label_of("Reset", {"Reset": "plan"}), label_of("postcode")
    ('trust', 'plan', '')
    """
    column = recognise((mapping or {}).get(header, header))
    return column.label if column else ""


def lay_out(header: Sequence[str], mapping: Mapping[str, str] | None, place: str) -> Layout:
    """Assign the columns of a table to variables.

    Parameters
    ----------
    header : sequence of str
        The names of the columns.
    mapping : mapping of str to str, optional
        Column to variable, for columns whose own name is not known; it goes before what the names say.
    place : str
        The name of the file, for faults.

    Returns
    -------
    Layout
        With a fault for every required column that is missing, for every variable that has two columns
        and for every entry of the mapping that names nothing.
    """
    mapped, faults = _mapped(header, mapping or {}, place)
    taken = {column.label for column in mapped.values()}
    known = {
        position: column
        for position, name in enumerate(header)
        if (column := recognise(name)) and position not in mapped and column.label not in taken
    }
    columns = dict(sorted({**known, **mapped}.items()))
    absent = _missing(header, columns, place)
    ignored = tuple(name for position, name in enumerate(header) if position not in columns and name)
    return Layout(
        columns,
        ignored,
        near_misses(name for name in ignored if recognise(name) is None),
        (*faults, *_twice(header, columns, place), *_mixed(columns, place), *absent),
    )


def near_misses(names: Iterable[str]) -> dict[str, str]:
    """Those names that look like a slip of the pen, each with the question to ask.

    Examples
    --------
    >>> near_misses(["effciency_plan", "postcode"])
    {'effciency_plan': "did you mean 'efficiency_plan'?"}
    """
    asked = {name: _question(key_of(name)) for name in names}
    return {name: question for name, question in asked.items() if question}


def _question(key: str) -> str:
    monthly = key in NAMES and PANEL[NAMES[key]].is_monthly
    return f"did you mean '{key}_m1' to '{key}_m12'?" if monthly else nearest(key, LIKELY, NEAR_MISS)


def key_of(header: str) -> str:
    """A column's name without case, blanks and punctuation.

    >>> key_of("Plan (% of turnover)")
    'plan_pct_of_turnover'
    """
    words = header.casefold().replace("%", " pct ").replace("per cent", "pct")
    return re.sub(r"[^0-9a-z£]+", "_", words).strip("_")


def _mapped(header: Sequence[str], mapping: Mapping[str, str], place: str) -> tuple[dict[int, Column], list[Fault]]:
    columns: dict[int, Column] = {}
    faults = []
    for name, variable in mapping.items():
        column = recognise(variable)
        if name not in header:
            remedy = f"Name a column that is there. {as_sentence(nearest(name, header))}".strip()
            faults.append(Fault(place, "the mapping names a column that is not there", name, remedy))
        elif column is None:
            faults.append(Fault(place, "the mapping names an unknown variable", variable, _known(variable)))
        else:
            columns[header.index(name)] = column
    return columns, faults


def _known(variable: str) -> str:
    question = _question(key_of(variable)) or nearest(variable, LIKELY)
    return as_sentence(question) if question else f"The variables are {', '.join(PANEL)}."


def _twice(header: Sequence[str], columns: Mapping[int, Column], place: str) -> list[Fault]:
    by_label = defaultdict(list)
    for position, column in columns.items():
        by_label[column.label].append(header[position])
    return [
        Fault(
            place,
            "two columns for one variable",
            ", ".join(names),
            f"Keep one of them, or choose it: mapping={{'{names[0]}': '{label}'}}.",
            variable=label,
        )
        for label, names in by_label.items()
        if len(names) > 1
    ]


def _mixed(columns: Mapping[int, Column], place: str) -> list[Fault]:
    units = defaultdict(set)
    for column in columns.values():
        units[column.variable].add(column.per_cent)
    remedy = "Give all its months in one unit."
    return [
        Fault(place, "some months in GBP million and others in per cent", "", remedy, variable=name)
        for name, found in units.items()
        if len(found) > 1 and PANEL[name].is_monthly
    ]


def _missing(header: Sequence[str], columns: Mapping[int, Column], place: str) -> list[Fault]:
    present = {column.variable for column in columns.values()}
    if not present:
        remedy = "Put the column names in the first row, one to a cell; in a text file, separate cells by commas."
        return [Fault(place, "no known column in the header", _shown(header), remedy)]
    # A subtype says the type too.
    needed = [name for name, spec in PANEL.items() if spec.required and name not in present]
    if "trust_subtype" in present and "trust_type" in needed:
        needed.remove("trust_type")
    free = [name for position, name in enumerate(header) if position not in columns]
    return [Fault(place, "required column missing", "", _where_it_may_be(name, free), variable=name) for name in needed]


def _shown(header: Sequence[str], most: int = 60) -> str:
    text = " | ".join(header)
    return text if len(text) <= most else f"{text[:most]} ..."


def _where_it_may_be(name: str, free: Sequence[str]) -> str:
    names = [key for key, variable in NAMES.items() if variable == name]
    question = next((asked for known in names if (asked := nearest(known, free))), "")
    offer = f" {as_sentence(question)} If so, pass mapping={{that column: '{name}'}}." if question else ""
    return f"Add the column '{name}' under that name in the first row.{offer}"
