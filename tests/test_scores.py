"""Scores against closed forms and against figures worked out by hand."""

import builtins

import numpy as np
import pytest
from scipy import special, stats

from sector_risk import scores

PI = np.pi


def normal_crps(y):
    """CRPS of a standard Normal (Gneiting and Raftery 2007)."""
    return y * (2.0 * special.ndtr(y) - 1.0) + 2.0 * stats.norm.pdf(y) - 1.0 / np.sqrt(PI)


# CRPS


def test_crps_of_normal_draws_is_near_its_formula():
    n, outcomes = 4_000, np.array([-3.0, -0.5, 0.0, 1.2, 2.5])
    draws = np.random.default_rng(1).standard_normal((len(outcomes), n))
    error = 4.0 * np.sqrt(1.0 / n)  # |X - y| has an sd of at most 1
    np.testing.assert_allclose(scores.crps(draws, outcomes), normal_crps(outcomes), atol=error)


def test_crps_of_two_draws_by_hand():
    # E|X - y| = (3 + 2) / 2, E|X - X'| / 2 = 1/4
    assert scores.crps([[0.0, 1.0]], [3.0]) == pytest.approx(2.25)


def test_crps_does_not_depend_on_the_order_of_draws():
    draws = np.random.default_rng(2).standard_normal((3, 50))
    shuffled = np.random.default_rng(3).permuted(draws, axis=1)
    np.testing.assert_allclose(scores.crps(shuffled, [0.0, 1.0, 2.0]), scores.crps(draws, [0.0, 1.0, 2.0]), rtol=1e-12)


@pytest.mark.parametrize("score", [scores.crps, scores.weighted_interval_score])
def test_scores_of_a_point_are_its_absolute_error(score):
    np.testing.assert_allclose(score([[1.0], [-2.0], [0.5]], [3.0, -2.0, -1.0]), [2.0, 0.0, 1.5], atol=1e-12)


# WIS


def test_wis_by_hand():
    draws = np.arange(1.0, 101.0)  # quantile p is 100 p
    outcome = 97.0
    intervals = {0.5: (25.0, 75.0), 0.2: (10.0, 90.0), 0.1: (5.0, 95.0)}
    total = 0.5 * abs(outcome - 50.0)
    for alpha, (low, high) in intervals.items():
        total += alpha / 2 * (high - low + 2 / alpha * max(outcome - high, 0.0))
    assert scores.weighted_interval_score([draws], [outcome]) == pytest.approx(total / 3.5)


def test_wis_is_twice_the_mean_quantile_loss():
    draws, outcome = np.random.default_rng(4).gamma(2.0, size=(6, 999)), np.array([0.0, 0.5, 1.0, 2.0, 4.0, 9.0])
    levels = np.array([0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95])
    off = outcome[:, None] - scores.quantiles(draws, levels)
    loss = np.where(off >= 0, levels * off, (levels - 1.0) * off)
    np.testing.assert_allclose(scores.weighted_interval_score(draws, outcome), 2.0 * loss.mean(axis=1), rtol=1e-9)


# Coverage and PIT


def test_an_interval_has_its_ends():
    draws = np.tile(np.arange(1.0, 11.0), (4, 1))  # central 80%: from 1 to 9
    inside = scores.covered(draws, [1.0, 9.0, 0.99, 9.01], [0.8])[:, 0]
    assert inside.tolist() == [True, True, False, False]


def test_an_atom_is_covered_where_the_interval_reaches_it():
    draws = [[0.0] * 90 + [-5.0] * 10]
    assert scores.covered(draws, [0.0]).all()
    assert not scores.covered(draws, [-5.0], [0.5]).any()


def test_pit_bounds_by_hand():
    low, high = scores.pit_bounds([[-1.0, 0.0, 0.0, 2.0]] * 3, [0.0, -3.0, 1.0])
    np.testing.assert_allclose(low, [1 / 5, 0.0, 3 / 5])
    np.testing.assert_allclose(high, [4 / 5, 1 / 5, 4 / 5])


def mixed(rng, shape):
    """Draws as of a variance: half exactly on plan, half below."""
    return np.where(rng.random(shape) < 0.5, 0.0, -rng.gamma(2.0, size=shape))


def test_pit_of_right_forecasts_is_uniform_atom_and_all():
    rng, n = np.random.default_rng(5), 2_000
    values = scores.pit(mixed(rng, (n, 99)), mixed(rng, n), [f"ZZ{k}" for k in range(n)])
    assert scores.pit_p_value(values) > 0.001
    low, high = stats.binom.ppf([1e-5, 1 - 1e-5], n, 0.1)
    once = scores.pit_histogram(values[:, :1])
    assert ((once >= low) & (once <= high)).all()
    assert stats.kstest(values[:, 0], "uniform").pvalue > 0.001


@pytest.mark.parametrize("wrong", [lambda x: 0.5 * x, lambda x: x - 0.5], ids=["too narrow", "too low"])
def test_pit_of_wrong_forecasts_is_not(wrong):
    rng, n = np.random.default_rng(6), 2_000
    values = scores.pit(wrong(rng.standard_normal((n, 99))), rng.standard_normal(n), [f"ZZ{k}" for k in range(n)])
    assert scores.pit_p_value(values) < 1e-6


def test_pit_of_a_unit_does_not_depend_on_the_others():
    draws, outcome, names = np.zeros((3, 20)), np.zeros(3), ["ZZ1", "ZZ2", "ZZ3"]
    whole = scores.pit(draws, outcome, names, seed=7)
    np.testing.assert_array_equal(scores.pit(draws[1:], outcome[1:], names[1:], seed=7), whole[1:])
    assert (scores.pit(draws, outcome, names, seed=8) != whole).all()
    assert (scores.pit(draws, outcome, names, seed=7, stream="other") != whole).all()


def test_ks_distance_is_that_of_scipy():
    values = np.random.default_rng(8).random((40, 5))
    expected = [stats.kstest(column, "uniform").statistic for column in values.T]
    np.testing.assert_allclose(scores.ks_distance(values), expected, rtol=1e-12)


def test_p_value_with_shared_causes_is_uniform_where_the_plain_one_is_not():
    rng, years, units, n = np.random.default_rng(9), 120, 60, 200
    plain, shared = [], []
    for _ in range(years):
        joint = rng.standard_normal((units, n + 1)) + 1.5 * rng.standard_normal(n + 1)
        values = scores.pit(joint[:, 1:], joint[:, 0], [f"ZZ{k}" for k in range(units)])
        plain.append(scores.pit_p_value(values))
        shared.append(scores.pit_p_value_shared(joint[:, 1:], values))
    assert np.mean(np.array(plain) < 0.05) > 0.5
    assert stats.kstest(shared, "uniform").pvalue > 0.001


def test_pit_band_holds_95_per_cent():
    low, high = scores.pit_band(58)
    assert stats.binom.cdf(high, 58, 0.1) - stats.binom.cdf(low - 1, 58, 0.1) >= 0.95


def test_one_way_to_break_ties_does_not_decide():
    rng, n = np.random.default_rng(10), 60
    draws, outcome, names = mixed(rng, (n, 99)), mixed(rng, n), [f"ZZ{k}" for k in range(n)]
    seeds = [scores.pit(draws, outcome, names, seed=seed) for seed in range(6)]
    alone = [stats.kstest(values[:, 0], "uniform").pvalue for values in seeds]
    together = [scores.pit_p_value(values) for values in seeds]
    assert np.ptp(together) < 0.25 * np.ptp(alone)


# On plan


def test_what_counts_as_on_plan_is_nought_to_the_limit():
    limit = 100.0 * 0.0002
    values = [100.0 * (0.0002 * 366.1 * 9 / 12) / (366.1 * 9 / 12), -limit, 0.0201, -0.03]
    assert scores.on_plan_as_nought(values, limit).tolist() == [0.0, 0.0, 0.0201, -0.03]


def test_without_the_library_the_error_names_the_extra(monkeypatch):
    found = builtins.__import__

    def missing(name, *args, **kwargs):
        if name == "scoringrules":
            raise ImportError(name)
        return found(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match=r"sector-risk\[scores\]"):
        scores.crps([[0.0]], [0.0])
