"""Payment reform: transfers that add up to nought, a case by hand, and the text of the rule as plain loops."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import sector_risk as sr
from blocks import make_block, make_context
from sector_risk.regimes import PaymentReform
from sector_risk.regimes.payment import market_forces, phi, phi_step, to_inequality

NAN = math.nan


def sectors(low, high, *, gaps=False):
    """Turnover and another number of each of a few trusts."""
    values = st.floats(low, high) | st.just(NAN) if gaps else st.floats(low, high)
    return st.integers(1, 12).flatmap(
        lambda n: st.tuples(
            hnp.arrays(float, n, elements=st.floats(1.0, 2000.0)), hnp.arrays(float, n, elements=values)
        )
    )


@given(sectors(-1.0, 1.0))
def test_market_forces_move_money_and_add_none(sector):
    turnover, change = sector
    moved = market_forces(turnover, change)
    assert abs(moved.sum()) <= 1e-12 * turnover.sum()
    np.testing.assert_allclose(market_forces(turnover, change + 0.25), moved, atol=1e-9)


@given(sectors(-5.0, 200.0, gaps=True), st.floats(0.0, 3000.0))
def test_inequality_moves_money_and_adds_none(sector, pot):
    turnover, index = sector
    moved = to_inequality(turnover, index, pot)
    assert abs(moved.sum()) <= 1e-12 * pot + 1e-300
    assert moved[np.isnan(index)].max(initial=0.0) <= 0.0
    assert (moved >= -pot * turnover / turnover.sum() - 1e-9).all()
    lowest = moved[index == np.nanmin(index, initial=math.inf)]
    assert lowest.max(initial=0.0) <= 0.0


@given(sectors(0.0, 1.0), st.floats(-200.0, 200.0))
@example((np.array([453.0, 546.0, 873.0, 656.0, 100.0]), np.array([1, 1, 1, 1, 0.0])), 5.3)  # mean just below 5.3
def test_nothing_moves_if_no_index_is_above_the_mean(sector, index):
    """Nor if the trusts that have an index all have the same."""
    turnover, stated = sector
    same = np.where(stated > 0.5, index, NAN)
    assert not to_inequality(turnover, same, 1000.0).any()
    assert not to_inequality(turnover, np.full(turnover.shape, index), 1000.0).any()
    assert not to_inequality(turnover, np.full(turnover.shape, NAN), 1000.0).any()


def test_transfers_by_hand():
    turnover = np.array([100.0, 300.0, 600.0])
    # Changes weighted by turnover: (1 - 3 + 6) of 1000 is .004.
    np.testing.assert_allclose(market_forces(turnover, np.array([0.01, -0.01, 0.01])), [0.6, -4.2, 3.6])
    # Mean index (300 + 300 + 600) / 1000 = 1.2: only the first is above it, gets the pot and pays a tenth of it.
    np.testing.assert_allclose(to_inequality(turnover, np.array([3.0, 1.0, 1.0]), 50.0), [45, -15, -30])
    # One that says nothing counts as the mean of the others, (300 + 600) / 700, and pays.
    np.testing.assert_allclose(to_inequality(turnover, np.array([3.0, NAN, 1.0]), 50.0), [45, -15, -30])


def test_share_reached_rises_by_equal_steps():
    labels = ("2018-19", "2019-20", "2020-21", "2021-22", "2022-23", "2023-24", "2024-25")
    np.testing.assert_allclose([phi(label, "2019-20", 5) for label in labels], [0, 0.2, 0.4, 0.6, 0.8, 1, 1])
    np.testing.assert_allclose([phi_step(label, "2019-20", 5) for label in labels], [0, 0.2, 0.2, 0.2, 0.2, 0.2, 0])
    assert phi("2019-20", "2019-20", 1) == phi_step("2019-20", "2019-20", 1) == 1.0


def years_of(rule, context, n_draws=2, opening=0.0):
    """Blocks of all years of a context."""
    prepared = rule.prepare(context)
    for year in range(len(context.years)):
        block = make_block(context, rule, n_draws, year=year, opening=opening)
        prepared.before_plan(block)
        prepared.before_year(block)
        prepared.after_year(block)
        yield block


def test_worked_by_hand():
    """The market forces factor moves 1.5 from the first trust to the second, in five steps of .3."""
    context = make_context(2, n_years=8, turnover=[100, 300], mff_change=[0.0, 0.02], activity_income_share=[NAN, 1.0])
    blocks = list(years_of(PaymentReform(), context))
    moved = np.array([block.opening[:, 0] for block in blocks])
    np.testing.assert_allclose(moved, np.outer([0, 1, 1, 1, 1, 1, 0, 0], [-0.3, 0.3]), rtol=1e-6)
    volatility = np.array([block.volatility for block in blocks])
    np.testing.assert_array_equal(volatility[0], [1, 1])
    # Complete: half of .55 and of 1 is left to volume, which has .3 of the variance: 1 - .3 s (1 - .25).
    np.testing.assert_allclose(volatility[5:], [[math.sqrt(0.87625), math.sqrt(0.775)]] * 3, rtol=1e-6)
    # The first fifth: 1 - .3 s (1 - .81).
    np.testing.assert_allclose(volatility[1], [math.sqrt(1 - 0.03135), math.sqrt(1 - 0.057)], rtol=1e-6)


def test_volatility_multiplies_what_other_rules_left():
    context = make_context(1, first_year="2030-31", activity_income_share=[1.0])
    rule = PaymentReform(activity_part=1.0, population_share=1.0)
    block = make_block(context, rule, volatility=0.5)
    rule.prepare(context).before_year(block)
    np.testing.assert_allclose(block.volatility, 0.0, atol=1e-7)
    rule = PaymentReform(activity_part=0.75, population_share=1.0)
    block = make_block(context, rule, volatility=0.5)
    rule.prepare(context).before_year(block)
    np.testing.assert_allclose(block.volatility, 0.25)


def plain_year(rule, panel, label):
    """What a year adds to each opening, and its volatility, as the text reads; no number of the panel is missing."""
    T, x = panel["turnover"], panel["inequality_index"]
    trusts, total = range(len(T)), sum(panel["turnover"])
    k = int(label[:4]) - int(rule.first_year[:4]) + 1
    reached, before = (min(max(i / rule.years, 0.0), 1.0) for i in (k, k - 1))
    mean_change = sum(T[i] * panel["mff_change"][i] for i in trusts) / total
    mean_index = sum(T[i] * x[i] for i in trusts) / total
    w = [max(x[i] - mean_index, 0.0) for i in trusts]
    all_w = sum(T[i] * w[i] for i in trusts)
    rises, volatility = [], []
    for i in trusts:
        m = T[i] * (panel["mff_change"][i] - mean_change)
        e = rule.inequality_pot * (T[i] * w[i] / all_w - T[i] / total)
        rises.append((reached - before) * (m + e))
        left = (1 - rule.population_share * reached) ** 2
        volatility.append(math.sqrt(1 - rule.activity_part * panel["activity_income_share"][i] * (1 - left)))
    return rises, volatility


@pytest.mark.parametrize("seed", range(4))
def test_plain_loops_agree_over_the_years(seed):
    random = np.random.default_rng(seed)
    panel = {
        "turnover": random.uniform(20, 900, 9),
        "mff_change": random.normal(0, 0.02, 9),
        "inequality_index": random.uniform(5, 60, 9),
        "activity_income_share": random.uniform(0, 1, 9),
    }
    rule = PaymentReform(years=2, inequality_pot=80.0, population_share=0.8, activity_part=0.6)
    context = make_context(9, n_years=4, **panel)
    opening = random.normal(-5, 10, (9, 6)).astype(np.float32)
    for block in years_of(rule, context, 6, opening):
        rises, volatility = plain_year(rule, panel, block.label)
        np.testing.assert_allclose(block.volatility, volatility, rtol=1e-6)
        for d in range(6):
            np.testing.assert_allclose(block.opening[:, d] - opening[:, d], rises, atol=1e-5)


def test_settings_are_refused_in_one_report():
    with pytest.raises(sr.InputError) as report:
        PaymentReform(first_year="soon", years=0, inequality_pot=-1.0, activity_share=2.0, activity_part=-0.1)
    assert len(report.value.faults) == 5
    with pytest.raises(sr.InputError, match="needs a first year"):
        PaymentReform(first_year="")
