"""What a forecast needs of the months seen: factors as they are known, and particles of every trust seen."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sector_risk.kernels import choose, particles, pressure
from sector_risk.kernels.random import stream_key
from sector_risk.posterior.laplace import laplace
from sector_risk.posterior.loads import Loads, factor_loads
from sector_risk.posterior.lots import Conditions
from sector_risk.prepare import Prepared
from sector_risk.reports import last_month

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@dataclass(frozen=True)
class Posterior:
    """What is known after the months seen (R trusts seen, F factors)."""

    trust: I64  # (R,) rows among the panel's
    row: I64  # (P,) the other way round; -1: nothing seen
    months: I64  # (R,) months seen
    particles: F32  # (R, particle, latents)
    worth: F64  # (R,) effective number of particles
    hashes: NDArray[np.uint32]  # (R, 2)
    key: NDArray[np.uint32]
    lean: F32  # (R, V, particle)
    hands: I64  # (R,) hands of particles that a draw looks at
    loads: Loads
    expected: F32  # (F,)
    root: F32  # (F, F)

    def settle(self, first_draw: int, room: F32, months: F32) -> pressure.Seen:
        """Change a block's factors to what is known of them, and choose each trust's particle given them.

        Parameters
        ----------
        first_draw : int
        room, months : float32 arrays, shapes (stream, group, 4, B) and (12, B)
            Independent standard Normals, changed in place.
        """
        every = np.concatenate([room.reshape(-1, room.shape[-1]), months])
        prior, known = every[self.loads.factors], np.empty((len(self.expected), room.shape[-1]), np.float32)
        choose.update_block(self.root, self.expected, prior, known)
        every[self.loads.factors] = known
        room[:], months[:] = every[: -len(months)].reshape(room.shape), every[-len(months) :]
        chosen = self.choose(first_draw, known - self.expected[:, None])
        return pressure.Seen(self.row, self.months, self.particles, chosen)

    def choose(self, first_draw: int, away: F32) -> NDArray[np.uint32]:
        """Choose particles (R, B) in draws whose factors are `away` (F, B) from what was expected."""
        delta = np.empty((*self.lean.shape[:2], away.shape[1]), np.float32)
        chosen = np.empty((len(self.trust), away.shape[1]), np.uint32)
        choose.delta_block(self.loads.load.astype(np.float32), self.loads.which, away, delta)
        choose.choose_block(self.key, self.hashes, first_draw, self.hands, self.lean, delta, chosen)
        return chosen


def learn(reports: particles.Reports, prepared: Prepared, delivery: F32, volatility: F32, threads: int) -> Posterior:
    """Return what is known after what was reported; `delivery` and `volatility` (P,) are the rules' multipliers.

    Raises
    ------
    ValueError
        If no particle explains what was reported of some trust.
    """
    seed, trusts = prepared.context.seed, prepared.years[0].trusts
    conditions = Conditions(
        reports=reports,
        plan=prepared.efficiency_plan,
        delivery=delivery,
        trusts=trusts._replace(shock_sd=trusts.shock_sd * volatility),
        prepared=prepared,
        keys=np.array([stream_key(seed, name) for name in particles.STREAMS]),
        threads=threads,
    )
    loads = factor_loads(prepared, reports)
    drawn, expected, root, hands = laplace(conditions, loads)
    if not (np.isfinite(drawn.worth).all() and np.isfinite(expected).all()):
        raise ValueError("no candidate year explains what was reported of some trust")
    row = np.full(len(prepared.plan), -1)
    row[reports.trust] = np.arange(len(reports.trust))
    return Posterior(
        trust=reports.trust,
        row=row,
        months=last_month(reports),
        particles=drawn.latents,
        worth=drawn.worth,
        hashes=trusts.hashes[reports.trust],
        key=stream_key(seed, "seen:choice"),
        lean=lean_latents(drawn.latents[:, :, loads.latents], loads),
        hands=hands,
        loads=loads,
        expected=expected.astype(np.float32),
        root=root.astype(np.float32),
    )


def lean_latents(latents: F32, loads: Loads) -> F32:
    """Shared latents (R, V, particle) over their own variance, each about its mean: log weights stay small."""
    centred = latents - latents.mean(axis=1, keepdims=True)
    return (centred.transpose(0, 2, 1) / loads.own[:, :, None]).astype(np.float32, "C")
