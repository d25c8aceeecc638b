"""Several years: each a step from the one before, under the rules of a regime, trust by trust and draw by draw."""

from collections.abc import Callable

import numpy as np
import xarray as xr

from sector_risk.assumptions import Assumptions
from sector_risk.faults import InputError
from sector_risk.milestones import LONG_TERM_PLAN, Milestone, SectorPath
from sector_risk.panel import check_panel
from sector_risk.planned import plan_run, run_draws
from sector_risk.regimes import Regime, horizon_faults
from sector_risk.results import Variables, label_projection, provenance
from sector_risk.run import Draws
from sector_risk.simulation import check_settings


def project(
    panel: xr.Dataset,
    assumptions: Assumptions | None = None,
    regime: Regime | str | None = None,
    *,
    years: int = 5,
    n_draws: int = 10_000,
    seed: int = 0,
    milestones: tuple[Milestone, ...] = LONG_TERM_PLAN,
    threads: int | None = None,
    block_size: int | None = None,
    progress: bool | Callable[[int, int], None] = False,
) -> xr.Dataset:
    """Project every trust and the sector over several years.

    Parameters
    ----------
    panel : Dataset with dimension `trust`
        From `read_panel`, `load_case` or made by hand; its year is the first one.
    assumptions : Assumptions, optional
        Default: `Assumptions()`; what holds from year to year is in its group `outlook`.
    regime : Regime or str, optional
        Rules, the name of a bundled regime or the path of a TOML file. Default: as for `simulate`.
    years : int
        Years in all, the panel's own included.
    n_draws, seed, threads, block_size, progress
        As for `simulate`. The first year is the same to the bit as `simulate` gives.
    milestones : tuple of Milestone
        What to look for; those beyond the years projected are left out and named in the attribute
        `milestones_beyond`.

    Returns
    -------
    Dataset
        GBP million, surplus positive. On (year, trust, draw), float32: `position`, `position_before_support`,
        `variance` (to the year's plan, which is `position_before_support - variance`), `underlying`, `support`, with
        `support_by_fund` on (year, fund, trust, draw); what the regime's rules report (for example `debt`, `interest`,
        `turnaround_chosen`, `segment`); on (year, draw): `sector_position`, `sector_position_before_support`,
        `sector_underlying`, `deficit_count`, `gross_deficit`, `sector_efficiency_delivered`, `central_effect` (what
        rules save the centre); `sector_contribution` on (year, driver, draw); `milestone_met` on (milestone, draw);
        `turnover` on (year, trust).

    Raises
    ------
    InputError
        With every fault of panel and settings; also where a rule would act in none of the years.
    ValueError
        If a milestone's function does not give a flag for each draw.

    Examples
    --------
    >>> import sector_risk as sr
    >>> case = sr.load_case("england-2018-19")
    >>> path = sr.project(case, regime="2019-20", years=3, n_draws=200, seed=1)
    >>> path["position"].dims, path["year"].values.tolist()
    (('year', 'trust', 'draw'), ['2018-19', '2019-20', '2020-21'])
    >>> path["milestone_met"].sizes["milestone"]
    3
    """
    assumptions = Assumptions() if assumptions is None else assumptions
    numbers = {"years": years, "n_draws": n_draws, "seed": seed, "threads": threads, "block_size": block_size}
    asked = check_settings("project", assumptions, regime, **numbers)
    panel = check_panel(panel)
    run, chosen = plan_run(panel, assumptions, asked, years=years, n_draws=n_draws, seed=seed, by_trust=False)
    labels = run.prepared.context.years
    if faults := horizon_faults(chosen, labels):
        raise InputError(faults)
    draws = run_draws(run, threads, block_size, progress)
    projection = label_projection(run, draws, milestone_variables(draws, labels, milestones))
    projection.attrs = provenance("Projection of provider positions", panel, assumptions, chosen, run, seed)
    beyond = [milestone.name for milestone in milestones if not milestone.within(labels)]
    projection.attrs["milestones_beyond"] = "; ".join(beyond)
    return projection


def milestone_variables(draws: Draws, years: tuple[str, ...], milestones: tuple[Milestone, ...]) -> Variables:
    """Whether each milestone within the years is met, (milestone, draw)."""
    within = [milestone for milestone in milestones if milestone.within(years)]
    if not within:
        return {}
    path = SectorPath(years, draws.sector[:, 1], draws.sector[:, 2])
    met = np.array([milestone.flags(path) for milestone in within])
    return {
        "milestone_met": (("milestone", "draw"), met),
        "milestone": ("milestone", np.array([milestone.name for milestone in within], dtype=object)),
    }
