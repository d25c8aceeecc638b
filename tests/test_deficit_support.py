"""Deficit support: cases worked by hand, the pot, and a slow twin."""

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sector_risk as sr
from blocks import make_block, make_context
from sector_risk.regimes.deficit_support import DeficitSupport

NAME = DeficitSupport.name
ALWAYS = DeficitSupport(first_review=1)
PLAN = np.array([-8.0, -4.0, 3.0])


def act(rule, context, n_draws=1, *, year=0, **given):
    """A block after all three moments of a year."""
    block = make_block(context, rule, n_draws, year=year, **given)
    prepared = rule.prepare(context)
    for moment in (prepared.before_plan, prepared.before_year, prepared.after_year):
        moment(block)
    return block


def test_a_forecasts_plan_counts_on_what_the_rule_offers():
    """As the rule has it: planned deficits where the panel gives no allocations, within the pot, agreed or not."""
    case = sr.load_case("england-2018-19").isel(trust=slice(0, 20))
    bare = case.assign(support_allocation=0.0 * case["support_allocation"])
    bare = bare.assign(control_total_agreed=bare["support_allocation"] > 0.0)
    refused = case.assign(control_total_agreed=case["support_allocation"] < 0.0)
    deficits = np.maximum(-case["plan"].values, 0.0)
    given = np.minimum(case["support_allocation"].values, deficits)
    for panel, pot, expected in (
        (bare, 2200.0, deficits),
        (refused, 2200.0, given),
        (case, 50.0, given * 50.0 / given.sum()),
    ):
        forecast = sr.simulate(panel, regime=sr.Regime("support", (DeficitSupport(pot=pot),)), n_draws=4)
        np.testing.assert_allclose(forecast["planned_support"], expected, rtol=1e-6)
        assert (forecast["support"] <= forecast["planned_support"] * (1 + 1e-6)).all()
        sector_plan = float(forecast["sector_plan_ytd"].isel(month=-1))
        assert sector_plan == pytest.approx(case["plan"].sum() + expected.sum())


def by_trust(*quarters):
    """Variances (quarter, trust, one draw) from four for each trust."""
    return np.array(quarters, float).T[:, :, None]


# --- allocations ------------------------------------------------------------------------------------------


def test_allocations_are_the_panels_where_it_gives_any_up_to_the_planned_deficit():
    block = act(DeficitSupport(), make_context(plan=PLAN, support_allocation=[0.0, 6.0, 1.0]))
    np.testing.assert_array_equal(block.planned_support[:, 0], [0, 4, 0])


def test_allocations_are_planned_deficits_where_it_gives_none():
    block = act(DeficitSupport(), make_context(plan=PLAN), planned_support=0.5)
    np.testing.assert_array_equal(block.planned_support[:, 0], [8.5, 4.5, 0.5])


def test_a_short_pot_scales_all_alike():
    block = act(DeficitSupport(pot=3.0), make_context(plan=PLAN))
    np.testing.assert_allclose(block.planned_support[:, 0], [2, 1, 0], rtol=1e-6)


def test_later_years_have_the_tapers_share():
    """The panel's own year has all, whatever the table says; from the years named, so before the first none."""
    rule, context = DeficitSupport(taper={"2020-21": 0.5, "2022-23": 0.25}), make_context(plan=PLAN)
    planned = [act(rule, context, year=year).planned_support[0, 0] for year in range(5)]
    np.testing.assert_array_equal(planned, [8, 0, 4, 4, 2])
    planned = [act(DeficitSupport(), context, year=year).planned_support[0, 0] for year in range(3)]
    np.testing.assert_array_equal(planned, [8, 8, 8])


# --- payments ---------------------------------------------------------------------------------------------


def test_worked_by_hand():
    """A and B are one system of turnover 200: off plan below -.2, -.4, -.6 and -.8. C is alone, and has no deficit."""
    context = make_context(plan=PLAN, system=[0, 0, 1])
    variance = by_trust([-0.3, 0.0, -1.0, -2.0], [0.2, -0.5, 0.5, 1.0], [-9, -9, -9, -9])
    block = act(ALWAYS, context, quarter_variance=variance)
    # Sums -.1, -.5, -.5, -1: quarters 1 and 3 are paid, and what is withheld in quarter 2 does not come back.
    np.testing.assert_allclose(block.paid[NAME][:, 0], [4, 2, 0])
    np.testing.assert_array_equal(block.planned_support[:, 0], [8, 4, 0])


@pytest.mark.parametrize(("first_review", "quarters"), [(1, 0), (2, 1), (3, 2), (4, 3)])
def test_reviews_begin_with_the_third_quarter_unless_told(first_review, quarters):
    rule, variance = DeficitSupport(first_review=first_review), by_trust([-9, -9, -9, -9])
    block = act(rule, make_context(1, plan=[-8.0]), quarter_variance=variance)
    assert block.paid[NAME] == pytest.approx(2.0 * quarters)
    assert DeficitSupport().first_review == 3


def test_weights_say_what_each_quarter_is_worth():
    rule = ALWAYS.replace(weights=(0.1, 0.2, 0.3, 0.4))
    block = act(rule, make_context(plan=PLAN), quarter_variance=by_trust([0, -9, -9, 0], [0, 0, 0, 0], [0, 0, 0, 0]))
    np.testing.assert_allclose(block.paid[NAME][:, 0], [4, 4, 0], rtol=1e-6)


def test_turnover_of_the_year_counts():
    context = make_context(1, plan=[-8.0])
    context.turnover[1] = 300.0
    variance = by_trust([0, 0, 0, -1.0])
    assert act(DeficitSupport(), context, quarter_variance=variance).paid[NAME] == pytest.approx(6)
    assert act(DeficitSupport(), context, year=1, quarter_variance=variance).paid[NAME] == pytest.approx(8)


def test_plans_expect_the_weights_by_quarter():
    np.testing.assert_allclose(DeficitSupport().planned_path(), np.arange(1, 13) / 12)
    late = DeficitSupport(weights=(0.0, 0.0, 0.4, 0.6)).planned_path()
    np.testing.assert_allclose(late[[5, 6, 8, 11]], [0, 0.4 / 3, 0.4, 1.0])


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    pot=st.floats(0, 60),
    cuts=st.tuples(*[st.floats(0, 1)] * 3),
    spread=st.floats(0, 3),
    year=st.integers(0, 2),
    is_given=st.booleans(),
)
def test_never_more_than_the_pot_nor_less_than_nought(seed, pot, cuts, spread, year, is_given):
    """Exactly, not only to rounding, and what is planned is no more either."""
    rule = DeficitSupport(pot=pot, weights=tuple(np.diff([0.0, *sorted(cuts), 1.0])), taper={"2019-20": 0.9})
    r = np.random.default_rng(seed)
    allocation = r.uniform(0, 15, 6) if is_given else np.zeros(6)
    context = make_context(6, system=r.integers(0, 3, 6), plan=r.normal(-3, 5, 6), support_allocation=allocation)
    block = act(rule, context, 40, year=year, quarter_variance=r.normal(0, spread, (4, 6, 40)))
    planned, paid = block.planned_support.astype(float), block.paid[NAME].astype(float)
    assert (paid >= 0).all()
    assert (paid <= planned).all()
    assert (planned.sum(axis=0) <= pot + 1e-30).all()


@pytest.mark.parametrize("seed", range(20))
def test_rounding_does_not_pass_a_pot_that_is_just_enough(seed):
    r = np.random.default_rng(seed)
    allocation, weights = r.uniform(0, 15, 6), (0.521, 0.307, 0.036, 0.136)  # their sum as float32 is above one
    rule = DeficitSupport(pot=float(allocation.sum()), weights=weights)
    block = act(rule, make_context(6, plan=-allocation, support_allocation=allocation))
    planned, paid = block.planned_support.astype(float), block.paid[NAME].astype(float)
    assert (paid <= planned).all()
    assert planned.sum() <= rule.pot
    np.testing.assert_allclose(paid[:, 0], allocation, rtol=1e-6)


def test_a_year_without_support_changes_nothing():
    rule, context = DeficitSupport(taper={"2020-21": 0.0}), make_context(plan=PLAN)
    block = make_block(context, rule, 5, year=2, plan=-5.0, quarter_variance=1.0, position=-2.0)
    before, prepared = copy.deepcopy(vars(block)), rule.prepare(context)
    for moment in (prepared.before_plan, prepared.before_year, prepared.after_year):
        moment(block)
    np.testing.assert_equal(vars(block), before)


# --- a slow twin ------------------------------------------------------------------------------------------


def allocations_slowly(rule, context, year):
    """Allocations of a year, as the documentation has them."""
    given, plan = context.panel["support_allocation"], context.panel["plan"]
    wanted = [max(-p, 0.0) for p in plan]
    if max(given) > 0:
        wanted = [min(a, deficit) for a, deficit in zip(given, wanted, strict=True)]
    scale = min(1.0, rule.pot / sum(wanted))
    taper = rule.taper.at(context.years[year]) if year > 0 and len(rule.taper) > 0 else 1.0
    return [scale * taper * a for a in wanted]


def paid_slowly(rule, context, year, v):
    """Payments of all trusts in one draw; v is (quarter, trust)."""
    trusts, paid = range(len(context.codes)), []
    for i, a in enumerate(allocations_slowly(rule, context, year)):
        mates = [k for k in trusts if context.system[k] == context.system[i]]
        released = 0.0
        for q in (1, 2, 3, 4):
            limit = -rule.tolerance * sum(context.turnover[year, k] for k in mates) * q / 4
            is_off_plan = sum(v[q - 1][k] for k in mates) < limit
            released += 0.0 if is_off_plan and q >= rule.first_review else rule.weights[q - 1]
        paid.append(a * released)
    return paid


@pytest.mark.parametrize("seed", range(4))
def test_three_years_agree_with_a_slow_twin(seed):
    r, n = np.random.default_rng(seed), 40
    rule = DeficitSupport(
        pot=[2200.0, 12.0][seed % 2],
        weights=[(0.25,) * 4, (0.1, 0.2, 0.3, 0.4)][seed // 2],
        taper={"2026-27": 0.7, "2027-28": 0.4} if seed else {},
        first_review=[3, 1, 2, 1][seed],
    )
    context = make_context(
        7,
        n_years=3,
        first_year="2025-26",
        turnover=r.uniform(50, 500, 7),
        plan=r.normal(-3, 5, 7),
        support_allocation=r.uniform(0, 6, 7) if seed < 2 else np.zeros(7),
        system=[0, 1, 0, 2, 1, 3, 0],
    )
    context.turnover[1:] *= [[1.04], [1.08]]
    for year in range(3):
        variance = np.cumsum(r.normal(-0.2, 0.8, (4, 7, n)), axis=0)
        block = act(rule, context, n, year=year, quarter_variance=variance)
        expected = [paid_slowly(rule, context, year, block.quarter_variance[:, :, d].astype(float)) for d in range(n)]
        np.testing.assert_allclose(block.paid[NAME], np.transpose(expected), rtol=1e-5, atol=1e-6)
        assert len(np.unique(block.paid[NAME])) > 10
        planned = np.repeat(np.array(allocations_slowly(rule, context, year))[:, None], n, axis=1)
        np.testing.assert_allclose(block.planned_support, planned, rtol=1e-5)


# --- settings ---------------------------------------------------------------------------------------------


def test_settings_are_refused_in_one_report():
    with pytest.raises(sr.InputError) as report:
        DeficitSupport(pot=-1.0, weights=(0.5, 0.5), tolerance=-0.1, taper={"2026": 0.5}, first_review=0)
    assert len(report.value.faults) == 5


def test_weights_add_up_to_one():
    with pytest.raises(sr.InputError, match="weights: must add up to one"):
        DeficitSupport(weights=(0.5, 0.5, 0.5, 0.0))


def test_every_setting_has_its_evidence():
    rows = list(DeficitSupport().log(NAME))
    assert len(rows) == 5
    assert all(row.source and row.unit and row.meaning and row.confidence in "VDGW" for row in rows)
