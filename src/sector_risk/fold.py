"""The fold: one block of draws through the years, each year a step from the state that the last one left.

opening -> rules before the plan -> plan -> rules before the year -> pressures -> rules after the year -> state
"""

from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from sector_risk.factors import draw_factors, sector_normal, share
from sector_risk.kernels import opening, pressure, reduce
from sector_risk.part_rows import PartRows
from sector_risk.regimes import BUNDLED, Block, PreparedRule, Rule
from sector_risk.run import DTYPES, F32, Draws, Run
from sector_risk.slopes import control_rows
from sector_risk.user_pressure import user_pressure


class Fold:
    """Buffers that a worker uses again for every block, and the steps of a year on them."""

    def __init__(self, run: Run, size: int) -> None:
        prepared = run.prepared
        self.run, self.size = run, size
        self.work = np.empty((pressure.WORK_ROWS, size), np.float32)
        self.factors = np.empty((pressure.N_YEARLY_STREAMS, len(prepared.groups.hashes), 4, size), np.float32)
        self.block = empty_block(run, size)
        self.underlying = np.empty_like(self.block.plan)
        self.parts = PartRows(run, self.block, self.underlying)
        self.columns = slice(0, size)

    def run_block(self, out: Draws, first: int, column: int) -> None:
        """Run all years of the block that starts at draw `first`; results go to `out` from a column on."""
        self.columns = slice(column, column + self.size)
        self.clear(first)
        for year in range(len(self.run.prepared.years)):
            self.run_year(out, year)

    def clear(self, first: int) -> None:
        """Make the block that which starts at draw `first`, before its first year."""
        block = self.block
        block.first_draw = first
        block.control_total[:] = 1.0
        plans, positions = (block.opening, block.plan, block.efficiency_plan), (block.position, block.quarter_variance)
        for values in (*plans, *positions, block.position_before_support, *block.state.values()):
            values[:] = 0  # what a rule finds must not depend on how draws are cut into blocks

    def run_year(self, out: Draws, year: int) -> None:
        """One step: (state, block of shocks) -> (state, results)."""
        block = self.block
        acting = self.begin_year(year)
        self.build_pressure(out, year)
        np.copyto(block.position, block.position_before_support)
        for settings, rule in acting:
            rule.after_year(block)
            if settings.pays:
                block.position += self.checked_payments(settings.name)
        self.keep(out, year, [settings.name for settings, _ in acting])

    def begin_year(self, year: int) -> list[tuple[Rule, PreparedRule]]:
        """Run the year up to its pressures: open it, plan it, let rules act before it; return those that act."""
        block = self.block
        self.open_year(year)
        acting = self.run.acting_in(block.label)
        for _, rule in acting:
            rule.before_plan(block)
        self.make_plans(year)
        for _, rule in acting:
            rule.before_year(block)
        return acting

    def checked_payments(self, name: str) -> F32:
        """Return what a rule paid; one of the user's is looked at first, for a fund cannot pay less than nought."""
        paid = self.block.paid[name]
        if name not in BUNDLED and not (paid >= 0.0).all():  # nor is what is not a number above nought
            least = float(np.nanmin(paid)) if np.isfinite(paid).any() else np.nan
            raise ValueError(f"rule {name!r} must pay nought or more to every trust in every draw; it paid {least:g}")
        return paid

    def open_year(self, year: int) -> None:
        """Reset what belongs to a year, and open it from the last year's underlying position."""
        block, prepared = self.block, self.run.prepared
        block.year, block.label = year, prepared.context.years[year]
        block.turnover = prepared.context.turnover[year]
        block.planned_support[:] = 0.0
        block.delivery[:] = 1.0
        block.volatility[:] = 1.0
        block.central[:] = 0.0
        for paid in block.paid.values():
            paid[:] = 0.0
        if year:
            growth = prepared.years[year].growth
            factor = sector_normal(growth.key, year, block.first_draw, self.size)
            opening.opening_block(growth, self.underlying, factor, block.first_draw, block.opening)

    def make_plans(self, year: int) -> None:
        """Plans of the first year are the panel's; later ones follow from what the year opens with."""
        block, prepared = self.block, self.run.prepared
        if year:
            planning = prepared.years[year].planning
            opening.plan_block(planning, block.opening, block.planned_support, block.efficiency_plan, block.plan)
        else:
            block.plan[:] = self.parts.add_up(prepared.plan)[:, None]
            block.efficiency_plan[:] = self.parts.add_up(prepared.efficiency_plan)[:, None]

    def build_pressure(self, out: Draws, year: int) -> None:
        """Run the pressures of the year, part by part, and add the parts up."""
        prepared, parts, first, columns = self.run.prepared, self.parts, self.block.first_draw, self.columns
        parts.plan_year(year)
        trusts = prepared.years[year].trusts
        trusts = trusts._replace(shock_sd=trusts.shock_sd * self.block.volatility[prepared.parts.trust])
        months = draw_factors(prepared, year, first, self.factors)
        known = self.run.posterior if year == 0 else None
        seen = known.settle(first, self.factors, months) if known else None
        shared = share(prepared, year, first, self.factors, months)
        target = parts.target(out, columns)
        extra = user_pressure(prepared, year, first, self.size)
        plans = pressure.Plans(parts.plan, parts.efficiency_plan, parts.delivery)
        pressure.year_block(plans, trusts, prepared.profile, shared, seen, first, extra, self.work, target)
        if self.run.controls and year == 0:
            out.control[:, columns] = control_rows(prepared, self.run.controls, trusts, shared, first, target)
        parts.gather(out, columns)
        out.sector_variance[year, :, columns] = target.sector_variance
        out.efficiency_delivered[year, columns] = target.efficiency_delivered
        out.driver_total[year, :, columns] = target.driver_total

    def keep(self, out: Draws, year: int, acting: list[str]) -> None:
        """Copy the year's results from the block's buffers to the run's arrays; `acting` names the rules that acted."""
        block, columns = self.block, self.columns
        out.position[year, :, columns] = block.position
        out.position_before_support[year, :, columns] = block.position_before_support
        if not self.run.summed:
            self.keep_details(out, year, acting)
        sector = np.zeros((5, self.size))
        reduce.sector_block(block.position_before_support, block.position, self.underlying, sector)
        if not np.isfinite(sector).all():
            raise ValueError(
                f"positions of {block.label} are not finite; rules that acted: {', '.join(acting) or 'none'}"
            )
        out.sector[year, :, columns] = sector
        out.central[year, columns] = block.central

    def keep_details(self, out: Draws, year: int, acting: list[str]) -> None:
        """Copy what is kept of trusts besides positions."""
        block, columns = self.block, self.columns
        out.variance[year, :, columns] = block.quarter_variance[3]
        out.underlying[year, :, columns] = self.underlying
        if year == 0 and self.run.by_quarter:
            out.quarter_variance[:, :, columns] = block.quarter_variance
        for i, (name, paid) in enumerate(block.paid.items()):
            if name in acting:  # the others' pages are never touched
                out.paid[year, i, :, columns] = paid
        for name, kept in out.state.items():
            kept[year, ..., columns] = block.state[name]


class Funds(dict[str, F32]):
    """What each fund pays; a rule that is no fund is told how to become one."""

    def __missing__(self, name: str) -> F32:
        """Refuse a name under which no rule of the regime pays."""
        raise KeyError(f"no rule {name!r} pays: a rule that pays has pays = True, and pays under its own name")


def empty_block(run: Run, size: int) -> Block:
    """Room for one year of a block of draws."""
    shape = (len(run.prepared.codes), size)

    def room() -> F32:
        return np.zeros(shape, np.float32)

    state: dict[str, NDArray[np.generic]] = {
        v.name: np.zeros(shape if v.dims[0] == "trust" else size, DTYPES[v.kind]) for v in run.variables
    }
    state |= {name: np.zeros(shape, dtype) for rule in run.rules for name, dtype in rule.private.items()}
    return Block(
        first_draw=0,
        year=0,
        label="",
        turnover=run.prepared.context.turnover[0],
        opening=room(),
        planned_support=room(),
        plan=room(),
        efficiency_plan=room(),
        delivery=room(),
        volatility=np.ones(shape[0], np.float32),
        control_total=room(),
        quarter_variance=np.zeros((4, *shape), np.float32),
        position_before_support=room(),
        position=room(),
        central=np.zeros(size),
        paid=MappingProxyType(Funds({name: room() for name in run.funds})),
        state=state,
    )
