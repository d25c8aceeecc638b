"""Sensitivity: closed forms with and without dependence between groups, what partners share, and known functions."""

from itertools import combinations, permutations

import numpy as np
import pytest
import xarray as xr

import sector_risk as sr
from sector_risk.assumptions.centre import CentralAction, Centre
from sector_risk.assumptions.dependence import INDEPENDENT, LEVELS, Dependence
from sector_risk.faults import InputError
from sector_risk.kernels.pressure import SOURCES
from sector_risk.panel.fill import NOT_STATED
from sector_risk.panel.reconfigure import merge
from sector_risk.planned import plan_run, run_draws
from sector_risk.regimes import Regime
from sector_risk.regimes.sustainability import SustainabilityFunding
from sector_risk.sensitivity import sensitivity_indices
from sector_risk.sensitivity.estimate import Tally, closed_index, less_chance, variance
from sector_risk.sensitivity.partners import Pair, fresh_seed, given
from sector_risk.units import NHS, SECTOR

INDICES = ("first_order", "total", "shapley")
FIXED = sr.Marginal.of("norm", scale=1e-30)  # less than rounding: no position changes
SD = {"recurrent": 0.2, "afc": 0.01, "medical": 0.03, "drift": 0.5}
WITHIN = 4.0  # standard errors, of at most some tens of comparisons a test
RATE, SHARES = 0.004, sr.Shares(sector=0.2, trust_type=0.1, system=0.3, region=0.15)


@sr.driver("level_cost", items=1, shares=SHARES, source="test")
def level_cost(z, panel):
    return (RATE * panel["turnover"][:, None, None] * z * np.linspace(1 / 12, 1, 12)[:, None]).astype(np.float32)


@sr.driver("other_cost", items=1, shares=INDEPENDENT, source="test")
def other_cost(z, panel):
    return 2 * level_cost(z, panel)


@pytest.fixture(scope="module")
def panel(case):
    return case.isel(trust=slice(None, None, 9))


def linear(sector=0.0, correlation=None, **sd):
    """Positions that are linear in Normals: no cover, nothing spent, savings that do not depend on the ask."""
    a, sd = sr.Assumptions(), dict.fromkeys(SD, 1e-30) | sd
    shares = sr.Shares(sector=sector, trust_type=0.0, system=0.0, region=0.0)
    matrix = np.eye(4) if correlation is None else np.array(correlation)
    return a.replace(
        efficiency=a.efficiency.replace(
            recurrent_ratio=sr.Marginal.of("norm", loc=0.8, scale=sd["recurrent"]),
            one_off_ratio=FIXED,
            ask_effect=0.0,
            slippage_sd=0.0,
        ),
        pay=a.pay.replace(
            own_award_afc=sr.Marginal.of("norm", scale=sd["afc"]),
            own_award_medical=sr.Marginal.of("norm", scale=sd["medical"]),
        ),
        deterioration=a.deterioration.replace(
            drift=sr.Marginal.of("norm", loc=1.0, scale=sd["drift"]),
            drift_base=0.01,
            drift_per_planned_deficit=0.0,
            shock_sd=0.0,
        ),
        flexibility=a.flexibility.replace(amount=FIXED, keep_favourable=1.0),
        dependence=Dependence(
            efficiency=shares,
            pay_award=shares,
            deterioration=shares,
            flexibility=shares,
            run_rate_sector=0.0,
            sector_correlation=tuple(map(tuple, matrix.tolist())),
        ),
        centre=Centre(()),
    )


def slopes(panel, sd):
    """What one sd of each variate does to each trust's position, GBP m; the medical award counts for half a year."""
    of = {name: panel[name].values for name in panel.data_vars}
    saved = of["efficiency_plan"] * of["efficiency_recurrent_share"]
    rows = [saved, -of["pay_afc"], -0.5 * of["pay_medical"], -0.01 * of["turnover"]]
    return np.array([sd.get(name, 0.0) * row for name, row in zip(SD, rows, strict=True)])


def closed(names, correlation, shared, own):
    """c(S) for every set of names of a Normal model; row v belongs to group names[v], `shared` is its weight on F_v."""

    def of(held):
        s = np.array([name in held for name in names])
        if not s.any():
            return 0.0
        w = shared[s] + np.linalg.solve(correlation[np.ix_(s, s)], correlation[np.ix_(s, ~s)] @ shared[~s])
        return own[s].sum() + w @ correlation[np.ix_(s, s)] @ w

    groups = sorted(set(names))
    return {frozenset(s): of(s) for k in range(len(groups) + 1) for s in combinations(groups, k)}


def expected(c):
    """Indices by definition: Shapley effects as a mean over all orders."""
    every = max(c, key=len)
    orders = [*permutations(sorted(every))]

    def gain(g, order):
        before = frozenset(order[: order.index(g)])
        return c[before | {g}] - c[before]

    return {
        g: (c[frozenset({g})], c[every] - c[every - {g}], np.mean([gain(g, order) for order in orders])) for g in every
    } | {"variance": c[every]}


def assert_indices(found, g, want, whole, within=WITHIN):
    for name, value in zip(INDICES, want, strict=True):
        got, error = float(found[name].sel(group=g)), float(found[name + "_se"].sel(group=g))
        assert abs(got - value / whole) <= within * error, (g, name, got, value / whole, error)
        assert error < 0.03


# Closed forms


@pytest.mark.parametrize("rho", [0.6, -0.6, 0.0])
def test_two_correlated_drivers_by_hand(panel, rho):
    share, sd = 0.8, {"afc": SD["afc"], "drift": SD["drift"]}
    matrix = np.eye(4)
    matrix[1, 2] = matrix[2, 1] = rho
    found = sensitivity_indices(panel, linear(share, matrix, **sd), "none", n_draws=20_000, seed=3)
    _, pay, _, drift = slopes(panel, sd)
    a, b = np.sqrt(share) * pay.sum(), np.sqrt(share) * drift.sum()
    own_a, own_b = (1 - share) * (pay**2).sum(), (1 - share) * (drift**2).sum()
    whole = a**2 + b**2 + 2 * rho * a * b + own_a + own_b
    of_a, of_b = (a + rho * b) ** 2 + own_a, (b + rho * a) ** 2 + own_b
    sector = found.sel(unit=SECTOR)
    assert_indices(sector, "pay_award", (of_a, whole - of_b, (of_a + whole - of_b) / 2), whole)
    assert_indices(sector, "deterioration", (of_b, whole - of_a, (of_b + whole - of_a) / 2), whole)
    assert float(sector["variance"]) == pytest.approx(whole, abs=WITHIN * float(sector["variance_se"]))


def test_all_correlated_drivers_and_all_units(panel):
    """Medical awards follow the efficiency factor through the mixing, agenda-for-change awards only beside them."""
    share, e, p, d = 0.7, 0, 1, 2
    matrix = np.array([[1, 0.5, -0.4, 0.3], [0.5, 1, 0.2, 0.1], [-0.4, 0.2, 1, 0.3], [0.3, 0.1, 0.3, 1]])
    found = sensitivity_indices(panel, linear(share, matrix, **SD), "none", n_draws=20_000, seed=4)
    r = matrix[e, p]
    c = np.array(
        [
            [1, r, r, matrix[e, d]],
            [r, 1, r * r, matrix[p, d]],
            [r, r * r, 1, r * matrix[e, d]],
            [matrix[e, d], matrix[p, d], r * matrix[e, d], 1],
        ]
    )
    names = ["efficiency", "pay_award", "pay_award", "deterioration"]
    regions = panel["region"].values
    for unit, rows in ((SECTOR, slice(None)), (regions[0], regions == regions[0]), (panel["trust"].values[2], [2])):
        one = slopes(panel, SD)[:, rows]
        want = expected(closed(names, c, np.sqrt(share) * one.sum(axis=1), (1 - share) * (one**2).sum(axis=1)))
        for g in set(names):
            assert_indices(found.sel(unit=unit), g, want[g], want["variance"])
    idle = found.sel(group=["run_rate", "flexibility", "rules", "centre"])  # correlated or not, cover is no input here
    assert all(float(np.abs(idle[name]).max()) == 0.0 for name in (*INDICES, "shapley_se"))


def test_a_driver_without_a_sector_factor_tells_nothing_of_others(panel):
    """Their factors are correlated on paper, but the awards of no trust depend on theirs."""
    share, sd = 0.8, {"afc": 3 * SD["afc"], "drift": SD["drift"]}
    matrix = np.eye(4)
    matrix[1, 2] = matrix[2, 1] = 0.9
    a = linear(share, matrix, **sd)
    a = a.replace(dependence=a.dependence.replace(pay_award=INDEPENDENT))
    found = sensitivity_indices(panel, a, "none", n_draws=5_000, seed=3).sel(unit=SECTOR)
    _, pay, _, drift = slopes(panel, sd)
    of_pay, of_drift = (pay**2).sum(), share * drift.sum() ** 2 + (1 - share) * (drift**2).sum()
    assert_indices(found, "pay_award", (of_pay,) * 3, of_pay + of_drift)
    assert_indices(found, "deterioration", (of_drift,) * 3, of_pay + of_drift)


def test_levels_by_hand(panel):
    """A driver of one's own, drift and the months' shocks: each level has its share of each group's sum, squared."""
    a = linear(drift=0.5)
    shares = sr.Shares(sector=0.1, trust_type=0.3, system=0.2, region=0.25)
    a = a.replace(
        drivers=("level_cost",),
        deterioration=a.deterioration.replace(shock_sd=0.0005, persistence=0.0),
        dependence=a.dependence.replace(deterioration=shares, run_rate_sector=0.3),
    )
    systems = panel["system"].values.astype(object)
    systems[::3] = NOT_STATED
    panel = panel.assign_coords(system=("trust", systems))
    found = sensitivity_indices(panel, a, "none", by="level", n_draws=20_000, seed=5)
    turnover, stated = panel["turnover"].values, systems != NOT_STATED
    labels = {level: panel[level].values for level in LEVELS[1:]} | {"sector": np.zeros(len(turnover))}
    squares = {
        level: sum(turnover[of == v].sum() ** 2 for v in set(of) if v != NOT_STATED) for level, of in labels.items()
    }
    shocks = sr.Shares(sector=0.3, trust_type=0, system=0, region=0), 0.0005 * 12**0.5
    parts = dict.fromkeys((*LEVELS, "own"), 0.0)
    for of, sd in ((shares, 0.01 * 0.5), (SHARES, RATE), shocks):
        for level in LEVELS:
            parts[level] += sd**2 * getattr(of, level) * squares[level]
        own = 1 - sum(getattr(of, level) for level in LEVELS) + of.system * ~stated
        parts["own"] += sd**2 * (own * turnover**2).sum()
    whole = sum(parts.values())
    for level, part in parts.items():
        assert_indices(found.sel(unit=SECTOR), level, (part, part, part), whole)


def test_the_centre_counts_for_the_whole_nhs_only(panel):
    action = CentralAction("offer", 30.0, sr.Marginal.of("norm", loc=0.5, scale=0.4))
    a = linear(drift=SD["drift"]).replace(centre=Centre((action,)))
    found = sensitivity_indices(panel, a, "none", n_draws=20_000, seed=6)
    sector, centre = float((slopes(panel, SD)[3] ** 2).sum()), (30.0 * 0.4) ** 2
    whole = sector + centre
    assert_indices(found.sel(unit=NHS), "centre", (centre,) * 3, whole)
    assert_indices(found.sel(unit=NHS), "deterioration", (sector,) * 3, whole)
    elsewhere = found.drop_sel(unit=NHS).sel(group="centre")
    assert all(float(np.abs(elsewhere[name]).max()) == 0.0 for name in INDICES)


def test_chance_in_rules_can_be_all_there_is(panel):
    """All meet their control totals, and the whole fund is paid out: chance is in who gets it."""
    a = linear()
    a = a.replace(deterioration=a.deterioration.replace(headroom=0.05))
    found = sensitivity_indices(panel, a, Regime("one", (SustainabilityFunding(),)), n_draws=2_000, seed=7)
    eligible = (panel["support_allocation"].values * panel["control_total_agreed"].values) > 0
    paid, others = (found.sel(unit=panel["trust"].values[rows]) for rows in (eligible, ~eligible))
    assert float(paid["variance"].min()) > 1e-3
    for name in INDICES:
        assert (paid[name].sel(group="rules") == 1.0).all()
        assert float(np.abs(paid[name].drop_sel(group="rules")).max()) == 0.0
        assert bool(others[name].isnull().all())


def test_a_unit_that_does_not_vary_has_no_indices(panel):
    found = sensitivity_indices(panel, linear(), "none", n_draws=20, by="level")
    assert bool((found["variance"] == 0.0).all())
    assert all(bool(found[name].isnull().all()) for name in INDICES)


# What partner runs share


def cover_in_full(tail):
    """All pressures are adverse and above cover: one-off cover is then flexibility, whatever else is drawn."""
    a = sr.Assumptions(drivers=("level_cost",))
    return a.replace(
        flexibility=a.flexibility.replace(amount=sr.Marginal.of("gamma", a=7.5, scale=0.0005)),
        deterioration=a.deterioration.replace(
            drift=sr.Marginal.of("gamma", a=100.0, scale=0.01), drift_base=0.1, shock_sd=0.0001
        ),
        dependence=a.dependence.replace(pay_award=SHARES, flexibility=SHARES, tail_dof=tail),
    )


def contributions(run):
    return run_draws(run, 2, None, False).contribution


@pytest.mark.parametrize("tail", [0.0, 4.0])
def test_a_partner_has_the_drivers_that_it_holds_and_no_others(panel, tail):
    a = cover_in_full(tail)
    first, fresh = (plan_run(panel, a, "none", years=1, n_draws=600, seed=s, by_trust=True)[0] for s in (1, 2))
    pair, mine, theirs = Pair(first, fresh, "driver"), contributions(first), contributions(fresh)
    assert pair.groups == (*SOURCES, "level_cost", "rules")
    rows = {"efficiency": [0, 1], "pay_award": [2, 3], "deterioration": [], "run_rate": [], "flexibility": [6]}
    for held in (*((g,) for g in (*rows, "level_cost")), ("deterioration", "run_rate"), ("efficiency", "flexibility")):
        partner = contributions(pair.partner(np.isin(pair.groups, held)))
        same = [d for d in range(7) if np.array_equal(partner[d], mine[d])]
        want = sum((rows.get(g, [5]) for g in held), [4] if "run_rate" in held and len(held) > 1 else [])
        assert same == sorted(want), held
        assert not (partner == mine)[[d for d in range(7) if d not in want]].mean(axis=(1, 2)).max() > 0.01
    nothing = contributions(pair.partner(np.zeros(len(pair.groups), bool)))
    np.testing.assert_array_equal(nothing, theirs)


def test_a_partner_holds_levels(panel):
    """Of a driver whose Normals come as they are, what one level alone changes is that level's part."""
    a = sr.Assumptions(drivers=("level_cost",))
    first, fresh = (plan_run(panel, a, "none", years=1, n_draws=400, seed=s, by_trust=True)[0] for s in (1, 2))
    pair = Pair(first, fresh, "level")
    assert pair.groups == (*LEVELS, "own", "rules")

    def cost(*held):
        return contributions(pair.partner(np.isin(pair.groups, held)))[5] / panel["turnover"].values[:, None]

    every, region = cost(*pair.groups), panel["region"].values
    np.testing.assert_array_equal(every, cost(*LEVELS, "own"))
    change = cost("sector", "trust_type", "system", "own") - every
    for name in set(region):
        assert np.ptp(change[region == name], axis=0).max() < 1e-6  # all trusts of a region move alike
    assert change.std() == pytest.approx(RATE * np.sqrt(2 * SHARES.region), rel=0.1)
    assert np.ptp((cost(*LEVELS[1:], "own") - every), axis=0).max() < 1e-6


@pytest.mark.parametrize("tail", [0.0, 4.0])
def test_scales_of_tails_are_the_sectors(panel, tail):
    shares = sr.Shares(sector=0.0, trust_type=0.4, system=0.0, region=0.0)
    a = linear(drift=SD["drift"])
    a = a.replace(dependence=a.dependence.replace(deterioration=shares, tail_dof=tail))
    found = sensitivity_indices(panel, a, "none", by="level", n_draws=4_000, seed=8).sel(unit=SECTOR, group="sector")
    if tail:
        assert float(found["total"]) > 5 * float(found["total_se"])
    else:
        assert float(found["total"]) == 0.0


def test_factors_given_those_held_have_the_joint_law():
    rng = np.random.default_rng(1)
    root = rng.normal(size=(5, 5))
    c = root @ root.T
    for k in range(1, 5):
        held = np.isin(np.arange(5), rng.permutation(5)[:k])
        on_other, on_fresh = given(c, held)
        np.testing.assert_allclose(on_other @ c @ on_other.T + on_fresh @ on_fresh.T, c, atol=1e-9)
        np.testing.assert_array_equal(on_other[held], np.eye(5)[held])
        np.testing.assert_array_equal(on_fresh[held], 0.0)
        np.testing.assert_array_equal(on_fresh[:, held], 0.0)
        np.testing.assert_array_equal(on_other[:, ~held], 0.0)


# The estimator on known functions


def indices_of_function(function, n, dims, seed=0):
    """Indices of a function of uniforms, by the same pairs as runs are."""
    rng = np.random.default_rng(seed)
    x, fresh = rng.random((dims, n)), rng.random((dims, n))
    first, tally = function(x)[None], Tally(dims, shapley=True)

    def index(s):
        held = np.array([s >> g & 1 for g in range(dims)], bool)
        return closed_index(first, function(np.where(held[:, None], x, fresh))[None])

    for s in range(1, 2**dims):
        tally.add(s, less_chance(index(s), index(0)))
    return tally.value[:, :, 0], np.sqrt((tally.influence**2).sum(-1) * 50 / 48)[:, :, 0]


def ishigami(x):
    a, b, c = np.pi * (2 * x - 1)
    return np.sin(a) + 7 * np.sin(b) ** 2 + 0.1 * c**4 * np.sin(a)


def test_ishigami():
    """First order and total as published for a = 7, b = 0.1; an interaction of two is shared equally by both."""
    got, error = indices_of_function(ishigami, 40_000, 3)
    want = np.array([[0.3139, 0.4424, 0.0], [0.5576, 0.4424, 0.2437], [0.4357, 0.4424, 0.1218]])
    assert (np.abs(got - want) < WITHIN * error + 5e-5).all()
    assert error.max() < 0.02


def test_product():
    """1 + c x with mean one: c(S) is the product of 1 + variance over S, less one."""
    scale = np.array([1.0, 0.5, 0.1, 0.0])
    got, error = indices_of_function(lambda x: (1 + scale[:, None] * (2 * x - 1)).prod(axis=0), 40_000, 4)
    v = scale**2 / 3
    c = {frozenset(s): np.prod(1 + v[list(s)]) - 1 for k in range(5) for s in combinations(range(4), k)}
    want = expected(c)
    for g in range(4):
        assert (np.abs(got[:, g] - np.array(want[g]) / want["variance"]) <= WITHIN * error[:, g] + 1e-15).all()
    assert np.abs(got[:, 3]).max() < 1e-15


def test_the_same_run_is_the_whole_of_it_and_chance_is_nothing():
    rng = np.random.default_rng(2)
    y, other = 1e4 + rng.normal(size=(2, 3, 777)).astype(np.float32)
    same, none = closed_index(y, y), closed_index(y, other)
    assert (same.value == 1.0).all()
    assert (same.influence == 0.0).all()
    np.testing.assert_allclose(none.influence.sum(axis=1), 0.0, atol=1e-12)
    alone = less_chance(none, none)
    np.testing.assert_array_equal(alone.value, 0.0)
    assert (less_chance(same, none).value == 1.0).all()
    by_hand = [np.cov(np.append(a, b), np.append(b, a), ddof=0) for a, b in zip(*np.float64([y, other]), strict=True)]
    np.testing.assert_allclose(none.value, [c[0, 1] / c[0, 0] for c in by_hand], rtol=1e-9)
    spread = variance(y)
    np.testing.assert_allclose(spread.value, y.astype(float).var(axis=1, ddof=1), rtol=1e-12)
    assert np.abs(spread.error / (spread.value * np.sqrt(2 / 777)) - 1).max() < 4 * 0.12  # of Normals; fifty batches


# The whole


@pytest.fixture(scope="module")
def by_driver(panel):
    a = sr.Assumptions(drivers=("other_cost",))
    return sensitivity_indices(panel, a, n_draws=2_000, seed=9, threads=2)


@pytest.fixture(scope="module")
def by_level(panel):
    return sensitivity_indices(panel, n_draws=2_000, seed=9, by="level")


@pytest.mark.parametrize("which", ["by_driver", "by_level"])
def test_shapley_effects_add_up(which, request):
    found = request.getfixturevalue(which)
    np.testing.assert_allclose(found["shapley"].sum("group"), 1.0, rtol=1e-9)


def test_independent_groups_bracket_the_whole(by_level):
    first, total = by_level["first_order"].sum("group"), by_level["total"].sum("group")
    error = np.sqrt((by_level["first_order_se"] ** 2).sum("group")), np.sqrt((by_level["total_se"] ** 2).sum("group"))
    assert float((first - WITHIN * error[0]).max()) < 1.0 < float((total + WITHIN * error[1]).min())
    assert float(by_level["first_order"].min()) > -0.1


def test_variance_is_that_of_the_forecast(panel, by_driver):
    forecast = sr.simulate(panel, sr.Assumptions(drivers=("other_cost",)), n_draws=2_000, seed=9)
    for unit, rows in ((SECTOR, forecast["sector_position"]), (NHS, forecast["nhs_position"])):
        assert float(by_driver["variance"].sel(unit=unit)) == pytest.approx(float(rows.var(ddof=1)), rel=1e-9)
    trusts = forecast["position"].astype(float)
    codes = panel["trust"].values
    np.testing.assert_allclose(by_driver["variance"].sel(unit=codes), trusts.var("draw", ddof=1), rtol=1e-9)
    for level in ("region", "trust_type", "system"):
        grouped = trusts.groupby(level).sum().var("draw", ddof=1)
        np.testing.assert_allclose(by_driver["variance"].sel(unit=grouped[level].values), grouped, rtol=1e-9)


def test_the_centre_is_nothing_but_to_the_whole_nhs(by_driver):
    for name in [name for index in INDICES for name in (index, index + "_se")]:
        assert float(np.abs(by_driver[name].sel(group="centre").drop_sel(unit=NHS)).max()) == 0.0
        assert float(by_driver[name].sel(group="centre", unit=NHS)) > 0.0


def test_labels(by_driver, panel):
    assert by_driver["group"].values.tolist() == [*SOURCES, "other_cost", "rules", "centre"]
    assert by_driver["unit"].values[-1] == NHS
    assert by_driver["level"].values[-1] == "nhs"
    assert by_driver.attrs["seed"] == "9"
    assert by_driver.attrs["by"] == "driver"
    for name in by_driver.variables:
        assert by_driver[name].attrs["long_name"]


def test_threads_change_nothing(panel, by_driver):
    a = sr.Assumptions(drivers=("other_cost",))
    one = sensitivity_indices(panel, a, n_draws=2_000, seed=9, threads=1)
    xr.testing.assert_equal(one, by_driver)


def test_without_shapley_the_rest_is_the_same(panel, by_driver):
    told = []
    a = sr.Assumptions(drivers=("other_cost",))
    some = sensitivity_indices(
        panel, a, n_draws=2_000, seed=9, shapley=False, progress=lambda *counts: told.append(counts)
    )
    assert not [name for name in some if "shapley" in str(name)]
    xr.testing.assert_equal(some, by_driver[list(some.data_vars)])
    runs = 2 * 7 + 2  # seven groups but for the centre; nothing held; the first run
    assert [done for done, _ in told] == list(range(1, runs + 1))
    assert told[-1] == (runs, runs)


def test_merged_trusts_are_one(panel):
    codes = panel["trust"].values
    merged = merge(panel, codes[:3].tolist(), into=codes[0])
    found = sensitivity_indices(merged, n_draws=300, seed=2)
    assert codes[0] in found["unit"].values
    assert codes[1] not in found["unit"].values
    forecast = sr.simulate(merged, n_draws=300, seed=2)
    want = forecast["position"].sel(trust=codes[0]).astype(float).var(ddof=1)
    assert float(found["variance"].sel(unit=codes[0])) == pytest.approx(float(want), rel=1e-9)
    np.testing.assert_allclose(found["shapley"].sum("group"), 1.0, rtol=1e-9)


def test_errors_by_replicates(panel):
    """Interactions, cover and correlated factors; 100 seeds: an sd is good to 7%, a mean of errors to 1%."""
    a, one = sr.Assumptions(), panel.isel(trust=slice(0, 6))
    shares = sr.Shares(sector=0.4, trust_type=0.0, system=0.0, region=0.0)
    matrix = np.eye(4)
    matrix[0, 2] = matrix[2, 0] = -0.6
    a = a.replace(
        dependence=Dependence(
            efficiency=shares, deterioration=shares, flexibility=shares, sector_correlation=tuple(map(tuple, matrix))
        ),
        pay=a.pay.replace(own_award_afc=FIXED, own_award_medical=FIXED),
        deterioration=a.deterioration.replace(shock_sd=0.0),
        centre=Centre(()),
    )
    runs = [sensitivity_indices(one, a, "none", n_draws=400, seed=s) for s in range(100)]
    all_runs = xr.concat([run.sel(unit=SECTOR, drop=True) for run in runs], "seed", combine_attrs="drop")
    active = all_runs.sel(group=["efficiency", "deterioration", "flexibility"])
    for name in (*INDICES, "variance"):
        ratio = active[name + "_se"].mean("seed") / active[name].std("seed", ddof=1)
        assert float(np.abs(ratio - 1).max()) < 4 * 0.07, name
    bias = active["shapley"].mean("seed") - sensitivity_indices(one, a, "none", n_draws=40_000)["shapley"].sel(
        group=active["group"], unit=SECTOR
    )
    assert float(np.abs(bias / (active["shapley"].std("seed") / np.sqrt(100))).max()) < WITHIN + 1


# What is refused


def test_few_draws_have_no_errors(panel):
    one = sensitivity_indices(panel, n_draws=1, by="level", shapley=False)
    assert bool(one["variance"].isnull().all())
    assert bool(one["total"].isnull().all())
    assert bool(sensitivity_indices(panel, n_draws=2, by="level", shapley=False)["total_se"].isnull().all())


def test_all_faults_at_once(panel):
    with pytest.raises(InputError) as refused:
        sensitivity_indices(panel, by="levels", n_draws=0, seed=-1, threads=0)
    text = str(refused.value)
    assert {f.variable for f in refused.value.faults} == {"by", "n_draws", "seed", "threads"}
    assert "Did you mean 'level'?" in text
    assert "sensitivity_indices" in text


def test_a_driver_of_ones_own_cannot_have_the_name_of_a_group(panel):
    sr.driver("rules", items=1, shares=INDEPENDENT, source="test")(level_cost)
    with pytest.raises(InputError, match="a group's name"):
        sensitivity_indices(panel, sr.Assumptions(drivers=("rules",)), n_draws=10)


def test_seeds_of_fresh_numbers_differ():
    assert len({fresh_seed(s) for s in range(100)} | set(range(100))) == 200
