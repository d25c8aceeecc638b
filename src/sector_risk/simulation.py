"""The main job: one year, from a panel to the distribution of year-end positions."""

import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import xarray as xr

from sector_risk.assumptions import Assumptions
from sector_risk.faults import Fault, InputError, InputWarning, raise_if_any
from sector_risk.files import open_forecast
from sector_risk.kernels.random import MAX_DRAWS
from sector_risk.panel import check_panel
from sector_risk.planned import Planned, plan_forecast
from sector_risk.progress import Progress, blocks_done, reporter
from sector_risk.regimes import Regime, horizon_faults, regime_for
from sector_risk.run import Draws, Run
from sector_risk.store import write_draws
from sector_risk.streaming import Keep, Summary, keep_draws, keep_faults, settled, summarise_stream


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
    by_quarter: bool = False,
    keep: Keep = "draws",
    store: str | os.PathLike[str] | None = None,
    sampling: str = "random",
    controls: bool = False,
) -> xr.Dataset:
    """Simulate the year-end position of every trust and of the sector.

    Parameters
    ----------
    panel : Dataset with dimension `trust`
        From `read_panel`, `load_case` or made by hand; checked here.
    assumptions : Assumptions, optional
        Default: `Assumptions()`, which describes 2018-19.
    regime : Regime or str, optional
        Rules, the name of a bundled regime or the path of a TOML file. Default: for a panel with support
        allocations the latest bundled regime not after its year (the first for earlier years), else "none".
    n_draws : int
        Draws; more draws keep the first ones unchanged.
    seed : int
        Not negative. A draw's numbers depend on seed, trust code, driver and draw number alone.
    threads, block_size : int, optional
        Speed and memory only: results are the same to the bit. Default: all cores, and blocks of up to 500 draws (a
        summary has no others).
    progress : bool or function (blocks done, blocks in all)
        True shows a bar on standard error.
    by_quarter : bool
        Keep every trust's variance at quarter ends too: `variance_by_quarter` on (quarter, trust, draw).
    keep : "draws", "summary", Summary or sequence of str
        What is kept of the draws: all; a summary in memory that does not grow with their number (`Summary` says at
        which levels, and whether exactly); or the draws of the variables named.
    store : path, optional
        A Zarr folder (`.zarr`) into which all draws go, part by part: more than memory holds, if need be. A run that
        was stopped goes on where it was. What comes back reads the folder as it is used.
    sampling : {"random", "sobol"}
        With "sobol", what moves the whole sector (its factors, central actions) is spread evenly in each replicate of
        1,024 draws; `controlled` reads figures and their errors off such draws.
    controls : bool
        Give control variates by draw too, from which `controlled` makes errors several times smaller.

    Returns
    -------
    Dataset
        GBP million, surplus positive. On (trust, draw), float32: `position`, `position_before_support`, `variance`
        (the latter less plan), `underlying`, `support`, `one_off`; `support_by_fund` on (fund, trust, draw); on
        (driver, trust, draw): `contribution`, which adds up over `driver` to `variance`; what the regime's rules
        report; on (draw), float64: `sector_position` (the sum of trusts), `sector_position_before_support`,
        `sector_underlying`, `nhs_position` (with central actions and `central_effect`, what rules save the centre),
        `deficit_count`, `gross_deficit`, `sector_efficiency_delivered`; `central_action` on (action, draw);
        `sector_ytd` on (month, draw); and the plan beside them. With controls `control_value` on (control, draw), with
        Sobol points the coordinate `replicate` on (draw). Attributes say how it was made.

        With `keep="summary"`: what `summarise` and `deficit_counts` say of the draws, with the same names; of the
        sector what `allocate` says, as `sd_share` and `tail_value_at_risk_share` on trust and `sd_by_effect` and
        `tail_value_at_risk_by_effect` on effect (of the support effect, all that is paid); `contribution_mean` on
        (driver, trust); `sector_ytd_quantile` on (month, quantile); and `histogram` on (unit, bin), with
        `bin_middle` in GBP million, which `exceedance` and the pictures of a forecast read. Quantiles and tails
        are read off bins: `position_quantile_bound` and the like say how far off that may be at most, beside the
        Monte Carlo error; the shares of the tail are read off bins of the sector's position.

    Raises
    ------
    InputError
        With every fault of panel and settings; for more draws than memory holds; for a store, finished or not, of
        another forecast, which is never replaced.
    OSError
        The disk has too little room for the store, which is found out before the first draw; or the store cannot be
        written to: what is written is kept, and a note says how much.

    Warns
    -----
    InputWarning
        Of rules that do nothing in the panel's year.

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
    numbers = {"n_draws": n_draws, "seed": seed, "threads": threads, "block_size": block_size}
    asked = check_settings("simulate", assumptions, regime, **numbers)
    keep = settled(keep)
    raise_if_any(together_faults(keep, store, sampling, controls, by_quarter))
    panel = check_panel(panel)
    planned = plan_forecast(panel, assumptions, asked, n_draws=n_draws, seed=seed, by_quarter=by_quarter)
    warn_of_idle_rules(planned.regime, planned.run.prepared.context.years)
    planned = planned.with_points() if sampling == "sobol" else planned
    planned = planned.with_controls() if controls else planned
    if store is not None:
        path = write_draws(planned, store, threads=threads, block_size=block_size, progress=progress)
        return open_forecast(path, lazy=True)
    if isinstance(keep, str) and keep == "draws":
        raise_if_any(memory_faults(planned.run))
        return planned.forecast(threads, block_size, progress)
    return keep_some(planned, keep, threads, progress)


def together_faults(keep: Any, store: Any, sampling: Any, controls: Any, by_quarter: Any) -> Iterator[Fault]:
    """Yield a fault for each way of keeping and of sampling that do not go together."""
    all_draws = isinstance(keep, str) and keep == "draws"
    if sampling not in ("random", "sobol"):
        yield Fault("simulate", "unknown sampling", str(sampling), "Use 'random' or 'sobol'.", variable="sampling")
    if isinstance(keep, Summary) and (sampling == "sobol" or controls):
        remedy = "Keep draws of the sector (see controlled)."
        yield Fault("simulate", "a summary has no use for Sobol points and controls", "", remedy, variable="keep")
    if isinstance(keep, Summary) and by_quarter:
        remedy = "Name what to keep: keep=['variance_by_quarter']."
        yield Fault("simulate", "a summary has no quarters", str(by_quarter), remedy, variable="by_quarter")
    if store is not None and not all_draws:
        yield Fault("simulate", "a store takes all draws", str(keep), "Leave keep or store out.", variable="store")


def memory_faults(run: Run) -> Iterator[Fault]:
    """Yield a fault if all draws of a run are more than the machine's memory: it would end without a word."""
    needed, there = Draws.bytes_for_one(run) * run.n_draws, memory()
    if needed > there:
        rule = f"its draws take {needed / 2**30:,.0f} GB, and there are {there / 2**30:,.0f} GB of memory"
        remedy = "Use keep='summary', name the variables to keep, or give a store."
        yield Fault("simulate", rule, f"{run.n_draws:,}", remedy, variable="n_draws")


def memory() -> float:
    """Bytes of memory of this machine; no end of it where the system does not say."""
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return np.inf


def keep_some(planned: Planned, keep: Keep, threads: int | None, progress: bool | Progress) -> xr.Dataset:
    """Run a forecast, and keep a summary or the draws of some variables.

    Raises
    ------
    InputError
        For what cannot be kept.
    """
    raise_if_any(keep_faults(keep, planned.pattern()))
    report = reporter(progress, blocks_done)
    if isinstance(keep, Summary):
        return summarise_stream(planned, keep, threads, report)
    return keep_draws(planned, keep, threads, report)


def warn_of_idle_rules(regime: Regime, years: tuple[str, ...]) -> None:
    """Warn of rules that do nothing in the years of a run."""
    for fault in horizon_faults(regime, years):
        warnings.warn(str(fault), InputWarning, stacklevel=3)


LIMITS = {
    "n_draws": (1, MAX_DRAWS),
    "seed": (0, None),
    "years": (1, 30),
    "threads": (1, 1024),
    "block_size": (1, 2**20),
    "through_month": (0, 12),
}


def check_settings(place: str, assumptions: object, regime: Any, **numbers: object) -> Regime | None:
    """Return the regime that is asked for, if any; raise one `InputError` for all faults of the run's settings."""
    faults = [_number_fault(place, name, value) for name, value in numbers.items() if _is_wrong(name, value)]
    if not isinstance(assumptions, Assumptions):
        remedy = "Give Assumptions, for example Assumptions.from_toml(path)."
        faults.append(Fault(place, "not assumptions", str(assumptions), remedy, variable="assumptions"))
    asked = None
    try:
        asked = None if regime is None else regime_for(regime, 0.0)
    except InputError as error:
        faults.extend(error.faults)
    if faults:
        raise InputError(faults)
    return asked


def _is_wrong(name: str, value: Any) -> bool:
    low, high = LIMITS[name]
    if value is None:
        return name not in ("threads", "block_size")
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        return True
    return bool(value < low or (high is not None and value > high))


def _number_fault(place: str, name: str, value: object) -> Fault:
    low, high = LIMITS[name]
    rule = f"must be a whole number from {low:,}" + (f" to {high:,}" if high else "")
    return Fault(place, rule, str(value), "", variable=name)
