"""Control totals and sustainability funding: cases worked by hand, conservation, identities, and a slow twin."""

import copy
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sector_risk as sr
from blocks import make_block, make_context
from sector_risk.kernels.random import YEAR, words_block

# Three trusts with an allocation of 10 each, one of them refused its control total.
PANEL = {
    "plan": np.array([-5.0, -5.0, -5.0]),
    "control_total": np.array([-5.0, -4.0, -5.0]),
    "support_allocation": np.array([10.0, 10.0, 10.0]),
    "control_total_agreed": np.array([1.0, 1.0, 0.0]),
    "ask": np.array([4.0, 4.0, 8.0]),
    "sector_ask": np.array([5.0, 5.0, 5.0]),
}
SCHEDULE = {"2018-19": 1.0, "2019-20": 0.5, "2020-21": 0.0}


def pay(variance, rule, *, seed=0, year=0, **given):
    """Support (trust, draw) of the first trusts for given quarterly variances (quarter, trust, draw)."""
    variance = np.asarray(variance, np.float32)
    _, n_trusts, n = variance.shape
    context = make_context(n_trusts, seed=seed, **{name: values[:n_trusts] for name, values in PANEL.items()})
    block = make_block(context, rule, n, year=year, quarter_variance=variance, **given)
    rule.prepare(context).after_year(block)
    return block.paid[rule.name]


def test_a_forecasts_plan_counts_on_the_panels_own_allocations_and_on_who_agrees():
    """Whatever the schedule's value for the panel's year: later years are relative to it."""
    case = sr.load_case("england-2018-19").isel(trust=slice(0, 20))
    given, agreed = case["support_allocation"].values, case["control_total_agreed"].values
    half = sr.Regime("half", (sr.SustainabilityFunding(schedule={"2018-19": 0.5}),))
    forecast = sr.simulate(case, regime=half, n_draws=4)
    np.testing.assert_allclose(forecast["planned_support"], given * agreed)
    assert float(forecast["sector_plan_ytd"][-1]) == pytest.approx(case["plan"].sum() + given.sum())
    drawn = sr.Regime("drawn", (sr.SustainabilityFunding(acceptance="logit"),))
    expected = sr.simulate(case, regime=drawn, n_draws=4)["planned_support"].values
    assert ((expected > 0.0) & (expected < given) | (given == 0.0)).all()


def test_a_fund_made_from_this_one_pays_under_its_own_name():
    class OwnFund(sr.SustainabilityFunding):
        name = "own_fund"

    case = sr.load_case("england-2018-19").isel(trust=slice(0, 20))
    own, usual = (
        sr.simulate(case, regime=sr.Regime("one", (rule,)), n_draws=4)
        for rule in (OwnFund(), sr.SustainabilityFunding())
    )
    assert own["fund"].values.tolist() == ["own_fund"]
    np.testing.assert_array_equal(own["support"], usual["support"])


def by_trust(*quarters):
    """Variances (quarter, trust, one draw) from four for each trust."""
    return np.array(quarters, float).T[:, :, None]


def missed_at_year_end(n, variance):
    """Variance of one trust that meets its total in three quarters and not in the last, so no year-end payment."""
    quarters = np.full((4, 1, n), variance)
    quarters[3] = -1.0
    return quarters


def test_worked_by_hand():
    """A is on plan but in quarter 2, when it is 1 behind; B needs 1 more than plan by the year end and has 3."""
    rule = sr.SustainabilityFunding(access_met=1.0)
    support = pay(by_trust([0, -1, 0, 0], [0, 0.5, 0.75, 3.0], [9, 9, 9, 9]), rule)[:, 0]
    # A: 1.5 + 0 + (3 + .7 of the missed 2.0) + 3.5 = 9.4.
    # B: gate .25 is missed in quarter 1; then 2 + .7 * 1.5 + 3 + 3.5 = 9.55.
    # Left in the pot: 30 - 9.4 - 9.55 = 11.05. A beats its total by 0, B by 2: bonus 2; the other 9.05 in halves.
    np.testing.assert_allclose(support, [9.4 + 4.525, 9.55 + 2 + 4.525, 0], rtol=1e-6)


@pytest.mark.parametrize("pot", [10.0, 4.0])
def test_without_catch_up_missed_quarters_are_lost_to_the_year_end(pot):
    """Earned 3.5 in quarter 4; what the pot has left comes back as general distribution to the only trust."""
    rule = sr.SustainabilityFunding(access_met=1.0, catch_up=False, pot=pot)
    support = pay(by_trust([-1, -1, -1, 0]), rule)
    np.testing.assert_allclose(support, [[pot]], rtol=1e-6)


def test_access_standard_takes_its_share():
    n = 20_000
    never = sr.SustainabilityFunding(access_met=0.0)
    np.testing.assert_allclose(pay(missed_at_year_end(5, 0.0), never), 6.5 * 0.7, rtol=1e-6)
    often = pay(missed_at_year_end(n, 0.0), sr.SustainabilityFunding(access_met=0.78))
    # Mean .65 * (7 + 3 * .78); variance 3^2 * .78 * .22 * sum of squared weights.
    sd = 3 * np.sqrt(0.78 * 0.22 * (0.15**2 + 0.2**2 + 0.3**2))
    assert often.mean() == pytest.approx(0.65 * 9.34, abs=4 * sd / np.sqrt(n))


@pytest.mark.parametrize("year", [0, 2])
def test_acceptance_follows_the_ask(year):
    rule = sr.SustainabilityFunding(acceptance="logit", access_met=1.0)
    probability = rule.agreed(PANEL)
    assert probability[0] == probability[1] > 0.85 > probability[2]
    n = 20_000
    support = pay(np.repeat(missed_at_year_end(n, 5.0), 3, axis=1), rule, year=year)
    share = (support > 0).mean(axis=1)
    assert np.abs(share - probability).max() < 4 * np.sqrt(0.25 / n)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    pot=st.one_of(st.none(), st.floats(0, 60)),
    finance=st.floats(0, 1),
    catch_up=st.booleans(),
    spread=st.floats(0, 30),
    year=st.integers(0, 1),
)
def test_money_is_conserved(seed, pot, finance, catch_up, spread, year):
    """Payments are never negative nor above the pot, and use it up when anyone qualifies at the year end."""
    rule = sr.SustainabilityFunding(finance_share=finance, catch_up=catch_up, pot=pot, schedule=SCHEDULE)
    variance = np.random.default_rng(seed).normal(0, spread, (4, 3, 40)).astype(np.float32)
    support = pay(variance, rule, seed=seed, year=year).astype(float)
    assert (support >= 0).all()
    assert (support[2] == 0).all()
    total, limit = support.sum(axis=0), (30.0 if pot is None else pot) * (0.5 if year else 1.0)
    assert (total <= limit * (1 + 1e-6) + 1e-30).all()
    gap = np.array([0.0, 0.0 if year else 1.0])[:, None]
    anyone = (variance[3, :2] >= gap).any(axis=0)
    np.testing.assert_allclose(total[anyone], limit, rtol=1e-5, atol=1e-6)


# --- several years ----------------------------------------------------------------------------------------


def test_a_later_year_has_its_share_of_the_fund_and_gates_of_nought():
    """Half the fund: each allocation is 5 and the pot 15. B's control total is its plan now, so nought is enough."""
    rule = sr.SustainabilityFunding(access_met=1.0, schedule=SCHEDULE)
    on_plan = by_trust([0, 0, 0, -1], [0, 0, 0, 0], [9, 9, 9, 9])
    # A misses the last quarter: 65% of 5. B earns its 5 and what is left, 15 - 3.25 - 5.
    np.testing.assert_allclose(pay(on_plan, rule, year=1)[:, 0], [3.25, 11.75, 0], rtol=1e-6)
    np.testing.assert_allclose(pay(on_plan, rule.replace(pot=20.0), year=1)[:, 0], [3.25, 6.75, 0], rtol=1e-6)


def test_a_trust_that_left_control_totals_earns_nothing():
    rule = sr.SustainabilityFunding(access_met=1.0)
    support = pay(np.zeros((4, 2, 2)), rule, year=1, control_total=[[1, 0], [1, 1]])
    np.testing.assert_allclose(support, [[10, 0], [10, 20]], rtol=1e-6)


def planned(rule, *, year, **given):
    """Opening and planned support (trust, two draws) after the moment before the plan."""
    context = make_context(3, **PANEL)
    block = make_block(context, rule, 2, year=year, **given)
    rule.prepare(context).before_plan(block)
    return block.opening, block.planned_support


def test_plans_count_on_what_agreed_trusts_under_control_totals_are_allocated():
    rule = sr.SustainabilityFunding(schedule=SCHEDULE)
    np.testing.assert_array_equal(planned(rule, year=0)[1], [[10, 10], [10, 10], [0, 0]])
    left = {"control_total": [[1, 0], [1, 1], [1, 1]], "planned_support": 2.0}
    np.testing.assert_array_equal(planned(rule, year=1, **left)[1], [[7, 2], [7, 7], [2, 2]])
    drawn = rule.replace(acceptance="logit")
    np.testing.assert_allclose(planned(drawn, year=1)[1][:, 0], 5 * drawn.agreed(PANEL))


def test_money_moves_into_prices_in_the_very_year_named():
    rule = sr.SustainabilityFunding(schedule=SCHEDULE, into_prices={"2018-19": 5.0, "2020-21": 6.0})
    openings = [planned(rule, year=year, opening=-1.0)[0][:, 0] for year in range(4)]
    np.testing.assert_array_equal(openings, [[-1] * 3, [-1] * 3, [1] * 3, [-1] * 3])
    assert [rule.acts_in(label) for label in ("2017-18", "2019-20", "2020-21", "2021-22")] == [False, True, True, False]


def test_a_year_outside_the_schedule_changes_nothing():
    rule, context = sr.SustainabilityFunding(schedule=SCHEDULE), make_context(3, **PANEL)
    block = make_block(context, rule, 5, year=2, quarter_variance=1.0, opening=-3.0, plan=-1.0)
    before, prepared = copy.deepcopy(vars(block)), rule.prepare(context)
    prepared.before_plan(block)
    prepared.before_year(block)
    prepared.after_year(block)
    np.testing.assert_equal(vars(block), before)


def words(context, stream, year, first_draw, n):
    """Words 0 to 3 of each trust in a year, (trust, word, draw)."""
    out = np.empty((len(context.codes), 4, n), np.uint32)
    words_block(context.key(stream), context.hashes, year * YEAR, first_draw, out)
    return out


def earned_slowly(rule, allocation, gates, variance, access):
    """What a trust earns by quarter, and whether it met its total at the year end."""
    earned, missed, met = 0.0, 0.0, False
    for w, gate, v, standard in zip(rule.weights, gates, variance, access, strict=True):
        met = v >= gate
        if met:
            phi = rule.finance_share
            earned += allocation * (phi * (w + missed) + (1 - phi) * w * standard)
        missed = 0.0 if met or not rule.catch_up else missed + w
    return earned, met


def draw_slowly(rule, context, block, d, agreed_word, access_word):
    """Payments of all trusts in one draw, as the documentation has them."""
    panel, trusts = context.panel, range(len(context.codes))
    share = rule.schedule.at(block.label) if rule.schedule else 1.0
    allocations = [share * float(a) for a in panel["support_allocation"]]
    pot = share * (float(panel["support_allocation"].sum()) if rule.pot is None else rule.pot)
    total_gap = [0.0 if block.year else float(panel["control_total"][i] - panel["plan"][i]) for i in trusts]
    earned, claims = [0.0 for _ in trusts], {}
    for i in trusts:
        agreed = panel["support_allocation"][i] > 0 and agreed_word[i, 0, d] < 2**32 * rule.agreed(panel)[i]
        if not agreed or not block.control_total[i, d]:
            continue
        variance = [float(v) for v in block.quarter_variance[:, i, d]]
        access = [access_word[i, q, d] < 2**32 * rule.access_met for q in range(4)]
        gates = [total_gap[i] * q / 4 for q in (1, 2, 3, 4)]
        earned[i], met = earned_slowly(rule, allocations[i], gates, variance, access)
        if met:
            claims[i] = variance[3] - total_gap[i]
    return shared_slowly(pot, earned, claims, allocations)


def shared_slowly(pot, earned, claims, allocations):
    """Earnings within the pot; what is left first by pounds beaten, then by allocation."""
    total, beaten = sum(earned), sum(claims.values())
    left = max(pot - total, 0.0)
    bonus = min(left, beaten)
    paid = [e * min(1.0, pot / total) if total else 0.0 for e in earned]
    for i, claim in claims.items():
        paid[i] += claim * bonus / beaten if beaten else 0.0
        paid[i] += (left - bonus) * allocations[i] / sum(allocations[k] for k in claims)
    return paid


@pytest.mark.parametrize("seed", range(4))
def test_three_years_agree_with_a_slow_twin(seed):
    r, n_trusts, n, first = np.random.default_rng(seed), 6, 30, 1000 * seed
    plan = r.normal(-2, 3, n_trusts)
    context = make_context(
        n_trusts,
        seed=seed,
        plan=plan,
        control_total=plan + r.choice([0.0, 2.0, -1.0], n_trusts),
        support_allocation=r.choice([0.0, 5.0, 12.0], n_trusts, p=[0.2, 0.4, 0.4]),
        ask=r.uniform(2, 9, n_trusts),
    )
    rule = sr.SustainabilityFunding(
        acceptance="logit",
        pot=[None, 8.0, 40.0, None][seed],
        catch_up=seed != 2,
        schedule=SCHEDULE | {"2020-21": 0.3} if seed else {},
        into_prices={"2020-21": 9.0},
    )
    prepared = rule.prepare(context)
    for year in range(3):
        variance = np.where(r.random((4, n_trusts, n)) < 0.3, 0.0, r.normal(0, 3, (4, n_trusts, n)))
        under = (r.random((n_trusts, n)) < 0.8).astype(float)
        block = make_block(
            context, rule, n, year=year, first_draw=first, quarter_variance=variance, control_total=under
        )
        prepared.before_plan(block)
        prepared.after_year(block)
        drawn = [words(context, s, year, first, n) for s in ("control_total_acceptance", "access_standard")]
        expected = np.transpose([draw_slowly(rule, context, block, d, *drawn) for d in range(n)])
        np.testing.assert_allclose(block.paid[rule.name], expected, rtol=2e-5, atol=1e-5)
        planned_slowly(rule, context, block)


def planned_slowly(rule, context, block):
    """What plans may count on, and what has moved into prices."""
    panel, total = context.panel, float(context.panel["support_allocation"].sum())
    share = rule.schedule.at(block.label) if rule.schedule else 1.0
    moved = rule.into_prices[block.label] if block.label in rule.into_prices and block.year > 0 else 0.0
    for i, d in np.ndindex(block.opening.shape):
        a, excess = float(panel["support_allocation"][i]), panel["ask"][i] - panel["sector_ask"][i]
        logit = math.log(0.85 / 0.15) - rule.acceptance_slope * excess
        expected = share * a * block.control_total[i, d] / (1 + math.exp(-logit))
        assert block.planned_support[i, d] == pytest.approx(expected, rel=1e-5)
        assert block.opening[i, d] == pytest.approx(moved * a / total, rel=1e-5)


# --- the fund in a forecast, and its settings -------------------------------------------------------------


def test_fund_pays_its_pot_in_the_forecast(forecast, case):
    total = forecast["support"].astype(float).sum("trust")
    pot = float(case["support_allocation"].sum())
    assert float(total.max()) <= pot * (1 + 1e-6)
    np.testing.assert_allclose(total, pot, rtol=1e-6)
    difference = forecast["sector_position"] - forecast["sector_position_before_support"]
    np.testing.assert_allclose(difference, total, rtol=1e-5)


def test_refusers_get_nothing(forecast, case):
    refused = ~case["control_total_agreed"].astype(bool)
    assert float(forecast["support"].where(refused, drop=True).max()) == 0


def test_plans_expect_the_weights_by_quarter():
    path = sr.SustainabilityFunding().planned_path()
    np.testing.assert_allclose(path[[0, 2, 5, 8, 11]], [0.05, 0.15, 0.35, 0.65, 1.0])


def test_settings_are_refused_in_one_report():
    with pytest.raises(sr.InputError) as report:
        sr.SustainabilityFunding(
            weights=(0.5, 0.5), finance_share=2.0, pot=-1.0, acceptance="maybe", schedule={"2019": 0.5}
        )
    assert len(report.value.faults) == 5


@pytest.mark.parametrize(
    "weights", [(0.5, 0.5), (0.2, 0.2, 0.2, 0.2, 0.2), (1.5, -0.5, 0.0, 0.0), (0.5, 0.5, 0.5, 0.5)]
)
def test_weights_are_four_shares(weights):
    with pytest.raises(sr.InputError, match=r"weights: must (have 4 values|be at least 0|add up to one)"):
        sr.SustainabilityFunding(weights=weights)
