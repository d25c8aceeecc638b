"""A user's own driver: a function that adds pressure, registered under a name.

Assumptions list registered drivers by name (``Assumptions(drivers=("winter_flu",))``), so a forecast says which
were used and the list survives TOML.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sector_risk.assumptions import Shares
from sector_risk.faults import Fault, InputError, as_sentence, nearest
from sector_risk.kernels.pressure import DRIVERS

Pressure = Callable[[NDArray[np.float32], Mapping[str, NDArray[np.float64]]], NDArray[np.float32]]


@dataclass(frozen=True)
class Driver:
    """A registered driver.

    Parameters
    ----------
    name : coordinate of `driver` in results, and name of its random stream
    pressure : function (z, panel) -> cumulative pressure, GBP m, adverse positive
        z are latent standard Normals, float32, shape (trust, items, draw); panel maps variable names to arrays of
        shape (trust,); the result has shape (trust, 12, draw).
    items : Normals a trust needs per draw (12 for one a month)
    shares : dependence between trusts (`Shares`); independence must be said
    source : where the driver comes from; results carry it in the attribute `drivers`
    """

    name: str
    pressure: Pressure
    items: int
    shares: Shares
    source: str


OF_ACCOUNTS = ("plan", "support", "centre", "efficiency", "pay", "one_offs")
"""What accounts from plan to outturn call lines that are no drivers."""
RESERVED = (*DRIVERS, "one_off", "favourable_spent", *OF_ACCOUNTS)
_REGISTERED: dict[str, Driver] = {}


def driver(name: str, *, items: int, shares: Shares, source: str) -> Callable[[Pressure], Pressure]:
    """Register a function as a driver; registering the same name again replaces it.

    Raises
    ------
    InputError
        If the name is one that results use themselves.

    Examples
    --------
    >>> from sector_risk import Shares
    >>> @driver("winter_flu", items=1, shares=Shares(), source="example")
    ... def winter_flu(z, panel):
    ...     cost = 0.001 * panel["turnover"][:, None] * np.maximum(z[:, 0], 0)
    ...     months = np.clip(np.arange(1, 13) - 8, 0, None) / 4
    ...     return (cost[:, None, :] * months[:, None]).astype(np.float32)
    """
    if name in RESERVED:
        rule = "the name is taken by the library"
        raise InputError([Fault("drivers", rule, name, "Choose another name.")])

    def register(pressure: Pressure) -> Pressure:
        _REGISTERED[name] = Driver(name, pressure, items, shares, source)
        return pressure

    return register


def registered(names: tuple[str, ...]) -> tuple[Driver, ...]:
    """Drivers by name; unknown names are one `InputError`."""
    faults = [_unknown(name) for name in names if name not in _REGISTERED]
    if faults:
        raise InputError(faults)
    return tuple(_REGISTERED[name] for name in names)


def _unknown(name: str) -> Fault:
    known = list(_REGISTERED)
    remedy = as_sentence(nearest(name, known) or "register it first with the driver decorator.")
    return Fault("assumptions", "no driver is registered under this name", name, remedy, variable="drivers")
