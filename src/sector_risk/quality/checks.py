"""The checks that are run on a forecast: of what it says of itself, of sums, errors, and of being made again."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr

from sector_risk.assumptions import Assumptions
from sector_risk.conditioning import FEW
from sector_risk.kernels.random import STREAM_VERSION
from sector_risk.quality.again import first_draws_again
from sector_risk.quality.figures import draws_are_enough
from sector_risk.quality.identities import ROUNDING, adds_up, by_draw, largest, needs_of
from sector_risk.quality.rows import (
    DAMAGE,
    FAILED,
    NOT_RUN,
    PASSED,
    CheckResult,
    CheckRow,
    NotRun,
    none_of,
    within,
    worst,
)
from sector_risk.regimes import Regime
from sector_risk.schema import FORECAST, FORECAST_FORMAT, MONTHS

OPTIONAL = ("variance_by_quarter", "quarter", "months_seen", "particles_worth")
"""Variables that only some forecasts have."""
MAY_BE_MISSING = ("particles_worth",)
"""Variables that are no number for some trusts."""
DIGEST = re.compile(r"[0-9a-f]{32}")
MOST_SURPRISED = 0.05
"""Share of the trusts seen whose reports hardly any particle explains, up to which the model may be trusted."""


def faults_of_variables(forecast: xr.Dataset) -> dict[str, str]:
    """Variables that are missing, on other dimensions than a forecast has, or not finite, with what is wrong.

    >>> faults_of_variables(xr.Dataset({"plan": ("draw", [1.0])}))["plan"]
    'is on (draw), not (trust)'
    """
    found: dict[str, str] = {}
    for name, spec in FORECAST.items():
        if name not in forecast.variables:
            found |= {} if name in OPTIONAL else {name: "is missing"}
        elif set(forecast[name].dims) != set(spec.dims):
            found[name] = f"is on ({', '.join(map(str, forecast[name].dims))}), not ({', '.join(spec.dims)})"
        elif name not in MAY_BE_MISSING and not is_finite(forecast[name]):
            found[name] = "is not finite throughout"
    return found


def is_finite(variable: xr.DataArray) -> bool:
    """Whether all values are finite, where they are floating-point numbers."""
    return variable.dtype.kind != "f" or bool(np.isfinite(variable.values.sum(dtype=np.float64)))


def is_complete(forecast: xr.Dataset) -> CheckResult:
    """Every variable of a forecast is there, on its dimensions, and finite."""
    return none_of((f"{name} {fault}" for name, fault in faults_of_variables(forecast).items()), "variables")


def is_recorded(forecast: xr.Dataset) -> CheckResult:
    """Format and stream of random numbers are this version's, the panel's digest is one, and codes are unique."""
    return none_of(faults_of_record(forecast), "entries")


def faults_of_record(forecast: xr.Dataset) -> Iterator[str]:
    """Say what of format, stream of random numbers, digest and codes is wrong.

    >>> list(faults_of_record(xr.Dataset(coords={"trust": ["ZZ1", "ZZ1"]}, attrs={"panel_hash": 32 * "a"})))[-1]
    'trust ZZ1 occurs twice'
    """
    for name, wanted in {"format": FORECAST_FORMAT, "random_stream": STREAM_VERSION}.items():
        came = forecast.attrs.get(name, "missing")
        if came != wanted:
            yield f"{name} is {came}, not {wanted}"
    digest = str(forecast.attrs.get("panel_hash", "missing"))
    if not DIGEST.fullmatch(digest):
        yield f"panel_hash is {digest}, not 32 hexadecimal digits"
    codes, counts = np.unique(forecast["trust"].values.astype(str), return_counts=True)
    yield from (f"trust {code} occurs twice" for code in codes[counts > 1])


def draws_are_whole(forecast: xr.Dataset) -> CheckResult:
    """There are as many draws as were made, numbered from nought, and sets of parameters have equally many."""
    made, numbers = int(forecast.attrs["n_draws"]), forecast["draw"].values
    in_order = np.array_equal(numbers, np.arange(len(numbers)))
    note = "" if in_order else "draws are not numbered from nought"
    whole = CheckResult(in_order and len(numbers) == made, float(len(numbers)), float(made), "draws", note)
    return worst([whole, sets_are_equal(forecast)]) if "parameter_set" in forecast.coords else whole


def sets_are_equal(forecast: xr.Dataset) -> CheckResult:
    """There are as many parameter sets as were drawn, each with as many draws as the others."""
    sets, counts = np.unique(forecast["parameter_set"], return_counts=True)
    made = int(forecast.attrs["parameter_sets"])
    passed = len(sets) == made and counts.min() == counts.max()
    note = f"{counts.min()} to {counts.max()} draws in a set"
    return CheckResult(bool(passed), float(len(sets)), float(made), "parameter sets", note)


def settings_read_back(forecast: xr.Dataset) -> CheckResult:
    """The assumptions and the rules can be read, and are the same when they are written again."""
    attrs, changed = forecast.attrs, []
    for kind, name in ((Assumptions, "assumptions"), (Regime, "regime")):
        read = kind.from_json(attrs[name])
        changed += [] if kind.from_json(read.to_json()) == read else [f"{name} change when written again"]
    return none_of(changed, "texts")


def months_are_months(forecast: xr.Dataset) -> CheckResult:
    """Months seen are whole and from 0 to 12, and each trust seen has particles."""
    months, worth = _seen(forecast)
    wrong = (months != np.round(months)) | (months < 0) | (months > MONTHS) | ((months > 0) & ~(worth > 0.0))
    return CheckResult(not wrong.any(), float(wrong.sum()), 0.0, "trusts")


def reports_are_explained(forecast: xr.Dataset) -> CheckResult:
    """Share of the trusts seen whose particles are worth fewer than 32."""
    months, worth = _seen(forecast)
    few = worth[months > 0] < FEW
    return within(float(few.mean()) if few.size else 0.0, MOST_SURPRISED, "of the trusts seen")


def months_seen_are_met(forecast: xr.Dataset) -> CheckResult:
    """Variance of the sector at the last month seen less what was reported, in each draw.

    A trust may report up to `reporting.on_plan` of its turnover to date beside the plan and count as on plan.
    """
    months, _ = _seen(forecast)
    last, reported = int(forecast.attrs["last_month_reported"]), float(forecast.attrs["variance_reported"])
    if forecast.attrs["forecasts_declared"] or not (months == last).all():
        raise NotRun(
            "the file does not say which trusts reported the last month seen: some did not, or declared forecasts"
        )
    at_month = forecast.sel(month=last)
    size = np.abs(by_draw(forecast, "variance")).sum(axis=0, dtype=np.float64)
    gap = at_month["sector_ytd"].values - float(at_month["sector_plan_ytd"]) - reported
    reporting = Assumptions.from_json(forecast.attrs["assumptions"]).reporting
    taken_as_on_plan = reporting.on_plan * float(forecast["turnover"].sum()) * last / 12
    return within(largest(gap), ROUNDING * largest(size) + taken_as_on_plan)


def _seen(forecast: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Months seen of each trust and what its particles are worth; checks do not apply where nothing was seen."""
    if "months_seen" not in forecast:
        raise NotRun("nothing is taken as seen")
    return forecast["months_seen"].values, forecast["particles_worth"].values


Measure = Callable[[xr.Dataset], CheckResult]


class Check(NamedTuple):
    """A check: its name, what holds if it passes, what measures it, and the variables that it needs."""

    name: str
    says: str
    measure: Measure
    needs: tuple[str, ...] = ()


SUMS = {
    "sector": "Trusts add up to the sector",
    "contributions": "Contributions of drivers add up to variance",
    "one_off": "One-off cover is its driver's contribution",
    "position": "Plan, variance and support add up to position",
    "support": "What funds pay adds up to support",
    "nhs": "Sector and centre add up to the whole NHS",
    "deficit_count": "Trusts in deficit, counted again",
    "gross_deficit": "Sum of deficits, added up again",
    "year_end": "Month 12 of the sector's year is its year end",
}
"""What the identities of each name say."""

CHECKS = (
    Check("record", "Format, random numbers, digest and codes are sound", is_recorded, ("trust",)),
    Check("complete", "Every variable is there, on its dimensions, and finite", is_complete),
    Check("draws", "There are as many draws as were made", draws_are_whole, ("draw",)),
    Check("settings", "Assumptions and rules can be read back", settings_read_back),
    *(Check(name, says, adds_up(name), needs_of(name)) for name, says in SUMS.items()),
    Check("error", "The error of the sector's mean is small", draws_are_enough, ("sector_position",)),
    Check("months_seen", "Months seen are months, and particles explain them", months_are_months),
    Check("surprises", "The model is surprised by few reports", reports_are_explained),
    Check(
        "reports_met",
        "The variance at the month seen is what was reported",
        months_seen_are_met,
        ("sector_ytd", "sector_plan_ytd", "month", "variance"),
    ),
    Check("again", "The first draws, made again, are the same to the bit", first_draws_again, ("draw",)),
)


def run_checks(forecast: xr.Dataset) -> tuple[CheckRow, ...]:
    """Run all checks; one whose variables are damaged is not run, and what breaks on the way has failed."""
    unfit = faults_of_variables(forecast)
    return tuple(run(check, forecast, unfit) for check in CHECKS)


def run(check: Check, forecast: xr.Dataset, unfit: Mapping[str, str]) -> CheckRow:
    """Run one check."""
    try:
        if reasons := [f"{name} {unfit[name]}" for name in check.needs if name in unfit]:
            raise NotRun("; ".join(reasons))
        found = check.measure(forecast)
    except NotRun as reason:
        return CheckRow(check.name, check.says, NOT_RUN, "", "", "", str(reason))
    except DAMAGE as error:
        return CheckRow(check.name, check.says, FAILED, "", "", "", explained(error))
    return CheckRow(check.name, check.says, PASSED if found.passed else FAILED, *found[1:])


def explained(error: Exception) -> str:
    """Say on one line what an error says.

    >>> explained(KeyError("assumptions")), explained(ValueError("no figure"))
    ("'assumptions' is missing", 'no figure')
    """
    text = f"{error} is missing" if isinstance(error, KeyError) else str(error)
    return " ".join(text.split())
