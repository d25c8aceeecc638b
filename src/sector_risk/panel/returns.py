"""A monthly finance return: plan, actual, forecast and savings by month, in somebody's own columns.

A long return has a row for each trust and month, a wide one a row for each trust and a column for each
month. Both become cells that know their trust, variable, month and place in the file; then units are
converted, in-month figures added up, savings summed over recurrent and one-off, and the panel checked.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from sector_risk.faults import Fault, InputError, as_sentence, nearest
from sector_risk.panel.build import blind, complete_draft, warn, year_of
from sector_risk.panel.cells import as_value, is_excel_error, is_missing, unreadable
from sector_risk.panel.check import MISSING_COLUMN
from sector_risk.panel.draft import PER_CENT, Draft, Floats, draft_of_dataset
from sector_risk.panel.fill import start_of
from sector_risk.panel.months import month_of
from sector_risk.panel.return_mapping import (
    DIVISORS,
    IN_MONTH,
    MONTH,
    SPLITS,
    ReturnColumn,
    ReturnMapping,
    is_money,
    read_mapping,
)
from sector_risk.panel.tables import Headings, Table, read_table
from sector_risk.schema import AMOUNT_SIGN, FRACTION, MONEY, MONTHS, PANEL

# A return says these anew every month: the latest counts. Other figures of the year may not change.
LATEST = frozenset({"forecast"})
# What has not happened yet at the month of the return; a nought there is a blank.
OBSERVED = frozenset({"actual", "variance_ytd", "efficiency_delivered", "recurrent_delivered", "one_off_delivered"})
TEXTS = frozenset(name for name, spec in PANEL.items() if spec.kind == "text")
ATTRS = {name: {"long_name": said, "sign": AMOUNT_SIGN} for name, said in SPLITS.items()}
MONTHS_ARE = "Name a month of the financial year: 1 (April) to 12 (March), a month's name or a date."
NOT_A_NUMBER = ("text in a number", "Type a number, or leave the cell blank if it is not known.")


def read_return(
    path: str | Path,
    *,
    mapping: Mapping[str, Any] | str | Path | None = None,
    year: str | None = None,
    sheet: str | None = None,
) -> xr.Dataset:
    r"""Read a monthly finance return into a checked and complete panel.

    Parameters
    ----------
    path : str or Path
        A ``.csv``, ``.xlsx``, ``.xls``, ``.ods`` or ``.parquet`` file: long, with a column for the month, or
        wide, with the month in the columns' names. The order of rows and columns does not matter.
    mapping : mapping, str or Path, optional
        What the columns are, as a mapping or a TOML file. Its keys: ``columns`` (column to variable;
        ``"Actual {month}"`` stands for a column of each month), ``unit`` of money and ``units`` of single
        variables (``"GBP million"``, the default; ``"GBP thousand"``; ``"GBP"``; ``"per cent of
        turnover"``), ``monthly`` (``"cumulative"``, the default, or ``"in month"``: those are added up),
        ``as_at`` (the month of the return, the last with actual figures), ``sheet``, and ``constants``
        (labels that are the same for all: ``region = "London"``). Variables are those of a panel and
        ``month``, ``recurrent_planned``, ``one_off_planned``, ``recurrent_delivered``,
        ``one_off_delivered``. Columns whose own names are known need no mapping.
    year : str, optional
        The financial year, ``"2018-19"``. By default it is looked for in the file's name.
    sheet : str, optional
        The sheet of a workbook; it goes before the mapping's.

    Returns
    -------
    xarray.Dataset
        As `read_panel`. A plan that is not given is month 12 of ``plan_ytd``; ``efficiency_plan`` and
        ``efficiency_recurrent_share`` are month 12 of the savings planned, ``efficiency_delivered`` the sum
        of what was delivered, where they are not given. The savings' parts are kept beside the panel's
        variables. Of a forecast that is repeated by month the latest counts.

    Raises
    ------
    InputError
        With every fault: of the mapping first, then of the file, with sheet, row and column.

    Warns
    -----
    InputWarning
        As `read_panel`.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> file = Path(folder.name, "return_2018-19.csv")
    >>> _ = file.write_text(
    ...     "Org,Period,Income,Year plan,CIP plan,Result,Recurrent CIP,Other CIP\n"
    ...     "ZZ1,Apr-18,400000,-12000,16000,-1500,900,100\n"
    ...     "ZZ1,May-18,400000,-12000,16000,(2500),800,200\n"
    ... )
    >>> panel = read_return(
    ...     file,
    ...     mapping={
    ...         "unit": "GBP thousand",
    ...         "monthly": "in month",
    ...         "columns": {
    ...             "Org": "trust",
    ...             "Year plan": "plan",
    ...             "Result": "actual",
    ...             "Recurrent CIP": "recurrent_delivered",
    ...             "Other CIP": "one_off_delivered",
    ...         },
    ...         "constants": {"region": "London", "trust_type": "Acute"},
    ...     },
    ... )
    >>> panel["actual"].sel(trust="ZZ1").values[:3].tolist()
    [-1.5, -4.0, nan]
    >>> panel["efficiency_delivered"].sel(trust="ZZ1").values[:2].tolist()
    [1.0, 2.0]
    >>> folder.cleanup()
    """
    rules = read_mapping(mapping)
    table = read_table(path, Headings(rules.label, (frozenset({"trust"}),)), sheet or rules.sheet)
    financial_year = year_of(year, table.source)
    reading = Reading(table, rules, start_of(financial_year))
    columns = list(reading.column_faults())
    if "trust" not in reading.variables:
        raise InputError(columns)
    draft = _draft(reading, list(reading.figures()))
    attrs = {
        "year": financial_year,
        "source": table.source,
        "read_from": table.read_from,
        "ignored_columns": json.dumps(reading.ignored),
    }
    panel, messages = complete_draft(draft, attrs, [*columns, *reading.faults, *_absent(draft.panel, table)])
    warn([*blind(table), *messages])
    return panel


# --- cells ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Figure:
    """One figure or label: whose, what, of which month (0: of the year), said in which month's row."""

    trust: int
    variable: str
    month: int
    value: Any
    row: int
    said: int
    letter: str

    @property
    def label(self) -> str:
        """The variable with its month: ``actual_m3``."""
        return f"{self.variable}_m{self.month}" if self.month else self.variable


class Reading:
    """A table being read: which column is what, whose row is whose, and what was found on the way."""

    def __init__(self, table: Table, rules: ReturnMapping, start: int | None) -> None:
        self.table, self.rules, self.start = table, rules, start
        found = {position: rules.column(name) for position, name in enumerate(table.header) if name}
        self.columns = {position: column for position, column in found.items() if column}
        self.ignored = [table.header[position] for position, column in found.items() if not column]
        self.variables = frozenset(column.variable for column in self.columns.values())
        self.codes: list[str] = []
        self.rows: list[int] = []
        self.faults: list[Fault] = []

    @property
    def is_long(self) -> bool:
        """Whether there is a row for each month."""
        return MONTH in self.variables

    def letter(self, position: int) -> str:
        """The letter of a column; empty where the file has none."""
        return self.table.letters[position] if self.table.letters else ""

    def fault(self, rule: str, value: str, remedy: str, **where: Any) -> Fault:
        """A fault of this table."""
        return Fault(self.table.source, rule, value, remedy, sheet=self.table.sheet, **where)

    def unit(self, column: ReturnColumn) -> str:
        """The unit of a column's money: what its name says, else the mapping."""
        return PER_CENT if column.per_cent else self.rules.unit_of(column.variable)

    def units(self, variable: str) -> set[str]:
        """The units of all columns of a variable."""
        return {self.unit(column) for column in self.columns.values() if column.variable == variable}

    def column_faults(self) -> Iterator[Fault]:
        """What is wrong with the columns, whatever they hold."""
        for name in self.rules.unmatched(self.table.header):
            remedy = f"Name a column that is there. {as_sentence(nearest(name, self.table.header))}".strip()
            yield self.fault("the mapping names a column that is not there", name, remedy)
        if "trust" not in self.variables:
            remedy = 'Say which column has the trust\'s code: "its name" = "trust" under columns.'
            yield self.fault(MISSING_COLUMN, " | ".join(self.table.header)[:60], remedy, variable="trust")
        yield from self._columns_twice()
        yield from self._two_units()
        for position, column in self.columns.items():
            yield from self._misfits(position, column)

    def _columns_twice(self) -> Iterator[Fault]:
        first: dict[tuple[str, str], int] = {}
        for position, column in self.columns.items():
            before = first.setdefault((column.variable, self._month_text(column)), position)
            if before != position:
                names = f"{self.table.header[before]}, {self.table.header[position]}"
                remedy = "Keep one of them, or map the other to what it is."
                where = {"variable": column.variable, "column": self.letter(position)}
                yield self.fault("two columns for one variable", names, remedy, **where)

    def _two_units(self) -> Iterator[Fault]:
        units = {name: self.units(name) for name in sorted(self.variables) if is_money(name)}
        units["savings"] = set().union(*(units.get(name, set()) for name in SPLITS))
        for name, found in units.items():
            if PER_CENT in found and len(found) > 1:
                remedy = "Give all its columns in one unit."
                yield self.fault("some columns in per cent and others not", name, remedy)

    def _month_text(self, column: ReturnColumn) -> str:
        try:
            return str(month_of(column.month, self.start))
        except ValueError:
            return column.month

    def _misfits(self, position: int, column: ReturnColumn) -> Iterator[Fault]:
        where = {"variable": column.variable, "column": self.letter(position)}
        name, monthly = self.table.header[position], is_monthly(column.variable)
        if monthly and not column.month and not self.is_long:
            remedy = "Name it with its month, such as 'actual_m3', or give a column for the month."
            yield self.fault("which month is this?", name, remedy, **where)
        if monthly and self.rules.monthly == IN_MONTH and self.unit(column) == PER_CENT:
            remedy = "Give GBP, or cumulative figures."
            yield self.fault("in-month per cents cannot be added up", name, remedy, **where)
        if column.month:
            yield from self._misnamed(position, column, where)

    def _misnamed(self, position: int, column: ReturnColumn, where: Mapping[str, str]) -> Iterator[Fault]:
        try:
            month_of(column.month, self.start)
        except ValueError as error:
            yield self.fault(str(error), self.table.header[position], MONTHS_ARE, **where)

    def figures(self) -> Iterator[Figure]:
        """Every figure and label that is there, in the order of the rows."""
        places = {column.variable: position for position, column in self.columns.items()}
        owners: dict[str, int] = {}
        for number, row in zip(self.table.numbers, self.table.body, strict=True):
            code = row[places["trust"]]
            owner = owners.setdefault(code.casefold() if self.is_long else str(number), len(owners))
            if owner == len(self.codes):
                self.codes.append(code)
                self.rows.append(number)
            if is_excel_error(code):
                rule, remedy = unreadable(code, *NOT_A_NUMBER)
                where = {"trust": code, "variable": "trust", "row": number, "column": self.letter(places["trust"])}
                self.faults.append(self.fault(rule, code, remedy, **where))
            yield from self._of_row(number, row, owner, places.get(MONTH))

    def _of_row(self, number: int, row: tuple[str, ...], owner: int, place: int | None) -> Iterator[Figure]:
        said = 0
        if place is not None:
            try:
                said = month_of(row[place], self.start)
            except ValueError as error:
                where = {"variable": MONTH, "row": number, "column": self.letter(place), "trust": self.codes[owner]}
                self.faults.append(self.fault(str(error), row[place], MONTHS_ARE, **where))
                return
        for position, column in self.columns.items():
            if column.variable in ("trust", MONTH) or is_missing(row[position]):
                continue
            figure = self._figure(number, row[position], owner, said, position)
            if figure is not None:
                yield figure

    def _figure(self, number: int, text: str, owner: int, said: int, position: int) -> Figure | None:
        column = self.columns[position]
        month = 0
        if is_monthly(column.variable):
            named = self._month_text(column)
            month = said if not column.month else int(named) if named.isdecimal() and int(named) <= MONTHS else 0
            if month == 0:
                return None  # the column has its fault
        bare = Figure(owner, column.variable, month, text, number, said, self.letter(position))
        try:
            return replace(bare, value=self._value(column, text))
        except ValueError:
            rule, remedy = unreadable(text, *NOT_A_NUMBER)
            self.faults.append(self.at(bare, rule, text, remedy))
            return None

    def _value(self, column: ReturnColumn, text: str) -> float | str:
        spec = PANEL.get(column.variable)
        if column.variable in TEXTS:
            if is_excel_error(text):
                raise ValueError(text)
            return text
        kind = spec.kind if spec else "float"
        share = is_money(column.variable) and self.unit(column) == PER_CENT
        value = as_value(text, kind, share, spec is not None and spec.unit == FRACTION)
        return value / DIVISORS[self.unit(column)] if is_money(column.variable) else value

    def at(self, figure: Figure, rule: str, value: str, remedy: str) -> Fault:
        """A fault of one cell."""
        where = {"trust": self.codes[figure.trust], "variable": figure.label, "row": figure.row}
        return self.fault(rule, value, remedy, column=figure.letter, **where)


def is_monthly(variable: str) -> bool:
    """Whether a variable of a return has a figure for each month."""
    return variable in SPLITS or (variable in PANEL and PANEL[variable].is_monthly)


# --- arrays --------------------------------------------------------------------------------------------


def _draft(reading: Reading, figures: Iterable[Figure]) -> Draft:
    chosen = _one_each(reading, figures)
    size = len(reading.codes)
    panel = xr.Dataset(coords={"trust": np.array(reading.codes, dtype=str)})
    for variable in dict.fromkeys(figure.variable for figure in chosen):
        mine = [figure for figure in chosen if figure.variable == variable]
        panel[variable] = _array(reading, variable, mine, size)
    panel = panel.assign({name: ("trust", np.full(size, label)) for name, label in reading.rules.constants.items()})
    draft = draft_of_dataset(_with_savings(_with_plan(panel)))
    spoilt = np.isin(reading.codes, [fault.trust for fault in reading.faults])
    whole = {column.variable: reading.letter(position) for position, column in reading.columns.items()}
    letters = whole | {figure.label: figure.letter for figure in chosen}
    return replace(
        draft,
        place=reading.table.source,
        rows=tuple(reading.rows),
        spoilt=spoilt,
        sheet=reading.table.sheet,
        letters=letters,
    )


def _one_each(reading: Reading, figures: Iterable[Figure]) -> list[Figure]:
    """One figure for each trust, variable and month; a fault for every other that contradicts it."""
    first: dict[tuple[int, str], Figure] = {}
    for figure in figures:
        key = (figure.trust, figure.label)
        before = first.setdefault(key, figure)
        if before is figure:
            continue
        if figure.variable in LATEST:
            first[key] = max(before, figure, key=lambda one: one.said)
        elif figure.month or figure.value != before.value:
            what = "month" if figure.month else "year"
            rule = f"a second figure for the same {what} (also in row {before.row})"
            reading.faults.append(reading.at(figure, rule, f"{figure.value}", "Keep one."))
    return list(first.values())


def _array(reading: Reading, variable: str, figures: list[Figure], size: int) -> xr.DataArray:
    if variable in TEXTS:
        labels = np.full(size, "", dtype=object)
        for figure in figures:
            labels[figure.trust] = figure.value
        return xr.DataArray(labels.astype(str), dims="trust")
    units = PER_CENT if PER_CENT in reading.units(variable) else MONEY
    attrs = {**ATTRS.get(variable, {}), **({"units": units} if is_money(variable) else {})}
    values = np.full((size, MONTHS + 1), np.nan)
    for figure in figures:
        values[figure.trust, figure.month] = figure.value
    if not is_monthly(variable):
        return xr.DataArray(values[:, 0], dims="trust", attrs=attrs)
    _observe(reading, variable, figures, values)
    if reading.rules.monthly == IN_MONTH:
        _add_up(reading, variable, values)
    months = {"month": np.arange(1, MONTHS + 1)}
    return xr.DataArray(values[:, 1:], dims=("trust", "month"), coords=months, attrs=attrs)


def _observe(reading: Reading, variable: str, figures: list[Figure], values: Floats) -> None:
    """Clear noughts of months to come; find fault with other figures of theirs."""
    last = reading.rules.as_at
    for figure in figures:
        if last is None or variable not in OBSERVED or figure.month <= last:
            continue
        values[figure.trust, figure.month] = np.nan
        if figure.value != 0.0:
            remedy = f"The return is as at month {last}: clear the cell, or correct as_at."
            rule = "a figure of a month after the return's"
            reading.faults.append(reading.at(figure, rule, f"{figure.value:g}", remedy))


def _add_up(reading: Reading, variable: str, values: Floats) -> None:
    """In-month figures become cumulative ones; a month that is missing in between is a fault."""
    there = ~np.isnan(values[:, 1:])
    known = {(fault.trust, fault.variable) for fault in reading.faults}
    for trust, months in enumerate(there):
        last = int(np.flatnonzero(months)[-1]) + 1 if months.any() else 0
        for month in (np.flatnonzero(~months[:last]) + 1).tolist():
            code, label = reading.codes[trust], f"{variable}_m{month}"
            if {(code, label), (code, MONTH)} & known:
                continue  # it is there, and has its fault
            where = {"trust": code, "variable": label, "row": reading.rows[trust]}
            rule, remedy = f"a month is missing before month {last}", "Give every month so far, noughts too."
            reading.faults.append(reading.fault(rule, "", remedy, **where))
    values[:, 1:] = np.where(there, np.nancumsum(values[:, 1:], axis=1), np.nan)


def _with_plan(panel: xr.Dataset) -> xr.Dataset:
    """The plan where it is not given: month 12 of the planned path."""
    if "plan_ytd" not in panel:
        return panel
    return _filled_in(panel, "plan", panel["plan_ytd"].isel(month=-1, drop=True))


def _with_savings(panel: xr.Dataset) -> xr.Dataset:
    """The panel's variables of savings where they are not given: from recurrent and one-off savings."""
    planned = [panel[name] for name in ("recurrent_planned", "one_off_planned") if name in panel]
    delivered = [panel[name] for name in ("recurrent_delivered", "one_off_delivered") if name in panel]
    if planned:
        whole = _sum(planned).isel(month=-1, drop=True)
        panel = _filled_in(panel, "efficiency_plan", whole)
    if len(planned) == 2:
        share = planned[0].isel(month=-1, drop=True) / whole.where(whole > 0.0)
        panel = _filled_in(panel, "efficiency_recurrent_share", share.assign_attrs(units=FRACTION))
    return _filled_in(panel, "efficiency_delivered", _sum(delivered)) if delivered else panel


def _sum(parts: list[xr.DataArray]) -> xr.DataArray:
    """Parts added up; missing where any part is missing."""
    return sum(parts[1:], start=parts[0]).assign_attrs(parts[0].attrs)


def _filled_in(panel: xr.Dataset, name: str, values: xr.DataArray) -> xr.Dataset:
    """A variable with gaps closed by other values, which are in the same unit."""
    if name not in panel:
        return panel.assign({name: values.assign_attrs({"units": values.attrs.get("units", MONEY)})})
    if panel[name].attrs.get("units") != values.attrs.get("units"):
        return panel
    return panel.assign({name: panel[name].fillna(values).assign_attrs(panel[name].attrs)})


def _absent(panel: xr.Dataset, table: Table) -> Iterator[Fault]:
    wanted = {
        "plan": "Give the year's plan, or the planned path up to month 12.",
        "region": 'Add a column for it, or say it once for all: region = "London" under constants.',
        "trust_type": 'Add a column for it, or say it once for all: trust_type = "Acute" under constants.',
    }
    for name, remedy in wanted.items():
        blank = name not in panel or not (panel[name] != "").any() if name != "plan" else _no_plan(panel)
        if blank and not (name == "trust_type" and (panel["trust_subtype"] != "").any()):
            yield Fault(table.source, MISSING_COLUMN, "", remedy, variable=name, sheet=table.sheet)


def _no_plan(panel: xr.Dataset) -> bool:
    return "plan" not in panel or bool(panel["plan"].isnull().all())
