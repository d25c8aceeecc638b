"""Does a fit find what is true? Histories are simulated from known parameters, and fitted through the public path.

The truths come from the prior, so a 90% interval must hold the truth in 90% of cases, whatever history identifies.
One emulator serves all replicates: it depends on design and seed, not on history.
"""

import numpy as np
import pytest
from scipy import stats

import sector_risk as sr
from sector_risk.calibration import calibrate, sector_outturn
from sector_risk.calibration.parameters import NAMES, PRIOR_MEAN, PRIOR_SD, put_values
from sector_risk.calibration.statistics import sector_left_out, sector_statistics, simulate_quarters
from sector_risk.history import QUARTER_ENDS, Figure, History

REPLICATES, YEARS = 24, 6
DESIGN = {"points": 512, "n_draws": 128}
TURNOVER, SAVINGS = 80_000.0, 3_600.0


def history_of(statistics):
    """Figures that say what the statistics of some years were, one column a year."""
    figures = []
    for k, column in enumerate(statistics.T):
        year = f"20{10 + k}-{11 + k}"
        known = {(12, "turnover"): TURNOVER, (12, "efficiency_plan"): SAVINGS}
        for i, month in enumerate(QUARTER_ENDS):
            known |= {(month, "plan_ytd"): 0.0, (month, "actual_ytd"): column[i] * TURNOVER / 100}
            known[month, "share_below_plan"] = float(np.clip(column[4 + i], 0, 1))
        known[12, "efficiency_delivered"] = column[8] * SAVINGS
        known[12, "efficiency_one_off"] = column[8] * SAVINGS * column[9]
        figures += [Figure(year, m, name, float(v), "simulated", "D") for (m, name), v in known.items()]
    return History(tuple(figures))


def simulated_years(case, u, n_years, seed):
    """Statistics of years simulated under parameters u, with what the model is said to leave out."""
    year = simulate_quarters(case, put_values(sr.Assumptions(), u), n_years, seed)
    left_out = np.linalg.cholesky(sector_left_out()) @ np.random.default_rng(seed).standard_normal((10, n_years))
    return sector_statistics(year, float(case["turnover"].sum())) + left_out


@pytest.fixture(scope="module")
def replicates(case):
    """Truths (u) and the fits to histories that they made."""
    rng = np.random.default_rng(99)
    truths = PRIOR_MEAN + PRIOR_SD * np.clip(rng.standard_normal((REPLICATES, len(NAMES))), -2, 2)
    seeds = range(50_000, 50_000 + REPLICATES)
    made = [simulated_years(case, u, YEARS + 1, seed) for u, seed in zip(truths, seeds, strict=True)]
    fits = [calibrate(history_of(m[:, :YEARS]), **DESIGN) for m in made]
    return truths, fits, np.array([m[:, YEARS] for m in made])


@pytest.fixture(scope="module")
def probability(replicates):
    """Where each truth lies in its posterior, (replicate, parameter): uniform if fits are right."""
    truths, fits, _ = replicates
    mean, sd = np.array([f.mean for f in fits]), np.array([np.sqrt(np.diag(f.covariance)) for f in fits])
    return stats.norm.cdf((truths - mean) / sd)


def test_ninety_per_cent_intervals_hold_the_truth(probability):
    """216 intervals; parameters of one fit count as if every second one were independent."""
    inside = ((probability > 0.05) & (probability < 0.95)).mean()
    assert abs(inside - 0.9) < 3 * np.sqrt(0.9 * 0.1 / (probability.size / 2))


def test_no_parameter_is_missed_too_often(probability):
    """24 intervals each: as few as this in one of nine parameters by chance once in a thousand times."""
    inside = ((probability > 0.05) & (probability < 0.95)).sum(axis=0)
    assert inside.min() >= stats.binom.ppf(0.001 / len(NAMES), REPLICATES, 0.9)


def test_truths_lie_evenly_in_their_posteriors(probability):
    """Neither high nor low on average: within four standard errors of a half, for each parameter."""
    error = np.sqrt(1 / 12 / REPLICATES)
    assert np.abs(probability.mean(axis=0) - 0.5).max() < 4 * error


def test_fits_follow_the_truth_where_they_say_identified(replicates):
    """What is identified in most fits correlates with its truth, and more than what is not."""
    truths, fits, _ = replicates
    means = np.array([f.mean for f in fits])
    r = np.array([np.corrcoef(truths[:, i], means[:, i])[0, 1] for i in range(len(NAMES))])
    identified = np.array([[p.identified for p in f.parameters] for f in fits]).mean(axis=0) > 0.5
    assert identified[NAMES.index("efficiency.recurrent_ratio")]
    assert not identified[NAMES.index("dependence.efficiency")]
    assert r[identified].min() > 0.5
    assert r[identified].mean() > r[~identified].mean()


def test_outturns_lie_evenly_in_their_forecasts(replicates):
    """The year after each history, given two quarters: 90% intervals hold the outturn, within three errors."""
    _, fits, after = replicates
    below = [
        (sector_outturn(f, {3: y[0], 6: y[1]}, n_draws=2000, parameter_sets=40) < y[3]).mean()
        for f, y in zip(fits, after, strict=True)
    ]
    inside = np.mean((np.array(below) > 0.05) & (np.array(below) < 0.95))
    assert abs(inside - 0.9) < 3 * np.sqrt(0.9 * 0.1 / REPLICATES)
    assert abs(np.mean(below) - 0.5) < 4 * np.sqrt(1 / 12 / REPLICATES)


def test_trusts_tell_small_shocks_from_large(case):
    """Two panels of 60 synthetic trusts, monthly shocks of .04 and .2% of turnover: both found, and told apart."""
    some = case.isel(trust=slice(60))
    at = NAMES.index("deterioration.shock_sd")
    fits, truths = [], PRIOR_MEAN[at] + PRIOR_SD[at] * np.array([-1.4, 1.8])
    for truth in truths:
        u = np.where(np.arange(len(NAMES)) == at, truth, PRIOR_MEAN)
        variance = simulate_quarters(some, put_values(sr.Assumptions(), u), 1, 77).variance[:3, :, 0]
        panel = some.assign_coords(month=[3, 6, 9]).assign(variance_ytd=(("month", "trust"), variance))
        fits.append(calibrate(History((), (panel,)), points=256, n_draws=64))
    sd = [np.sqrt(f.covariance[at][at]) for f in fits]
    assert fits[0].mean[at] < PRIOR_MEAN[at] < fits[1].mean[at]
    assert all(abs(f.mean[at] - t) < 2.6 * s for f, t, s in zip(fits, truths, sd, strict=True))
    assert max(sd) < 0.9 * PRIOR_SD[at]
