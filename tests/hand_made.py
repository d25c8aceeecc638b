"""Forecasts made by hand, with the variables that effects and their measures are read off."""

import numpy as np
import xarray as xr


def hand_made(
    contribution,
    support=None,
    plan=None,
    planned_support=None,
    *,
    drivers=None,
    centre=0.0,
    held=0.0,
    regions=None,
):
    """A forecast of trusts ZZ1, ZZ2, ... from contributions (driver, trust, draw) and support (trust, draw).

    `centre` is what the centre adds (draw), `held` support that is on offer and that no trust counts on.
    """
    contribution = np.asarray(contribution, np.float32)
    n_drivers, n_trusts, n = contribution.shape
    support = np.zeros((n_trusts, n)) if support is None else support
    plan, planned_support = (np.zeros(n_trusts) if v is None else np.asarray(v, float) for v in (plan, planned_support))
    support = np.asarray(support, np.float32)
    position = (plan[:, None] + contribution.sum(axis=0, dtype=float) + support).astype(np.float32)
    sector = position.sum(axis=0, dtype=float)
    variables = {
        "contribution": (("driver", "trust", "draw"), contribution),
        "support": (("trust", "draw"), support),
        "position": (("trust", "draw"), position),
        "position_before_support": (("trust", "draw"), position - support),
        "sector_position": ("draw", sector),
        "sector_position_before_support": ("draw", (position - support).sum(axis=0, dtype=float)),
        "nhs_position": ("draw", sector + centre),
        "plan": ("trust", plan),
        "planned_support": ("trust", planned_support),
        "control_total": ("trust", plan),
        "efficiency_plan": ("trust", np.zeros(n_trusts)),
        "sector_plan_ytd": ("month", np.linspace(0.0, plan.sum() + planned_support.sum() + held, 12)),
    }
    labels = {
        "driver": drivers or [f"driver_{d}" for d in range(n_drivers)],
        "trust": np.array([f"ZZ{i + 1}" for i in range(n_trusts)], object),
        "name": ("trust", [f"Trust {i + 1}" for i in range(n_trusts)]),
        "region": ("trust", regions or ["North"] * n_trusts),
        "trust_type": ("trust", ["Acute"] * n_trusts),
        "system": ("trust", ["not stated"] * n_trusts),
        "month": np.arange(1, 13),
        "draw": np.arange(n),
    }
    return xr.Dataset(variables, labels)
