"""What the page rests on: every assumption and rule with its evidence, and how the forecast was made."""

import json
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sector_risk.assumptions import CONFIDENCE, LogRow
from sector_risk.evidence_log import assumption_rows, rule_rows
from sector_risk.findings import Findings
from sector_risk.html_report.tables import Cell, Column, Table, amount, table, text
from sector_risk.readings import effect_label, regime_name

__all__ = ["Record", "mark_table", "record"]

NOT_GIVEN = "not given"
LOG_COLUMNS = tuple(Column(label, "text") for label in ("Name", "Value", "Unit", "Meaning", "Source", "Confidence"))


@dataclass(frozen=True)
class Record:
    """What the section shows."""

    lead: tuple[str, ...]
    assumptions: Table
    rules: Table
    made: Table


def record(found: Findings) -> Record:
    """All assumptions, all settings of rules, and how the forecast was made."""
    attrs = found.forecast.attrs
    known, rules = assumption_rows(attrs), rule_rows(attrs)
    return Record(
        lead=(
            f"{len(known)} assumptions and {len(rules)} settings of rules, each with its source and a mark for how far "
            "to trust it.",
        ),
        assumptions=_log_table(f"Assumptions log, {len(known)} rows", known),
        rules=_log_table(f"Rules of the regime {regime_name(attrs)}, {len(rules)} settings", rules),
        made=table("Versions, seed and data", (Column("What"), Column("Value", "text")), _made(attrs)),
    )


def mark_table(attrs: Mapping[Hashable, Any]) -> Table:
    """How many assumptions and settings of rules carry each mark of evidence."""
    counts = [Counter(row.confidence for row in rows) for rows in (assumption_rows(attrs), rule_rows(attrs))]
    columns = (Column("Mark"), Column("What it means", "text"), "Assumptions", "Settings of rules")
    rows = ((text(m), text(meaning), *(amount(count[m]) for count in counts)) for m, meaning in CONFIDENCE.items())
    return table("How well the assumptions are known", columns, rows)


def _log_table(caption: str, log: Iterable[LogRow]) -> Table:
    return table(caption, LOG_COLUMNS, (_log_row(row) for row in log))


def _log_row(row: LogRow) -> list[Cell]:
    group, _, name = row.name.partition(".")
    label = f"{effect_label(group)}: {name.replace('_', ' ').replace('.', ', ')}"
    mark = f"{row.confidence}: {CONFIDENCE[row.confidence]}"
    return [text(label), *map(text, (plainly(row.value), row.unit, row.meaning, row.source, mark))]


def plainly(value: Any) -> str:
    """Write the value of a setting as one reads it.

    Examples
    --------
    >>> plainly({"family": "beta", "a": 15.4, "b": 6.6}), plainly([0.15, 0.2]), plainly({"2019-20": 1050.0})
    ('beta, a 15.4, b 6.6', '0.15, 0.2', '2019-20: 1050')
    >>> plainly(True), plainly(None), plainly([[1.0, 0.0], [0.0, 1.0]])
    ('yes', 'not given', '1, 0; 0, 1')
    """
    if isinstance(value, Mapping) and value:
        return _mapping(value)
    if isinstance(value, list | tuple) and value:
        return ("; " if any(isinstance(v, list) for v in value) else ", ").join(map(plainly, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:.6g}" if isinstance(value, float) else f"{value}"
    return str(value) if value else NOT_GIVEN


def _mapping(value: Mapping[str, Any]) -> str:
    if "family" in value:
        return ", ".join([str(value["family"]), *(f"{k} {plainly(v)}" for k, v in value.items() if k != "family")])
    return "; ".join(f"{key.replace('_', ' ')}: {plainly(v)}" for key, v in value.items())


def _made(attrs: Mapping[Hashable, Any]) -> Iterator[tuple[Cell, Cell]]:
    """How the forecast was made, line by line."""
    said = {
        "Forecast": attrs.get("title"),
        "Financial year": attrs.get("year"),
        "Data": attrs.get("source"),
        "Trusts are synthetic": attrs.get("synthetic"),
        "Draws": f"{attrs['n_draws']:,}" if "n_draws" in attrs else None,
        "Seed": attrs.get("seed"),
        "Random numbers": attrs.get("random_stream"),
        "Parameter sets": attrs.get("parameter_sets"),
        "Panel's fingerprint": attrs.get("panel_hash"),
        "Made": attrs.get("created"),
        "Sign": attrs.get("sign"),
    }
    yield from ((text(name), text(value)) for name, value in said.items() if value not in (None, ""))
    versions = json.loads(attrs.get("versions", "{}"))
    yield text("Versions"), text(", ".join(f"{name} {version}" for name, version in versions.items()))
