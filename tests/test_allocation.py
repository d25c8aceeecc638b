"""Shares of tail and spread: hand-made answers, identities on real forecasts, closed forms, errors by repetition."""

import numpy as np
import pytest
import xarray as xr
from scipy.stats import norm

import sector_risk as sr
from hand_made import hand_made
from sector_risk.allocation import allocate
from sector_risk.effects import waterfall
from sector_risk.kernels.edge import edge_means
from sector_risk.panel.reconfigure import merge
from sector_risk.units import units_of

N = 301


@pytest.fixture(scope="module", params=["none", "2018-19", "2025-26", "merged", "seen"])
def made(request, case):
    panel = case.isel(trust=slice(None, None, 9))
    if request.param == "merged":
        codes = panel["trust"].values
        return sr.simulate(merge(panel, codes[2:7].tolist(), into=codes[2]), n_draws=N)
    if request.param == "seen":
        ytd = np.r_[-3.0, -6.0, np.zeros(panel.sizes["trust"] - 2)][:, None]
        seen = panel.assign(variance_ytd=(("trust", "month"), ytd)).assign_coords(month=[6])
        return sr.condition(seen, through_month=6, n_draws=N)
    return sr.simulate(panel, regime=request.param, n_draws=N)


def test_shares_of_a_hand_made_forecast():
    """Sector -3, -9, 5, -5: with half of the draws in the tail these are the second and the fourth."""
    one, two = [-4.0, -1.0, 2.0, -3.0], [0.0, -9.0, 2.0, -3.0]
    made = hand_made([[one, two], np.zeros((2, 4))], plan=[0.0, 1.0], drivers=["pay_afc", "one_off"])
    shares = allocate(made, confidence=0.5)
    assert shares["tail_value_at_risk"].item() == 7.0
    assert shares["member"].values.tolist() == ["ZZ1", "ZZ2"]
    np.testing.assert_allclose(shares["tail_value_at_risk_share"], [2.0, 5.0])
    assert shares["effect"].values.tolist() == ["plan", "pay_afc", "one_off", "support"]
    np.testing.assert_allclose(shares["tail_value_at_risk_by_effect"], [-1.0, 8.0, 0.0, 0.0])
    sector = np.add(one, two)
    np.testing.assert_allclose(shares["sd"], sector.std(ddof=1))
    wanted = [np.cov(one, sector)[0, 1], np.cov(two, sector)[0, 1]] / sector.std(ddof=1)
    np.testing.assert_allclose(shares["sd_share"], wanted)
    np.testing.assert_allclose(shares["sd_by_effect"], [0.0, sector.std(ddof=1), 0.0, 0.0], atol=1e-12)


def test_of_equal_draws_the_earlier_are_the_tail():
    """The sector is at -2 in three draws, of which two are wanted; only its trusts tell them apart."""
    made = hand_made([[[1.0, -7.0, 4.0, 0.0, 0.0], [-3.0, 5.0, -6.0, 0.0, 0.0]]])
    shares = allocate(made, confidence=0.6)
    np.testing.assert_allclose(shares["tail_value_at_risk_share"], [3.0, -1.0])


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.37])
def test_shares_add_up_to_what_the_summary_has_for_every_unit(made, confidence):
    summary = sr.summarise(made, confidence=(confidence,)).isel(confidence=0)
    units = units_of(made)
    for i in (0, 5, *units.at("region")[::3], *units.at("trust_type"), *units.at("system")[::5], -2, -1):
        one, shares = summary.isel(unit=i), allocate(made, units.unit[i], confidence)
        for name in ("tail_value_at_risk", "sd"):
            total = float(one[name])
            assert shares[name].item() == pytest.approx(total, rel=1e-9, abs=1e-9)
            assert shares[f"{name}_share"].sum().item() == pytest.approx(total, rel=1e-9, abs=1e-9)
            assert shares[f"{name}_by_effect"].sum().item() == pytest.approx(total, rel=1e-9, abs=1e-9)
        assert shares["tail_value_at_risk_se"].item() == pytest.approx(float(one["tail_value_at_risk_se"]), rel=1e-6)


def test_shares_are_those_of_a_plain_twin(made):
    for unit in (made["region"].values[0], "Provider sector", "Whole NHS"):
        shares, flow = allocate(made, unit, 0.8), waterfall(made, unit)
        total = flow["position"].values
        worst = np.argsort(total, kind="stable")[: int(np.ceil(0.2 * N - 1e-9))]
        rows = made["position"].astype(float)
        rows = (rows if unit in ("Provider sector", "Whole NHS") else rows[made["region"] == unit]).values
        if unit == "Whole NHS":
            rows = np.vstack([rows, made["nhs_position"] - made["sector_position"]])
        effects = flow["effect_by_draw"].values
        for name, x in (("share", rows), ("by_effect", np.vstack([np.full(N, flow["plan"].item()), effects]))):
            np.testing.assert_allclose(shares[f"tail_value_at_risk_{name}"], -x[:, worst].mean(axis=1), atol=1e-9)
            wanted = [np.cov(row, total)[0, 1] / total.std(ddof=1) for row in x]
            np.testing.assert_allclose(shares[f"sd_{name}"], wanted, atol=1e-9)


def test_the_centre_is_a_member_of_the_whole_nhs_alone(made):
    assert "centre" not in allocate(made)["member"]
    shares = allocate(made, "Whole NHS")
    assert shares["member"].values[-1] == "centre"
    assert shares["effect"].values[-1] == "centre"
    for name in ("tail_value_at_risk", "sd"):
        for end in ("", "_se"):
            of_member, of_effect = shares[f"{name}_share{end}"][-1], shares[f"{name}_by_effect{end}"][-1]
            assert of_member.item() == pytest.approx(of_effect.item(), rel=1e-9)
    assert shares["region"].values[-1] == ""
    assert shares["name"].values[0] == made["name"].values[0]


MEANS = np.array([-8.0, 3.0, -1.0])
COVARIANCE = np.array([[9.0, 3.0, 0.0], [3.0, 4.0, -1.0], [0.0, -1.0, 1.0]])


def normal_forecast(n, seed):
    """Three trusts, jointly Normal; of each, a part that is Normal too is one driver and the rest another."""
    rng = np.random.default_rng(seed)
    first, second = (rng.multivariate_normal([0.0, 0.0, 0.0], part * COVARIANCE, size=n).T for part in (0.7, 0.3))
    return hand_made([first, second], plan=MEANS, drivers=["deterioration", "pay_afc"])


def normal_shares(confidence):
    """Closed form: -mu_i + c_i phi(z) / p, and c_i, with c_i = cov(X_i, S) / sd(S)."""
    p, shares = 1 - confidence, COVARIANCE.sum(axis=1) / np.sqrt(COVARIANCE.sum())
    return -MEANS + shares * norm.pdf(norm.ppf(p)) / p, shares


@pytest.mark.parametrize("confidence", [0.6, 0.95, 0.99])
def test_shares_of_joint_normals_are_those_of_the_closed_form(confidence):
    shares = allocate(normal_forecast(60_000, 1), confidence=confidence)
    tail, spread = normal_shares(confidence)
    assert (np.abs(shares["tail_value_at_risk_share"] - tail) < 5 * shares["tail_value_at_risk_share_se"]).all()
    assert (np.abs(shares["sd_share"] - spread) < 5 * shares["sd_share_se"]).all()
    by_effect = np.array([0.7, 0.3]) * spread.sum()
    assert (np.abs(shares["sd_by_effect"][1:3] - by_effect) < 5 * shares["sd_by_effect_se"][1:3]).all()
    tail_by_effect = np.array([0.7, 0.3]) * (tail + MEANS).sum()
    found = shares.isel(effect=[1, 2])
    assert (
        np.abs(found["tail_value_at_risk_by_effect"] - tail_by_effect) < 5 * found["tail_value_at_risk_by_effect_se"]
    ).all()


def test_errors_at_many_draws_are_those_of_the_closed_form():
    """With c_i = cov(X_i, S) / sd(S), var(X_i | tail) = v_i - c_i^2 (1 - t); n var(share of sd) = v_i - c_i^2 / 2."""
    n, p = 200_000, 0.05
    shares = allocate(normal_forecast(n, 2), confidence=1 - p)
    slope, variance, z = COVARIANCE.sum(axis=1) / np.sqrt(COVARIANCE.sum()), np.diag(COVARIANCE), norm.ppf(p)
    h = norm.pdf(z) / p
    tail_variance = 1 - z * h - h**2
    within, beyond = variance - slope**2 * (1 - tail_variance), slope * (h + z)
    wanted = np.sqrt((within + (1 - p) * beyond**2) / (n * p))
    np.testing.assert_allclose(shares["tail_value_at_risk_share_se"], wanted, rtol=0.05)
    np.testing.assert_allclose(shares["sd_se"], np.sqrt(COVARIANCE.sum() / (2 * n)), rtol=0.02)
    np.testing.assert_allclose(shares["sd_share_se"], np.sqrt((variance - slope**2 / 2) / n), rtol=0.02)


def test_errors_are_what_repetition_shows():
    """Two hundred repetitions of 400 draws: sd of each figure against the error it states (within 5 sd of 1)."""
    many = xr.concat([allocate(normal_forecast(400, seed), confidence=0.9) for seed in range(200)], "seed")
    for name in (str(name) for name in many.data_vars if not str(name).endswith("_se")):
        seen, stated = many[name].std("seed", ddof=1), np.sqrt((many[f"{name}_se"] ** 2).mean("seed"))
        ratio = (seen / stated).where(stated > 1e-5)
        assert ratio.count() >= ratio.size - 2, name
        assert np.abs(ratio - 1).max() < 5 / np.sqrt(2 * 199), (name, ratio.values)


@pytest.mark.parametrize(
    ("n", "k", "near"), [(200, 20, slice(15, 25)), (200, 190, slice(188, 192)), (9, 1, slice(0, 2))]
)
def test_the_mean_at_the_edge_is_read_off_a_line_through_the_nearest_draws(n, k, near):
    rng = np.random.default_rng(n + k)
    by = rng.normal(size=n)
    rows = np.array([by, by**2 + rng.normal(size=n), np.exp(by)])
    order, found = np.argsort(by), np.empty(3)
    edge_means(rows, by, order, k, found)
    x = by[order[near]] - by[order[k - 1]]
    np.testing.assert_allclose(found, [np.polyfit(x, row[order[near]], 1)[1] for row in rows], atol=1e-9)
    assert found[0] == pytest.approx(by[order[k - 1]], abs=1e-9)


def test_a_share_of_a_plan_has_no_error_and_no_spread(made):
    plan = allocate(made).sel(effect="plan")
    assert plan["tail_value_at_risk_by_effect"].item() == -waterfall(made)["plan"].item()
    for name in ("tail_value_at_risk_by_effect_se", "sd_by_effect", "sd_by_effect_se"):
        assert plan[name].item() == 0.0


def test_members_add_up_where_a_file_keeps_totals_in_less_detail(made):
    made = made.copy()
    made["sector_position"] = made["sector_position"].astype(np.float32).astype(float)
    shares = allocate(made)
    total = sr.summarise(made).sel(unit="Provider sector", confidence=0.95)
    for name in ("tail_value_at_risk", "sd"):
        assert shares[f"{name}_share"].sum().item() == pytest.approx(float(total[name]), rel=1e-9)


def test_what_one_draw_cannot_tell_is_no_figure(made):
    one = allocate(made.isel(draw=[4]))
    assert one["tail_value_at_risk"].item() == -made["sector_position"].values[4]
    assert one["sd"].item() == 0.0
    for name in ("tail_value_at_risk_se", "sd_se", "sd_share_se", "tail_value_at_risk_share_se"):
        assert one[name].isnull().all()
    assert allocate(made, confidence=0.999)["tail_value_at_risk_share_se"].isnull().all()


def test_a_unit_that_never_varies_has_no_spread_to_share():
    shares = allocate(hand_made(np.full((1, 2, 5), -2.0)), confidence=0.5)
    assert shares["tail_value_at_risk"].item() == 4.0
    for name in ("sd", "sd_se", "sd_share", "sd_share_se", "tail_value_at_risk_share_se"):
        assert (shares[name] == 0.0).all()


def test_all_draws_may_be_the_tail():
    shares = allocate(normal_forecast(50, 3), confidence=1e-12)
    position = normal_forecast(50, 3)["position"]
    np.testing.assert_allclose(shares["tail_value_at_risk_share"], -position.mean("draw", dtype=float))
    np.testing.assert_allclose(shares["tail_value_at_risk_share_se"], position.std("draw", ddof=1) / 50**0.5, rtol=1e-5)


def test_figures_describe_themselves(made):
    shares = allocate(made, "Whole NHS", 0.9)
    assert shares.attrs == made.attrs
    assert (shares["unit"].item(), shares["level"].item(), shares["confidence"].item()) == ("Whole NHS", "nhs", 0.9)
    for name in shares.data_vars:
        assert shares[name].attrs["units"] == "GBP million"
        assert shares[name].attrs["long_name"]
        assert str(name).endswith("_se") or f"{name}_se" in shares


@pytest.mark.parametrize("confidence", [0.0, 1.0, -0.5, 95, float("nan"), "0.9", "high", None, [0.9]])
def test_a_confidence_that_is_none_is_refused(made, confidence):
    with pytest.raises(sr.InputError, match="confidence: must be between 0 and 1"):
        allocate(made, confidence=confidence)


def test_faults_come_in_one_report(made):
    with pytest.raises(sr.InputError) as report:
        allocate(made.drop_vars(["contribution", "name"]), confidence=2)
    assert {fault.variable for fault in report.value.faults} == {"contribution", "name", "confidence"}


def test_what_cannot_be_divided_is_refused(made, case):
    with pytest.raises(sr.InputError, match="is it a selection"):
        allocate(made.isel(trust=slice(0, 5)))
    with pytest.raises(sr.InputError, match="Use summarise_projection"):
        allocate(sr.project(case.isel(trust=slice(4)), years=1, n_draws=20))
    with pytest.raises(sr.InputError, match="no unit has this name"):
        allocate(made, "Atlantis")
    broken = made.copy()
    broken["position"] = broken["position"].where(broken["draw"] != 2)
    with pytest.raises(sr.InputError, match="position: draws are not finite"):
        allocate(broken)
