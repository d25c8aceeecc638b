"""Administrative savings: a case by hand, and the text of the rule as plain loops."""

from dataclasses import replace

import numpy as np
import pytest

import sector_risk as sr
from blocks import make_block, make_context
from sector_risk.regimes import AdministrativeSavings
from twin import group, normal

CENTRAL = "administrative_savings_central"


def run(rule, context, n_draws=3, *, first_draw=0, opening=0.0):
    """Blocks of all years of a context, each with the state of the one before."""
    prepared, state = rule.prepare(context), {}
    for year in range(len(context.years)):
        block = make_block(context, rule, n_draws, year=year, first_draw=first_draw, opening=opening, state=dict(state))
        prepared.before_plan(block)
        prepared.before_year(block)
        prepared.after_year(block)
        state = {name: values.copy() for name, values in block.state.items()}
        yield block


def test_worked_by_hand():
    """All is delivered: a fifth of 410 and 290 in each of five years, shared by turnover."""
    rule = AdministrativeSavings(delivery=1.0, delivery_sd=0.0)
    context = make_context(3, n_years=8, turnover=[100, 100, 200])
    blocks = list(run(rule, context, opening=-1.0))
    rises = [block.opening[:, 0] + 1.0 for block in blocks]
    np.testing.assert_allclose(rises[0], 0, atol=1e-6)  # 2018-19
    for rise in rises[1:6]:
        np.testing.assert_allclose(rise, [20.5, 20.5, 41.0], rtol=1e-6)
    np.testing.assert_allclose(rises[6:], 0, atol=1e-6)  # they are in the underlying position
    central = [block.central[1] for block in blocks]
    np.testing.assert_allclose(central, [0, 58, 116, 174, 232, 290, 290, 290], rtol=1e-6)
    np.testing.assert_allclose([block.state[CENTRAL][1] for block in blocks], central, rtol=1e-6)


def test_delivery_is_never_below_nought_and_has_the_mean_it_says():
    rule, context = AdministrativeSavings(), make_context(1, n_years=2)
    *_, block = run(rule, context, 20_000)
    delta = block.central / 58.0
    assert delta.min() >= 0
    assert delta.mean() == pytest.approx(0.7, abs=4 * 0.15 / np.sqrt(20_000))
    assert delta.std() == pytest.approx(0.15, rel=0.03)
    *_, block = run(AdministrativeSavings(delivery=0.0, delivery_sd=1.0), context, 2_000)
    assert (block.central == 0).mean() == pytest.approx(0.5, abs=0.05)


def test_centre_adds_to_what_other_rules_saved():
    rule, context = AdministrativeSavings(delivery=1.0, delivery_sd=0.0), make_context(1, first_year="2019-20")
    block = make_block(context, rule)
    block.central += 7.0
    prepared = rule.prepare(context)
    prepared.before_plan(block)
    prepared.after_year(block)
    np.testing.assert_allclose(block.central, 65.0)


def plain_years(rule, context, seed, draw):
    """Openings (trust) and the centre's gain of each year in one draw, as the text reads."""
    reached = 0.0
    for y, label in enumerate(context.years):
        k = int(label[:4]) - int(rule.first_year[:4]) + 1
        total, rise = sum(context.turnover[y]), [0.0 for _ in context.codes]
        if 1 <= k <= rule.years:
            F = normal(seed, "administrative_savings", draw, group("sector"), 4 * 2**16 * y)
            delta = max(rule.delivery + rule.delivery_sd * F, 0.0)
            rise = [rule.providers / rule.years * delta * T / total for T in context.turnover[y]]
            reached += rule.commissioners / rule.years * delta
        yield rise, reached


@pytest.mark.parametrize(("seed", "first_draw"), [(0, 0), (11, 1_000_000)])
def test_plain_loops_agree_over_three_years(seed, first_draw):
    rule = AdministrativeSavings(first_year="2019-20", years=2, delivery=0.4, delivery_sd=0.5)
    context = make_context(4, n_years=4, seed=seed, turnover=[50, 700, 20, 310])
    context = replace(context, turnover=context.turnover * [[1.0], [1.03], [1.1], [1.2]])
    blocks = list(run(rule, context, 25, first_draw=first_draw, opening=3.0))
    for j in range(25):
        for block, (rise, reached) in zip(blocks, plain_years(rule, context, seed, first_draw + j), strict=True):
            np.testing.assert_allclose(block.opening[:, j] - 3.0, rise, rtol=1e-4, atol=1e-5)
            assert block.central[j] == pytest.approx(reached, rel=1e-5, abs=1e-9)


def test_settings_are_refused_in_one_report():
    with pytest.raises(sr.InputError) as report:
        AdministrativeSavings(first_year="2019", years=0, providers=-1.0, delivery="most")
    assert len(report.value.faults) == 4
    with pytest.raises(sr.InputError, match="needs a first year"):
        AdministrativeSavings(first_year="")
