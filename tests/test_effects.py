"""From plan to outturn: hand-made answers, identities on every unit of real forecasts, and what is refused."""

import numpy as np
import pytest
import xarray as xr

import sector_risk as sr
from hand_made import hand_made
from sector_risk.effects import LINES, waterfall
from sector_risk.panel.reconfigure import merge
from sector_risk.units import units_of

N = 300


@sr.driver("winter_flu", items=1, shares=sr.Shares(), source="test")
def winter_flu(z, panel):
    cost = 0.002 * panel["turnover"][:, None] * np.maximum(z[:, 0], 0)
    return (cost[:, None, :] * np.linspace(0, 1, 12)[:, None]).astype(np.float32)


@pytest.fixture(scope="module")
def panel(case):
    return case.isel(trust=slice(None, None, 9))


def forecast_of(kind, panel):
    if kind == "merged":
        codes = panel["trust"].values
        merged = merge(merge(panel, codes[:3].tolist(), into=codes[0]), codes[4:12].tolist(), into=codes[5])
        return sr.simulate(merged, n_draws=N)
    if kind == "driver":
        return sr.simulate(panel, sr.Assumptions(drivers=("winter_flu",)), n_draws=N)
    if kind == "seen":
        ytd = np.zeros((panel.sizes["trust"], 2))
        ytd[:4] = [-3.0, -6.0]
        seen = panel.assign(variance_ytd=(("trust", "month"), ytd)).assign_coords(month=[6, 9])
        return sr.condition(seen, through_month=9, n_draws=N)
    return sr.simulate(panel, regime=kind, n_draws=N)


@pytest.fixture(scope="module", params=["none", "2018-19", "2025-26", "merged", "driver", "seen"])
def made(request, panel):
    return forecast_of(request.param, panel)


@pytest.fixture
def small():
    """Two trusts, three draws; 4 of support is planned, 1 more is on offer that nobody counts on."""
    return hand_made(
        [[[-3, -5, 0], [1, 0, -2]], [[0, -2, -4], [0, 0, 8]]],
        support=[[4, 0, 2], [0, 0, 0]],
        plan=[-9, 5],
        planned_support=[4, 0],
        drivers=["pay_afc", "one_off"],
        centre=np.array([10.0, 20.0, -5.0]),
        held=1.0,
        regions=["North", "South"],
    )


@pytest.mark.parametrize(
    ("unit", "plan", "effects"),
    [
        ("ZZ1", -5, {"pay_afc": [-3, -5, 0], "one_off": [0, -2, -4], "support": [0, -4, -2]}),
        ("South", 5, {"pay_afc": [1, 0, -2], "one_off": [0, 0, 8], "support": [0, 0, 0]}),
        ("Acute", 0, {"pay_afc": [-2, -5, -2], "one_off": [0, -2, 4], "support": [0, -4, -2]}),
        ("Provider sector", 1, {"pay_afc": [-2, -5, -2], "one_off": [0, -2, 4], "support": [-1, -5, -3]}),
        (
            "Whole NHS",
            1,
            {"pay_afc": [-2, -5, -2], "one_off": [0, -2, 4], "support": [-1, -5, -3], "centre": [10, 20, -5]},
        ),
    ],
)
def test_effects_of_a_hand_made_forecast(small, unit, plan, effects):
    flow = waterfall(small, unit)
    assert flow["plan"].item() == plan
    assert flow["effect"].values.tolist() == list(effects)
    np.testing.assert_array_equal(flow["effect_by_draw"], list(effects.values()))
    np.testing.assert_array_equal(flow["position"], plan + np.sum(list(effects.values()), axis=0))
    np.testing.assert_allclose(flow["mean_effect"], np.mean(list(effects.values()), axis=1), atol=1e-12)


def test_effects_add_up_in_every_draw_of_every_unit(made):
    units = units_of(made)
    of_level = {"sector": made["sector_position"].values, "nhs": made["nhs_position"].values}
    for unit, level, members in zip(units.unit, units.level, units.members, strict=True):
        flow = waterfall(made, unit)
        own = made["position"].values[members].sum(axis=0, dtype=float)
        np.testing.assert_array_equal(flow["position"], of_level.get(level, own))
        reached = flow["plan"] + flow["effect_by_draw"].sum("effect")
        np.testing.assert_allclose(reached, flow["position"], rtol=1e-9, atol=1e-9)
        assert float(flow["plan"] + flow["mean_effect"].sum()) == pytest.approx(float(flow["mean"]), rel=1e-9)
        assert (flow["unit"], flow["level"]) == (unit, level)


def test_each_effect_is_what_its_name_says(made):
    """A plain twin; what rounding leaves is GBP 1,000 at the most here."""
    units = units_of(made)
    for i in (0, *units.at("region")[:2], *units.at("system")[:1], *units.at("nhs")):
        flow, rows = waterfall(made, units.unit[i]), made.isel(trust=units.members[i])
        planned = flow["plan"].item() - rows["plan"].sum().item()
        wanted = [*rows["contribution"].sum("trust", dtype=float).values, rows["support"].sum("trust").values - planned]
        wanted += [made["nhs_position"] - made["sector_position"]] if i in units.at("nhs") else []
        assert flow["effect"].values[: made.sizes["driver"]].tolist() == made["driver"].values.tolist()
        np.testing.assert_allclose(flow["effect_by_draw"], wanted, atol=1e-3)
        if i in units.at("nhs"):
            np.testing.assert_array_equal(flow["effect_by_draw"][-1], wanted[-1])


def test_plans_are_those_of_the_summary(made):
    summary = sr.summarise(made)
    for unit in summary["unit"].values[[0, 5, -2]]:
        assert waterfall(made, unit)["plan"].item() == pytest.approx(summary["plan"].sel(unit=unit).item(), rel=1e-12)


def test_a_driver_of_the_users_is_an_effect_and_a_line(panel):
    made = forecast_of("driver", panel)
    assert waterfall(made)["effect"].values.tolist()[5] == "winter_flu"
    lines = waterfall(made, by="line")["effect"].values.tolist()
    assert lines == ["efficiency", "pay", "deterioration", "winter_flu", "one_offs", "support"]


def test_lines_are_sums_of_drivers(made):
    by_driver, by_line = waterfall(made, "Whole NHS"), waterfall(made, "Whole NHS", by="line")
    names = [LINES.get(name, name) for name in by_driver["effect"].values]
    wanted = by_driver["effect_by_draw"].assign_coords(effect=names).groupby("effect").sum()
    np.testing.assert_allclose(by_line["effect_by_draw"], wanted.sel(effect=by_line["effect"].values), atol=1e-9)
    assert set(names) == set(by_line["effect"].values)


def test_an_effect_that_does_not_vary_takes_no_rounding(panel):
    """Without support nothing is paid or planned: the same in all draws, though contributions add up only nearly."""
    made = forecast_of("none", panel)
    off = made["position"] - made["plan"] - made["contribution"].sum("driver", dtype=float)
    assert (off != 0).any()
    for unit in ("Provider sector", "Acute", made["trust"].values[3]):
        support = waterfall(made, unit)["effect_by_draw"].sel(effect="support").values
        assert np.ptp(support) == 0.0
        assert abs(support[0]) < 1e-9


def test_means_and_errors(made):
    flow = waterfall(made, by="line")
    draws = flow["effect_by_draw"].values
    np.testing.assert_allclose(flow["mean_effect"], draws.mean(axis=1))
    np.testing.assert_allclose(flow["mean_effect_se"], draws.std(axis=1, ddof=1) / np.sqrt(N))
    np.testing.assert_allclose(flow["mean_se"], flow["position"].std("draw", ddof=1) / np.sqrt(N))


def test_errors_are_what_repetition_shows(panel):
    """Sixty seeds: the sd over seeds of each figure against the error it states (within 5 sd of 1)."""
    some = panel.isel(trust=slice(0, 8))
    many = xr.concat(
        [waterfall(sr.simulate(some, regime="none", n_draws=50, seed=s), "Whole NHS") for s in range(60)], "seed"
    )
    for figure, error in (("mean", "mean_se"), ("mean_effect", "mean_effect_se")):
        seen, stated = many[figure].std("seed", ddof=1), many[error].mean("seed")
        varies = stated > 1e-6
        assert varies.sum() >= varies.size - 1
        assert np.abs(seen / stated - 1).where(varies).max() < 5 / np.sqrt(2 * 59)


def test_a_single_draw_has_no_error(small):
    flow = waterfall(small.isel(draw=[1]))
    assert flow["mean"].item() == -11
    assert flow["mean_effect_se"].isnull().all()
    assert flow["mean_se"].isnull()


def test_many_draws_are_added_up_in_pieces_that_fit():
    rng = np.random.default_rng(4)
    contribution = rng.normal(size=(2, 3, 40_001))
    flow = waterfall(hand_made(contribution), "ZZ2")
    np.testing.assert_allclose(flow["effect_by_draw"][:2], contribution[:, 1], atol=1e-6)
    whole = waterfall(hand_made(contribution))["effect_by_draw"]
    np.testing.assert_allclose(whole[:2], contribution.astype(np.float32).sum(axis=1, dtype=float), atol=1e-5)


def test_order_of_dimensions_and_a_selection_of_draws_do_not_matter(made):
    turned = made.transpose("draw", "trust", ...)
    xr.testing.assert_allclose(waterfall(made)["effect_by_draw"], waterfall(turned)["effect_by_draw"])
    few = waterfall(made.isel(draw=slice(10, 30)))
    np.testing.assert_allclose(few["effect_by_draw"], waterfall(made)["effect_by_draw"][:, 10:30], atol=1e-3)
    assert few["draw"].values.tolist() == list(range(10, 30))


def test_attributes_and_labels_of_draws_are_kept(small):
    sets = small.assign_coords(parameter_set=("draw", [0, 0, 1])).assign_attrs(title="made by hand")
    flow = waterfall(sets)
    assert flow["parameter_set"].values.tolist() == [0, 0, 1]
    assert flow.attrs == sets.attrs
    for name in flow.data_vars:
        assert flow[name].attrs["units"] == "GBP million"
        assert flow[name].attrs["long_name"]


def edited(forecast, name, change):
    copy = forecast.copy(deep=True)
    copy[name] = change(copy[name])
    return copy


@pytest.mark.parametrize("by", [0.02, -0.02])
def test_an_edited_contribution_is_refused_where_it_counts(made, by):
    """GBP 20,000 in one draw of one trust; what is read of other trusts stands."""
    broken = made.copy(deep=True)
    broken["contribution"][2, 3, 7] += by
    for unit in (made["trust"].values[3], "Provider sector"):
        with pytest.raises(sr.InputError, match="contributions do not add up") as report:
            waterfall(broken, unit)
        assert report.value.faults[0].variable == "contribution"
    waterfall(broken, made["trust"].values[4])


def test_masked_contributions_are_refused(made):
    masked = edited(made, "contribution", lambda c: c.where(made["position"] > made["position"].quantile(0.1)))
    with pytest.raises(sr.InputError, match="contribution: draws are not finite"):
        waterfall(masked)
    with pytest.raises(sr.InputError, match="do not add up"):
        waterfall(edited(masked, "contribution", lambda c: c.fillna(0.0)))


@pytest.mark.parametrize("name", ["position", "support", "sector_position", "nhs_position"])
def test_draws_that_are_no_numbers_are_refused(made, name):
    with pytest.raises(sr.InputError, match=f"{name}: draws are not finite"):
        waterfall(edited(made, name, lambda v: v.where(v.draw != 3)))


@pytest.mark.parametrize("name", ["plan", "planned_support", "efficiency_plan", "sector_plan_ytd"])
def test_plans_that_are_no_numbers_are_refused(made, name):
    with pytest.raises(sr.InputError, match=f"{name}: not finite"):
        waterfall(edited(made, name, lambda v: v * np.nan))


def test_what_is_missing_is_named_all_at_once(made):
    with pytest.raises(sr.InputError) as report:
        waterfall(made.drop_vars(["contribution", "plan", "region"]), by="cause")
    assert {fault.variable for fault in report.value.faults} == {"contribution", "plan", "region", "by"}


def test_selections_are_refused(made):
    with pytest.raises(sr.InputError, match="is it a selection"):
        waterfall(made.isel(trust=slice(0, 9)))
    with pytest.raises(sr.InputError, match=r"contribution: must be on \(driver, trust, draw\) \('\(trust, draw\)'\)"):
        waterfall(made.isel(driver=0))
    with pytest.raises(sr.InputError, match="do not add up"):
        waterfall(made.isel(driver=slice(0, 4)))


def test_what_is_no_forecast_of_a_year_is_refused(panel):
    with pytest.raises(sr.InputError, match="summarise_projection"):
        waterfall(sr.project(panel.isel(trust=slice(6)), years=1, n_draws=20))
    other = forecast_of("none", panel.isel(trust=slice(6))).assign_attrs(format=-1)
    with pytest.raises(sr.InputError, match="made by another version"):
        waterfall(other)


def test_an_unknown_unit_is_refused_with_a_hint(made):
    with pytest.raises(sr.InputError, match="Did you mean 'Provider sector'"):
        waterfall(made, "provider sectors")


def test_a_driver_named_like_another_effect_is_refused(small):
    with pytest.raises(sr.InputError, match="a driver has the name of another effect"):
        waterfall(small.assign_coords(driver=["pay_afc", "support"]))
