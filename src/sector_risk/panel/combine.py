"""Two sources or more become one panel, with a report of what matched, what came from where and what did not.

The first source wins where it has a figure of its own; a figure that a rule filled in gives way to one that
somebody gave.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from sector_risk.faults import Fault, raise_if_any
from sector_risk.panel.build import PARTS, completed, recorded, warn
from sector_risk.panel.cells import as_text
from sector_risk.panel.check import MISSING_COLUMN, misfits
from sector_risk.panel.draft import LABELS, PER_CENT, shown
from sector_risk.panel.fill import NOT_STATED, income_uplift, start_of
from sector_risk.panel.names import bare, only_once, plain
from sector_risk.schema import MONEY, PANEL

# What a source of another year can say of this one: size and pay, brought to the year's prices, and what a
# trust is. Its plans and results are its own year's.
UPLIFTED = ("turnover", "pay_afc", "pay_medical", "pay_bank_agency")
LASTING = (
    "name",
    "region",
    "trust_type",
    "trust_subtype",
    "system",
    "activity_income_share",
    "mff_change",
    "inequality_index",
)
# Two sources agree if they differ by no more than GBP 50,000 or a thousandth.
ROUNDING, RELATIVE_ROUNDING = 0.05, 1e-3
SHOWN = 12


@dataclass(frozen=True)
class Conflict:
    """Two figures of one trust; the first was kept."""

    trust: str
    variable: str
    kept: str
    source: str
    other: str

    def __str__(self) -> str:
        return f"{self.trust}, {self.variable}: {self.kept}; {self.source} has {self.other}."


@dataclass
class SourceReport:
    """What came of one source.

    Parameters
    ----------
    source, year : str
        Its name and its financial year.
    matched : int
        How many trusts of the panel it has.
    by_name : dict of str to str
        Trusts that were matched by name because their codes differ: its code to the panel's.
    missing : tuple of str
        The panel's trusts that it does not have; their figures stay as they were.
    unmatched : tuple of str
        Its trusts that the panel does not have and that have no plan of the year: they are left out.
    added : tuple of str
        Its trusts with a plan of the year that were added to the panel.
    taken : dict of str to str
        The variables that came from it: for how many trusts, and how.
    not_taken : dict of str to str
        The variables that it has and that were not used: why.
    conflicts : list of Conflict
        Figures that differ from the panel's beyond rounding.
    """

    source: str
    year: str
    matched: int
    by_name: dict[str, str]
    missing: tuple[str, ...]
    unmatched: tuple[str, ...]
    added: tuple[str, ...]
    taken: dict[str, str] = field(default_factory=dict)
    not_taken: dict[str, str] = field(default_factory=dict)
    conflicts: list[Conflict] = field(default_factory=list)

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> SourceReport:
        """Read one source of a report's JSON."""
        lists = {name: tuple(kept[name]) for name in ("missing", "unmatched", "added")}
        return cls(**{**kept, **lists, "conflicts": [Conflict(**conflict) for conflict in kept["conflicts"]]})

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.source} ({self.year}): {counted(self.matched, 'trust')} matched."
        lists = {
            "matched by name": [f"{theirs} as {ours}" for theirs, ours in self.by_name.items()],
            "not in it, left as they were": self.missing,
            "only in it, without a plan of the year, left out": self.unmatched,
            "only in it, added": self.added,
        }
        yield from (f"  {what}: {_some(trusts)}." for what, trusts in lists.items() if trusts)
        yield from (f"  {name}: {how}." for name, how in self.taken.items())
        yield from (f"  {name}: not taken, {why}." for name, why in self.not_taken.items())
        if self.conflicts:
            yield f"  differ beyond rounding, the first kept ({len(self.conflicts)}):"
            yield from (f"    {conflict}" for conflict in self.conflicts[:SHOWN])
        if len(self.conflicts) > SHOWN:
            yield f"    and {len(self.conflicts) - SHOWN} more, see .conflicts"


@dataclass(frozen=True)
class CombineReport:
    """What came of combining sources; printed, it is a page.

    Parameters
    ----------
    panel : str
        The name of the first source, which wins.
    sources : tuple of SourceReport
        One for each of the others, in order.
    """

    panel: str
    sources: tuple[SourceReport, ...]

    @property
    def conflicts(self) -> tuple[Conflict, ...]:
        """All figures that differ beyond rounding."""
        return tuple(conflict for source in self.sources for conflict in source.conflicts)

    def to_json(self) -> str:
        """The whole report as JSON, as the panel's attribute ``combined`` holds it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> CombineReport:
        """Read what `to_json` wrote, as it is kept in a panel's attribute ``combined``."""
        kept = json.loads(text)
        return cls(kept["panel"], tuple(SourceReport.of(source) for source in kept["sources"]))

    def __str__(self) -> str:
        completed_from = ", ".join(source.source for source in self.sources)
        return "\n".join([f"{self.panel}, completed from {completed_from}.", *map(str, self.sources)])


def counted(count: int, what: str) -> str:
    """A number of things in words.

    >>> counted(1, "trust"), counted(2, "trust")
    ('1 trust', '2 trusts')
    """
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _some(trusts: Sequence[str]) -> str:
    more = f" and {len(trusts) - SHOWN} more" if len(trusts) > SHOWN else ""
    return f"{', '.join(trusts[:SHOWN])}{more}"


def combine(
    panel: xr.Dataset, *others: xr.Dataset, successors: Mapping[str, str] | None = None
) -> tuple[xr.Dataset, CombineReport]:
    """Complete a panel from other sources.

    Parameters
    ----------
    panel : xarray.Dataset
        A panel, of `read_panel`, `read_return` or made by hand; it is checked, and left as it is.
    *others : xarray.Dataset
        On ``trust``: panels, what `read_accounts` gave, or made by hand. ``attrs["year"]`` says of which
        year, ``attrs["source"]`` under which name they are reported; money is GBP million.
    successors : mapping of str to str, optional
        Trusts that were taken on by another, and by which: ``{"ZZ2": "ZZ1"}`` adds the other sources'
        figures of ZZ2 to those of ZZ1.

    Returns
    -------
    panel : xarray.Dataset
        A new panel, checked and complete. A figure that the panel gave stays; one that a rule had filled
        gives way to the first source that has it, and rules fill what is left. Where turnover changes, so
        does what was given in per cent of it. Turnover and pay of another year are brought to the panel's
        by the growth of trusts' income; other money of another year is not taken. Trusts of another source
        that have a plan of the same year are added. Variables that a panel does not have are brought along.
        The attribute ``combined`` is the report as JSON.
    report : CombineReport
        What matched and what did not, what came from where, what differed.

    Raises
    ------
    InputError
        With every fault; above all where a trust and the one that took it on are both there.

    Warns
    -----
    InputWarning
        As `check_panel`, of what is still filled by a rule.

    Notes
    -----
    Trusts are matched by code, case aside; where a code is not known, by name if only one trust on either
    side has it. Punctuation and "NHS Foundation Trust" do not count in a name.

    Examples
    --------
    >>> import warnings
    >>> import pandas as pd
    >>> from sector_risk.panel import make_panel
    >>> plans = pd.DataFrame(
    ...     {"trust": ["ZZ1"], "region": ["London"], "trust_type": ["Acute"], "plan_pct": [-2.0], "cip": [9.0]}
    ... )
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     panel = make_panel(plans, year="2018-19", source="plans")
    >>> accounts = xr.Dataset(
    ...     {"turnover": ("trust", [450.0, 300.0])},
    ...     coords={"trust": ["ZZ1", "ZZ9"]},
    ...     attrs={"year": "2018-19", "source": "accounts"},
    ... )
    >>> whole, report = combine(panel, accounts)
    >>> float(whole["turnover"][0]), float(whole["plan"][0])
    (450.0, -9.0)
    >>> print(report)
    plans, completed from accounts.
    accounts (2018-19): 1 trust matched.
      only in it, without a plan of the year, left out: ZZ9.
      turnover: 1 trust.
    """
    whole = completed(panel)[0]
    given = [_as_source(other, number) for number, other in enumerate(others, start=2)]
    raise_if_any(fault for other in given for fault in _faults(whole, other, successors or {}))
    state = State(whole, str(whole.attrs["year"]))
    gone = {old: new for old, new in (successors or {}).items() if old not in _homes(whole)}
    parts = [state.take(_besides_own(_succeeded(other, gone), whole)) for other in given]
    report = CombineReport(str(whole.attrs["source"]), tuple(parts))
    whole, messages = completed(state.panel.assign_attrs(combined=report.to_json()))
    warn(messages)
    return whole, report


# --- is it a source? -----------------------------------------------------------------------------------


def _as_source(other: xr.Dataset, number: int) -> xr.Dataset:
    """A copy that says its name and its year."""
    place = f"source {number}"
    if not isinstance(other, xr.Dataset) or "trust" not in other.coords or other["trust"].dims != ("trust",):
        remedy = "Give an xarray.Dataset with a coordinate 'trust' of the trusts' codes."
        raise_if_any([Fault(place, "not a source", type(other).__name__, remedy)])
    year = str(other.attrs.get("year", NOT_STATED))
    codes = [as_text(code) for code in other["trust"].values.tolist()]
    named = other.assign_coords(trust=("trust", np.array(codes, dtype=str)))
    return named.assign_attrs(source=str(other.attrs.get("source", place)), year=year)


def _besides_own(other: xr.Dataset, whole: xr.Dataset) -> xr.Dataset:
    """Leave out variances of months of which the panel has its own: an actual position and the plan to date."""
    if "variance_ytd" not in other or not {"actual", "plan_ytd"} <= set(whole.data_vars):
        return other
    own = whole["actual"].notnull() & whole["plan_ytd"].notnull()
    own = own.reindex(trust=other["trust"], month=other["month"], fill_value=False)
    return other.assign(variance_ytd=other["variance_ytd"].where(~own))


def _faults(whole: xr.Dataset, other: xr.Dataset, successors: Mapping[str, str]) -> Iterator[Fault]:
    place = str(other.attrs["source"])
    codes = [code.casefold() for code in other["trust"].values.tolist()]
    for code in sorted({code for code in codes if codes.count(code) > 1}):
        yield Fault(place, "duplicate trust code", code.upper(), "Keep one row for each trust.", code.upper(), "trust")
    yield from (fault for fault in misfits(other, place) if fault.rule != MISSING_COLUMN)
    for name in other.data_vars:
        if other[name].attrs.get("units") == PER_CENT:
            remedy = "Give GBP million, or make it a panel first with make_panel or check_panel."
            yield Fault(place, "per cent of turnover", "", remedy, variable=str(name))
    if (start_of(place_year := str(other.attrs["year"])) is None) and place_year != NOT_STATED:
        yield Fault(place, "not a financial year", place_year, "Write its attrs['year'] as 2018-19.", variable="year")
    yield from _both_there(whole, other, successors)


def _both_there(whole: xr.Dataset, other: xr.Dataset, successors: Mapping[str, str]) -> Iterator[Fault]:
    """A trust and its successor that are both there, so that one of them would count twice or fall short."""
    homes = _homes(whole)
    theirs = set(other["trust"].values.tolist())
    for old, new in {**_successors_of(other), **successors}.items():
        place = str(other.attrs["source"])
        if old in homes and new in homes and homes[old] != homes[new]:
            remedy = f"Let one join the other first: take_over(panel, '{old}', by='{new}'); or leave one out."
            yield Fault(str(whole.attrs["source"]), f"a trust and its successor {new} are both there", old, remedy, old)
        elif {old, new} <= theirs and old not in homes and new in homes and old not in successors:
            remedy = f"Add its figures to {new}'s: combine(..., successors={{'{old}': '{new}'}}); or drop one of them."
            yield Fault(place, f"a trust and its successor {new} are both there", old, remedy, old)


def _homes(panel: xr.Dataset) -> dict[str, str]:
    name = "successor" if "successor" in panel.variables else "trust"
    return dict(zip(panel["trust"].values.tolist(), panel[name].values.tolist(), strict=True))


def _successors_of(other: xr.Dataset) -> dict[str, str]:
    return {old: new for old, new in _homes(other).items() if new and new != old}


def _succeeded(other: xr.Dataset, successors: Mapping[str, str]) -> xr.Dataset:
    """The figures of trusts that were taken on, added to those of the trusts that took them."""
    codes = other["trust"].values.tolist()
    there = {old: new for old, new in successors.items() if old in codes}
    renamed = [there[code] if there.get(code, code) not in codes else code for code in codes]
    other = other.assign_coords(trust=("trust", np.array(renamed, dtype=str)))
    for old, new in there.items():
        if old in renamed:
            other = _added(other, renamed.index(old), renamed.index(new))
    return other.sel(trust=[code for code in renamed if code not in there])


def _added(other: xr.Dataset, old: int, new: int) -> xr.Dataset:
    sums = {}
    for name, array in other.data_vars.items():
        if is_amount(str(name), array):
            values = array.transpose("trust", ...).values.copy()
            both = values[[old, new]]
            values[new] = np.where(np.isnan(both).all(axis=0), np.nan, np.nansum(both, axis=0))
            sums[name] = array.transpose("trust", ...).copy(data=values)
    return other.assign(sums)


def is_amount(name: str, array: xr.DataArray) -> bool:
    """Whether a variable of a source adds up over trusts: money, and numbers of staff."""
    if array.dtype.kind not in "iuf" or "trust" not in array.dims:
        return False
    return PANEL[name].is_money if name in PANEL else array.attrs.get("units") == MONEY or name == "wte"


# --- one source after the other ------------------------------------------------------------------------


class State:
    """The panel while sources are taken: figures that rules filled are gaps again, money is GBP million."""

    def __init__(self, whole: xr.Dataset, year: str) -> None:
        self.year = year
        self.turnover: dict[str, float] = _by_code(whole, "turnover")
        self.relative = {name: set(codes) for name, codes in recorded(whole.attrs, "relative_trusts", {}).items()}
        self.panel = _emptied(whole)

    def take(self, other: xr.Dataset) -> SourceReport:
        """Take what a source has; say what was done."""
        same_year = NOT_STATED in (self.year, other.attrs["year"]) or self.year == other.attrs["year"]
        pairs, by_name = _pairs(self.panel, other)
        missing = tuple(code for code in self.panel["trust"].values.tolist() if code not in pairs)
        matched, given = len(pairs), _emptied(other)
        strangers = [code for code in other["trust"].values.tolist() if code not in pairs.values()]
        added = tuple(code for code in strangers if same_year and _has_plan(given, code))
        self._add(other, added)
        pairs |= {code: code for code in added}
        part = SourceReport(
            source=str(other.attrs["source"]),
            year=str(other.attrs["year"]),
            matched=matched,
            by_name=by_name,
            missing=missing,
            unmatched=tuple(code for code in strangers if code not in added),
            added=added,
        )
        scaled = self._scaled(other, given, pairs)
        for name in _names(given):
            self._take_variable(part, scaled, name, pairs, same_year)
        return part

    def _add(self, other: xr.Dataset, added: Sequence[str]) -> None:
        if not added:
            return
        codes = [*self.panel["trust"].values.tolist(), *added]
        fills = {name: _nothing(array) for name, array in self.panel.variables.items()}
        parts = {name: array for name, array in self.panel.coords.items() if name in PARTS}
        self.panel = self.panel.drop_vars(parts).reindex(trust=codes, fill_value=fills)
        for name, array in parts.items():
            self.panel = self.panel.assign_coords({name: ("trust", [*array.values.tolist(), *added])})
        theirs = _by_code(other, "turnover")
        self.turnover |= {code: theirs.get(code, np.nan) for code in added}
        for name, relative in recorded(other.attrs, "relative_trusts", {}).items():
            self.relative[name] = self.relative.get(name, set()) | (set(relative) & set(added))

    def _scaled(self, other: xr.Dataset, given: xr.Dataset, pairs: Mapping[str, str]) -> xr.Dataset:
        """A source's figures in per cent, turned into money of the panel's turnover where that is another."""
        theirs, relative = _by_code(other, "turnover"), recorded(other.attrs, "relative_trusts", {})
        ours = _known(self.turnover, _by_code(self.panel, "turnover"))
        own = _by_code(given, "turnover")
        ratio = {
            code: ours[mine] / theirs[code]
            for mine, code in pairs.items()
            if code in theirs and np.isnan(own.get(code, np.nan)) and mine in ours
        }
        return _times(given, {name: {code: ratio.get(code, 1.0) for code in codes} for name, codes in relative.items()})

    def _take_variable(
        self, part: SourceReport, given: xr.Dataset, name: str, pairs: Mapping[str, str], same_year: bool
    ) -> None:
        if not same_year and name in PANEL and name not in (*UPLIFTED, *LASTING):
            part.not_taken[name] = f"of another year ({part.year})"
            return
        uplifted = not same_year and name in UPLIFTED
        factor = income_uplift(self.year) / income_uplift(part.year) if uplifted else 1.0
        theirs = _aligned(given, name, self.panel["trust"].values.tolist(), pairs, factor)
        ours = _with_month(self.panel, name, theirs)
        if same_year:
            part.conflicts.extend(_conflicts(name, ours, theirs, part.source))
        takes = is_gap(ours) & ~is_gap(theirs)
        count = int(takes.any([dim for dim in takes.dims if dim != "trust"]).sum())
        if count:
            merged = theirs.where(takes, ours).assign_attrs({**theirs.attrs, **ours.attrs})
            self.panel = _put(self.panel, name, merged.transpose(*theirs.dims))
            part.taken[name] = counted(count, "trust") + _of_another_year(factor, part.year, self.year, same_year)
        elif bool((~is_gap(theirs)).any()):
            part.not_taken[name] = "the panel has its own"
        if count and name == "turnover":
            self._follow(takes)

    def _follow(self, takes: xr.DataArray) -> None:
        """Where turnover has changed, so has what was given in per cent of it."""
        changed = [code for code, new in zip(takes["trust"].values.tolist(), takes.values, strict=True) if new]
        now = _by_code(self.panel, "turnover")
        ratio = {code: now[code] / self.turnover[code] for code in changed if np.isfinite(self.turnover[code])}
        factors = {name: {code: ratio.get(code, 1.0) for code in codes} for name, codes in self.relative.items()}
        self.panel = _times(self.panel, factors)
        self.turnover |= {code: now[code] for code in changed}


def _of_another_year(factor: float, year: str, wanted: str, same_year: bool) -> str:
    """What was done to figures of another year; nothing is said of the same."""
    if same_year:
        return ""
    grown = f", times {factor:.3f} for {wanted} (growth of trusts' income)" if factor != 1.0 else " as it is"
    return f", of {year}{grown}"


def _emptied(panel: xr.Dataset) -> xr.Dataset:
    """A panel without what rules filled, and without the record of it."""
    flags = {name: array.astype(float) for name, array in panel.variables.items() if array.dtype.kind == "b"}
    panel = panel.assign(flags)
    for name, codes in recorded(panel.attrs, "filled_trusts", {}).items():
        if name in panel.variables:
            filled = xr.DataArray(np.isin(panel["trust"].values, codes), dims="trust")
            emptied = panel[name].where(~filled, _nothing(panel[name].variable)).assign_attrs(panel[name].attrs)
            panel = _put(panel, name, emptied)
    attrs = {key: value for key, value in panel.attrs.items() if key not in ("filled", "filled_trusts")}
    return panel.drop_attrs(deep=False).assign_attrs(attrs)


def _put(panel: xr.Dataset, name: str, array: xr.DataArray) -> xr.Dataset:
    bare_array = array.drop_vars([coord for coord in array.coords if coord not in ("trust", "month")])
    return panel.assign_coords({name: bare_array}) if name in LABELS else panel.assign({name: bare_array})


def _nothing(array: xr.Variable) -> object:
    return "" if array.dtype.kind in "UO" else np.nan


def is_gap(array: xr.DataArray) -> xr.DataArray:
    """Where there is no figure, or no label."""
    return array == "" if array.dtype.kind in "UO" else array.isnull()


def _by_code(panel: xr.Dataset, name: str) -> dict[str, float]:
    if name not in panel.variables:
        return {}
    return dict(zip(panel["trust"].values.tolist(), panel[name].values.astype(float).tolist(), strict=True))


def _known(before: Mapping[str, float], now: Mapping[str, float]) -> dict[str, float]:
    return {**before, **{code: value for code, value in now.items() if np.isfinite(value)}}


def _times(panel: xr.Dataset, factors: Mapping[str, Mapping[str, float]]) -> xr.Dataset:
    codes = panel["trust"].values.tolist()
    scaled = {
        name: (panel[name] * xr.DataArray([of.get(code, 1.0) for code in codes], dims="trust"))
        .transpose(*panel[name].dims)
        .assign_attrs(panel[name].attrs)
        for name, of in factors.items()
        if name in panel.data_vars
    }
    return panel.assign(scaled)


def _has_plan(given: xr.Dataset, code: str) -> bool:
    return "plan" in given.variables and bool(given["plan"].sel(trust=code).notnull())


def _names(given: xr.Dataset) -> list[str]:
    """The variables of a source on trusts, turnover first for the others follow it."""
    names = [str(name) for name, array in given.variables.items() if "trust" in array.dims]
    skipped = {"trust", "month", *PARTS}
    return sorted((name for name in names if name not in skipped), key=lambda name: name != "turnover")


def _pairs(panel: xr.Dataset, other: xr.Dataset) -> tuple[dict[str, str], dict[str, str]]:
    """The panel's code to the source's, for every trust that both have; and the source's to the panel's by name."""
    theirs = {code.casefold(): code for code in other["trust"].values.tolist()}
    codes = panel["trust"].values.tolist()
    pairs = {code: theirs[code.casefold()] for code in codes if code.casefold() in theirs}
    left = [code for code in codes if code not in pairs]
    free = [code for code in theirs.values() if code not in pairs.values()]
    if "name" not in other.variables:
        return pairs, {}
    ours_once = only_once(_bare_names(panel, left))
    theirs_once = only_once(_bare_names(other, free))
    by_name = {free[theirs_once[name]]: left[at] for name, at in ours_once.items() if name in theirs_once}
    return pairs | {mine: code for code, mine in by_name.items()}, by_name


def _bare_names(source: xr.Dataset, codes: Sequence[str]) -> list[str]:
    return [bare(str(name)) for name in source["name"].sel(trust=list(codes)).values.tolist()]


def _aligned(
    given: xr.Dataset, name: str, codes: Sequence[str], pairs: Mapping[str, str], factor: float
) -> xr.DataArray:
    """A source's variable on the panel's trusts; a gap where it has none."""
    array = given[name].transpose("trust", ...)
    array = array.drop_vars([coord for coord in array.coords if coord not in ("trust", "month")])
    wanted = [pairs.get(code, "") for code in codes]
    aligned = array.reindex(trust=wanted, fill_value=_nothing(array.variable)).assign_coords(trust=list(codes))
    return aligned if factor == 1.0 else (aligned * factor).assign_attrs(array.attrs)


def _with_month(panel: xr.Dataset, name: str, like: xr.DataArray) -> xr.DataArray:
    """The panel's variable, a gap everywhere if it has none, on the other's months."""
    if name in panel.variables:
        ours = panel[name]
        return ours.drop_vars([coord for coord in ours.coords if coord not in ("trust", "month")])
    return xr.full_like(like, _nothing(like.variable)).drop_attrs()


def _conflicts(name: str, ours: xr.DataArray, theirs: xr.DataArray, source: str) -> Iterator[Conflict]:
    ours, theirs = ours.transpose("trust", ...), theirs.transpose("trust", ...)
    both = ~is_gap(ours) & ~is_gap(theirs) & _differ(name, ours, theirs)
    for place in zip(*np.nonzero(both.values), strict=True):
        month = f"_m{int(both['month'][place[1]])}" if len(place) > 1 else ""
        trust = str(both["trust"].values[place[0]])
        yield Conflict(
            trust, f"{name}{month}", shown(ours.values[place].item()), source, shown(theirs.values[place].item())
        )


def _differ(name: str, ours: xr.DataArray, theirs: xr.DataArray) -> xr.DataArray:
    if ours.dtype.kind not in "iufb" or theirs.dtype.kind not in "iufb":
        key = bare if name == "name" else plain
        pairs = zip(ours.values.ravel().tolist(), theirs.values.ravel().tolist(), strict=True)
        return ours.copy(data=np.array([key(str(a)) != key(str(b)) for a, b in pairs]).reshape(ours.shape))
    money = name in PANEL and PANEL[name].is_money
    slack = (RELATIVE_ROUNDING * abs(ours)).clip(min=ROUNDING if money else 0.0)
    return abs(ours - theirs) > slack
