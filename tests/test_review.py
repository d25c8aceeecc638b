"""Quarter 1 review: a case by hand, and the text of the rule as plain loops."""

import numpy as np
import pytest

import sector_risk as sr
from blocks import make_block, make_context
from sector_risk.regimes import QuarterOneReview


def review(rule, context, variance, *, plan=0.0, year=0, state=None):
    """The block after the year, for variances (trust, draw) at month 3."""
    variance = np.asarray(variance, np.float32)
    quarters = np.stack([variance, 2 * variance, -variance, 9 * variance])  # only the first quarter counts
    n = variance.shape[1]
    block = make_block(context, rule, n, year=year, quarter_variance=quarters, plan=plan, state=state or {})
    prepared = rule.prepare(context)
    prepared.before_plan(block)
    prepared.before_year(block)
    prepared.after_year(block)
    return block


def test_worked_by_hand():
    """Two regions; by turnover the first has -1%, -.5%, -1%, the second -.2% (not below the threshold) and +3%."""
    context = make_context(5, region=[0, 0, 0, 1, 1], turnover=[100, 400, 200, 100, 100])
    variance = np.array([[-1.0], [-2.0], [-2.0], [-0.2], [3.0]])
    block = review(QuarterOneReview(per_region=1), context, variance, plan=np.array([[-4.0], [1], [2], [3], [4]]))
    # Trusts 1 and 3 are equal, and 1 comes first. It gives up half of -1 * 4.
    assert block.state["reviewed"][:, 0].tolist() == [True, False, False, False, False]
    np.testing.assert_array_equal(block.state["reset_plan"][:, 0], [-6, 1, 2, 3, 4])
    np.testing.assert_array_equal(block.plan[:, 0], [-4, 1, 2, 3, 4])

    two = review(QuarterOneReview(per_region=2, recognised=1.0, threshold=0.001), context, variance)
    assert two.state["reviewed"][:, 0].tolist() == [True, False, True, True, False]
    np.testing.assert_allclose(two.state["reset_plan"][:, 0], [-4, 0, -8, -0.8, 0])


def test_all_are_called_where_a_region_has_no_more():
    context = make_context(3, region=[2, 0, 2])
    block = review(QuarterOneReview(per_region=50, threshold=0.0), context, [[-1.0, 0.0], [-0.1, -9.0], [0.1, -1e-6]])
    assert block.state["reviewed"].tolist() == [[True, False], [True, True], [False, True]]


def test_positions_do_not_change():
    context = make_context(3)
    block = review(QuarterOneReview(), context, [[-5.0], [-6.0], [7.0]])
    for values in (block.position, block.position_before_support, block.plan, block.opening, block.central):
        assert not values.any()


def plain_review(variance, plan, turnover, region, rule):
    """One draw, as the text reads."""
    reviewed = [False] * len(plan)
    for r in set(region):
        behind = [i for i in range(len(plan)) if region[i] == r and variance[i] < -rule.threshold * turnover[i]]
        for i in sorted(behind, key=lambda i: (variance[i] / turnover[i], i))[: rule.per_region]:
            reviewed[i] = True
    reset = [plan[i] + rule.recognised * 4 * variance[i] if reviewed[i] else plan[i] for i in range(len(plan))]
    return reviewed, reset


@pytest.mark.parametrize("seed", range(4))
def test_plain_loops_agree_over_three_years(seed):
    random = np.random.default_rng(seed)
    n_trusts, n = 23, 40
    region = random.integers(0, 4, n_trusts)
    turnover = random.uniform(50, 900, n_trusts)
    context = make_context(n_trusts, n_years=3, region=region, turnover=turnover)
    rule = QuarterOneReview(per_region=int(random.integers(1, 5)), threshold=0.004, recognised=0.7)
    state = None
    for year in range(3):
        variance = (random.normal(-0.002, 0.006, (n_trusts, n)) * turnover[:, None]).astype(np.float32)
        plan = random.normal(0, 10, (n_trusts, n)).astype(np.float32)
        block = review(rule, context, variance, plan=plan, year=year, state=state)
        state = block.state
        for d in range(n):
            reviewed, reset = plain_review(
                variance[:, d].astype(float), plan[:, d].astype(float), turnover, region, rule
            )
            assert state["reviewed"][:, d].tolist() == reviewed
            np.testing.assert_allclose(state["reset_plan"][:, d], reset, rtol=1e-6, atol=1e-5)


def test_settings_are_refused_in_one_report():
    with pytest.raises(sr.InputError) as report:
        QuarterOneReview(per_region=0, threshold=-1.0, recognised=1.5)
    assert len(report.value.faults) == 3
    with pytest.raises(sr.InputError, match=r"quarter_one_review\.per_region: must be a whole number"):
        QuarterOneReview(per_region=2.5)
