"""Fits: what history may and may not do to them, what is said of each parameter, and the file that keeps them.

Small designs: these tests are of how a fit behaves; whether it finds what is true is in test_recovery.
"""

import numpy as np
import pytest

import sector_risk as sr
from sector_risk.calibration import Calibration, calibrate, sector_outturn
from sector_risk.calibration.emulator import fit_emulator, of_eigenvalues, sobol_points, summary
from sector_risk.calibration.fit import sector_emulator
from sector_risk.calibration.parameters import NAMES, PARAMETERS, PRIOR_MEAN, put_values, values_of
from sector_risk.calibration.posterior import Posterior, effective_number, log_likelihood, log_normal, sample_posterior
from sector_risk.calibration.statistics import CrossSection, Observed, sector_left_out, sector_years
from sector_risk.history import Figure, History, load_history

SMALL = {"points": 128, "n_draws": 64}


@pytest.fixture(scope="module")
def history():
    return load_history()


@pytest.fixture(scope="module")
def fit(history):
    return calibrate(history, **SMALL)


@pytest.fixture(scope="module")
def prior():
    return calibrate(History())


def panel_of(case, n, year, variance, months):
    """The first trusts of the case with the variances given; the case's trusts are synthetic."""
    some = case.isel(trust=slice(n)).assign_coords(month=list(months))
    some = some.assign(variance_ytd=(("month", "trust"), variance))
    some.attrs["year"] = year
    return some


# What history may do


@pytest.mark.parametrize("year", ["2015-16", "2018-19"])
def test_a_year_left_out_cannot_influence_the_fit(history, fit, year):
    """The way of the back-test: change the year's figures wildly, leave it out, fit: the same to the bit."""
    sector_emulator.cache_clear()
    wild = tuple(
        Figure(f.year, f.month, f.measure, 0.3 if f.measure == "share_below_plan" else 17 * abs(f.value), "wild", "V")
        if f.year == year
        else f
        for f in history.figures
    )
    left_out = calibrate(History(wild).without(year), **SMALL)
    sector_emulator.cache_clear()
    assert left_out == calibrate(history.without(year), **SMALL)
    assert year not in left_out.years
    assert left_out != fit


def test_figures_not_verified_stay_out(history, fit):
    doubtful = [f for f in history.figures if f.confidence == "G"]
    assert doubtful
    changed = [Figure(f.year, f.month, f.measure, 3 * f.value, f.source, "G") for f in doubtful]
    kept = [f for f in history.figures if f.confidence != "G"]
    assert calibrate(History((*kept, *changed)), **SMALL) == fit


def test_an_empty_history_gives_the_prior(prior):
    assert prior.mean == prior.prior_mean
    np.testing.assert_allclose(np.sqrt(np.diag(prior.covariance)), prior.prior_sd)
    assert prior.years == ()
    assert not any(p.identified for p in prior.parameters)
    assert prior.assumptions().deterioration.headroom == pytest.approx(0.01)


def test_same_seed_same_fit_and_another_seed_nearly(history, fit):
    sector_emulator.cache_clear()
    assert calibrate(history, **SMALL, threads=1) == fit
    other = calibrate(history, **SMALL, seed=9)
    assert other.mean != fit.mean
    np.testing.assert_allclose(other.mean, fit.mean, atol=0.6 * max(fit.prior_sd))


def test_more_data_narrows(history, fit):
    """The same five years again under other names: what was known is known better."""
    again = tuple(
        Figure(f"19{f.year[2:]}", f.month, f.measure, f.value, f.source, f.confidence) for f in history.figures
    )
    more = calibrate(History((*history.figures, *again)), **SMALL)
    one, two = (np.mean([p.sd_ratio for p in c.parameters]) for c in (fit, more))
    assert two < one - 0.03
    assert one < 0.9


def test_a_panel_of_trusts_narrows_what_sector_figures_do_not(case, prior):
    """All on plan but for a few: little pressure, or much to cover it with."""
    variance = np.zeros((3, 60))
    variance[:, :6] = -2.0
    panel = panel_of(case, 60, "2018-19", variance, (3, 6, 9))
    found = calibrate(History((), (panel,)), **SMALL)
    assert found.years == ("2018-19",)
    ratio = {p.name: p.sd_ratio for p in found.parameters}
    assert min(ratio["flexibility.amount"], ratio["deterioration.drift_per_planned_deficit"]) < 0.9
    assert {label for label, _ in found.emulator_error} >= {"on plan, month 9", "sd of change, month 3 to 6"}


def test_what_is_not_fitted_stays_as_it_was_given(history):
    base = sr.Assumptions()
    base = base.replace(efficiency=base.efficiency.replace(ask_effect=0.04))
    fitted = calibrate(History(), base).assumptions()
    assert fitted.efficiency.ask_effect == 0.04
    assert fitted.efficiency.evidence_of("ask_effect").confidence == "U"
    assert fitted.pay == base.pay


def test_what_is_out_of_range_is_refused_together():
    base = sr.Assumptions()
    base = base.replace(flexibility=base.flexibility.replace(amount=sr.Marginal.of("norm", loc=0.04, scale=0.01)))
    with pytest.raises(sr.InputError) as error:
        calibrate(History(), base, points=100, n_draws=1, seed=-1)
    assert [f.variable for f in error.value.faults] == ["points", "n_draws", "seed", "flexibility.amount"]


def test_progress_counts_points(history):
    sector_emulator.cache_clear()
    seen = []
    calibrate(history, **SMALL, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(k, 128) for k in range(1, 129)]


# What is said of the parameters


def test_the_log_says_what_was_fitted_and_what_the_facts_say(fit):
    rows = {row.name: row for row in fit.assumptions().log()}
    for p in fit.parameters:
        row = rows[p.name]
        assert row.confidence == ("D" if p.identified else "G")
        assert row.source.startswith("fit to 2014-15, 2015-16" if p.identified else "prior, which history does not")
    assert rows["efficiency.recurrent_ratio"].confidence == "D"
    assert rows["dependence.efficiency"].confidence == "G"
    assert rows["pay.award_afc"].confidence == "V"
    assert rows["dependence.run_rate_sector"].source == rows["dependence.deterioration"].source


def test_parameters_reach_the_assumptions(prior):
    """Means, and only means: the shapes of distributions and the other shares stay."""
    u = PRIOR_MEAN + np.linspace(-1, 1, len(NAMES))
    value = dict(zip(NAMES, values_of(u), strict=True))
    a, old = put_values(sr.Assumptions(), u), sr.Assumptions()
    assert a.efficiency.recurrent_ratio.mean() == pytest.approx(value["efficiency.recurrent_ratio"], rel=1e-4)
    assert sum(v for k, v in a.efficiency.recurrent_ratio.parameters) == pytest.approx(22.0)
    assert a.flexibility.amount.mean() == pytest.approx(value["flexibility.amount"], rel=1e-3)
    assert dict(a.flexibility.amount.parameters)["a"] == 7.5
    for name in ("headroom", "drift_per_planned_deficit", "shock_sd", "persistence"):
        assert getattr(a.deterioration, name) == value[f"deterioration.{name}"]
    assert a.flexibility.keep_favourable == value["flexibility.keep_favourable"]
    assert a.dependence.efficiency.sector == value["dependence.efficiency"]
    assert a.dependence.deterioration.sector == a.dependence.run_rate_sector == value["dependence.deterioration"]
    assert a.dependence.deterioration.system == old.dependence.deterioration.system


def test_priors_cover_both_views_of_shocks_to_the_run_rate():
    """.7 with .0005 of the first sketch, and .93 with .0012 set by hand later: both within 1.3 sd."""
    at = {p.name: p for p in PARAMETERS}
    for name, values in (("persistence", (0.7, 0.93)), ("shock_sd", (0.0005, 0.0012))):
        p = at[f"deterioration.{name}"]
        for value in values:
            u = np.log((value - p.low) / (p.high - value))
            assert abs(u - p.prior_mean) < 1.3 * p.prior_sd


def test_joint_draws_have_the_mean_and_covariance(fit):
    """20,000 draws: means within 4 standard errors, sd within 4/sqrt(2n), correlations within 4/sqrt(n)."""
    n = 20_000
    u = fit.draws(0, n, seed=3)
    sd = np.sqrt(np.diag(fit.covariance))
    np.testing.assert_allclose((u.mean(axis=0) - fit.mean) / sd, 0, atol=4 / np.sqrt(n))
    np.testing.assert_allclose(u.std(axis=0) / sd, 1, atol=4 / np.sqrt(2 * n))
    np.testing.assert_allclose(np.corrcoef(u.T), np.array(fit.covariance) / np.outer(sd, sd), atol=4 / np.sqrt(n))


def test_a_draw_depends_on_its_number_and_seed_alone(fit):
    assert fit.draw(7) == put_values(fit.assumptions(), fit.draws(0, 10)[7])
    assert fit.draw(7) != fit.draw(8)
    assert fit.draw(7) != fit.draw(7, seed=1)


def test_the_table_says_it(fit):
    text = str(fit)
    assert text.startswith("Fitted to 2014-15 to 2018-19 (5 years).")
    for p in fit.parameters:
        line = next(line for line in text.splitlines() if line.startswith(p.name))
        assert line.endswith(" identified" if p.identified else " not identified")
        assert f"{p.posterior[0]:.3g}" in line
        assert p.posterior[1] < p.posterior[0] < p.posterior[2]


# The file


def test_the_file_gives_the_same_fit_to_the_bit(fit, tmp_path):
    path = tmp_path / "fit.toml"
    path.write_text(fit.to_toml(), encoding="utf-8")
    back = Calibration.from_toml(path)
    assert back == fit
    assert back.draw(5) == fit.draw(5)
    assert back.assumptions().log() == fit.assumptions().log()


def test_faults_of_a_file_at_once(fit):
    text = fit.to_toml().replace("ask_effect", "ask_efect").replace("prior_sd", "prior_ds")
    with pytest.raises(sr.InputError) as error:
        Calibration.from_toml(text)
    assert {f.variable for f in error.value.faults} == {"fit.prior_ds", "fit.prior_sd", "efficiency.ask_efect"}


@pytest.mark.parametrize(
    ("name", "text"),
    [("mean", "[1.0, 2.0]"), ("covariance", "[[1.0]]"), ("names", '["a"]'), ("prior_mean", '"x"')],
)
def test_wrong_values_of_a_file_are_refused(fit, name, text):
    lines = [f"{name} = {text}" if line.startswith(f"{name} = ") else line for line in fit.to_toml().splitlines()]
    with pytest.raises(sr.InputError) as error:
        Calibration.from_toml("\n".join(lines))
    assert [f.variable for f in error.value.faults] == [f"fit.{name}"]


def test_assumptions_alone_are_not_a_fit():
    with pytest.raises(sr.InputError, match="is missing"):
        Calibration.from_toml(sr.Assumptions().to_toml())


# Parts


def test_emulator_finds_a_quadratic_and_knows_its_error():
    """Means that are quadratic and covariances that are constant come back; errors at points left out are small."""
    z = sobol_points(256, 3, seed=1)
    truth = np.column_stack([1 + z[:, 0] - 2 * z[:, 1] * z[:, 2], z[:, 2] ** 2])
    cov = np.array([[2.0, 0.6], [0.6, 1.0]])
    draws = np.random.default_rng(0).multivariate_normal([0, 0], cov, size=4000).T
    draws = (draws.T - draws.mean(axis=1)).T
    outputs = np.array([summary(draws + m[:, None]) for m in truth])
    emulator = fit_emulator(z, outputs, 2)
    new = np.random.default_rng(1).uniform(-2, 2, (50, 3))
    mean, covariance = emulator.moments(new)
    np.testing.assert_allclose(mean[:, 0], 1 + new[:, 0] - 2 * new[:, 1] * new[:, 2], atol=1e-6)
    np.testing.assert_allclose(covariance, np.broadcast_to(np.cov(draws), covariance.shape), rtol=1e-6)
    assert (emulator.error < 1e-6).all()


def test_error_at_points_left_out_is_that_of_fits_without_them():
    rng = np.random.default_rng(2)
    z = sobol_points(64, 2, seed=3)
    y = np.column_stack([np.sin(2 * z[:, 0]) + z[:, 1], rng.standard_normal(64)])
    error = fit_emulator(z, y, 1).error
    without = [fit_emulator(np.delete(z, k, 0), np.delete(y, k, 0), 1) for k in range(64)]
    off = [features_at(e, z[k]) - y[k, 0] for k, e in enumerate(without)]
    assert float(error[0]) == pytest.approx(np.sqrt(np.mean(np.square(off))), rel=1e-9)


def features_at(emulator, z):
    mean, _ = emulator.moments(z[None])
    return mean[0, 0]


def test_functions_of_eigenvalues_undo_one_another():
    a = np.random.default_rng(0).standard_normal((5, 4, 4))
    spd = a @ np.swapaxes(a, 1, 2) + np.eye(4)
    np.testing.assert_allclose(of_eigenvalues(of_eigenvalues(spd, np.log), np.exp), spd, rtol=1e-10)


def test_log_normal_is_the_density():
    from scipy import stats

    cov, x = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([[0.3, -1.0], [2.0, 0.1]])
    expected = stats.multivariate_normal(np.zeros(2), cov).logpdf(x) + np.log(2 * np.pi)
    np.testing.assert_allclose(log_normal(x[:, :, None], np.broadcast_to(cov, (2, 2, 2))), expected)
    np.testing.assert_allclose(log_normal(x.T[None], cov[None]), expected.sum())


def test_years_are_independent_and_what_is_not_known_is_left_out():
    """Against scipy, year by year, with moments that do not depend on the parameters."""
    from scipy import stats

    rng = np.random.default_rng(0)
    draws = rng.standard_normal((3, 400)) * np.array([[1.0], [0.5], [2.0]]) + 1.0
    z = sobol_points(128, 2, seed=1)
    emulator = fit_emulator(z, np.array([summary(draws)] * 128), 3)
    left_out = np.diag([0.1, 0.2, 0.3])
    values = np.array([[1.5, np.nan, 0.0], [0.0, 1.0, 1.0], [2.0, np.nan, 3.0]])
    found = log_likelihood(z[:2], emulator, [Observed(("a", "b", "c"), row, left_out) for row in values])
    cov, mean, expected = np.cov(draws) + left_out, draws.mean(axis=1), 0.0
    for row in values:
        k = np.flatnonzero(~np.isnan(row))
        normal = stats.multivariate_normal(mean[k], cov[np.ix_(k, k)])
        expected += normal.logpdf(row[k]) + 0.5 * len(k) * np.log(2 * np.pi)
    np.testing.assert_allclose(found, [expected, expected], rtol=1e-6)


def test_sampling_finds_a_posterior_in_closed_form():
    """Two Normal data with mean 2 z_0 and sd .5: within four errors of what the samples are worth."""
    y = np.array([1.0, 1.4])

    def likelihood(z):
        return -0.5 * (((y - 2.0 * z[:, :1]) / 0.5) ** 2).sum(axis=1)

    found = sample_posterior(likelihood, 3, seed=1)
    precision = 1.0 + 2 * 4.0 / 0.25
    mean = 2.0 * y.sum() / 0.25 / precision
    assert found.effective > 4000
    error = 4 / np.sqrt(found.effective)
    assert (np.abs(found.mean - [mean, 0, 0]) < error * np.array([precision**-0.5, 1, 1])).all()
    np.testing.assert_allclose(np.diag(found.covariance), [1 / precision, 1, 1], rtol=1.5 * error)


def test_effective_number_of_samples():
    assert effective_number(np.zeros(10)) == pytest.approx(10)
    assert effective_number(np.array([0.0, -800.0, -900.0])) == pytest.approx(1)


def test_a_fit_on_few_samples_says_so(history, monkeypatch):
    few = Posterior(np.zeros(len(NAMES)), np.eye(len(NAMES)), 12.0)
    monkeypatch.setattr("sector_risk.calibration.fit.sample_posterior", lambda *_: few)
    with pytest.warns(sr.InputWarning, match="about 12 samples"):
        calibrate(history, **SMALL)


def test_cross_section_by_hand(case):
    """Twenty trusts: half on plan, a quarter adverse by 1% and 3% of turnover to date, the rest favourable."""
    turnover = case["turnover"].values[:20]
    share = np.repeat([0.0, -1.0, -3.0, 0.4], [10, 3, 2, 5])
    before = share + np.where(np.arange(20) < 10, 0.1, -0.1)
    variance = np.array([before * 0.5, share * 0.75]) * turnover / 100
    section = CrossSection(panel_of(case, 20, "2018-19", variance, (6, 9)))
    observed = section.observed()
    value = dict(zip(observed.labels, observed.values, strict=True))
    plan = (case["plan"] / case["turnover"]).values[:20]
    assert value["on plan, month 9"] == 0.5
    assert value["adverse, month 9"] == 0.25
    assert value["adverse mean, month 9"] == pytest.approx(1.8)
    assert value["adverse sd, month 9"] == pytest.approx(np.std([1, 1, 1, 3, 3]))
    assert value["correlation, month 9"] == pytest.approx(np.corrcoef(plan, share)[0, 1])
    assert value["sd of change, month 6 to 9"] == pytest.approx(0.1)
    assert observed.left_out.shape == (6, 6)


def test_years_of_the_sector_by_hand(history):
    seen = sector_years(history)["2018-19"].values
    expected = [2.2 / 87.8, -11.9 / 87.8, -26.7 / 87.8, -30.8 / 87.8, np.nan, 0.19, 0.26, np.nan, 32 / 36, 10 / 32]
    np.testing.assert_allclose(seen, expected)
    left_out = sector_left_out()
    assert np.linalg.eigvalsh(left_out).min() > 0
    assert left_out[3, 3] == pytest.approx(0.08**2 + 0.06**2)
    assert left_out[0, 3] == pytest.approx(0.08**2 / 4)


# The year given its first quarters


def test_quarters_seen_move_and_narrow_the_outturn(fit):
    free, poor, good = (
        sector_outturn(fit, seen, n_draws=4000, parameter_sets=40, seed=2) for seen in ({}, {6: -0.4}, {6: 0.05})
    )
    assert poor.mean() < free.mean() < good.mean()
    assert max(poor.std(), good.std()) < 0.9 * free.std()
    assert free.shape == (4000,)


def test_the_outturn_is_the_regression_where_all_is_normal(fit, monkeypatch):
    """Known moments in place of simulation: the draws have the conditional mean and sd of a Normal."""
    rng = np.random.default_rng(5)
    walk = np.cumsum(rng.standard_normal((4, 20_000)), axis=0) * 0.1

    def known(case, _assumptions, n_draws, _seed):
        turnover = float(case["turnover"].sum())
        at = rng.integers(0, 20_000, n_draws)
        from sector_risk.calibration.statistics import Quarters

        return Quarters(walk[:, None, at] * turnover / 100, 1.0, np.ones(n_draws), np.ones(n_draws))

    monkeypatch.setattr("sector_risk.calibration.outturn.simulate_quarters", known)
    x = sector_outturn(fit, {3: -0.1, 6: -0.3}, n_draws=20_000, parameter_sets=2, seed=2)
    cov = np.cov(walk) + sector_left_out()[:4, :4]
    gain = cov[3, :2] @ np.linalg.inv(cov[:2, :2])
    assert x.mean() == pytest.approx(gain @ [-0.1, -0.3], abs=0.01)
    assert x.std() == pytest.approx(np.sqrt(cov[3, 3] - gain @ cov[:2, 3]), rel=0.03)


def test_sets_are_weighed_by_what_was_seen():
    from sector_risk.calibration.outturn import Conditioned, resample

    sets = [Conditioned(np.full(100, 1.0), 0.0), Conditioned(np.full(100, 2.0), np.log(3.0))]
    assert np.mean(resample(sets, 4000, seed=1) == 2.0) == pytest.approx(0.75, abs=0.001)


def test_faults_of_what_is_seen_at_once(fit):
    with pytest.raises(sr.InputError) as error:
        sector_outturn(fit, {12: -0.1, 6: np.nan}, n_draws=100, parameter_sets=30)
    assert [f.variable for f in error.value.faults] == ["seen", "seen", "n_draws"]


def test_sector_variances_are_nearly_normal(case, fit):
    """What the regression rests on: skew within .6 and excess kurtosis within 1 at every quarter end."""
    from scipy import stats

    from sector_risk.calibration.statistics import simulate_quarters

    variance = simulate_quarters(case, fit.assumptions(), 2000, 3).variance.sum(axis=1)
    assert np.abs(stats.skew(variance, axis=1)).max() < 0.6
    assert np.abs(stats.kurtosis(variance, axis=1)).max() < 1.0


def test_every_point_has_a_seed_of_its_own(history, monkeypatch):
    """Else the chance of one run would bend the emulator everywhere alike."""
    from sector_risk.calibration import fit as fitting

    seeds, simulate = [], fitting.simulate_quarters
    monkeypatch.setattr(fitting, "simulate_quarters", lambda *given: (seeds.append(given[3]), simulate(*given))[1])
    sector_emulator.cache_clear()
    calibrate(history, points=128, n_draws=32, seed=3)
    assert len(set(seeds)) == 128
