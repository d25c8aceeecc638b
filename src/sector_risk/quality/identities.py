"""Checks of arithmetic: what adds up in a forecast, draw by draw, is added up again."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sector_risk.kernels.reduce import BALANCE
from sector_risk.quality.rows import CheckResult, NotRun, within, worst
from sector_risk.schema import FORECAST

Array = NDArray[Any]
SAME = 1e-9
"""Limit for sums in double precision, of the sum of the sizes of what is added."""
ROUNDING = 32 * 2.0**-23
"""The same for single precision; about 10 roundings were seen at most."""


class Identity(NamedTuple):
    """Parts that add up to a whole in each draw, over what dimensions they have more; and the limit of the gap."""

    check: str
    parts: tuple[str, ...]
    whole: str
    limit: float = SAME


IDENTITIES = (
    Identity("sector", ("position",), "sector_position"),
    Identity("sector", ("position_before_support",), "sector_position_before_support"),
    Identity("sector", ("underlying",), "sector_underlying"),
    Identity("contributions", ("contribution",), "variance", ROUNDING),
    Identity("one_off", ("contribution of one_off",), "one_off", 0.0),
    Identity("position", ("plan", "variance"), "position_before_support", ROUNDING),
    Identity("position", ("plan", "variance", "support"), "position", ROUNDING),
    Identity("support", ("support_by_fund",), "support", ROUNDING),
    Identity("nhs", ("sector_position", "central_action", "central_effect"), "nhs_position"),
    Identity("deficit_count", ("is in deficit",), "deficit_count", 0.0),
    Identity("gross_deficit", ("deficit",), "gross_deficit"),
    Identity("year_end", ("month 12 of the sector",), "sector_position"),
)


def one_off_contribution(forecast: xr.Dataset) -> xr.DataArray:
    """Contribution of the driver that is called one_off."""
    if "one_off" not in forecast["driver"].values:
        raise NotRun("no driver is called one_off")
    return forecast["contribution"].sel(driver="one_off")


DERIVED: Mapping[str, tuple[tuple[str, ...], Callable[[xr.Dataset], xr.DataArray]]] = {
    "contribution of one_off": (("contribution", "driver"), one_off_contribution),
    "is in deficit": (("position",), lambda forecast: forecast["position"] < -BALANCE),
    "deficit": (("position",), lambda forecast: forecast["position"].clip(max=0.0)),
    "month 12 of the sector": (("sector_ytd", "month"), lambda forecast: forecast["sector_ytd"].sel(month=12)),
}
"""Parts that are made of variables: those variables, and how."""


def adds_up(check: str) -> Callable[[xr.Dataset], CheckResult]:
    """Return what measures the identities of a check: the first that fails, or else the first."""
    rows = [identity for identity in IDENTITIES if identity.check == check]
    return lambda forecast: worst(measured(forecast, identity) for identity in rows)


def needs_of(check: str) -> tuple[str, ...]:
    """Variables that a check's identities are made of.

    >>> needs_of("deficit_count")
    ('deficit_count', 'position')
    """
    names = [name for row in IDENTITIES if row.check == check for name in (row.whole, *row.parts)]
    return tuple(dict.fromkeys(need for name in names for need in (DERIVED[name][0] if name in DERIVED else (name,))))


def measured(forecast: xr.Dataset, identity: Identity) -> CheckResult:
    """Largest gap between parts and whole, against the limit; a gap beyond it names the whole."""
    parts, whole = [by_draw(forecast, name) for name in identity.parts], by_draw(forecast, identity.whole)
    if "trust" in forecast[identity.whole].dims:  # one at a time: all contributions in double precision are large
        pairs = [gap_and_size([part[..., i, :] for part in parts], row) for i, row in enumerate(whole)]
    else:
        pairs = [gap_and_size(parts, whole)]
    gap, size = np.max(pairs, axis=0)
    unit = FORECAST[identity.whole].unit
    found = within(gap, identity.limit * size, "trusts" if unit == "1" else unit)
    return found if found.passed else found._replace(note=identity.whole)


def gap_and_size(parts: Iterable[Array], whole: Array) -> tuple[float, float]:
    """Largest gap between a whole and the sum of its parts (..., draw), and the largest sum of their sizes.

    >>> gap_and_size([np.array([[1.0, 2.0], [-3.0, 0.0]])], np.array([-2.0, 1.5]))
    (0.5, 4.0)
    """
    rows = [part.reshape(-1, len(whole)) for part in parts]
    total = np.sum([part.sum(axis=0, dtype=np.float64) for part in rows], axis=0)
    size = np.sum([np.abs(part).sum(axis=0, dtype=np.float64) for part in rows], axis=0)
    return largest(total - whole), largest(size)


def largest(values: Array) -> float:
    """Largest size of any value; nought where there is none, and no number where one is none.

    >>> largest(np.array([1.0, -2.0])), largest(np.array([]))
    (2.0, 0.0)
    """
    return float(np.abs(values).max(initial=0.0))


def by_draw(forecast: xr.Dataset, name: str) -> Array:
    """Values of a variable or of a derived part on (..., trust, draw); what is alike in all draws is repeated."""
    found = DERIVED[name][1](forecast) if name in DERIVED else forecast[name]
    if "draw" not in found.dims:
        found = found.expand_dims(draw=forecast.sizes["draw"])
    return np.asarray(found.transpose(..., "trust", "draw", missing_dims="ignore").values)
