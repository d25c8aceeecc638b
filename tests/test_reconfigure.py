"""Trusts merge, join others and are divided, and no pound is lost."""

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import sector_risk as sr
from sector_risk.faults import InputError, InputWarning
from sector_risk.panel import administer, by_successor, check_panel, make_panel, merge, read_panel, take_over
from sector_risk.schema import PANEL

CODES = ["ZZ1", "ZZ2", "ZZ3", "ZZ4", "ZZ5"]


def table(**changes):
    """Five trusts, with columns replaced or added."""
    columns = {
        "trust": CODES,
        "name": ["One", "Two", "Three", "Four", "Five"],
        "region": ["London", "London", "Midlands", "South West", "North West"],
        "trust_type": ["Acute", "Mental health", "Community", "Acute", "Ambulance"],
        "system": ["North", "North", "South", "South", "West"],
        "turnover": [1600.0, 400.0, 150.0, 500.0, 240.0],
        "plan": [-40.0, 2.5, 0.0, -5.0, 0.0],
        "efficiency_plan": [70.0, 20.0, 6.0, 20.0, 9.0],
        "efficiency_recurrent_share": [0.9, 0.6, 0.7, 0.8, 1.0],
        "debt": [30.0, 10.0, 0.0, np.nan, 1.0],
        "loan_rate": [0.06, 0.02, 0.035, 0.035, np.nan],
        "segment": [4, 3, 2, 1, 5],
        "governance_failure": [False, True, False, False, False],
        **{f"actual_m{m}": [-3.0 * m, 0.1 * m, 0.0, np.nan, np.nan if m > 1 else 1.0] for m in (1, 2)},
    }
    return pd.DataFrame({**columns, **changes})


@pytest.fixture
def panel():
    return make_panel(table(), year="2018-19")


def faults_of(call, *arguments, **settings):
    with pytest.raises(InputError) as caught:
        call(*arguments, **settings)
    return [(fault.variable, fault.rule, fault.value, fault.remedy) for fault in caught.value.faults]


def successors(panel):
    return dict(zip(panel["trust"].values.tolist(), panel["successor"].values.tolist(), strict=True))


def money(panel):
    return [name for name in panel.data_vars if name in PANEL and PANEL[name].is_money]


# --- the operations ------------------------------------------------------------------------------------


@pytest.mark.parametrize("into", ["ZZ1", "ZZ3", "ZZ9"])
def test_merged_trusts_keep_their_rows_and_numbers(panel, into):
    merged = merge(panel, ["ZZ1", "ZZ3"], into=into)
    assert successors(merged) == {"ZZ1": into, "ZZ2": "ZZ2", "ZZ3": into, "ZZ4": "ZZ4", "ZZ5": "ZZ5"}
    assert merged["drawn_as"].values.tolist() == CODES
    assert merged.attrs["reconfigured"] == f"ZZ1 and ZZ3 merged into {into}."
    xr.testing.assert_identical(merged.drop_vars(["successor", "drawn_as"]).drop_attrs(), panel.drop_attrs())
    assert panel.attrs.items() <= merged.attrs.items()
    assert merged["successor"].attrs["long_name"] == PANEL["successor"].long_name


def test_taking_over_is_merging_into_the_other(panel):
    taken = take_over(panel, "ZZ2", by="ZZ1")
    xr.testing.assert_equal(taken, merge(panel, ["ZZ1", "ZZ2"], into="ZZ1"))
    assert taken.attrs["reconfigured"] == "ZZ2 was taken over by ZZ1."


def test_administration_cuts_a_trust_in_proportion(panel):
    cut = administer(panel, "ZZ2", {"ZZ3": 0.25, "ZZ1": 0.75})
    assert cut["trust"].values.tolist() == ["ZZ1", "ZZ2/ZZ3", "ZZ2/ZZ1", "ZZ3", "ZZ4", "ZZ5"]
    parts = cut.isel(trust=[1, 2])
    assert parts["successor"].values.tolist() == ["ZZ3", "ZZ1"]
    assert parts["drawn_as"].values.tolist() == ["ZZ2", "ZZ2"]
    assert parts["turnover"].values.tolist() == [100.0, 300.0]
    assert parts["actual"].values[:, 1].tolist() == [0.05, 0.15000000000000002]
    for name in ("efficiency_recurrent_share", "loan_rate", "segment", "governance_failure", "name", "region"):
        assert (parts[name] == panel[name].sel(trust="ZZ2").values).all(), name
    xr.testing.assert_equal(
        cut.drop_vars(["successor", "drawn_as"]).sel(trust=["ZZ1", "ZZ3", "ZZ4", "ZZ5"]), panel.drop_sel(trust="ZZ2")
    )
    assert cut["turnover"].attrs == panel["turnover"].attrs
    said = "ZZ2 was put into administration: 25% went to ZZ3 and 75% to ZZ1."
    assert cut.attrs["reconfigured"] == said


def test_shares_as_people_write_them(panel):
    thirds = administer(panel, "ZZ2", {"ZZ1": 0.3333333, "ZZ3": 0.3333333, "ZZ4": 0.3333333})
    assert float(thirds["plan"].sum()) == pytest.approx(float(panel["plan"].sum()), abs=1e-12)
    whole = administer(panel, "ZZ2", {"ZZ1": 1})
    assert successors(whole)["ZZ2/ZZ1"] == "ZZ1"


def test_operations_compose(panel):
    merged = merge(panel, ["ZZ1", "ZZ2"], into="ZZ9")
    taken = take_over(merged, "ZZ9", by="ZZ3")
    assert successors(taken) == {"ZZ1": "ZZ3", "ZZ2": "ZZ3", "ZZ3": "ZZ3", "ZZ4": "ZZ4", "ZZ5": "ZZ5"}
    assert taken.attrs["reconfigured"] == "ZZ1 and ZZ2 merged into ZZ9. ZZ9 was taken over by ZZ3."
    cut = administer(taken, "ZZ3", {"ZZ4": 0.5, "ZZ5": 0.5})
    assert cut["trust"].values.tolist()[:3] == ["ZZ1/ZZ4", "ZZ1/ZZ5", "ZZ2/ZZ4"]
    assert cut["drawn_as"].values.tolist() == ["ZZ1", "ZZ1", "ZZ2", "ZZ2", "ZZ3", "ZZ3", "ZZ4", "ZZ5"]
    again = administer(cut, "ZZ4", {"ZZ5": 1.0})
    assert set(again["successor"].values) == {"ZZ5"}
    assert again["drawn_as"].values.tolist() == cut["drawn_as"].values.tolist()
    assert "ZZ1/ZZ4/ZZ5" in again["trust"]
    both = merge(cut, ["ZZ4", "ZZ5"], into="ZZ4")
    assert by_successor(both)["trust"].values.tolist() == ["ZZ4"]
    for name in ("turnover", "plan", "efficiency_plan"):
        assert float(by_successor(both)[name][0]) == pytest.approx(float(panel[name].sum()))


def test_a_small_part_is_not_a_slip_of_units(panel):
    cut = administer(panel, "ZZ3", {"ZZ1": 0.999, "ZZ2": 0.001})
    xr.testing.assert_identical(check_panel(cut), cut)
    at_the_limit = make_panel(table(efficiency_plan=[70.0, 120.0, 6.0, 20.0, 9.0]))
    for share in (0.1, 0.3, 0.35, 0.7):
        administer(at_the_limit, "ZZ2", {"ZZ1": share, "ZZ3": 1.0 - share})


def test_money_that_is_not_known_is_money_by_its_units(panel):
    given = panel.assign(grant=("trust", [1, 2, 3, 4, 5], {"units": "GBP million"}), beds=("trust", [9] * 5))
    cut = administer(given.assign(weather=("day", [1.0])), "ZZ2", {"ZZ1": 0.5, "ZZ3": 0.5})
    assert cut["grant"].values.tolist() == [1, 1, 1, 3, 4, 5]
    assert cut["beds"].values.tolist() == [9] * 6
    assert by_successor(cut)["grant"].values.tolist() == [2, 4, 4, 5]
    assert by_successor(cut)["weather"].values.tolist() == [1.0]


def test_a_panel_that_is_not_complete_is_checked_first():
    bare = xr.Dataset(
        {"plan": ("trust", [-1.0, 2.0, 0.0], {"units": "per cent of turnover"}), "turnover": ("trust", [200.0] * 3)},
        coords={"trust": CODES[:3], "region": ("trust", ["London"] * 3), "trust_type": ("trust", ["Acute"] * 3)},
    )
    with pytest.warns(InputWarning, match="efficiency_plan is missing") as caught:
        cut = administer(bare, "ZZ1", {"ZZ2": 0.5, "ZZ3": 0.5})
    assert len(caught) == 1
    assert cut["plan"].values.tolist() == [-1.0, -1.0, 4.0, 0.0]
    assert "efficiency_plan" in json.loads(cut.attrs["filled"])


# --- the sum over parts --------------------------------------------------------------------------------


def test_money_is_summed_and_rates_are_weighted(panel):
    trusts = by_successor(merge(panel, ["ZZ1", "ZZ2"], into="ZZ2"))
    assert trusts["trust"].values.tolist() == ["ZZ2", "ZZ3", "ZZ4", "ZZ5"]
    first = trusts.isel(trust=0)
    assert [float(first[name]) for name in ("turnover", "plan", "debt")] == [2000.0, -37.5, 40.0]
    assert float(first["efficiency_recurrent_share"]) == pytest.approx((0.9 * 70 + 0.6 * 20) / 90)
    assert float(first["loan_rate"]) == pytest.approx(0.05)
    assert float(first["segment"]) == pytest.approx(3.8)
    assert bool(first["governance_failure"])
    assert first["actual"].values[:2].tolist() == [-2.9, -5.8]
    assert [str(first[name].values) for name in ("name", "trust_type")] == ["Two", "Mental health"]
    assert "successor" not in trusts.variables
    assert "drawn_as" not in trusts.variables
    xr.testing.assert_identical(check_panel(trusts), trusts)


def test_what_is_missing_for_a_part_is_missing_for_the_trust(panel):
    trusts = by_successor(merge(panel, ["ZZ2", "ZZ4", "ZZ5"], into="ZZ9"))
    new = trusts.sel(trust="ZZ9")
    assert new["actual"].isnull().all()
    assert float(new["debt"]) == 11.0  # where others say, no figure is no debt
    assert float(new["loan_rate"]) == 0.02  # the only one with both a rate and a debt
    assert [str(new[name].values) for name in ("name", "region", "system")] == ["ZZ9", "South West", "South"]
    pair = by_successor(merge(panel, ["ZZ1", "ZZ5"], into="ZZ1"))
    assert pair["actual"].sel(trust="ZZ1").notnull().values.tolist() == [True] + [False] * 11


def test_a_loan_is_not_lost_when_its_trust_joins_one_without_a_figure():
    panel = make_panel(table(), year="2018-19")
    together = merge(panel, ["ZZ1", "ZZ4"], into="ZZ4")
    lent = sr.Regime("lent", (sr.DistressLoans(repayment=0.0),))
    for one in (panel, together):
        path = sr.project(one, regime=lent, years=2, n_draws=3)
        np.testing.assert_allclose(path["interest"].isel(year=0).sum("trust"), 30 * 0.06 + 10 * 0.02 + 1 * 0.035)


def test_an_unknown_column_is_warned_of_once(panel):
    strange = merge(panel, ["ZZ1", "ZZ2"], into="ZZ1").assign(turnovr=("trust", np.ones(5)))
    with pytest.warns(InputWarning, match="columns not read") as caught:
        sr.simulate(strange, regime="none", n_draws=2)
    assert len(caught) == 1


def test_rates_without_their_weights():
    bare = make_panel(table(debt=[np.nan] * 5, efficiency_plan=[0.0] * 5))
    first = by_successor(merge(bare, ["ZZ1", "ZZ2"], into="ZZ1")).isel(trust=0)
    assert float(first["loan_rate"]) == pytest.approx(0.06 * 0.8 + 0.02 * 0.2)
    assert float(first["efficiency_recurrent_share"]) == pytest.approx(0.9 * 0.8 + 0.6 * 0.2)
    unknown = make_panel(table(loan_rate=[np.nan, np.nan, 0.03, 0.03, 0.03]))
    assert np.isnan(by_successor(merge(unknown, ["ZZ1", "ZZ2"], into="ZZ1"))["loan_rate"][0])


def test_a_panel_without_parts_is_its_own_sum(panel):
    xr.testing.assert_identical(by_successor(panel), panel)


@st.composite
def histories(draw):
    """A panel, and the same after one to three operations."""
    size = draw(st.integers(4, 6))

    def column(low, high):
        return np.array(draw(st.lists(st.floats(low, high), min_size=size, max_size=size)))

    turnover = column(50.0, 3000.0)
    frame = pd.DataFrame({"trust": [f"ZZ{n}" for n in range(size)], "region": "London", "trust_type": "Acute"})
    frame = frame.assign(turnover=turnover, plan=turnover * column(-1.0, 1.0), debt=column(0.0, 500.0))
    frame = frame.assign(efficiency_plan=turnover * column(0.0, 0.3), efficiency_recurrent_share=column(0.0, 1.0))
    frame = frame.assign(actual_m1=column(-9.0, 9.0), variance_ytd_m6=column(-9.0, 9.0), loan_rate=column(0.0, 0.1))
    before = after = make_panel(frame, year="2018-19")
    for _ in range(draw(st.integers(1, 3))):
        trusts = draw(st.permutations(sorted(set(after["successor" if "successor" in after else "trust"].values))))
        after = draw(st.sampled_from(OPERATIONS))(draw, after, trusts) if len(trusts) > 2 else after
    return before, after


def merged(draw, panel, trusts):
    codes = trusts[: draw(st.integers(2, len(trusts)))]
    return merge(panel, codes, into=draw(st.sampled_from([codes[0], "new"])))


def taken_over(draw, panel, trusts):
    return take_over(panel, trusts[0], by=trusts[1])


def administered(draw, panel, trusts):
    share = draw(st.floats(1e-3, 1.0 - 1e-3))
    return administer(panel, trusts[0], {trusts[1]: share, trusts[2]: 1.0 - share})


OPERATIONS = (merged, taken_over, administered)


@settings(max_examples=25, deadline=None)
@given(histories())
def test_every_total_is_conserved(panels):
    before, after = panels
    trusts = by_successor(after)
    for name in money(before):
        total = before[name].sum("trust", skipna=False)
        xr.testing.assert_allclose(after[name].sum("trust", skipna=False), total, atol=1e-9)
        xr.testing.assert_allclose(trusts[name].sum("trust", skipna=False), total, atol=1e-9)
    for rate, base in (("efficiency_recurrent_share", "efficiency_plan"), ("loan_rate", "debt")):
        amounts = [float((one[rate] * one[base]).sum()) for one in (before, after, trusts)]
        np.testing.assert_allclose(amounts[1:], amounts[0], rtol=1e-9, atol=1e-9)
    assert trusts.attrs == after.attrs
    xr.testing.assert_identical(check_panel(after), after)


@settings(max_examples=10, deadline=None)
@given(histories(), st.data())
def test_nothing_is_changed_in_place(panels, data):
    _, panel = panels
    copy = panel.copy(deep=True)
    trusts = by_successor(panel)["trust"].values.tolist()
    if len(trusts) > 2:
        data.draw(st.sampled_from(OPERATIONS))(data.draw, panel, trusts)["plan"][:] = 1.0
    by_successor(panel)["plan"][:] = 1.0
    xr.testing.assert_identical(panel, copy)


# --- faults --------------------------------------------------------------------------------------------


def test_unknown_and_too_few_trusts(panel):
    (fault,) = faults_of(merge, panel, ["ZZ1", "ZZZ2"], into="ZZ1")
    assert fault == ("codes", "no trust of this code", "ZZZ2", "Did you mean 'ZZ2'?")
    for codes in (["ZZ1"], ["ZZ1", "ZZ1"], "ZZ1"):
        (fault,) = faults_of(merge, panel, codes, into="ZZ1")
        assert fault[:2] == ("codes", "fewer than two trusts")
    (fault,) = faults_of(merge, panel, [], into="ZZ6")
    assert fault[3] == "Name two trusts or more."
    rules = [rule for _, rule, _, _ in faults_of(merge, panel, ["qqq"], into="ZZ4")]
    assert rules == ["no trust of this code", "fewer than two trusts", "the code is taken by another trust"]


def test_what_became_of_a_trust(panel):
    gone = administer(take_over(panel, "ZZ2", by="ZZ1"), "ZZ3", {"ZZ1": 0.5, "ZZ4": 0.5})
    (fault,) = faults_of(take_over, gone, "ZZ2", by="ZZ4")
    assert fault == ("code", "no trust of this code", "ZZ2", "It is now part of ZZ1.")
    (fault,) = faults_of(administer, gone, "ZZ3", {"ZZ1": 1.0})
    assert fault[3] == "It is now part of ZZ1 and ZZ4."


@pytest.mark.parametrize("into", ["ZZ3", "zz3", "ZZ4", "zz9"])
def test_a_code_that_is_taken(panel, into):
    before = merge(panel, ["ZZ3", "ZZ4"], into="ZZ9")
    (fault,) = faults_of(merge, before, ["ZZ1", "ZZ2"], into=into)
    assert fault[:3] == ("into", "the code is taken by another trust", into)


@pytest.mark.parametrize("into", ["", " ", "-", None])
def test_a_new_trust_needs_a_code(panel, into):
    (fault,) = faults_of(merge, panel, ["ZZ1", "ZZ2"], into=into)
    assert fault[:2] == ("into", "blank trust code")


def test_taking_over_oneself_or_nobody(panel):
    (fault,) = faults_of(take_over, panel, "ZZ1", by="ZZ1")
    assert fault[:2] == ("by", "a trust cannot take over itself")
    faults = faults_of(take_over, panel, "Z1", by="ZZ55")
    assert [fault[::2] for fault in faults] == [("code", "Z1"), ("by", "ZZ55")]


@pytest.mark.parametrize("share", [0.0, -0.5, np.nan, np.inf, "half", True, None])
def test_shares_that_are_none(panel, share):
    (fault,) = faults_of(administer, panel, "ZZ2", {"ZZ1": 0.5, "ZZ3": share})
    assert fault[:2] == ("shares", "not a share")
    assert fault[3] == "Give ZZ3 a number above 0, or leave it out."


def test_all_faults_of_a_division_come_in_one_report(panel):
    faults = faults_of(administer, panel, "ZZ22", {"ZZ22": 0.5, "ZZ33": 0.1})
    assert [fault[1:3] for fault in faults] == [
        ("no trust of this code", "ZZ22"),
        ("no trust of this code", "ZZ33"),
        ("a trust cannot succeed itself", "ZZ22"),
        ("the shares do not add to one", "0.6"),
    ]
    (fault,) = faults_of(administer, panel, "ZZ2", {})
    assert fault[1:3] == ("the shares do not add to one", "0")
    (fault,) = faults_of(administer, panel, "ZZ2", {"ZZ1": 0.333, "ZZ3": 0.333, "ZZ4": 0.333})
    assert fault[2] == "0.999"


def test_the_report_names_the_operation(panel):
    with pytest.raises(InputError, match="2 faults in take_over"):
        take_over(panel, "qq", by="qq")


# --- files and datasets that say it themselves ---------------------------------------------------------


def test_a_csv_may_say_who_succeeds_whom(tmp_path):
    path = tmp_path / "plans_2018-19.csv"
    table(successor=["", "zz1", "n/a", "NEW", "New"]).to_csv(path, index=False)
    panel = read_panel(path)
    assert successors(panel) == {"ZZ1": "ZZ1", "ZZ2": "ZZ1", "ZZ3": "ZZ3", "ZZ4": "NEW", "ZZ5": "NEW"}
    assert panel["drawn_as"].values.tolist() == CODES
    assert {"successor", "drawn_as"} <= set(panel.coords)
    assert not {"successor", "drawn_as"} & {
        *json.loads(panel.attrs["not_used_yet"]),
        *json.loads(panel.attrs["filled"]),
    }
    xr.testing.assert_identical(check_panel(panel), panel)
    assert by_successor(panel)["trust"].values.tolist() == ["ZZ1", "ZZ3", "NEW"]


def test_a_panel_that_only_says_how_rows_are_drawn():
    panel = make_panel(table(drawn_as=["", "", "", "ZZ1", ""]))
    assert panel["drawn_as"].values.tolist() == ["ZZ1", "ZZ2", "ZZ3", "ZZ1", "ZZ5"]
    assert panel["successor"].values.tolist() == CODES


@pytest.mark.parametrize("codes", [CODES, [""] * 5, ["ZZ1", "", "zz3", "", ""]])
def test_columns_that_say_nothing_leave_the_panel_as_it_was(panel, codes):
    xr.testing.assert_identical(make_panel(table(successor=codes, drawn_as=codes), year="2018-19"), panel)
    labelled = panel.assign(successor=("trust", codes))
    xr.testing.assert_identical(check_panel(labelled), panel)


def test_a_part_that_is_left_out_leaves_nothing_to_say():
    table_ = table(successor=["ZZ1", "ZZ2", "ZZ1", "ZZ4", "ZZ5"])
    figures = table_.columns.difference(["trust", "name", "region", "trust_type", "system", "successor"])
    table_[figures] = table_[figures].astype(object)
    table_.loc[2, figures] = None
    with pytest.warns(InputWarning, match="left out: ZZ3"):
        panel = make_panel(table_)
    assert "successor" not in panel.variables
    xr.testing.assert_identical(check_panel(panel), panel)


def test_a_successor_reports_its_own_numbers_too():
    faults = faults_of(make_panel, table(successor=["ZZ3", "ZZ1", "ZZ3", "", ""]))
    assert faults == [("successor", "the successor has a successor itself", "ZZ1", "Name that one: 'ZZ3'.")]


def test_two_parts_with_one_code_are_refused(panel):
    twice = merge(panel, ["ZZ1", "ZZ2"], into="ZZ1").isel(trust=[0, 1, 1])
    assert [fault[:2] for fault in faults_of(check_panel, twice)] == [("trust", "duplicate trust code")]


def test_parts_survive_a_file(panel, tmp_path):
    pytest.importorskip("h5netcdf")
    cut = administer(panel, "ZZ2", {"ZZ1": 0.5, "ZZ3": 0.5})
    cut.to_netcdf(tmp_path / "panel.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "panel.nc", engine="h5netcdf") as loaded:
        xr.testing.assert_identical(check_panel(loaded.load()), cut)


# --- the forecast --------------------------------------------------------------------------------------

BY_DRAW = ["position_before_support", "variance", "contribution", "one_off"]
RECONFIGURED = {
    "merged": (lambda panel: merge(panel, CODES[:2], into="ZZ1"), {"ZZ1": {"ZZ1": 1.0, "ZZ2": 1.0}}),
    "merged into a new one": (
        lambda panel: merge(panel, ["ZZ2", "ZZ4", "ZZ5"], into="ZZ9"),
        {"ZZ9": {"ZZ2": 1.0, "ZZ4": 1.0, "ZZ5": 1.0}},
    ),
    "taken over twice": (
        lambda panel: take_over(take_over(panel, "ZZ1", by="ZZ2"), "ZZ2", by="ZZ3"),
        {"ZZ3": {"ZZ1": 1.0, "ZZ2": 1.0, "ZZ3": 1.0}},
    ),
    "administered": (
        lambda panel: administer(panel, "ZZ2", {"ZZ1": 0.6, "ZZ3": 0.4}),
        {"ZZ1": {"ZZ1": 1.0, "ZZ2": 0.6}, "ZZ3": {"ZZ3": 1.0, "ZZ2": 0.4}},
    ),
}


@pytest.mark.parametrize("how", RECONFIGURED)
def test_a_trust_is_the_sum_of_its_parts_draw_by_draw(panel, how):
    change, made_of = RECONFIGURED[how]
    reconfigured = change(panel)
    before = sr.simulate(panel, regime="none", n_draws=200, seed=1)[BY_DRAW].astype(float)
    after = sr.simulate(reconfigured, regime="none", n_draws=200, seed=1)[BY_DRAW].astype(float)
    codes = list(dict.fromkeys(reconfigured["successor"].values.tolist()))
    assert after["trust"].values.tolist() == codes
    for code in codes:
        parts = made_of.get(code, {code: 1.0})
        expected = sum(share * before.sel(trust=part, drop=True) for part, share in parts.items())
        bare = after.sel(trust=code, drop=True)
        for name in BY_DRAW:
            np.testing.assert_allclose(bare[name], expected[name], atol=1e-3, err_msg=f"{code} {name}")
