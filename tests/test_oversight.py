"""Oversight framework: published score tables, averages, segments and the override."""

import numpy as np
import pytest

import sector_risk as sr
from blocks import make_block, make_context
from sector_risk.regimes.oversight import OversightFramework, combined_score, plan_score, variance_score
from twin import normal

SEEN = {
    (1, 1): 1,
    (1, 2): 1,
    (1, 3): 2,
    (1, 4): 3,
    (2, 1): 2,
    (3, 1): 2,
    (3, 2): 3,
    (3, 4): 4,
    (4, 1): 2,
    (4, 2): 3,
    (4, 4): 4,
}
FILLED = {(2, 2): 2, (2, 3): 3, (2, 4): 3, (3, 3): 3, (4, 3): 4}
ALL = np.arange(1, 5)


def score(context, rule=None, n_draws=4, **given):
    """State of a block after one year of the rule alone; `received` is deficit support."""
    rule = rule or OversightFramework()
    received = given.pop("received", None)
    block = make_block(context, rule, n_draws, **given)
    if received is not None:
        block.paid["deficit_support"] = np.full(block.plan.shape, received, np.float32)
    rule.prepare(context).after_year(block)
    return block.state


def fixed(other, **changes):
    """A framework whose average score is `other`."""
    return OversightFramework(finance_weight=0.0, other_mean=other, other_sd=0.0, **changes)


@pytest.mark.parametrize(
    ("percent", "expected"),
    [
        (5.0, 1),
        (0.01, 1),
        (0.0, 1),
        (-0.01, 2),
        (-0.99, 2),
        (-1.0, 2),
        (-1.01, 3),
        (-1.99, 3),
        (-2.0, 3),
        (-2.01, 4),
        (-19.6, 4),
    ],
)
def test_plan_score(percent, expected):
    assert plan_score(percent) == expected
    assert plan_score([[percent]]).tolist() == [[expected]]


@pytest.mark.parametrize(
    ("percent", "expected"),
    [
        (1.0, 1),
        (0.0, 1),
        (-0.01, 2),
        (-0.49, 2),
        (-0.5, 2),
        (-0.51, 3),
        (-0.99, 3),
        (-1.0, 4),
        (-1.01, 4),
        (-8.8, 4),
    ],
)
def test_variance_score(percent, expected):
    assert variance_score(percent) == expected
    assert variance_score([[percent]]).tolist() == [[expected]]


def test_combined_score():
    assert len(SEEN) == 11
    for (plan, variance), expected in (SEEN | FILLED).items():
        assert combined_score(plan, variance) == expected, (plan, variance)


def test_no_step_of_the_combined_table_goes_down():
    table = combined_score(ALL[:, None], ALL)
    assert (np.diff(table, axis=0) >= 0).all()
    assert (np.diff(table, axis=1) >= 0).all()


@pytest.mark.parametrize("turnover", [100.0, 640.0])
def test_the_block_scores_as_the_pure_functions_do(turnover):
    """Amounts in steps of half a tenth of a per cent, every threshold among them, with planned support."""
    percent = np.arange(-60, 20) / 20
    plan, variance = np.meshgrid(percent, percent)
    plan, variance = plan.ravel() * turnover / 100, variance.ravel() * turnover / 100
    context = make_context(1, turnover=[turnover])
    state = score(context, n_draws=plan.size, plan=plan, planned_support=3.0, position=plan + 3.0 + variance)
    on_better_side = 0.005  # GBP 5,000
    expected = combined_score(
        plan_score(100 * (plan + on_better_side) / turnover),
        variance_score(100 * (variance + on_better_side) / turnover),
    )
    np.testing.assert_array_equal(state["finance_score"][0], expected)


@pytest.mark.parametrize(("plan", "expected"), [(-0.0049, 1), (-0.0051, 2), (-1.0049, 2), (-1.0051, 2), (-2.0051, 2)])
def test_plans_within_5000_pounds(plan, expected):
    """On plan, so the finance score is 1 for a plan score of 1 and 2 for any other."""
    assert (score(make_context(1), plan=plan, position=plan)["finance_score"] == expected).all()


@pytest.mark.parametrize(
    ("variance", "expected"), [(-0.0051, 1), (-0.5049, 1), (-0.5051, 2), (-1.0049, 2), (-1.0051, 3), (-9.0, 3)]
)
def test_variances_within_5000_pounds(variance, expected):
    """The plan is in surplus, so the finance score is 1, 1, 2 and 3 for variance scores of 1 to 4."""
    assert (score(make_context(1), plan=10.0, position=10.0 + variance)["finance_score"] == expected).all()


def test_a_variance_of_one_per_cent_is_not_above_it():
    """GBP 5,000 beyond it, to the pound, is at the threshold itself."""
    assert (score(make_context(1), plan=0.0, position=-1.005)["finance_score"] == 3).all()
    assert (score(make_context(1), plan=0.0, position=-0.505)["finance_score"] == 1).all()


def test_variance_is_measured_after_support():
    deficit_plan = {"plan": -5.0, "planned_support": 5.0}
    assert (score(make_context(1), position=0.0, **deficit_plan)["finance_score"] == 2).all()
    assert (score(make_context(1), position=-1.5, **deficit_plan)["finance_score"] == 4).all()


def test_average_score_by_hand():
    rule = OversightFramework(finance_weight=0.4, other_mean=2.0, other_sd=0.0)
    state = score(make_context(1), rule, plan=-3.0, position=-6.0)
    np.testing.assert_allclose(state["average_score"], 0.4 * 4 + 0.6 * 2.0, rtol=1e-6)


def test_other_domains_are_drawn_once_for_trust_and_draw():
    rule, n = OversightFramework(finance_weight=0.0), 6
    context = make_context(2, seed=3)
    years = [score(context, rule, n, year=year, first_draw=4)["average_score"] for year in range(3)]
    expected = [
        [2.32 + 0.45 * normal(3, "oversight_other", 4 + d, code, 0) for d in range(n)] for code in context.codes
    ]
    for average in years:
        np.testing.assert_allclose(average, expected, atol=1e-5)


def test_a_segment_in_the_panel_moves_the_mean_and_halves_the_spread():
    rule = OversightFramework(finance_weight=0.0)
    context = make_context(6, segment=[np.nan, 1, 2, 3.4, 3.6, 5], seed=1)
    average = score(context, rule, 4000)["average_score"]
    np.testing.assert_allclose(average.mean(axis=1), [2.32, 1.90, 2.19, 2.46, 2.80, 2.80], atol=0.03)
    np.testing.assert_allclose(average.std(axis=1), [0.45] + [0.225] * 5, rtol=0.05)


BY_SCORE = [(1.9, 1), (2.05, 2), (2.31, 2), (2.32, 3), (2.59, 3), (2.60, 4), (3.5, 4)]


@pytest.mark.parametrize(("average", "segment"), BY_SCORE)
def test_segment_is_one_plus_the_cut_points_reached(average, segment):
    state = score(make_context(2), fixed(average), plan=1.0, position=1.0, received=0.0)
    assert (state["segment"] == segment).all()


@pytest.mark.parametrize(("average", "segment"), BY_SCORE)
@pytest.mark.parametrize(
    "reason",
    [
        {"plan": -1.0, "position": 1.0},
        {"plan": 1.0, "position": -1.0},
        {"plan": 1.0, "position": 1.0, "received": 0.5},
    ],
    ids=["planned deficit", "deficit", "deficit support"],
)
def test_override_lifts_to_at_least_3(average, segment, reason):
    assert (score(make_context(2), fixed(average), **reason)["segment"] == max(segment, 3)).all()


def test_a_deficit_is_more_than_5000_pounds():
    assert (score(make_context(1), fixed(1.5), plan=-0.0049, position=-0.0049)["segment"] == 1).all()
    assert (score(make_context(1), fixed(1.5), plan=-0.0051, position=0.0)["segment"] == 3).all()
    assert (score(make_context(1), fixed(1.5), plan=0.0, position=-0.0051)["segment"] == 3).all()


def test_block_size_does_not_matter():
    context, position = make_context(3, seed=2), np.linspace(-3, 1, 30).reshape(3, 10)
    whole = score(context, n_draws=10, position=position)
    part = score(context, n_draws=4, position=position[:, 6:], first_draw=6)
    for name, values in part.items():
        np.testing.assert_array_equal(values, whole[name][:, 6:])


def test_bad_settings_are_named_together():
    bad = {"finance_weight": 1.5, "other_sd": -1.0, "cut_points": (2.0, 2.5), "segment_sd_share": True}
    with pytest.raises(sr.InputError) as error:
        OversightFramework(**bad)
    assert {fault.variable for fault in error.value.faults} == {f"oversight_framework.{name}" for name in bad}
    with pytest.raises(sr.InputError, match="cut_points: must not fall"):
        OversightFramework(cut_points=(2.6, 2.32, 2.05))
