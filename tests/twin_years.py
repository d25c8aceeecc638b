"""Several years by docs/theory.md and docs/regimes.md, slowly: a fold over the years of one draw after another."""

from types import SimpleNamespace

import numpy as np

from twin import (
    block_of_words,
    group,
    normal,
    of_draw,
    panel_terms,
    read_world,
    user_pressures,
    year_of_draw,
)
from twin_rules import Doubt, slow_rules

BY_TRUST = ("position", "position_before_support", "variance", "underlying", "plan", "efficiency_plan")


def label_of(first_year, y):
    start = int(first_year[:4]) + y
    return f"{start}-{(start + 1) % 100:02d}"


def in_year(values, y):
    """Value of an outlook's list: the first is for the second year, the last holds on."""
    return values[min(y - 1, len(values) - 1)]


def growth_to(outlook, y):
    """T_y / T_0."""
    growth = 1.0
    for year in range(1, y + 1):
        growth *= 1.0 + in_year(outlook.allocation_growth, year)
    return growth


def opening(world, t, d, y, T, U):
    """O_y before what rules add."""
    o = world.assumptions.outlook
    F = normal(world.seed, "outlook", d, group("sector"), 0, y)
    z = normal(world.seed, "outlook", d, world.trust[t], 0, y)
    rate = in_year(o.allocation_growth, y) - in_year(o.cost_inflation, y) - in_year(o.demand_growth, y)
    return U + T * (rate + o.sector_sd * F + o.trust_sd * z)


def planned(world, T, O, planned_support):  # noqa: E741
    """P_y and K_y."""
    o = world.assumptions.outlook
    wanted = (-O - o.other_one_off * T - planned_support) / T
    K = T * min(max(wanted, o.efficiency_floor), o.efficiency_cap)
    return O + o.other_one_off * T + K, K


def start_of_year(world, d, y, U, c, doubt):
    """Year of a draw before any rule has acted; `U` are last year's underlying positions."""
    growth = growth_to(world.assumptions.outlook, y)
    T = [turnover * growth for turnover in world.turnover]
    return SimpleNamespace(
        world=world,
        y=y,
        label=label_of(world.year, y),
        growth=growth,
        T=T,
        O=[0.0 if y == 0 else opening(world, t, d, y, T[t], U[t]) for t in world.trusts],
        planned_support=[0.0 for _ in world.trusts],
        delivery=[1.0 for _ in world.trusts],
        volatility=[1.0 for _ in world.trusts],
        c=c,
        c_next=list(c),
        paid={},
        reported={},
        central_effect=0.0,
        doubt=doubt,
    )


def make_plans(now):
    """In the first year plans are the panel's."""
    plans = [
        (now.world.plan[t], now.world.efficiency_plan[t])
        if now.y == 0
        else planned(now.world, now.T[t], now.O[t], now.planned_support[t])
        for t in now.world.trusts
    ]
    now.P, now.K = [P for P, _ in plans], [K for _, K in plans]


def terms_of(now, t):
    if now.y == 0:
        first = panel_terms(now.world, t)
        first.P, first.K, first.delivery, first.volatility = now.P[t], now.K[t], now.delivery[t], now.volatility[t]
        return first
    return SimpleNamespace(
        y=now.y,
        growth=now.growth,
        T=now.T[t],
        P=now.P[t],
        K=now.K[t],
        delivery=now.delivery[t],
        volatility=now.volatility[t],
    )


def run_year(now, d, rules, user_pressure):
    """One year of one draw with its rules at their three moments."""
    for rule in rules:
        rule.before_plan(now)
    make_plans(now)
    for rule in rules:
        rule.before_year(now)
    now.years = year_of_draw(now.world, d, [terms_of(now, t) for t in now.world.trusts], user_pressure)
    now.position_before_support = [year.position_before_support for year in now.years]
    now.position = list(now.position_before_support)
    for rule in rules:
        rule.after_year(now)
    now.variance = [year.variance[11] for year in now.years]
    now.underlying = [year.underlying for year in now.years]
    now.plan, now.efficiency_plan = now.P, now.K
    return now


def years_of_draw(world, regime, d, users, i, years):
    """Fold over the years of draw d, which is the i-th of the user drivers' pressures."""
    rules, doubt = slow_rules(regime, world, d), Doubt()
    U, c, past = None, [True for _ in world.trusts], []
    for y in range(years):
        now = start_of_year(world, d, y, U, c, doubt)
        run_year(now, d, rules, of_draw(users[y], i, len(world.trusts)))
        now.closest_call = doubt.closest
        U, c = now.underlying, now.c_next
        past.append(now)
    return past


def gathered(draws, read):
    """Array of what `read` finds in each year of each draw: (year, trust, draw), or (year, draw) for single numbers."""
    return np.moveaxis(np.array([[read(now) for now in past] for past in draws]), 0, -1)


def grown_pressures(world, panel, user_drivers, draws, y):
    """Pressures of user drivers in a year: they grow with turnover, as all money does."""
    growth = growth_to(world.assumptions.outlook, y)
    return {name: growth * path for name, path in user_pressures(world, panel, user_drivers, draws, y).items()}


def project_twin(panel, assumptions, regime, years, draws, seed, user_drivers=()):
    """Project by the theory: arrays by name, `support` by fund, and `closest_call` on (year, draw).

    `draws` are the numbers of the draws. `closest_call` is how near the nearest gate of any year so far was to its
    threshold, as a multiple of what rounding can move: below one, either outcome may be right.
    """
    for memory in (block_of_words, normal):
        memory.cache_clear()
    world = read_world(panel, assumptions, seed)
    world.trusts = range(len(world.trust))
    draws = list(draws)
    users = [grown_pressures(world, panel, user_drivers, draws, y) for y in range(years)]
    made = [years_of_draw(world, regime, d, users, i, years) for i, d in enumerate(draws)]
    reported, drivers = [*made[0][0].reported], [*made[0][0].years[0].contribution]
    return {
        **{name: gathered(made, lambda now, name=name: getattr(now, name)) for name in BY_TRUST},
        **{name: gathered(made, lambda now, name=name: now.reported[name]) for name in reported},
        "support": {fund: gathered(made, lambda now, fund=fund: now.paid[fund]) for fund in made[0][0].paid},
        "planned_support": gathered(made, lambda now: now.planned_support),
        "turnover": np.array([now.T for now in made[0]]),
        "sector_contribution": gathered(
            made, lambda now: [sum(year.contribution[driver] for year in now.years) for driver in drivers]
        ),
        "sector_efficiency_delivered": gathered(made, lambda now: sum(year.efficiency_delivered for year in now.years)),
        "central_effect": gathered(made, lambda now: now.central_effect),
        "closest_call": gathered(made, lambda now: now.closest_call),
        "drivers": drivers,
        "years": [now.label for now in made[0]],
        "draws": made,
    }
