"""The checks that are run on a forecast, and what came of them."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import xarray as xr

from sector_risk.quality import again, chance, identities, record, seen
from sector_risk.quality.findings import DAMAGE, Finding, NotRun
from sector_risk.quality.rows import FAILED, NOT_RUN, PASSED, CheckRow

Measure = Callable[[xr.Dataset], Finding]


class Check(NamedTuple):
    """A check: its name, what holds if it passes, the variables that it needs, and what measures it."""

    name: str
    says: str
    needs: tuple[str, ...]
    measure: Measure


CHECKS = (
    Check("format", "The format of the file is the one that this version reads", (), record.format_is_read),
    Check("complete", "Every variable is there, on its dimensions", (), record.is_complete),
    Check("finite", "All numbers are finite", (), record.is_finite),
    Check("codes", "Codes of trusts are unique", ("trust",), record.codes_are_unique),
    Check("draws", "There are as many draws as were made", ("draw",), record.draws_are_whole),
    Check("parameter_sets", "Parameter sets have equally many draws", (), record.sets_are_equal),
    Check("panel_hash", "The digest of the panel is well formed", (), record.hash_is_well_formed),
    Check("assumptions", "The assumptions can be read back", (), record.assumptions_read_back),
    Check("regime", "The rules can be read back", (), record.regime_reads_back),
    Check("random_stream", "The stream of random numbers is known", (), record.stream_is_known),
    Check(
        "sector",
        "Trusts add up to the sector",
        ("position", "sector_position"),
        identities.position_to_sector,
    ),
    Check(
        "sector_before_support",
        "Trusts add up to the sector before support",
        ("position_before_support", "sector_position_before_support"),
        identities.before_support_to_sector,
    ),
    Check(
        "sector_underlying",
        "Trusts' underlying positions add up to the sector's",
        ("underlying", "sector_underlying"),
        identities.underlying_to_sector,
    ),
    Check(
        "contributions",
        "Contributions of drivers add up to variance",
        ("contribution", "variance"),
        identities.contributions_to_variance,
    ),
    Check(
        "one_off",
        "One-off cover is its driver's contribution",
        ("one_off", "contribution", "driver"),
        identities.one_off_is_its_contribution,
    ),
    Check(
        "before_support",
        "Plan and variance add up to position before support",
        ("plan", "variance", "position_before_support"),
        identities.plan_to_position_before_support,
    ),
    Check(
        "position",
        "Plan, variance and support add up to position",
        ("plan", "variance", "support", "position"),
        identities.plan_to_position,
    ),
    Check(
        "support",
        "What funds pay adds up to support",
        ("support", "support_by_fund"),
        identities.funds_to_support,
    ),
    Check(
        "nhs",
        "Sector and centre add up to the whole NHS",
        ("sector_position", "central_action", "central_effect", "nhs_position"),
        identities.sector_to_nhs,
    ),
    Check(
        "deficit_count",
        "Trusts in deficit, counted again",
        ("position", "deficit_count"),
        identities.deficits_counted_again,
    ),
    Check(
        "gross_deficit",
        "Sum of deficits, added up again",
        ("position", "gross_deficit"),
        identities.deficits_added_again,
    ),
    Check(
        "year_end",
        "Month 12 of the sector's year is its year end",
        ("sector_ytd", "month", "sector_position"),
        identities.last_month_is_year_end,
    ),
    Check("mean_error", "The error of the sector's mean is small", ("sector_position",), chance.mean_is_precise),
    Check(
        "chance_error",
        "The error of the chance of breakeven is small",
        ("sector_position",),
        chance.chance_is_precise,
    ),
    Check("months_seen", "Months seen are months, and particles explain them", (), seen.months_are_months),
    Check("surprises", "The model is surprised by few reports", (), seen.reports_are_explained),
    Check(
        "reports_met",
        "The variance at the month seen is what was reported",
        ("sector_ytd", "sector_plan_ytd", "month", "variance"),
        seen.months_seen_are_met,
    ),
    Check("again", "The first draws, made again, are the same to the bit", ("draw",), again.first_draws_again),
)


def run_checks(forecast: xr.Dataset) -> tuple[CheckRow, ...]:
    """Run all checks; one whose variables are damaged is not run, and what breaks on the way has failed."""
    unfit = record.not_finite(forecast) | record.faults_of_variables(forecast)
    return tuple(run(check, forecast, unfit) for check in CHECKS)


def run(check: Check, forecast: xr.Dataset, unfit: Mapping[str, str]) -> CheckRow:
    """Run one check."""
    reasons = [f"{name} {unfit[name]}" for name in check.needs if name in unfit]
    if reasons:
        return _not_run(check, "; ".join(reasons))
    try:
        found = check.measure(forecast)
    except NotRun as reason:
        return _not_run(check, str(reason))
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


def failed(rows: Iterable[CheckRow]) -> list[CheckRow]:
    """Rows of checks that failed."""
    return [row for row in rows if row.result == FAILED]


def _not_run(check: Check, reason: str) -> CheckRow:
    return CheckRow(check.name, check.says, NOT_RUN, "", "", "", reason)
