"""Share of each effect in the range of outcomes."""

from collections.abc import Iterator
from math import nan

import xarray as xr

from sector_risk.allocation import PLAN, allocate
from sector_risk.quality.rows import ShareRow
from sector_risk.readings import is_whole_sector
from sector_risk.units import NHS, SECTOR


def shares_of_range(forecast: xr.Dataset) -> tuple[ShareRow, ...]:
    """Covariance shares in the variance of the sector's, and the NHS's, year end, and parts of their worst 5%.

    The share of effect X in position S is cov(X, S) / var(S): shares of a unit add up to one. With A the part of the
    standard deviation, its error is at most (se(A) + share se(sd)) / sd, which is what is given.
    """
    units = (SECTOR, NHS) if is_whole_sector(forecast) else (SECTOR,)
    return tuple(row for unit in units for row in _of_unit(allocate(forecast, unit), unit))


def _of_unit(parts: xr.Dataset, unit: str) -> Iterator[ShareRow]:
    sd, sd_error = float(parts["sd"]), float(parts["sd_se"])
    for effect in (name for name in parts["effect"].values if name != PLAN):
        one = parts.sel(effect=effect)
        part, error = float(one["sd_by_effect"]), float(one["sd_by_effect_se"])
        share = part / sd if sd > 0.0 else nan
        share_error = (error + abs(share) * sd_error) / sd if sd > 0.0 else nan
        tail, tail_error = (float(one[f"tail_value_at_risk_by_effect{end}"]) for end in ("", "_se"))
        yield ShareRow(unit, str(effect), share, share_error, part, error, tail, tail_error)
