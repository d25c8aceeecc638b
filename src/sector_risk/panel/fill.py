"""Named rules that close the gaps of a panel.

Turnover and the efficiency plan are filled with a warning, because a forecast leans on them; the other
defaults are silent. All are recorded in the panel's attribute ``filled``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sector_risk.schema import PANEL

NOT_STATED = "not stated"

# Median operating expenditure 2018-19, GBP million, 208 trusts of the published accounts. Care trusts and
# ambulance trusts rest on one trust each.
MEDIAN_EXPENDITURE: Mapping[str, float] = MappingProxyType(
    {
        "Acute - Teaching": 771.0,
        "Acute - Large": 487.0,
        "Acute - Medium": 336.0,
        "Acute - Small": 244.0,
        "Acute - Specialist": 184.0,
        "Acute - Multi-Service": 369.0,
        "Acute": 381.0,
        "Mental health": 230.0,
        "Community": 152.0,
        "Care trust": 113.0,
        "Ambulance": 243.0,
    }
)

# Income of all trusts by the calendar year in which the financial year starts, GBP billion: 2018-19 from
# the planned savings of 3.6bn at 4.1%, the later ones from the trusts' published accounts.
SECTOR_INCOME: Mapping[int, float] = MappingProxyType({2018: 87.8, 2021: 110.3, 2022: 118.4, 2023: 129.2})
GROWTH_AFTER = 0.04  # a guess

# Planned efficiency as a share of turnover, sector.
EFFICIENCY_RATE: Mapping[str, float] = MappingProxyType(
    {"2016-17": 0.037, "2017-18": 0.042, "2018-19": 0.041, "2024-25": 0.061, "2025-26": 0.071}
)
USUAL_EFFICIENCY_RATE = 0.041

RECURRENT_SHARE = 0.91
AFC_SHARE = 37.2 / 87.8  # pay bill over income, GBP billion, 2018-19
MEDICAL_SHARE = 11.8 / 87.8


def income_uplift(year: str) -> float:
    """How much larger trusts' income is than in 2018-19.

    Parameters
    ----------
    year : str
        A financial year such as ``"2025-26"``, or ``"not stated"``.

    Returns
    -------
    float
        The ratio: 1 up to 2018-19 and where the year is not stated, straight lines between the years for
        which the sector's income is known, 4% a year after the last of them.

    Examples
    --------
    >>> round(income_uplift("2022-23"), 3), income_uplift("not stated")
    (1.349, 1.0)
    """
    start = start_of(year)
    if start is None:
        return 1.0
    last = max(SECTOR_INCOME)
    income = np.interp(start, list(SECTOR_INCOME), list(SECTOR_INCOME.values()))
    return float(income / SECTOR_INCOME[2018] * (1.0 + GROWTH_AFTER) ** max(0, start - last))


def start_of(year: str) -> int | None:
    """The calendar year in which a financial year starts; None if the text names none.

    Examples
    --------
    >>> start_of("2018-19"), start_of("2018/19"), start_of("2018-20")
    (2018, 2018, None)
    """
    match = re.fullmatch(r"(20\d\d)[-/–](\d\d)", year.strip())
    if match is None or (int(match[1]) + 1) % 100 != int(match[2]):
        return None
    return int(match[1])


def type_median(panel: xr.Dataset, year: str) -> NDArray[np.float64]:
    """Turnover by the rule "type median", GBP million, shape (trust,); NaN for a type that is not known."""
    pairs = zip(panel["trust_type"].values, panel["trust_subtype"].values, strict=True)
    medians = [MEDIAN_EXPENDITURE.get(sub, MEDIAN_EXPENDITURE.get(kind, np.nan)) for kind, sub in pairs]
    return np.array(medians, dtype=np.float64) * income_uplift(year)


def sector_rate(panel: xr.Dataset, year: str) -> NDArray[np.float64]:
    """Efficiency plan by the rule "sector rate", GBP million, shape (trust,)."""
    return _turnover(panel) * efficiency_rate(year)


def efficiency_rate(year: str) -> float:
    """The sector's planned efficiency as a share of turnover."""
    return EFFICIENCY_RATE.get(year, USUAL_EFFICIENCY_RATE)


def _turnover(panel: xr.Dataset) -> NDArray[np.float64]:
    return np.asarray(panel["turnover"].values, dtype=np.float64)


def _constant(panel: xr.Dataset, value: float) -> NDArray[np.float64]:
    return np.full(panel.sizes["trust"], value)


Rule = Callable[[xr.Dataset, str], NDArray[np.generic]]

# In this order: later rules use what earlier ones filled.
RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "turnover": type_median,
        "efficiency_plan": sector_rate,
        "efficiency_recurrent_share": lambda panel, year: _constant(panel, RECURRENT_SHARE),
        "pay_afc": lambda panel, year: AFC_SHARE * _turnover(panel),
        "pay_medical": lambda panel, year: MEDICAL_SHARE * _turnover(panel),
        "support_allocation": lambda panel, year: _constant(panel, 0.0),
        "control_total": lambda panel, year: np.asarray(panel["plan"].values),
        "control_total_agreed": lambda panel, year: (panel["support_allocation"].values > 0.0).astype(float),
        "name": lambda panel, year: panel["trust"].values,
        "system": lambda panel, year: np.full(panel.sizes["trust"], NOT_STATED),
    }
)
# Filled where somebody gave the variable for other trusts.
IF_PRESENT: Mapping[str, Rule] = MappingProxyType(
    {
        "debt": lambda panel, year: _constant(panel, 0.0),
        "governance_failure": lambda panel, year: _constant(panel, 0.0),
    }
)
WARNED = ("turnover", "efficiency_plan")


def gaps_of(panel: xr.Dataset, name: str) -> NDArray[np.bool_]:
    """Where a variable is missing, shape (trust,): everywhere if it is not there at all."""
    if name not in panel.variables:
        return np.ones(panel.sizes["trust"], dtype=bool)
    values = panel[name].values
    return np.asarray(values == "" if PANEL[name].kind == "text" else np.isnan(values))


def fill(panel: xr.Dataset, name: str, year: str) -> tuple[xr.Dataset, str]:
    """Close the gaps of one variable by its rule.

    Parameters
    ----------
    panel : xarray.Dataset
        With the variables that the rule uses.
    name : str
        The variable.
    year : str
        The financial year, for the rules that depend on it.

    Returns
    -------
    panel : xarray.Dataset
        A new panel; figures that were given are unchanged.
    sentence : str
        The rule with the number of trusts it filled; empty if there was no gap.
    """
    gaps = gaps_of(panel, name)
    if not gaps.any():
        return panel, ""
    values = {**RULES, **IF_PRESENT}[name](panel, year)
    given = panel[name].variable if name in panel.variables else xr.Variable("trust", values)
    filled = given.copy(data=np.where(gaps, values, given.values))
    return panel.assign({name: filled}), f"{sentence(name, year)} ({_whose(panel['trust'].values[gaps], gaps.size)})"


def _whose(trusts: NDArray[np.generic], among: int, most: int = 8) -> str:
    """All trusts, or how many of them and the codes of the first few."""
    if trusts.size == among:
        return f"all {among} trusts" if among > 1 else "the only trust"
    more = f" and {trusts.size - most} more" if trusts.size > most else ""
    return f"{trusts.size} of {among} trusts: {', '.join(map(str, trusts[:most]))}{more}"


def sentence(name: str, year: str) -> str:
    """The rule that fills a variable, with this year's figure.

    Examples
    --------
    >>> sentence("efficiency_plan", "2018-19")
    'sector rate: 4.1% of turnover'
    """
    if name == "turnover":
        factor = f"times {income_uplift(year):.3f} for {year}"
        return f"type median: median 2018-19 operating expenditure of the trust's type, {factor}"
    if name == "efficiency_plan":
        return f"sector rate: {efficiency_rate(year):.1%} of turnover"
    return PANEL[name].default
