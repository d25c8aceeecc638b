"""Read, check, fill, label: the public functions."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import xarray as xr

from sector_risk.faults import Fault, InputError, InputWarning, raise_if_any
from sector_risk.panel import check, fill
from sector_risk.panel.columns import label_of, lay_out, near_misses
from sector_risk.panel.draft import (
    DATASET,
    LABELS,
    PER_CENT,
    Bools,
    Draft,
    draft_of_dataset,
    draft_of_table,
    in_money,
)
from sector_risk.panel.oversight import LONG_FORM, is_long, widened
from sector_risk.panel.tables import Headings, Table, frame_table, read_table
from sector_risk.schema import PANEL

# Which trust a row belongs to and whose random numbers it has; not there where each is its own.
PARTS = ("successor", "drawn_as")
# What forecasts and the rules of regimes use; everything else that a file gives is kept for later.
USED = frozenset(
    (
        *LABELS,
        *fill.RULES,
        *PARTS,
        "trust",
        "plan",
        "plan_ytd",
        "variance_ytd",
        "actual",
        "forecast",
        "pay_award_funding",
        "debt",
        "loan_rate",
        "segment",
        "capability",
        "governance_failure",
        "activity_income_share",
        "mff_change",
        "inequality_index",
    )
)
_Record = TypeVar("_Record", dict[str, Any], list[str])
# A sheet is the right one if it has these columns: its own, or those of the oversight framework's long form.
NEEDED = (frozenset({"trust", "plan"}), frozenset({"trust", *LONG_FORM}))
MONTH_ATTRS = {"long_name": "month of the financial year, 1 is April", "units": "1"}


def read_panel(
    path: str | Path, *, mapping: Mapping[str, str] | None = None, year: str | None = None, sheet: str | None = None
) -> xr.Dataset:
    r"""Read a file of trusts into a checked and complete panel.

    Parameters
    ----------
    path : str or Path
        A ``.csv``, ``.xlsx``, ``.xls``, ``.ods`` or ``.parquet`` file with one row per trust. Money is GBP
        million; a column whose name ends in ``_pct`` or ``_pct_turnover`` is per cent of turnover. Monthly
        figures are cumulative, in columns ``actual_m1`` to ``actual_m12``; in per cent they are relative to
        turnover to date. The oversight framework's file is read as it is published, one row for each trust,
        quarter and metric.
    mapping : mapping of str to str, optional
        Column to variable, where a column's own name is not known: ``{"Planned I&E": "plan"}``.
    year : str, optional
        The financial year, ``"2018-19"``. By default it is looked for in the file's name.
    sheet : str, optional
        The sheet of a workbook. By default it is the only visible one with columns for the trust and its
        plan. Titles may stand above the column names.

    Returns
    -------
    xarray.Dataset
        On ``trust``, and on ``month`` if a monthly variable is given. Coordinates ``name``, ``region``,
        ``trust_type``, ``trust_subtype``, ``system``, and ``successor`` with ``drawn_as`` where a row belongs to
        another trust (see `merge`); money as float64 in GBP million. The attributes say
        what was filled by which rule (``filled``, and ``filled_trusts`` for whom), whose figures came in per
        cent of turnover (``relative_trusts``), where the table was
        (``read_from``), which trusts have no plan (``left_out``), what is kept
        but not used yet (``not_used_yet``) and which columns were ignored (``ignored_columns``), as JSON.

    Raises
    ------
    InputError
        With every fault of the file: row, trust, variable, what came, the rule and the remedy.

    Warns
    -----
    InputWarning
        If turnover or the efficiency plan is filled by a rule, a trust has no plan, a column's name looks
        like a slip of the pen, or the figures look like GBP thousand.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> file = Path(folder.name, "plans_2018-19.csv")
    >>> _ = file.write_text(
    ...     "ODS code,Region,Trust type,Turnover,Plan,Efficiency plan\n"
    ...     "ZZ1,London,Acute - Teaching,\"1,600\",(40.0),70\n"
    ...     "ZZ3,London,Mental health,430,2.5,18\n"
    ... )
    >>> panel = read_panel(file)
    >>> panel["plan"].values.tolist(), panel.attrs["year"]
    ([-40.0, 2.5], '2018-19')
    >>> folder.cleanup()
    """
    table = read_table(path, Headings(partial(_heading, mapping=mapping), NEEDED), sheet)
    panel, messages = _from_table(table, mapping, year)
    warn([*blind(table), *messages])
    return panel


def make_panel(
    table: pd.DataFrame,
    *,
    mapping: Mapping[str, str] | None = None,
    year: str | None = None,
    source: str = "table",
) -> xr.Dataset:
    """Turn a DataFrame into a checked and complete panel, as `read_panel` does with a file.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per trust, with columns as in `read_panel`. A named index counts as a column.
    mapping : mapping of str to str, optional
        Column to variable, where a column's own name is not known.
    year : str, optional
        The financial year, ``"2018-19"``.
    source : str
        The name to record and to report faults under.

    Returns
    -------
    xarray.Dataset
        As `read_panel`.

    Raises
    ------
    InputError
        With every fault. Rows are counted as in a spreadsheet: the first row below the header is row 2.

    Examples
    --------
    >>> table = pd.DataFrame(
    ...     {
    ...         "trust": ["ZZ1"],
    ...         "region": ["London"],
    ...         "trust_type": ["Acute"],
    ...         "plan_pct": [-2.0],
    ...         "turnover": [1600.0],
    ...         "efficiency_plan_pct": [4.0],
    ...     }
    ... )
    >>> panel = make_panel(table, year="2018-19")
    >>> float(panel["plan"].sel(trust="ZZ1")), float(panel["efficiency_plan"].sel(trust="ZZ1"))
    (-32.0, 64.0)
    """
    panel, messages = _from_table(frame_table(table, source), mapping, year)
    warn(messages)
    return panel


def check_panel(panel: xr.Dataset) -> xr.Dataset:
    """Check a Dataset by the rules of `read_panel` and complete it.

    Parameters
    ----------
    panel : xarray.Dataset
        On ``trust`` (and ``month``), with at least ``region``, ``trust_type`` and ``plan``. Money is GBP
        million, or per cent of turnover where ``units`` is ``"per cent of turnover"``.

    Returns
    -------
    xarray.Dataset
        A new panel with its gaps filled by the named rules. A panel that is complete already comes back the
        same. Variables that are not known are kept.

    Raises
    ------
    InputError
        With every fault; and for a forecast, which has draws.

    Examples
    --------
    >>> panel = xr.Dataset(
    ...     {
    ...         "plan": ("trust", [-40.0]),
    ...         "turnover": ("trust", [1600.0]),
    ...         "efficiency_plan": ("trust", [70.0]),
    ...     },
    ...     coords={
    ...         "trust": ["ZZ1"],
    ...         "region": ("trust", ["London"]),
    ...         "trust_type": ("trust", ["Acute"]),
    ...     },
    ... )
    >>> complete = check_panel(panel)
    >>> float(complete["control_total"].sel(trust="ZZ1"))
    -40.0
    >>> check_panel(complete).identical(complete)
    True
    """
    if "draw" in panel.dims:
        remedy = "Give the panel that it was made from."
        raise InputError([Fault("panel", "a forecast, not a panel: it has draws", "", remedy, variable="draw")])
    complete, messages = completed(panel)
    warn(messages)
    return complete


def _from_table(table: Table, mapping: Mapping[str, str] | None, year: str | None) -> tuple[xr.Dataset, list[str]]:
    table = widened(table) if is_long(table) else table
    layout = lay_out(table.header, mapping, table.source)
    if not any(column.variable == "trust" for column in layout.columns.values()):
        raise InputError(layout.faults)
    attrs = {
        "year": year_of(year, f"{table.year} {table.source}"),
        "source": table.source,
        "ignored_columns": json.dumps(layout.ignored),
        **({"read_from": table.read_from} if table.read_from else {}),
    }
    panel, messages = complete_draft(draft_of_table(table, layout), attrs)
    return panel, [*_unread(layout.near_misses), *messages]


def _heading(name: str, mapping: Mapping[str, str] | None) -> str:
    """What a column's name means here: a variable, or a column of the long form."""
    key = name.strip().casefold()
    return label_of(name, mapping) or (key if key in LONG_FORM else "")


def blind(table: Table) -> list[str]:
    """What a kind of file cannot show."""
    if not table.source.casefold().endswith(".xls"):
        return []
    return ["in an old workbook (.xls) Excel's error cells look blank: save it as .xlsx to have them found."]


def completed(panel: xr.Dataset) -> tuple[xr.Dataset, list[str]]:
    """Check a Dataset and complete it as `check_panel` does; hand over what deserves a warning."""
    place = str(panel.attrs.get("source", DATASET))
    if "trust" not in panel.coords or panel["trust"].dims != ("trust",):
        remedy = "Give it a coordinate 'trust' with the trusts' codes."
        raise InputError([Fault(place, check.MISSING_COLUMN, "", remedy, variable="trust")])
    if panel.sizes["trust"] == 0:
        raise InputError([Fault(place, "no rows", "", "The panel needs at least one trust.")])
    faults = check.misfits(panel, place)
    fitting = _without(panel, {fault.variable for fault in faults})
    year = year_of(str(panel.attrs["year"]) if "year" in panel.attrs else None, place)
    attrs = {"source": place, "ignored_columns": "[]", **panel.attrs, "year": year}
    complete, messages = complete_draft(draft_of_dataset(fitting), attrs, faults)
    strange = [str(name) for name in panel.variables if name not in PANEL and name != "month"]
    return complete, [*_unread(near_misses(strange)), *messages]


def _without(panel: xr.Dataset, names: set[str]) -> xr.Dataset:
    panel = panel.drop_dims("month") if "month" in names else panel
    return panel.drop_vars([name for name in names if name in panel.variables])


def complete_draft(
    draft: Draft, attrs: Mapping[str, Any], faults: Iterable[Fault] = ()
) -> tuple[xr.Dataset, list[str]]:
    """Check a draft and close its gaps; say what deserves a warning."""
    silent = check.without_a_plan(draft)
    scale, turnover_rule, filled, found = _examined(draft, silent, str(attrs["year"]))
    raise_if_any(check.one_per_cell([*faults, *draft.faults, *check.code_faults(draft), *found]))
    left_out = draft.panel["trust"].values[silent].tolist()
    panel, rules = _filled(filled, str(attrs["year"]))
    rules = {"turnover": turnover_rule, **rules} if turnover_rule else rules
    given = draft.panel.isel(trust=~silent)
    attrs = {
        **attrs,
        "filled_trusts": _with_codes(
            attrs, "filled_trusts", {name: fill.gaps_of(given, name) for name in rules}, given
        ),
        "relative_trusts": _with_codes(attrs, "relative_trusts", _relative(given), given),
    }
    messages = [scale, _left_out(left_out), *(_filling(name, rules) for name in fill.WARNED)]
    return _described(panel, attrs, rules, left_out), [message for message in messages if message]


def _with_codes(attrs: Mapping[str, Any], key: str, now: Mapping[str, Bools], panel: xr.Dataset) -> str:
    """Of which trusts something is so, variable by variable, now or at an earlier check."""
    earlier = recorded(attrs, key, {})
    codes = {name: panel["trust"].values[where].tolist() for name, where in now.items()}
    return json.dumps({**earlier, **{name: [*earlier.get(name, []), *there] for name, there in codes.items()}})


def _relative(panel: xr.Dataset) -> dict[str, Bools]:
    """Whose figures came in per cent of turnover, so that they follow it."""
    shares = {str(name): array for name, array in panel.data_vars.items() if array.attrs.get("units") == PER_CENT}
    return {
        name: array.notnull().any([dim for dim in array.dims if dim != "trust"]).values
        for name, array in shares.items()
    }


def _examined(draft: Draft, silent: Bools, year: str) -> tuple[str, str, xr.Dataset, list[Fault]]:
    if silent.all():
        remedy = "Give the plan of at least one trust."
        return "", "", draft.panel, [Fault(draft.place, "no trust has a plan", "", remedy, variable="plan")]
    kept = draft.keep(~silent)
    kept = kept.with_panel(_belonging(kept.panel))
    scale = check.scale_message(kept.panel)
    filled, rule = fill.fill(kept.panel, "turnover", year)
    money = in_money(filled)
    case = check.Case(draft=kept.with_panel(money), given=kept.panel, scale=scale)
    return scale, rule, money, check.case_faults(case)


def _belonging(panel: xr.Dataset) -> xr.Dataset:
    """Say of every row which trust it belongs to; of none where each is a trust of its own."""
    if not any(name in panel.variables for name in PARTS):
        return panel
    own = panel["trust"].values.tolist()
    given = {name: panel[name].values.tolist() if name in panel.variables else own for name in PARTS}
    # One spelling for each code, as elsewhere case does not count: the trust's own goes first.
    spelt = {code.casefold(): code for code in reversed([*own, *given["successor"], *given["drawn_as"]])}
    codes = {
        name: [spelt[(label or code).casefold()] for label, code in zip(labels, own, strict=True)]
        for name, labels in given.items()
    }
    bare = panel.drop_vars(PARTS, errors="ignore")
    if all(labels == own for labels in codes.values()):
        return bare
    return bare.assign_coords({name: ("trust", np.array(labels, dtype=str)) for name, labels in codes.items()})


def _filled(panel: xr.Dataset, year: str) -> tuple[xr.Dataset, dict[str, str]]:
    names = [*fill.RULES, *(name for name in fill.IF_PRESENT if name in panel.variables)]
    rules = {}
    for name in names:
        panel, rules[name] = fill.fill(panel, name, year)
    return panel, {name: rule for name, rule in rules.items() if rule}


def _described(
    panel: xr.Dataset, attrs: Mapping[str, Any], rules: Mapping[str, str], left_out: list[str]
) -> xr.Dataset:
    """Order, types and attributes: what a panel looks like whoever made it."""
    known = [name for name in PANEL if name in panel.variables and name not in ("trust", *LABELS)]
    others = [name for name in panel.data_vars if name not in PANEL]
    panel = panel.set_coords(LABELS)[[*known, *others]]
    typed = {name: panel[name].astype(bool) for name in known if PANEL[name].kind == "flag"}
    panel = panel.assign(typed)
    for name in ("trust", *LABELS, *known):
        panel[name].attrs.update(PANEL[name].attrs)
    if "month" in panel.coords:
        panel["month"].attrs.update(MONTH_ATTRS)
    return panel.assign_attrs(
        {
            **attrs,
            "filled": json.dumps({**recorded(attrs, "filled", {}), **rules}),
            "left_out": json.dumps([*recorded(attrs, "left_out", []), *left_out]),
            "not_used_yet": json.dumps([name for name in known if name not in USED]),
        }
    )


def recorded(attrs: Mapping[str, Any], name: str, nothing: _Record) -> _Record:
    """What an earlier check recorded; nothing if the attribute was not written by one."""
    try:
        record = json.loads(attrs[name])
    except (KeyError, TypeError, ValueError):
        return nothing
    return record if isinstance(record, type(nothing)) else nothing


def year_of(year: str | None, source: str) -> str:
    """The financial year as ``2018-19``: as given, else from the source's name."""
    named = [year] if year is not None else re.findall(r"20\d\d-\d\d", source)
    start = next((found for text in named if (found := fill.start_of(text)) is not None), None)
    if start is not None:
        return f"{start}-{(start + 1) % 100:02d}"
    if year in (None, fill.NOT_STATED):
        return fill.NOT_STATED
    remedy = "Write it as 2018-19."
    raise InputError([Fault("year", "not a financial year", str(year), remedy)])


def _left_out(codes: list[str]) -> str:
    if not codes:
        return ""
    trusts = "trust has" if len(codes) == 1 else "trusts have"
    return f"{len(codes)} {trusts} no plan and no other figures and are left out: {', '.join(codes)}."


def _filling(name: str, rules: Mapping[str, str]) -> str:
    if name not in rules:
        return ""
    return f"{name} is missing and was filled by the rule '{rules[name]}'. Give it to use the trusts' own."


def _unread(near: Mapping[str, str]) -> list[str]:
    if not near:
        return []
    asked = "; ".join(f"'{name}' ({question})" for name, question in near.items())
    return [f"columns not read because their names are not known: {asked}."]


def warn(messages: Iterable[str]) -> None:
    """Warn whoever called the public function that calls this."""
    for message in messages:
        warnings.warn(message, InputWarning, stacklevel=3)
