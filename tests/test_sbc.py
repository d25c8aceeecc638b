"""Ranks of the truth among draws that know the months seen are uniform (see sbc.py), and would not be if they erred.

Seeds are fixed, so each test either fails or does not; had they been drawn, one in a thousand runs of the whole file
would fail where nothing is wrong.
"""

import numpy as np
import pytest

import sector_risk as sr
from sbc import declare, histogram, p_of_independent, p_of_years, parts, rank, ranks_of, shown, years
from sector_risk import Assumptions, Shares

pytestmark = pytest.mark.filterwarnings("ignore:The model finds the reports:sector_risk.InputWarning")

N_DRAWS = 99
COMPARISONS = 3 * 2 + 2 * 2
ALARM = 1e-3 / COMPARISONS


def few():
    return sr.load_case("england-2018-19").isel(trust=slice(0, 227, 16))


def shared():
    """Thirty per cent of all variance is the sector's, half of that a type's, system's or region's."""
    a, shares = Assumptions(), Shares(sector=0.2, trust_type=0.05, system=0.05, region=0.05)
    dependence = a.dependence.replace(efficiency=shares, deterioration=shares, flexibility=shares, run_rate_sector=0.2)
    return a.replace(dependence=dependence)


def assert_uniform(ranks):
    sector, trusts, _ = parts(ranks)
    assert p_of_independent(sector, N_DRAWS) > ALARM
    assert p_of_years(trusts, N_DRAWS) > ALARM


@pytest.mark.parametrize("month", [3, 6, 9])
def test_what_is_known_after_months_is_calibrated(month):
    assert_uniform(ranks_of(few(), Assumptions(), month, n_years=100, n_draws=N_DRAWS))


def test_it_is_where_much_is_shared():
    assert_uniform(ranks_of(few(), shared(), 6, n_years=60, n_draws=N_DRAWS))


def test_it_is_with_declared_forecasts():
    assert_uniform(ranks_of(few(), Assumptions(), 6, n_years=60, n_draws=N_DRAWS, declared=True))


# --- that these tests can fail ----------------------------------------------------------------------------


def ranks_if(truth_of, n_years=100, n_trusts=23):
    """Ranks of made-up trusts that share a quarter of their variance, among draws that know what is shared."""
    rng = np.random.default_rng(1)
    own = rng.standard_normal((n_years, n_trusts))
    draws = rng.standard_normal((n_years, n_trusts, N_DRAWS))
    return rank(truth_of(own), draws, rng)


def test_true_draws_pass_and_draws_too_narrow_too_wide_or_aside_fail():
    assert p_of_years(ranks_if(lambda x: x), N_DRAWS) > 0.01
    assert p_of_independent(ranks_if(lambda x: x)[:, 0], N_DRAWS) > 0.01
    for wrong in (lambda x: 1.15 * x, lambda x: 0.85 * x, lambda x: x + 0.12):
        assert p_of_years(ranks_if(wrong), N_DRAWS) < ALARM
    for wrong in (lambda x: 1.8 * x, lambda x: 0.5 * x, lambda x: x + 0.6):
        assert p_of_independent(ranks_if(wrong)[:, 0], N_DRAWS) < ALARM


def test_draws_that_forget_what_trusts_share_fail():
    """Forecasts that each know one trust's reports only are too sure of the sector."""
    panel, a, rng, ranks = few(), shared(), np.random.default_rng(5), []
    truths = years(panel, a, 120)
    unaware = a.replace(dependence=Assumptions().dependence.replace(**dict.fromkeys(LEVELS, Shares(0, 0, 0, 0))))
    for k in range(120):
        year = truths.isel(draw=k)
        forecast = sr.condition(shown(panel, year, 6), unaware, through_month=6, n_draws=N_DRAWS, seed=k, threads=1)
        ranks.append(rank(year["sector_position"].values[None], forecast["sector_position"].values[None], rng))
    assert p_of_independent(np.array(ranks)[:, 0], N_DRAWS) < ALARM


LEVELS = ("efficiency", "deterioration", "flexibility")


def test_a_rank_among_equals_is_drawn_by_lot():
    draws = np.zeros((2000, 9))
    ranks = rank(np.zeros(2000), draws, np.random.default_rng(0))
    assert histogram(ranks, 9, 10).min() > 140
    assert rank(np.array([0.5]), np.array([[0.0, 0.4, 0.6, 1.0]]), np.random.default_rng(0)).tolist() == [2]


def test_histogram_counts_ranks_in_bins_of_one_size():
    assert histogram(np.array([[0, 4, 5, 99], [99, 99, 50, 0]]), 99, 20)[:, [0, 1, 10, 19]].tolist() == [
        [2, 1, 0, 1],
        [1, 0, 1, 2],
    ]
    with pytest.raises(ValueError, match="one size"):
        histogram(np.array([1]), 100, 10)


def test_declarations_follow_the_theory():
    panel, a = few(), Assumptions()
    year, turnover = years(panel, a, 1).isel(draw=0), panel["turnover"].values
    rng, plan = np.random.default_rng(4), panel["plan"].values
    declared = np.array([declare(panel, year, a.reporting, rng)["forecast"].values for _ in range(2000)]) - plan
    variance = year["variance"].values
    sure_to_miss = variance < -0.02 * turnover
    assert sure_to_miss.any()
    assert np.abs((declared[:, sure_to_miss] == 0.0).mean(axis=0) - 0.68).max() < 5 * np.sqrt(0.68 * 0.32 / 2000)
    assert (declared <= 0.0).all()
    revised = np.where(declared < 0.0, declared, np.nan)[:, sure_to_miss]
    error = (np.nanmean(revised, axis=0) - variance[sure_to_miss]) / turnover[sure_to_miss]
    assert np.abs(error).max() < 5 * 0.006 / np.sqrt(500)
