"""Labels: from a run's arrays to an xarray Dataset that says what it is and where it comes from."""

import datetime
import hashlib
import json
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version

import numpy as np
import xarray as xr

from sector_risk.assumptions import ASSUMPTIONS_YEAR, Assumptions
from sector_risk.kernels.controls import CONTROLS
from sector_risk.kernels.pressure import DRIVERS
from sector_risk.kernels.random import STREAM_VERSION
from sector_risk.kernels.sobol import REPLICATE
from sector_risk.panel.fill import income_uplift
from sector_risk.regimes import Regime
from sector_risk.run import Draws, Run
from sector_risk.schema import FORECAST, FORECAST_FORMAT, PROJECTION, WHOLE_SECTOR, VariableSpec

SIGN = "surplus positive, deficit negative, GBP million nominal; contributions have the sign of the position"
SECTOR_TURNOVER = 87_800.0
"""GBP million in 2018-19, from 3.6bn of efficiency at 4.1%: NHS Improvement, quarter 1 of 2018-19."""
LIBRARIES = ("sector-risk", "numpy", "scipy", "numba", "xarray")
Variables = dict[str, tuple[str | tuple[str, ...], np.ndarray]]
KEPT_FROM_PANEL = (
    "year",
    "case",
    "source",
    "read_from",
    "combined",
    "synthetic",
    "filled",
    "reconfigured",
    "left_out",
    "not_used_yet",
)


SAMPLED = {
    spec.name: spec
    for spec in (
        VariableSpec(
            "replicate",
            ("draw",),
            "",
            "number of the replicate of 1,024 Sobol points; only whole replicates are independent",
            kind="code",
        ),
        VariableSpec(
            "control",
            ("control",),
            "",
            "simple quantity that moves with the sector's position, see controlled",
            kind="text",
        ),
        VariableSpec(
            "control_value",
            ("control", "draw"),
            "GBP million",
            "value of the control: nought on average, but for smooth, the position before support without own walks",
            sign="surplus positive, deficit negative",
        ),
    )
}
"""What a forecast has besides where it was made with Sobol points or controls."""


def label_forecast(run: Run, draws: Draws, central: dict[str, np.ndarray]) -> xr.Dataset:
    """Return the forecast Dataset of a run of one year (see `simulate` for its variables)."""
    plans = plan_variables(run)
    by_trust = {name: (dims[1:], values[0]) for name, (dims, values) in trust_variables(run, draws).items()}
    variables = by_trust | contribution_variables(draws) | sector_variables(draws, central, plans["sector_plan_ytd"][1])
    variables |= quarter_variables(run, draws) | seen_variables(run) | control_variables(run, draws)
    labels = coordinates(run) | {"month": np.arange(1, 13), "action": list(central)}
    if run.by_quarter:
        labels["quarter"] = np.arange(1, 5)
    if run.controls:
        labels["control"] = list(CONTROLS)
    if run.prepared.points:
        labels["replicate"] = ("draw", np.array(run.draws) // REPLICATE)
    return described(xr.Dataset(variables | plans, labels), FORECAST, run)


def label_projection(run: Run, draws: Draws, milestones: Variables) -> xr.Dataset:
    """Return the Dataset of a run of several years (see `project` for its variables)."""
    context = run.prepared.context
    sector: Variables = {name: (("year", "draw"), values) for name, values in sector_by_year(draws).items()}
    totals = {"sector_contribution": (("year", "driver", "draw"), draws.driver_total)}
    yearly = {"turnover": (("year", "trust"), context.turnover)}
    variables = trust_variables(run, draws) | sector | totals | yearly | milestones
    labels = coordinates(run) | {"year": list(context.years)}
    return described(xr.Dataset(variables, labels), PROJECTION, run)


def described(data: xr.Dataset, specs: Mapping[str, VariableSpec], run: Run) -> xr.Dataset:
    """Give every variable the attributes of its spec; rules bring their own."""
    known = dict(specs) | SAMPLED | {v.name: v for v in run.variables}
    for name in data.variables:
        data[name].attrs = known[str(name)].attrs
    return data


def trust_variables(run: Run, draws: Draws) -> Variables:
    """What every draw says of every trust and year, and what rules report."""
    by_trust = ("year", "trust", "draw")
    reported: Variables = {v.name: (("year", *v.dims), draws.state[v.name]) for v in run.variables}
    return reported | {
        "position": (by_trust, draws.position),
        "position_before_support": (by_trust, draws.position_before_support),
        "variance": (by_trust, draws.variance),
        "underlying": (by_trust, draws.underlying),
        "support": (by_trust, total_support(draws.paid)),
        "support_by_fund": (("year", "fund", "trust", "draw"), draws.paid),
    }


def total_support(paid: np.ndarray) -> np.ndarray:
    """Support of all funds: the only fund's own array, where there is one."""
    return paid[:, 0] if paid.shape[1] == 1 else paid.sum(axis=1)


def contribution_variables(draws: Draws) -> Variables:
    """What drivers contribute to each trust; `one_off` is a view of its contribution."""
    return {
        "one_off": (("trust", "draw"), draws.contribution[-2]),
        "contribution": (("driver", "trust", "draw"), draws.contribution),
    }


def quarter_variables(run: Run, draws: Draws) -> Variables:
    """Variances of trusts at quarter ends, where they are kept."""
    return {"variance_by_quarter": (("quarter", "trust", "draw"), draws.quarter_variance)} if run.by_quarter else {}


def control_variables(run: Run, draws: Draws) -> Variables:
    """Control variates by draw, where they are kept."""
    return {"control_value": (("control", "draw"), draws.control)} if run.controls else {}


def seen_variables(run: Run) -> Variables:
    """What was seen of each trust's year, where anything was: the last month, and what its particles are worth."""
    known, parts = run.posterior, run.prepared.parts
    if known is None:
        return {}
    months, worth = np.zeros(len(known.row), np.int8), np.full(len(known.row), np.nan)
    months[known.trust], worth[known.trust] = known.months, known.worth
    return {
        "months_seen": ("trust", np.minimum.reduceat(months, parts.starts)),
        "particles_worth": ("trust", np.fmin.reduceat(worth, parts.starts)),
    }


def sector_variables(draws: Draws, central: dict[str, np.ndarray], plan_ytd: np.ndarray) -> Variables:
    """What every draw says of the sector; support not yet earned counts until the year end, as it is published."""
    of_year: Variables = {name: ("draw", values[0]) for name, values in sector_by_year(draws).items()}
    position = draws.sector[0, 1]
    actions = np.array(list(central.values())).reshape(len(central), len(position))
    ytd = plan_ytd[:, None] + draws.sector_variance[0]
    ytd[-1] = position
    return of_year | {
        "nhs_position": ("draw", position + actions.sum(axis=0) + draws.central[0]),
        "central_action": (("action", "draw"), actions),
        "sector_ytd": (("month", "draw"), ytd),
    }


def sector_by_year(draws: Draws) -> dict[str, np.ndarray]:
    """What every draw says of the sector in each year, (year, draw)."""
    before, position, count, gross, underlying = np.moveaxis(draws.sector, 1, 0)
    return {
        "sector_position": position,
        "sector_position_before_support": before,
        "sector_underlying": underlying,
        "deficit_count": count.astype(np.int32),
        "gross_deficit": gross,
        "sector_efficiency_delivered": draws.efficiency_delivered,
        "central_effect": draws.central,
    }


def plan_variables(run: Run) -> Variables:
    """Plans beside the draws: the sector's with all support on offer, a trust's with what it counts on.

    What rules offer in the light of the draws, as the recovery fund does, is in neither.
    """
    context, panel = run.prepared.context, run.prepared.context.panel
    on_offer = sum((rule.on_offer(context).sum() * rule.planned_path() for rule in run.rules), np.zeros(12))
    counted_on = sum((rule.counted_on(context) for rule in run.rules), np.zeros(len(context.codes)))
    return {
        "sector_plan_ytd": ("month", run.prepared.plan_path.sum(axis=0) + on_offer),
        "plan": ("trust", panel["plan"].copy()),
        "planned_support": ("trust", counted_on),
        "turnover": ("trust", panel["turnover"].copy()),
        "efficiency_plan": ("trust", panel["efficiency_plan"].copy()),
        "control_total": ("trust", panel["control_total"].copy()),
    }


def coordinates(run: Run) -> dict[str, object]:
    """Labels of trusts, drivers, funds and draws."""
    drivers = (*DRIVERS, *(d.name for d in run.prepared.drivers), "one_off", "favourable_spent")
    labels = {name: ("trust", run.prepared.trusts[name].values) for name in ("name", "region", "trust_type", "system")}
    return labels | {
        "trust": np.array(run.prepared.codes, dtype=object),
        "driver": list(drivers),
        "fund": np.array(run.funds, dtype=object),
        "draw": np.array(run.draws),
    }


def notes(panel: xr.Dataset, assumptions: Assumptions, regime: Regime) -> list[str]:
    """What a reader of the result must know of the assumptions."""
    year, default = panel.attrs.get("year", ASSUMPTIONS_YEAR), Assumptions()
    kept = [name for name in ("pay", "centre") if getattr(assumptions, name) == getattr(default, name)]
    found = []
    if year != ASSUMPTIONS_YEAR and kept:
        topics = " and ".join({"pay": "pay awards", "centre": "central actions"}[name] for name in kept)
        found.append(f"The {topics} assumed are those of {ASSUMPTIONS_YEAR}; the panel's year is {year}.")
    if sector_share(panel) < WHOLE_SECTOR:
        share = f"{100 * sector_share(panel):.0f}%"
        found.append(
            f"These trusts have about {share} of the sector's turnover: central actions, and pots and places in rules, "
            "are for the whole NHS (a regime's `scaled` gives them their part)."
        )
    if any(rule.name == "distress_loans" for rule in regime.rules) and "debt" not in panel:
        found.append("The panel gives no debt: what is owed, and the interest, count borrowing from its year on.")
    return found


def sector_share(panel: xr.Dataset) -> float:
    """Share of the sector's turnover, in the panel's year, that the panel's trusts have."""
    sector = SECTOR_TURNOVER * income_uplift(str(panel.attrs.get("year", "")))
    return float(panel["turnover"].sum()) / sector


@cache
def library_versions() -> str:
    """Versions of this library, of those it computes with and of Python, as JSON."""
    versions = {name: version(name) for name in LIBRARIES} | {"python": sys.version.split()[0]}
    return json.dumps(versions)


def provenance(
    title: str, panel: xr.Dataset, assumptions: Assumptions, regime: Regime, run: Run, seed: int
) -> dict[str, str | int | float]:
    """Attributes that say how a forecast was made; plain strings and numbers survive netCDF and Zarr."""
    kept = {name: panel.attrs[name] for name in KEPT_FROM_PANEL if name in panel.attrs}
    sampled: dict[str, str | int | float] = {"sampling": "sobol"} if run.prepared.points else {}
    sampled |= {"linear_sd": run.controls.linear_sd} if run.controls else {}
    return (
        kept
        | sampled
        | {
            "title": title,
            "format": FORECAST_FORMAT,
            "sign": SIGN,
            "n_draws": run.n_draws,
            "seed": str(seed),
            "random_stream": STREAM_VERSION,
            "panel_hash": panel_hash(panel),
            "assumptions": assumptions.to_json(),
            "sector_share": round(sector_share(panel), 4),
            "notes": json.dumps(notes(panel, assumptions, regime)),
            "drivers": json.dumps({d.name: {"source": d.source, "items": d.items} for d in run.prepared.drivers}),
            "regime": regime.to_json(),
            "versions": library_versions(),
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
    )


def panel_hash(panel: xr.Dataset) -> str:
    """Return a digest of the panel's codes and numbers: the same panel, the same forecast."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(map(str, panel.variables)):
        values = panel[name].values
        data = "\x1f".join(map(str, values.tolist())).encode() if values.dtype.kind in "OUb" else values.tobytes()
        digest.update(name.encode() + b"\x1e" + data)
    return digest.hexdigest()
