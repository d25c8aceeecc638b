"""The units that a forecast speaks of: trusts, regions, types, systems, the provider sector and the whole NHS.

Every total is made draw by draw. This is also where a forecast is checked before anything is read off it.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sector_risk.faults import Fault, as_sentence, nearest, raise_if_any
from sector_risk.kernels.moments import group_sums
from sector_risk.kernels.reduce import BALANCE
from sector_risk.panel.fill import NOT_STATED
from sector_risk.schema import FORECAST, FORECAST_FORMAT

__all__ = [
    "BALANCED",
    "LEVELS",
    "NHS",
    "SECTOR",
    "Units",
    "check_forecast",
    "dask_faults",
    "draws_last",
    "find_unit",
    "forecast_faults",
    "numbers",
    "places",
    "position_of",
    "positions_of",
    "sums_by",
    "totals",
    "unit_faults",
    "unit_positions",
    "units_of",
]

F64 = NDArray[np.float64]
Array = NDArray[Any]
SECTOR, NHS = "Provider sector", "Whole NHS"
BALANCED = -float(BALANCE)
"""The least position that is not a deficit, GBP million."""
GROUPED = ("region", "trust_type", "system")
LEVELS = ("trust", *GROUPED, "sector", "nhs")
"""Kinds of units, in the order in which they are listed."""
NOT_FINITE = ("draws are not finite", "NaN or infinity", "Give a forecast as simulate made it, with no draw masked.")


@dataclass(frozen=True)
class Units:
    """Names and kinds of units, (U,), and of each the rows of its trusts."""

    unit: Array
    level: Array
    members: tuple[NDArray[np.int64], ...]

    def at(self, level: str) -> NDArray[np.int64]:
        """Positions of the units of one level."""
        return np.flatnonzero(self.level == level)


def units_of(forecast: xr.Dataset) -> Units:
    """Return all units of a forecast, by level; trusts without a stated system belong to none.

    Examples
    --------
    >>> import sector_risk as sr
    >>> units = units_of(sr.simulate(sr.load_case("england-2018-19"), n_draws=2))
    >>> units.unit[-1], units.level[-1], len(units.members[-1])
    ('Whole NHS', 'nhs', 227)
    """
    every = np.arange(forecast.sizes["trust"])
    listed = [(str(code), "trust", every[i : i + 1]) for i, code in enumerate(forecast["trust"].values)]
    for level in GROUPED:
        labels = forecast[level].values.astype(str)
        listed += [(str(n), level, np.flatnonzero(labels == n)) for n in np.unique(labels) if n != NOT_STATED]
    listed += [(SECTOR, "sector", every), (NHS, "nhs", every)]
    names, kinds, members = zip(*listed, strict=True)
    return Units(np.array(names, object), np.array(kinds, object), members)


def find_unit(forecast: xr.Dataset, unit: str, place: str) -> tuple[str, NDArray[np.int64]]:
    """Return level and rows of trusts of one unit, given by its name.

    Raises
    ------
    InputError
        If no unit, or more than one, has the name.
    """
    units = units_of(forecast)
    raise_if_any(_name_faults(units, unit, place))
    return _found(units, unit)


def unit_faults(forecast: xr.Dataset, names: Iterable[str], place: str) -> list[Fault]:
    """Return a fault for each name that no unit has, or more than one.

    Examples
    --------
    >>> import sector_risk as sr
    >>> forecast = sr.simulate(sr.load_case("england-2018-19"), n_draws=2)
    >>> [fault.value for fault in unit_faults(forecast, ["London", "Londn"], "exceedance")]
    ['Londn']
    """
    units = units_of(forecast)
    return [fault for name in names for fault in _name_faults(units, name, place)]


def position_of(forecast: xr.Dataset, unit: str, place: str) -> F64:
    """Year-end position of one unit by draw, after support, GBP million, (draw,)."""
    return positions_of(forecast, [unit], place)[0]


def positions_of(forecast: xr.Dataset, names: Sequence[str], place: str) -> F64:
    """Year-end positions of some units by draw, after support, GBP million, (unit, draw).

    Raises
    ------
    InputError
        For every name that no unit has, or more than one.
    """
    units = units_of(forecast)
    raise_if_any(fault for name in names for fault in _name_faults(units, name, place))
    return np.array([_position(forecast, *_found(units, name)) for name in names])


def _name_faults(units: Units, name: str, place: str) -> Iterator[Fault]:
    """Yield a fault unless one unit, and no other, has the name."""
    levels = units.level[units.unit == name]
    if len(levels) > 1:
        rule = f"several units have this name: {' and '.join(map(str, levels))}"
        yield Fault(place, rule, str(name), "Rename one of them in the panel.", variable="unit")
    if not len(levels):
        near = as_sentence(nearest(str(name), [str(known) for known in units.unit]))
        remedy = near or f"Give a trust's code, a region, a type, '{SECTOR}' or '{NHS}'."
        yield Fault(place, "no unit has this name", str(name), remedy, variable="unit")


def _found(units: Units, name: str) -> tuple[str, NDArray[np.int64]]:
    """Level, and rows of trusts, of the unit that has a name."""
    place = np.flatnonzero(units.unit == name)[0]
    return str(units.level[place]), units.members[place]


def _position(forecast: xr.Dataset, level: str, rows: NDArray[np.int64]) -> F64:
    """Year-end position of a unit of a level, (draw,)."""
    if level in ("sector", "nhs"):
        name = "sector_position" if level == "sector" else "nhs_position"
        return np.asarray(forecast[name].values, np.float64)
    return draws_last(forecast, "position")[rows].sum(axis=0, dtype=np.float64)


def unit_positions(forecast: xr.Dataset, units: Units) -> Iterator[Array]:
    """Yield year-end positions level by level, (some units, draw), in the units' order; GBP million.

    A year of a projection has no position of the whole NHS: its units end with the sector.

    Examples
    --------
    >>> import sector_risk as sr
    >>> forecast = sr.simulate(sr.load_case("england-2018-19"), n_draws=5)
    >>> [rows.shape for rows in unit_positions(forecast, units_of(forecast))]
    [(227, 5), (7, 5), (4, 5), (43, 5), (1, 5), (1, 5)]
    """
    position = draws_last(forecast, "position")
    yield position
    for level in GROUPED:
        yield totals(position, forecast[level].values.astype(str), units.unit[units.at(level)])
    for name in ("sector_position", "nhs_position"):
        if name in forecast:
            yield np.asarray(forecast[name].values, np.float64)[None, :]


def totals(rows: Array, labels: Array, names: Array) -> F64:
    """Sum of the trusts' rows of draws for each name, draw by draw, (name, draw); other labels count nowhere.

    Examples
    --------
    >>> totals(np.array([[1.0], [2.0], [5.0]]), np.array(["a", "b", "not stated"]), np.array(["a", "b"])).tolist()
    [[1.0], [2.0]]
    """
    return sums_by(rows, places(labels, names)[None], len(names))


def places(labels: Array, names: Array) -> NDArray[np.int64]:
    """Place of each label among the names; one beyond the last for a label that is none of them."""
    place = {name: i for i, name in enumerate(names)}
    return np.array([place.get(label, len(names)) for label in labels])


def sums_by(rows: Array, place: NDArray[np.int64], n: int) -> F64:
    """Sums of rows of draws by place, (n, draw); each row has one of each kind, (kind, row), and n counts nowhere."""
    out = np.zeros((n + 1, rows.shape[1]))
    group_sums(rows, place, out)
    return out[:-1]


def draws_last(forecast: xr.Dataset, name: str) -> Array:
    """Values of a variable on (..., trust, draw), in memory in that order."""
    dims = [str(d) for d in forecast[name].dims if d not in ("trust", "draw")]
    return np.ascontiguousarray(forecast[name].transpose(*dims, "trust", "draw").values)


def numbers(given: Any) -> F64:
    """Return what is given as an array of floats; for what is not numbers, such as text, a single NaN.

    NaN is in no range, so that the fault of what is out of range is that of what is no number too.

    >>> numbers([1, 2.5]).tolist(), numbers(0.9).item(), numbers("0.9").item(), numbers([0.9, None]).item()
    ([1.0, 2.5], 0.9, nan, nan)
    """
    try:
        found = np.asarray(given)
    except ValueError:  # rows of several lengths
        return np.array(np.nan)
    return found.astype(np.float64) if found.dtype.kind in "iuf" else np.array(np.nan)


def check_forecast(
    forecast: xr.Dataset,
    needed: Iterable[str],
    instead: str = "summarise_projection",
    also: Iterable[Fault] = (),
) -> None:
    """Raise one `InputError` for all that keeps anything from being read off a forecast.

    That is: a projection, Dask arrays, a file of another format, a variable that is missing or has lost its trusts or
    draws, draws that are not finite, and a selection of trusts whose sector figures are still those of the whole;
    `also` are faults of settings.
    """
    faults = [*forecast_faults(forecast, needed, instead), *also]
    if not faults:
        faults = [*_size_faults(forecast, needed)] or [*_draw_faults(forecast, needed)]
    if not faults and "position" in needed and "sector_position" in needed:
        faults = [*_whole_faults(forecast)]
    raise_if_any(faults)


def forecast_faults(forecast: xr.Dataset, needed: Iterable[str], instead: str) -> list[Fault]:
    """Return a fault for each variable that is missing, or one if it is not a forecast that can be read at all.

    `instead` is the function that takes a projection.
    """
    if "year" in forecast.dims:
        remedy = f"Use {instead} for what project gave."
        return [Fault("forecast", "a projection of several years", "", remedy, variable="year")]
    if "unit" in forecast.dims:
        remedy = (
            "Read its own variables, such as mean and value_at_risk; exceedance and pictures take it. Or keep draws."
        )
        return [Fault("forecast", "a summary, which has no draws", "", remedy, variable="draw")]
    if lazy := dask_faults(forecast):
        return lazy
    if "versions" in forecast.attrs and forecast.attrs.get("format") != FORECAST_FORMAT:
        return [Fault("forecast", "made by another version", _made_by(forecast), "Make it again with this version.")]
    remedy = "Give a forecast made by simulate or condition; if it keeps some variables only, name this one too."
    return [
        Fault("forecast", "variable is missing", name, remedy, variable=name) for name in needed if name not in forecast
    ]


def dask_faults(forecast: xr.Dataset) -> list[Fault]:
    """Return a fault for draws that Dask has yet to make: what reads them several times would make them as often."""
    if not any(values.chunks for values in forecast.variables.values()):
        return []
    remedy = "Compute it first: forecast.compute(). If memory does not hold it, ask for a summary: keep='summary'."
    return [Fault("forecast", "draws are Dask arrays, not in memory", "", remedy, variable="draw")]


def _made_by(forecast: xr.Dataset) -> str:
    """Version of this library that made a forecast, and the number of its format; files of old had none."""
    version = json.loads(forecast.attrs["versions"]).get("sector-risk", "unknown")
    return f"sector-risk {version}, format {forecast.attrs.get('format', 0)}; this version reads {FORECAST_FORMAT}"


def _size_faults(forecast: xr.Dataset, needed: Iterable[str]) -> Iterator[Fault]:
    for name in (name for name in needed if name in FORECAST):
        lost = [dim for dim in FORECAST[name].dims if not forecast[name].sizes.get(dim, 0)]
        if lost:
            remedy = f"Give the whole forecast, or keep the dimension by a list: isel({lost[0]}=[0])."
            yield Fault("forecast", "has none of a dimension", ", ".join(lost), remedy, variable=name)


def _draw_faults(forecast: xr.Dataset, needed: Iterable[str]) -> Iterator[Fault]:
    for name in needed:
        by_draw = "draw" in forecast[name].dims and forecast[name].dtype.kind == "f"
        if by_draw and not np.isfinite(forecast[name].values.sum(dtype=np.float64)):
            yield Fault("forecast", *NOT_FINITE, variable=name)


def _whole_faults(forecast: xr.Dataset) -> Iterator[Fault]:
    position, sector = draws_last(forecast, "position"), forecast["sector_position"].values
    one = np.array([""])
    gap = np.abs(totals(position, np.full(len(position), ""), one)[0] - sector).max()
    if gap > 1e-6 * (1.0 + np.abs(sector).max()):
        remedy = "Give the whole forecast, and select units from the result."
        rule = "the trusts do not add up to the sector: is it a selection?"
        yield Fault("forecast", rule, f"GBP {gap:.1f}m apart", remedy, variable="sector_position")
