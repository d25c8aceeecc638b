"""Every rule finds what it is there for, names it, and says what to do."""

import json
import pickle

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import sector_risk as sr
from sector_risk.faults import InputError, InputWarning
from sector_risk.panel import check_panel, make_panel


def table(**changes):
    """Five trusts, with columns replaced or added."""
    columns = {
        "trust": ["ZZ1", "ZZ3", "ZZ4", "ZZ5", "ZZ6"],
        "region": ["London", "London", "Midlands", "South West", "North West"],
        "trust_type": ["Acute", "Mental health", "Community", "Acute", "Ambulance"],
        "turnover": [1600.0, 430.0, 150.0, 500.0, 240.0],
        "plan": [-40.0, 2.5, 0.0, -5.0, 0.0],
        "efficiency_plan": [70.0, 18.0, 6.0, 20.0, 9.0],
    }
    return pd.DataFrame({**columns, **changes})


def dataset(**changes):
    """The same as a Dataset."""
    frame = table(**changes)
    return xr.Dataset(
        {name: ("trust", frame[name].to_numpy()) for name in frame if name != "trust"},
        coords={"trust": frame["trust"].to_numpy()},
    )


def faults_of(call, *arguments):
    with pytest.raises(InputError) as caught:
        call(*arguments)
    return caught.value.faults


def replaced(name, value, position=2, **others):
    column = table(**others)[name].tolist()
    column[position] = value
    return {name: column, **others}


ONE_ROW = {
    "unknown region": (replaced("region", "Lundon"), "region", "Lundon", "Did you mean 'London'?"),
    "region is missing": (replaced("region", ""), "region", "", "Use one of East of England"),
    "unknown trust type": (replaced("trust_type", "Acoot"), "trust_type", "Acoot", "Did you mean 'Acute'?"),
    "trust type is missing": (replaced("trust_type", ""), "trust_type", "", "Use one of Acute"),
    "unknown trust subtype": (
        {"trust_subtype": ["", "", "Comunity", "", ""]},
        "trust_subtype",
        "Comunity",
        "Did you mean 'Community'?",
    ),
    "infinite": (replaced("plan", np.inf), "plan", "inf", "finite"),
    "turnover is not above zero": (replaced("turnover", 0.0), "turnover", "0", "GBP million"),
    "about a thousand times off the median of 500": (
        replaced("turnover", 150_000.0),
        "turnover",
        "150,000",
        "divide thousands by 1,000",
    ),
    "plan is larger than turnover": (replaced("plan", -151.0), "plan", "-151", "GBP million"),
    "plan is missing though the trust has other figures": (
        replaced("plan", np.nan),
        "plan",
        "",
        "clear the trust's other figures",
    ),
    "wrong sign": (replaced("efficiency_plan", -6.0), "efficiency_plan", "-6", "minus sign"),
    "more than 30% of turnover": (
        replaced("efficiency_plan", 46.0),
        "efficiency_plan",
        "46",
        "Check the unit",
    ),
    "below 0": (
        {"support_allocation": [0.0, 0.0, -1.0, 0.0, 0.0]},
        "support_allocation",
        "-1",
        "Give 0 or more",
    ),
    "above 1": (
        {"efficiency_recurrent_share": [0.9, 0.9, 91.0, 0.9, 0.9]},
        "efficiency_recurrent_share",
        "91",
        "91% is 0.91",
    ),
    "above 5": ({"segment": [1.0, 1.0, 6.0, 5.0, 5.0]}, "segment", "6", "from 1 to 5"),
}


@pytest.mark.parametrize("rule", ONE_ROW)
def test_a_fault_has_row_trust_variable_value_and_remedy(rule):
    changes, variable, value, remedy = ONE_ROW[rule]
    (fault,) = faults_of(make_panel, table(**changes))
    assert (fault.rule, fault.row, fault.trust) == (rule, 4, "ZZ4")
    assert (fault.variable, fault.value) == (variable, value)
    assert remedy in fault.remedy


@pytest.mark.parametrize("rule", ONE_ROW)
def test_a_dataset_is_held_to_the_same_rules(rule):
    changes, variable, value, _ = ONE_ROW[rule]
    (fault,) = faults_of(check_panel, dataset(**changes))
    assert (fault.rule, fault.row, fault.trust) == (rule, None, "ZZ4")
    assert (fault.variable, fault.value) == (variable, value)


def test_a_hundredth_is_off_the_scale_too():
    (fault,) = faults_of(make_panel, table(**replaced("turnover", 0.15)))
    assert "thousand times off" in fault.rule


def test_blank_and_duplicate_codes():
    faults = faults_of(make_panel, table(trust=["ZZ1", "", "zz1", "ZZ5", "ZZ5"]))
    assert [(fault.row, fault.rule) for fault in faults] == [
        (3, "blank trust code"),
        (4, "duplicate trust code (also in row 2)"),
        (6, "duplicate trust code (also in row 5)"),
    ]
    assert faults[1].value == "zz1"
    assert {fault.variable for fault in faults} == {"trust"}
    faults = faults_of(check_panel, dataset(trust=["ZZ1", "", "zz1", "ZZ5", "ZZ5"]))
    assert [fault.rule for fault in faults] == [
        "blank trust code",
        "duplicate trust code",
        "duplicate trust code",
    ]
    assert faults[0].trust == "number 2"


def test_per_cent_above_a_hundred():
    frame = table().drop(columns="plan").assign(plan_pct=[0.0, 0.0, -250.0, 0.0, 0.0])
    (fault,) = faults_of(make_panel, frame)
    assert (fault.row, fault.trust, fault.variable, fault.value) == (4, "ZZ4", "plan", "-250")
    assert fault.rule == "more than 100 per cent"
    assert "GBP million" in fault.remedy
    (fault,) = faults_of(make_panel, table(ytd_var_pct_M6=[0.0, 0.0, 101.0, 0.0, 0.0]))
    assert (fault.variable, fault.value) == ("variance_ytd_m6", "101")


def test_a_hole_in_actual():
    months = {f"actual_m{m}": [-1.0 * m, m, 0.0, 0.0, np.nan] for m in range(1, 5)}
    months["actual_m2"] = [-2.0, 2.0, np.nan, 0.0, np.nan]
    (fault,) = faults_of(make_panel, table(**months))
    assert (fault.row, fault.trust, fault.variable) == (4, "ZZ4", "actual_m2")
    assert fault.rule == "a month is missing before month 4"
    assert "every month so far" in fault.remedy
    months["actual_m2"] = [-2.0, 2.0, "tbc", 0.0, np.nan]
    (fault,) = faults_of(make_panel, table(**months))
    assert fault.rule == "text in a number"


def test_trusts_without_a_plan_are_left_out_and_not_looked_at():
    blank = np.nan
    frame = table(
        region=["London", "London", "National", "South West", "North West"],
        trust_type=["Acute", "Mental health", "Online", "Acute", "Ambulance"],
        turnover=[1600.0, 430.0, blank, 500.0, 240.0],
        plan=[-40.0, 2.5, blank, -5.0, 0.0],
        efficiency_plan=[70.0, 18.0, blank, 20.0, 9.0],
    )
    with pytest.warns(InputWarning, match="1 trust has no plan .* left out: ZZ4"):
        panel = make_panel(frame)
    assert "ZZ4" not in panel["trust"]
    assert json.loads(panel.attrs["left_out"]) == ["ZZ4"]


def test_a_trust_with_an_unreadable_figure_is_not_left_out():
    blank = np.nan
    frame = table(
        turnover=[1600.0, 430.0, blank, 500.0, 240.0],
        plan=[-40.0, 2.5, blank, -5.0, 0.0],
        efficiency_plan=[70.0, 18.0, "soon", 20.0, 9.0],
    )
    faults = faults_of(make_panel, frame)
    assert [fault.variable for fault in faults] == ["efficiency_plan", "plan"]


def test_no_trust_has_a_plan():
    frame = table()[["trust", "region", "trust_type"]].assign(plan=np.nan)
    (fault,) = faults_of(make_panel, frame)
    assert (fault.rule, fault.variable) == ("no trust has a plan", "plan")


def test_thousands_for_millions_are_one_warning():
    frame = table()
    money = ["turnover", "plan", "efficiency_plan"]
    with pytest.warns(InputWarning, match=r"implausible scale: .*430,000.*Divide .* by 1,000") as caught:
        panel = make_panel(frame.assign(**{name: frame[name] * 1000 for name in money}))
    assert len(caught) == 1
    assert float(panel["turnover"][0]) == 1_600_000.0


def test_thousands_without_a_turnover_are_not_dozens_of_faults():
    frame = table(plan=[-40_000.0, -2_500.0, -1_100.0, -5_000.0, -2_000.0])
    frame = frame.drop(columns=["turnover", "efficiency_plan"])
    with pytest.warns(InputWarning) as caught:
        make_panel(frame)
    assert str(caught[0].message).startswith("implausible scale: the median plan is 2,500")


def test_all_faults_come_in_one_report_in_the_order_of_the_rows():
    frame = table(
        trust=["ZZ1", "ZZ3", "ZZ4", "ZZ5", "ZZ1"],
        region=["Lundon", "London", "Midlands", "South West", "North West"],
        turnover=["1600", "tbc", "-1", "500", "240"],
        efficiency_plan=[70.0, 18.0, 6.0, -20.0, 9.0],
    ).rename(columns={"trust_type": "kind"})
    faults = faults_of(make_panel, frame)
    assert [(fault.row, fault.variable) for fault in faults] == [
        (None, "trust_type"),
        (2, "region"),
        (3, "turnover"),
        (4, "turnover"),
        (5, "efficiency_plan"),
        (6, "trust"),
    ]
    error = InputError(faults)
    assert str(error).startswith("6 faults in table:\n  trust_type: required column missing.")
    assert pickle.loads(pickle.dumps(error)).faults == faults


# --- Datasets built by hand ---------------------------------------------------------------------------


def monthly(values, months=(1, 2, 3)):
    return xr.DataArray(np.full((5, len(months)), values), dims=("trust", "month"), coords={"month": [*months]})


def test_checking_again_changes_nothing():
    given = dataset(control_total_agreed=[True, False, True, False, True], debt=[1.0, np.nan, 0.0, 0.0, 0.0])
    given = given.assign(actual=monthly(-1.0), weather=("trust", np.arange(5)))
    once = check_panel(given.assign_attrs(author="me"))
    xr.testing.assert_identical(check_panel(once), once)
    assert once.attrs["author"] == "me"
    assert once["weather"].values.tolist() == [0, 1, 2, 3, 4]
    assert once["month"].values.tolist() == list(range(1, 13))
    assert once["control_total_agreed"].dtype == bool


def test_filling_and_leaving_out_survive_a_second_check():
    given = dataset(turnover=[np.nan] * 5, plan=[1.0, 2.0, np.nan, 0.0, 0.0], efficiency_plan=[np.nan] * 5)
    with pytest.warns(InputWarning) as caught:
        once = check_panel(given.assign_attrs(year="2025/26"))
    assert len(caught) == 3
    assert once.attrs["year"] == "2025-26"
    assert json.loads(once.attrs["left_out"]) == ["ZZ4"]
    xr.testing.assert_identical(check_panel(once), once)


def test_the_given_dataset_is_left_alone():
    given = dataset().assign(actual=monthly(-1.0))
    before = given.copy(deep=True)
    check_panel(given)
    xr.testing.assert_identical(given, before)
    complete = check_panel(given)
    again = complete.copy(deep=True)
    check_panel(complete)["plan"][:] = 7.0
    xr.testing.assert_identical(complete, again)


def test_a_checked_panel_survives_a_file(tmp_path):
    pytest.importorskip("h5netcdf")
    panel = check_panel(dataset(governance_failure=[True, False, False, False, False]).assign(actual=monthly(0.0)))
    panel.to_netcdf(tmp_path / "panel.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "panel.nc", engine="h5netcdf") as loaded:
        xr.testing.assert_identical(check_panel(loaded.load()), panel)


def test_transposed_and_object_arrays_are_understood():
    given = dataset(plan=np.array(["(40)", "2.5", None, "0", "-1"], dtype=object), turnover=[500.0] * 5)
    given["plan"][2] = 3
    given = given.assign(actual=monthly(-1.0).transpose())
    panel = check_panel(given)
    assert panel["plan"].values.tolist() == [-40.0, 2.5, 3.0, 0.0, -1.0]
    assert panel["actual"].dims == ("trust", "month")


def test_text_in_an_object_array():
    given = dataset().assign(actual=monthly(-1.0).astype(object))
    given["actual"][1, 2] = "soon"
    (fault,) = faults_of(check_panel, given)
    assert (fault.trust, fault.variable, fault.value) == ("ZZ3", "actual_m3", "soon")


def test_per_cent_by_its_units():
    given = dataset()
    given["plan"].attrs["units"] = "per cent of turnover"
    np.testing.assert_allclose(check_panel(given)["plan"], [-640, 10.75, 0, -25, 0])
    given["plan"].attrs["units"] = "GBP thousand"
    (fault,) = faults_of(check_panel, given)
    assert (fault.rule, fault.variable, fault.value) == ("another unit", "plan", "GBP thousand")


def test_shapes():
    (fault,) = faults_of(check_panel, dataset().assign(plan=5.0))
    assert (fault.rule, fault.variable, fault.remedy) == ("wrong dimensions", "plan", "Give it on trust.")
    (fault,) = faults_of(check_panel, dataset().assign(actual=monthly(0.0, (0, 1, 13))))
    assert (fault.rule, fault.variable) == ("not the months of a financial year", "month")
    (fault,) = faults_of(check_panel, dataset().drop_vars("trust"))
    assert (fault.rule, fault.variable) == ("required column missing", "trust")
    (fault,) = faults_of(check_panel, dataset().rename(plan="plann"))
    assert (fault.rule, fault.variable) == ("required column missing", "plan")
    assert "Did you mean 'plann'?" in fault.remedy
    (fault,) = faults_of(check_panel, dataset().isel(trust=[]))
    assert fault.rule == "no rows"


def test_a_dataset_s_slips_of_the_pen():
    with pytest.warns(InputWarning, match="effciency_delivered"):
        check_panel(dataset().assign(effciency_delivered=("trust", np.zeros(5))))


def test_a_planned_path_ends_at_the_plan():
    made = table()
    for month in range(1, 13):
        made[f"plan_ytd_m{month}"] = made["plan"] * month / 12
    make_panel(made)
    made.loc[made.index[0], "plan_ytd_m12"] = 99
    (fault,) = faults_of(make_panel, made)
    assert (fault.variable, fault.rule) == ("plan_ytd_m12", "month 12 is not the plan")


def test_a_forecast_is_no_panel():
    forecast = sr.simulate(sr.load_case("england-2018-19"), n_draws=2)
    with pytest.raises(InputError, match="a forecast, not a panel"):
        sr.simulate(forecast)
