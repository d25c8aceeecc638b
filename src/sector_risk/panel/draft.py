"""A panel as it came: numbers read, gaps left as gaps, nothing judged but what cannot be read."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sector_risk.faults import Fault
from sector_risk.panel.cells import as_text, as_value, is_excel_error, is_missing, unreadable
from sector_risk.panel.columns import Column, Layout
from sector_risk.panel.tables import Table
from sector_risk.schema import (
    FRACTION,
    MONEY,
    MONTHS,
    PANEL,
    REGION_LABELS,
    SUBTYPE_LABELS,
    TYPE_LABELS,
    TYPE_OF_SUBTYPE,
    TYPES_BY_SUBTYPE,
    VariableSpec,
)

PER_CENT = "per cent of turnover"
LABELS = ("name", "region", "trust_type", "trust_subtype", "system")
DATASET = "dataset"

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Draft:
    """A panel with its gaps, and where it came from.

    Parameters
    ----------
    panel : xarray.Dataset
        On ``trust`` (and ``month``). Missing numbers are NaN, missing labels empty; a variable still in per
        cent of turnover has that unit in its attributes.
    place : str
        The name of the file, the table or the Dataset.
    rows : tuple of int or None
        The row of each trust in the file, None where there is no file.
    spoilt : array of bool, shape (trust,)
        Whether a cell of this trust could not be read.
    faults : tuple of Fault
        What could not be read.
    sheet : str
        The sheet, in a workbook.
    letters : mapping of str to str
        The letter of each variable's column, in a workbook.
    """

    panel: xr.Dataset
    place: str
    rows: tuple[int | None, ...]
    spoilt: Bools
    faults: tuple[Fault, ...] = ()
    sheet: str = ""
    letters: Mapping[str, str] = field(default_factory=dict)

    def keep(self, chosen: Bools) -> Draft:
        """The same draft with the chosen trusts only."""
        rows = tuple(row for row, stays in zip(self.rows, chosen, strict=True) if stays)
        return replace(self, panel=self.panel.isel(trust=chosen), rows=rows, spoilt=self.spoilt[chosen])

    def with_panel(self, panel: xr.Dataset) -> Draft:
        """The same trusts with other figures."""
        return replace(self, panel=panel)

    def fault(self, position: int, variable: str, rule: str, value: object, remedy: str) -> Fault:
        """A fault of one trust, with its code and its row; with its position where it has neither."""
        row = self.rows[position]
        code = str(self.panel["trust"].values[position])
        trust = code if code or row is not None else f"number {position + 1}"
        column = self.letters.get(variable, "")
        return Fault(self.place, rule, shown(value), remedy, trust, variable, row, self.sheet, column)


def shown(value: object) -> str:
    """A value as a fault shows it: numbers without needless decimals."""
    return f"{value:,.10g}" if isinstance(value, float) else str(value)


def draft_of_table(table: Table, layout: Layout) -> Draft:
    """Turn the columns of a table into numbers and labels.

    Parameters
    ----------
    table : Table
        The text.
    layout : Layout
        Which column is which variable. It must include ``trust``.

    Returns
    -------
    Draft
        With a fault for every cell that cannot be read.
    """
    cells = {column: table.column(position) for position, column in layout.columns.items()}
    codes = _labels(cells[Column("trust")])
    letters = {
        column.label: letter
        for position, column in layout.columns.items()
        for letter in table.letters[position : position + 1]
    }
    nothing = np.zeros(len(codes), bool)
    bare = Draft(xr.Dataset(coords={"trust": codes}), table.source, table.numbers, nothing, (), table.sheet, letters)
    others = {column: texts for column, texts in cells.items() if column.variable != "trust"}
    read = {column: _read(bare, column, texts) for column, texts in others.items()}
    faults = (*_label_errors(bare, Column("trust"), codes), *(fault for column in read.values() for fault in column[1]))
    panel = bare.panel.assign(_gathered({column: values for column, (values, _) in read.items()}))
    spoilt = np.isin(table.numbers, [fault.row for fault in faults if fault.row is not None])
    return replace(bare, panel=_tidied(panel), spoilt=spoilt, faults=(*layout.faults, *faults))


def draft_of_dataset(panel: xr.Dataset) -> Draft:
    """Take a Dataset that somebody built, with numbers and labels in any type.

    Parameters
    ----------
    panel : xarray.Dataset
        With a coordinate ``trust``; every known variable has the dimensions of its spec.

    Returns
    -------
    Draft
        With a fault for every cell that cannot be read. Variables that are not known stay as they are.
    """
    codes = _labels(as_text(code) for code in panel["trust"].values.tolist())
    panel = panel.assign_coords(trust=("trust", codes, panel["trust"].attrs))
    size = len(codes)
    bare = Draft(panel, str(panel.attrs.get("source", DATASET)), (None,) * size, np.zeros(size, bool))
    known = [name for name in PANEL if name in panel.variables and name != "trust"]
    read = {name: _read_variable(bare, panel[name], PANEL[name]) for name in known}
    faults = tuple(fault for _, found in read.values() for fault in found)
    whole = panel.assign({name: values for name, (values, _) in read.items()})
    spoilt = np.isin(codes, [fault.trust for fault in faults])
    return replace(bare, panel=_tidied(_all_months(whole)), spoilt=spoilt, faults=faults)


def _read(bare: Draft, column: Column, texts: Iterable[str]) -> tuple[NDArray[np.generic], list[Fault]]:
    spec = PANEL[column.variable]
    if spec.kind == "text":
        return _labels(texts), list(_label_errors(bare, column, texts))
    values, faults = [], []
    for position, text in enumerate(texts):
        try:
            values.append(as_value(text, spec.kind, column.per_cent, spec.unit == FRACTION))
        except ValueError:
            values.append(np.nan)
            faults.append(_unread(bare, position, column.label, text))
    return np.array(values, dtype=np.float64), faults


def _label_errors(bare: Draft, column: Column, texts: Iterable[str]) -> Iterator[Fault]:
    for position, text in enumerate(texts):
        if is_excel_error(text):
            yield _unread(bare, position, column.label, text)


def _unread(bare: Draft, position: int, label: str, text: str) -> Fault:
    rule, remedy = "text in a number", "Type a number, or leave the cell blank if it is not known."
    if label in PANEL and PANEL[label].kind == "flag":
        rule, remedy = "neither yes nor no", "Write yes or no, or leave the cell blank."
    rule, remedy = unreadable(text, rule, remedy)
    return bare.fault(position, label, rule, text, remedy)


def _read_variable(bare: Draft, given: xr.DataArray, spec: VariableSpec) -> tuple[xr.DataArray, list[Fault]]:
    given = given.transpose(*spec.dims)
    if given.dtype.kind in "fiub" and spec.kind != "text":
        return given.astype(np.float64), []
    texts = np.array([as_text(cell) for cell in given.values.ravel().tolist()], dtype=object)
    if spec.is_monthly:
        by_month = texts.reshape(given.shape).T
        months = given["month"].values.tolist()
        read = [_read(bare, Column(spec.name, m), row) for m, row in zip(months, by_month, strict=True)]
        values = np.stack([column for column, _ in read], axis=1)
        return given.copy(data=values), [fault for _, found in read for fault in found]
    flat, faults = _read(bare, Column(spec.name), texts)
    return given.copy(data=flat), faults


def _gathered(read: Mapping[Column, NDArray[np.generic]]) -> dict[Hashable, xr.DataArray]:
    """Put the months of each variable side by side; a column that is wholly blank is not there."""
    gathered: dict[Hashable, xr.DataArray] = {}
    for name in dict.fromkeys(column.variable for column in read):
        columns = {column: values for column, values in read.items() if column.variable == name}
        unit = PER_CENT if any(column.per_cent for column in columns) else PANEL[name].unit
        gathered[name] = _array(PANEL[name], columns).assign_attrs(units=unit)
    return gathered


def _array(spec: VariableSpec, columns: Mapping[Column, NDArray[np.generic]]) -> xr.DataArray:
    if not spec.is_monthly:
        return xr.DataArray(next(iter(columns.values())), dims=spec.dims)
    size = len(next(iter(columns.values())))
    values = np.full((size, MONTHS), np.nan)
    for column, cells in columns.items():
        values[:, (column.month or 1) - 1] = cells
    return xr.DataArray(values, dims=spec.dims, coords={"month": np.arange(1, MONTHS + 1)})


def _all_months(panel: xr.Dataset) -> xr.Dataset:
    months = np.arange(1, MONTHS + 1)
    if "month" not in panel.dims or np.array_equal(panel["month"].values, months):
        return panel
    return panel.reindex(month=months)


def _tidied(panel: xr.Dataset) -> xr.Dataset:
    """Labels under the names used here, as coordinates; numbers that nobody gave are dropped."""
    empty = [
        name
        for name, spec in PANEL.items()
        if name in panel.data_vars and spec.kind != "text" and panel[name].isnull().all() and name != "plan"
    ]
    panel = panel.drop_vars(empty)
    monthless = "month" in panel.dims and not any("month" in array.dims for array in panel.data_vars.values())
    panel = panel.drop_vars("month") if monthless else panel
    blank = np.full(panel.sizes["trust"], "", dtype=str)
    labels = {name: panel[name].values if name in panel.variables else blank for name in LABELS}
    labels["region"] = _labels(REGION_LABELS.get(_folded(text), text) for text in labels["region"])
    labels["trust_type"], labels["trust_subtype"] = _types(labels["trust_type"], labels["trust_subtype"])
    attrs = {name: panel[name].attrs for name in LABELS if name in panel.variables}
    return panel.assign_coords({name: ("trust", labels[name], attrs.get(name)) for name in LABELS})


def _types(types: Iterable[str], subtypes: Iterable[str]) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    pairs = [_type_of(kind, subtype) for kind, subtype in zip(types, subtypes, strict=True)]
    return _labels(kind for kind, _ in pairs), _labels(subtype for _, subtype in pairs)


def _type_of(kind: str, subtype: str) -> tuple[str, str]:
    known_type, implied = TYPE_LABELS.get(_folded(kind), (kind, ""))
    known_subtype = SUBTYPE_LABELS.get(_folded(subtype), subtype) or implied
    type_of_subtype = TYPE_OF_SUBTYPE.get(known_subtype, "")
    if type_of_subtype and (not known_type or _folded(kind) in TYPES_BY_SUBTYPE):
        return type_of_subtype, known_subtype
    return known_type, known_subtype


def _folded(text: str) -> str:
    return " ".join(str(text).casefold().split())


def _labels(texts: Iterable[str]) -> NDArray[np.str_]:
    return np.array(["" if is_missing(text) else text.strip() for text in map(str, texts)], dtype=str)


def in_money(panel: xr.Dataset) -> xr.Dataset:
    """Turn what is in per cent of turnover into GBP million.

    Parameters
    ----------
    panel : xarray.Dataset
        With ``turnover``.

    Returns
    -------
    xarray.Dataset
        A per cent of a year's turnover for a year-end figure, of the turnover to date (``month/12`` of the
        year's) for a monthly one.
    """
    relative = [name for name, array in panel.data_vars.items() if array.attrs.get("units") == PER_CENT]
    return panel.assign({name: _money(panel, panel[name]) for name in relative})


def _money(panel: xr.Dataset, share: xr.DataArray) -> xr.DataArray:
    elapsed = share["month"] / MONTHS if "month" in share.dims else 1.0
    money = share / 100.0 * panel["turnover"] * elapsed
    return money.transpose(*share.dims).assign_attrs({**share.attrs, "units": MONEY})
