"""Simulation-based calibration: is what is known after the months seen neither too sure nor too unsure, nor aside?

Years are drawn from the model, their first months are shown to `condition`, and the truth is ranked among its draws.
If and only if draws have the distribution that the truth has given what was shown, ranks are uniform (Talts,
Betancourt, Simpson, Vehtari and Gelman 2018, "Validating Bayesian inference algorithms with simulation-based
calibration"). Positions have atoms, where trusts end on plan: a rank among equals is drawn by lot.
"""

import numpy as np
from scipy import special, stats

import sector_risk as sr

TRUTHS, LOTS = 20_180_911, 7


def years(panel, assumptions, n_years):
    """Years as the model has them, under a seed that no forecast of these tests uses; one a draw."""
    return sr.simulate(panel, assumptions, n_draws=n_years, seed=TRUTHS, by_quarter=True)


def shown(panel, year, month):
    """The panel with what was reported at the quarter ends up to a month."""
    quarters = np.arange(1, month // 3 + 1)
    reports = year["variance_by_quarter"].sel(quarter=quarters).transpose("trust", "quarter").values
    return panel.assign(variance_ytd=(("trust", "month"), reports.astype(float))).assign_coords(month=3 * quarters)


def declare(panel, year, reporting, rng):
    """What trusts declare, from the theory: plan if they expect it or better, or hold it all the same."""
    turnover, plan = panel["turnover"].values, panel["plan"].values
    expected = year["variance"].values + reporting.forecast_sd * turnover * rng.standard_normal(len(plan))
    silent = rng.random(len(plan)) < reporting.forecast_held
    short = (expected < -reporting.on_plan * turnover) & ~silent
    return panel.assign(forecast=("trust", np.where(short, plan + expected, plan)))


def rank(truth, draws, rng):
    """Number of draws below the truth; those equal to it are below it or not by lot, all orders alike."""
    below, equal = (draws < truth[..., None]).sum(axis=-1), (draws == truth[..., None]).sum(axis=-1)
    return below + rng.integers(0, equal + 1)


def sector_and_trusts(forecast):
    """What is ranked: the sector's position, each trust's before support, then what the sector owes to drivers.

    A trust's position after support is mostly what other trusts leave in the pot; the sector's shows that once.
    """
    drivers = forecast["contribution"].sel(driver=["efficiency_recurrent", "deterioration", "one_off"]).sum("trust")
    sector, trusts = forecast["sector_position"], forecast["position_before_support"]
    return np.concatenate([[sector.values], trusts.values, drivers.values])


def ranks_of(panel, assumptions, month, *, n_years, n_draws, declared=False, first=0):
    """Ranks of the truth at a month: (year; sector, trusts, three drivers), from 0 to `n_draws`."""
    truths, rng, found = years(panel, assumptions, first + n_years), np.random.default_rng([LOTS, month, first]), []
    for k in range(first, first + n_years):
        year = truths.isel(draw=k)
        seen = shown(panel, year, month)
        if declared:
            seen = declare(seen, year, assumptions.reporting, rng)
        forecast = sr.condition(seen, assumptions, through_month=month, n_draws=n_draws, seed=k, threads=1)
        found.append(rank(sector_and_trusts(year), sector_and_trusts(forecast), rng))
    return np.array(found)


def parts(ranks):
    """Ranks of the sector (year), of trusts (year, trust) and of the sector's three drivers (year, driver)."""
    return ranks[:, 0], ranks[:, 1:-3], ranks[:, -3:]


def histogram(ranks, n_draws, n_bins):
    """How many ranks from 0 to `n_draws` fall in each of equal bins, along the last axis."""
    if (n_draws + 1) % n_bins:
        raise ValueError("bins must be of one size")
    bins = ranks * n_bins // (n_draws + 1)
    return (bins[..., None] == np.arange(n_bins)).sum(axis=-2)


def waves(ranks, n_draws):
    """Legendre polynomials 1 to 4 of ranks, each of mean nought and variance one where ranks are uniform: (..., 4).

    The first is high where truths lie above the draws, the second where draws are too narrow (Neyman's smooth test).
    """
    x = 2.0 * (ranks + 0.5) / (n_draws + 1) - 1.0
    return np.stack([np.sqrt(2 * k + 1) * special.eval_legendre(k, x) for k in range(1, 5)], axis=-1)


def p_of_independent(ranks, n_draws):
    """Chance of independent ranks as far from uniform as these (year)."""
    mean = waves(ranks, n_draws).mean(axis=0)
    return float(stats.chi2.sf(len(ranks) * (mean**2).sum(), len(mean)))


def p_of_years(ranks, n_draws):
    """Chance of ranks (year, n) as far from uniform as these where those of one year may depend on each other.

    Years do not: Hotelling's T-squared, with the covariance of years' means estimated from them.
    """
    by_year = waves(ranks, n_draws).mean(axis=1)
    n_years, k = by_year.shape
    mean, spread = by_year.mean(axis=0), np.cov(by_year.T)
    t_squared = n_years * mean @ np.linalg.solve(spread, mean)
    return float(stats.f.sf(t_squared * (n_years - k) / (k * (n_years - 1)), k, n_years - k))
