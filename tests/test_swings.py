"""Tornado: hand-made answers, ties and constants, a closed form, errors by repetition, and what is refused."""

import numpy as np
import pytest
import xarray as xr
from scipy.stats import norm

import sector_risk as sr
from hand_made import hand_made
from sector_risk.effects import waterfall
from sector_risk.swings import tornado


@pytest.fixture(scope="module")
def made(case):
    return sr.simulate(case.isel(trust=slice(None, None, 9)), n_draws=400)


def one_trust(**effects):
    """A forecast of one trust whose drivers are these."""
    return hand_made(np.array([[values] for values in effects.values()]), drivers=list(effects))


def test_bars_of_a_hand_made_forecast():
    """Positions -4, -1, 1, 2, 0, 11 with a share of a third: two draws at each end."""
    made = one_trust(pay_afc=[-5.0, -3.0, 0.0, 1.0, 2.0, 9.0], one_off=[1.0, 2.0, 1.5, 1.2, -2.0, 2.5])
    bars = tornado(made, "ZZ1", share=1 / 3)
    position = np.array([-4.0, -1.0, 1.5, 2.2, 0.0, 11.5])
    assert bars["effect"].values.tolist() == ["pay_afc", "one_off", "support"]
    np.testing.assert_allclose(bars["base"], position.mean(), rtol=1e-6)
    np.testing.assert_allclose(bars["low"][:2], [-2.5, -2.0], rtol=1e-6)
    np.testing.assert_allclose(bars["high"][:2], [5.75, 5.25], rtol=1e-6)
    np.testing.assert_allclose(bars["swing"], bars["high"] - bars["low"], rtol=1e-12)


def test_an_effect_that_answers_to_others_swings_the_other_way():
    pressure = np.arange(-10.0, 10.0)
    bars = tornado(one_trust(deterioration=pressure, one_off=-0.5 * pressure)).sel(effect="one_off")
    assert bars["swing"].item() == -9.0
    assert bars["low"].item() > bars["base"].item() > bars["high"].item()


def test_draws_that_tie_at_the_edge_count_alike():
    """Three draws are wanted: the one at -4, and two thirds of each of the three at -1; at the top, half of each 0."""
    effect, rest = [0.0, -1.0, 0.0, -1.0, -4.0, 0.0, -1.0, 0.0, 0.0, 0.0], np.arange(10.0)
    bars = tornado(one_trust(pay_afc=effect, deterioration=rest), share=0.3).sel(effect="pay_afc")
    position = np.array(effect) + rest
    assert bars["low"].item() == pytest.approx((position[4] + 2 / 3 * position[[1, 3, 6]].sum()) / 3)
    assert bars["high"].item() == pytest.approx(position[[0, 2, 5, 7, 8, 9]].mean())


@pytest.mark.parametrize("noise", [0.0, 1e-4])
def test_an_effect_that_hardly_varies_has_no_bar(noise):
    rng = np.random.default_rng(1)
    rest = rng.normal(size=200)
    bars = tornado(one_trust(pay_afc=-20.0 + noise * rest, deterioration=rest))
    for name in ("pay_afc", "support"):
        one = bars.sel(effect=name)
        assert one["low"].item() == one["high"].item() == bars["base"].item()
        assert one["swing"].item() == one["swing_se"].item() == 0.0
        assert one["low_se"].item() == one["high_se"].item() == bars["base_se"].item()
    assert bars["effect"].values[0] == "deterioration"


def test_support_that_is_all_paid_in_every_draw_has_no_bar(case):
    """Rounding makes sums of float32 differ by some GBP 10 from draw to draw; that is no variation."""
    made = sr.simulate(case, n_draws=500)
    support = waterfall(made)["effect_by_draw"].sel(effect="support")
    assert 0.0 < np.ptp(support.values) < 1e-3
    assert tornado(made).sel(effect="support")["swing"].item() == 0.0


def test_a_rare_effect_has_a_bar():
    """It strikes in one draw of twenty: half of the worst tenth."""
    rng = np.random.default_rng(2)
    rare, rest = np.where(np.arange(2000) % 20 == 3, -10.0, 0.0), rng.normal(size=2000)
    bar = tornado(one_trust(pay_afc=rare, deterioration=rest)).sel(effect="pay_afc")
    position = rare + rest
    assert bar["low"].item() == pytest.approx((position[rare < 0].mean() + position[rare == 0].mean()) / 2, abs=1e-5)
    assert bar["high"].item() == pytest.approx(position[rare == 0].mean(), abs=1e-5)


@pytest.mark.parametrize("unit", ["Provider sector", "Whole NHS", "Acute"])
def test_bars_are_those_of_a_plain_twin(made, unit):
    flow, bars = waterfall(made, unit), tornado(made, unit, share=0.2)
    position = flow["position"].values
    for name in ("deterioration", "efficiency_recurrent", "one_off"):
        order = np.argsort(flow["effect_by_draw"].sel(effect=name).values)
        assert bars["low"].sel(effect=name).item() == pytest.approx(position[order[:80]].mean(), rel=1e-9)
        assert bars["high"].sel(effect=name).item() == pytest.approx(position[order[-80:]].mean(), rel=1e-9)
    assert bars["base"].item() == pytest.approx(position.mean(), rel=1e-12)
    assert set(bars["effect"].values) == set(flow["effect"].values)
    assert (np.diff(np.abs(bars["swing"])) <= 0).all()


SHARED, OWN = 3.0, 2.0


def normal_forecast(n, seed):
    """Pay with sd 3, drift that follows it by half with sd 2 of its own."""
    rng = np.random.default_rng(seed)
    pay = rng.normal(scale=SHARED, size=n)
    return one_trust(pay_afc=pay, deterioration=0.5 * pay + rng.normal(scale=OWN, size=n))


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5])
def test_bars_of_joint_normals_are_those_of_the_closed_form(share):
    """mean -+ cov(S, E) / sd(E) phi(z) / share; correlated drivers are in it."""
    bars = tornado(normal_forecast(50_000, 1), share=share)
    h = norm.pdf(norm.ppf(share)) / share
    sd = np.hypot(0.5 * SHARED, OWN)
    slopes = {"pay_afc": 1.5 * SHARED, "deterioration": (1.5 * 0.5 * SHARED**2 + OWN**2) / sd}
    for name, slope in slopes.items():
        bar = bars.sel(effect=name)
        assert abs(bar["low"] + slope * h) < 5 * bar["low_se"]
        assert abs(bar["high"] - slope * h) < 5 * bar["high_se"]
        assert abs(bar["swing"] - 2 * slope * h) < 5 * bar["swing_se"]


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_errors_are_what_repetition_shows(share):
    """Two hundred repetitions of 400 draws: sd of each figure against the error it states (within 5 sd of 1)."""
    names = ["pay_afc", "deterioration"]
    many = xr.concat([tornado(normal_forecast(400, s), share=share).sel(effect=names) for s in range(200)], "seed")
    for name in ("low", "high", "swing", "base"):
        seen, stated = many[name].std("seed", ddof=1), np.sqrt((many[f"{name}_se"] ** 2).mean("seed"))
        assert np.abs(seen / stated - 1).max() < 5 / np.sqrt(2 * 199), (name, (seen / stated).values)


def test_errors_hold_where_draws_tie():
    """A cost of 8, or none, with chances .3 and .7; the tail of a half is all of the first and part of the second."""
    made = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        cost, rest = np.where(rng.random(300) < 0.3, -8.0, 0.0), rng.normal(size=300)
        made.append(tornado(one_trust(pay_afc=cost, deterioration=rest), share=0.5).sel(effect="pay_afc"))
    many = xr.concat(made, "seed")
    for name in ("low", "high", "swing"):
        seen, stated = many[name].std("seed", ddof=1), np.sqrt((many[f"{name}_se"] ** 2).mean("seed"))
        assert abs(seen / stated - 1) < 5 / np.sqrt(2 * 199), (name, float(seen / stated))


def test_one_draw_at_an_end_has_no_error(made):
    bars = tornado(made, share=1 / 400)
    varying = bars.isel(effect=slice(0, 3))
    for name in ("low_se", "high_se", "swing_se"):
        assert varying[name].isnull().all()
    single = tornado(made.isel(draw=[0]))
    assert single["base"].item() == single["low"][0].item()
    assert single["base_se"].isnull()


def test_figures_describe_themselves(made):
    bars = tornado(made, "Acute")
    assert bars.attrs == made.attrs
    assert (bars["unit"].item(), bars["level"].item(), bars["share"].item()) == ("Acute", "trust_type", 0.1)
    for name in bars.data_vars:
        assert bars[name].attrs["units"] == "GBP million"
        assert str(name).endswith("_se") or f"{name}_se" in bars


@pytest.mark.parametrize("share", [0.0, 0.51, -1.0, float("nan"), "0.1", "tenth", None, [0.1], True])
def test_a_share_that_is_none_is_refused_with_all_else(made, share):
    with pytest.raises(sr.InputError, match="share: must be above 0") as report:
        tornado(made.drop_vars("contribution"), share=share)
    assert len(report.value.faults) == 2


def test_what_cannot_be_compared_is_refused(made, case):
    with pytest.raises(sr.InputError, match="is it a selection"):
        tornado(made.isel(trust=slice(0, 5)))
    with pytest.raises(sr.InputError, match="Use summarise_projection"):
        tornado(sr.project(case.isel(trust=slice(4)), years=1, n_draws=20))
    with pytest.raises(sr.InputError, match="no unit has this name"):
        tornado(made, "Atlantis")
    broken = made.copy(deep=True)
    broken["contribution"][0, 0, 0] += 1.0
    with pytest.raises(sr.InputError, match="contributions do not add up"):
        tornado(broken)
