"""Trusts that become one, join another or are divided among others.

Rows stay as *parts*, with their own numbers and their own random numbers (``drawn_as``); ``successor`` says
which trust a part belongs to. So what happens to money is only ever a sum over parts, and every total is
conserved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import inf
from numbers import Real
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sector_risk.faults import Fault, as_sentence, nearest, raise_if_any
from sector_risk.panel.build import PARTS, check_panel, completed
from sector_risk.panel.cells import as_text, is_missing
from sector_risk.panel.check import numbers
from sector_risk.panel.draft import Bools, Floats
from sector_risk.schema import MONEY, PANEL

SHARES_TOLERANCE = 1e-6
# What a rate is a rate of: its mean over parts has these weights. Other rates are of turnover.
WEIGHTS: Mapping[str, str] = {"efficiency_recurrent_share": "efficiency_plan", "loan_rate": "debt"}

TWO = "Name two trusts or more."
ANOTHER = "Name another trust."

Rows = NDArray[np.int64]


def merge(panel: xr.Dataset, codes: Sequence[str], *, into: str) -> xr.Dataset:
    """Make several trusts one.

    Parameters
    ----------
    panel : xarray.Dataset
        Of trusts, reconfigured before or not; it is checked, and left as it is.
    codes : sequence of str
        The trusts that become one, two or more. All parts of each of them move.
    into : str
        The code of the trust that they become: one of theirs, or a new one.

    Returns
    -------
    xarray.Dataset
        A new panel with the same rows and numbers. ``successor`` of their rows is `into`; the attribute
        ``reconfigured`` says what was done.

    Raises
    ------
    InputError
        With every fault: of the panel, or of what was asked.

    Examples
    --------
    >>> from sector_risk.cases import load_case
    >>> panel = merge(load_case("england-2018-19"), ["SYN001", "SYN002"], into="SYN001")
    >>> panel["successor"].values[:3].tolist(), panel.attrs["reconfigured"]
    (['SYN001', 'SYN001', 'SYN003'], 'SYN001 and SYN002 merged into SYN001.')
    """
    panel = _in_parts(panel)
    names = [as_text(code) for code in ([codes] if isinstance(codes, str) else codes)]
    new = as_text(into)
    few = [] if len(set(names)) > 1 else [_asked("merge", "codes", "fewer than two trusts", ", ".join(names), TWO)]
    raise_if_any([*_unknown(panel, "merge", "codes", names), *few, *_taken(panel, names, new)])
    return _moved(panel, names, new, f"{_listed(names)} merged into {new}.")


def take_over(panel: xr.Dataset, code: str, *, by: str) -> xr.Dataset:
    """Let a trust join another.

    Parameters
    ----------
    panel : xarray.Dataset
        Of trusts, reconfigured before or not; it is checked, and left as it is.
    code : str
        The trust that joins the other, with all its parts.
    by : str
        The trust that it joins.

    Returns
    -------
    xarray.Dataset
        A new panel with the same rows and numbers. ``successor`` of the trust's rows is `by`; the attribute
        ``reconfigured`` says what was done.

    Raises
    ------
    InputError
        With every fault: of the panel, or of what was asked.

    Examples
    --------
    >>> from sector_risk.cases import load_case
    >>> panel = take_over(load_case("england-2018-19"), "SYN002", by="SYN001")
    >>> panel["successor"].values[:3].tolist(), panel.attrs["reconfigured"]
    (['SYN001', 'SYN001', 'SYN003'], 'SYN002 was taken over by SYN001.')
    """
    panel, old, new = _in_parts(panel), as_text(code), as_text(by)
    itself = _asked("take_over", "by", "a trust cannot take over itself", new, ANOTHER)
    wrong = [itself] if new == old else _unknown(panel, "take_over", "by", [new])
    raise_if_any([*_unknown(panel, "take_over", "code", [old]), *wrong])
    return _moved(panel, [old], new, f"{old} was taken over by {new}.")


def administer(panel: xr.Dataset, code: str, shares: Mapping[str, float]) -> xr.Dataset:
    """Put a trust into administration: divide it among other trusts in proportion.

    Parameters
    ----------
    panel : xarray.Dataset
        Of trusts, reconfigured before or not; it is checked, and left as it is.
    code : str
        The trust that is divided.
    shares : mapping of str to float
        The trusts that succeed it, each with the share of it that it takes. Shares are above nought and add
        to one.

    Returns
    -------
    xarray.Dataset
        A new panel in which each row of the trust is cut into one part for each successor, with the code
        ``"old/successor"``: money is the row's times the share, rates and labels are the row's, and so are
        the random numbers (``drawn_as``). Variables that are not known are money if their units say so. The
        attribute ``reconfigured`` says what was done.

    Raises
    ------
    InputError
        With every fault: of the panel, or of what was asked.

    Examples
    --------
    >>> from sector_risk.cases import load_case
    >>> case = load_case("england-2018-19")
    >>> panel = administer(case, "SYN002", {"SYN001": 0.6, "SYN003": 0.4})
    >>> panel["trust"].values[:4].tolist()
    ['SYN001', 'SYN002/SYN001', 'SYN002/SYN003', 'SYN003']
    >>> panel.attrs["reconfigured"]
    'SYN002 was put into administration: 60% went to SYN001 and 40% to SYN003.'
    >>> round(float(panel["plan"].sum() - case["plan"].sum()), 6)
    0.0
    """
    panel, old = _in_parts(panel), as_text(code)
    given = {as_text(successor): share for successor, share in shares.items()}
    raise_if_any([*_unknown(panel, "administer", "code", [old]), *_misdivided(panel, old, given)])
    total = sum(given.values())
    exact = {successor: float(share / total) for successor, share in given.items()}
    went = [f"{100.0 * share:.4g}%{' went' if not n else ''} to {to}" for n, (to, share) in enumerate(exact.items())]
    return _done(_cut(panel, old, exact), f"{old} was put into administration: {_listed(went)}.")


def by_successor(panel: xr.Dataset) -> xr.Dataset:
    """Sum a panel's parts, so that each trust has one row.

    Parameters
    ----------
    panel : xarray.Dataset
        Of trusts, reconfigured or not; it is checked, and left as it is.

    Returns
    -------
    xarray.Dataset
        On ``trust``, the successors in the order in which they first appear. Money is summed, and missing if
        it is missing for any part. Rates are means over the parts that have one: of the efficiency plan for
        its recurrent share, of debt for the loan rate, of turnover for others. A flag is true if it is for
        any part. Labels are of the row that has the successor's code, else of the part with the largest
        turnover; a new trust is named by its code.

    Raises
    ------
    InputError
        With every fault of the panel.

    Examples
    --------
    >>> from sector_risk.cases import load_case
    >>> case = load_case("england-2018-19")
    >>> trusts = by_successor(merge(case, ["SYN001", "SYN002"], into="NEW"))
    >>> trusts["trust"].values[:2].tolist(), trusts.sizes["trust"]
    (['NEW', 'SYN003'], 226)
    >>> bool(trusts["plan"][0] == case["plan"][:2].sum())
    True
    """
    panel = completed(panel)[0]  # as above: warnings were given when the panel came in
    if "successor" not in panel.variables:
        return panel
    successor = panel["successor"].values
    codes = list(dict.fromkeys(successor.tolist()))
    parts = [np.flatnonzero(successor == code) for code in codes]
    heads = panel.isel(trust=[_head(panel, *one) for one in zip(codes, parts, strict=True)]).drop_vars(PARTS)
    whole = {name: _whole(panel, str(name), parts) for name in panel.data_vars}
    return _named(heads.assign({name: values for name, values in whole.items() if values is not None}), codes)


# --- what was asked ------------------------------------------------------------------------------------


def _asked(place: str, argument: str, rule: str, value: str, remedy: str) -> Fault:
    return Fault(place, rule, value, remedy, variable=argument)


def _unknown(panel: xr.Dataset, place: str, argument: str, codes: Iterable[str]) -> Iterator[Fault]:
    trusts = panel["successor"].values.tolist()
    for code in dict.fromkeys(codes):
        if code not in trusts:
            yield _asked(place, argument, "no trust of this code", code, _whereabouts(panel, code))


def _whereabouts(panel: xr.Dataset, code: str) -> str:
    """What became of a trust that was there before, else which one was probably meant."""
    parts = (panel["trust"].values == code) | (panel["drawn_as"].values == code)
    trusts = panel["successor"].values
    if parts.any():
        return f"It is now part of {_listed(trusts[parts].tolist())}."
    return as_sentence(nearest(code, trusts.tolist())) or "Use the code of a trust of the panel."


def _taken(panel: xr.Dataset, codes: Sequence[str], new: str) -> Iterator[Fault]:
    """A new trust needs a code that no other trust, and no part of one, has; case does not count."""
    others = panel.isel(trust=~_belongs(panel, codes))
    used = {code.casefold() for name in ("trust", "successor") for code in others[name].values.tolist()}
    if is_missing(new):
        yield _asked("merge", "into", "blank trust code", new, "Give the code of the trust that they become.")
    elif new.casefold() in used:
        remedy = "Name that trust among those to merge, or choose another code."
        yield _asked("merge", "into", "the code is taken by another trust", new, remedy)


def _misdivided(panel: xr.Dataset, code: str, shares: Mapping[str, Any]) -> Iterator[Fault]:
    yield from _unknown(panel, "administer", "shares", (successor for successor in shares if successor != code))
    if code in shares:
        yield _asked("administer", "shares", "a trust cannot succeed itself", code, "Name other trusts only.")
    wrong = {successor: share for successor, share in shares.items() if not _is_share(share)}
    for successor, share in wrong.items():
        remedy = f"Give {successor} a number above 0, or leave it out."
        yield _asked("administer", "shares", "not a share", as_text(share), remedy)
    if not wrong and abs(sum(shares.values()) - 1.0) > SHARES_TOLERANCE:
        remedy = "Give shares that add to 1, such as 0.6 and 0.4."
        yield _asked("administer", "shares", "the shares do not add to one", f"{sum(shares.values()):.10g}", remedy)


def _is_share(share: object) -> bool:
    return not isinstance(share, bool) and isinstance(share, Real) and 0.0 < float(share) < inf


# --- what is done --------------------------------------------------------------------------------------


def _in_parts(panel: xr.Dataset) -> xr.Dataset:
    """A checked panel that says of every row which trust it belongs to."""
    panel = check_panel(panel)
    own = {name: ("trust", panel["trust"].values) for name in PARTS if name not in panel.variables}
    return panel.assign_coords(own)


def _belongs(panel: xr.Dataset, codes: Iterable[str]) -> Bools:
    return np.isin(panel["successor"].values, list(codes))


def _moved(panel: xr.Dataset, codes: Iterable[str], home: str, sentence: str) -> xr.Dataset:
    successors = panel["successor"].values.astype(object)
    successors[_belongs(panel, codes)] = home
    return _done(panel.assign_coords(successor=("trust", successors)), sentence)


def _cut(panel: xr.Dataset, code: str, shares: Mapping[str, float]) -> xr.Dataset:
    """Put the trust's parts, one for each successor, where each of its rows was."""
    rows = _belongs(panel, [code])
    copies = np.where(rows, len(shares), 1)
    cut, parts = panel.isel(trust=np.repeat(np.arange(rows.size), copies)), np.repeat(rows, copies)
    trusts, successors = (cut[name].values.astype(object) for name in ("trust", "successor"))
    factor = np.ones(parts.size)
    successors[parts] = np.tile(np.array(list(shares), dtype=object), rows.sum())
    trusts[parts] += "/" + successors[parts]
    factor[parts] = np.tile(list(shares.values()), rows.sum())
    money = {name: _times(array, factor) for name, array in cut.data_vars.items() if _is_money(str(name), array)}
    return cut.assign(money).assign_coords(
        trust=("trust", trusts.astype(str), panel["trust"].attrs), successor=("trust", successors)
    )


def _times(array: xr.DataArray, factor: Floats) -> xr.Variable:
    product = array.variable * xr.Variable("trust", factor)
    return xr.Variable(product.dims, product.values, array.attrs)


def _done(panel: xr.Dataset, sentence: str) -> xr.Dataset:
    said = f"{panel.attrs.get('reconfigured', '')} {sentence}".strip()
    # What deserved a warning was said when the panel came in.
    return completed(panel.assign_attrs(reconfigured=said))[0]


def _is_money(name: str, array: xr.DataArray) -> bool:
    if name in PANEL:
        return PANEL[name].is_money
    return "trust" in array.dims and array.dtype.kind in "iuf" and array.attrs.get("units") == MONEY


def _listed(names: Iterable[str]) -> str:
    """Names as a sentence has them, each once.

    >>> _listed(["ZZ1", "ZZ2", "ZZ3", "ZZ1"])
    'ZZ1, ZZ2 and ZZ3'
    """
    *before, last = dict.fromkeys(names)
    return f"{', '.join(before)} and {last}" if before else last


# --- the sum over parts --------------------------------------------------------------------------------


def _head(panel: xr.Dataset, code: str, rows: Rows) -> int:
    """The part whose labels the trust has."""
    own = rows[panel["trust"].values[rows] == code]
    return int(own[0] if own.size else rows[panel["turnover"].values[rows].argmax()])


def _whole(panel: xr.Dataset, name: str, parts: Sequence[Rows]) -> xr.Variable | None:
    """One variable of the trusts; None where they have what their heads have."""
    join = _joining(panel, name)
    if join is None:
        return None
    array = panel[name].transpose("trust", ...)
    joined = np.array([join(array.values[rows], rows) for rows in parts])
    return xr.Variable(array.dims, joined, array.attrs).transpose(*panel[name].dims)


def _joining(panel: xr.Dataset, name: str) -> Callable[[NDArray[Any], Rows], Any] | None:
    kind = PANEL[name].kind if name in PANEL else ""
    if _is_money(name, panel[name]):
        return lambda values, rows: values.sum(axis=0)
    if kind == "flag":
        return lambda values, rows: values.any()
    if kind == "float":
        weights, turnover = numbers(panel, WEIGHTS.get(name, "turnover")), numbers(panel, "turnover")
        return lambda values, rows: _mean(values, weights[rows], turnover[rows])
    return None


def _mean(values: Floats, *weights: Floats) -> float:
    """The mean of what is known, by the first weights of which any is above nought."""
    for weight in weights:
        known = ~np.isnan(values) & (weight > 0.0)
        if known.any():
            there = values[known]
            # Rounding must not take it out of a range that the parts keep.
            return float(np.clip(np.average(there, weights=weight[known]), there.min(), there.max()))
    return float("nan")


def _named(trusts: xr.Dataset, codes: list[str]) -> xr.Dataset:
    heads, names = trusts["trust"].values.tolist(), trusts["name"].values.tolist()
    said = [name if head == code else code for name, head, code in zip(names, heads, codes, strict=True)]
    return trusts.assign_coords(
        trust=("trust", np.array(codes, dtype=str), trusts["trust"].attrs),
        name=("trust", np.array(said, dtype=str), trusts["name"].attrs),
    )
