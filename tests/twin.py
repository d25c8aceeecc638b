"""The model of docs/theory.md once more, slowly: loops over draws, trusts and months, float64, no tables.

Written from the theory alone and sharing no code with the library, so that what both agree on is what the
theory says. Names are the theory's. Inputs are a complete panel, an `Assumptions` and a `Regime`; only their
attributes are read.
"""

import hashlib
import math
from functools import cache
from types import SimpleNamespace

import numpy as np
from scipy import stats

STREAM_VERSION = "philox4x32-10/box-muller-f32/1"
FACTOR_DRIVERS = ("efficiency", "pay_award", "deterioration", "flexibility")
NOT_STATED = "not stated"
DEFICIT_BELOW = -0.005
MONTHS = range(1, 13)
QUARTERS = (1, 2, 3, 4)


# --- random numbers by address ----------------------------------------------------------------------------


def philox4x32(counter, key, rounds=10):
    """Salmon et al. 2011: multiply, swap and xor, with a Weyl sequence for the key."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(rounds):
        product0, product1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (
            (product1 >> 32) ^ c1 ^ k0,
            product1 & 0xFFFFFFFF,
            (product0 >> 32) ^ c3 ^ k1,
            product0 & 0xFFFFFFFF,
        )
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c0, c1, c2, c3


@cache
def two_words(text):
    digest = hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")


@cache
def block_of_words(seed, stream, draw, label, block):
    key = two_words(f"{STREAM_VERSION}\x1f{seed}\x1f{stream}")
    h0, h1 = two_words(label)
    return philox4x32((draw, h0, h1, block), key)


def word(seed, stream, draw, label, k, y=0):
    return block_of_words(seed, stream, draw, label, 2**16 * y + k // 4)[k % 4]


@cache
def normal(seed, stream, draw, label, k, y=0):
    """Normal k of year y: pairs of words by Box–Muller, cosine first."""
    pair = k - k % 2
    u = (word(seed, stream, draw, label, pair, y) + 0.5) / 2**32
    angle = 2.0 * math.pi * word(seed, stream, draw, label, pair + 1, y) / 2**32
    radius = math.sqrt(-2.0 * math.log(u))
    return radius * (math.cos(angle) if k % 2 == 0 else math.sin(angle))


# --- marginals and dependence -----------------------------------------------------------------------------


@cache
def frozen(marginal):
    return getattr(stats, marginal.family)(**dict(marginal.parameters))


def value(marginal, z):
    """F^-1(Phi(z)), held beyond 6 either way."""
    return float(frozen(marginal).ppf(stats.norm.cdf(min(max(z, -6.0), 6.0))))


def at(world, driver, d, label, k, y):
    """Normal of a driver's item k: a driver has its own stream, but flexibility is item 3 of `efficiency`."""
    if driver == "flexibility":
        return normal(world.seed, "efficiency", d, label, 3, y)
    return normal(world.seed, driver, d, label, k, y)


def group(label):
    """Label under which what trusts share is addressed."""
    return f"group\x1f{label}"


def sector_factor(world, driver, d, k, y):
    """Sector's Normal for item k: correlated with the first items of the drivers before."""
    if driver not in FACTOR_DRIVERS:
        return at(world, driver, d, group("sector"), k, y)
    L = np.linalg.cholesky(np.array(world.assumptions.dependence.sector_correlation))
    i = FACTOR_DRIVERS.index(driver)
    F = L[i, i] * at(world, driver, d, group("sector"), k, y)
    for j in range(i):
        F += L[i, j] * at(world, FACTOR_DRIVERS[j], d, group("sector"), 0, y)
    return F


def latent(world, driver, shares, t, d, k, y=0):
    """Latent Normal of one quantity: square roots of the shares load the factors, the rest is its own."""
    trust_type, system, region = world.trust_type[t], world.system[t], world.region[t]
    system_share = 0.0 if system == NOT_STATED else shares.system
    rest = 1.0 - shares.sector - shares.trust_type - system_share - shares.region
    z = (
        math.sqrt(shares.sector) * sector_factor(world, driver, d, k, y)
        + math.sqrt(shares.trust_type) * at(world, driver, d, group(f"type:{trust_type}"), k, y)
        + math.sqrt(system_share) * at(world, driver, d, group(f"system:{system}"), k, y)
        + math.sqrt(shares.region) * at(world, driver, d, group(f"region:{region}"), k, y)
        + math.sqrt(max(rest, 0.0)) * at(world, driver, d, world.trust[t], k, y)
    )
    nu = world.assumptions.dependence.tail_dof
    alone = shares.sector == shares.trust_type == shares.region == system_share == 0.0
    return z if nu == 0 or alone else with_tail(z, nu, at(world, driver, d, group("tail"), 0, y))


def with_tail(z, nu, tail_z):
    """Phi^-1(T_nu(w z)) with w = sqrt(nu / chi2) at the probability of tail_z: a high Normal, a wide draw."""
    t_value = abs(math.sqrt(nu / chi_square(nu, tail_z)) * z)
    return math.copysign(stats.norm.isf(stats.t.sf(t_value, nu)), z)


@cache
def chi_square(nu, tail_z):
    return float(stats.chi2.ppf(stats.norm.sf(tail_z), nu))


# --- paths of the year ------------------------------------------------------------------------------------


def G(m, gamma):  # noqa: N802
    return (m / 12.0) ** gamma


def elapsed(m, first_month):
    return max(m - first_month + 1, 0) / 12.0


def season_share(season, m):
    return sum(season[:m]) / sum(season)


def linear_between_quarter_ends(at_quarter_ends, m):
    """Linear from zero at the start of the year through the values at months 3, 6, 9 and 12."""
    return float(np.interp(m, (0, 3, 6, 9, 12), (0.0, *at_quarter_ends)))


def plan_path(world, t):
    """Planned position before support, year to date, by month; what the panel gives comes first."""
    P, K, T = world.plan[t], world.efficiency_plan[t], world.turnover[t]
    gamma, season = world.assumptions.efficiency.plan_gamma, world.assumptions.flexibility.plan_season
    path = []
    for m in MONTHS:
        formula = P * m / 12 - K * (m / 12 - G(m, gamma)) + T * linear_between_quarter_ends(season, m)
        given = math.nan if world.plan_ytd is None else world.plan_ytd[t, m - 1]
        path.append(formula if math.isnan(given) else given)
    return path


# --- one trust, one year, one draw ------------------------------------------------------------------------


def average_ask(world):
    """The sector's in the panel's year, per cent of turnover."""
    return 7.1 if world.year == "2025-26" else 4.1


def panel_terms(world, t):
    """What a trust's year is run with, as the panel's year has it."""
    return SimpleNamespace(
        y=0,
        growth=1.0,
        T=world.turnover[t],
        P=world.plan[t],
        K=world.efficiency_plan[t],
        delivery=1.0,
        volatility=1.0,
    )


def delivery_effect(world, terms):
    e = world.assumptions.efficiency
    r_bar = float(frozen(e.recurrent_ratio).mean())
    a = 100.0 * terms.K / terms.T
    return min(max((r_bar - e.ask_effect * (a - average_ask(world))) / r_bar, 0.4), 1.3)


def afc_gap(world, t, own, terms):
    pay, pay_afc = world.assumptions.pay, world.pay_afc[t] * terms.growth
    if terms.y > 0:
        return pay_afc * own
    funding = world.pay_award_funding[t] if world.pay_award_funding is not None else math.nan
    if math.isnan(funding):
        funding = pay.funded_share_afc * pay_afc * (pay.award_afc - pay.budgeted_afc)
    return pay_afc * (pay.award_afc + own - pay.budgeted_afc) - funding * (1.0 - pay.clawback_afc)


def medical_gap(world, t, own, terms):
    pay, pay_medical = world.assumptions.pay, world.pay_medical[t] * terms.growth
    if terms.y > 0:
        return pay_medical * own
    return pay_medical * (pay.award_medical + own - pay.budgeted_medical)


def drift(world, t, X, terms):
    """As the panel's own plan makes it, grown with turnover."""
    det, T, P = world.assumptions.deterioration, world.turnover[t], world.plan[t]
    return ((det.drift_base * T + det.drift_per_planned_deficit * max(-P, 0.0)) * X - det.headroom * T) * terms.growth


def deficit_factor(world, t):
    """A trust whose panel plans a deficit finds fewer one-off measures."""
    delta = 100.0 * max(-world.plan[t], 0.0) / world.turnover[t]
    return max(1.0 - world.assumptions.flexibility.deficit_effect * delta, 0.2)


def run_rate_shocks(world, t, d, terms):
    """Shocks that persist: x[1] to x[12]."""
    det, c = world.assumptions.deterioration, world.assumptions.dependence.run_rate_sector
    shock_sd = det.shock_sd * terms.volatility
    x, shocks = 0.0, []
    for m in MONTHS:
        F = normal(world.seed, "run_rate", d, group("sector"), m - 1, terms.y)
        z = normal(world.seed, "run_rate", d, world.trust[t], m - 1, terms.y)
        epsilon = math.sqrt(c) * F + math.sqrt(1.0 - c) * z
        x = det.persistence * x + terms.T * shock_sd * epsilon
        shocks.append(x)
    return shocks


def trust_year(world, t, d, terms, user_pressure):
    """One trust's year in one draw; `user_pressure` maps a user driver to its twelve cumulative pressures."""
    a, dependence = world.assumptions, world.assumptions.dependence
    e, flex = a.efficiency, a.flexibility
    K, s, T = terms.K, world.efficiency_recurrent_share[t], terms.T

    def z(driver, k):
        return latent(world, driver, getattr(dependence, driver), t, d, k, terms.y)

    r = value(e.recurrent_ratio, z("efficiency", 0)) * delivery_effect(world, terms) * terms.delivery
    q = value(e.one_off_ratio, z("efficiency", 1))
    slip = e.slippage_sd * z("efficiency", 2)
    A = afc_gap(world, t, value(a.pay.own_award_afc, z("pay_award", 0)), terms)
    M = medical_gap(world, t, value(a.pay.own_award_medical, z("pay_award", 1)), terms)
    D = drift(world, t, value(a.deterioration.drift, z("deterioration", 0)), terms)
    B = T * value(flex.amount, z("flexibility", 0)) * deficit_factor(world, t)
    x = run_rate_shocks(world, t, d, terms)

    pressure, one_off, variance = [], [], []
    for m in MONTHS:
        p = (
            K * G(m, e.plan_gamma)
            - K * s * r * (1.0 + slip * (1.0 - m / 12)) * G(m, e.recurrent_gamma)
            - K * (1.0 - s) * q * G(m, e.one_off_gamma)
            + A * elapsed(m, a.pay.month_afc)
            + M * elapsed(m, a.pay.month_medical)
            + D * season_share(a.deterioration.season, m)
            + sum(x[:m])
            + sum(path[m - 1] for path in user_pressure.values())
        )
        cover = min(max(p, 0.0), B * flex.path[m - 1])
        pressure.append(p)
        one_off.append(cover)
        variance.append(-(p - cover) if p > 0 else -flex.keep_favourable * p)

    contribution = {
        "efficiency_recurrent": -K * s * (1.0 - r),
        "efficiency_one_off": -K * (1.0 - s) * (1.0 - q),
        "pay_afc": -A * elapsed(12, a.pay.month_afc),
        "pay_medical": -M * elapsed(12, a.pay.month_medical),
        "deterioration": -(D + sum(x)),
        **{name: -path[11] for name, path in user_pressure.items()},
        "one_off": one_off[11],
        "favourable_spent": (1.0 - flex.keep_favourable) * min(pressure[11], 0.0),
    }
    recurrent, planned_one_off, before_support = K * s * r, K * (1.0 - s) * q, terms.P + variance[11]
    return SimpleNamespace(
        pressure=pressure,
        one_off=one_off,
        variance=variance,
        available=[B * flex.path[m - 1] for m in MONTHS],
        contribution=contribution,
        efficiency_delivered=efficiency_delivered(K, recurrent + planned_one_off, pressure[11], B),
        position_before_support=before_support,
        underlying=underlying(world, terms, before_support, one_off[11], planned_one_off, recurrent),
    )


def underlying(world, terms, before_support, one_off, planned_one_off, recurrent):
    """Position before support without what does not come back, and with savings at their full-year effect."""
    omega, eta = world.assumptions.outlook.other_one_off, world.assumptions.outlook.full_year_effect
    return before_support - one_off - planned_one_off - omega * terms.T + eta * recurrent


def year_of_draw(world, d, terms, user_pressure):
    """Each trust's year in one draw, from each trust's terms and user drivers' pressures by name."""
    return [trust_year(world, t, d, terms[t], user_pressure[t]) for t in range(len(world.trust))]


def efficiency_delivered(K, delivered, year_end_pressure, B):
    """Delivered savings, and the one-off cover that stands in for missing ones."""
    p = max(year_end_pressure, 0.0)
    if p == 0.0:
        return delivered
    return delivered + min(max(K - delivered, 0.0), p) * min(1.0, B / p)


# --- control totals and sustainability funding ------------------------------------------------------------


def gate(world, t, q, y=0):
    """In years after the first, control total and plan are the same."""
    return (world.control_total[t] - world.plan[t]) * q / 4 if y == 0 else 0.0


def chance_of_agreeing(world, rule, t):
    if rule.acceptance == "given":
        return float(world.control_total_agreed[t])
    ask = 100.0 * world.efficiency_plan[t] / world.turnover[t]
    at_average = math.log(rule.acceptance_at_average / (1.0 - rule.acceptance_at_average))
    logit = at_average - rule.acceptance_slope * (ask - average_ask(world))
    return 1.0 / (1.0 + math.exp(-logit))


def has_agreed(world, rule, t, d, y=0):
    drawn = word(world.seed, "control_total_acceptance", d, world.trust[t], 0, y)
    return drawn < 2**32 * chance_of_agreeing(world, rule, t)


def quarterly_earnings(world, rule, t, d, variance, A, y):
    """E_1 to E_4 of a trust that has agreed, of an allocation A."""
    phi, missed, earned = rule.finance_share, 0.0, []
    for q in QUARTERS:
        w = rule.weights[q - 1]
        if variance[3 * q - 1] >= gate(world, t, q, y):
            access = word(world.seed, "access_standard", d, world.trust[t], q - 1, y) < 2**32 * rule.access_met
            earned.append(A * (phi * (w + missed) + (1.0 - phi) * w * access))
            missed = 0.0
        else:
            earned.append(0.0)
            missed += w if rule.catch_up else 0.0
    return earned


def distribution(world, agreed, variance, allocation, left, y):
    """Year-end payments out of what the pot has left: pound for pound, then by allocation."""
    trusts = range(len(world.trust))
    winners = [t for t in trusts if agreed[t] and variance[t][11] >= gate(world, t, 4, y)]
    beaten = {t: variance[t][11] - gate(world, t, 4, y) for t in winners}
    asked = sum(beaten.values())
    share_paid = 1.0 if asked <= left else left / asked
    left_after = max(left - asked, 0.0)
    by_allocation = sum(allocation[t] for t in winners)
    payments = [0.0 for _ in trusts]
    for t in winners:
        payments[t] = beaten[t] * share_paid
        if by_allocation > 0.0:
            payments[t] += left_after * allocation[t] / by_allocation
    return payments


def support_paid(world, rule, d, years, y=0, share=1.0, under_control_total=None):
    """In one draw: support of each trust, who has agreed, and what was earned by quarter before a short pot.

    `share` of the panel's allocations is in the fund in this year; trusts that have left control totals earn nothing.
    """
    trusts = range(len(world.trust))
    under = under_control_total or [True for _ in trusts]
    allocation = [share * A for A in world.support_allocation]
    pot = sum(allocation) if rule.pot is None else share * rule.pot
    variance = [year.variance for year in years]
    agreed = [has_agreed(world, rule, t, d, y) and under[t] for t in trusts]
    earned = [[0.0, 0.0, 0.0, 0.0] for t in trusts]
    for t in trusts:
        if agreed[t]:
            earned[t] = quarterly_earnings(world, rule, t, d, variance[t], allocation[t], y)
    all_earned = sum(sum(E) for E in earned)
    rate = 1.0 if all_earned <= pot else pot / all_earned
    at_year_end = distribution(world, agreed, variance, allocation, max(pot - all_earned, 0.0), y)
    return [rate * sum(earned[t]) + at_year_end[t] for t in trusts], agreed, earned


# --- the whole forecast -----------------------------------------------------------------------------------


def read_world(panel, assumptions, seed):
    """Plain arrays of the panel beside the assumptions and the seed."""
    world = SimpleNamespace(assumptions=assumptions, seed=seed, plan_ytd=None, pay_award_funding=None)
    world.year = panel.attrs["year"]
    for name in ("trust", "trust_type", "system", "region"):
        setattr(world, name, [str(label) for label in panel[name].values])
    for name, variable in panel.data_vars.items():
        dims = ("trust", "month")[: variable.ndim]
        setattr(world, name, variable.transpose(*dims).values.astype(float))
    return world


def user_pressures(world, panel, drivers, draws, y=0):
    """Cumulative pressure (trust, month, draw) of each driver from a year's latent Normals (trust, item, draw)."""
    columns = {name: panel[name].values for name in panel.variables if panel[name].dims == ("trust",)}
    paths = {}
    for driver in drivers:
        z = np.empty((len(world.trust), driver.items, len(draws)), np.float32)
        for t, k, i in np.ndindex(z.shape):
            z[t, k, i] = latent(world, f"driver:{driver.name}", driver.shares, t, draws[i], k, y)
        paths[driver.name] = np.asarray(driver.pressure(z, columns), float)
    return paths


def of_draw(users, i, n_trusts):
    """Pressures of draw i by trust and driver, from `user_pressures`."""
    return [{name: path[t, :, i] for name, path in users.items()} for t in range(n_trusts)]


def planned_support_path(world, rule):
    """What plans count on by each month: all allocations, earned as the weights say."""
    cumulative = np.cumsum(rule.weights)
    return sum(world.support_allocation) * np.array([linear_between_quarter_ends(cumulative, m) for m in MONTHS])


def central_actions(assumptions, seed, draws):
    return np.array(
        [
            [a.planned * value(a.delivery, normal(seed, f"central:{a.name}", d, group("sector"), 0)) for d in draws]
            for a in assumptions.centre.actions
        ]
    ).reshape(len(assumptions.centre.actions), len(draws))


def twin_forecast(panel, assumptions, regime, *, n_draws, seed, first_draw=0, user_drivers=()):
    """Forecast by the theory, with the steps to it: pressure, available cover, variance, gate and so on.

    `user_drivers` are the registered drivers that the assumptions name, in their order.
    """
    for memory in (block_of_words, normal):
        memory.cache_clear()
    world = read_world(panel, assumptions, seed)
    trusts, draws = range(len(world.trust)), range(first_draw, first_draw + n_draws)
    users = user_pressures(world, panel, user_drivers, draws)
    shape = (len(trusts), n_draws)
    plan_ytd = np.array([plan_path(world, t) for t in trusts])

    by_month = {name: np.zeros((len(trusts), 12, n_draws)) for name in ("pressure", "available", "variance")}
    terms = [panel_terms(world, t) for t in trusts]
    support, agreed, underlying_position = np.zeros(shape), np.zeros(shape, bool), np.zeros(shape)
    earned = np.zeros((len(trusts), 4, n_draws))
    contribution, one_off, efficiency = [], np.zeros(shape), np.zeros(n_draws)
    for i, d in enumerate(draws):
        years = year_of_draw(world, d, terms, of_draw(users, i, len(trusts)))
        for rule in regime.rules:
            support[:, i], agreed[:, i], earned[:, :, i] = support_paid(world, rule, d, years)
        for name, values in by_month.items():
            values[:, :, i] = [getattr(year, name) for year in years]
        one_off[:, i] = [year.one_off[11] for year in years]
        underlying_position[:, i] = [year.underlying for year in years]
        contribution.append([[*year.contribution.values()] for year in years])
        efficiency[i] = sum(year.efficiency_delivered for year in years)

    before_support = np.array(world.plan)[:, None] + by_month["variance"][:, 11]
    position = before_support + support
    sector_position = position.sum(axis=0)
    central = central_actions(assumptions, seed, draws)
    planned_support = sum((planned_support_path(world, rule) for rule in regime.rules), np.zeros(12))
    sector_plan_ytd = plan_ytd.sum(axis=0) + planned_support
    sector_ytd = sector_plan_ytd[:, None] + by_month["variance"].sum(axis=0)
    sector_ytd[11] = sector_position
    return by_month | {
        "position": position,
        "position_before_support": before_support,
        "support": support,
        "contribution": np.transpose(np.array(contribution), (2, 1, 0)),
        "driver": np.array([*years[0].contribution]),
        "one_off": one_off,
        "underlying": underlying_position,
        "sector_position": sector_position,
        "nhs_position": sector_position + central.sum(axis=0),
        "sector_ytd": sector_ytd,
        "sector_plan_ytd": sector_plan_ytd,
        "deficit_count": (position < DEFICIT_BELOW).sum(axis=0),
        "gross_deficit": np.minimum(position, 0.0).sum(axis=0),
        "sector_efficiency_delivered": efficiency,
        "central_action": central,
        "agreed": agreed,
        "earned": earned,
        "gate": np.array([[gate(world, t, q) for q in QUARTERS] for t in trusts]),
    }
