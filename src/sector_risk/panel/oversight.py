"""The oversight framework's published file: one row for each trust, quarter and metric.

Two of its metrics make a panel: the planned surplus or deficit of the year and the variance to plan, both in
per cent of turnover. They are turned into one row per trust, and the rest of the file is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter

from sector_risk.faults import Fault, raise_if_any
from sector_risk.panel.cells import as_number, unreadable
from sector_risk.panel.tables import Table
from sector_risk.schema import QUARTER_END_MONTHS

PLAN, VARIANCE = "OF0079", "OF0081"
LABELS = ("trust_code", "region", "trust_type", "trust_subtype", "trust_name")
KEYS = ("trust_code", "quarter", "metric_id", "value")
LONG_FORM = frozenset(KEYS[1:])
HEADER = (*LABELS, "plan_pct_turnover", *(f"ytd_var_pct_m{month}" for month in QUARTER_END_MONTHS))


@dataclass(frozen=True)
class Record:
    """One row of the long file."""

    row: int
    year: str
    quarter: int
    trust: str
    metric: str
    value: str
    labels: tuple[str, ...]


def is_long(table: Table) -> bool:
    """Whether a table is in the published long form."""
    return set(KEYS) <= set(_names(table))


def widened(table: Table) -> Table:
    """Turn the long form into one row per trust.

    Parameters
    ----------
    table : Table
        With at least the columns Trust_code, Quarter (``"Q1 2025/26"``), Metric_ID and Value.

    Returns
    -------
    Table
        Of the latest year in the file: the labels and the plan as last published, the variance of each
        quarter. A row's number is that of the trust's plan.

    Raises
    ------
    InputError
        If a quarter or a value cannot be read, or if a trust has a metric twice in a quarter.
    """
    raise_if_any(_unreadable_quarters(table))
    records = list(_records(table))
    latest = max(record.year for record in records)
    chosen = sorted((r for r in records if r.year == latest), key=attrgetter("trust", "quarter", "row"))
    raise_if_any([*_unreadable(chosen, table), *_twice(chosen, table)])
    trusts = sorted((_row(list(group)) for _, group in groupby(chosen, attrgetter("trust"))), key=lambda t: t[0])
    numbers, body = tuple(number for number, _ in trusts), tuple(cells for _, cells in trusts)
    letters = tuple(_letter(table, name if name in LABELS else "value") for name in HEADER)
    return replace(
        table, header=HEADER, numbers=numbers, body=body, year=latest, letters=letters if table.letters else ()
    )


def _letter(table: Table, name: str) -> str:
    """The letter of a column of the long form; empty where there are none."""
    return dict(zip(_names(table), table.letters, strict=False)).get(name, "")


def _row(records: Sequence[Record]) -> tuple[int, tuple[str, ...]]:
    """One trust's row and its number, from its records in the order of the quarters."""
    plans = [record for record in records if record.metric == PLAN]
    variances = {record.quarter: record.value for record in records if record.metric == VARIANCE}
    last = plans[-1] if plans else records[-1]
    quarters = range(1, len(QUARTER_END_MONTHS) + 1)
    plan = last.value if plans else ""
    return last.row, (*records[-1].labels, plan, *(variances.get(quarter, "") for quarter in quarters))


def _names(table: Table) -> list[str]:
    return [name.strip().casefold() for name in table.header]


def _cells(table: Table) -> Iterator[tuple[int, Mapping[str, str]]]:
    names = _names(table)
    for number, row in zip(table.numbers, table.body, strict=True):
        yield number, dict(zip(names, row, strict=True))


def _records(table: Table) -> Iterator[Record]:
    for number, cells in _cells(table):
        quarter, start, end = _quarter(cells["quarter"])
        labels = tuple(cells.get(name, "") for name in LABELS)
        metric, value = cells["metric_id"].upper(), cells["value"]
        yield Record(number, f"{start}-{end}", int(quarter), cells["trust_code"], metric, value, labels)


def _quarter(text: str) -> Sequence[str]:
    match = re.fullmatch(r"Q([1-4])\s+(20\d\d)[/-](\d\d)", text.strip(), re.IGNORECASE)
    return match.groups() if match else ()


def _unreadable_quarters(table: Table) -> Iterator[Fault]:
    for number, cells in _cells(table):
        if not _quarter(cells["quarter"]):
            remedy = "Write it as Q1 2025/26."
            came, trust = cells["quarter"], cells["trust_code"]
            where = {"sheet": table.sheet, "column": _letter(table, "quarter")}
            yield Fault(table.source, "not a quarter", came, remedy, trust, "quarter", number, **where)


def _unreadable(records: Iterable[Record], table: Table) -> Iterator[Fault]:
    for record in records:
        if record.metric in (PLAN, VARIANCE):
            try:
                as_number(record.value)
            except ValueError:
                rule, remedy = unreadable(record.value, "text in a number", "Type a number.")
                yield _fault(record, table, rule, record.value, remedy)


def _twice(records: Iterable[Record], table: Table) -> Iterator[Fault]:
    seen: dict[tuple[str, int, str], int] = {}
    for record in records:
        key = (record.trust, record.quarter, record.metric)
        if record.metric in (PLAN, VARIANCE) and seen.setdefault(key, record.row) != record.row:
            rule = f"a second value for the same quarter (also in row {seen[key]})"
            yield _fault(record, table, rule, record.value, "Keep one.")


def _fault(record: Record, table: Table, rule: str, value: str, remedy: str) -> Fault:
    variable = "plan" if record.metric == PLAN else f"variance_ytd_m{3 * record.quarter}"
    where = {"sheet": table.sheet, "column": _letter(table, "value")}
    return Fault(table.source, rule, value, remedy, record.trust, variable, record.row, **where)
