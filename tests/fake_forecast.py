"""A small made-up forecast and its summary, in the shape that `simulate` and `summarise` give."""

import json

import numpy as np
import xarray as xr

MEAN_BY_DRIVER = {
    "efficiency_recurrent": -4.3,
    "efficiency_one_off": 0.5,
    "pay_afc": -0.1,
    "pay_medical": -0.3,
    "deterioration": -2.0,
    "one_off": 4.4,
    "favourable_spent": -0.2,
}
DRIVERS = list(MEAN_BY_DRIVER)
REGIONS = ["London", "Midlands", "North West"]
TYPES = ["acute", "mental health", "community"]
MONTH_SHARE = np.array([0.2, 0.5, 0.9, 1.3, 1.7, 2.0, 2.0, 1.9, 1.8, 1.6, 1.3, 1.0])


def fake_forecast(n_trusts=24, n_draws=400, seed=0):
    rng = np.random.default_rng(seed)
    means = np.array([*MEAN_BY_DRIVER.values()])[:, None, None]
    plan = rng.normal(-13, 20, n_trusts)
    planned_support = np.full(n_trusts, 10.5)
    own, shared = (rng.normal(size=(len(DRIVERS), size, n_draws)) for size in (n_trusts, 1))
    shocks = own + 0.5 * shared
    contribution = means * (1 + 0.3 * shocks)
    before = plan[:, None] + contribution.sum(0)
    support = planned_support[:, None] * rng.choice([0.7, 1.0, 1.1], (n_trusts, n_draws))
    position = before + support
    sector = position.sum(0)
    action = rng.normal(250, 60, (2, n_draws))
    plan_sector = (plan + planned_support).sum()
    drift = np.linspace(0.1, 1, 12)[:, None] ** 1.3
    path = MONTH_SHARE[:, None] * (plan_sector + (sector - plan_sector) * drift)
    f = np.float32
    return xr.Dataset(
        {
            "position": (("trust", "draw"), position.astype(f)),
            "position_before_support": (("trust", "draw"), before.astype(f)),
            "contribution": (("driver", "trust", "draw"), contribution.astype(f)),
            "one_off": (("trust", "draw"), contribution[5].astype(f)),
            "support": (("trust", "draw"), support.astype(f)),
            "sector_position": ("draw", sector),
            "sector_position_before_support": ("draw", before.sum(0)),
            "nhs_position": ("draw", sector + action.sum(0)),
            "sector_ytd": (("month", "draw"), path),
            "deficit_count": ("draw", (position < 0).sum(0)),
            "gross_deficit": ("draw", np.minimum(position, 0).sum(0)),
            "central_action": (("action", "draw"), action),
            "sector_efficiency_delivered": ("draw", rng.normal(3200, 90, n_draws)),
            "plan": ("trust", plan),
            "planned_support": ("trust", planned_support),
            "sector_plan_ytd": ("month", MONTH_SHARE * plan_sector),
        },
        coords={
            "trust": [f"SYN{i:03d}" for i in range(n_trusts)],
            "name": ("trust", [f"Synthetic trust {i:03d} with a long name" for i in range(n_trusts)]),
            "region": ("trust", [REGIONS[i % 3] for i in range(n_trusts)]),
            "trust_type": ("trust", [TYPES[i % 3] for i in range(n_trusts)]),
            "system": ("trust", [f"system {i % 5}" for i in range(n_trusts)]),
            "driver": DRIVERS,
            "action": ["provider improvement target", "commissioner underspend"],
            "month": np.arange(1, 13),
        },
        attrs={
            "year": "2018-19",
            "case": "england-2018-19",
            "synthetic": "24 synthetic trusts",
            "seed": seed,
            "n_draws": n_draws,
            "random_stream": "fake-1",
            "panel_hash": "0" * 16,
            "assumptions": "{}",
            "regime": "control-totals",
            "filled": json.dumps({"turnover": "type median"}),
            "left_out": json.dumps(["SYN998", "SYN999"]),
            "not_used_yet": json.dumps(["actual"]),
            "created": "2025-01-01T00:00:00+00:00",
            "versions": "{}",
            "sign": "surplus positive, deficit negative",
        },
    )


def fake_summary(forecast, quantiles=(0.05, 0.25, 0.5, 0.75, 0.95)):
    plan = forecast.plan + forecast.planned_support
    units = [
        ("trust", trust, name, position, planned)
        for trust, name, position, planned in zip(
            forecast.trust.values, forecast.name.values, forecast.position.values, plan.values, strict=True
        )
    ]
    for level in ("region", "trust_type"):
        for label in np.unique(forecast[level]):
            inside = (forecast[level] == label).values
            position, planned = forecast.position.values[inside].sum(0), plan.values[inside].sum()
            units.append((level, label, label, position, planned))
    units.append(("sector", "Provider sector", "Provider sector", forecast.sector_position, plan.sum()))
    units.append(("nhs", "Whole NHS", "Whole NHS", forecast.nhs_position, plan.sum() + 519))
    draws = np.array([np.asarray(unit[3], float) for unit in units])
    plans = np.array([float(unit[4]) for unit in units])
    p_deficit = (draws < 0).mean(1)
    n = draws.shape[1]
    short = np.maximum(plans[:, None] - draws, 0).mean(1)
    return xr.Dataset(
        {
            "plan": ("unit", plans),
            "mean": ("unit", draws.mean(1)),
            "sd": ("unit", draws.std(1, ddof=1)),
            "mean_se": ("unit", draws.std(1, ddof=1) / n**0.5),
            "position_quantile": (("unit", "quantile"), np.quantile(draws, quantiles, axis=1).T),
            "p_deficit": ("unit", p_deficit),
            "p_deficit_se": ("unit", (p_deficit * (1 - p_deficit) / n) ** 0.5),
            "p_missing_plan": ("unit", (draws < plans[:, None]).mean(1)),
            "expected_shortfall": ("unit", short),
        },
        coords={
            "unit": [unit[1] for unit in units],
            "level": ("unit", [unit[0] for unit in units]),
            "name": ("unit", [unit[2] for unit in units]),
            "quantile": list(quantiles),
        },
        attrs=dict(forecast.attrs),
    )
