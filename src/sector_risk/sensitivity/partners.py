"""Partner runs: the same model under another seed, with some groups of random inputs held as the first run has them.

Every random number has an address under the key of its stream, so a partner holds a group by taking its keys from the
first run: nothing is stored. Only sector factors depend on each other across groups; those that are not held are then
drawn given those that are, as for Normals:

    F_rest = C_rest,held C_held^-1 F_held + chol(C_rest - C_rest,held C_held^-1 C_held,rest) fresh
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sector_risk.assumptions.dependence import FACTOR_DRIVERS, LEVELS, Dependence
from sector_risk.kernels import pressure
from sector_risk.kernels.random import stream_key
from sector_risk.prepare import DRIVER_OF, LEAD_ITEM, LEAD_STREAM, SECTOR_LEVEL, Held, Prepared
from sector_risk.run import Run

F64 = NDArray[np.float64]
Flags = NDArray[np.bool_]
RULES, CENTRE = "rules", "centre"
BY = ("driver", "level")
LEAD = tuple(
    list(zip(pressure.STREAM_OF, pressure.ITEM_OF, strict=True)).index(at)
    for at in zip(LEAD_STREAM, LEAD_ITEM, strict=True)
)
"""The variate of each driver whose sector factor later drivers are correlated with."""


@dataclass(frozen=True)
class Pair:
    """A run, the same run under another seed, and what the groups of its random inputs are: see `BY`."""

    first: Run
    fresh: Run
    by: str

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups that a run of the simulator depends on: each has some of the keys, the last the rules."""
        drivers = self.first.prepared.drivers
        of_keys = (*pressure.SOURCES, *(d.name for d in drivers)) if self.by == "driver" else (*LEVELS, "own")
        return (*of_keys, RULES)

    def partner(self, held: Flags) -> Run:
        """Return the run that shares the groups held, (group,), with the first run, and no others."""
        along = (-1, 1, 1) if self.by == "driver" else (1, -1, 1)
        prepared, fresh = self.first.prepared, self.fresh.prepared
        keys = np.where(held[:-1].reshape(along), prepared.keys, fresh.keys)
        factors = held_factors(prepared, held) if self.by == "driver" else None
        return replace(
            self.first,
            prepared=replace(prepared, keys=keys, held=factors),
            acting=(self.first if held[-1] else self.fresh).acting,
        )


def fresh_seed(seed: int) -> int:
    """Seed of what is not held: 64 bits of the hash of the run's own."""
    return int.from_bytes(stream_key(seed, "sensitivity").tobytes(), "little")


def held_factors(prepared: Prepared, held: Flags) -> Held | None:
    """Return how sector factors follow from those of the drivers held; None if these say nothing of the others.

    The factor of a driver in which the sector shares nothing is no input, and tells nothing of those that are.
    """
    dependence, of_variate = prepared.dependence, list(DRIVER_OF)
    of_held = np.array([held[pressure.SOURCES.index(d)] for d in FACTOR_DRIVERS])[of_variate]
    used = np.array([shares.sector > 0.0 for shares in dependence.shares()])[of_variate]
    correlation = sector_correlation(dependence)
    if not correlation[np.ix_(of_held, ~of_held)].any():
        return None
    on_other, on_fresh = given(np.where(np.outer(used, used), correlation, np.eye(len(used))), of_held)
    keys = np.ascontiguousarray(prepared.keys[: pressure.N_YEARLY_STREAMS, SECTOR_LEVEL])
    return Held(keys, on_other.astype(np.float32), on_fresh.astype(np.float32))


def sector_correlation(dependence: Dependence) -> F64:
    """Correlation of the sector factors of all variates, (variate, variate), as `correlate_sector` makes them."""
    mixing, own = dependence.sector_mixing(), np.eye(pressure.N_VARIATES)
    rows = np.array([mixing[d, d] * own[v] + mixing[d, :d] @ own[list(LEAD[:d])] for v, d in enumerate(DRIVER_OF)])
    return rows @ rows.T


def given(correlation: F64, held: Flags) -> tuple[F64, F64]:
    """Return matrices A, B such that A F + B e is F where held, and elsewhere a draw of F given what is held.

    Examples
    --------
    >>> a, b = given(np.array([[1.0, 0.6], [0.6, 1.0]]), np.array([True, False]))
    >>> a.tolist(), b.tolist()
    ([[1.0, 0.0], [0.6, 0.0]], [[0.0, 0.0], [0.0, 0.8]])
    """
    rest, on_held, on_fresh = ~held, np.diag(held.astype(float)), np.zeros_like(correlation)
    across = correlation[np.ix_(rest, held)]
    slope = np.linalg.solve(correlation[np.ix_(held, held)], across.T).T
    on_held[np.ix_(rest, held)] = slope
    on_fresh[np.ix_(rest, rest)] = np.linalg.cholesky(correlation[np.ix_(rest, rest)] - slope @ across.T)
    return on_held, on_fresh
