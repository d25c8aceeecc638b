"""The financial recovery fund: cases worked by hand, the pot, the way out of control totals, and a slow twin."""

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sector_risk as sr
from blocks import make_block, make_context
from sector_risk.kernels.random import YEAR, words_block
from sector_risk.regimes.recovery import FinancialRecoveryFund

SURE = FinancialRecoveryFund(agreement=1.0)
NAME = FinancialRecoveryFund.name


def offer(rule, n_draws=1, *, n_trusts=3, year=1, first_year="2018-19", seed=0, **given):
    """A block after the moment before the year; trusts have a turnover of 100, year 1 is 2019-20."""
    context = make_context(n_trusts, first_year=first_year, seed=seed)
    block = make_block(context, rule, n_draws, year=year, **given)
    rule.prepare(context).before_year(block)
    return block


def pay(rule, variance, *, year=1, system=None, allocation=10.0, **given):
    """A block after the year; variances are four quarters for each trust, one draw."""
    variance = np.array(variance, float).T[:, :, None]
    context = make_context(variance.shape[1], system=system)
    room = np.full(variance.shape[1:], allocation, np.float32)
    block = make_block(
        context, rule, 1, year=year, quarter_variance=variance, state={"recovery_allocation": room}, **given
    )
    block.state.setdefault("left_control_totals", np.zeros(variance.shape[1:], bool))
    rule.prepare(context).after_year(block)
    return block


# --- who is offered how much ------------------------------------------------------------------------------

# A: gap 2 after other support. B: gap .4, no risk. C: gap 5, but saves 1.5% at most.
PLANS = {
    "plan": [[-3.0], [-0.4], [-5.0]],
    "planned_support": [[1.0], [0.0], [0.0]],
    "efficiency_plan": [[2.0], [2.0], [1.0]],
}


def test_worked_by_hand():
    block = offer(SURE, **PLANS)
    # A plans .5 more, so its gap is 1.5. C plans .5 more too, but 1.5 is below the 1.6 that is needed.
    np.testing.assert_allclose(block.efficiency_plan, [[2.5], [2.0], [1.5]])
    np.testing.assert_allclose(block.plan, [[-2.5], [-0.4], [-4.5]])
    np.testing.assert_allclose(block.state["recovery_allocation"], [[1.5], [0], [0]])
    np.testing.assert_allclose(block.planned_support, [[2.5], [0], [0]])


def test_the_panels_plan_holds_the_further_savings():
    block = offer(SURE, year=0, first_year="2019-20", **PLANS)
    np.testing.assert_array_equal(block.efficiency_plan, [[2], [2], [1]])
    np.testing.assert_allclose(block.plan, PLANS["plan"])
    np.testing.assert_allclose(block.state["recovery_allocation"], [[2], [0], [0]])


def test_a_short_pot_closes_the_smallest_gaps_first():
    """Gaps are 3, 1 and 5: of a pot of 3 the second is closed, and the others share 2 in proportion."""
    rule = SURE.replace(pots={"2019-20": 3.0}, extra_efficiency=0.0)
    block = offer(rule, plan=[[-4.0], [-2.0], [-6.0]], efficiency_plan=2.0, planned_support=1.0)
    np.testing.assert_allclose(block.state["recovery_allocation"][:, 0], [0.75, 1, 1.25], rtol=1e-6)
    np.testing.assert_allclose(block.planned_support[:, 0], [1.75, 2, 2.25], rtol=1e-6)


def test_outside_control_totals_nothing_is_asked_or_offered():
    block = offer(SURE, plan=-5.0, efficiency_plan=2.0, control_total=[[1.0], [0.0], [1.0]])
    np.testing.assert_allclose(block.state["recovery_allocation"][:, 0], [4.5, 0, 4.5])
    np.testing.assert_allclose(block.plan[:, 0], [-4.5, -5, -4.5])


def test_further_savings_beyond_the_gap_leave_no_claim():
    block = offer(SURE.replace(extra_efficiency=0.05), plan=-2.0, efficiency_plan=2.0)
    np.testing.assert_allclose(block.plan, 3.0)
    assert not block.state["recovery_allocation"].any()


@pytest.mark.parametrize("year", [0, 2])
def test_plans_exactly_on_the_mark_are_enough(year):
    """Rounding must not close the fund: .011 of turnover planned, and .005 asked for."""
    turnover = np.random.default_rng(1).uniform(20, 2000, 400)
    context = make_context(400, first_year="2019-20", turnover=turnover)
    share = 0.011 if year else 0.011 + 0.005
    block = make_block(context, SURE, 1, year=year, plan=-20.0, efficiency_plan=share * turnover[:, None])
    SURE.prepare(context).before_year(block)
    assert ((block.state["recovery_allocation"] > 0) == (0.005 * turnover[:, None] < 20)).all()


def test_recovery_plans_are_agreed_afresh_each_year():
    n, rule = 20_000, FinancialRecoveryFund()
    years = [offer(rule, n, year=y, plan=-5.0, efficiency_plan=2.0).state["recovery_allocation"] > 0 for y in (1, 2)]
    assert np.abs(np.mean(years, axis=(0, 2)) - 0.9).max() < 4 * np.sqrt(0.09 / (2 * n))
    both = (years[0] & years[1]).mean()
    assert both == pytest.approx(0.81, abs=4 * np.sqrt(0.81 * 0.19 / (3 * n)))


# --- what is earned ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quarters", "earned"),
    [
        ([0, 0, 0, 0], 10.0),
        ([-1, -1, -1, 0], 10.0),
        ([0, -1, 0, -1], 6.5),
        ([0, 0, -1, -1], 3.5),
        ([-1, 0, -1, -1], 3.5),
        ([1, -1, -1, -1], 1.5),
        ([-1, -1, -1, -1], 0.0),
    ],
)
def test_missed_quarters_are_earned_when_the_gate_is_met_later(quarters, earned):
    np.testing.assert_allclose(pay(SURE, [quarters]).paid[NAME], [[earned]], rtol=1e-6)


def test_from_2020_half_is_earned_on_the_system():
    """A and B are a system that is on plan in quarters 1 and 4; C is alone."""
    variance = [[1, 1, 1, 5], [0, -2, -2, -1], [0, 0, 0, -1]]
    paid = pay(SURE, variance, year=2, system=[0, 0, 1]).paid[NAME]
    np.testing.assert_allclose(paid[:, 0], [10, 0.5 * 1.5 + 0.5 * 10, 6.5], rtol=1e-6)
    paid = pay(SURE, variance, year=1, system=[0, 0, 1]).paid[NAME]
    np.testing.assert_allclose(paid[:, 0], [10, 1.5, 6.5], rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    pot=st.floats(0, 60),
    share=st.floats(0, 1),
    cuts=st.tuples(*[st.floats(0, 1)] * 3),
    spread=st.floats(0, 30),
    year=st.integers(0, 2),
)
def test_never_more_than_the_pot_nor_less_than_nought(seed, pot, share, cuts, spread, year):
    """Exactly, not only to rounding, and what is planned is no more either."""
    weights = tuple(np.diff([0.0, *sorted(cuts), 1.0]))
    table = {"2018-19": pot}
    rule = FinancialRecoveryFund(pots=table, weights=weights, system_share={"2018-19": share}, agreement=0.7)
    r, shape = np.random.default_rng(seed), (6, 40)
    context = make_context(6, seed=seed, system=r.integers(0, 3, 6))
    plan, efficiency = r.normal(-2, spread, shape), r.uniform(0, 5, shape)
    variance = np.where(r.random((4, *shape)) < 0.4, 0.0, r.normal(0, spread, (4, *shape)))
    block = make_block(context, rule, 40, year=year, plan=plan, efficiency_plan=efficiency, quarter_variance=variance)
    prepared = rule.prepare(context)
    prepared.before_year(block)
    prepared.after_year(block)
    planned, paid = block.planned_support.astype(float), block.paid[NAME].astype(float)
    assert (paid >= 0).all()
    assert (paid <= planned).all()
    assert (planned.sum(axis=0) <= pot + 1e-30).all()


# --- the way out of control totals ------------------------------------------------------------------------


def test_trusts_on_plan_and_in_balance_before_support_leave_from_2021():
    """B is behind its plan, C and D in deficit before support (D not after it), E within £5,000 of balance."""
    variance = [[0, 0, 0, 0], [0, 0, 0, -1], [-1, -1, -1, 0], [-1, -1, -1, 0], [-1, -1, -1, 0]]
    given = {
        "position_before_support": [[0.0], [5.0], [-1.0], [-1.0], [-0.004]],
        "allocation": [[0.0], [0.0], [0.9], [1.0], [0.0]],
    }
    block = pay(SURE, variance, year=2, **given)
    np.testing.assert_array_equal(block.control_total[:, 0], [0, 1, 1, 1, 0])
    np.testing.assert_array_equal(block.state["left_control_totals"][:, 0], [True, False, False, False, True])
    block = pay(SURE, variance, year=1, **given)
    assert block.control_total.all()
    assert not block.state["left_control_totals"].any()


def test_a_trust_that_left_stays_out():
    block = pay(SURE, [[-1, -1, -1, -1]], year=4, position_before_support=-5.0, control_total=0.0)
    assert not block.control_total.any()
    assert block.state["left_control_totals"].all()


def test_control_totals_may_never_end():
    never = SURE.replace(ends_control_totals="")
    block = pay(never, [[0, 0, 0, 0]], year=4)
    assert block.control_total.all()
    assert (SURE.ends_control_totals_from, never.ends_control_totals_from) == ("2020-21", "")


# --- years ------------------------------------------------------------------------------------------------


def snapshot_and_act(rule, year, **given):
    """All arrays of a block before and after the three moments of a year."""
    context = make_context(3)
    block = make_block(context, rule, 5, year=year, plan=-5.0, efficiency_plan=2.0, position=1.0, **given)
    block.state["recovery_allocation"][:] = 7.0
    before, prepared = copy.deepcopy(vars(block)), rule.prepare(context)
    for act in (prepared.before_plan, prepared.before_year, prepared.after_year):
        act(block)
    return before, vars(block)


def test_years_without_a_pot_change_nothing():
    """Neither before the first pot nor after the last, when last year's allocation must not be paid again."""
    rule = SURE.replace(pots={"2019-20": 50.0, "2021-22": 0.0}, ends_control_totals="2022-23")
    for year in (0, 3):
        before, after = snapshot_and_act(rule, year)
        np.testing.assert_equal(after, before)
    assert [rule.acts_in(label) for label in ("2018-19", "2020-21", "2021-22", "2022-23")] == [False, True, False, True]


def words(context, year, first_draw, n):
    out = np.empty((len(context.codes), 4, n), np.uint32)
    words_block(context.key("recovery_plan"), context.hashes, year * YEAR, first_draw, out)
    return out[:, 0]


def earned_slowly(weights, gates_met):
    """Share of the year that is earned: each quarter whose gate is met, and with it what was missed before."""
    earned, missed = 0.0, 0.0
    for w, met in zip(weights, gates_met, strict=True):
        if met:
            earned, missed = earned + w + missed, 0.0
        else:
            missed += w
    return earned


def shared_slowly(pot, gaps):
    """The smallest gaps in full while they fit, equal ones together; what is left in proportion to the others."""
    paid, left = [0.0] * len(gaps), pot
    for size in sorted(set(gaps)):
        equal = [i for i, gap in enumerate(gaps) if gap == size]
        if size * len(equal) > left:
            rest = [i for i, gap in enumerate(gaps) if gap >= size]
            for i in rest:
                paid[i] = left * gaps[i] / sum(gaps[k] for k in rest)
            break
        left -= size * len(equal)
        for i in equal:
            paid[i] = size
    return paid


class Twin:
    """One draw of the fund as the documentation has it, in plain numbers; kept from year to year."""

    def __init__(self, rule, context):
        self.rule, self.context = rule, context
        self.trusts = range(len(context.codes))
        self.under = [True for _ in self.trusts]

    def before(self, year, P, K, S, w):
        """Plans, efficiency plans, planned support and allocations; w is the trust's word."""
        rule, pot, claims = self.rule, self.rule.pots.at(self.context.years[year]), []
        for i in self.trusts if pot > 0 else ():
            T = self.context.turnover[year, i]
            d = -(P[i] + S[i])
            signals = d > rule.risk_threshold * T and self.under[i]
            if signals and year > 0:
                K[i] += rule.extra_efficiency * T
                P[i] += rule.extra_efficiency * T
                d -= rule.extra_efficiency * T
            saves = K[i] >= (rule.tariff_efficiency + rule.extra_efficiency) * T
            claims.append(max(d, 0.0) if signals and saves and w[i] < 2**32 * rule.agreement else 0.0)
        self.allocation = shared_slowly(pot, claims or [0.0] * len(self.trusts))
        return P, K, [s + a for s, a in zip(S, self.allocation, strict=True)], self.allocation

    def after(self, year, v, p):
        """Payments, and who is under control totals from the next year; v is (trust, quarter)."""
        rule, label, system = self.rule, self.context.years[year], self.context.system
        part, paid = rule.system_share.at(label), []
        for i in self.trusts:
            own = earned_slowly(rule.weights, [x >= 0 for x in v[i]])
            total = [sum(v[k][q] for k in self.trusts if system[k] == system[i]) for q in range(4)]
            shared = earned_slowly(rule.weights, [x >= 0 for x in total])
            paid.append(self.allocation[i] * ((1 - part) * own + part * shared))
        for i in self.trusts:
            in_deficit = p[i] < -0.005
            if label >= rule.ends_control_totals and v[i][3] >= 0 and not in_deficit:
                self.under[i] = False
        return paid


def random_year(r, context, year, shape):
    """Arrays of a year in which deficits, savings on either side of the marks and trusts on plan are all common."""
    T = context.turnover[year][:, None]
    return {
        "plan": r.normal(-0.02, 0.02, shape) * T,
        "planned_support": r.uniform(0, 0.01, shape) * T,
        "efficiency_plan": r.uniform(0.008, 0.03, shape) * T,
        "quarter_variance": np.where(r.random((4, *shape)) < 0.4, 0.0, r.normal(0, 2, (4, *shape))),
        "position_before_support": r.normal(-1, 2, shape),
    }


@pytest.mark.parametrize("seed", range(4))
def test_three_years_agree_with_a_slow_twin(seed):
    r, shape, first = np.random.default_rng(seed), (7, 30), 500 * seed
    pots = {"2019-20": 8.0, "2020-21": [1000.0, 5.0, 8.0, 0.0][seed]}
    rule = FinancialRecoveryFund(pots=pots, agreement=0.6, ends_control_totals="2020-21")
    context = make_context(7, n_years=3, first_year="2019-20", seed=seed, system=[0, 1, 0, 2, 1, 3, 0])
    prepared, twins = rule.prepare(context), [Twin(rule, context) for _ in range(30)]
    control_total, state = np.ones(shape, np.float32), {}
    for year in range(3):
        block = make_block(
            context,
            rule,
            30,
            year=year,
            first_draw=first,
            control_total=control_total,
            state=state,
            **random_year(r, context, year, shape),
        )
        start = copy.deepcopy(block)
        for act in (prepared.before_plan, prepared.before_year, prepared.after_year):
            act(block)
        compare(twins, start, block, words(context, year, first, 30))
        control_total, state = block.control_total, block.state
    assert 0 < (control_total == 0).mean() < 1


def compare(twins, start, block, drawn):
    """Every draw of a year beside the twin's."""
    for d, twin in enumerate(twins):
        P, K, S = (a[:, d].astype(float).tolist() for a in (start.plan, start.efficiency_plan, start.planned_support))
        before = twin.before(block.year, P, K, S, drawn[:, d])
        paid = twin.after(
            block.year, start.quarter_variance[:, :, d].T.astype(float).tolist(), start.position_before_support[:, d]
        )
        ours = (block.plan, block.efficiency_plan, block.planned_support, block.paid[NAME])
        for values, expected in zip(ours, (*before[:3], paid), strict=True):
            np.testing.assert_allclose(values[:, d], expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(block.control_total[:, d] > 0, twin.under)
        if twin.rule.may_leave(block.label):
            np.testing.assert_array_equal(block.state["left_control_totals"][:, d], ~np.array(twin.under))


# --- settings ---------------------------------------------------------------------------------------------


def test_settings_are_refused_in_one_report():
    with pytest.raises(sr.InputError) as report:
        FinancialRecoveryFund(
            pots={"2019-20": -1.0}, system_share={"2020": 0.5}, ends_control_totals="soon", weights=(0.5, 0.5)
        )
    assert len(report.value.faults) == 4


def test_weights_add_up_to_one():
    with pytest.raises(sr.InputError, match="weights: must add up to one"):
        FinancialRecoveryFund(weights=(0.5, 0.5, 0.5, 0.0))


def test_every_setting_has_its_evidence():
    rows = list(FinancialRecoveryFund().log(NAME))
    assert len(rows) == 8
    assert all(row.source and row.unit and row.meaning and row.confidence in "VDGW" for row in rows)
