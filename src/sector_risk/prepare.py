"""From panel and assumptions to the plain arrays that kernels read."""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sector_risk.assumptions import ASSUMPTIONS_YEAR, Assumptions, Marginal
from sector_risk.assumptions.dependence import Dependence
from sector_risk.assumptions.efficiency import HIGHEST_EFFECT, LOWEST_EFFECT
from sector_risk.assumptions.pay import elapsed
from sector_risk.drivers import Driver, registered
from sector_risk.faults import Fault, InputError
from sector_risk.kernels import opening, pressure
from sector_risk.kernels.random import YEAR, group_label, label_hashes, stream_key
from sector_risk.kernels.sobol import Points
from sector_risk.panel import by_successor
from sector_risk.panel.fill import NOT_STATED, efficiency_rate
from sector_risk.regimes import Context, Panel
from sector_risk.schema import is_year_label, year_labels

F32 = np.float32
F64 = NDArray[np.float64]
MONTHS = np.arange(1, 13)
TINY = 1e-12
SECTOR_LEVEL, OWN_LEVEL = 0, 4
"""Of the five levels at which trusts draw numbers: the first, which all share, and the last, a trust's own."""

DRIVER_OF = (0, 0, 0, 3, 1, 1, 2)
"""Position in FACTOR_DRIVERS of the driver whose dependence each variate of the pressure kernel has."""
LEAD_STREAM, LEAD_ITEM = (0, 1, 2, 0), (0, 0, 0, 3)
"""Where each driver's first sector factor is addressed: later drivers are correlated with that one."""


@dataclass(frozen=True)
class Groups:
    """Whose factors a trust shares: labels of all groups, and each trust's four rows among them."""

    hashes: NDArray[np.uint32]  # (G, 2)
    rows: NDArray[np.int64]  # (4, T): sector, type, system, region
    levels: tuple[slice, ...]  # which of the groups are sector, types, systems, regions
    has_system: NDArray[np.bool_]  # (T,)


@dataclass(frozen=True)
class Parts:
    """Which rows of the panel make up which trust: a merged trust has several (P rows, T trusts)."""

    starts: NDArray[np.int64]  # (T,) first row of each trust
    trust: NDArray[np.int64]  # (P,) trust of each row, ascending
    share: NDArray[np.float32]  # (P,) the row's share of its trust's turnover

    @property
    def merged(self) -> bool:
        """Whether any trust has more than one part."""
        return len(self.starts) < len(self.trust)


@dataclass(frozen=True)
class YearArrays:
    """What is known of one year before any draw."""

    trusts: pressure.Trusts  # by part
    growth: opening.Growth  # by trust, as the next field
    planning: opening.Planning


@dataclass(frozen=True)
class Held:
    """Sector factors as another run has them: those that are not held are drawn given those that are.

    factors = on_other @ factors of the other run + on_fresh @ fresh Normals, by variate
    """

    keys: NDArray[np.uint32]  # (stream, 2) the other run's at the level of the sector
    on_other: NDArray[np.float32]  # (variate, variate)
    on_fresh: NDArray[np.float32]  # (variate, variate)


@dataclass(frozen=True)
class Prepared:
    """Everything about a run that does not depend on the draw (P parts, T trusts)."""

    panel: Panel  # (P,)
    parts: Parts
    trusts: xr.Dataset  # panel of the trusts that report, after any reconfiguration: for labels
    context: Context  # of the same trusts, for rules
    plan: NDArray[np.float32]  # (P,)
    efficiency_plan: NDArray[np.float32]  # (P,)
    plan_path: F64  # (P, 12) year-to-date plan before support
    profile: pressure.Year
    years: tuple[YearArrays, ...]
    keys: NDArray[np.uint32]  # (source..., user driver...; sector, type, system, region, own; 2)
    tables: NDArray[np.float32]  # (variate, cells + 1)
    normal: NDArray[np.float32]  # (variate, 2) mean and sd of Normal marginals, zeros for others
    groups: Groups
    sector_mixing: F64  # (driver, driver)
    shared_streams: tuple[bool, ...]  # whether any variate of a stream has shared variance
    dependence: Dependence
    tail_table: NDArray[np.float32]
    drivers: tuple[Driver, ...]
    held: Held | None = None
    points: Points | None = None  # in place of the sector's own Normals of the first year

    @property
    def codes(self) -> list[str]:
        """Codes of the trusts, (T,)."""
        return self.context.codes


def prepare(panel: xr.Dataset, assumptions: Assumptions, seed: int, years: int = 1) -> Prepared:
    """Bind assumptions to a checked panel under a seed, for the panel's year and those that follow."""
    panel, parts = in_parts(panel)
    numbers = panel_numbers(panel, assumptions)
    trusts, of_trusts = panel, numbers
    if "successor" in panel.coords:
        trusts = by_successor(panel)
        of_trusts = panel_numbers(trusts, assumptions)
    context = trust_context(trusts, of_trusts, assumptions, seed, years)
    groups, drivers = group_trusts(panel), registered(assumptions.drivers)
    dependence, marginals = assumptions.dependence, variate_marginals(assumptions)
    return Prepared(
        panel=numbers,
        parts=parts,
        trusts=trusts,
        context=context,
        plan=numbers["plan"].astype(F32),
        efficiency_plan=numbers["efficiency_plan"].astype(F32),
        plan_path=plan_path(panel, numbers, assumptions),
        profile=year_profile(assumptions, efficiency_sector_ask(panel)),
        years=year_arrays(panel, numbers, groups, context, assumptions),
        keys=source_keys(seed, drivers),
        tables=np.array([m.table() for m in marginals]),
        normal=np.array([m.mean_and_sd_if_normal() for m in marginals], F32),
        groups=groups,
        sector_mixing=dependence.sector_mixing(),
        shared_streams=shared_streams(dependence),
        dependence=dependence,
        tail_table=dependence.tail_table() if dependence.tail_dof else np.zeros(2, F32),
        drivers=drivers,
    )


def source_keys(seed: int, drivers: tuple[Driver, ...]) -> NDArray[np.uint32]:
    """Keys of all sources and user drivers, the same at every level: (source..., user driver...; 5; 2)."""
    streams = [*pressure.STREAMS, pressure.STREAMS[LEAD_STREAM[-1]], *(f"driver:{d.name}" for d in drivers)]
    return np.repeat([[stream_key(seed, name)] for name in streams], OWN_LEVEL + 1, axis=1)


def in_parts(panel: xr.Dataset) -> tuple[xr.Dataset, Parts]:
    """Return the panel with the parts of each trust next to each other, and which they are."""
    if "successor" not in panel:
        rows = np.arange(panel.sizes["trust"])
        return panel, Parts(rows, rows, np.ones(len(rows), F32))
    successors = list(dict.fromkeys(panel["successor"].values.tolist()))
    trust = np.array([successors.index(code) for code in panel["successor"].values])
    panel, trust = panel.isel(trust=np.argsort(trust, kind="stable")), np.sort(trust)
    turnover = panel["turnover"].values
    share = turnover / np.bincount(trust, turnover)[trust]
    return panel, Parts(np.searchsorted(trust, np.arange(len(successors))), trust, share.astype(F32))


def trust_context(trusts: xr.Dataset, numbers: Panel, assumptions: Assumptions, seed: int, years: int) -> Context:
    """Return what rules may know of trusts: their numbers, and turnover of all years."""
    codes = [str(code) for code in trusts["trust"].values]
    system = [f"own:{code}" if s == NOT_STATED else s for code, s in zip(codes, trusts["system"].values, strict=True)]
    turnover = np.outer(assumptions.outlook.turnover_index(years), numbers["turnover"])
    turnover.flags.writeable = False  # all threads and blocks share it, and rules read it
    return Context(
        codes=codes,
        panel=numbers,
        seed=seed,
        years=year_labels(first_year(trusts, years), years),
        turnover=turnover,
        system=rows_of(system),
        region=rows_of(trusts["region"].values.tolist()),
    )


def first_year(panel: xr.Dataset, years: int) -> str:
    """Return the panel's year; a single year that is not stated is that of the assumptions.

    Raises
    ------
    InputError
        If there are several years, and the panel does not say which is its own.
    """
    stated = str(panel.attrs.get("year", ""))
    if is_year_label(stated):
        return stated
    if years > 1:
        remedy = 'Say which year its plans are for: read_panel(path, year="2018-19"), or --year 2018-19.'
        raise InputError([Fault("panel", "several years need to know the first one", stated, remedy, variable="year")])
    return ASSUMPTIONS_YEAR


def rows_of(labels: list[str]) -> NDArray[np.int64]:
    """Row of each label among the distinct ones, in order of first appearance.

    >>> rows_of(["b", "a", "b"]).tolist()
    [0, 1, 0]
    """
    row = {label: i for i, label in enumerate(dict.fromkeys(labels))}
    return np.array([row[label] for label in labels], np.int64)


def year_arrays(
    panel: xr.Dataset, numbers: Panel, groups: Groups, context: Context, assumptions: Assumptions
) -> tuple[YearArrays, ...]:
    """Arrays of every year: after the first, turnover and pay have grown and pay awards are in cost inflation."""
    years, outlook = len(context.years), assumptions.outlook
    drawn_as = panel["drawn_as"] if "drawn_as" in panel else panel["trust"]
    first = trust_arrays(label_hashes_of_rows(drawn_as.values.tolist()), numbers, groups, assumptions)
    index, net = outlook.turnover_index(years), outlook.net_growth(years)
    key = stream_key(context.seed, "outlook")

    def one(y: int) -> YearArrays:
        turnover = context.turnover[y]
        growth = opening.Growth(
            hashes=context.hashes,
            key=key,
            first_group=y * YEAR,
            growth=(net[y] * turnover).astype(F32),
            sector_scale=(outlook.sector_sd * turnover).astype(F32),
            own_scale=(outlook.trust_sd * turnover).astype(F32),
        )
        limits = (outlook.other_one_off, outlook.efficiency_floor, outlook.efficiency_cap)
        planning = opening.Planning(*((rate * turnover).astype(F32) for rate in limits))
        return YearArrays(grown(first, index[y]) if y else first, growth, planning)

    return tuple(one(y) for y in range(years))


def label_hashes_of_rows(codes: list[str]) -> NDArray[np.uint32]:
    """Hashes of codes, (P, 2); rows that share a code share its random numbers."""
    return label_hashes(list(dict.fromkeys(codes)))[rows_of(codes)]


def grown(trusts: pressure.Trusts, index: float) -> pressure.Trusts:
    """Return a later year's arrays: money times `index`, and pay gaps only where a trust's award differs."""
    money, awards = (
        [pressure.FLEXIBILITY, pressure.AFC, pressure.MEDICAL, pressure.DRIFT],
        [pressure.AFC, pressure.MEDICAL],
    )
    offset, scale = trusts.offset * F32(index), trusts.scale.copy()
    scale[money] *= F32(index)
    offset[awards] = 0.0
    return trusts._replace(
        offset=offset,
        scale=scale,
        turnover=trusts.turnover * F32(index),
        ask_slope=trusts.ask_slope / F32(index),
        shock_sd=trusts.shock_sd * F32(index),
    )


def shared_streams(dependence: Dependence) -> tuple[bool, ...]:
    """Whether any variate of each stream has shared variance: factors of the others are not drawn."""
    shared = [bool(shares.loadings()[:4].any()) for shares in dependence.shares()]
    pairs = list(zip(pressure.STREAM_OF, DRIVER_OF, strict=True))
    return tuple(any(shared[d] for s, d in pairs if s == stream) for stream in range(pressure.N_YEARLY_STREAMS))


def panel_numbers(panel: xr.Dataset, assumptions: Assumptions) -> Panel:
    """Return the panel's yearly numbers as float64 arrays, with asks and, where it gives none, formula funding."""
    numbers = {
        str(k): v.values.astype(float)
        for k, v in panel.data_vars.items()
        if v.dims == ("trust",) and v.dtype.kind in "biuf"
    }
    numbers["ask"] = 100.0 * numbers["efficiency_plan"] / numbers["turnover"]
    numbers["sector_ask"] = np.full(len(numbers["ask"]), efficiency_sector_ask(panel))
    formula = assumptions.pay.funding_afc(numbers["pay_afc"])
    given = numbers.get("pay_award_funding", formula)
    numbers["pay_award_funding"] = np.where(np.isnan(given), formula, given)
    for values in numbers.values():
        values.flags.writeable = False  # user drivers and rules read them
    return numbers


def efficiency_sector_ask(panel: xr.Dataset) -> float:
    """Return the sector's planned efficiency in the panel's year, per cent of turnover."""
    return 100.0 * efficiency_rate(str(panel.attrs.get("year", "")))


def variate_marginals(assumptions: Assumptions) -> tuple[Marginal, ...]:
    """Marginals in the order of the pressure kernel's variates."""
    efficiency, pay = assumptions.efficiency, assumptions.pay
    slippage = Marginal.of("norm", scale=max(efficiency.slippage_sd, TINY))
    return (
        efficiency.recurrent_ratio,
        efficiency.one_off_ratio,
        slippage,
        assumptions.flexibility.amount,
        pay.own_award_afc,
        pay.own_award_medical,
        assumptions.deterioration.drift,
    )


def offsets_and_scales(numbers: Panel, assumptions: Assumptions) -> tuple[F64, F64]:
    """Each variate is offset + scale * quantile; both of shape (variate, T).

    Pay gaps, cover and drift are in GBP m; the others are ratios, which the kernel turns into GBP m with each
    draw's savings plan.
    """
    pay, drift, plan, turnover = assumptions.pay, assumptions.deterioration, numbers["plan"], numbers["turnover"]
    funding, medical = numbers["pay_award_funding"] * (1.0 - pay.clawback_afc), numbers["pay_medical"]
    offset, scale = np.zeros((pressure.N_VARIATES, len(turnover))), np.ones((pressure.N_VARIATES, len(turnover)))
    offset[pressure.AFC] = pay.national_cost_afc(numbers["pay_afc"]) - funding
    scale[pressure.AFC] = numbers["pay_afc"]
    offset[pressure.MEDICAL] = medical * (pay.award_medical - pay.budgeted_medical)
    scale[pressure.MEDICAL] = medical
    scale[pressure.FLEXIBILITY] = assumptions.flexibility.capacity(plan, turnover)
    offset[pressure.DRIFT] = -drift.headroom * turnover
    scale[pressure.DRIFT] = drift.drift_scale(plan, turnover)
    return offset, scale


def trust_arrays(
    hashes: NDArray[np.uint32], numbers: Panel, groups: Groups, assumptions: Assumptions
) -> pressure.Trusts:
    """Scalars of each trust for the pressure kernel, in the panel's year."""
    offset, scale = offsets_and_scales(numbers, assumptions)
    return pressure.Trusts(
        hashes=hashes,
        offset=offset.astype(F32),
        scale=scale.astype(F32),
        turnover=numbers["turnover"].astype(F32),
        recurrent_share=numbers["efficiency_recurrent_share"].astype(F32),
        ask_slope=assumptions.efficiency.effect_slope(numbers["turnover"]).astype(F32),
        shock_sd=(assumptions.deterioration.shock_sd * numbers["turnover"]).astype(F32),
        group=groups.rows,
        loading=loadings(groups, assumptions).astype(F32),
    )


def loadings(groups: Groups, assumptions: Assumptions) -> F64:
    """Loadings of every variate, (variate, 5, T)."""
    by_driver = [by_trust(shares.loadings(), groups) for shares in assumptions.dependence.shares()]
    return np.array([by_driver[d] for d in DRIVER_OF])


def by_trust(loadings: F64, groups: Groups) -> F64:
    """Loadings (5, T); a trust without a system keeps that share of variance to itself."""
    spread = np.outer(loadings, np.ones(groups.rows.shape[1]))
    spread[2] = np.where(groups.has_system, spread[2], 0.0)
    spread[4] = np.sqrt(np.clip(1.0 - (spread[:4] ** 2).sum(axis=0), 0.0, None))
    return spread


def year_profile(assumptions: Assumptions, sector_ask: float) -> pressure.Year:
    """Monthly profiles and scalars for the pressure kernel; all years have the same."""
    efficiency, pay = assumptions.efficiency, assumptions.pay
    drift, flexibility = assumptions.deterioration, assumptions.flexibility
    shared = assumptions.dependence.run_rate_sector
    return pressure.Year(
        plan=_phased(efficiency.plan_gamma),
        recurrent=_phased(efficiency.recurrent_gamma),
        one_off=_phased(efficiency.one_off_gamma),
        slippage=(1.0 - MONTHS / 12.0).astype(F32),
        afc=elapsed(pay.month_afc).astype(F32),
        medical=elapsed(pay.month_medical).astype(F32),
        season=drift.season_path().astype(F32),
        flexibility=np.array(flexibility.path, F32),
        persistence=F32(drift.persistence),
        shock_loading=np.sqrt([shared, 1.0 - shared]).astype(F32),
        keep_favourable=F32(flexibility.keep_favourable),
        effect_at_no_ask=F32(efficiency.effect_at_no_ask(sector_ask)),
        effect_range=np.array([LOWEST_EFFECT, HIGHEST_EFFECT], F32),
        other_one_off=F32(assumptions.outlook.other_one_off),
        full_year_effect=F32(assumptions.outlook.full_year_effect),
    )


def _phased(gamma: float) -> NDArray[np.float32]:
    return ((MONTHS / 12.0) ** gamma).astype(F32)


def plan_path(panel: xr.Dataset, numbers: Panel, assumptions: Assumptions) -> F64:
    """Year-to-date plan before support, (T, 12): as given, else phased with savings and season.

    plan_ytd(m) = plan m/12 - K (m/12 - G_plan(m)) + turnover season(m)
    """
    share = MONTHS / 12.0
    late = share - share**assumptions.efficiency.plan_gamma
    season = np.interp(MONTHS, [0, 3, 6, 9, 12], [0.0, *assumptions.flexibility.plan_season])
    path = np.outer(numbers["plan"], share) - np.outer(numbers["efficiency_plan"], late)
    path += np.outer(numbers["turnover"], season)
    if "plan_ytd" not in panel:
        return path
    given = panel["plan_ytd"].transpose("trust", "month").reindex(month=MONTHS).values
    return np.where(np.isnan(given), path, given)


def group_trusts(panel: xr.Dataset) -> Groups:
    """Return the groups whose factors trusts share, and each trust's rows among them."""
    levels = [
        np.full(panel.sizes["trust"], group_label("sector"), dtype=object),
        np.array([group_label(f"type:{value}") for value in panel["trust_type"].values], dtype=object),
        np.array([group_label(f"system:{value}") for value in panel["system"].values], dtype=object),
        np.array([group_label(f"region:{value}") for value in panel["region"].values], dtype=object),
    ]
    labels = [str(label) for level in levels for label in dict.fromkeys(level)]
    row = {label: i for i, label in enumerate(labels)}
    rows = np.array([[row[label] for label in level] for level in levels], dtype=np.int64)
    of_level = tuple(slice(int(of.min()), int(of.max()) + 1) for of in rows)
    return Groups(label_hashes(labels), rows, of_level, panel["system"].values != NOT_STATED)
