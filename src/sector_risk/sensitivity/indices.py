"""Which part of the variance of every unit's year-end position each group of random inputs accounts for."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sector_risk.assumptions import Assumptions
from sector_risk.faults import Fault, InputError, as_sentence, nearest, raise_if_any
from sector_risk.kernels.pressure import SOURCES
from sector_risk.panel import check_panel
from sector_risk.planned import central_actions, plan_run
from sector_risk.progress import Progress, reporter, runs_done
from sector_risk.regimes import Regime
from sector_risk.results import provenance
from sector_risk.schema import MONEY, VariableSpec, described, with_error
from sector_risk.sensitivity.estimate import Estimate
from sector_risk.sensitivity.pairs import Pairs, indices_of
from sector_risk.sensitivity.partners import BY, CENTRE, RULES, Pair, fresh_seed
from sector_risk.simulation import check_settings, warn_of_idle_rules

F64 = NDArray[np.float64]
PLACE = "sensitivity_indices"
RESERVED = (*SOURCES, RULES, CENTRE)
INDICES = ("first_order", "total", "shapley")
_GROUP_UNIT, _UNIT = ("group", "unit"), ("unit",)

SPECS: Mapping[str, VariableSpec] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            *with_error("first_order", _GROUP_UNIT, "1", "share of variance that a group alone explains"),
            *with_error("total", _GROUP_UNIT, "1", "share of variance that all other groups leave unexplained"),
            *with_error("shapley", _GROUP_UNIT, "1", "fair share of variance: adds up to one over groups"),
            *with_error("variance", _UNIT, f"({MONEY})^2", "variance of the year-end position after support"),
            VariableSpec("group", ("group",), "", "group of random inputs", kind="text"),
            VariableSpec("unit", _UNIT, "", "trust, region, type, system, provider sector or whole NHS", kind="text"),
            VariableSpec("level", _UNIT, "", "what the unit is", kind="text"),
        )
    }
)


def sensitivity_indices(
    panel: xr.Dataset,
    assumptions: Assumptions | None = None,
    regime: Regime | str | None = None,
    *,
    by: str = "driver",
    shapley: bool = True,
    n_draws: int = 10_000,
    seed: int = 0,
    threads: int | None = None,
    progress: bool | Progress = False,
) -> xr.Dataset:
    """Share the variance of every unit's year-end position, after support, out among groups of random inputs.

    With c(S) = Var(E[position | groups S]), the variance that is gone once S is known, and V the whole variance:

    * first order: c({g}) / V, what knowing g alone would explain;
    * total: 1 - c(all but g) / V, what would stay open if all but g were known;
    * Shapley effect: the mean of c(S + g) - c(S), over V, over all orders in which groups can become known. The effects
      of all groups add up to one, also where groups depend on each other or act together; first-order and total
      indices need not. Where groups depend on each other, what one tells of the others counts as its own: then its
      first-order index can be above its total index.

    Parameters
    ----------
    panel, assumptions, regime, n_draws, seed, threads
        As for `simulate`. The positions are those that it gives; nothing is seen of the year.
    by : {"driver", "level"}
        What a group is. "driver": "efficiency" (delivery and slippage of planned savings), "pay_award" (own award
        costs), "deterioration" (drift), "run_rate" (monthly shocks), "flexibility" (one-off cover), each driver of your
        own, "rules" (chance within rules, such as who meets the access standard), "centre" (delivery of central
        actions: whole NHS only). Sector factors of drivers may be correlated, which is allowed for: fresh factors are
        drawn given those that are known. "level": the numbers that trusts share as a "sector", "trust_type", "system"
        or "region", over all drivers, and what is each trust's "own"; "rules" and "centre".
    shapley : bool
        Shapley effects need a run for each set of groups, 2**groups in all; the two other indices need two a group.
    progress : bool or function (runs done, runs in all)
        True shows a line on standard error. Groups that prove idle lower the number in all.

    Returns
    -------
    Dataset
        On (group, unit): `first_order`, `total`, `shapley` (if asked for) and their Monte Carlo standard errors, with
        `_se` at the end; on `unit`: `variance`, (GBP million)^2, n - 1, and `variance_se`. Units are all trusts,
        regions, types, systems, the provider sector and the whole NHS; `level` says which.

        c(S) / V is estimated by pairs of draws that share S: mean((y - m) (y' - m)) over mean(((y - m)^2 +
        (y' - m)^2) / 2), where m is the mean of all y and y', less what chance alone makes of it: the same for pairs
        that share nothing, times the slope that leaves the least error. A small index may still come out a little
        below nought: it is not cut off. Errors come from up to 50 batches of draws: the square root of the sum over
        batches of their influence on the index, squared, times batches / (batches - 2); NaN for one or two draws. The
        indices of a unit that does not vary are NaN. A group that changes no position in any draw is no input: its
        indices are nought, and so are its errors.

    Raises
    ------
    InputError
        With every fault of panel and settings; for an unknown `by`, and a driver of your own with a group's name.

    Warns
    -----
    InputWarning
        Of rules that do nothing in the panel's year.

    Notes
    -----
    An index speaks of variance, and of the assumptions as they are: doubt about the assumptions themselves is
    `simulate_with_parameters`.

    References
    ----------
    Sobol (1993), "Sensitivity estimates for nonlinear mathematical models"; Homma and Saltelli (1996), "Importance
    measures in global sensitivity analysis of nonlinear models", for total indices; Song, Nelson and Staum (2016),
    "Shapley effects for global sensitivity analysis: theory and computation", SIAM/ASA Journal on Uncertainty
    Quantification 4, for inputs that depend on each other.

    Examples
    --------
    >>> import sector_risk as sr
    >>> found = sensitivity_indices(sr.load_case("england-2018-19"), n_draws=500, by="level", shapley=False)
    >>> found["group"].values.tolist()
    ['sector', 'trust_type', 'system', 'region', 'own', 'rules', 'centre']
    >>> bool(found["total"].sel(group="own", unit="Provider sector") < 1)
    True
    """
    assumptions = Assumptions() if assumptions is None else assumptions
    asked = check_request(assumptions, regime, by, n_draws=n_draws, seed=seed, threads=threads)
    panel, seeds = check_panel(panel), (int(seed), fresh_seed(seed))
    (first, chosen), (fresh, _) = (
        plan_run(panel, assumptions, asked, years=1, n_draws=n_draws, seed=s, by_trust=False) for s in seeds
    )
    warn_of_idle_rules(chosen, first.prepared.context.years)
    actions = np.array([central_amount(assumptions, s, first.n_draws) for s in seeds])
    pairs = Pairs(Pair(first, fresh, by), actions, threads, reporter(progress, runs_done))
    found = labelled(pairs, indices_of(pairs, shapley))
    title = "Sensitivity of year-end positions to groups of random inputs"
    return found.assign_attrs(provenance(title, panel, assumptions, chosen, first, seeds[0]), by=by)


def check_request(assumptions: Assumptions, regime: Regime | str | None, by: str, **numbers: object) -> Regime | None:
    """Return the regime that is asked for, if any; raise one `InputError` for all faults of what is asked."""
    faults = [*_group_faults(assumptions, by)]
    try:
        asked = check_settings(PLACE, assumptions, regime, **numbers)
    except InputError as error:
        raise InputError([*error.faults, *faults]) from None
    raise_if_any(faults)
    return asked


def _group_faults(assumptions: Assumptions, by: str) -> Iterator[Fault]:
    if by not in BY:
        remedy = as_sentence(nearest(str(by), BY)) or "Use 'driver' or 'level'."
        yield Fault(PLACE, "unknown groups", str(by), remedy, variable="by")
    for name in assumptions.drivers if isinstance(assumptions, Assumptions) else ():
        if name in RESERVED:
            yield Fault(PLACE, "a driver of your own has a group's name", name, "Rename it.", variable="drivers")


def central_amount(assumptions: Assumptions, seed: int, n_draws: int) -> F64:
    """Sum of all central actions by draw, GBP m."""
    return np.zeros(n_draws) + sum(central_actions(assumptions, seed, range(n_draws)).values())


def labelled(pairs: Pairs, indices: Estimate) -> xr.Dataset:
    """Return the Dataset of indices and variances."""
    units, spread = pairs.units, pairs.variance()
    found: dict[str, tuple[tuple[str, ...], F64]]
    found = {name: (_GROUP_UNIT, values) for name, values in zip(INDICES, indices.value, strict=False)}
    found |= {f"{name}_se": (_GROUP_UNIT, values) for name, values in zip(INDICES, indices.error, strict=False)}
    found |= {"variance": (_UNIT, spread.value), "variance_se": (_UNIT, spread.error)}
    labels = {"group": np.array(pairs.groups, object), "unit": units.unit, "level": ("unit", units.level)}
    data = xr.Dataset(found, labels)
    return described(data, SPECS)
