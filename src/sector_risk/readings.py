"""The few figures and words that reports and pictures read off a forecast or a projection."""

import json
import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from sector_risk.effects import CENTRE, SUPPORT
from sector_risk.faults import Fault, InputError
from sector_risk.panel.fill import WARNED
from sector_risk.schema import WHOLE_SECTOR

if TYPE_CHECKING:
    from sector_risk.regimes import Rule

__all__ = [
    "NO_FIGURE",
    "balance",
    "counted_draws",
    "data_notes",
    "effect_label",
    "is_whole_sector",
    "money",
    "most_at_risk",
    "most_likely",
    "plan_after_support",
    "pounds",
    "regime_name",
    "review_list",
    "rule_words",
    "rules_in_force",
    "sampling_notes",
    "sector_plan",
    "share_on_plan",
    "worst_total",
]

NO_FIGURE = "–"

_LABELS = {
    "efficiency_recurrent": "Recurrent savings",
    "efficiency_one_off": "Planned one-off savings",
    "pay_afc": "Agenda for Change pay",
    "pay_medical": "Medical pay",
    "deterioration": "Drift less contingency",
    "one_off": "One-off cover in year",
    "favourable_spent": "Favourable pressure spent",
    SUPPORT: "Support against plan",
    CENTRE: "The centre",
    "one_offs": "One-offs",
}


_RULES = {
    "sustainability_funding": "support that trusts earn by quarter if they agree a control total and keep to it",
    "financial_recovery_fund": "fills planned deficits of trusts that agree to save more; earned by quarter",
    "accelerated_turnaround": "the trusts with the worst deficits of a year get help in the next",
    "distress_loans": "deficits are borrowed; the interest is a cost from the next year on",
    "deficit_support": "pays planned deficits by quarter, but not to trusts whose system is off plan",
    "oversight_framework": "every trust gets scores and a segment at the year end",
    "improvement_programme": "places for a few trusts in serious trouble: help, conditions to meet, a way out",
    "quarter_one_review": "the trusts furthest behind in each region after three months revise their plans",
    "administrative_savings": "commissioners and providers save a little more each year on administration",
    "payment_reform": "money moves to places with high costs and poor health; less income hangs on activity",
}


def most_at_risk(summary: xr.Dataset, count: int = 10) -> xr.Dataset:
    """The trusts that would fall furthest below plan in the worst twentieth of draws, worst first.

    Parameters
    ----------
    summary : xarray.Dataset
        What `sector_risk.summarise` gave.
    count : int
        How many trusts.

    Returns
    -------
    xarray.Dataset
        The rows of `summary` for those trusts, by falling sum of `tail_value_at_risk` (the deficit in the worst 5%
        of draws, or in the share nearest to it that the summary has) and `plan`.

    Examples
    --------
    >>> import xarray as xr
    >>> plan, deficit = [1.0, 1.0, 1.0, 3.0], [[-0.5], [9.0], [4.0], [12.0]]
    >>> summary = xr.Dataset(
    ...     {"plan": ("unit", plan), "tail_value_at_risk": (("unit", "confidence"), deficit)},
    ...     coords={"unit": ["A1", "B2", "C3", "Sector"], "level": ("unit", ["trust"] * 3 + ["sector"])},
    ... ).assign_coords(confidence=[0.95])
    >>> most_at_risk(summary, count=2).unit.values.tolist()
    ['B2', 'C3']
    """
    trusts = summary.isel(unit=np.flatnonzero(summary.level.values == "trust"))
    deficit = trusts.tail_value_at_risk.sel(confidence=0.95, method="nearest").values
    worst_first = np.argsort(-(deficit + trusts.plan.values), kind="stable")
    return trusts.isel(unit=worst_first[:count])


def most_likely(summary: xr.Dataset, chance: str, year: str, count: int = 5) -> xr.Dataset:
    """The trusts for which something is most probable in a year; of equals, the one with the worse position.

    Parameters
    ----------
    summary : xarray.Dataset
        What `sector_risk.summarise_projection` gave.
    chance : str
        A probability on (year, trust), such as `p_deficit`.
    year : str
        Which year.
    count : int
        How many trusts at most; one without any chance is not listed.

    Returns
    -------
    xarray.Dataset
        The year's rows of `summary` for those trusts, the most probable first.

    Examples
    --------
    >>> import xarray as xr
    >>> p, mean = [[0.2, 0.9, 0.9, 0.0]], [[-1.0, -2.0, -5.0, 3.0]]
    >>> summary = xr.Dataset(
    ...     {"p_deficit": (("year", "trust"), p), "mean": (("year", "trust"), mean)},
    ...     coords={"year": ["2018-19"], "trust": ["A1", "B2", "C3", "D4"]},
    ... )
    >>> most_likely(summary, "p_deficit", "2018-19").trust.values.tolist()
    ['C3', 'B2', 'A1']
    """
    chosen = summary.sel(year=year)
    order = np.lexsort((chosen["mean"].values, -chosen[chance].values))
    return chosen.isel(trust=order[chosen[chance].values[order] > 0.0][:count])


def review_list(forecast: xr.Dataset, per_region: int = 3) -> xr.Dataset:
    """The trusts of each region that most often miss their plan: whom to call to a quarter 1 review.

    Parameters
    ----------
    forecast : xarray.Dataset
        What `sector_risk.simulate` gave.
    per_region : int
        How many trusts of a region at most; a trust that never misses its plan is not listed.

    Returns
    -------
    xarray.Dataset
        Their rows of `sector_risk.summarise`: by region, and in a region by falling `p_missing_plan` (before
        support); of equals the one earlier in the panel comes first.

    Raises
    ------
    InputError
        If `per_region` is not a whole number from 1, or `forecast` cannot be summarised.

    Examples
    --------
    >>> import sector_risk as sr
    >>> called = review_list(sr.simulate(sr.load_case("england-2018-19"), n_draws=200), per_region=2)
    >>> called.sizes["unit"], called["region"].values[:4].tolist()
    (14, ['East of England', 'East of England', 'London', 'London'])
    """
    from sector_risk import summarise

    if not isinstance(per_region, int | np.integer) or isinstance(per_region, bool) or per_region < 1:
        rule = "must be a whole number from 1"
        raise InputError([Fault("review_list", rule, str(per_region), "", variable="per_region")])
    summary = summarise(forecast)
    missing = summary.isel(unit=(summary.level.values == "trust") & (summary.p_missing_plan.values > 0.0))
    order = np.lexsort((-missing.p_missing_plan.values, missing.region.values.astype(str)))
    by_region = missing.isel(unit=order)
    _, first, place = np.unique(by_region.region.values.astype(str), return_index=True, return_inverse=True)
    return by_region.isel(unit=np.arange(len(order)) - first[place] < per_region)


def rule_words(rule: "Rule") -> str:
    """Say in plain words what a rule does; of a rule of one's own, the first line of its description.

    Examples
    --------
    >>> import sector_risk as sr
    >>> rule_words(sr.SustainabilityFunding())
    'Sustainability funding: support that trusts earn by quarter if they agree a control total and keep to it'
    """
    described = (type(rule).__doc__ or "").strip().splitlines() or [""]
    words = _RULES.get(rule.name, described[0].rstrip("."))
    return f"{effect_label(rule.name)}: {words}" if words else effect_label(rule.name)


def rules_in_force(attrs: Mapping[Hashable, Any]) -> str:
    """Name the regime of a forecast or a projection and its rules, in order.

    Examples
    --------
    >>> rules_in_force({"regime": '{"name": "2018-19", "rules": [{"rule": "sustainability_funding"}]}'})
    '2018-19 (sustainability funding)'
    >>> rules_in_force({"regime": '{"name": "none", "rules": []}'})
    'none'
    """
    regime = json.loads(attrs["regime"])
    rules = ", ".join(rule["rule"].replace("_", " ") for rule in regime["rules"])
    return f"{regime['name']} ({rules})" if rules else str(regime["name"])


def regime_name(attrs: Mapping[Hashable, Any]) -> str:
    """Name the regime of a forecast or a projection.

    Examples
    --------
    >>> regime_name({"regime": '{"name": "2018-19", "rules": [{"rule": "sustainability_funding"}]}'})
    '2018-19'
    """
    return str(json.loads(attrs["regime"])["name"])


def worst_total(forecast: xr.Dataset, count: int = 30) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Sum of the worst positions within each draw, GBP million, shape (draw,).

    Examples
    --------
    >>> import xarray as xr
    >>> forecast = xr.Dataset({"position": (("trust", "draw"), [[-3.0, 2.0], [-1.0, -4.0], [5.0, 1.0]])})
    >>> worst_total(forecast, count=2).tolist()
    [-4.0, -3.0]
    """
    by_draw = np.partition(forecast.position.transpose("draw", "trust").values, count - 1, axis=1)
    return by_draw[:, :count].sum(axis=1, dtype=np.float64)


def share_on_plan(forecast: xr.Dataset) -> float:
    """Share of trusts, over all draws, that end the year exactly on plan before support.

    Examples
    --------
    >>> import xarray as xr
    >>> share_on_plan(xr.Dataset({"variance": (("trust", "draw"), [[0.0, -2.1], [0.0, 0.0]])}))
    0.75
    """
    return float((forecast.variance == 0.0).mean())


def is_whole_sector(forecast: xr.Dataset) -> bool:
    """Say whether the trusts are most of the sector, so that figures for the whole NHS make sense.

    Examples
    --------
    >>> import xarray as xr
    >>> is_whole_sector(xr.Dataset(attrs={"sector_share": 0.05}))
    False
    """
    return bool(forecast.attrs.get("sector_share", 1.0) >= WHOLE_SECTOR)


def sector_plan(forecast: xr.Dataset) -> float:
    """The provider sector's year-end plan, GBP million, with all support: what no trust agreed to is held for it.

    Examples
    --------
    >>> import xarray as xr
    >>> sector_plan(xr.Dataset({"sector_plan_ytd": ("month", [-800.0, -519.0])}))
    -519.0
    """
    return float(forecast.sector_plan_ytd.isel(month=-1))


def plan_after_support(forecast: xr.Dataset) -> xr.DataArray:
    """Each trust's year-end plan with the support it counts on, GBP million.

    Parameters
    ----------
    forecast : xarray.Dataset
        What `sector_risk.simulate` gave.

    Returns
    -------
    xarray.DataArray
        Dims `(trust,)`; surplus positive.

    Examples
    --------
    >>> import xarray as xr
    >>> forecast = xr.Dataset({"plan": ("trust", [-3.0]), "planned_support": ("trust", [2.5])})
    >>> plan_after_support(forecast).item()
    -0.5
    """
    plan: xr.DataArray = forecast.plan + forecast.planned_support
    return plan


def effect_label(effect: str) -> str:
    """Name an effect in plain English; a user's own driver keeps its name.

    Parameters
    ----------
    effect : str
        A driver's name, or `"support"`.

    Returns
    -------
    str
        A label for a table or a picture.

    Examples
    --------
    >>> effect_label("pay_medical"), effect_label("energy_prices")
    ('Medical pay', 'Energy prices')
    """
    return _LABELS.get(effect, effect.replace("_", " ").capitalize())


def money(value: float, decimals: int = 0) -> str:
    """Write GBP million with thousands separators, nought without a sign, and a dash for no figure.

    Parameters
    ----------
    value : float
        GBP million, surplus positive.
    decimals : int
        Decimals to show.

    Returns
    -------
    str
        The figure.

    Examples
    --------
    >>> money(-1234.5), money(-0.2), money(3.14, decimals=1), money(float("nan"))
    ('-1,234', '0', '3.1', '–')
    """
    if math.isnan(value):
        return NO_FIGURE
    text = f"{value:,.{decimals}f}"
    return text if float(text.replace(",", "")) else text.lstrip("-")


def pounds(value: float) -> str:
    """Write GBP million as it stands in a sentence, the sign before the pound.

    >>> pounds(-1234.5), pounds(2.0), pounds(float("nan"))
    ('−£1,234m', '£2m', '–')
    """
    if math.isnan(value):
        return NO_FIGURE
    said = money(value)
    return f"\N{MINUS SIGN}£{said[1:]}m" if said.startswith("-") else f"£{said}m"


def balance(position: float) -> str:
    """Write a position as a deficit or a surplus.

    >>> balance(-1234.5), balance(2.0), balance(-0.2)
    ('a deficit of £1,234m', 'a surplus of £2m', 'balance')
    """
    size = money(abs(position))
    return "balance" if size == "0" else f"a {'deficit' if position < 0 else 'surplus'} of £{size}m"


def counted_draws(count: int) -> str:
    """Write how many draws there are.

    >>> counted_draws(1), counted_draws(10_000)
    ('1 draw', '10,000 draws')
    """
    return f"{count:,} draw" if count == 1 else f"{count:,} draws"


def data_notes(attrs: Mapping[Hashable, Any], *, brief: bool = False) -> Iterator[str]:
    """Say what to know of the assumptions, and what was filled in, left out, or read and not used yet.

    Parameters
    ----------
    attrs : mapping
        The attributes of a panel or a forecast.
    brief : bool
        Whether to name together what was filled silently.

    Yields
    ------
    str
        One line each; nothing where there is nothing to say.

    Examples
    --------
    >>> attrs = {"filled": '{"turnover": "type median"}', "left_out": "[]", "not_used_yet": '["actual"]'}
    >>> for line in data_notes(attrs):
    ...     print(line)
    Filled: turnover, by type median
    Read but not used yet: actual
    >>> filled = '{"system": "not stated (all 2 trusts)", "pay_afc": "a share of turnover (all 2 trusts)"}'
    >>> list(data_notes(attrs | {"filled": filled, "not_used_yet": "[]"}, brief=True))
    ['Filled by default (all 2 trusts): system, not stated; pay_afc, a share of turnover']
    """
    yield from json.loads(attrs.get("notes", "[]"))
    yield from sampling_notes(attrs)
    filled = json.loads(attrs["filled"])
    shown = {name: rule for name, rule in filled.items() if name in WARNED} if brief else filled
    for name, rule in shown.items():
        yield f"Filled: {name}, by {rule}"
    yield from _silent_lines({name: rule for name, rule in filled.items() if name not in shown})
    left_out, not_used = (json.loads(attrs[key]) for key in ("left_out", "not_used_yet"))
    if left_out:
        yield f"Left out, {len(left_out)} in all: {_some(left_out)}"
    if not_used:
        yield f"Read but not used yet: {', '.join(not_used)}"


def sampling_notes(attrs: Mapping[Hashable, Any]) -> Iterator[str]:
    """Say so where errors are too large, for draws are not independent.

    >>> list(sampling_notes({}))
    []
    >>> list(sampling_notes({"sampling": "sobol"}))[0][:27]
    'The draws are Sobol points:'
    """
    if attrs.get("sampling") == "sobol":
        yield (
            "The draws are Sobol points: errors, which take draws as independent, are up to one and a half times too "
            "large for the sector and three times for the whole NHS; `controlled` gives theirs."
        )


def _silent_lines(filled: Mapping[str, str]) -> Iterator[str]:
    """One line for each group of trusts with gaps; a rule says in brackets at its end which they are."""
    groups: dict[str, list[str]] = {}
    for name, sentence in filled.items():
        rule, bracket, whose = sentence.rpartition(" (")
        groups.setdefault(bracket + whose if bracket else "", []).append(f"{name}, {rule if bracket else sentence}")
    for whose, said in groups.items():
        yield f"Filled by default{whose}: {'; '.join(said)}"


def _some(items: Sequence[object], most: int = 8) -> str:
    """The first few of many, and how many more there are."""
    rest = len(items) - most
    shown = ", ".join(map(str, items[:most]))
    return f"{shown} and {rest} more" if rest > 0 else shown
