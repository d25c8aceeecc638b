"""Checks of arithmetic: what adds up in a forecast, draw by draw, is added up again."""

from collections.abc import Iterator

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sector_risk.kernels.reduce import BALANCE
from sector_risk.quality.findings import EPS32, SAME, Finding, NotRun, within
from sector_risk.units import draws_last

F64 = NDArray[np.float64]
ROUNDING = 32 * EPS32
"""Limit for single precision, of the sum of the sizes of what is added; about 10 roundings were seen at most."""


def trusts_to_sector(forecast: xr.Dataset, trust: str, sector: str) -> Finding:
    """Sum of the trusts less the sector, in each draw."""
    total, size = np.zeros((2, forecast.sizes["draw"]))
    for row in rows_of(forecast, trust):
        total += row
        size += np.abs(row)
    return within(largest(total - values_of(forecast, sector)), SAME * largest(size))


def position_to_sector(forecast: xr.Dataset) -> Finding:
    """Sum of the trusts' positions less the sector's."""
    return trusts_to_sector(forecast, "position", "sector_position")


def before_support_to_sector(forecast: xr.Dataset) -> Finding:
    """Sum of the trusts' positions before support less the sector's."""
    return trusts_to_sector(forecast, "position_before_support", "sector_position_before_support")


def underlying_to_sector(forecast: xr.Dataset) -> Finding:
    """Sum of the trusts' underlying positions less the sector's."""
    return trusts_to_sector(forecast, "underlying", "sector_underlying")


def contributions_to_variance(forecast: xr.Dataset) -> Finding:
    """Sum of the drivers' contributions less variance, for each trust and draw."""
    contribution = draws_last(forecast, "contribution")
    return parts_to_whole(forecast, (contribution[:, i] for i in range(contribution.shape[1])), "variance")


def funds_to_support(forecast: xr.Dataset) -> Finding:
    """Sum of what funds pay less support, for each trust and draw."""
    paid = draws_last(forecast, "support_by_fund")
    return parts_to_whole(forecast, (paid[:, i] for i in range(paid.shape[1])), "support")


def plan_to_position(forecast: xr.Dataset) -> Finding:
    """Plan plus variance plus support less position, for each trust and draw."""
    return parts_to_whole(forecast, _with_plan(forecast, "variance", "support"), "position")


def plan_to_position_before_support(forecast: xr.Dataset) -> Finding:
    """Plan plus variance less position before support, for each trust and draw."""
    return parts_to_whole(forecast, _with_plan(forecast, "variance"), "position_before_support")


def one_off_is_its_contribution(forecast: xr.Dataset) -> Finding:
    """`one_off` less the contribution of the driver of that name."""
    if "one_off" not in forecast["driver"].values:
        raise NotRun("no driver is called one_off")
    contribution = forecast["contribution"].sel(driver="one_off").transpose("trust", "draw").values
    return within(largest(draws_last(forecast, "one_off") - contribution), 0.0)


def sector_to_nhs(forecast: xr.Dataset) -> Finding:
    """Provider sector plus central actions plus what rules save the centre, less the whole NHS."""
    parts = [
        *rows_of(forecast, "central_action"),
        *(values_of(forecast, n) for n in ("sector_position", "central_effect")),
    ]
    return within(
        largest(np.sum(parts, axis=0) - values_of(forecast, "nhs_position")), SAME * largest(np.abs(parts).sum(axis=0))
    )


def last_month_is_year_end(forecast: xr.Dataset) -> Finding:
    """`sector_ytd` of month 12 less `sector_position`."""
    year_end = forecast["sector_ytd"].sel(month=12).values
    position = values_of(forecast, "sector_position")
    return within(largest(year_end - position), SAME * largest(position))


def deficits_counted_again(forecast: xr.Dataset) -> Finding:
    """Number of trusts below minus GBP 5,000 less `deficit_count`."""
    count = np.zeros(forecast.sizes["draw"])
    for row in draws_last(forecast, "position"):
        count += row < -BALANCE
    return within(largest(count - values_of(forecast, "deficit_count")), 0.0, "trusts")


def deficits_added_again(forecast: xr.Dataset) -> Finding:
    """Sum of all deficits less `gross_deficit`."""
    total = np.zeros(forecast.sizes["draw"])
    for row in rows_of(forecast, "position"):
        total += np.minimum(row, 0.0)
    return within(largest(total - values_of(forecast, "gross_deficit")), SAME * largest(total))


def parts_to_whole(forecast: xr.Dataset, parts: Iterator[F64], name: str) -> Finding:
    """Sum of parts (part, draw) of each trust less its variable; the limit is that of single precision."""
    gap = size = 0.0
    for part, whole in zip(parts, draws_last(forecast, name), strict=True):
        gap = np.maximum(gap, largest(part.sum(axis=0, dtype=float) - whole))
        size = np.maximum(size, largest(np.abs(part).sum(axis=0, dtype=float)))
    return within(gap, ROUNDING * size)


def largest(values: F64) -> float:
    """Largest size of any value; nought where there is none.

    >>> largest(np.array([1.0, -2.0])), largest(np.array([]))
    (2.0, 0.0)
    """
    return float(np.abs(values).max(initial=0.0))


def rows_of(forecast: xr.Dataset, name: str) -> Iterator[F64]:
    """Rows of draws in double precision, one at a time."""
    return (row.astype(np.float64) for row in forecast[name].transpose(..., "draw").values)


def values_of(forecast: xr.Dataset, name: str) -> F64:
    """Values by draw in double precision."""
    return np.asarray(forecast[name].values, np.float64)


def _with_plan(forecast: xr.Dataset, *names: str) -> Iterator[F64]:
    """For each trust its plan in all draws, and rows of draws of some variables."""
    rows = [draws_last(forecast, name) for name in names]
    for i, plan in enumerate(values_of(forecast, "plan")):
        yield np.array([np.full(forecast.sizes["draw"], plan), *(values[i] for values in rows)])
