"""Value of support and of interventions: closed forms, plain NumPy, and other draws."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import sector_risk as sr
from sector_risk.faults import InputError
from sector_risk.goals import LEVERS
from sector_risk.interventions import value_of_intervention, value_of_support
from sector_risk.scenarios import Scenario

DRAWS = 4000


@pytest.fixture(scope="module")
def few(case):
    return case.isel(trust=slice(None, None, 8))


@pytest.fixture(scope="module")
def of_few(few):
    return sr.simulate(few, n_draws=600, seed=4)


def made(position, seed="1"):
    """A forecast of trusts ZZ1, ZZ2 ... with these positions, (trust, draw)."""
    position = np.asarray(position, np.float32)
    codes = np.array([f"ZZ{i + 1}" for i in range(len(position))], object)
    return xr.Dataset(
        {
            "position": (("trust", "draw"), position),
            "sector_position": ("draw", position.sum(axis=0, dtype=float)),
        },
        {"trust": codes, "name": ("trust", codes), "draw": np.arange(position.shape[1])},
        attrs={"seed": seed, "random_stream": 1},
    )


MEANS, SDS = np.array([-8.0, -2.0, 0.0, 3.0, 30.0]), np.array([2.0, 1.0, 4.0, 2.0, 1.0])


def normals(seed=0, n=DRAWS, means=MEANS, sds=SDS):
    return np.random.default_rng(seed).normal(means[:, None], sds[:, None], (len(means), n))


def expected_deficit(mean, sd):
    """E[max(-X, 0)] of a Normal."""
    return sd * stats.norm.pdf(mean / sd) - mean * stats.norm.cdf(-mean / sd)


@pytest.mark.parametrize("amount", [1.0, 5.0, [1.0, 2.0, 3.0, 4.0, 5.0]])
def test_support_of_normal_positions_has_a_closed_form(amount):
    value = value_of_support(made(normals()), amount)
    paid = np.broadcast_to(amount, 5)
    without, with_ = expected_deficit(MEANS, SDS), expected_deficit(MEANS + paid, SDS)
    error = 4.5 * SDS / np.sqrt(DRAWS)
    assert (abs(value["expected_deficit"] - without) < error).all()
    assert (abs(value["deficit_removed"] - (without - with_)) <= 4.5 * value["deficit_removed_se"] + 1e-3).all()
    rise = stats.norm.cdf((MEANS + paid) / SDS) - stats.norm.cdf(MEANS / SDS)
    assert (abs(value["p_breakeven_rise"] - rise) <= 4.5 * value["p_breakeven_rise_se"] + 2e-3).all()
    np.testing.assert_array_equal(value["cost"], paid)


def test_support_is_worth_its_sum_at_most():
    position = normals()
    value = value_of_support(made(position), 3.0)
    want = np.minimum(3.0, np.maximum(-position.astype(np.float32).astype(float), 0.0))
    np.testing.assert_allclose(value["deficit_removed"], want.mean(axis=1), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(value["deficit_removed_se"], want.std(axis=1, ddof=1) / np.sqrt(DRAWS), atol=1e-9)
    price = value["pounds_per_pound"].values
    assert (price >= 1.0 - 1e-12).all()
    assert price[-1] == np.inf
    assert np.isnan(value["pounds_per_pound_se"].values[-1])
    np.testing.assert_allclose(price[:-1], 3.0 / want.mean(axis=1)[:-1], rtol=1e-9)


def test_more_support_removes_more_and_each_pound_less():
    forecast = made(normals())
    removed = np.array([value_of_support(forecast, a)["deficit_removed"].values for a in (1.0, 2.0, 3.0, 4.0)])
    gains = np.diff(removed, axis=0, prepend=0.0)
    assert (gains >= 0.0).all()
    assert (np.diff(gains, axis=0) <= 1e-12).all()


def test_breakeven_rises_with_what_reaches_it():
    """Of five draws two reach -0.005 or better, one misses it by a pound, and one is there already."""
    forecast = made([[-5.0, -3.0, -3.004999, -3.005001, -0.004]])
    value = value_of_support(forecast, 3.0)
    assert float(value["p_breakeven_rise"][0]) == 0.4
    assert float(value["p_breakeven_rise_se"][0]) == pytest.approx(np.std([0, 1, 1, 0, 0], ddof=1) / np.sqrt(5))


def test_the_best_are_chosen_by_pounds_and_nobody_for_nothing():
    position = np.repeat([[-1.0], [-9.0], [-4.0], [5.0], [-9.0]], 100, axis=1)
    dear = [1.0, 9.0, 1.0, 0.0, 3.0]  # removes 1, 9, 1, 0, 3: the same per pound
    value = value_of_support(made(position), dear, count=2)
    np.testing.assert_array_equal(value["chosen"], [True, True, False, False, False])
    value = value_of_support(made(position), 4.0, count=3)  # 1, 4, 4, 0, 4 per 4
    np.testing.assert_array_equal(value["chosen"], [False, True, True, False, True])
    np.testing.assert_array_equal(value["p_chosen"], [0, 1, 1, 0, 1])
    assert float(value["chosen_cost"]) == 12.0
    assert float(value["chosen_removed"]) == 12.0
    assert float(value["chosen_removed_se"]) == 0.0
    everybody = value_of_support(made(position), 4.0, count=15)
    np.testing.assert_array_equal(everybody["chosen"], [True, True, True, False, True])


def test_equals_are_chosen_in_order_whatever_their_rounding():
    position = -np.random.default_rng(3).uniform(1.0, 90.0, (40, 999))
    value = value_of_support(made(position), 0.1 + 0.2, count=7)
    np.testing.assert_array_equal(np.flatnonzero(value["chosen"]), np.arange(7))
    np.testing.assert_array_equal(value["p_chosen"], value["chosen"])


def test_the_error_of_the_sum_counts_what_trusts_share():
    shared = np.random.default_rng(5).normal(-1.0, 2.0, 900)
    value = value_of_support(made([shared, shared, shared]), 2.0, count=2)
    one = float(value["deficit_removed_se"][0])
    assert float(value["chosen_removed"]) == pytest.approx(2 * float(value["deficit_removed"][0]), rel=1e-12)
    assert float(value["chosen_removed_se"]) == pytest.approx(2 * one, rel=1e-9)


def test_errors_are_those_of_other_draws():
    seen = [value_of_support(made(normals(seed, 200)), 3.0, count=2) for seed in range(200)]
    names = ("expected_deficit", "deficit_removed", "pounds_per_pound", "p_breakeven_rise")
    for name in names:
        values, errors = (np.array([s[n].values[:4] for s in seen]) for n in (name, f"{name}_se"))
        some = slice(2, 3) if name == "pounds_per_pound" else slice(1, 4)  # a ratio of few draws has a long tail
        ratio = values.std(axis=0, ddof=1)[some] / np.sqrt((errors**2).mean(axis=0))[some]
        assert (abs(ratio - 1.0) < 4 / np.sqrt(400)).all(), (name, ratio)


def test_how_sure_a_choice_is_matches_choices_of_other_draws():
    means = np.array([-1.0, -1.1, -1.2, -1.4, -4.0, 0.5])
    sds = np.full(6, 2.0)
    choices, sure = [], []
    for seed in range(200):
        value = value_of_support(made(normals(seed, 400, means, sds)), 2.0, count=3)
        choices.append(value["chosen"].values)
        sure.append(value["p_chosen"].values)
    often, said = np.mean(choices, axis=0), np.mean(sure, axis=0)
    assert said[4] > 0.999
    assert said[5] < 0.01
    assert said.sum() == pytest.approx(3.0)
    assert (np.diff(said[:4]) > 0.0).all()
    near = np.array(sure)[:, :3]
    assert ((near > 0.0) & (near < 1.0)).mean() > 0.9  # each forecast knows that it is not sure
    np.testing.assert_allclose(said, often, atol=0.12)  # a bootstrap is drawn towards one half


def test_p_chosen_is_the_same_every_time():
    forecast = made(normals(means=np.full(5, -1.0), sds=np.full(5, 2.0)))
    one, other = (value_of_support(forecast, 5.0, count=2) for _ in range(2))
    xr.testing.assert_identical(one, other)
    p = one["p_chosen"]
    assert ((p > 0.0) & (p < 1.0)).sum() >= 3
    np.testing.assert_allclose(one["p_chosen_se"], np.sqrt(p * (1 - p) / 1000))


@pytest.mark.parametrize("n", [1, 3, 49, 51])
def test_few_draws_are_enough(n):
    value = value_of_support(made(normals(n=n)), 3.0)
    assert np.isnan(value["deficit_removed_se"].values).all() == (n == 1)
    assert np.isfinite(value["deficit_removed"]).all()


def test_an_intervention_is_worth_what_it_changes():
    position = normals()
    change = np.random.default_rng(7).normal(1.0, 0.5, position.shape)
    before, after = made(position), made(position + change)
    value = value_of_intervention(before, after, 2.0, count=2)
    a, b = (f["position"].values.astype(float) for f in (before, after))
    removed = np.maximum(-a, 0.0) - np.maximum(-b, 0.0)
    np.testing.assert_allclose(value["deficit_removed"], removed.mean(axis=1), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(value["deficit_removed_se"], removed.std(axis=1, ddof=1) / np.sqrt(DRAWS), rtol=1e-9)
    np.testing.assert_array_equal(value["cost"], 2.0)
    assert set(value["trust"].values[value["chosen"].values]) == {"ZZ1", "ZZ2"}
    harm = value_of_intervention(after, before, 2.0)
    assert (harm["deficit_removed"].values[:4] < 0.0).all()
    assert not harm["chosen"].any()
    assert (harm["pounds_per_pound"] == np.inf).all()
    assert float(harm["chosen_removed"]) == 0.0


def test_support_is_an_intervention_that_adds_the_sum(of_few):
    after = of_few.assign(position=of_few["position"].astype(float) + 4.0)
    after["sector_position"] = after["position"].sum("trust")
    one, other = value_of_support(of_few, 4.0), value_of_intervention(of_few, after, 4.0)
    for name in one.data_vars:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-9, atol=1e-12, err_msg=str(name))


def test_trusts_are_matched_by_code():
    position = normals()
    before, after = made(position), made(position + 1.0)
    mixed = value_of_intervention(before, after.isel(trust=[3, 1, 4, 0, 2]), 2.0)
    xr.testing.assert_identical(mixed, value_of_intervention(before, after, 2.0))
    costs = xr.DataArray([5.0, 1.0, 2.0, 3.0, 4.0], coords={"trust": ["ZZ5", "ZZ1", "ZZ2", "ZZ3", "ZZ4"]})
    np.testing.assert_array_equal(value_of_support(before, costs)["cost"], [1.0, 2.0, 3.0, 4.0, 5.0])


def test_better_delivery_everywhere(few):
    base = Scenario(few, regime="none")
    better = LEVERS["recurrent_delivery"].apply(base, 0.8)
    value = value_of_intervention(base.forecast(n_draws=300), better.forecast(n_draws=300), cost=2.0, count=5)
    assert int(value["chosen"].sum()) == 5
    assert (value["deficit_removed"] >= 0.0).all()
    assert value.attrs["assumptions"] != value.attrs["end_assumptions"]
    same = value_of_intervention(base.forecast(n_draws=300), base.forecast(n_draws=300), cost=2.0)
    assert (same["deficit_removed"] == 0.0).all()
    assert not same["chosen"].any()


@pytest.mark.parametrize(
    ("amount", "message"),
    [
        (-1.0, "trust ZZ1, amount: must be nought or more"),
        (np.nan, "nought or more"),
        ("five", "value_of_support:\n  amount: must be a number, nought or more.*'five'"),
        (None, "amount: must be a number"),
        (["1", "2", "3", "4", "5"], "amount: must be a number"),
        ([1.0, 2.0], "one number a trust"),
        ([1.0, 2.0, 3.0, 4.0, np.inf], "trust ZZ5, amount"),
        (xr.DataArray([1.0], coords={"trust": ["ZZ1"]}), "trust ZZ2, amount: no value for this trust"),
    ],
)
def test_bad_sums_are_refused(amount, message):
    with pytest.raises(InputError, match=message):
        value_of_support(made(normals(n=10)), amount)


def test_a_cost_that_is_text_is_one_fault():
    one = made(normals(n=10))
    with pytest.raises(InputError) as error:
        value_of_intervention(one, one, "cheap")
    assert [(fault.place, fault.variable) for fault in error.value.faults] == [("value_of_intervention", "cost")]


@pytest.mark.parametrize("count", [0, -1, 2.5, True, "15"])
def test_bad_counts_are_refused(count):
    with pytest.raises(InputError, match="whole number from 1"):
        value_of_support(made(normals(n=10)), 1.0, count)


def test_forecasts_that_are_no_pair_are_refused(few):
    one = made(normals(n=10))
    with pytest.raises(InputError) as error:
        value_of_intervention(
            one, made(normals(n=9), seed="2").assign_coords(trust=["ZZ1", "ZZ2", "ZZ3", "ZZ4", "ZZ6"]), 1
        )
    said = {(fault.variable, fault.value) for fault in error.value.faults}
    assert said == {("seed", "1 and 2"), ("trust", "ZZ5"), ("trust", "ZZ6")}
    with pytest.raises(InputError, match="projection"):
        value_of_intervention(one, sr.project(few, regime="none", years=2, n_draws=3), 1.0)
    broken = one.assign(position=one["position"].where(one["draw"] > 0))
    with pytest.raises(InputError, match="not finite"):
        value_of_intervention(one, broken, 1.0)
    with pytest.raises(InputError, match="position"):
        value_of_support(one.drop_vars("position"), 1.0)


def test_what_is_found_describes_itself(of_few):
    value = value_of_support(of_few, 2.0)
    assert value.attrs == of_few.attrs
    assert all(value[name].attrs["long_name"] for name in value.variables)
    plain = {name for name in value.data_vars if f"{name}_se" not in value and not name.endswith("_se")}
    assert plain == {"cost", "chosen", "chosen_cost"}
