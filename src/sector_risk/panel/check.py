"""The rules that a panel must keep. Each is a function from a case to its faults."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from sector_risk.faults import Fault, as_sentence, nearest
from sector_risk.panel.draft import PER_CENT, Bools, Draft, Floats
from sector_risk.panel.names import plain
from sector_risk.schema import MONEY, MONTHS, PANEL, REGIONS, TRUST_SUBTYPES, TRUST_TYPES

# The largest trusts turn over 2-3 thousand GBP million: a median above this is in thousands.
HIGHEST_MEDIAN_TURNOVER = 5_000.0
HIGHEST_MEDIAN_PLAN = 1_000.0
# The smallest trust is a fifth of the median and the largest five times it, so that a factor of a hundred
# is a slip of units.
OFF_SCALE = 100.0
HIGHEST_EFFICIENCY = 0.30
ROUNDING = 1.0 + 1e-9  # a share of a figure on the limit may come out above it
MISSING_COLUMN = "required column missing"


@dataclass(frozen=True)
class Case:
    """A panel before the court.

    Parameters
    ----------
    draft : Draft
        In GBP million, turnover filled.
    given : xarray.Dataset
        The same trusts as they came.
    scale : str
        What is said about an implausible scale; empty where it is plausible.
    """

    draft: Draft
    given: xr.Dataset
    scale: str

    def values(self, name: str) -> Floats:
        """A variable in GBP million; NaN where it is missing."""
        return numbers(self.draft.panel, name)

    @property
    def own_turnover(self) -> Floats:
        """Turnover that the trust itself gave; NaN where it was filled."""
        return numbers(self.given, "turnover")

    @property
    def off_scale(self) -> Bools:
        """Trusts whose turnover is a hundred times or a hundredth of the others'; parts of one trust count as one."""
        if "drawn_as" not in self.draft.panel.variables:
            return off_scale(self.own_turnover)
        wholes = np.unique(self.draft.panel["drawn_as"].values, return_inverse=True)[1]
        return off_scale(np.bincount(wholes, self.own_turnover).astype(np.float64))[wholes]

    @property
    def comparable(self) -> Bools:
        """Trusts whose other figures can be held against their turnover.

        Where the whole panel is in thousands, filled turnover is not; where turnover itself is wrong, one
        fault is enough.
        """
        own = self.own_turnover
        wrong = (own <= 0.0) | self.off_scale
        return np.asarray(~wrong & (np.isfinite(own) | (not self.scale)))

    def faults(
        self, where: Bools, variable: str, rule: str, values: Floats | Sequence[str], remedy: str
    ) -> Iterator[Fault]:
        """One fault for each trust that is marked."""
        for position in np.flatnonzero(where).tolist():
            yield self.draft.fault(position, variable, rule, values[position], remedy)


def numbers(panel: xr.Dataset, name: str) -> Floats:
    """A variable's values; NaN for every trust if it is not there."""
    if name not in panel.variables:
        return np.full(panel.sizes["trust"], np.nan)
    return np.asarray(panel[name].values, dtype=np.float64)


def low_median(values: Floats) -> float:
    """The lower median of what is finite: of two values in two units it takes the smaller; NaN if none."""
    finite = np.sort(values[np.isfinite(values)])
    return float(finite[(finite.size - 1) // 2]) if finite.size else float("nan")


def off_scale(turnover: Floats) -> Bools:
    """Trusts whose turnover is a hundred times or a hundredth of the others'."""
    positive = np.where(turnover > 0.0, turnover, np.nan)
    ratio = positive / low_median(positive)
    return np.asarray((ratio > OFF_SCALE) | (ratio < 1.0 / OFF_SCALE))


def scale_message(given: xr.Dataset) -> str:
    """Say so if a panel is in GBP thousand.

    Parameters
    ----------
    given : xarray.Dataset
        As it came.

    Returns
    -------
    str
        A warning with its remedy; empty if the scale is plausible.
    """
    name, highest = "turnover", HIGHEST_MEDIAN_TURNOVER
    if name not in given.variables:
        name, highest = "plan", HIGHEST_MEDIAN_PLAN
    if name not in given.variables or given[name].attrs.get("units") == PER_CENT:
        return ""
    median = low_median(np.abs(numbers(given, name)))
    if not median > highest:
        return ""
    return (
        f"implausible scale: the median {name} is {median:,.0f}, as if in GBP thousand, and GBP million is "
        "meant. Divide the money columns by 1,000. Nothing has been changed, and figures filled by rule are "
        "in GBP million."
    )


def without_a_plan(draft: Draft) -> Bools:
    """Trusts that give neither a plan nor any other money or monthly figure: they are left out."""
    silent = ~draft.spoilt
    for name, spec in PANEL.items():
        if name in draft.panel.variables and (spec.is_money or spec.is_monthly):
            gaps = np.isnan(draft.panel[name].values)
            silent = silent & (gaps.all(axis=1) if gaps.ndim == 2 else gaps)
    return silent


def code_faults(draft: Draft) -> Iterator[Fault]:
    """Blank codes, and codes that two rows share."""
    first: dict[str, int] = {}
    for position, code in enumerate(draft.panel["trust"].values.tolist()):
        key = code.casefold()
        if not key:
            remedy = "Give the trust's code, or clear the row."
            yield draft.fault(position, "trust", "blank trust code", "", remedy)
        elif key in first:
            rows = f" (also in row {draft.rows[first[key]]})" if draft.rows[position] else ""
            remedy = "Keep one row for each trust."
            yield draft.fault(position, "trust", f"duplicate trust code{rows}", code, remedy)
        first.setdefault(key, position)


def label_rule(case: Case) -> Iterator[Fault]:
    """Region, type and subtype are known ones."""
    known = {"region": REGIONS, "trust_type": TRUST_TYPES, "trust_subtype": ("", *TRUST_SUBTYPES)}
    for name, right in known.items():
        choice = f"Use one of {', '.join(label for label in right if label)}."
        for position, label in enumerate(case.draft.panel[name].values.tolist()):
            if label not in right:
                said = name.replace("_", " ")
                rule = f"unknown {said}" if label else f"{said} is missing"
                remedy = f"{as_sentence(nearest(label, right))} {choice}".strip()
                yield case.draft.fault(position, name, rule, label, remedy)


def infinity_rule(case: Case) -> Iterator[Fault]:
    """Every number is finite."""
    for label, values in columns_of(case.given):
        yield from case.faults(np.isinf(values), label, "infinite", values, "Give a finite number.")


def per_cent_rule(case: Case) -> Iterator[Fault]:
    """A per cent of turnover lies between -100 and 100."""
    for label, values in columns_of(case.given, PER_CENT):
        remedy = "Give per cent of turnover, or name the column without 'pct' if it is GBP million."
        yield from case.faults(np.abs(values) > 100.0, label, "more than 100 per cent", values, remedy)


def columns_of(panel: xr.Dataset, units: str | None = None) -> Iterator[tuple[str, Floats]]:
    """Every column of numbers with its name, ``actual_m3``; of one unit, if one is named."""
    for name, spec in PANEL.items():
        there = spec.kind != "text" and name in panel.variables
        if there and units in (None, panel[name].attrs.get("units")):
            values = numbers(panel, name)
            yield from _months_of(name, values) if spec.is_monthly else [(name, values)]


def _months_of(name: str, values: Floats) -> Iterator[tuple[str, Floats]]:
    for month in range(1, MONTHS + 1):
        yield f"{name}_m{month}", values[:, month - 1]


def turnover_rule(case: Case) -> Iterator[Fault]:
    """Turnover is above zero and of the same order as the others'."""
    own = case.own_turnover
    remedy = "Give the year's income in GBP million, or leave the cell blank to have it filled."
    yield from case.faults(own <= 0.0, "turnover", "turnover is not above zero", own, remedy)
    rule = f"about a thousand times off the median of {low_median(own):,.0f}"
    remedy = "Give GBP million: divide thousands by 1,000."
    yield from case.faults(case.off_scale, "turnover", rule, own, remedy)


def plan_rule(case: Case) -> Iterator[Fault]:
    """There is a plan, and it is smaller than turnover."""
    plan, turnover = case.values("plan"), case.values("turnover")
    blank = [""] * plan.size
    rule = "plan is missing though the trust has other figures"
    remedy = "Give the plan in GBP million, or clear the trust's other figures to leave it out."
    yield from case.faults(np.isnan(plan), "plan", rule, blank, remedy)
    remedy = "Give both in GBP million; thousands are divided by 1,000."
    too_large = case.comparable & (np.abs(plan) > turnover)
    yield from case.faults(too_large, "plan", "plan is larger than turnover", plan, remedy)


def efficiency_rule(case: Case) -> Iterator[Fault]:
    """Planned savings are positive and at most 30% of turnover."""
    savings, turnover = case.values("efficiency_plan"), case.values("turnover")
    remedy = "Savings are positive: take away the minus sign or the brackets."
    yield from case.faults(savings < 0.0, "efficiency_plan", "wrong sign", savings, remedy)
    remedy = "Check the unit: GBP million, not thousand; per cent only in a column named with 'pct'."
    too_large = case.comparable & (savings > HIGHEST_EFFICIENCY * turnover * ROUNDING)
    yield from case.faults(too_large, "efficiency_plan", "more than 30% of turnover", savings, remedy)


def range_rule(case: Case) -> Iterator[Fault]:
    """Every figure is within the range that its spec allows."""
    for name, values in columns_of(case.draft.panel):
        spec = PANEL.get(name)
        if spec is None or name == "efficiency_plan":  # a month; its sign has a rule of its own
            continue
        remedy = _within(spec.low, spec.high)
        yield from case.faults(values < spec.low, name, f"below {spec.low:g}", values, remedy)
        yield from case.faults(values > spec.high, name, f"above {spec.high:g}", values, remedy)


def _within(low: float, high: float) -> str:
    if (low, high) == (0.0, 1.0):
        return "Give a fraction between 0 and 1: 91% is 0.91."
    if np.isinf(high):
        return f"Give {low:g} or more."
    return f"Give a number from {low:g} to {high:g}."


def actual_rule(case: Case) -> Iterator[Fault]:
    """A trust's actual position has no hole: every month up to its last one is there."""
    if "actual" not in case.draft.panel.variables:
        return
    there = ~np.isnan(case.values("actual"))
    for position, months in enumerate(there):
        last = int(np.flatnonzero(months)[-1]) if months.any() else -1
        for month in np.flatnonzero(~months[: last + 1]) + 1:
            rule = f"a month is missing before month {last + 1}"
            remedy = "Give the cumulative position of every month so far."
            yield case.draft.fault(position, f"actual_m{month}", rule, "", remedy)


def plan_path_rule(case: Case) -> Iterator[Fault]:
    """A planned path ends at the year's plan, to GBP 10,000."""
    if "plan_ytd" not in case.draft.panel.variables:
        return
    last, plan = case.values("plan_ytd")[:, -1], case.values("plan")
    for position in np.flatnonzero(np.abs(last - plan) > 0.01).tolist():
        remedy = f"Give the year's plan, {plan[position]:g}, or leave month 12 out. Monthly plans are cumulative."
        yield case.draft.fault(position, "plan_ytd_m12", "month 12 is not the plan", f"{last[position]:g}", remedy)


def successor_rule(case: Case) -> Iterator[Fault]:
    """A trust that reports another's numbers reports its own too."""
    if "successor" not in case.draft.panel.variables:
        return
    successors = case.draft.panel["successor"].values.tolist()
    home = dict(zip(case.draft.panel["trust"].values.tolist(), successors, strict=True))
    for position, code in enumerate(successors):
        if home.get(code, code) != code:
            remedy = f"Name that one: '{home[code]}'."
            yield case.draft.fault(position, "successor", "the successor has a successor itself", code, remedy)


def name_rule(case: Case) -> Iterator[Fault]:
    """Two codes with one name are a trust and its successor; parts of one trust may share a name."""
    panel = case.draft.panel
    codes, names = panel["trust"].values.tolist(), panel["name"].values.tolist()
    parts = [panel[name].values.tolist() for name in ("successor", "drawn_as") if name in panel.variables]
    first: dict[str, int] = {}
    for position, name in enumerate(names):
        before = first.setdefault(plain(name), position)
        if before == position or not name or any(part[before] == part[position] for part in parts):
            continue
        rule = f"{codes[before]} and {codes[position]} have the same name: a trust and its successor?"
        remedy = "Keep one, or name the one that took the other on in a column 'successor' (in a panel: take_over)."
        yield case.draft.fault(position, "name", rule, name, remedy)


RULES: tuple[Callable[[Case], Iterable[Fault]], ...] = (
    label_rule,
    infinity_rule,
    per_cent_rule,
    turnover_rule,
    plan_rule,
    efficiency_rule,
    range_rule,
    actual_rule,
    plan_path_rule,
    successor_rule,
    name_rule,
)


def case_faults(case: Case) -> list[Fault]:
    """What breaks a rule, rule by rule."""
    return [fault for rule in RULES for fault in rule(case)]


def one_per_cell(faults: Iterable[Fault]) -> list[Fault]:
    """Keep the first fault of each cell, in the order of the rows.

    A cell that cannot be read would also count as missing, and a column that is not there as blank in
    every row.
    """
    cells: dict[tuple[str, int | None, str | int], Fault] = {}
    for number, fault in enumerate(faults):
        cells.setdefault((fault.trust, fault.row, fault.variable or number), fault)
    columns = {variable for trust, row, variable in cells if not trust and row is None}
    left = [fault for fault in cells.values() if _of_a_column(fault) or fault.variable not in columns]
    return sorted(left, key=lambda fault: fault.row or 0)


def _of_a_column(fault: Fault) -> bool:
    return not fault.trust and fault.row is None


def misfits(panel: xr.Dataset, place: str) -> list[Fault]:
    """Variables of a Dataset that lack their dimensions or are in another unit.

    Parameters
    ----------
    panel : xarray.Dataset
        As somebody built it, with a coordinate ``trust``.
    place : str
        The name under which it is reported.

    Returns
    -------
    list of Fault
        One for each required variable that is missing and each variable that does not fit.
    """
    wrong = (_misfit(panel, name, place) for name in PANEL if name in panel.variables and name != "trust")
    return [*_absent(panel, place), *_months(panel, place), *(fault for fault in wrong if fault)]


def _absent(panel: xr.Dataset, place: str) -> Iterator[Fault]:
    strange = [str(name) for name in panel.variables if name not in PANEL]
    for name, spec in PANEL.items():
        typed = name == "trust_type" and "trust_subtype" in panel.variables
        if spec.required and name not in panel.variables and not typed:
            remedy = f"Add '{name}' on {', '.join(spec.dims)}. {as_sentence(nearest(name, strange))}".strip()
            yield Fault(place, MISSING_COLUMN, "", remedy, variable=name)


def _months(panel: xr.Dataset, place: str) -> Iterator[Fault]:
    if "month" not in panel.dims:
        return
    months = panel["month"].values.tolist()
    if len(set(months)) < len(months) or not set(months) <= set(range(1, MONTHS + 1)):
        remedy = "Number the months 1 (April) to 12 (March), each once."
        yield Fault(place, "not the months of a financial year", str(months), remedy, variable="month")


def _misfit(panel: xr.Dataset, name: str, place: str) -> Fault | None:
    spec, array = PANEL[name], panel[name]
    if set(array.dims) != set(spec.dims):
        remedy = f"Give it on {', '.join(spec.dims)}."
        came = ", ".join(map(str, array.dims))
        return Fault(place, "wrong dimensions", came, remedy, variable=name)
    units = array.attrs.get("units", spec.unit)
    if spec.is_money and units not in (MONEY, PER_CENT):
        remedy = f"Convert it to {MONEY} and set its units so, or leave the attribute out."
        return Fault(place, "another unit", str(units), remedy, variable=name)
    return None
