"""Controls: what they are, what they are known to be, and figures that are right with them and surer."""

import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, special, stats

import sector_risk as sr
from sector_risk import controls
from sector_risk.assumptions.dependence import Dependence
from sector_risk.controls import Fit, Law, controlled, estimate, law_of_centre, measure, samples_of
from sector_risk.drivers import driver
from sector_risk.factors import normals
from sector_risk.kernels import controls as kernel
from sector_risk.kernels import pressure
from sector_risk.kernels.sobol import REPLICATE
from sector_risk.panel import check_panel, merge
from sector_risk.planned import Planned, plan_run
from sector_risk.slopes import quantile_moments, sector_mix
from sector_risk.streaming import keep_draws

FIGURES = ("mean", "p_reaching", "tail_value_at_risk")
LATENTS = [pressure.RECURRENT, pressure.ONE_OFF, pressure.FLEXIBILITY, pressure.AFC, pressure.MEDICAL, pressure.DRIFT]


@pytest.fixture(scope="module")
def some(case):
    return check_panel(case.isel(trust=slice(0, None, 9)))


def plan(panel, n_draws, assumptions=None, regime="2018-19", seed=3):
    assumptions = assumptions or sr.Assumptions()
    run, chosen = plan_run(panel, assumptions, regime, years=1, n_draws=n_draws, seed=seed, by_trust=True)
    return Planned(run, chosen, panel, assumptions)


@driver("test_controls_flood", items=1, shares=sr.Shares(), source="test")
def flood(z, panel):
    """A driver of the user's own, far from Normal and shared."""
    cost = 0.002 * panel["turnover"][:, None] * np.maximum(z[:, 0] - 1.0, 0.0)
    return (cost[:, None, :] * np.linspace(0.0, 1.0, 12)[:, None]).astype(np.float32)


def shares_all_over():
    """Everything is shared at every level, and sector factors of all drivers are correlated."""
    same = sr.Shares(sector=0.1, trust_type=0.05, system=0.06, region=0.04)
    correlation = ((1.0, 0.4, -0.3, 0.2), (0.4, 1.0, 0.1, 0.0), (-0.3, 0.1, 1.0, 0.5), (0.2, 0.0, 0.5, 1.0))
    return Dependence(same, same, same, same, run_rate_sector=0.2, sector_correlation=correlation)


def merged(panel):
    codes = [str(code) for code in panel["trust"].values]
    return sr.administer(merge(panel, codes[:3], into=codes[1]), codes[5], {codes[8]: 0.5, codes[9]: 0.5})


VARIANTS = {
    "as it is": lambda panel, n: plan(panel, n),
    "shares all over": lambda panel, n: plan(panel, n, sr.Assumptions(dependence=shares_all_over())),
    "fat tails": lambda panel, n: plan(panel, n, sr.Assumptions(dependence=replace(shares_all_over(), tail_dof=4.0))),
    "driver of the user": lambda panel, n: plan(panel, n, sr.Assumptions(drivers=("test_controls_flood",))),
    "merged and divided": lambda panel, n: plan(merged(panel), n),
    "2019-20": lambda panel, n: plan(panel.assign_attrs(year="2019-20"), n, regime="2019-20"),
    "2025-26": lambda panel, n: plan(panel.assign_attrs(year="2025-26"), n, regime="2025-26"),
    "no rules": lambda panel, n: plan(panel, n, regime="none"),
}


@pytest.fixture(scope="module", params=VARIANTS)
def pair(request, some):
    """A forecast with controls, and a plain one of other draws."""
    make, n = VARIANTS[request.param], 40_000
    plain = make(some, 2 * n).part(range(n, 2 * n)).forecast()
    return make(some, n).with_controls().forecast(), plain


def test_the_linear_control_has_the_law_that_is_stated(pair):
    linear, n = pair[0]["control_value"].sel(control="linear").values, pair[0].sizes["draw"]
    sd = pair[0].attrs["linear_sd"]
    assert abs(linear.mean()) < 4.5 * sd / np.sqrt(n)
    assert abs(linear.std() / sd - 1.0) < 4.5 / np.sqrt(2 * n)
    assert stats.kstest(linear / sd, "norm").pvalue > 1e-5


def test_own_walks_and_curvature_have_mean_nought(pair):
    for name in ("own_walk", "curvature"):
        values = pair[0]["control_value"].sel(control=name).values
        assert values.std() > 0.01
        assert abs(values.mean()) < 4.5 * values.std() / np.sqrt(len(values)), name


def test_figures_are_those_of_plain_draws(pair):
    with_controls, plain = pair
    goals = plain["sector_position"].quantile([0.2, 0.9]).values
    found = controlled(with_controls, goals, (0.9, 0.95))
    summary = sr.summarise(plain, confidence=(0.9, 0.95)).isel(unit=[-2, -1])
    for name, se in (("mean", "mean_se"), ("tail_value_at_risk", "tail_value_at_risk_se")):
        away = np.abs(found[name].values - summary[name].values)
        assert (away < 4.5 * np.hypot(found[se].values, summary[se].values)).all(), name
    for u, position in enumerate(("sector_position", "nhs_position")):
        p = np.array([(plain[position].values >= goal).mean() for goal in goals])
        error = np.hypot(np.sqrt(p * (1.0 - p) / plain.sizes["draw"]), found["p_reaching_se"].values[u])
        assert (np.abs(found["p_reaching"].values[u] - p) < 4.5 * error).all()


def test_controls_explain_in_every_setting(pair):
    found = controlled(pair[0], [float(pair[1]["sector_position"].median())])
    least = {"mean": 3.0, "p_reaching": 1.3, "tail_value_at_risk": 1.5}
    for name, worth in least.items():
        assert (found[f"{name}_worth"].values[0] > worth).all(), name


def test_the_draws_are_those_without_controls(some):
    plain, planned = plan(some, 200).forecast(), plan(some, 200).with_controls()
    forecast = planned.forecast()
    for name in plain.data_vars:
        assert np.array_equal(plain[name], forecast[name]), name
    assert "control_value" not in plain
    assert "linear_sd" not in plain.attrs


@pytest.mark.parametrize("how", [{"threads": 2}, {"block_size": 77}])
def test_controls_do_not_depend_on_how_draws_are_cut(some, how):
    planned = plan(some, 400).with_controls()
    whole = planned.forecast(threads=1)["control_value"]
    assert np.array_equal(whole, planned.forecast(**how)["control_value"])
    part = planned.part(range(130, 333)).forecast()
    assert np.array_equal(whole.isel(draw=slice(130, 333)), part["control_value"])
    assert part.attrs["linear_sd"] == planned.forecast().attrs["linear_sd"]


# --- a slow twin: the formulas in double precision, trust by trust ------------------------------------------


def latents(prepared, v, n):
    """Latent Normals of a variate, (trust, draw)."""
    s, item, groups = pressure.STREAM_OF[v], pressure.ITEM_OF[v], prepared.groups
    keys, loading = prepared.keys[s], prepared.years[0].trusts.loading[v].astype(float)
    factors = np.concatenate(
        [normals(keys[level], groups.hashes[at], 0, 0, 4, n)[:, item] for level, at in enumerate(groups.levels)]
    ).astype(float)
    sector = np.array(
        [
            normals(prepared.keys[a, 0], groups.hashes[:1], 0, 0, 4, n)[0, b]
            for a, b in zip(pressure.STREAM_OF, pressure.ITEM_OF, strict=True)
        ]
    )
    factors[0] = sector_mix(prepared)[v] @ sector
    own = normals(keys[4], prepared.years[0].trusts.hashes, 0, 0, 4, n)[:, item]
    return np.einsum("lt,ltd->td", loading[:4], factors[groups.rows]) + loading[4][:, None] * own


def walks(prepared, n):
    """The sector's and the trust's own part of the walk at the year end, GBP m, each (trust, draw)."""
    rho, trusts = float(prepared.profile.persistence), prepared.years[0].trusts
    effect = np.array([sum(rho**k for k in range(12 - m)) for m in range(12)])
    on_sector, on_own = prepared.profile.shock_loading.astype(float)
    key, sd = prepared.keys[pressure.STREAMS.index("run_rate")], trusts.shock_sd.astype(float)[:, None]
    sector = effect @ normals(key[0], prepared.groups.hashes[:1], 0, 0, 12, n)[0]
    own = np.einsum("m,tmd->td", effect, normals(key[4], trusts.hashes, 0, 0, 12, n))
    return sd * on_sector * sector, sd * on_own * own, sd[:, 0] * on_own * np.linalg.norm(effect)


def values(prepared, v, z):
    trusts = prepared.years[0].trusts
    return trusts.offset[v][:, None] + trusts.scale[v][:, None] * quantile_of(prepared, v, z)


def quantile_of(prepared, v, z):
    mean, sd = prepared.normal[v]
    return mean + sd * z if sd > 0 else np.interp(z, np.linspace(-6, 6, 1025), prepared.tables[v].astype(float))


def twin(planned, n):
    """Controls by name, (draw,): by quadrature where the kernel has closed forms."""
    prepared, keep = planned.run.prepared, float(planned.run.prepared.profile.keep_favourable)
    slopes, profile, trusts = planned.run.controls, prepared.profile, prepared.years[0].trusts
    z = {v: latents(prepared, v, n) for v in LATENTS}
    x = {v: values(prepared, v, z[v]) for v in LATENTS}
    k, share = prepared.efficiency_plan.astype(float)[:, None], trusts.recurrent_share.astype(float)[:, None]
    effect = np.clip(profile.effect_at_no_ask - trusts.ask_slope * k[:, 0], *profile.effect_range)[:, None]
    saved = k * share * effect * x[pressure.RECURRENT] + k * (1 - share) * x[pressure.ONE_OFF]
    rest = k - saved + x[pressure.AFC] * profile.afc[11] + x[pressure.MEDICAL] * profile.medical[11] + x[pressure.DRIFT]
    of_sector, own, sd = walks(prepared, n)
    cover, m, s = x[pressure.FLEXIBILITY], rest + of_sector, slopes.pressure[:, None]
    nodes, weights = np.polynomial.legendre.leggauss(1000)
    at, weights = 8.0 * nodes, 8.0 * weights * stats.norm.pdf(8.0 * nodes)
    expected = sum(w * kept(m + sd[:, None] * a, cover, keep) for a, w in zip(at, weights, strict=True))
    linear, curvature = -(s * (of_sector + own)).sum(axis=0), np.zeros(n)
    grid = np.linspace(-9, 9, 400_001)
    density = stats.norm.pdf(grid) * (grid[1] - grid[0])
    for v in LATENTS:
        q = quantile_of(prepared, v, grid)
        mean, slope = density @ q, density @ (q * grid)
        linear = linear + slopes.latent[v].astype(float) @ z[v]
        curvature = curvature + slopes.curvature[v].astype(float) @ (
            quantile_of(prepared, v, z[v]) - mean - slope * z[v]
        )
        assert np.allclose(slopes.latent[v], slopes.curvature[v] * slope, rtol=1e-4)
    short = kept(m + own, cover, keep) - expected
    plan_ = prepared.plan.astype(float).sum()
    return {
        "linear": linear,
        "curvature": curvature,
        "own_walk": (short + s * own).sum(axis=0),
        "smooth": plan_ + expected.sum(axis=0),
    }


def kept(p, cover, keep):
    """Variance that is reported of a pressure."""
    return np.where(p > 0, -(p - np.minimum(p, cover)), -keep * p)


@pytest.mark.parametrize("dependence", [Dependence(), shares_all_over()], ids=["default", "shares all over"])
def test_the_kernel_agrees_with_formulas(some, dependence):
    n, planned = 12, plan(some, 12, sr.Assumptions(dependence=dependence)).with_controls()
    found = planned.forecast()["control_value"]
    for name, expected in twin(planned, n).items():
        assert np.allclose(found.sel(control=name), expected, rtol=1e-5, atol=3e-3), name


def test_slopes_are_right_where_pressures_are_normal(some):
    """With Normal pressures and cover the slopes are exact: those of a regression on the latents of a trust."""
    normal = sr.Marginal.of("norm", loc=0.7, scale=0.05)
    base = sr.Assumptions()
    assumptions = replace(
        base,
        efficiency=replace(base.efficiency, recurrent_ratio=normal, one_off_ratio=normal),
        deterioration=replace(base.deterioration, drift=sr.Marginal.of("norm", loc=0.9, scale=0.1)),
        flexibility=replace(base.flexibility, amount=sr.Marginal.of("norm", loc=1.0, scale=0.1)),
    )
    n, planned = 30_000, plan(some, 30_000, assumptions).with_controls()
    slopes, prepared = planned.run.controls, planned.run.prepared
    variance = planned.forecast()["variance"].values.astype(float)
    for v in LATENTS:
        z = latents(prepared, v, n)
        slope = (z * (variance - variance.mean(axis=1, keepdims=True))).mean(axis=1)
        error = variance.std(axis=1) * np.sqrt(2.0 / n)
        # the latents of other drivers share factors with this one: sector factors of drift and delivery
        others = 0.03 * np.abs(slopes.latent).max(axis=0)
        assert (np.abs(slope - slopes.latent[v]) < 4.5 * error + others).all(), v


# --- closed forms -------------------------------------------------------------------------------------------


def test_the_table_of_the_ramp_is_right_on_average():
    table, width = kernel.remainder_table().astype(float), 12.0 / 1024
    z = np.linspace(-6, 6, 1025)
    for a, b in ((-1.0, -0.5), (0.0, width), (0.3, 0.9), (-3.0, 3.0)):
        x = np.linspace(a, b, 200_001)
        exact = np.abs(x) * special.ndtr(-np.abs(x)) * -1.0 + stats.norm.pdf(x)
        assert abs((np.interp(x, z, table) - exact).mean()) < 1e-7
        assert np.abs(np.interp(x, z, table) - exact).max() < 5e-6


def test_moments_of_quantiles_are_those_of_the_tables(some):
    prepared = plan(some, 1).run.prepared
    mean, slope, sd = quantile_moments(prepared)
    grid = np.linspace(-9, 9, 900_001)
    density = stats.norm.pdf(grid) * (grid[1] - grid[0])
    for v in range(pressure.N_VARIATES):
        q = quantile_of(prepared, v, grid)
        assert mean[v] == pytest.approx(density @ q, rel=1e-6, abs=1e-9)
        assert slope[v] == pytest.approx(density @ (q * grid), rel=1e-6, abs=1e-9)
        assert sd[v] == pytest.approx(math.sqrt(density @ (q - density @ q) ** 2), rel=1e-3)


def test_the_law_of_central_actions_is_that_of_their_draws():
    third = sr.CentralAction("third", -300.0, sr.Marginal.of("norm", loc=1.0, scale=0.3))
    assumptions = sr.Assumptions(centre=sr.Centre((*sr.Assumptions().centre.actions, third)))
    points, weights = law_of_centre(assumptions)
    z, n = np.random.default_rng(1).standard_normal((3, 400_000)), 400_000
    drawn = sum(a.planned * a.delivery.from_normal(z[k]) for k, a in enumerate(assumptions.centre.actions))
    assert weights.sum() == pytest.approx(1.0)
    assert abs(weights @ points - drawn.mean()) < 4.5 * drawn.std() / math.sqrt(n)
    law = Law(150.0, points, weights)
    both = drawn + 150.0 * np.random.default_rng(2).standard_normal(n)
    for t in (-300.0, 100.0, 500.0, 1200.0):
        p = (both >= t).mean()
        assert abs(law.at_least(t) - p) < 4.5 * math.sqrt(p * (1 - p) / n)
        assert law.at_least(law.quantile(1.0 - p)) == pytest.approx(p, abs=1e-6)
        short = np.maximum(t - both, 0.0)
        assert abs(law.shortfall(t) - short.mean()) < 4.5 * short.std() / math.sqrt(n)


def test_a_normal_law_has_its_closed_forms():
    law = Law(2.0, np.zeros(1), np.ones(1))
    assert law.at_least(1.0) == pytest.approx(stats.norm.sf(0.5))
    assert law.quantile(0.05) == pytest.approx(2.0 * stats.norm.ppf(0.05), abs=1e-6)
    area = integrate.quad(lambda x: (1.0 - x) * stats.norm.pdf(x, scale=2.0), -30.0, 1.0)[0]
    assert law.shortfall(1.0) == pytest.approx(area)


# --- estimates and their errors -----------------------------------------------------------------------------


def test_an_estimate_is_the_regression_at_known_means():
    rng = np.random.default_rng(4)
    x = rng.standard_normal((2, 3000))
    y = 5.0 + 2.0 * x[0] - x[1] + 0.1 * rng.standard_normal(3000)
    figure, se, worth = estimate(y, list(x), 0)
    design = np.column_stack([np.ones(3000), *x])
    b = np.linalg.lstsq(design, y, rcond=None)[0]
    left = y - design @ b
    assert figure == pytest.approx(b[0])
    assert se == pytest.approx(math.sqrt(left @ left / (3000 - 3) / 3000), rel=0.01)
    assert worth == pytest.approx(y.var(ddof=1) / 3000 / se**2)


@pytest.mark.parametrize("n_controls", [0, 1, 3])
def test_errors_are_the_jackknifes(n_controls):
    """Each draw is left out in turn; a few draws in a tail are what both the figure and a control rest on."""
    rng = np.random.default_rng(6)
    n, x = 60, rng.standard_normal((n_controls, 60))
    x[:1] = np.minimum(x[:1] + 1.0, 0.0)
    y = np.minimum(rng.standard_normal(n) + 1.0, 0.0) + x.sum(axis=0)
    without = [np.delete(np.arange(n), i) for i in range(n)]
    left_out = [estimate(y[rest], list(x[:, rest]), 0)[0] for rest in without]
    expected = math.sqrt((n - 1) * np.var(left_out))
    assert estimate(y, list(x), 0)[1] == pytest.approx(expected)


def test_controls_that_say_nothing_or_the_same_change_nothing():
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal(500), rng.standard_normal(500)
    with_x = estimate(y, [x], 0)
    assert estimate(y, [x, x, np.zeros(500)], 0)[0] == pytest.approx(with_x[0])
    assert estimate(np.ones(500), [x], 0)[:2] == pytest.approx((1.0, 0.0), abs=1e-12)
    assert math.isnan(estimate(np.ones(500), [], 0)[2])


def test_errors_of_replicates_are_those_of_their_means():
    left = np.random.default_rng(3).standard_normal(20 * REPLICATE) + np.repeat(np.arange(20.0), REPLICATE)
    means = [left[k * REPLICATE : (k + 1) * REPLICATE].mean() for k in range(20)]
    assert estimate(left, [], 20)[1] == pytest.approx(np.std(means, ddof=1) / math.sqrt(20))
    assert math.isnan(estimate(left[: 15 * REPLICATE], [], 15)[1])


def test_as_many_draws_as_controls_tell_no_error():
    rng = np.random.default_rng(3)
    assert math.isnan(estimate(np.ones(1), [], 0)[1])
    assert math.isnan(estimate(rng.standard_normal(4), list(rng.standard_normal((3, 4))), 0)[1])
    assert Fit.of(rng.standard_normal(5), rng.standard_normal((3, 5))).error() > 0.0


@pytest.fixture(scope="module")
def both(case):
    """Twenty-four replicates of the whole case with Sobol points and controls."""
    return plan(check_panel(case), 24 * REPLICATE).with_points().with_controls().forecast()


def test_a_draw_is_worth_many(both):
    """At least half of what long runs gave; with 24 replicates the estimate's relative sd is .3."""
    found = controlled(both, [-725.0, 0.0]).isel(threshold=[0, 1])
    assert found.attrs["replicates"] == 24
    assert (found["mean_worth"] > 20.0).all()
    assert found["p_reaching_worth"].sel(unit="Provider sector", threshold=-725.0) > 1.8
    assert found["p_reaching_worth"].sel(unit="Whole NHS", threshold=0.0) > 3.0
    assert (found["tail_value_at_risk_worth"] > 3.5).all()


def test_a_plain_draw_with_controls_is_worth_many(both, case):
    forecast = plan(check_panel(case), 16_000, seed=8).with_controls().forecast()
    found = controlled(forecast, [-725.0, 0.0])
    assert found.attrs["replicates"] == 0
    assert (found["mean_worth"] > 40.0).all()
    assert found["p_reaching_worth"].sel(unit="Provider sector", threshold=-725.0) > 3.0
    assert (found["p_reaching_worth"].sel(unit="Whole NHS") > 4.0).all()
    assert (found["tail_value_at_risk_worth"] > 6.5).all()
    other = controlled(both, [-725.0, 0.0])
    for name in FIGURES:
        away, se = np.abs(found[name] - other[name]), np.hypot(found[f"{name}_se"], other[f"{name}_se"])
        assert (away <= 4.5 * se).all(), name


def test_points_alone_give_plain_means_and_errors_of_replicates(both):
    alone = both.drop_vars(["control_value", "control"])
    found = controlled(alone)
    means = alone["sector_position"].values.reshape(24, -1).mean(axis=1)
    assert found["mean"].values[0] == pytest.approx(means.mean())
    assert found["mean_se"].values[0] == pytest.approx(means.std(ddof=1) / math.sqrt(24))
    assert found["tail_value_at_risk"].values == pytest.approx(
        sr.summarise(alone, confidence=(0.95,))["tail_value_at_risk"].isel(unit=[-2, -1]).values
    )


@pytest.mark.parametrize(("replicates", "said"), [(1, "one replicate of Sobol points does"), (15, "15 replicates do")])
def test_few_replicates_tell_no_error_and_say_so(both, replicates, said):
    words = f"{said} not tell errors, which are NaN; 16 do. Simulate 16,384 draws"
    with pytest.warns(sr.InputWarning, match=words) as caught:
        few = controlled(both.isel(draw=slice(0, replicates * REPLICATE)))
    assert Path(caught[0].filename) == Path(__file__)
    assert np.isfinite(few["mean"]).all()
    assert np.isnan(few["mean_se"]).all()
    assert np.isnan(few["mean_worth"]).all()


def test_sixteen_replicates_tell_errors_without_a_word(both):
    assert np.isfinite(controlled(both.isel(draw=slice(0, 16 * REPLICATE)))["mean_se"]).all()


def test_controls_near_a_threshold_need_draws_there(case):
    """Of these draws five are the tail, and no central action comes near it: an estimate by its control was 10,864."""
    panel = check_panel(case.isel(trust=slice(0, None, 15)))
    odd = plan(panel, 500 * 273, seed=1).with_controls().part(range(500 * 272, 500 * 273)).forecast()
    plain = sr.summarise(odd, confidence=(0.99,)).sel(unit="Whole NHS")
    found = controlled(odd, [float(odd["nhs_position"].quantile(0.01))], (0.99,)).sel(unit="Whole NHS")
    assert abs(float(found["tail_value_at_risk"][0] - plain["tail_value_at_risk"][0])) < 60.0
    assert abs(float(found["p_reaching"][0]) - 0.99) < 0.02


def test_figures_of_a_position_that_is_its_linear_control_are_those_of_a_normal(some):
    """Then nearly all is explained, and errors are small beside those of plain draws."""
    forecast = plan(some, 40_000).with_controls().forecast()
    sd, linear = forecast.attrs["linear_sd"], forecast["control_value"].sel(control="linear", drop=True)
    own = {"sector_position": linear - 100.0, "sector_position_before_support": linear - 100.0}
    found = controlled(forecast.assign(own), [-100.0 + sd], (0.95,)).isel(unit=0)
    assert float(found["mean"]) == pytest.approx(-100.0, abs=1e-6)
    tail = 100.0 + sd * stats.norm.pdf(stats.norm.ppf(0.05)) / 0.05
    assert abs(float(found["tail_value_at_risk"][0]) - tail) < 4.5 * float(found["tail_value_at_risk_se"][0])
    assert abs(float(found["p_reaching"][0]) - stats.norm.sf(1.0)) < 4.5 * float(found["p_reaching_se"][0])
    assert float(found["tail_value_at_risk_worth"][0]) > 15.0
    assert float(found["p_reaching_worth"][0]) > 4.0


def linear_ratio(planned):
    """Sample sd of the linear control over the one stated."""
    forecast = planned.with_controls().forecast()
    return float(forecast["control_value"].sel(control="linear").std()) / forecast.attrs["linear_sd"]


def test_the_stated_sd_knows_of_rules_that_damp_shocks(some):
    """Half the variance of shocks is gone, and shocks are most of what varies."""
    base, reform = sr.Assumptions(), sr.PaymentReform(years=1, population_share=1.0, activity_part=1.0)
    rough = replace(base, deterioration=replace(base.deterioration, shock_sd=4.0 * base.deterioration.shock_sd))
    planned = plan(some.assign_attrs(year="2019-20"), 10_000, rough, sr.Regime("damped", (reform,)))
    assert abs(linear_ratio(planned) - 1.0) < 4.5 / math.sqrt(20_000)


def test_the_stated_sd_knows_of_rows_that_share_their_numbers(some):
    """The largest trust is divided between the two smallest: its two parts have the same own Normals."""
    small, other, *_, large = np.argsort(some["turnover"].values)
    three = some.isel(trust=[small, other, large])
    codes = [str(code) for code in three["trust"].values]
    divided = sr.administer(three, codes[2], {codes[0]: 0.5, codes[1]: 0.5})
    assert abs(linear_ratio(plan(divided, 10_000)) - 1.0) < 4.5 / math.sqrt(20_000)


# --- intervals hold the truth as often as they say --------------------------------------------------------------

GROUPS, OF_GROUP, OF_TRUTH = 300, 1_000, 2_000_000
POSITIONS = ("sector_position", "nhs_position")


@pytest.fixture(scope="module")
def twelve(case):
    """Twelve trusts, and central actions in proportion to them."""
    base = sr.Assumptions()
    own = tuple(sr.CentralAction(a.name, 0.06 * a.planned, a.delivery) for a in base.centre.actions)
    return check_panel(case.isel(trust=slice(0, None, 19))), replace(base, centre=sr.Centre(own))


def figures_of_truth(position):
    """Thresholds, and mean, chances of reaching them and tail value at risk with their errors, (figure, 2)."""
    n, k = len(position), math.ceil(0.05 * len(position))
    goals = np.quantile(position, [0.1, 0.6])
    p = np.array([(position >= goal).mean() for goal in goals])
    worst = np.sort(position)[:k]
    short = worst[-1] - worst
    of_tail = math.sqrt(((short**2).mean() - k / n * short.mean() ** 2) / (k - 1))
    errors = [position.std() / math.sqrt(n), *np.sqrt(p * (1.0 - p) / n), of_tail]
    return goals, np.column_stack([[position.mean(), *p, -worst.mean()], errors])


def test_intervals_hold_the_truth_as_often_as_they_say(twelve, monkeypatch):
    """Of mean, chances and TVaR 95, for sector and whole NHS, in 300 forecasts of 1,000 draws each."""
    panel, assumptions = twelve
    monkeypatch.setattr(controls, "law_of_centre", cache(lambda _: law_of_centre(assumptions)))
    truth = keep_draws(plan(panel, OF_TRUTH, assumptions, seed=1), POSITIONS, threads=None)
    known = [figures_of_truth(truth[name].values) for name in POSITIONS]
    kept = (*POSITIONS, "sector_position_before_support", "central_action", "control_value")
    draws = keep_draws(plan(panel, GROUPS * OF_GROUP, assumptions, seed=2).with_controls(), kept, threads=None)
    away = np.zeros((GROUPS, 2, 4))
    for g in range(GROUPS):
        group = draws.isel(draw=slice(g * OF_GROUP, (g + 1) * OF_GROUP))
        for u, (sample, (goals, figures)) in enumerate(zip(samples_of(group), known, strict=True)):
            found = measure(sample, goals, np.array([0.95]))
            value, se = (np.hstack([found[f"{name}{end}"] for name in FIGURES]) for end in ("", "_se"))
            away[g, u] = np.abs(value - figures[:, 0]) / np.hypot(se, figures[:, 1])
    for level in (0.9, 0.95):
        held = (away < stats.norm.ppf(0.5 + 0.5 * level)).mean(axis=0)
        assert (np.abs(held - level) < 4.5 * math.sqrt(level * (1.0 - level) / GROUPS)).all(), (level, held)


# --- what is refused ----------------------------------------------------------------------------------------


def faults_of(call):
    with pytest.raises(sr.InputError) as caught:
        call()
    return str(caught.value)


def test_a_plain_forecast_and_wrong_settings_are_one_report(some):
    forecast = plan(some, 50).forecast()
    said = faults_of(lambda: controlled(forecast, thresholds=[np.nan], confidence=(1.5,)))
    assert "3 faults" in said
    assert "neither controls nor Sobol points" in said


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"thresholds": -725},
            r"must be a list of finite sums \('-725'\). Give year-end positions .* such as \[-500, 0\]",
        ),
        ({"confidence": 0.95}, r"must be between 0 and 1, in a list \('0.95'\). Use \(0.9"),
    ],
)
def test_a_bare_number_is_told_to_be_a_list(some, settings, said):
    with pytest.raises(sr.InputError, match=said) as caught:
        controlled(plan(some, 50).with_controls().forecast(), **settings)
    assert len(caught.value.faults) == 1


def test_parts_of_replicates_are_refused(both):
    assert "parts of replicates" in faults_of(lambda: controlled(both.isel(draw=slice(0, 16 * REPLICATE + 1))))
    assert "parts of replicates" in faults_of(lambda: controlled(both.isel(draw=slice(512, 512 + 16 * REPLICATE))))
    assert "parts of replicates" in faults_of(lambda: controlled(both.isel(draw=slice(None, None, 2))))


def test_lost_attributes_are_refused(both):
    assert "linear_sd, assumptions" in faults_of(lambda: controlled(both.drop_attrs()))


def test_cover_below_nought_is_refused(some):
    base = sr.Assumptions()
    wide = replace(base, flexibility=replace(base.flexibility, amount=sr.Marginal.of("norm", loc=1.0, scale=0.5)))
    assert "never less than nought" in faults_of(plan(some, 50, wide).with_controls)


def test_years_that_were_seen_are_refused(some):
    planned = plan(some, REPLICATE)
    seen = replace(planned, run=replace(planned.run, posterior=object()))
    for make in (seen.with_points, seen.with_controls):
        assert "only before the year" in faults_of(make)


def test_contributions_must_be_kept(some):
    planned = plan(some, 50).with_controls()
    with pytest.raises(ValueError, match="contributions by trust"):
        replace(planned, run=replace(planned.run, by_trust=False)).forecast(threads=1)
