"""The names, units and signs of everything that goes in and comes out.

One `VariableSpec` per variable says what it is once; reading, checking, annotating and the reference
pages all take it from here.

Money is GBP million. Surplus positive, deficit negative. Shares and rates are fractions, not per cent.
Months run from 1 (April) to 12 (March), and a monthly figure is cumulative: year to date.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "ERROR",
    "FORECAST",
    "FORECAST_FORMAT",
    "MONTHS",
    "OF_SECTOR",
    "PANEL",
    "PROJECTION",
    "PROJECTION_SUMMARY",
    "QUARTER_END_MONTHS",
    "REGIONS",
    "REGION_LABELS",
    "STREAMED",
    "SUBTYPE_LABELS",
    "SUMMARY",
    "TRUST_SUBTYPES",
    "TRUST_TYPES",
    "TYPES_BY_SUBTYPE",
    "TYPE_LABELS",
    "TYPE_OF_SUBTYPE",
    "WHOLE_SECTOR",
    "VariableSpec",
    "bound_of",
    "described",
    "is_year_label",
    "with_error",
    "year_labels",
]

MONTHS = 12
QUARTER_END_MONTHS = (3, 6, 9, 12)

FORECAST_FORMAT = 1
"""Number of the layout of forecasts; it rises when a variable changes its meaning or its name."""

WHOLE_SECTOR = 0.75
"""Share of the sector's turnover from which a panel's trusts are spoken of as the sector, and the NHS as theirs."""

REGIONS = (
    "East of England",
    "London",
    "Midlands",
    "North East and Yorkshire",
    "North West",
    "South East",
    "South West",
)

TRUST_TYPES = ("Acute", "Mental health", "Community", "Ambulance")

TYPE_OF_SUBTYPE: Mapping[str, str] = MappingProxyType(
    {
        "Acute - Teaching": "Acute",
        "Acute - Large": "Acute",
        "Acute - Medium": "Acute",
        "Acute - Small": "Acute",
        "Acute - Specialist": "Acute",
        "Acute - Multi-Service": "Acute",
        "Mental health": "Mental health",
        "Community": "Community",
        "Care trust": "Community",
        "Ambulance": "Ambulance",
    }
)
TRUST_SUBTYPES = tuple(TYPE_OF_SUBTYPE)

# Labels as published, in lower case, to the names used here. The oversight framework's files say "East"
# where everything else says "East of England".
REGION_LABELS: Mapping[str, str] = MappingProxyType(
    {region.casefold(): region for region in REGIONS}
    | {"east": "East of England", "north east & yorkshire": "North East and Yorkshire"}
)

SUBTYPE_LABELS: Mapping[str, str] = MappingProxyType(
    {subtype.casefold(): subtype for subtype in TRUST_SUBTYPES}
    | {
        "mental health and learning disability": "Mental health",
        "mental health & learning disability": "Mental health",
        "community trust": "Community",
        "ambulance trust": "Ambulance",
    }
)

# A label of the type column gives the type and, where the label is that fine, the subtype too. A type's
# own name says nothing about the subtype ("Community" may be a care trust).
TYPE_LABELS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {label: (TYPE_OF_SUBTYPE[subtype], subtype) for label, subtype in SUBTYPE_LABELS.items()}
    | {name.casefold(): (name, "") for name in TRUST_TYPES}
    | {
        "acute trust": ("Acute", ""),
        "acute trusts": ("Acute", ""),
        "acute and acute & community trusts": ("Acute", ""),
        "acute specialist trusts": ("Acute", "Acute - Specialist"),
        "mental health trust": ("Mental health", ""),
        "mental health trusts": ("Mental health", ""),
        "mental health and community trust": ("Mental health", ""),
        "mental health & learning disability and mental health, learning disability & community trusts": (
            "Mental health",
            "",
        ),
        "community trusts": ("Community", ""),
        "ambulance trusts": ("Ambulance", ""),
    }
)

# One label for both kinds: where there is a subtype, it decides.
TYPES_BY_SUBTYPE = frozenset({"mental health and community trust"})

Kind = Literal["float", "text", "flag", "code"]

MONEY = "GBP million"
FRACTION = "1"
BALANCE_SIGN = "surplus positive, deficit negative"
VARIANCE_SIGN = "better than plan positive, worse than plan negative"
AMOUNT_SIGN = "zero or positive"
DEFICIT_SIGN = "deficit positive, surplus negative"


@dataclass(frozen=True)
class VariableSpec:
    """What one variable is.

    Parameters
    ----------
    name : str
        Its name in every Dataset.
    dims : tuple of str
        Its dimensions, in order.
    unit : str
        ``"GBP million"``, ``"1"`` for a fraction, an index or a flag; empty for text.
    long_name : str
        What it is, in words.
    kind : {"float", "text", "flag", "code"}
        How its values are kept: as numbers, as text, as true and false, or as small whole numbers.
    required : bool
        Whether an input must have it.
    default : str
        The sentence that says what is used where it is missing; empty where nothing is.
    low, high : float
        The lowest and the highest value allowed.
    aliases : tuple of str
        Other names under which a file's column is known.
    sign : str
        The sign convention; empty for text and flags.

    Examples
    --------
    >>> PANEL["plan"].attrs["sign"]
    'surplus positive, deficit negative'
    """

    name: str
    dims: tuple[str, ...]
    unit: str
    long_name: str
    kind: Kind = "float"
    required: bool = False
    default: str = ""
    low: float = -inf
    high: float = inf
    aliases: tuple[str, ...] = ()
    sign: str = ""

    @property
    def attrs(self) -> dict[str, str]:
        """The attributes a Dataset's variable carries: those of long_name, units, sign that say something."""
        said = {"long_name": self.long_name, "units": self.unit, "sign": self.sign}
        return {key: text for key, text in said.items() if text}

    @property
    def is_money(self) -> bool:
        """Whether the values are GBP million."""
        return self.unit == MONEY

    @property
    def is_monthly(self) -> bool:
        """Whether there is one value per month."""
        return "month" in self.dims


def is_year_label(text: str) -> bool:
    """Whether a text is a financial year, such as 2018-19.

    >>> is_year_label("2018-19"), is_year_label("2018-20"), is_year_label("1999-00")
    (True, False, True)
    """
    start, dash, end = str(text).partition("-")
    return len(start) == 4 and start.isdecimal() and dash == "-" and end == f"{(int(start) + 1) % 100:02d}"


def year_labels(first: str, count: int) -> tuple[str, ...]:
    """Labels of `count` financial years.

    >>> year_labels("2018-19", 2)
    ('2018-19', '2019-20')
    """
    starts = range(int(first[:4]), int(first[:4]) + count)
    return tuple(f"{start}-{(start + 1) % 100:02d}" for start in starts)


ERROR = "Monte Carlo standard error of "


def with_error(
    name: str, dims: tuple[str, ...], unit: str, long_name: str, sign: str = ""
) -> tuple[VariableSpec, VariableSpec]:
    """Return the specs of a figure and of its Monte Carlo standard error, which has `_se` at the end of its name.

    Examples
    --------
    >>> [spec.name for spec in with_error("mean", (), "GBP million", "expected position")]
    ['mean', 'mean_se']
    """
    error = VariableSpec(f"{name}_se", dims, unit, f"{ERROR}the {long_name}")
    return VariableSpec(name, dims, unit, long_name, sign=sign), error


def bound_of(name: str, dims: tuple[str, ...], unit: str, long_name: str) -> VariableSpec:
    """Return the spec of the bound of a figure that is read off bins, which has `_bound` at the end of its name.

    Examples
    --------
    >>> bound_of("value_at_risk", (), "GBP million", "value at risk").name
    'value_at_risk_bound'
    """
    said = f"how far the {long_name} may be off at most because it is read off bins; Monte Carlo error comes on top"
    return VariableSpec(f"{name}_bound", dims, unit, said)


def described(data: xr.Dataset, specs: Mapping[str, VariableSpec]) -> xr.Dataset:
    """Give every variable of a Dataset the attributes of its spec, and give the Dataset back.

    Examples
    --------
    >>> import xarray as xr
    >>> described(xr.Dataset({"sd": 1.0}), SUMMARY)["sd"].attrs["units"]
    'GBP million'
    """
    for name in data.variables:
        data[name].attrs = specs[str(name)].attrs
    return data


_TRUST = ("trust",)
_MONTHLY = ("trust", "month")

_LABELS = (
    VariableSpec(
        "trust",
        _TRUST,
        "",
        "organisation code of the trust",
        kind="text",
        required=True,
        aliases=(
            "ods_code",
            "trust_code",
            "code",
            "org_code",
            "organisation_code",
            "provider_code",
            "nhs_code",
        ),
    ),
    VariableSpec(
        "name",
        _TRUST,
        "",
        "name of the trust",
        kind="text",
        default="the trust's code",
        aliases=("trust_name", "org_name", "organisation_name", "provider_name", "full_name_of_provider"),
    ),
    VariableSpec(
        "region",
        _TRUST,
        "",
        "NHS England region",
        kind="text",
        required=True,
        aliases=("nhs_region", "region_name"),
    ),
    VariableSpec(
        "trust_type",
        _TRUST,
        "",
        "type of trust",
        kind="text",
        required=True,
        default="the type to which the subtype belongs, where a subtype is given",
        aliases=("type", "org_type", "organisation_type"),
    ),
    VariableSpec(
        "trust_subtype",
        _TRUST,
        "",
        "subtype of trust",
        kind="text",
        default="empty: not known",
        aliases=("nof_subtype", "subtype"),
    ),
    VariableSpec(
        "system",
        _TRUST,
        "",
        "integrated care system or its forerunner",
        kind="text",
        default="not stated",
        aliases=("ics", "ics_name", "icb", "icb_name", "stp", "stp_name", "integrated_care_system"),
    ),
)

_MAIN = (
    VariableSpec(
        "turnover",
        _TRUST,
        MONEY,
        "income of the year",
        default="type median: median 2018-19 operating expenditure of the trust's type, uplifted to the year",
        aliases=("income", "total_income", "revenue", "operating_income"),
        sign=AMOUNT_SIGN,
    ),
    VariableSpec(
        "plan",
        _TRUST,
        MONEY,
        "planned year-end position before support",
        required=True,
        aliases=("planned_position", "full_year_plan", "annual_plan", "plan_before_support"),
        sign=BALANCE_SIGN,
    ),
    VariableSpec(
        "efficiency_plan",
        _TRUST,
        MONEY,
        "planned efficiency savings of the year",
        default="sector rate: the sector's planned efficiency as a share of turnover in that year",
        low=0.0,
        aliases=("cip_plan", "cip", "planned_efficiency", "efficiency"),
        sign=AMOUNT_SIGN,
    ),
    VariableSpec(
        "efficiency_recurrent_share",
        _TRUST,
        FRACTION,
        "share of the efficiency plan that is recurrent",
        default="0.91 of the efficiency plan is recurrent",
        low=0.0,
        high=1.0,
        aliases=("recurrent_share", "cip_recurrent_share"),
        sign=AMOUNT_SIGN,
    ),
    VariableSpec(
        "pay_afc",
        _TRUST,
        MONEY,
        "pay bill of Agenda for Change staff",
        default="37.2/87.8 of turnover, the sector's share in 2018-19",
        low=0.0,
        aliases=("afc_pay", "pay_agenda_for_change"),
        sign=AMOUNT_SIGN,
    ),
    VariableSpec(
        "pay_medical",
        _TRUST,
        MONEY,
        "pay bill of medical and dental staff",
        default="11.8/87.8 of turnover, the sector's share in 2018-19",
        low=0.0,
        aliases=("medical_pay", "pay_medical_and_dental"),
        sign=AMOUNT_SIGN,
    ),
    VariableSpec(
        "support_allocation",
        _TRUST,
        MONEY,
        "sustainability, recovery or deficit support funding on offer for the year",
        default="0: no support on offer",
        low=0.0,
        aliases=("psf_allocation", "stf_allocation", "frf_allocation", "dsf_allocation"),
        sign=AMOUNT_SIGN,
    ),
    VariableSpec(
        "control_total",
        _TRUST,
        MONEY,
        "year-end position before support that the trust was asked to reach",
        default="the plan",
        aliases=("ct",),
        sign=BALANCE_SIGN,
    ),
    VariableSpec(
        "control_total_agreed",
        _TRUST,
        FRACTION,
        "whether the trust agreed its control total",
        kind="flag",
        default="agreed where the support allocation is above 0",
        aliases=("ct_agreed", "control_total_accepted"),
    ),
)

_OPTIONAL = (
    VariableSpec(
        "plan_ytd",
        _MONTHLY,
        MONEY,
        "planned position before support, year to date",
        default="the plan path of the forecast's assumptions",
        aliases=("ytd_plan",),
        sign=BALANCE_SIGN,
    ),
    VariableSpec(
        "actual",
        _MONTHLY,
        MONEY,
        "position before support, year to date",
        aliases=("actual_ytd", "ytd_actual"),
        sign=BALANCE_SIGN,
    ),
    VariableSpec(
        "variance_ytd",
        _MONTHLY,
        MONEY,
        "actual less plan, year to date",
        aliases=("ytd_variance", "ytd_var", "var_ytd"),
        sign=VARIANCE_SIGN,
    ),
    VariableSpec(
        "forecast",
        _TRUST,
        MONEY,
        "the trust's own declared forecast of its year-end position before support",
        aliases=("declared_forecast", "forecast_outturn", "fot"),
        sign=BALANCE_SIGN,
    ),
    VariableSpec(
        "efficiency_delivered",
        _MONTHLY,
        MONEY,
        "efficiency savings delivered, year to date",
        aliases=("cip_delivered", "efficiency_delivered_ytd", "efficiency_actual", "cip_actual"),
        sign=AMOUNT_SIGN,
    ),
    VariableSpec(
        "pay_bank_agency",
        _TRUST,
        MONEY,
        "pay bill of bank and agency staff",
        low=0.0,
        aliases=("bank_agency_pay", "bank_and_agency"),
        sign=AMOUNT_SIGN,
    ),
    VariableSpec(
        "pay_award_funding",
        _TRUST,
        MONEY,
        "central funding of the pay award due to the trust for the year",
        default="the share of the pay award's funding that follows from the pay bill",
        low=0.0,
        aliases=("award_funding",),
        sign=AMOUNT_SIGN,
    ),
    VariableSpec(
        "debt",
        _TRUST,
        MONEY,
        "interim revenue loans outstanding at the start of the year",
        default="0, where others say",
        low=0.0,
        aliases=("loans", "interim_loans"),
        sign="owed positive",
    ),
    VariableSpec(
        "loan_rate",
        _TRUST,
        FRACTION,
        "interest rate on the trust's loans, fraction a year",
        low=0.0,
        high=1.0,
        aliases=("interest_rate",),
        sign=AMOUNT_SIGN,
    ),
    VariableSpec(
        "segment",
        _TRUST,
        FRACTION,
        "oversight segment, 1 the least support to 5 the most",
        low=1.0,
        high=5.0,
        aliases=("nof_segment", "oversight_segment"),
        sign="higher is worse",
    ),
    VariableSpec(
        "capability",
        _TRUST,
        FRACTION,
        "capability rating of the board, 1 the highest to 4 the lowest",
        low=1.0,
        high=4.0,
        aliases=("capability_rating",),
        sign="higher is worse",
    ),
    VariableSpec(
        "governance_failure",
        _TRUST,
        FRACTION,
        "whether governance has failed catastrophically",
        kind="flag",
        default="no, where others say",
    ),
    VariableSpec(
        "activity_income_share",
        _TRUST,
        FRACTION,
        "share of turnover paid by volume of activity",
        low=0.0,
        high=1.0,
        sign=AMOUNT_SIGN,
    ),
    VariableSpec(
        "mff_change",
        _TRUST,
        FRACTION,
        "change of income once the new market forces factor is fully phased in, fraction of turnover",
        low=-1.0,
        high=1.0,
        aliases=("market_forces_factor_change",),
        sign="gain positive, loss negative",
    ),
    VariableSpec(
        "inequality_index",
        _TRUST,
        FRACTION,
        "index of health inequality of the population served",
        sign="higher is more unequal",
    ),
    VariableSpec(
        "plan_original",
        _TRUST,
        MONEY,
        "planned year-end position before support, before any reset within the year",
        aliases=("original_plan",),
        sign=BALANCE_SIGN,
    ),
    VariableSpec(
        "successor",
        _TRUST,
        "",
        "code of the trust that reports this row's numbers",
        kind="text",
        default="the trust itself",
        aliases=("successor_code",),
    ),
    VariableSpec(
        "drawn_as",
        _TRUST,
        "",
        "code whose random numbers this row has",
        kind="text",
        default="the trust's own code",
    ),
)

PANEL: Mapping[str, VariableSpec] = MappingProxyType({spec.name: spec for spec in (*_LABELS, *_MAIN, *_OPTIONAL)})

# What a forecast holds.
_BY_DRAW = ("trust", "draw")
_DRAW = ("draw",)

_OUTCOMES = (
    VariableSpec("position", _BY_DRAW, MONEY, "year-end position including support", sign=BALANCE_SIGN),
    VariableSpec("position_before_support", _BY_DRAW, MONEY, "year-end position before support", sign=BALANCE_SIGN),
    VariableSpec(
        "variance",
        _BY_DRAW,
        MONEY,
        "year-end position before support less plan; exactly nought for a trust that ends on plan",
        sign=VARIANCE_SIGN,
    ),
    VariableSpec(
        "underlying",
        _BY_DRAW,
        MONEY,
        "underlying position: before support, without one-offs, with recurrent savings in full",
        sign=BALANCE_SIGN,
    ),
    VariableSpec("support", _BY_DRAW, MONEY, "support funding paid for the year", sign=AMOUNT_SIGN),
    VariableSpec("support_by_fund", ("fund", *_BY_DRAW), MONEY, "support paid by each fund", sign=AMOUNT_SIGN),
    VariableSpec("one_off", _BY_DRAW, MONEY, "one-off cover used by the year end", sign=AMOUNT_SIGN),
    VariableSpec(
        "contribution",
        ("driver", *_BY_DRAW),
        MONEY,
        "contribution of each driver to the year-end variance before support; the drivers add up to it",
        sign=VARIANCE_SIGN,
    ),
    VariableSpec("sector_position", _DRAW, MONEY, "provider sector: sum of all trusts' positions", sign=BALANCE_SIGN),
    VariableSpec(
        "sector_position_before_support",
        _DRAW,
        MONEY,
        "provider sector: sum of all trusts' positions before support",
        sign=BALANCE_SIGN,
    ),
    VariableSpec("sector_underlying", _DRAW, MONEY, "provider sector: underlying position", sign=BALANCE_SIGN),
    VariableSpec(
        "central_effect",
        _DRAW,
        MONEY,
        "what the rules of the regime save the centre, costs negative",
        sign=BALANCE_SIGN,
    ),
    VariableSpec(
        "nhs_position",
        _DRAW,
        MONEY,
        "whole NHS against breakeven: provider sector, central actions, and what rules save the centre",
        sign=BALANCE_SIGN,
    ),
    VariableSpec(
        "central_action",
        ("action", "draw"),
        MONEY,
        "offset that each central action delivers",
        sign=BALANCE_SIGN,
    ),
    VariableSpec(
        "sector_ytd",
        ("month", "draw"),
        MONEY,
        "provider sector: year-to-date position including support; what is not yet earned counts until the year end",
        sign=BALANCE_SIGN,
    ),
    VariableSpec(
        "sector_plan_ytd",
        ("month",),
        MONEY,
        "provider sector: year-to-date plan including support",
        sign=BALANCE_SIGN,
    ),
    VariableSpec(
        "sector_efficiency_delivered",
        _DRAW,
        MONEY,
        "efficiency delivered: recurrent, planned one-off, and one-off cover that stands in for missing savings",
        sign=AMOUNT_SIGN,
    ),
    VariableSpec("deficit_count", _DRAW, "1", "number of trusts in deficit by GBP 5,000 or more"),
    VariableSpec("gross_deficit", _DRAW, MONEY, "sum of all deficits, surpluses left out", sign=BALANCE_SIGN),
    VariableSpec("plan", _TRUST, MONEY, "planned year-end position before support", sign=BALANCE_SIGN),
    VariableSpec("planned_support", _TRUST, MONEY, "support that the plan after support counts on", sign=AMOUNT_SIGN),
    VariableSpec(
        "variance_by_quarter",
        ("quarter", *_BY_DRAW),
        MONEY,
        "year-to-date variance before support at the quarter's end",
        sign=VARIANCE_SIGN,
    ),
    VariableSpec(
        "months_seen",
        _TRUST,
        "1",
        "months of the year that are taken as seen, of all parts of the trust; 12 with a forecast",
    ),
    VariableSpec(
        "particles_worth",
        _TRUST,
        "1",
        "effective number of the particles that explain what was seen; few where the model finds it surprising",
    ),
)

_COORDINATES = (
    VariableSpec("driver", ("driver",), "", "cause of variance", kind="text"),
    VariableSpec("action", ("action",), "", "central action: what the centre does about the position", kind="text"),
    VariableSpec("fund", ("fund",), "", "rule that pays support", kind="text"),
    VariableSpec("month", ("month",), "1", "month of the financial year, April is 1"),
    VariableSpec("quarter", ("quarter",), "1", "quarter of the financial year, April to June is 1"),
    VariableSpec("draw", _DRAW, "1", "number of the draw; draw d is the same in every run with the same seed"),
)

FORECAST: Mapping[str, VariableSpec] = MappingProxyType(
    {spec.name: spec for spec in (*_OUTCOMES, *_COORDINATES)}
    | {name: PANEL[name] for name in ("trust", "name", "region", "trust_type", "system")}
    | {name: PANEL[name] for name in ("turnover", "efficiency_plan", "control_total")}
)

# What a projection holds: of each year what a forecast says of one, and what spans the years.
_YEARLY = (
    "position",
    "position_before_support",
    "variance",
    "underlying",
    "support",
    "support_by_fund",
    "sector_position",
    "sector_position_before_support",
    "sector_underlying",
    "central_effect",
    "sector_efficiency_delivered",
    "deficit_count",
    "gross_deficit",
)
_OVER_YEARS = (
    VariableSpec(
        "sector_contribution",
        ("year", "driver", "draw"),
        MONEY,
        "contribution of each driver to the sector's variance before support in the year",
        sign=VARIANCE_SIGN,
    ),
    VariableSpec("turnover", ("year", "trust"), MONEY, "income of the year", sign=AMOUNT_SIGN),
    VariableSpec("milestone_met", ("milestone", "draw"), "1", "whether the milestone is met", kind="flag"),
    VariableSpec("milestone", ("milestone",), "", "what is to be reached, and when", kind="text"),
    VariableSpec("year", ("year",), "", "financial year", kind="text"),
)

PROJECTION: Mapping[str, VariableSpec] = MappingProxyType(
    {name: replace(FORECAST[name], dims=("year", *FORECAST[name].dims)) for name in _YEARLY}
    | {name: FORECAST[name] for name in ("trust", "name", "region", "trust_type", "system", "driver", "fund", "draw")}
    | {spec.name: spec for spec in _OVER_YEARS}
)

_UNIT = ("unit",)
_BY_QUANTILE = ("unit", "quantile")
_BY_CONFIDENCE = ("unit", "confidence")
_MEASURES = (
    VariableSpec("plan", _UNIT, MONEY, "planned year-end position including support", sign=BALANCE_SIGN),
    *with_error("mean", _UNIT, MONEY, "expected year-end position", BALANCE_SIGN),
    VariableSpec("sd", _UNIT, MONEY, "standard deviation of the year-end position"),
    *with_error("position_quantile", _BY_QUANTILE, MONEY, "quantile of the year-end position", BALANCE_SIGN),
    *with_error("p_deficit", _UNIT, "1", "probability of a year-end deficit"),
    *with_error("p_breakeven", _UNIT, "1", "probability of breakeven or a surplus at the year end"),
    *with_error("p_missing_plan", _UNIT, "1", "probability of ending the year below plan, both before support"),
    *with_error(
        "p_missing_control_total", _UNIT, "1", "probability of ending the year below control total, both before support"
    ),
    VariableSpec(
        "value_at_risk",
        _BY_CONFIDENCE,
        MONEY,
        "value at risk: year-end deficit that the worst 1 - confidence of draws reach or pass",
        sign=DEFICIT_SIGN,
    ),
    VariableSpec("value_at_risk_se", _BY_CONFIDENCE, MONEY, ERROR + "the value at risk"),
    VariableSpec(
        "tail_value_at_risk",
        _BY_CONFIDENCE,
        MONEY,
        "tail value at risk: mean year-end deficit of the worst 1 - confidence of draws",
        sign=DEFICIT_SIGN,
    ),
    VariableSpec("tail_value_at_risk_se", _BY_CONFIDENCE, MONEY, ERROR + "the tail value at risk"),
    VariableSpec("unit", _UNIT, "", "trust, region, type, system, provider sector or whole NHS", kind="text"),
    VariableSpec("level", _UNIT, "", "what the unit is: trust, region, trust_type, system, sector or nhs", kind="text"),
    VariableSpec("name", _UNIT, "", "name of the trust, or of the group of trusts", kind="text"),
    VariableSpec("region", _UNIT, "", "NHS England region; empty for groups of other kinds", kind="text"),
    VariableSpec("trust_type", _UNIT, "", "type of trust; empty for groups of other kinds", kind="text"),
    VariableSpec(
        "system", _UNIT, "", "integrated care system or its forerunner; empty for groups of other kinds", kind="text"
    ),
    VariableSpec("quantile", ("quantile",), "1", "probability of being at or below the value"),
    VariableSpec("confidence", ("confidence",), "1", "confidence: at 0.95 the tail is the worst 5% of draws"),
)
SUMMARY: Mapping[str, VariableSpec] = MappingProxyType({spec.name: spec for spec in _MEASURES})
"""What a summary says of every unit."""

_BY_MONTH = ("month", "quantile")
_OF_DRIVER = ("driver", "trust")
_STREAMED = (
    bound_of("position_quantile", _BY_QUANTILE, MONEY, "quantile of the year-end position"),
    bound_of("value_at_risk", _BY_CONFIDENCE, MONEY, "value at risk"),
    bound_of("tail_value_at_risk", _BY_CONFIDENCE, MONEY, "tail value at risk"),
    VariableSpec(
        "histogram",
        ("unit", "bin"),
        "1",
        "number of draws in the bin",
    ),
    VariableSpec(
        "bin_start",
        _UNIT,
        MONEY,
        "where the first bin begins; a draw on an edge is in the bin above it",
        sign=BALANCE_SIGN,
    ),
    VariableSpec("bin_width", _UNIT, MONEY, "width of a bin; the first and the last also take what lies beyond"),
    VariableSpec("bin_middle", ("unit", "bin"), MONEY, "year-end position, mid-bin", sign=BALANCE_SIGN),
    VariableSpec(
        "sector_ytd_quantile",
        _BY_MONTH,
        MONEY,
        "provider sector: quantile of the year-to-date position including support",
        sign=BALANCE_SIGN,
    ),
    bound_of("sector_ytd_quantile", _BY_MONTH, MONEY, "quantile of the provider sector's year-to-date position"),
    *with_error(
        "contribution_mean",
        _OF_DRIVER,
        MONEY,
        "expected contribution of the driver to the trust's year-end variance before support",
        VARIANCE_SIGN,
    ),
)
STREAMED: Mapping[str, VariableSpec] = MappingProxyType({spec.name: spec for spec in _STREAMED})
"""What only a summary of draws that were not kept has."""

_TAIL = "the draws that are worst for the provider sector"
_ADDS = "negative where it hedges the rest"
_OF_SECTOR = (
    *with_error(
        "sd_share", _TRUST, MONEY, "part that the trust adds to the provider sector's standard deviation", _ADDS
    ),
    *with_error(
        "tail_value_at_risk_share",
        ("trust", "confidence"),
        MONEY,
        f"mean deficit of the trust in {_TAIL}",
        DEFICIT_SIGN,
    ),
    *with_error(
        "sd_by_effect",
        ("effect",),
        MONEY,
        "part that the effect adds to the provider sector's standard deviation",
        _ADDS,
    ),
    *with_error(
        "tail_value_at_risk_by_effect",
        ("effect", "confidence"),
        MONEY,
        f"mean amount by which the effect worsens the provider sector's position in {_TAIL}",
        "adverse positive",
    ),
    VariableSpec("effect", ("effect",), "", "what moves the provider sector: a driver, or support paid", kind="text"),
)
OF_SECTOR: Mapping[str, VariableSpec] = MappingProxyType({spec.name: spec for spec in _OF_SECTOR})
"""What trusts and effects add to the provider sector, in such a summary."""

_YEAR = ("year",)
_YEAR_QUANTILE = ("year", "quantile")
_YEAR_TRUST = ("year", "trust")

_YEARLY_MEASURES = (
    VariableSpec("sector_mean", _YEAR, MONEY, "provider sector: expected position", sign=BALANCE_SIGN),
    VariableSpec("sector_mean_se", _YEAR, MONEY, ERROR + "the sector's expected position"),
    VariableSpec("sector_sd", _YEAR, MONEY, "provider sector: standard deviation of the position"),
    VariableSpec(
        "sector_quantile", _YEAR_QUANTILE, MONEY, "provider sector: quantile of the position", sign=BALANCE_SIGN
    ),
    VariableSpec("sector_quantile_se", _YEAR_QUANTILE, MONEY, ERROR + "the sector's quantile"),
    VariableSpec("underlying_mean", _YEAR, MONEY, "provider sector: expected underlying position", sign=BALANCE_SIGN),
    VariableSpec("p_sector_balance", _YEAR, "1", "probability that the provider sector is not in deficit"),
    VariableSpec("p_sector_balance_se", _YEAR, "1", ERROR + "the sector's probability"),
    VariableSpec("deficit_count_mean", _YEAR, "1", "expected number of trusts in deficit"),
    VariableSpec("deficit_count_quantile", _YEAR_QUANTILE, "1", "quantile of the number of trusts in deficit"),
    VariableSpec("gross_deficit_mean", _YEAR, MONEY, "expected sum of all deficits", sign=BALANCE_SIGN),
    VariableSpec("support_mean", ("year", "fund"), MONEY, "expected support that the fund pays", sign=AMOUNT_SIGN),
    VariableSpec("mean", _YEAR_TRUST, MONEY, "trust: expected year-end position", sign=BALANCE_SIGN),
    VariableSpec("p_deficit", _YEAR_TRUST, "1", "trust: probability of a year-end deficit"),
    VariableSpec("p_deficit_se", _YEAR_TRUST, "1", ERROR + "the trust's probability"),
    VariableSpec("p_milestone", ("milestone",), "1", "probability that the milestone is met"),
    VariableSpec("p_milestone_se", ("milestone",), "1", ERROR + "the milestone's probability"),
)

PROJECTION_SUMMARY: Mapping[str, VariableSpec] = MappingProxyType(
    {spec.name: spec for spec in _YEARLY_MEASURES}
    | {"quantile": SUMMARY["quantile"]}
    | {
        name: PROJECTION[name]
        for name in ("year", "milestone", "fund", "trust", "name", "region", "trust_type", "system")
    }
)
