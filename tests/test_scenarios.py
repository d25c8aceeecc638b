"""Scenarios, and what sets two forecasts side by side."""

import numpy as np
import pytest
import xarray as xr

import sector_risk as sr
from sector_risk.pairs import lined_up, said_of_both, trust_faults
from sector_risk.scenarios import Scenario
from sector_risk.units import unit_positions, units_of


@pytest.fixture(scope="module")
def panel(case):
    return case.isel(trust=slice(None, None, 25))


def same_draws(one, other):
    xr.testing.assert_equal(one, other)
    return {**one.attrs, "created": ""} == {**other.attrs, "created": ""}


def test_a_scenario_runs_as_simulate_and_as_condition_where_months_are_seen(panel):
    scenario = Scenario(panel, regime="none")
    assert same_draws(scenario.forecast(n_draws=50, seed=3), sr.simulate(panel, regime="none", n_draws=50, seed=3))
    first_months = np.where(np.arange(1, 13) <= 6, np.arange(1, 13) * -0.25, np.nan)
    seen = panel.assign_coords(month=np.arange(1, 13)).assign(
        variance_ytd=(("trust", "month"), np.tile(first_months, (panel.sizes["trust"], 1)))
    )
    half_way = scenario.replace(panel=seen, through_month=6).forecast(n_draws=50, seed=3)
    assert same_draws(half_way, sr.condition(seen, regime="none", through_month=6, n_draws=50, seed=3))
    assert half_way.attrs["through_month"] == 6


def test_a_copy_changes_what_is_named_and_nothing_else(panel):
    base = Scenario(panel)
    other = base.replace(regime="none")
    assert (base.regime, other.regime) == (None, "none")
    assert other.panel is panel
    with pytest.raises(TypeError):
        base.replace(regimes="none")


def test_scenarios_are_told_apart_and_may_be_keys(panel):
    base = Scenario(panel)
    assert base == base
    assert base != base.replace()
    assert {base: 1}[base] == 1


def test_positions_are_those_of_the_summary_in_its_order(panel):
    forecast = sr.simulate(panel, n_draws=40)
    rows = np.concatenate(list(unit_positions(forecast, units_of(forecast))))
    summary = sr.summarise(forecast)
    assert len(rows) == summary.sizes["unit"]
    np.testing.assert_allclose(rows.mean(axis=1), summary["mean"], rtol=1e-12)


def test_a_year_of_a_projection_ends_with_the_sector(panel):
    year = sr.project(panel, years=2, n_draws=20).isel(year=1)
    rows = list(unit_positions(year, units_of(year)))
    np.testing.assert_array_equal(rows[-1][0], year["sector_position"])
    assert sum(map(len, rows)) == len(units_of(year).unit) - 1


def test_trusts_are_put_in_order_with_the_groups_of_the_other(panel):
    forecast = sr.simulate(panel, n_draws=20)
    turned = forecast.isel(trust=slice(None, None, -1))
    moved = turned.assign_coords(region=("trust", np.full(turned.sizes["trust"], "London")))
    xr.testing.assert_identical(lined_up(moved, forecast), forecast)
    assert lined_up(forecast, forecast)["position"].values.base is forecast["position"].values.base  # no copy


def test_trusts_that_only_one_has_are_named(panel):
    forecast = sr.simulate(panel, n_draws=2)
    few = forecast.isel(trust=slice(2, None))
    assert not list(trust_faults(forecast, forecast))
    (fault,) = trust_faults(forecast, few)
    assert (fault.place, fault.value) == ("end", ", ".join(forecast["trust"].values[:2]))
    (fault,) = trust_faults(few, forecast)
    assert fault.place == "start"


def test_many_missing_trusts_are_counted(forecast):
    (fault,) = trust_faults(forecast, forecast.isel(trust=slice(100, None)))
    assert fault.value.endswith(" and 92 more")


def test_attributes_of_both_are_kept_and_arrays_among_them_compared():
    start = xr.Dataset(attrs={"seed": "1", "list": np.array([1, 2]), "only": 1})
    end = xr.Dataset(attrs={"seed": "1", "list": np.array([1, 3]), "more": 2})
    said = said_of_both(start, end)
    assert sorted(said) == ["end_list", "end_more", "list", "only", "seed"]
    assert said["end_list"].tolist() == [1, 3]
