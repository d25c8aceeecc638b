"""Two forecasts of the same trusts on the same draws: whether they are, and how their trusts are lined up."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr

from sector_risk.faults import Fault
from sector_risk.units import GROUPED

__all__ = ["aligned", "lined_up", "pair_faults", "said_of_both", "trust_faults"]

AGAIN = "Make both with the same seed, the same number of draws and this version."
SHOWN = 8
STREAMS = {"seed": "different seeds", "random_stream": "different versions of the random streams"}
LABELS = {"draw": "draws have different numbers", "parameter_set": "draws are of different parameter sets"}


def pair_faults(start: xr.Dataset, end: xr.Dataset, place: str) -> Iterator[Fault]:
    """Yield faults of two forecasts that do not have the same trusts and, as far as both go, the same draws."""
    yield from trust_faults(start, end)
    for name, rule in STREAMS.items():
        came = [str(forecast.attrs.get(name, "none")) for forecast in (start, end)]
        if came[0] != came[1]:
            yield Fault(place, f"{rule}: draws are not the same", " and ".join(came), AGAIN, variable=name)
    both = slice(min(start.sizes["draw"], end.sizes["draw"]))
    for name, rule in LABELS.items():
        was, now = (f[name].values[both] if name in f.coords else np.empty(0) for f in (start, end))
        if not np.array_equal(was, now):
            yield Fault(place, rule, "", AGAIN, variable=name)


def trust_faults(start: xr.Dataset, end: xr.Dataset) -> Iterator[Fault]:
    """Yield faults for trusts that only one of two forecasts has."""
    codes = {"start": set(start["trust"].values.tolist()), "end": set(end["trust"].values.tolist())}
    for place, other in (("start", "end"), ("end", "start")):
        missing = sorted(map(str, codes[other] - codes[place]))
        if missing:
            more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
            rule, remedy = f"trusts that the {other} has are missing", "Compare forecasts of the same trusts."
            yield Fault(place, rule, ", ".join(missing[:SHOWN]) + more, remedy, variable="trust")


def aligned(start: xr.Dataset, end: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset]:
    """Return both with the draws that both have, and with the trusts and groups of the start."""
    both = slice(min(start.sizes["draw"], end.sizes["draw"]))
    return start.isel(draw=both), lined_up(end.isel(draw=both), start)


def lined_up(forecast: xr.Dataset, like: xr.Dataset) -> xr.Dataset:
    """Return a forecast with its trusts in the order of another one of the same trusts, and in that one's groups."""
    place = {code: i for i, code in enumerate(forecast["trust"].values)}
    order = [place[code] for code in like["trust"].values]
    if order != sorted(order):
        forecast = forecast.isel(trust=order)
    return forecast.assign_coords({level: like[level].variable for level in GROUPED if level in like.coords})


def said_of_both(start: xr.Dataset, end: xr.Dataset) -> dict[str, Any]:
    """Attributes of two forecasts: those of the start, and as `end_...` those in which the end differs.

    >>> said_of_both(xr.Dataset(attrs={"seed": "1", "regime": "a"}), xr.Dataset(attrs={"seed": "1", "regime": "b"}))
    {'seed': '1', 'regime': 'a', 'end_regime': 'b'}
    """
    other = {f"end_{name}": value for name, value in end.attrs.items() if not _same(value, start.attrs.get(name))}
    return {**start.attrs, **other}


def _same(one: Any, other: Any) -> bool:
    return bool(np.array_equal(np.asarray(one, object), np.asarray(other, object)))
