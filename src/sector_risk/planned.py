"""A forecast that is planned: panel, assumptions and regime bound to each other, to be run whole or in parts."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from sector_risk import engine
from sector_risk.assumptions import Assumptions, CentralAction
from sector_risk.factors import named_normals, sector_normal, with_points
from sector_risk.faults import Fault, raise_if_any
from sector_risk.fold import Fold
from sector_risk.kernels.random import stream_key
from sector_risk.kernels.sobol import REPLICATE, Points
from sector_risk.prepare import prepare
from sector_risk.progress import blocks_done, reporter
from sector_risk.regimes import Block, Regime, regime_for
from sector_risk.results import label_forecast, provenance
from sector_risk.run import Draws, Run
from sector_risk.slopes import control_slopes

__all__ = ["Planned", "central_actions", "first_year", "plan_forecast", "plan_run", "run_draws"]

PROBES = 8
"""Draws in which rules are tried out."""


@dataclass(frozen=True)
class Planned:
    """Everything that a forecast of one year follows from."""

    run: Run
    regime: Regime
    panel: xr.Dataset
    assumptions: Assumptions

    def part(self, draws: range) -> "Planned":
        """Return the plan of some of the draws, by their numbers; they come out the same as in the whole."""
        return replace(self, run=self.run.part(draws))

    def with_points(self) -> "Planned":
        """Return the same plan with Sobol points for what trusts share and for central actions.

        Raises
        ------
        InputError
            If months of the year were seen, or draws are not whole replicates of 1,024.
        """
        raise_if_any([*seen_faults(self.run), *replicate_faults(self.run)])
        prepared = with_points(self.run.prepared, self.assumptions)
        return replace(self, run=replace(self.run, prepared=prepared))

    def with_controls(self) -> "Planned":
        """Return the same plan with control variates by draw; rules before the year are tried out for its shocks.

        Raises
        ------
        InputError
            If months of the year were seen, or one-off cover may be less than nought.
        """
        raise_if_any(seen_faults(self.run))
        block = first_year(self.run)
        controls = control_slopes(self.run.prepared, block.delivery.mean(axis=1), block.volatility)
        return replace(self, run=replace(self.run, controls=controls))

    def forecast(
        self,
        threads: int | None = None,
        block_size: int | None = None,
        progress: bool | Callable[[int, int], None] = False,
    ) -> xr.Dataset:
        """Run all draws and label them."""
        draws = run_draws(self.run, threads, block_size, progress)
        forecast = label_forecast(self.run, draws, self.central_actions())
        forecast.attrs = self.provenance()
        return forecast

    def pattern(self) -> xr.Dataset:
        """Return the forecast of one draw that was never made: names, labels, types, and all that has no draws."""
        one = self.part(self.run.draws[:1])
        return label_forecast(one.run, Draws.empty(one.run), one.central_actions())

    def central_actions(self) -> dict[str, np.ndarray]:
        """Amount of each central action by draw, GBP m."""
        prepared = self.run.prepared
        return central_actions(self.assumptions, prepared.context.seed, self.run.draws, prepared.points)

    def provenance(self) -> dict[str, str | int | float]:
        """Attributes that say how the forecast was made."""
        seed, title = self.run.prepared.context.seed, "In-year forecast of provider positions"
        return provenance(title, self.panel, self.assumptions, self.regime, self.run, seed)


def plan_forecast(
    panel: xr.Dataset,
    assumptions: Assumptions,
    regime: Regime | str | None,
    *,
    n_draws: int,
    seed: int,
    by_quarter: bool,
) -> Planned:
    """Plan a forecast of one year from a checked panel."""
    run, chosen = plan_run(panel, assumptions, regime, years=1, n_draws=n_draws, seed=seed, by_trust=True)
    return Planned(replace(run, by_quarter=bool(by_quarter)), chosen, panel, assumptions)


def first_year(run: Run) -> Block:
    """Try the first year's rules out in some draws, up to the year's pressures."""
    probe = Fold(run, PROBES)
    probe.clear(0)
    probe.begin_year(0)
    return probe.block


def seen_faults(run: Run) -> list[Fault]:
    """Return a fault where months were seen: then draws are particles, and neither points nor controls hold."""
    remedy = "Leave sampling and controls as they are by default."
    return [Fault("condition", "fewer draws only before the year", "", remedy)] if run.posterior else []


def replicate_faults(run: Run) -> list[Fault]:
    """Return a fault unless draws are whole replicates of Sobol points."""
    if not run.n_draws % REPLICATE and not run.first_draw % REPLICATE:
        return []
    remedy = f"Ask for {-(-run.n_draws // REPLICATE) * REPLICATE:,} draws."
    rule = f"Sobol points come in replicates of {REPLICATE:,} draws"
    return [Fault("simulate", rule, f"{run.n_draws:,}", remedy, variable="n_draws")]


def plan_run(
    panel: xr.Dataset,
    assumptions: Assumptions,
    regime: Regime | str | None,
    *,
    years: int,
    n_draws: int,
    seed: int,
    by_trust: bool,
) -> tuple[Run, Regime]:
    """Bind panel, assumptions and regime to each other for a number of years; also return the regime chosen."""
    prepared = prepare(panel, assumptions, seed, int(years))
    context = prepared.context
    chosen = regime_for(regime, float(context.panel["support_allocation"].sum()), context.years[0])
    acting = tuple(rule.prepare(context) for rule in chosen.rules)
    return Run(prepared, chosen.rules, acting, int(n_draws), by_trust), chosen


def run_draws(
    run: Run, threads: int | None, block_size: int | None, progress: bool | Callable[[int, int], None]
) -> Draws:
    """Run all draws on threads."""
    return engine.run_blocks(
        run,
        threads=int(threads or engine.default_threads()),
        block_size=None if block_size is None else int(block_size),
        progress=reporter(progress, blocks_done),
    )


def central_actions(
    assumptions: Assumptions, seed: int, draws: range, points: Points | None = None
) -> dict[str, np.ndarray]:
    """Amount of each central action by draw, GBP m: planned * delivery, each action on a stream of its own."""
    placed = named_normals(points, draws.start, len(draws)) if points else {}

    def amount(action: CentralAction) -> np.ndarray:
        z = placed.get(action.name)
        if z is None:
            z = sector_normal(stream_key(seed, f"central:{action.name}"), 0, draws.start, len(draws))
        return action.planned * action.delivery.from_normal(z)

    return {action.name: amount(action) for action in assumptions.centre.actions}
