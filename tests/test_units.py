"""Units of a forecast, and what is refused before anything is read off one."""

import json

import numpy as np
import pytest

import sector_risk as sr
from sector_risk.faults import Fault
from sector_risk.schema import FORECAST_FORMAT
from sector_risk.units import (
    LEVELS,
    check_forecast,
    draws_last,
    find_unit,
    forecast_faults,
    numbers,
    position_of,
    positions_of,
    totals,
    unit_faults,
    units_of,
)

NEEDED = ("position", "sector_position", "plan")


def with_systems(forecast, first="A"):
    """The first five trusts are of one system, the next four of B, the others of none that is stated."""
    place = np.arange(forecast.sizes["trust"])
    system = np.where(place < 5, first, np.where(place < 9, "B", "not stated"))
    return forecast.assign_coords(system=("trust", system))


def test_units_come_by_level_and_know_their_trusts(forecast):
    units = units_of(with_systems(forecast))
    assert list(dict.fromkeys(units.level)) == list(LEVELS)
    assert units.unit[units.at("system")].tolist() == ["A", "B"]
    assert [units.members[i].tolist() for i in units.at("system")] == [[0, 1, 2, 3, 4], [5, 6, 7, 8]]
    for level in ("trust", "region", "trust_type", "sector", "nhs"):
        members = np.concatenate([units.members[i] for i in units.at(level)])
        assert sorted(members.tolist()) == list(range(227))


def test_positions_of_units_are_sums_of_their_trusts_draw_by_draw(forecast):
    known = with_systems(forecast)
    position = known["position"].values.astype(float)
    code, region = known["trust"].values[3], known["region"].values[3]
    np.testing.assert_array_equal(position_of(known, code, "here"), position[3])
    np.testing.assert_allclose(position_of(known, region, "here"), position[known["region"] == region].sum(axis=0))
    np.testing.assert_allclose(position_of(known, "B", "here"), position[5:9].sum(axis=0))
    np.testing.assert_array_equal(position_of(known, "Provider sector", "here"), known["sector_position"])
    np.testing.assert_array_equal(position_of(known, "Whole NHS", "here"), known["nhs_position"])
    assert position_of(known, region, "here").dtype == np.float64


def test_an_unknown_unit_is_told_the_nearest(forecast):
    with pytest.raises(sr.InputError, match="London") as report:
        find_unit(forecast, "Londn", "here")
    assert (report.value.faults[0].place, report.value.faults[0].variable) == ("here", "unit")
    with pytest.raises(sr.InputError, match="Give a trust's code"):
        find_unit(forecast, "??", "here")
    with pytest.raises(sr.InputError, match="no unit has this name"):
        find_unit(with_systems(forecast), "not stated", "here")


def test_all_names_that_are_of_no_unit_are_told(forecast):
    faults = unit_faults(forecast, ["Londn", "London", "zzz"], "here")
    assert [(fault.place, fault.value, fault.variable) for fault in faults] == [
        ("here", "Londn", "unit"),
        ("here", "zzz", "unit"),
    ]
    with pytest.raises(sr.InputError) as report:
        positions_of(forecast, ["Londn", "London", "zzz"], "here")
    assert list(report.value.faults) == faults


def test_positions_of_several_units_are_those_of_each(forecast):
    names = ["Whole NHS", "London", str(forecast["trust"].values[3])]
    found = positions_of(forecast, names, "test")
    np.testing.assert_array_equal(found, [position_of(forecast, name, "test") for name in names])


@pytest.mark.parametrize("given", ["0.9", "high", None, ["0.9"], [0.9, None], [[1.0], [1.0, 2.0]], True, 1j, {}])
def test_what_is_no_number_is_nan(given):
    assert numbers(given).ndim == 0
    assert np.isnan(numbers(given))


@pytest.mark.parametrize("given", [3, 0.5, np.float32(0.5), [1, 2], (0.1, 0.2), np.arange(3), []])
def test_numbers_are_floats(given):
    assert numbers(given).dtype == float
    np.testing.assert_array_equal(numbers(given), given)


def test_a_name_of_two_units_is_refused(forecast):
    with pytest.raises(sr.InputError, match="several units have this name: region and system"):
        find_unit(with_systems(forecast, "London"), "London", "here")


def test_totals_leave_out_labels_that_are_not_asked_for():
    rows = np.array([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0], [8.0, 80.0]], np.float32)
    labels = np.array(["zz last", "b", "a first", "b"])
    np.testing.assert_array_equal(totals(rows, labels, np.array(["b"])), [[10.0, 100.0]])
    np.testing.assert_array_equal(totals(rows, labels, np.array(["b", "zz last"])), [[10.0, 100.0], [1.0, 10.0]])
    assert totals(rows, labels, np.array([], str)).shape == (0, 2)


def test_draws_come_last_whatever_the_file_says(forecast):
    turned = forecast.transpose("draw", "trust", ...)
    np.testing.assert_array_equal(draws_last(turned, "position"), forecast["position"])
    np.testing.assert_array_equal(draws_last(turned, "contribution"), forecast["contribution"])
    assert draws_last(turned, "position").flags.c_contiguous
    check_forecast(turned, NEEDED)


def test_a_whole_forecast_and_a_selection_of_draws_pass(forecast):
    check_forecast(forecast, (*NEEDED, "contribution", "control_total"))
    check_forecast(forecast.isel(draw=[0]), NEEDED)


def test_all_that_is_missing_and_faults_of_settings_come_together(forecast):
    mine = Fault("here", "must be blue", "red", "Paint it.", variable="colour")
    with pytest.raises(sr.InputError) as report:
        check_forecast(forecast.drop_vars(["plan", "position"]), NEEDED, also=[mine])
    assert [fault.variable for fault in report.value.faults] == ["position", "plan", "colour"]
    with pytest.raises(sr.InputError) as report:
        check_forecast(forecast, NEEDED, also=[mine])
    assert report.value.faults == (mine,)


def test_draws_that_are_not_numbers_are_named(forecast):
    broken = forecast.copy(deep=True)
    broken["sector_position"][3] = np.inf
    broken["position"][2, 7] = np.nan
    with pytest.raises(sr.InputError, match="not finite") as report:
        check_forecast(broken, NEEDED)
    assert [fault.variable for fault in report.value.faults] == ["position", "sector_position"]


def test_a_selection_of_trusts_is_refused(forecast):
    with pytest.raises(sr.InputError, match="is it a selection"):
        check_forecast(forecast.isel(trust=slice(1, None)), NEEDED)


@pytest.mark.parametrize("lost", [{"draw": 0}, {"draw": slice(0, 0)}, {"trust": 4}, {"trust": slice(0, 0)}])
def test_what_has_lost_its_trusts_or_draws_is_refused(forecast, lost):
    with pytest.raises(sr.InputError, match=f"has none of a dimension .'{next(iter(lost))}'"):
        check_forecast(forecast.isel(lost), NEEDED)


def test_a_projection_is_sent_to_where_it_belongs(case):
    path = sr.project(case.isel(trust=slice(6)), years=1, n_draws=20)
    (fault,) = forecast_faults(path, NEEDED, "plot_projection")
    assert "plot_projection" in fault.remedy


def test_another_format_is_refused_and_both_versions_are_named(forecast):
    for file_format in (FORECAST_FORMAT + 1, None):
        attrs = {name: value for name, value in forecast.attrs.items() if name != "format"}
        attrs |= {"versions": json.dumps({"sector-risk": "9.8"})} | ({"format": file_format} if file_format else {})
        other = forecast.copy()
        other.attrs = attrs
        with pytest.raises(sr.InputError, match=f"sector-risk 9.8, format {file_format or 0}; this version reads"):
            check_forecast(other, NEEDED)
