"""The main job: one year, from a panel to the distribution of year-end positions."""

from collections.abc import Callable

import numpy as np
import xarray as xr

from sector_risk import engine
from sector_risk.assumptions import Assumptions, CentralAction
from sector_risk.faults import Fault, InputError
from sector_risk.kernels.random import MAX_DRAWS, group_label, label_hash, stream_key
from sector_risk.panel import check_panel
from sector_risk.prepare import normals, prepare
from sector_risk.regimes import Regime, regime_for
from sector_risk.results import label_forecast, provenance


def simulate(
    panel: xr.Dataset,
    assumptions: Assumptions | None = None,
    regime: Regime | str | None = None,
    *,
    n_draws: int = 10_000,
    seed: int = 0,
    threads: int | None = None,
    block_size: int | None = None,
    progress: bool | Callable[[int, int], None] = False,
) -> xr.Dataset:
    """Simulate the year-end position of every trust and of the sector.

    Parameters
    ----------
    panel : Dataset with dimension `trust`
        From `read_panel`, `load_case` or made by hand; checked here.
    assumptions : Assumptions, optional
        Default: `Assumptions()`, which describes 2018-19.
    regime : Regime or str, optional
        Rules, or the name of a bundled regime. Default: "2018-19" if the panel has support allocations, else "none".
    n_draws : int
        Draws; more draws keep the first ones unchanged.
    seed : int
        Not negative. A draw's numbers depend on seed, trust code, driver and draw number alone.
    threads, block_size : int, optional
        Speed and memory only: results are the same to the bit. Default: all cores, and blocks of up to 800 draws.
    progress : bool or function (blocks done, blocks in all)
        True shows a bar on standard error.

    Returns
    -------
    Dataset
        GBP million, surplus positive. On (trust, draw), float32: `position`, `position_before_support`, `variance`
        (the latter less plan), `support`, `one_off`; on (driver, trust, draw): `contribution`, which adds up over
        `driver` to `variance`; on (draw), float64: `sector_position` (the sum of trusts), `nhs_position`
        (with central actions), `deficit_count`, `gross_deficit`, `sector_efficiency_delivered`; `sector_ytd` on
        (month, draw); and the plan beside them. Attributes say how it was made.

    Raises
    ------
    InputError
        With every fault of panel and settings.

    Examples
    --------
    >>> import sector_risk as sr
    >>> forecast = sr.simulate(sr.load_case("england-2018-19"), n_draws=200, seed=1)
    >>> forecast["position"].dims
    ('trust', 'draw')
    >>> bool(abs(forecast["contribution"].sum("driver") - forecast["variance"]).max() < 1e-3)
    True
    """
    assumptions = Assumptions() if assumptions is None else assumptions
    check_settings(assumptions, n_draws, seed, threads, block_size)
    panel = check_panel(panel)
    prepared = prepare(panel, assumptions, seed)
    chosen = regime_for(regime, float(prepared.panel["support_allocation"].sum()))
    rules = tuple(rule.prepare(prepared.codes, prepared.panel, seed) for rule in chosen.rules)
    n_draws = int(n_draws)
    draws = engine.run_blocks(
        prepared,
        rules,
        n_draws,
        threads=int(threads or engine.default_threads()),
        block_size=None if block_size is None else int(block_size),
        progress=_reporter(progress),
    )
    central = central_actions(assumptions, seed, n_draws)
    forecast = label_forecast(draws, central, panel, prepared, planned_support_path(chosen))
    forecast.attrs = provenance(panel, assumptions, chosen, prepared.drivers, n_draws, seed)
    return forecast


def check_settings(assumptions: object, n_draws: int, seed: int, threads: int | None, block_size: int | None) -> None:
    """Raise one `InputError` for all faults of the run's settings."""
    limits = {
        "n_draws": (n_draws, 1, MAX_DRAWS),
        "seed": (seed, 0, None),
        "threads": (1 if threads is None else threads, 1, 1024),
        "block_size": (1 if block_size is None else block_size, 1, 2**20),
    }
    faults = [
        Fault(
            "simulate",
            f"must be a whole number from {low:,}" + (f" to {high:,}" if high else ""),
            str(value),
            "",
            variable=name,
        )
        for name, (value, low, high) in limits.items()
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < low or (high and value > high)
    ]
    if not isinstance(assumptions, Assumptions):
        remedy = "Give Assumptions, for example Assumptions.from_toml(path)."
        faults.append(Fault("simulate", "not assumptions", str(assumptions), remedy, variable="assumptions"))
    if faults:
        raise InputError(faults)


def central_actions(assumptions: Assumptions, seed: int, n_draws: int) -> dict[str, np.ndarray]:
    """Amount of each central action by draw, GBP m: planned * delivery, each action on a stream of its own."""
    label = label_hash(group_label("sector")).reshape(1, 2)

    def amount(action: CentralAction) -> np.ndarray:
        z = normals(stream_key(seed, f"central:{action.name}"), label, 0, 1, n_draws)[0, 0]
        return action.planned * action.delivery.from_normal(z)

    return {action.name: amount(action) for action in assumptions.centre.actions}


def planned_support_path(regime: Regime) -> np.ndarray:
    """Cumulative share of planned support by month, over all rules; nothing is planned without one."""
    return sum((rule.planned_path() for rule in regime.rules), np.zeros(12))


def _reporter(progress: bool | Callable[[int, int], None]) -> Callable[[int, int], None] | None:
    if callable(progress):
        return progress
    return _print_progress if progress else None


def _print_progress(done: int, total: int) -> None:
    import sys

    width = 30
    bar = "#" * (width * done // total)
    end = "\n" if done == total else ""
    print(f"\r[{bar:<{width}}] {done}/{total} blocks", end=end, file=sys.stderr, flush=True)
