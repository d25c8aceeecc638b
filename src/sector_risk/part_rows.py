"""Rows by part: a merged trust is simulated as the trusts it was made of, and added up before any rule looks at it."""

import numpy as np

from sector_risk.kernels import pressure
from sector_risk.regimes import Block
from sector_risk.run import F32, Draws, Run


class PartRows:
    """The rows on which pressures run: the block's own, unless a trust has several parts."""

    def __init__(self, run: Run, block: Block, underlying: F32) -> None:
        self.run, self.block, self.underlying_of_trusts = run, block, underlying
        self.of, self.size = run.prepared.parts, block.central.size
        self.own = not self.of.merged
        self.plan, self.efficiency_plan = self._rows(block.plan), self._rows(block.efficiency_plan)
        self.delivery, self.underlying = self._rows(block.delivery), self._rows(underlying)
        self.before, self.quarters = self._rows(block.position_before_support), self._rows(block.quarter_variance)
        self.in_place = run.contributions_by_draw and self.own
        kept = len(self.of.trust) if run.by_trust and not self.own else 0 if self.in_place else 1
        self.contribution = np.empty((run.n_contributions, kept, self.size), np.float32)

    def _rows(self, of_trusts: F32) -> F32:
        """The trusts' array itself, or one of the same kind with a row for every part."""
        shape = (*of_trusts.shape[:-2], len(self.of.trust), of_trusts.shape[-1])
        return of_trusts if self.own else np.empty(shape, np.float32)

    def add_up(self, rows: F32, axis: int = 0) -> F32:
        """Sum of the parts of each trust."""
        return rows if self.own else np.add.reduceat(rows, self.of.starts, axis=axis)

    def plan_year(self, year: int) -> None:
        """Share the trusts' plans among their parts: by turnover, but for what the panel says of each part."""
        if self.own:
            return
        block, prepared, trust, share = self.block, self.run.prepared, self.of.trust, self.of.share[:, None]
        self.delivery[:] = block.delivery[trust]
        pairs = (
            (self.plan, block.plan, prepared.plan),
            (self.efficiency_plan, block.efficiency_plan, prepared.efficiency_plan),
        )
        for rows, of_trusts, given in pairs:
            known = given if year == 0 else np.zeros_like(given)
            rows[:] = known[:, None] + share * (of_trusts - self.add_up(known)[:, None])[trust]

    def target(self, out: Draws, columns: slice) -> pressure.YearOut:
        """Where the pressure kernel writes."""
        return pressure.YearOut(
            contribution=out.contribution if self.in_place else self.contribution,
            column=columns.start if self.in_place else 0,
            contribution_sums=out.contribution_sums if self.own else out.contribution_sums[:0],
            driver_total=np.zeros((out.driver_total.shape[1], self.size)),
            position_before_support=self.before,
            underlying=self.underlying,
            quarter_variance=self.quarters,
            sector_variance=np.zeros((out.sector_variance.shape[1], self.size)),
            efficiency_delivered=np.zeros(self.size),
        )

    def gather(self, out: Draws, columns: slice) -> None:
        """Add the parts up to trusts."""
        if self.own:
            return
        block = self.block
        np.add.reduceat(self.before, self.of.starts, axis=0, out=block.position_before_support)
        np.add.reduceat(self.quarters, self.of.starts, axis=1, out=block.quarter_variance)
        np.add.reduceat(self.underlying, self.of.starts, axis=0, out=self.underlying_of_trusts)
        if self.run.contributions_by_draw:
            out.contribution[:, :, columns] = self.add_up(self.contribution, axis=1)
        elif self.run.contributions_summed:
            rows = self.add_up(self.contribution, axis=1).astype(np.float64)
            out.contribution_sums[:] += np.stack([rows.sum(axis=2), (rows**2).sum(axis=2)], axis=2)
