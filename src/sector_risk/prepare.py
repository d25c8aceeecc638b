"""From panel and assumptions to the plain arrays that kernels read."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sector_risk.assumptions import Assumptions, Marginal
from sector_risk.assumptions.dependence import FACTOR_DRIVERS, Dependence
from sector_risk.assumptions.pay import elapsed
from sector_risk.drivers import Driver, registered
from sector_risk.kernels import pressure
from sector_risk.kernels.random import group_label, label_hash, label_hashes, normals_block, stream_key
from sector_risk.panel.fill import efficiency_rate
from sector_risk.regimes import Panel

F32 = np.float32
F64 = NDArray[np.float64]
MONTHS = np.arange(1, 13)
TINY = 1e-12
N_YEARLY_STREAMS = len(pressure.STREAMS) - 1
DRIVER_OF = (0, 0, 0, 3, 1, 1, 2)
"""Position in FACTOR_DRIVERS of the driver whose dependence each variate of the pressure kernel has."""
LEAD_STREAM, LEAD_ITEM = (0, 1, 2, 0), (0, 0, 0, 3)
"""Where each driver's first sector factor is addressed: later drivers are correlated with that one."""


@dataclass(frozen=True)
class Groups:
    """Whose factors a trust shares: labels of all groups, and each trust's four rows among them."""

    hashes: NDArray[np.uint32]  # (G, 2)
    rows: NDArray[np.int64]  # (4, T): sector, type, system, region
    has_system: NDArray[np.bool_]  # (T,)


@dataclass(frozen=True)
class Prepared:
    """Everything about a year that does not depend on the draw."""

    codes: list[str]
    panel: Panel
    plan: NDArray[np.float32]  # (T,)
    plan_path: F64  # (T, 12) year-to-date plan before support
    trusts: pressure.Trusts
    year: pressure.Year
    keys: NDArray[np.uint32]  # (stream, 2)
    tables: NDArray[np.float32]  # (variate, cells + 1)
    normal: NDArray[np.float32]  # (variate, 2) mean and sd of Normal marginals, zeros for others
    groups: Groups
    sector_mixing: F64  # (driver, driver)
    shared_streams: tuple[bool, ...]  # whether any variate of a stream has shared variance
    dependence: Dependence
    tail_table: NDArray[np.float32]
    drivers: tuple[Driver, ...]
    driver_keys: NDArray[np.uint32]  # (user driver, 2)


def prepare(panel: xr.Dataset, assumptions: Assumptions, seed: int) -> Prepared:
    """Bind assumptions to a checked panel under a seed."""
    codes = [str(code) for code in panel["trust"].values]
    numbers = panel_numbers(panel, assumptions)
    groups = group_trusts(panel)
    drivers = registered(assumptions.drivers)
    dependence, marginals = assumptions.dependence, variate_marginals(assumptions)
    table = dependence.tail_table() if dependence.tail_dof else np.zeros(2, F32)
    return Prepared(
        codes=codes,
        panel=numbers,
        plan=numbers["plan"].astype(F32),
        plan_path=plan_path(panel, numbers, assumptions),
        trusts=trust_arrays(codes, numbers, groups, assumptions),
        year=year_profile(assumptions),
        keys=np.array([stream_key(seed, name) for name in pressure.STREAMS]),
        tables=np.array([m.table() for m in marginals]),
        normal=np.array([m.mean_and_sd_if_normal() for m in marginals], F32),
        groups=groups,
        sector_mixing=dependence.sector_mixing(),
        shared_streams=shared_streams(dependence),
        dependence=dependence,
        tail_table=table,
        drivers=drivers,
        driver_keys=np.array([stream_key(seed, f"driver:{d.name}") for d in drivers], np.uint32).reshape(-1, 2),
    )


def shared_streams(dependence: Dependence) -> tuple[bool, ...]:
    """Whether any variate of each stream has shared variance: factors of the others are not drawn."""
    shared = [bool(shares.loadings()[:4].any()) for shares in dependence.shares()]
    pairs = list(zip(pressure.STREAM_OF, DRIVER_OF, strict=True))
    return tuple(any(shared[d] for s, d in pairs if s == stream) for stream in range(N_YEARLY_STREAMS))


def panel_numbers(panel: xr.Dataset, assumptions: Assumptions) -> Panel:
    """Return the panel's yearly numbers as float64 arrays, with asks and, where it gives none, formula funding."""
    numbers = {
        str(k): v.values.astype(float)
        for k, v in panel.data_vars.items()
        if v.dims == ("trust",) and v.dtype.kind in "biuf"
    }
    numbers["ask"] = 100.0 * numbers["efficiency_plan"] / numbers["turnover"]
    numbers["sector_ask"] = np.full(len(numbers["ask"]), 100.0 * efficiency_rate(str(panel.attrs.get("year", ""))))
    formula = assumptions.pay.funding_afc(numbers["pay_afc"])
    given = numbers.get("pay_award_funding", formula)
    numbers["pay_award_funding"] = np.where(np.isnan(given), formula, given)
    for values in numbers.values():
        values.flags.writeable = False  # user drivers and rules read them
    return numbers


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
    """Each variate is offset + scale * quantile, in GBP m (slippage: a fraction); both of shape (variate, T)."""
    k, s, turnover = numbers["efficiency_plan"], numbers["efficiency_recurrent_share"], numbers["turnover"]
    efficiency, pay, drift = assumptions.efficiency, assumptions.pay, assumptions.deterioration
    funding = numbers["pay_award_funding"] * (1.0 - pay.clawback_afc)
    medical = numbers["pay_medical"]
    zero, one = np.zeros_like(k), np.ones_like(k)
    rows = (
        (zero, k * s * efficiency.delivery_effect(numbers["ask"], numbers["sector_ask"])),
        (zero, k * (1.0 - s)),
        (zero, one),
        (zero, assumptions.flexibility.capacity(numbers["plan"], turnover)),
        (pay.national_cost_afc(numbers["pay_afc"]) - funding, numbers["pay_afc"]),
        (medical * (pay.award_medical - pay.budgeted_medical), medical),
        (-drift.headroom * turnover, drift.drift_scale(numbers["plan"], turnover)),
    )
    offsets, scales = zip(*rows, strict=True)
    return np.array(offsets), np.array(scales)


def trust_arrays(codes: list[str], numbers: Panel, groups: Groups, assumptions: Assumptions) -> pressure.Trusts:
    """Scalars of each trust for the pressure kernel."""
    offsets, scales = offsets_and_scales(numbers, assumptions)
    return pressure.Trusts(
        hashes=label_hashes(codes),
        offset=offsets.astype(F32),
        scale=scales.astype(F32),
        efficiency_plan=numbers["efficiency_plan"].astype(F32),
        recurrent_share=numbers["efficiency_recurrent_share"].astype(F32),
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


def year_profile(assumptions: Assumptions) -> pressure.Year:
    """Monthly profiles for the pressure kernel."""
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
    return Groups(label_hashes(labels), rows, panel["system"].values != "not stated")


def shared_randomness(prepared: Prepared, first_draw: int, room: NDArray[np.float32]) -> pressure.Shared:
    """Factors, month shocks and tail scales of one block; `room` (stream, group, 4, draw) takes the factors."""
    n_draws, sector = room.shape[-1], prepared.groups.hashes[:1]
    fill_factors(prepared, first_draw, room)
    return pressure.Shared(
        keys=prepared.keys,
        tables=prepared.tables,
        normal=prepared.normal,
        factors=room,
        month_factor=normals(prepared.keys[-1], sector, first_draw, 12, n_draws)[0],
        tail=tail_scales(prepared, first_draw, n_draws),
        tail_table=prepared.tail_table,
        tail_degrees=F32(prepared.dependence.tail_dof),
    )


def normals(key: Any, hashes: Any, first_draw: int, items: int, n_draws: int) -> NDArray[np.float32]:
    """Return standard Normals of a stream, float32, shape (label, items, draw)."""
    out = np.empty((len(hashes), -(-items // 4) * 4, n_draws), F32)
    normals_block(key, hashes, first_draw, out)
    return out[:, :items]


def fill_factors(prepared: Prepared, first_draw: int, room: NDArray[np.float32]) -> None:
    """Fill group factors (stream, group, 4, draw); sector factors (group 0) are correlated between drivers."""
    hashes = prepared.groups.hashes
    for s, rows in enumerate(room):
        used = len(hashes) if prepared.shared_streams[s] else 1
        normals_block(prepared.keys[s], hashes[:used], first_draw, rows[:used])
    lead = np.array([room[LEAD_STREAM[d], 0, LEAD_ITEM[d]] for d in range(len(FACTOR_DRIVERS))])
    mixing = prepared.sector_mixing.astype(F32)
    for d, s, item in zip(DRIVER_OF, pressure.STREAM_OF, pressure.ITEM_OF, strict=True):
        room[s, 0, item] = mixing[d, d] * room[s, 0, item] + mixing[d, :d] @ lead[:d]


def tail_scales(prepared: Prepared, first_draw: int, n_draws: int) -> NDArray[np.float32]:
    """Student scale of each variate, shared by all trusts of a draw: (variate, draw); zeros when Gaussian."""
    if not prepared.dependence.tail_dof:
        return np.zeros((pressure.N_VARIATES, 1), F32)
    label = label_hash(group_label("tail")).reshape(1, 2)
    z = [normals(prepared.keys[s], label, first_draw, 4, n_draws)[0] for s in range(N_YEARLY_STREAMS)]
    scale = [prepared.dependence.tail_scale(z[LEAD_STREAM[d]][LEAD_ITEM[d]]) for d in DRIVER_OF]
    return np.array(scale, F32)
