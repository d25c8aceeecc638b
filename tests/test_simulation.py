"""The forecast: identities, the random-number contract end to end, closed forms, provenance, bad settings."""

import json

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sector_risk as sr
from sector_risk.assumptions import Dependence, Deterioration
from sector_risk.assumptions.dependence import INDEPENDENT

BEFORE_RULES = ("position_before_support", "contribution", "one_off")
FLOAT32 = np.finfo(np.float32).eps


def small(case, step=20):
    return case.isel(trust=slice(None, None, step))


def assert_same_draws(a, b, names=BEFORE_RULES):
    for name in names:
        np.testing.assert_array_equal(a[name].values, b[name].values, err_msg=name)


# Identities


def test_contributions_add_up_to_the_variance(forecast):
    gap = forecast["contribution"].astype(float).sum("driver") - forecast["variance"]
    largest = np.abs(forecast["contribution"]).max("driver").astype(float) + np.abs(forecast["plan"])
    # Eight float32 terms, each rounded once when computed and once when stored.
    assert bool((np.abs(gap) <= 16 * FLOAT32 * largest).all())


def test_sector_is_the_sum_of_trusts(forecast):
    for sector, trust in (
        ("sector_position", "position"),
        ("sector_position_before_support", "position_before_support"),
    ):
        np.testing.assert_allclose(forecast[sector], forecast[trust].astype(float).sum("trust"), rtol=1e-12)
    np.testing.assert_array_equal(forecast["deficit_count"], (forecast["position"] < -0.005).sum("trust"))
    gross = forecast["position"].astype(float).clip(max=0).sum("trust")
    np.testing.assert_allclose(forecast["gross_deficit"], gross, rtol=1e-12)


def test_nhs_is_the_sector_plus_central_actions(forecast):
    total = forecast["sector_position"] + forecast["central_action"].sum("action")
    np.testing.assert_allclose(forecast["nhs_position"], total, rtol=1e-12)


def test_last_month_is_the_year_end(forecast):
    np.testing.assert_array_equal(forecast["sector_ytd"].sel(month=12), forecast["sector_position"])
    # Before it, support counts as planned: the distance to plan is the variance before support.
    variance = (forecast["sector_position_before_support"] - forecast["plan"].sum()).mean()
    behind = (forecast["sector_ytd"] - forecast["sector_plan_ytd"]).mean("draw")
    assert float(variance) < float(behind.sel(month=11)) < float(behind.sel(month=3)) < 0


def test_position_is_before_support_plus_support(forecast):
    np.testing.assert_array_equal(forecast["position"], forecast["position_before_support"] + forecast["support"])


def test_one_off_cover_is_the_contribution_of_that_name(forecast):
    np.testing.assert_array_equal(forecast["one_off"], forecast["contribution"].sel(driver="one_off"))
    assert bool((forecast["one_off"] >= 0).all())


def test_covered_trusts_are_exactly_on_plan(forecast):
    on_plan = forecast["position_before_support"] == forecast["plan"].astype(np.float32)
    np.testing.assert_array_equal(on_plan, forecast["variance"] == 0)
    covered = (forecast["one_off"] > 0) & on_plan
    assert 0.2 < float(covered.mean()) < 0.7


# Random numbers by address


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(block=st.integers(1, 300), threads=st.integers(1, 4), n=st.integers(1, 260), seed=st.integers(0, 2**40))
def test_threads_and_blocks_change_nothing(case, block, threads, n, seed):
    panel = small(case)
    one = sr.simulate(panel, n_draws=n, seed=seed, threads=1, block_size=1024)
    other = sr.simulate(panel, n_draws=n, seed=seed, threads=threads, block_size=block)
    xr.testing.assert_equal(one, other)


def test_more_draws_keep_the_first(case):
    panel = small(case)
    few, many = sr.simulate(panel, n_draws=77, seed=3), sr.simulate(panel, n_draws=1500, seed=3)
    xr.testing.assert_equal(few, many.isel(draw=slice(77)))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(12)), keep=st.integers(1, 12))
def test_subset_and_order_of_trusts_change_nothing_before_rules(case, order, keep):
    panel = small(case)
    whole = sr.simulate(panel, n_draws=60, seed=1)
    chosen = list(order[:keep])
    part = sr.simulate(panel.isel(trust=chosen), n_draws=60, seed=1)
    assert_same_draws(whole.isel(trust=chosen), part)


def test_rules_leave_pressures_alone(case):
    panel = small(case)
    with_rule, without = sr.simulate(panel, n_draws=50), sr.simulate(panel, regime="none", n_draws=50)
    assert_same_draws(with_rule, without)
    assert float(without["support"].max()) == 0.0


def test_changing_one_driver_leaves_the_others_alone(case):
    panel, a = small(case), sr.Assumptions()
    b = a.replace(deterioration=a.deterioration.replace(drift_base=0.01))
    one, other = sr.simulate(panel, a, n_draws=50), sr.simulate(panel, b, n_draws=50)
    same = ["efficiency_recurrent", "efficiency_one_off", "pay_afc", "pay_medical"]
    np.testing.assert_array_equal(one["contribution"].sel(driver=same), other["contribution"].sel(driver=same))
    assert bool((one["contribution"] != other["contribution"]).sel(driver="deterioration").any())


def test_a_user_driver_is_added_and_leaves_the_others_alone(case):
    @sr.driver("test_flood", items=1, shares=sr.Shares(), source="test")
    def flood(z, panel):
        cost = 0.002 * panel["turnover"][:, None] * (z[:, 0] > 1)
        return (cost[:, None, :] * np.linspace(0, 1, 12)[:, None]).astype(np.float32)

    panel = small(case)
    plain = sr.simulate(panel, n_draws=300)
    with_flood = sr.simulate(panel, sr.Assumptions(drivers=("test_flood",)), n_draws=300, block_size=64)
    kept = [d for d in plain["driver"].values if d not in ("one_off", "favourable_spent")]
    np.testing.assert_array_equal(plain["contribution"].sel(driver=kept), with_flood["contribution"].sel(driver=kept))
    cost = with_flood["contribution"].sel(driver="test_flood")
    hit = np.isclose(cost, -0.002 * with_flood["turnover"].values[:, None], rtol=1e-5)
    assert bool((hit | (cost.values == 0)).all())
    # P(z > 1) = .159 over 12 trusts that share a fifth of their variance: sd of the share at most .0075 * 1.8.
    assert float(hit.mean()) == pytest.approx(0.159, abs=0.045)
    gap = with_flood["contribution"].sum("driver") - (with_flood["position_before_support"] - with_flood["plan"])
    assert float(np.abs(gap).max()) < 1e-3


def test_seeds_give_different_draws(case):
    panel = small(case)
    a, b = sr.simulate(panel, n_draws=50, seed=0), sr.simulate(panel, n_draws=50, seed=1)
    assert float(np.corrcoef(a["sector_position"], b["sector_position"])[0, 1]) < 0.6
    assert bool((a["contribution"] != b["contribution"]).any())


# Closed forms


def linear_assumptions(shares=INDEPENDENT):
    """Drift Normal, no one-offs and favourable pressure kept whole: deterioration is the whole variance."""
    a = sr.Assumptions()
    drift = Deterioration(
        drift=sr.Marginal.of("norm", loc=1.0, scale=0.5),
        drift_base=0.01,
        drift_per_planned_deficit=0.0,
        headroom=0.0,
        shock_sd=0.0,
    )
    flexibility = a.flexibility.replace(amount=sr.Marginal.of("norm", scale=1e-12), keep_favourable=1.0)
    dependence = Dependence(
        efficiency=INDEPENDENT, pay_award=INDEPENDENT, deterioration=shares, flexibility=INDEPENDENT
    )
    return a.replace(deterioration=drift, flexibility=flexibility, dependence=dependence)


def test_independent_normals_give_the_known_moments(case):
    n = 20_000
    made = sr.simulate(case, linear_assumptions(), "none", n_draws=n, seed=2)
    drift = made["contribution"].sel(driver="deterioration").astype(float)
    turnover = case["turnover"].values
    sd = 0.005 * turnover
    assert np.abs((drift.mean("draw") + 0.01 * turnover) / (sd / np.sqrt(n))).max() < 4.5
    assert np.abs(drift.std("draw") / sd - 1).max() < 4.5 / np.sqrt(2 * n)
    sector_sd = float(drift.sum("trust").std())
    assert sector_sd == pytest.approx(np.sqrt((sd**2).sum()), rel=4 / np.sqrt(2 * n))


def test_shared_factors_give_the_known_correlations(case):
    n = 20_000
    shares = sr.Shares(sector=0.1, trust_type=0.2, system=0.15, region=0.05)
    made = sr.simulate(case, linear_assumptions(shares), "none", n_draws=n, seed=2)
    drift = made["contribution"].sel(driver="deterioration").values.astype(float)
    rho = np.corrcoef(drift)
    same = {name: made[name].values[:, None] == made[name].values for name in ("trust_type", "system", "region")}
    expected = 0.1 + 0.2 * same["trust_type"] + 0.15 * same["system"] + 0.05 * same["region"]
    off = ~np.eye(len(rho), dtype=bool)
    # sd of a sample correlation is at most 1 / sqrt(n); five of them for the largest of 51,302.
    assert np.abs(rho - expected)[off].max() < 5 / np.sqrt(n)


def test_student_tails_leave_marginals_and_join_extremes(case):
    n, panel = 40_000, small(case, 25)
    gaussian = linear_assumptions(sr.Shares(sector=0.5, trust_type=0.0, system=0.0, region=0.0))
    fat = gaussian.replace(dependence=gaussian.dependence.replace(tail_dof=4.0))

    def drift(assumptions):
        made = sr.simulate(panel, assumptions, "none", n_draws=n, seed=4)
        x = made["contribution"].sel(driver="deterioration").values.astype(float)
        return (x + 0.01 * panel["turnover"].values[:, None]) / (0.005 * panel["turnover"].values[:, None])

    plain, tailed = drift(gaussian), drift(fat)
    for p in (0.001, 0.05, 0.5, 0.95, 0.999):
        from scipy.special import ndtri

        below = (tailed < ndtri(p)).mean(axis=1)
        assert np.abs(below - p).max() < 4.5 * np.sqrt(p * (1 - p) / n)
    joint = [((x < ndtri(0.01)).sum(axis=0) >= 5).mean() for x in (plain, tailed)]
    assert joint[1] > 1.5 * joint[0]


def test_any_scipy_marginal_stays_exact(case):
    from scipy import stats

    n, panel = 20_000, small(case, 60)
    shape = stats.lognorm(0.8, scale=0.9)
    a = linear_assumptions(sr.Shares())
    a = a.replace(deterioration=a.deterioration.replace(drift=sr.Marginal.from_scipy(shape)))
    made = sr.simulate(panel, a, "none", n_draws=n, seed=6)
    x = -made["contribution"].sel(driver="deterioration").values / (0.01 * panel["turnover"].values[:, None])
    for row in x:
        assert stats.kstest(row, shape.cdf).pvalue > 1e-4


# What it says of itself


def test_provenance(case, forecast):
    assert forecast.attrs["seed"] == "5"
    assert forecast.attrs["n_draws"] == 2000
    assert json.loads(forecast.attrs["versions"])["numba"]
    assert sr.Assumptions.from_json(forecast.attrs["assumptions"]) == sr.Assumptions()
    assert json.loads(forecast.attrs["regime"])["rules"][0]["rule"] == "sustainability_funding"
    assert "synthetic" in forecast.attrs
    for name in forecast.variables:
        assert forecast[name].attrs["long_name"]
    changed = case.copy(deep=True)
    changed["plan"][0] -= 1
    assert sr.simulate(changed, n_draws=2).attrs["panel_hash"] != forecast.attrs["panel_hash"]


def test_the_panel_is_not_changed(case):
    before = case.copy(deep=True)
    sr.simulate(case, n_draws=3)
    xr.testing.assert_identical(before, case)


def test_bad_settings_come_in_one_report(case):
    with pytest.raises(sr.InputError) as report:
        sr.simulate(case, n_draws=0, seed=-1, threads=0, block_size=2.5)
    assert {fault.variable for fault in report.value.faults} == {"n_draws", "seed", "threads", "block_size"}


def test_unknown_regime_and_driver_name_the_nearest(case):
    with pytest.raises(sr.InputError, match="2018-19"):
        sr.simulate(case, regime="2018-9", n_draws=2)
    with pytest.raises(sr.InputError, match="drivers"):
        sr.simulate(case, sr.Assumptions(drivers=("no_such",)), n_draws=2)


def test_a_driver_that_returns_nonsense_is_named(case):
    @sr.driver("test_broken", items=1, shares=sr.Shares(), source="test")
    def broken(z, panel):
        return z

    with pytest.raises(ValueError, match=r"driver 'test_broken' must return finite numbers of shape \(12, 12, 8\)"):
        sr.simulate(small(case), sr.Assumptions(drivers=("test_broken",)), n_draws=8, block_size=8)


def test_progress_counts_every_block(case):
    seen = []
    sr.simulate(small(case), n_draws=100, block_size=30, progress=lambda done, total: seen.append((done, total)))
    assert sorted(seen) == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_assumptions_of_another_year_are_pointed_out(case):
    later = case.copy()
    later.attrs["year"] = "2025-26"
    note = json.loads(sr.simulate(later, n_draws=2).attrs["notes"])[0]
    assert "pay awards and central actions assumed are those of 2018-19" in note
    assert json.loads(sr.simulate(case, n_draws=2).attrs["notes"]) == []


@pytest.mark.parametrize("name", ["pay_afc", "one_off", "plan", "support", "centre", "efficiency", "one_offs"])
def test_a_driver_may_not_take_a_name_of_the_library(name):
    with pytest.raises(sr.InputError, match=name):
        sr.driver(name, items=1, shares=sr.Shares(), source="test")


def test_assumptions_must_be_assumptions(case):
    with pytest.raises(sr.InputError, match="from_toml"):
        sr.simulate(case, "assumptions.toml", n_draws=2)


def test_text_beside_the_numbers_is_no_harm(case):
    panel = small(case)
    panel["comment"] = "trust", np.full(panel.sizes["trust"], "seen")
    assert sr.simulate(panel, n_draws=2).sizes["draw"] == 2


def test_a_trust_called_sector_has_numbers_of_its_own(case):
    panel = small(case).assign_coords(trust=["sector", "tail", *(f"T{i}" for i in range(10))])
    made = sr.simulate(panel, linear_assumptions(sr.Shares(sector=0.3)), "none", n_draws=4000)
    drift = made["contribution"].sel(driver="deterioration").values.astype(float)
    # Shares .3 + .01 + .05 + .02 at most; 5 standard errors.
    assert np.corrcoef(drift)[0, 1:].max() < 0.38 + 5 / np.sqrt(4000)


def test_a_user_driver_does_not_join_trusts_whose_system_is_not_stated(case):
    seen = {}

    @sr.driver("test_systems", items=1, shares=sr.Shares(0.0, 0.0, 0.9, 0.0), source="test")
    def remember(z, panel):
        seen["z"] = z[:, 0].copy()
        return np.zeros((*z[:, 0].shape[:1], 12, z.shape[-1]), np.float32)

    panel = small(case).drop_vars("system")
    sr.simulate(panel, sr.Assumptions(drivers=("test_systems",)), n_draws=2000, threads=1, block_size=2000)
    assert np.abs(np.corrcoef(seen["z"]) - np.eye(12)).max() < 5 / np.sqrt(2000)


def test_a_user_driver_cannot_change_the_panel(case):
    @sr.driver("test_vandal", items=1, shares=sr.Shares(), source="test")
    def vandal(z, panel):
        panel["plan"][:] = 0

    with pytest.raises(ValueError, match="read-only"):
        sr.simulate(small(case), sr.Assumptions(drivers=("test_vandal",)), n_draws=8)


def test_numpy_integers_are_integers(case):
    made = sr.simulate(small(case), n_draws=np.uint8(200), threads=np.int64(2), seed=np.int64(0))
    xr.testing.assert_equal(made, sr.simulate(small(case), n_draws=200))


def test_a_part_of_the_sector_is_not_called_the_nhs(case):
    made = sr.simulate(small(case), n_draws=50)
    assert made.attrs["sector_share"] < 0.2
    assert "of the sector's turnover" in json.loads(made.attrs["notes"])[0]
    assert sr.simulate(case, n_draws=2).attrs["sector_share"] == pytest.approx(1.0, abs=1e-4)
