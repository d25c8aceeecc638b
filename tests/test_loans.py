"""Distress loans: cases worked by hand, the published example, identities and a plain slow twin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sector_risk as sr
from blocks import make_block, make_context
from sector_risk.regimes.loans import DistressLoans


def run(rule, context, years):
    """Blocks of consecutive years, each given a mapping of arrays, after the rule has acted in all of them."""
    prepared, state, blocks = rule.prepare(context), {}, []
    for year, arrays in enumerate(years):
        arrays = {name: np.asarray(values, np.float32) for name, values in arrays.items()}
        quarters = np.zeros((4, *arrays["position"].shape), np.float32)
        quarters[:3], quarters[3] = -99.0, arrays.pop("variance", 0.0)
        n_draws = arrays["position"].shape[1]
        block = make_block(context, rule, n_draws, year=year, state=state, quarter_variance=quarters, **arrays)
        for act in (prepared.before_plan, prepared.before_year, prepared.after_year):
            act(block)
        state = {name: values.copy() for name, values in block.state.items()}
        blocks.append(block)
    return blocks


def column(values):
    return np.array(values, float)[:, None]


def test_published_example():
    """Debts of 83 at 3.5% and a deficit of 54 borrowed at 6% cost 6.1 a year (HSJ 7016644)."""
    context = make_context(1, debt=[83.0], loan_rate=[0.035])
    first, second = run(DistressLoans(), context, [{"position": [[-54.0]]}, {"position": [[0.0]], "opening": [[0.0]]}])
    assert float(first.state["debt"][0, 0]) == pytest.approx(137.0)
    assert float(first.state["interest"][0, 0]) == pytest.approx(83 * 0.035)
    assert float(second.state["interest"][0, 0]) == pytest.approx(6.1, abs=0.05)
    assert float(second.opening[0, 0]) == pytest.approx(-54 * 0.06, rel=1e-6)


def test_rate_of_new_loans():
    """Turnover 100 and a limit of 5: at it is not yet below it; distress goes before reward; on plan is at or above."""
    position, variance = [-5.0, -5.125, -5.125, -1.0, -1.0, -1.0], [-1.0, -1.0, 2.0, 0.0, 2.0, -0.001]
    context = make_context(6)
    years = [{"position": column(position), "variance": column(variance)}, {"position": np.zeros((6, 1))}]
    _, second = run(DistressLoans(distressed_below=0.05), context, years)
    expected = [5 * 0.035, 5.125 * 0.06, 5.125 * 0.06, 0.015, 0.015, 0.035]
    np.testing.assert_allclose(second.state["interest"][:, 0], expected, rtol=1e-6)


def test_limit_grows_with_turnover():
    context = make_context(1)
    context.turnover[1] = 200.0
    rule = DistressLoans(distressed_below=0.05)
    years = [{"position": [[-7.0]], "variance": [[-1.0]]}] * 2 + [{"position": [[0.0]]}]
    *_, third = run(rule, context, years)
    assert float(third.state["interest"][0, 0]) == pytest.approx(7 * 0.06 + 7 * 0.035, rel=1e-6)


def test_repayment_by_hand():
    """A quarter of the surplus is repaid, at most the whole debt, and the bill falls in proportion."""
    context = make_context(3, debt=[40.0, 4.0, np.nan], loan_rate=[0.05, np.nan, 0.06])
    years = [
        {"position": column([16.0, 80.0, 80.0])},
        {"position": column([0.0, -1.0, 0.0]), "variance": column([-1.0] * 3)},
    ]
    first, second = run(DistressLoans(), context, years)
    np.testing.assert_allclose(first.state["debt"][:, 0], [36.0, 0.0, 0.0])
    np.testing.assert_allclose(first.state["interest"][:, 0], [2.0, 4 * 0.035, 0.0], rtol=1e-6)
    np.testing.assert_allclose(second.opening[:, 0], [0.2, 0.14, 0.0], rtol=1e-5)
    np.testing.assert_allclose(second.state["interest"][:, 0], [1.8, 0.0, 0.0], rtol=1e-6)
    np.testing.assert_allclose(second.state["debt"][:, 0], [36.0, 1.0, 0.0])
    np.testing.assert_allclose(second.state["interest_due"][:, 0], [1.8, 0.035, 0.0], rtol=1e-6)


def test_year_of_the_panel_starts_from_its_debts():
    """What the state holds on entry to the first year does not matter, and plans of that year are the panel's."""
    context = make_context(2, debt=[10.0, 0.0])
    (block,) = run(DistressLoans(), context, [{"position": np.zeros((2, 3)), "opening": np.zeros((2, 3))}])
    np.testing.assert_allclose(block.state["debt"], [[10.0] * 3, [0.0] * 3])
    np.testing.assert_allclose(block.state["interest"], [[0.35] * 3, [0.0] * 3], rtol=1e-6)
    assert (block.opening == 0.0).all()


def test_a_panel_without_debts_has_none():
    (block,) = run(DistressLoans(), make_context(2), [{"position": np.ones((2, 3))}])
    assert not block.state["debt"].any()
    assert not block.state["interest_due"].any()
    assert np.isfinite(block.state["interest_due"]).all()


def slow_debt(rule, debt, bill, position, variance, turnover):
    """One trust, draw and year: debt and bill of the year to come."""
    borrowed, surplus = (-position, 0.0) if position < 0.0 else (0.0, position)
    rate = rule.standard_rate
    if variance >= 0.0:
        rate = rule.reward_rate
    if position < -rule.distressed_below * turnover:
        rate = rule.distressed_rate
    repaid = min(debt, rule.repayment * surplus)
    share = repaid / debt if debt > 0.0 else 0.0
    return debt - repaid + borrowed, bill * (1.0 - share) + rate * borrowed


SHARE = st.floats(0.0, 1.0)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), rates=st.tuples(SHARE, SHARE, SHARE), below=st.floats(0.001, 0.1), repaid=SHARE)
def test_twin_over_three_years(seed, rates, below, repaid):
    rule = DistressLoans(*rates, distressed_below=below, repayment=repaid)
    random, shape = np.random.default_rng(seed), (7, 6)
    panel = {"debt": random.uniform(0, 20, 7), "loan_rate": random.uniform(0, 0.1, 7)}
    panel["debt"][:2], panel["loan_rate"][3] = (0.0, np.nan), np.nan
    context = make_context(7, turnover=random.uniform(50, 500, 7), **panel)
    context.turnover[:] *= np.array([1.0, 1.03, 1.07, 1.1, 1.13])[:, None]
    names = (("position", 0.0, 15.0), ("variance", 0.0, 5.0), ("opening", 0.0, 9.0))
    years = [{name: random.normal(m, sd, shape).astype(np.float32) for name, m, sd in names} for _ in range(3)]
    blocks = run(rule, context, years)
    for i, j in np.ndindex(shape):
        debt = 0.0 if np.isnan(panel["debt"][i]) else float(panel["debt"][i])
        rate = rule.standard_rate if np.isnan(panel["loan_rate"][i]) else float(panel["loan_rate"][i])
        paid, bill = None, debt * rate
        for year, (arrays, block) in enumerate(zip(years, blocks, strict=True)):
            rise = 0.0 if paid is None else bill - paid
            near = {"rel": 1e-4, "abs": 1e-4}
            assert float(block.opening[i, j]) == pytest.approx(float(arrays["opening"][i, j]) - rise, **near)
            paid = bill
            amounts = float(arrays["position"][i, j]), float(arrays["variance"][i, j])
            debt, bill = slow_debt(rule, debt, bill, *amounts, float(context.turnover[year, i]))
            assert float(block.state["interest"][i, j]) == pytest.approx(paid, **near)
            assert float(block.state["debt"][i, j]) == pytest.approx(debt, **near)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32), repaid=SHARE)
def test_debts_are_never_negative_and_bills_lie_between_the_rates(seed, repaid):
    random = np.random.default_rng(seed)
    context = make_context(4, debt=random.uniform(0, 30, 4), loan_rate=random.uniform(0.015, 0.06, 4))
    years = [{"position": random.normal(0, 40, (4, 20)), "variance": random.normal(0, 9, (4, 20))} for _ in range(4)]
    for block in run(DistressLoans(repayment=repaid), context, years):
        debt, due = block.state["debt"].astype(float), block.state["interest_due"].astype(float)
        assert (debt >= 0.0).all()
        assert (due >= 0.015 * debt * (1 - 1e-5) - 1e-6).all()
        assert (due <= 0.06 * debt * (1 + 1e-5) + 1e-6).all()


def test_settings_are_refused_in_one_report():
    with pytest.raises(sr.InputError) as report:
        DistressLoans(standard_rate=-0.1, reward_rate=2.0, distressed_rate="6%", distressed_below=-1.0, repayment=1.5)
    variables = {fault.variable for fault in report.value.faults}
    fields = ("standard_rate", "reward_rate", "distressed_rate", "distressed_below", "repayment")
    assert variables == {f"distress_loans.{name}" for name in fields}


def test_variables_fit_what_is_written():
    debt, interest = DistressLoans.variables
    assert (debt.name, debt.unit, debt.sign) == ("debt", "GBP million", "owed positive")
    assert (interest.name, interest.unit, interest.dims) == ("interest", "GBP million", ("trust", "draw"))
