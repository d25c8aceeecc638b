"""Checks of a forecast given the year so far: what was seen, and how well the model explains it."""

import numpy as np
import xarray as xr

from sector_risk.conditioning import FEW
from sector_risk.quality.findings import Finding, NotRun, within
from sector_risk.quality.identities import ROUNDING, largest, rows_of
from sector_risk.schema import MONTHS

MOST_SURPRISED = 0.05
"""Share of the trusts seen whose reports hardly any particle explains, up to which the model may be trusted."""


def months_are_months(forecast: xr.Dataset) -> Finding:
    """Months seen are whole and from 0 to 12, and each trust seen has particles."""
    months, worth = _seen(forecast)
    wrong = (months != np.round(months)) | (months < 0) | (months > MONTHS) | ((months > 0) & ~(worth > 0.0))
    return Finding(not wrong.any(), float(wrong.sum()), 0.0, "trusts")


def reports_are_explained(forecast: xr.Dataset) -> Finding:
    """Share of the trusts seen whose particles are worth fewer than 32."""
    months, worth = _seen(forecast)
    few = worth[months > 0] < FEW
    return within(float(few.mean()) if few.size else 0.0, MOST_SURPRISED, "of the trusts seen")


def months_seen_are_met(forecast: xr.Dataset) -> Finding:
    """Variance of the sector at the last month seen less what was reported, in each draw."""
    months, _ = _seen(forecast)
    last, reported = int(forecast.attrs["last_month_reported"]), float(forecast.attrs["variance_reported"])
    if forecast.attrs["forecasts_declared"] or not (months == last).all():
        raise NotRun(
            "the file does not say which trusts reported the last month seen: some did not, or declared forecasts"
        )
    at_month = forecast.sel(month=last)
    size = sum((np.abs(row) for row in rows_of(forecast, "variance")), np.zeros(forecast.sizes["draw"]))
    gap = at_month["sector_ytd"].values - float(at_month["sector_plan_ytd"]) - reported
    return within(largest(gap), ROUNDING * largest(size))


def _seen(forecast: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Months seen of each trust and what its particles are worth; checks do not apply where nothing was seen."""
    if "months_seen" not in forecast:
        raise NotRun("nothing is taken as seen")
    return forecast["months_seen"].values, forecast["particles_worth"].values
