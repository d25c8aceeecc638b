"""Reverse stress against plain NumPy, and its errors against other draws."""

import numpy as np
import pytest
from scipy import stats

import sector_risk as sr
from hand_made import hand_made
from sector_risk.assumptions import Assumptions
from sector_risk.effects import waterfall
from sector_risk.faults import InputError
from sector_risk.kernels.reduce import BALANCE
from sector_risk.stress import reverse_stress
from sector_risk.units import find_unit, position_of

SECTOR = "Provider sector"
DRAWS = 1001


@pytest.fixture(scope="module")
def few(case):
    return case.isel(trust=slice(None, None, 8))


@pytest.fixture(scope="module")
def of_few(few):
    return sr.simulate(few, n_draws=DRAWS, seed=4)


def middle(forecast, unit):
    return float(np.quantile(position_of(forecast, unit, "test"), 0.3))


@pytest.mark.parametrize("unit", [SECTOR, "Whole NHS", "London", "Mental health", "SYN001"])
@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("by", ["driver", "line"])
def test_sides_are_those_of_plain_numpy(of_few, unit, given, by):
    threshold = middle(of_few, unit) if given else None
    found, flow = reverse_stress(of_few, unit, threshold, by=by), waterfall(of_few, unit, by=by)
    position = position_of(of_few, unit, "test")
    worst = np.sort(position)[int(np.ceil(0.05 * DRAWS)) - 1]
    breach = position < threshold - float(BALANCE) if given else position <= worst
    n1, n0 = breach.sum(), (~breach).sum()
    assert int(found["n_breach"]) == n1
    assert float(found["p_breach"]) == n1 / DRAWS
    assert float(found["threshold"]) == (threshold if given else worst)
    assert float(found["position_breach"]) == pytest.approx(position[breach].mean(), rel=1e-12)
    assert float(found["position_other"]) == pytest.approx(position[~breach].mean(), rel=1e-12)
    assert set(found["effect"].values) == set(flow["effect"].values)
    for effect in found["effect"].values:
        draws, at = flow["effect_by_draw"].sel(effect=effect).values, found.sel(effect=effect)
        one, other = draws[breach], draws[~breach]
        assert at["effect_breach"].item() == pytest.approx(one.mean(), abs=1e-9)
        assert at["effect_other"].item() == pytest.approx(other.mean(), abs=1e-9)
        assert at["effect_difference"].item() == pytest.approx(one.mean() - other.mean(), abs=1e-9)
        if draws.std() > 1e-9:
            gap = (one.mean() - other.mean()) / draws.std(ddof=1)
            assert at["standardised_difference"].item() == pytest.approx(gap, rel=1e-9)
        if given:
            errors = one.std(ddof=1) / np.sqrt(n1), other.std(ddof=1) / np.sqrt(n0)
            assert at["effect_breach_se"].item() == pytest.approx(errors[0], abs=1e-9)
            assert at["effect_other_se"].item() == pytest.approx(errors[1], abs=1e-9)
            assert at["effect_difference_se"].item() == pytest.approx(np.hypot(*errors), abs=1e-9)
    _, rows = find_unit(of_few, unit, "test")
    assert list(found["trust"].values) == list(of_few["trust"].values[rows])
    trusts = of_few["position"].values[rows].astype(float)
    deficit = trusts < -float(BALANCE)
    np.testing.assert_allclose(found["trust_position_breach"], trusts[:, breach].mean(axis=1), rtol=1e-9)
    np.testing.assert_allclose(found["trust_position_other"], trusts[:, ~breach].mean(axis=1), rtol=1e-9)
    np.testing.assert_allclose(found["p_deficit_breach"], deficit[:, breach].mean(axis=1), atol=1e-12)
    np.testing.assert_allclose(found["p_deficit_other"], deficit[:, ~breach].mean(axis=1), atol=1e-12)
    rise = deficit[:, breach].mean(axis=1) - deficit[:, ~breach].mean(axis=1)
    np.testing.assert_allclose(found["p_deficit_difference"], rise, atol=1e-12)
    if given:
        p = deficit[:, breach].mean(axis=1)
        np.testing.assert_allclose(found["p_deficit_breach_se"], np.sqrt(p * (1 - p) / n1), atol=1e-12)


@pytest.mark.parametrize("unit", [SECTOR, "Whole NHS", "London", "SYN001"])
def test_effects_add_up_to_the_gap_between_the_sides(of_few, unit):
    found = reverse_stress(of_few, unit)
    gap = found["position_breach"] - found["position_other"]
    assert float(found["effect_difference"].sum()) == pytest.approx(float(gap), rel=1e-9)
    share = found["p_breach"]
    whole = share * found["effect_breach"] + (1.0 - share) * found["effect_other"]
    mean = waterfall(of_few, unit)["mean_effect"]
    np.testing.assert_allclose(whole.sortby("effect"), mean.sortby("effect"), rtol=1e-9, atol=1e-9)


def test_what_stands_out_comes_first(of_few):
    size = abs(reverse_stress(of_few)["standardised_difference"].values)
    assert (np.diff(size) <= 0.0).all()
    assert size[0] > 1.0


def test_an_effect_that_never_varies_stands_out_least(few):
    own = sr.Marginal.of("norm", scale=1e-30)
    pay = Assumptions().pay.replace(own_award_medical=own)
    found = reverse_stress(sr.simulate(few, Assumptions().replace(pay=pay), "none", n_draws=100))
    for effect in ("support", "pay_medical"):
        assert found["standardised_difference"].sel(effect=effect).item() == 0.0
        assert found["standardised_difference_se"].sel(effect=effect).item() == 0.0


def test_a_breach_is_by_five_thousand_pounds_or_more(of_few):
    position = np.sort(of_few["sector_position"].values)
    limit = position[399] + float(BALANCE)
    assert int(reverse_stress(of_few, threshold=limit - 1e-9)["n_breach"]) == 399
    assert int(reverse_stress(of_few, threshold=limit + 1e-9)["n_breach"]) == 400


def test_the_worst_twentieth_is_a_set_share_with_a_threshold_of_chance(of_few):
    found = reverse_stress(of_few)
    assert int(found["n_breach"]) == 51
    assert float(found["p_breach_se"]) == 0.0
    summary = sr.summarise(of_few, (0.05,)).sel(unit=SECTOR, quantile=0.05)
    assert float(found["threshold"]) == float(summary["position_quantile"])
    assert float(found["threshold_se"]) == float(summary["position_quantile_se"]) > 0.0
    assert float(found["position_breach"]) == pytest.approx(-float(summary["tail_value_at_risk"].sel(confidence=0.95)))
    given = reverse_stress(of_few, threshold=-150.0)
    assert float(given["threshold_se"]) == 0.0
    p = float(given["p_breach"])
    assert float(given["p_breach_se"]) == pytest.approx(np.sqrt(p * (1 - p) / DRAWS))


@pytest.fixture(scope="module")
def others():
    """Forecasts that differ by their draws only: two drivers, the second skew, at three trusts."""

    def one(seed):
        rng = np.random.default_rng(seed)
        shared, own = rng.normal(size=(2, 1, 400)), rng.normal(size=(2, 3, 400))
        contribution = np.array([1.0, 2.0])[:, None, None] * (0.6 * shared + 0.8 * own)
        contribution[1] = -np.exp(0.4 * contribution[1])
        return hand_made(contribution, plan=[2.0, 1.5, 3.0])

    return [one(seed) for seed in range(200)]


@pytest.mark.parametrize("given", [True, False])
def test_errors_are_those_of_other_draws(others, given):
    found = [reverse_stress(forecast, threshold=0.0 if given else None) for forecast in others]
    figures = [
        ("position_breach", {}),
        ("position_other", {}),
        *((f"effect_{side}", {"effect": "driver_0"}) for side in ("breach", "other", "difference")),
        ("effect_breach", {"effect": "driver_1"}),
        ("trust_position_breach", {"trust": "ZZ1"}),
        ("trust_position_other", {"trust": "ZZ2"}),
        *((f"p_deficit_{side}", {"trust": "ZZ3"}) for side in ("breach", "other", "difference")),
    ]
    for name, where in figures:
        values, errors = (np.array([f[n].sel(where).item() for f in found]) for n in (name, f"{name}_se"))
        ratio = values.std(ddof=1) / np.sqrt((errors**2).mean())
        # four errors of a sd of 200, and a little for the edge of the tail, which ten draws or so tell
        assert abs(ratio - 1.0) < 4 / np.sqrt(400) + 0.05, (name, ratio)


def test_the_worst_twentieth_of_a_normal_position_has_a_closed_form():
    """An effect e of position X = e + f, all Normal, has mean -cov(e, X) / sd(X) * h with h = phi(z) / 0.05."""
    e, f = np.random.default_rng(8).normal(size=(2, 20_000)) * np.array([[1.0], [5.0]])
    found = reverse_stress(hand_made(np.array([e, f])[:, None]))
    z = stats.norm.ppf(0.05)
    h = stats.norm.pdf(z) / 0.05
    rest = stats.norm.pdf(z) / 0.95
    assert list(found["effect"].values[:2]) == ["driver_1", "driver_0"]
    for name, cov, sd in (("driver_0", 1.0, 1.0), ("driver_1", 25.0, 5.0)):
        at = found.sel(effect=name)
        assert abs(at["effect_breach"].item() + cov / np.sqrt(26.0) * h) < 4.0 * at["effect_breach_se"].item()
        assert abs(at["effect_other"].item() - cov / np.sqrt(26.0) * rest) < 4.0 * at["effect_other_se"].item()
        gap = -(h + rest) * cov / np.sqrt(26.0) / sd
        assert abs(at["standardised_difference"].item() - gap) < 4.0 * at["standardised_difference_se"].item() + 0.01
    # a draw that moves over the edge changes both sides: of a unit Normal position, variances of the two means and gaps
    tail, others = 1.0 - h * (h + z), 1.0 - rest * (rest - z)
    both = tail / 0.05 + others / 0.95 + (np.sqrt(19.0) * (z + h) - (rest - z) / np.sqrt(19.0)) ** 2
    slope, left = 25.0 / 26.0, 25.0 - 25.0**2 / 26.0  # driver_1 on the position, and its variance beside that
    error = np.sqrt((slope**2 * 26.0 * both + left * (20.0 + 1.0 / 0.95)) / 20_000)
    assert found["effect_difference_se"].sel(effect="driver_1").item() == pytest.approx(error, rel=0.05)
    assert found["p_deficit_breach"].item() == 1.0
    assert abs(found["p_deficit_other"].item() - 0.45 / 0.95) < 4.0 * found["p_deficit_other_se"].item()


@pytest.mark.parametrize(
    ("threshold", "rule"), [(1e6, "all of the draws"), (-1e6, "none of the draws"), ("one", "1 of 1,001 draws")]
)
def test_a_threshold_that_leaves_one_side_empty_is_refused(of_few, threshold, rule):
    position = np.sort(of_few["sector_position"].values)
    threshold = position[1] if threshold == "one" else threshold
    with pytest.raises(InputError, match=f"{rule}.*5%, 50% and 95% points are {position[50]:,.2f}"):
        reverse_stress(of_few, threshold=threshold)


def test_too_few_draws_for_the_worst_twentieth_are_refused(few):
    with pytest.raises(InputError, match="1 of 20 draws"):
        reverse_stress(sr.simulate(few, n_draws=20))


@pytest.mark.parametrize("threshold", [np.nan, np.inf, "plan", True])
def test_what_is_no_threshold_is_refused(of_few, threshold):
    with pytest.raises(InputError, match="threshold: must be a number"):
        reverse_stress(of_few, threshold=threshold)


def test_bad_forecasts_and_units_are_refused(of_few):
    with pytest.raises(InputError, match="Did you mean 'London'"):
        reverse_stress(of_few, "Lundon")
    with pytest.raises(InputError, match="'driver' or 'line'"):
        reverse_stress(of_few, by="trust")
    with pytest.raises(InputError, match="contribution"):
        reverse_stress(of_few.drop_vars("contribution"))
    with pytest.raises(InputError, match="not finite"):
        reverse_stress(of_few.assign(position=of_few["position"].where(of_few["draw"] > 0)))


def test_what_is_found_describes_itself(of_few):
    found = reverse_stress(of_few, "London")
    assert found.attrs == of_few.attrs
    assert all(found[name].attrs["long_name"] for name in found.variables)
    assert found["effect_difference"].attrs["units"] == "GBP million"
    assert {name for name in found.data_vars if f"{name}_se" not in found and not name.endswith("_se")} == {"n_breach"}
