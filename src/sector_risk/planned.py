"""A forecast that is planned: panel, assumptions and regime bound to each other, to be run whole or in parts."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from sector_risk import engine
from sector_risk.assumptions import Assumptions, CentralAction
from sector_risk.factors import sector_normal
from sector_risk.kernels.random import stream_key
from sector_risk.prepare import prepare
from sector_risk.progress import blocks_done, reporter
from sector_risk.regimes import Regime, regime_for
from sector_risk.results import label_forecast, provenance
from sector_risk.run import Draws, Run

__all__ = ["Planned", "central_actions", "plan_run", "run_draws"]


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

    def central_actions(self) -> dict[str, np.ndarray]:
        """Amount of each central action by draw, GBP m."""
        return central_actions(self.assumptions, self.run.prepared.context.seed, self.run.draws)

    def provenance(self) -> dict[str, str | int | float]:
        """Attributes that say how the forecast was made."""
        seed, title = self.run.prepared.context.seed, "In-year forecast of provider positions"
        return provenance(title, self.panel, self.assumptions, self.regime, self.run, seed)


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


def central_actions(assumptions: Assumptions, seed: int, draws: range) -> dict[str, np.ndarray]:
    """Amount of each central action by draw, GBP m: planned * delivery, each action on a stream of its own."""

    def amount(action: CentralAction) -> np.ndarray:
        z = sector_normal(stream_key(seed, f"central:{action.name}"), 0, draws.start, len(draws))
        return action.planned * action.delivery.from_normal(z)

    return {action.name: amount(action) for action in assumptions.centre.actions}
