"""Comparisons on common draws: closed forms on forecasts made by hand, errors against repetition, and faults."""

import numpy as np
import pytest
import xarray as xr

import sector_risk as sr
from sector_risk.comparison import SPECS, compare, in_order, share_change
from sector_risk.schema import FORECAST_FORMAT

SECTOR, NHS = "Provider sector", "Whole NHS"
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
REGIONS = ["London", "London", "Midlands", "Midlands"]


def made_by_hand(position, *, plan=0.0, support=0.0, centre=0.0, **attrs):
    """A forecast of trusts ZZ1, ZZ2, ... whose one driver is what plan and support leave over."""
    position = np.asarray(position, np.float32)
    n_trusts, n = position.shape
    plans, paid = np.full(n_trusts, plan, float), np.full(position.shape, support, np.float32)
    contribution = (position - paid - np.float32(plan))[None]
    sector = position.sum(axis=0, dtype=float)
    by_draw, by_trust = ("trust", "draw"), ("trust",)
    return xr.Dataset(
        {
            "position": (by_draw, position),
            "support": (by_draw, paid),
            "contribution": (("driver", *by_draw), contribution),
            "sector_position": ("draw", sector),
            "nhs_position": ("draw", sector + centre),
            "deficit_count": ("draw", (position < -np.float32(0.005)).sum(axis=0)),
            "plan": (by_trust, plans),
            "planned_support": (by_trust, np.zeros(n_trusts)),
            "efficiency_plan": (by_trust, np.zeros(n_trusts)),
            "sector_plan_ytd": ("month", np.linspace(0.0, plans.sum(), 12)),
        },
        {
            "trust": [f"ZZ{i + 1}" for i in range(n_trusts)],
            "driver": ["pay"],
            "draw": np.arange(n),
            "region": (by_trust, REGIONS[:n_trusts]),
            "trust_type": (by_trust, ["Acute"] * n_trusts),
            "system": (by_trust, ["not stated"] * n_trusts),
        },
        attrs={"seed": "1", "random_stream": "a", "year": "2018-19", "versions": "{}", "format": FORECAST_FORMAT}
        | attrs,
    )


def eighths(seed, shape, scale=10.0):
    """Random numbers that floats hold exactly, and their sums too."""
    return np.round(np.random.default_rng(seed).normal(scale=scale, size=shape) * 8) / 8


@pytest.fixture(scope="module")
def panel(case):
    return case.isel(trust=slice(None, None, 25))


@pytest.fixture(scope="module")
def pair(panel):
    """Without the fund, and with it."""
    return tuple(sr.simulate(panel, regime=rules, n_draws=400, seed=2) for rules in ("none", "2018-19"))


@pytest.fixture(scope="module")
def change(pair):
    return compare(*pair)


def units_by_hand(position):
    """Positions of ZZ1 to ZZ4, two regions, one type, the sector and the NHS."""
    return np.vstack([position, position[:2].sum(0), position[2:].sum(0), *[position.sum(0)] * 3])


def test_every_figure_is_what_plain_numpy_makes_of_the_draws():
    start = eighths(1, (4, 500))
    end = start + eighths(2, (4, 500), 3.0) + 1.0
    found = compare(made_by_hand(start), made_by_hand(end), LEVELS)
    was, now = units_by_hand(start), units_by_hand(end)
    d = now - was
    assert found["unit"].values.tolist() == ["ZZ1", "ZZ2", "ZZ3", "ZZ4", "London", "Midlands", "Acute", SECTOR, NHS]
    variances = was.var(axis=1, ddof=1) + now.var(axis=1, ddof=1)
    ranked = np.sort(d, axis=1)[:, np.ceil(np.array(LEVELS) * 500).astype(int) - 1]
    expected = {
        "start_mean": was.mean(axis=1),
        "start_mean_se": was.std(axis=1, ddof=1) / np.sqrt(500),
        "end_mean": now.mean(axis=1),
        "end_mean_se": now.std(axis=1, ddof=1) / np.sqrt(500),
        "difference": d.mean(axis=1),
        "difference_se": d.std(axis=1, ddof=1) / np.sqrt(500),
        "difference_se_independent": np.sqrt(variances / 500),
        "gain": variances / d.var(axis=1, ddof=1),
        "difference_quantile": ranked,
        "p_better": (d > 0.005).mean(axis=1),
        "p_worse": (d < -0.005).mean(axis=1),
        "start_p_breakeven": (was >= -0.005).mean(axis=1),
        "end_p_breakeven": (now >= -0.005).mean(axis=1),
        "p_breakeven_difference": (now >= -0.005).mean(axis=1) - (was >= -0.005).mean(axis=1),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-9, atol=1e-12, err_msg=name)
    for name in ("p_better", "p_worse", "start_p_breakeven", "end_p_breakeven"):
        p = found[name].values
        np.testing.assert_allclose(found[f"{name}_se"], np.sqrt(p * (1 - p) / 500), rtol=1e-9)
    flags = (now >= -0.005).astype(float) - (was >= -0.005)
    np.testing.assert_allclose(found["p_breakeven_difference_se"], flags.std(axis=1) / np.sqrt(500), rtol=1e-9)
    count = (end < -0.005).sum(axis=0) - (start < -0.005).sum(axis=0)
    assert float(found["deficit_count_difference"]) == pytest.approx(count.mean())
    assert float(found["deficit_count_difference_se"]) == pytest.approx(count.std(ddof=1) / np.sqrt(500))


def test_the_gain_says_how_many_more_draws_independent_runs_would_need(change):
    sector = change.sel(unit=SECTOR)
    squared = (sector["difference_se_independent"] / sector["difference_se"]) ** 2
    assert float(sector["gain"]) == pytest.approx(float(squared), rel=1e-9)


def test_the_error_of_a_change_of_shares_comes_from_draws_that_disagree():
    """20 draws won, 10 lost, of 100: sqrt((0.3 - 0.01) / 100)."""
    was = np.repeat([True, True, False, False], [40, 10, 20, 30])[None]
    now = np.repeat([True, False, True, False], [40, 10, 20, 30])[None]
    share, error = share_change(was, now)
    np.testing.assert_allclose([share[0], error[0]], [0.1, np.sqrt(0.29 / 100)])


def test_a_forecast_compared_with_itself_is_the_same_for_sure():
    position = eighths(1, (3, 60))
    position[2] = 0.1  # exactly on plan in every draw
    found = compare(made_by_hand(position), made_by_hand(position))
    for name in ("difference", "difference_se", "p_better", "p_worse", "p_breakeven_difference", "difference_quantile"):
        assert not found[name].any(), name
    assert not found["effect_difference"].any()
    assert not found["deficit_count_difference"]
    gain = found["gain"].sel(unit=["ZZ1", "ZZ2", "London", SECTOR])
    assert np.isposinf(gain).all()
    assert np.isnan(found["gain"].sel(unit="ZZ3"))
    assert np.isnan(found["gain_se"]).all()
    assert (found["difference_se_independent"].sel(unit=SECTOR) > 0).all()


def test_a_shift_is_exact_and_has_no_error():
    position = eighths(3, (4, 80))
    found = compare(made_by_hand(position), made_by_hand(position + 2.5, plan=2.5))
    by_unit = found["difference"]
    np.testing.assert_array_equal(by_unit, [2.5] * 4 + [5.0, 5.0, 10.0, 10.0, 10.0])
    assert not found["difference_se"].any()
    assert (found["p_better"] == 1.0).all()
    assert not found["p_worse"].any()
    assert np.isposinf(found["gain"]).all()
    assert found["effect_difference"].sel(effect=["plan", "pay", "support"]).values.tolist() == [10.0, 0.0, 0.0]


@pytest.mark.parametrize("n", [60, 77, 100, 1000])
def test_what_does_not_vary_has_no_error_whatever_its_digits(n):
    """The mean of equal numbers is not always that number in floating point."""
    position = eighths(3, (3, n))
    found = compare(made_by_hand(position), made_by_hand(position, plan=0.1))
    assert float(found["effect_difference"].sel(effect="plan")) == pytest.approx(0.3, rel=1e-12)
    assert float(found["effect_difference_se"].sel(effect="plan")) == 0.0


@pytest.mark.parametrize(("moved", "better", "worse"), [(0.004, 0, 0), (0.006, 1, 0), (-0.004, 0, 0), (-0.006, 0, 1)])
def test_less_than_5000_pounds_is_no_change(moved, better, worse):
    start, end = made_by_hand(np.zeros((1, 10))), made_by_hand(np.full((1, 10), moved))
    found = compare(start, end).sel(unit="ZZ1")
    assert (float(found["p_better"]), float(found["p_worse"])) == (better, worse)


def test_without_a_fund_and_with_it_only_support_differs(pair, change):
    effects = change["effect_difference"]
    others = effects.drop_sel(effect="support")
    assert np.abs(others).max() < 1e-3  # what rounding leaves over
    paid = float((pair[1]["support"] - pair[0]["support"]).sum("trust", dtype=float).mean())
    assert float(effects.sel(effect="support")) == pytest.approx(paid, rel=1e-6)
    assert paid > 0
    assert float(change["deficit_count_difference"]) < 0


@pytest.mark.parametrize("unit", [SECTOR, NHS, "London", "Acute", "SYN001"])
def test_causes_add_up_to_the_difference(panel, unit):
    start = sr.simulate(panel, regime="none", n_draws=200)
    higher = panel.assign(plan=panel["plan"] + 1.25, efficiency_plan=panel["efficiency_plan"] * 1.5)
    end = sr.simulate(higher, regime="2018-19", n_draws=200)
    found = compare(start, end, unit=unit)
    total = float(found["difference"].sel(unit=unit))
    assert abs(float(found["effect_difference"].sum()) - total) < 1e-9 * (1 + abs(total))
    members = panel.isel(trust=np.flatnonzero([unit in (SECTOR, NHS) or unit in row for row in labels(panel)]))
    assert float(found["effect_difference"].sel(effect="plan")) == pytest.approx(
        1.25 * members.sizes["trust"], abs=1e-6
    )
    assert not float(found["effect_difference_se"].sel(effect="plan"))
    assert found.attrs["effects_of"] == unit


def labels(panel):
    return zip(panel["trust"].values, panel["region"].values, panel["trust_type"].values, strict=True)


def test_the_error_of_a_cause_is_that_of_paired_draws(panel):
    start = sr.simulate(panel, regime="none", n_draws=200)
    end = sr.simulate(panel.assign(efficiency_plan=panel["efficiency_plan"] * 1.5), regime="none", n_draws=200)
    found = compare(start, end)
    d = (
        (end["contribution"] - start["contribution"])
        .astype(float)
        .sel(driver="efficiency_recurrent")
        .sum("trust")
        .values
    )
    of_driver = {"effect": "efficiency_recurrent"}
    assert float(found["effect_difference"].sel(of_driver)) == pytest.approx(d.mean(), rel=1e-5)
    assert float(found["effect_difference_se"].sel(of_driver)) == pytest.approx(d.std(ddof=1) / np.sqrt(200), rel=1e-4)


def test_the_centre_is_a_cause_for_the_whole_nhs():
    position = eighths(5, (2, 40))
    found = compare(made_by_hand(position), made_by_hand(position, centre=3.0), unit=NHS)
    assert float(found["difference"].sel(unit=NHS)) == 3.0
    assert float(found["effect_difference"].sel(effect="centre")) == 3.0
    assert not found["difference"].sel(unit=SECTOR)


def test_a_driver_that_only_one_has_counts_as_nought_in_the_other(panel):
    @sr.driver("test_compare_rain", items=1, shares=sr.Shares(), source="test")
    def rain(z, panel):
        return (np.ones((z.shape[0], 12, z.shape[-1])) * np.linspace(0, 1, 12)[:, None]).astype(np.float32)

    dry = sr.simulate(panel, regime="none", n_draws=100)
    wet = sr.simulate(panel, sr.Assumptions(drivers=("test_compare_rain",)), "none", n_draws=100)
    there, back = compare(dry, wet), compare(wet, dry)
    cost = float(wet["contribution"].sel(driver="test_compare_rain").sum("trust", dtype=float).mean())
    assert cost < -1
    assert float(there["effect_difference"].sel(effect="test_compare_rain")) == pytest.approx(cost, rel=1e-6)
    assert float(back["effect_difference"].sel(effect="test_compare_rain")) == pytest.approx(-cost, rel=1e-6)
    assert there["effect"].values.tolist() == ["plan", *wet["driver"].values, "support"]
    assert set(back["effect"].values) == set(there["effect"].values)
    for found in (there, back):
        total = float(found["difference"].sel(unit=SECTOR))
        assert abs(float(found["effect_difference"].sum()) - total) < 1e-9 * abs(total)


def test_names_are_merged_in_order():
    assert in_order(["a", "b"], ["x", "a", "y", "b", "z"]) == ["x", "a", "y", "b", "z"]
    assert in_order(["a", "old", "b"], ["a", "new", "b"]) == ["a", "new", "old", "b"]


def test_trusts_may_come_in_any_order(pair, change):
    start, end = pair
    turned = end.isel(trust=np.random.default_rng(0).permutation(end.sizes["trust"]))
    xr.testing.assert_allclose(compare(start, turned), change, rtol=1e-12)
    assert compare(turned, end)["unit"].values[0] == turned["trust"].values[0]
    assert not compare(turned, end)["difference"].any()


def test_the_first_draws_that_both_have_are_compared(panel, pair):
    start, end = pair
    more = sr.simulate(panel, regime="2018-19", n_draws=700, seed=2)
    found = compare(start, more)
    xr.testing.assert_equal(found, compare(start, end))
    assert found.attrs["n_draws"] == 400
    assert found.attrs["end_n_draws"] == 700


def test_groups_are_those_of_the_start(pair, change):
    start, end = pair
    moved = end.assign_coords(region=("trust", ["London"] * end.sizes["trust"]))
    xr.testing.assert_equal(compare(start, moved), change)


def test_it_says_what_it_is(pair, change):
    assert set(change.variables) <= set(SPECS)
    for name, variable in change.variables.items():
        assert variable.attrs == SPECS[name].attrs, name
        if name in change.data_vars and not name.endswith(("_se", "_independent")):
            assert f"{name}_se" in change
    assert set(pair[0].attrs) <= set(change.attrs)
    assert change.attrs["regime"] == pair[0].attrs["regime"]
    assert change.attrs["end_regime"] == pair[1].attrs["regime"]
    assert "end_seed" not in change.attrs


def test_it_survives_a_file(change, tmp_path):
    path = sr.save_forecast(change, tmp_path / "change.nc")
    xr.testing.assert_equal(sr.open_forecast(path), change)


def test_errors_are_what_repetition_shows(panel):
    """Runs of 300 draws of one long forecast repeat a short one 120 times: their sd against the errors stated.

    Within 5 sd of a sample sd and of the mean of the errors, which vary themselves. The start is put where half of all
    draws are balanced. Independent pairs take the start of the next run.
    """
    few, repeats, n = panel.isel(trust=slice(0, 4)), 120, 300
    short = float(sr.simulate(few, regime="none", n_draws=1000)["sector_position"].mean()) / 4
    few = few.assign(plan=few["plan"] - short)
    higher = few.assign(efficiency_plan=few["efficiency_plan"] * 2.0, plan=few["plan"] + 2.0)
    pair = [sr.simulate(p, regime="none", n_draws=n * repeats) for p in (few, higher)]
    runs = [[f.isel(draw=slice(k, k + n)) for f in pair] for k in range(0, n * repeats, n)]
    many = xr.concat([compare(*run).drop_attrs() for run in runs], "run", data_vars="all", join="override")
    many = many.sel(unit=SECTOR, effect=["efficiency_recurrent", "efficiency_one_off"])
    for name in [name for name in many.data_vars if f"{name}_se" in many]:
        seen, stated = many[name].std("run", ddof=1), many[f"{name}_se"]
        allowed = 5 * np.hypot(1 / np.sqrt(2 * repeats), stated.std("run") / stated.mean("run") / np.sqrt(repeats))
        assert (np.abs(seen / stated.mean("run") - 1) < allowed).all(), name
    starts, ends = (np.array([float(run[i]["sector_position"].mean()) for run in runs]) for i in (0, 1))
    stated = float(many["difference_se_independent"].mean())
    assert abs(np.std(ends - np.roll(starts, 1), ddof=1) / stated - 1) < 5 / np.sqrt(2 * repeats)
    assert float(many["gain"].mean()) > 3


def test_all_that_differs_is_said_at_once():
    start = made_by_hand(np.zeros((3, 10)))
    end = made_by_hand(np.zeros((2, 10)), seed="2", random_stream="b").assign_coords(draw=np.arange(1, 11))
    with pytest.raises(sr.InputError) as report:
        compare(start, end, quantiles=(2.0,))
    said = str(report.value)
    for words in ("trusts that the start has are missing ('ZZ3')", "different seeds", "random streams", "numbers"):
        assert words in said
    assert "must be probabilities" in said
    assert len(report.value.faults) == 5
    with pytest.raises(sr.InputError, match=r"quantiles: must be probabilities.*'median'"):
        compare(start, start, quantiles="median")


def test_each_side_is_named_by_its_fault(pair):
    start, end = pair
    holes = end.copy()
    holes["position"] = end["position"].where(end["position"] > -50)
    with pytest.raises(sr.InputError, match="2 faults in start, end") as report:
        compare(start.drop_vars("deficit_count"), holes)
    assert {(f.place, f.variable) for f in report.value.faults} == {("start", "deficit_count"), ("end", "position")}
    with pytest.raises(sr.InputError, match=r"fault in end:.*\n.*is it a selection"):
        compare(start, end.isel(trust=slice(3)))
    with pytest.raises(sr.InputError, match=r"fault in start:.*\n.*another version"):
        compare(start.assign_attrs(format=0), end)
    broken = end.copy()
    broken["contribution"] = end["contribution"] * np.float32(2.0)
    with pytest.raises(sr.InputError, match=r"fault in end:.*\n.*do not add up"):
        compare(start, broken)


def test_a_seed_that_only_one_states_is_a_different_one(pair):
    start, end = pair
    del (unsaid := end.copy()).attrs["seed"]
    with pytest.raises(sr.InputError, match=r"different seeds.*2 and none"):
        compare(start, unsaid)


def test_parameter_sets_must_be_the_same(pair, change):
    sets = [f.assign_coords(parameter_set=("draw", np.repeat([0, 1], 200))) for f in pair]
    xr.testing.assert_equal(compare(*sets)["difference"], change["difference"])
    other = sets[1].assign_coords(parameter_set=("draw", np.repeat([0, 1, 2, 3], 100)))
    for end in (other, pair[1]):
        with pytest.raises(sr.InputError, match="different parameter sets"):
            compare(sets[0], end)


def test_different_years_are_compared_with_a_warning(pair):
    start, end = pair
    with pytest.warns(sr.InputWarning, match="2018-19 and 2019-20"):
        compare(start, end.assign_attrs(year="2019-20"))


def test_units_and_names_that_cannot_be(pair):
    with pytest.raises(sr.InputError, match="Did you mean 'London'"):
        compare(*pair, unit="Lundon")
    start = made_by_hand(np.zeros((2, 5)))
    with pytest.raises(sr.InputError, match="name of another cause"):
        compare(start, start.assign_coords(driver=["plan"]))


def test_one_draw_has_no_error(pair):
    one = [f.isel(draw=slice(1)) for f in pair]
    found = compare(*one).sel(unit=SECTOR)
    assert np.isfinite(found["difference"])
    for name in ("difference_se", "difference_se_independent", "gain", "gain_se"):
        assert np.isnan(found[name]), name


@pytest.fixture(scope="module")
def paths(panel):
    better = panel.assign(plan=panel["plan"] + 2.0)
    how = {"regime": "2019-20", "n_draws": 120, "seed": 3}
    return sr.project(panel, years=3, **how), sr.project(better, years=3, **how)


@pytest.fixture(scope="module")
def change_by_year(paths):
    return compare(*paths)


def test_measures_of_a_projection_are_by_year(paths, change_by_year):
    start, end = paths
    assert change_by_year["difference"].dims == ("year", "unit")
    assert change_by_year["difference_quantile"].dims == ("year", "unit", "quantile")
    assert change_by_year["year"].values.tolist() == start["year"].values.tolist()
    d = (end["position"].astype(float) - start["position"]).transpose("year", "trust", "draw").values
    trusts = change_by_year.sel(unit=start["trust"].values)
    np.testing.assert_allclose(trusts["difference"], d.mean(axis=2), rtol=1e-9, atol=1e-12)
    sector = (end["sector_position"] - start["sector_position"]).values
    found = change_by_year.sel(unit=SECTOR)
    np.testing.assert_allclose(found["difference"], sector.mean(axis=1), rtol=1e-9)
    np.testing.assert_allclose(found["difference_se"], sector.std(axis=1, ddof=1) / np.sqrt(120), rtol=1e-6)
    assert NHS not in change_by_year["unit"]
    count = (end["deficit_count"] - start["deficit_count"]).values
    np.testing.assert_allclose(change_by_year["deficit_count_difference"], count.mean(axis=1), rtol=1e-12)


def test_causes_of_each_year_add_up(change_by_year):
    total = change_by_year["difference"].sel(unit=SECTOR)
    np.testing.assert_allclose(change_by_year["effect_difference"].sum("effect"), total, rtol=1e-9)
    assert change_by_year["effect"].values.tolist()[0] == "plan"
    assert change_by_year["effect"].values.tolist()[-1] == "support"


def test_the_first_year_is_that_of_the_forecasts(panel, change_by_year):
    better = panel.assign(plan=panel["plan"] + 2.0)
    how = {"regime": "2019-20", "n_draws": 120, "seed": 3}
    with pytest.warns(sr.InputWarning):  # rules that do nothing in 2018-19
        of_year = compare(sr.simulate(panel, **how), sr.simulate(better, **how))
    first = change_by_year.isel(year=0)
    for name in ("difference", "gain", "p_better", "p_breakeven_difference_se"):
        np.testing.assert_array_equal(first[name], of_year[name].sel(unit=first["unit"]))
    np.testing.assert_allclose(first["effect_difference"], of_year["effect_difference"], atol=1e-3)


def test_milestones_are_paired(paths, change_by_year):
    start, end = (path["milestone_met"].values for path in paths)
    p = end.mean(axis=1) - start.mean(axis=1)
    error = (end.astype(float) - start).std(axis=1) / np.sqrt(120)
    np.testing.assert_allclose(change_by_year["p_milestone_difference"], p, atol=1e-12)
    np.testing.assert_allclose(change_by_year["p_milestone_difference_se"], error, atol=1e-12)
    assert change_by_year["p_milestone_difference"].dims == ("milestone",)


def test_years_that_both_have_are_compared(paths, change_by_year):
    start, end = paths
    first = compare(start, end.isel(year=slice(2)))
    xr.testing.assert_equal(first, change_by_year.isel(year=slice(2)))
    with pytest.raises(sr.InputError, match="no year in common"):
        compare(start.isel(year=slice(1)), end.isel(year=slice(1, None)))


def test_what_cannot_be_compared_of_projections(paths, pair):
    start, end = paths
    with pytest.raises(sr.InputError, match="a projection and a forecast of one year"):
        compare(start, pair[0])
    with pytest.raises(sr.InputError, match="known for the sector only"):
        compare(start, end, unit="London")
    with pytest.raises(sr.InputError, match=r"fault in end:.*\n.*one year without its dimension"):
        compare(start, end.isel(year=0))
    holes = end.copy()
    holes["sector_position"] = end["sector_position"].where(end["year"] != "2019-20")
    with pytest.raises(sr.InputError, match=r"1 fault in end:.*\n.*not finite"):
        compare(start, holes)
