"""Does the model make a 2018-19-like sector? Targets from published figures, each with its own tolerance.

None of the targets is put into a result: they come out of the causes. Simulated figures are means over 2,000 draws,
whose own error is a small fraction of each tolerance; a tolerance says how far the published figure itself is known
(years differ, outturns are restated) or how closely the model is asked to meet it.
"""

from dataclasses import dataclass

import numpy as np
import pytest

import sector_risk as sr
from sector_risk.fold import Fold
from sector_risk.planned import plan_run
from sector_risk.run import Draws

N_DRAWS = 2000
Q1, Q2, Q3, YEAR_END = range(4)
YEAR_TO_DATE = np.array([0.25, 0.5, 0.75, 1.0])[:, None, None]


@dataclass(frozen=True)
class Year:
    """A simulated year of a panel: variances at quarter ends and what the forecast holds."""

    variance: np.ndarray  # (quarter, trust, draw) GBP m before support
    share: np.ndarray  # the same in per cent of turnover to date
    forecast: object
    panel: object


def simulate_quarters(panel):
    assumptions, seed = sr.Assumptions(), 11
    run, _ = plan_run(panel, assumptions, "none", years=1, n_draws=N_DRAWS, seed=seed, by_trust=True)
    fold = Fold(run, N_DRAWS)
    fold.run_block(Draws.empty(run), 0, 0)
    variance = fold.block.quarter_variance.astype(float)
    turnover = panel["turnover"].values[None, :, None]
    forecast = sr.simulate(panel, assumptions, n_draws=N_DRAWS, seed=seed)
    return Year(variance, 100 * variance / turnover / YEAR_TO_DATE, forecast, panel)


@pytest.fixture(scope="module")
def year(case):
    return simulate_quarters(case)


def sector(year, quarter):
    return year.variance[quarter].sum(axis=0)


def driver(year, *names):
    return float(year.forecast["contribution"].sel(driver=list(names)).astype(float).sum(["driver", "trust"]).mean())


# Causes


def test_recurrent_savings_fall_short_by_about_990(year):
    """3,290 planned recurrent, .70 delivered (HFMA 5 Dec 2017)."""
    assert -driver(year, "efficiency_recurrent") == pytest.approx(990, rel=0.06)


def test_delivered_over_plan(year):
    """Seven sector years: mean .906, sd .026; .89 in 2018-19."""
    ratio = year.forecast["sector_efficiency_delivered"] / 3600
    assert 0.86 <= float(ratio.mean()) <= 0.93
    # The sd of seven years is known to a factor of about 1.6 either way.
    assert 0.026 / 1.6 < float(ratio.std()) < 0.026 * 1.6


def test_one_off_share_of_savings(year):
    """26% in 2017-18, 31-33% in 2018-19."""
    delivered = float(year.forecast["sector_efficiency_delivered"].mean())
    recurrent = 3600 * 0.91 + driver(year, "efficiency_recurrent")
    assert 0.26 <= (delivered - recurrent) / delivered <= 0.33


def test_the_story_before_pay_is_about_900_half_of_it_efficiency(year):
    """Joint paper of September 2018."""
    efficiency = 3600 - float(year.forecast["sector_efficiency_delivered"].mean())
    deterioration = -driver(year, "deterioration")
    assert efficiency + deterioration == pytest.approx(900, rel=0.12)
    assert 0.4 < efficiency / (efficiency + deterioration) < 0.6


def test_pay_awards(year):
    """Medical about 65 and unfunded; Agenda for Change about nought, with winners and losers."""
    assert -driver(year, "pay_medical") == pytest.approx(65, rel=0.03)
    assert driver(year, "pay_afc") == pytest.approx(0, abs=5)
    by_trust = year.forecast["contribution"].sel(driver="pay_afc")
    assert 0.4 < float((by_trust > 0).mean()) < 0.6


# The sector's year


def test_outturn_against_plan(year):
    """Five years: mean -.49% of turnover, sd .17; known to +-.15 (two standard errors) and a factor of 1.6."""
    share = 100 * sector(year, YEAR_END) / 87_800
    assert share.mean() == pytest.approx(-0.49, abs=0.15)
    assert 0.17 / 1.6 < share.std() < 0.17 * 1.6


@pytest.mark.parametrize(("month", "published"), [(3, -814), (6, -1230), (9, -1247), (12, -827)])
def test_quarters_of_2018_19(year, month, published):
    """Year to date after support: the published figure lies in the middle 99% of the forecast made before the year."""
    ytd = year.forecast["sector_ytd"].sel(month=month)
    low, high = np.quantile(ytd, [0.005, 0.995])
    assert low < published < high


def test_plan_path(year):
    """Published plan paths, on reset plans from quarter 2: within 60 of ours."""
    path = year.forecast["sector_plan_ytd"].sel(month=[3, 6, 9, 12])
    np.testing.assert_allclose(path, [-836, -1111, -980, -519], atol=60)
    assert float(path[-1]) == pytest.approx(-519)


# The cross-section


def test_on_plan_adverse_and_favourable_at_month_nine(year):
    """On plan: 34% of acute trusts, 46% of others in 2025-26. Adverse: 19-26% in 2018-19, 37% in 2017-18."""
    share = year.share[Q3]
    assert 0.30 < (np.abs(share) <= 0.02).mean() < 0.46
    assert 0.19 < (share < -0.05).mean() < 0.37
    assert 0.11 < (share > 0.05).mean() < 0.36


def test_adverse_part_at_month_nine(year):
    """Gamma(1.93, 1.11%): mean 2.14, sd 1.54, 90% at 3.7% (2025-26, acute); model within a fifth."""
    acute = (year.panel["trust_type"] == "Acute").values
    adverse = -year.share[Q3][acute]
    adverse = adverse[adverse > 0.05]
    assert adverse.mean() == pytest.approx(2.14, rel=0.2)
    assert adverse.std() == pytest.approx(1.54, rel=0.25)


def test_plan_and_variance_correlate_at_month_nine(year):
    """.48 over 150 trusts in 2025-26 (standard error .06)."""
    plan = (year.panel["plan"] / year.panel["turnover"]).values
    r = np.mean([np.corrcoef(plan, year.share[Q3][:, j])[0, 1] for j in range(300)])
    assert r == pytest.approx(0.48, abs=0.12)


def test_long_adverse_tail_at_month_nine(year):
    """2025-26: skew -1.6, excess kurtosis 5 when half of trusts are adverse.

    With the quarter of trusts that were adverse in 2018-19, the same Gamma(1.93, 1.11%) and the rest on plan have
    skew -3.0: the figure belongs to its year, and the model is asked to lie between.
    """
    from scipy import stats

    acute = (year.panel["trust_type"] == "Acute").values
    skew = stats.skew(year.share[Q3][acute]).mean()
    assert -3.0 < skew < -1.6


def test_control_totals_met(year):
    """.86 of agreed trusts in quarter 1, .82 in quarter 2 (2016-17), .67-.75 at the year end; model within .08."""
    agreed = year.panel["control_total_agreed"].values.astype(bool)
    met = (year.variance[:, agreed] >= 0).mean(axis=(1, 2))
    assert met[Q1] == pytest.approx(0.86, abs=0.08)
    assert met[Q2] == pytest.approx(0.82, abs=0.08)
    assert met[YEAR_END] == pytest.approx(0.71, abs=0.08)


def test_tail_and_count_of_deficits(year):
    """2018-19: worst five -523, worst ten -850, worst thirty about the net deficit or more, 107 trusts in deficit."""
    position = np.sort(year.forecast["position"].values.astype(float), axis=0)
    net = year.forecast["sector_position"].values
    assert np.median(position[:5].sum(axis=0)) == pytest.approx(-523, rel=0.15)
    assert np.median(position[:10].sum(axis=0)) == pytest.approx(-850, rel=0.15)
    assert (position[:30].sum(axis=0) < net).mean() > 0.95
    low, middle, high = np.quantile(year.forecast["deficit_count"], [0.025, 0.5, 0.975])
    assert low < 107 < high
    assert middle == pytest.approx(107, abs=5)


def test_most_positions_do_not_worsen_after_month_nine(year):
    """Forecasts made at quarter 3 were beaten by 82, 90 and 370: year-end measures come late."""
    steady = year.variance[YEAR_END] >= year.variance[Q3] - 1e-6
    assert steady.mean() > 0.5
    # Short of a straight line: nine twelfths of the year hold more than seven twelfths of the variance.
    assert sector(year, Q3).mean() / sector(year, YEAR_END).mean() > 7 / 12


# The published panel of another year, whose spread was looked at and whose adverse share was not met


@pytest.mark.needs_shared_data
def test_month_nine_of_2025_26(shared_data):
    """128 acute trusts: spread, adverse part and correlation with plan are met; the adverse share (.53) is not.

    Deficit support withheld in that year counts as variance in the file and is not in the model yet.
    """
    with pytest.warns(sr.InputWarning):
        panel = sr.read_panel(shared_data / "panel_2025-26_m9.csv")
    made = simulate_quarters(panel)
    acute = (panel["trust_type"] == "Acute").values
    seen = (100 * panel["variance_ytd"].sel(month=9) / panel["turnover"] / 0.75).values[acute]
    share = made.share[Q3][acute]
    assert share.std(axis=0).mean() == pytest.approx(seen.std(), rel=0.15)
    assert share[share < -0.05].mean() == pytest.approx(seen[seen < -0.05].mean(), rel=0.15)
    assert (share < -0.05).mean() < (seen < -0.05).mean()
