"""Two sources become one panel, and the report says what did not match."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sector_risk.faults import InputError, InputWarning
from sector_risk.panel import by_successor, check_panel, combine, make_panel, merge, read_panel, take_over
from sector_risk.panel.fill import AFC_SHARE, income_uplift

pytestmark = pytest.mark.filterwarnings("ignore::sector_risk.faults.InputWarning")


def plans(year="2018-19", **changes):
    """Plans and variances in per cent, as the oversight framework gives them: no turnover."""
    columns = {
        "trust": ["ZZ1", "ZZ2", "ZZ3"],
        "name": ["One NHS Trust", "Two NHS Foundation Trust", "Three NHS Trust"],
        "region": ["London"] * 3,
        "trust_type": ["Acute"] * 3,
        "plan_pct": [-2.0, 1.0, 0.0],
        "ytd_var_pct_m3": [-1.0, 0.0, np.nan],
    }
    return make_panel(pd.DataFrame({**columns, **changes}), year=year, source="plans")


def source(codes=("ZZ1", "zz2", "ZZ9"), year="2018-19", name="accounts", names=None, **figures):
    columns = figures or {"turnover": [450.0, 300.0, 99.0]}
    coords = {"trust": list(codes)} | ({"name": ("trust", names)} if names else {})
    arrays = {key: ("trust", values) for key, values in columns.items()}
    return xr.Dataset(arrays, coords=coords, attrs={"year": year, "source": name})


def faults_of(*arguments, **settings):
    with pytest.raises(InputError) as caught:
        combine(*arguments, **settings)
    return caught.value.faults


def test_real_turnover_replaces_the_filled_and_per_cents_follow():
    panel = plans()
    whole, report = combine(panel, source())
    np.testing.assert_allclose(whole["turnover"], [450.0, 300.0, 381.0])
    np.testing.assert_allclose(whole["plan"], [-9.0, 3.0, 0.0])
    np.testing.assert_allclose(whole["variance_ytd"].sel(month=3), [-0.01 * 450 / 4, 0.0, np.nan])
    np.testing.assert_allclose(whole["efficiency_plan"], 0.041 * whole["turnover"])
    np.testing.assert_allclose(whole["pay_afc"], AFC_SHARE * whole["turnover"])
    np.testing.assert_allclose(whole["control_total"], whole["plan"])
    assert json.loads(whole.attrs["filled_trusts"])["turnover"] == ["ZZ3"]
    assert "1 of 3 trusts: ZZ3" in json.loads(whole.attrs["filled"])["turnover"]
    (part,) = report.sources
    assert (part.matched, part.missing, part.unmatched, part.added) == (2, ("ZZ3",), ("ZZ9",), ())
    assert part.taken == {"turnover": "2 trusts"}
    assert not report.conflicts
    xr.testing.assert_identical(panel, plans())
    xr.testing.assert_identical(check_panel(whole), whole)


def test_what_is_still_filled_is_warned_of():
    with pytest.warns(InputWarning, match="1 of 3 trusts: ZZ3"):
        combine(plans(), source())


def test_the_first_source_wins_and_differences_are_reported():
    panel = plans(turnover=[451.0, 300.04, None])
    whole, report = combine(panel, source(codes=("ZZ1", "ZZ2", "ZZ3")), source(turnover=[1.0, 2.0, 3.0], name="third"))
    np.testing.assert_allclose(whole["turnover"], [451.0, 300.04, 99.0])
    said = [(c.trust, c.variable, c.kept, c.source, c.other) for c in report.conflicts]
    assert said == [
        ("ZZ1", "turnover", "451", "accounts", "450"),
        ("ZZ1", "turnover", "451", "third", "1"),
        ("ZZ2", "turnover", "300.04", "third", "2"),
    ]
    assert "ZZ1, turnover: 451; accounts has 450." in str(report)


def test_turnover_and_pay_of_another_year_are_uplifted_and_its_plans_are_not_taken():
    panel = plans("2023-24")
    other = source(
        turnover=[450.0, 300.0, 99.0], pay_afc=[200.0, 100.0, 9.0], debt=[7.0, 0.0, 0.0], wte=[5.0, 6.0, 7.0]
    )
    whole, report = combine(panel, other)
    ratio = income_uplift("2023-24") / income_uplift("2018-19")
    np.testing.assert_allclose(whole["turnover"][:2], [450.0 * ratio, 300.0 * ratio])
    np.testing.assert_allclose(whole["pay_afc"][:2], [200.0 * ratio, 100.0 * ratio])
    np.testing.assert_allclose(whole["plan"][:2], [-0.02 * 450.0 * ratio, 0.01 * 300.0 * ratio])
    np.testing.assert_allclose(whole["wte"], [5.0, 6.0, np.nan])
    assert "debt" not in whole
    (part,) = report.sources
    assert part.not_taken == {"debt": "of another year (2018-19)"}
    assert part.taken["turnover"] == f"2 trusts, of 2018-19, times {ratio:.3f} for 2023-24 (growth of trusts' income)"
    assert part.taken["wte"] == "2 trusts, of 2018-19 as it is"


def test_names_match_where_codes_do_not_and_it_is_said():
    names = ["The One NHS Foundation Trust", "TWO  NHS FOUNDATION TRUST", "Nowhere NHS Trust"]
    whole, report = combine(plans(), source(codes=("R1", "R2", "R3"), names=names))
    np.testing.assert_allclose(whole["turnover"], [450.0, 300.0, 381.0])
    assert report.sources[0].by_name == {"R1": "ZZ1", "R2": "ZZ2"}
    assert "matched by name: R1 as ZZ1, R2 as ZZ2." in str(report)
    twice = source(codes=("R1", "R2", "R3"), names=["One NHS Trust", "One NHS Foundation Trust", "Nowhere"])
    assert combine(plans(), twice)[1].sources[0].by_name == {}


def test_trusts_with_a_plan_are_added():
    other = plans(trust=["ZZ7", "ZZ8", "ZZ1"], name=["Seven", "Eight", "One NHS Trust"], turnover=[100.0, None, 450.0])
    whole, report = combine(plans(), other.assign_attrs(source="more"), source(codes=("ZZ8",), turnover=[200.0]))
    assert whole["trust"].values.tolist() == ["ZZ1", "ZZ2", "ZZ3", "ZZ7", "ZZ8"]
    assert report.sources[0].added == ("ZZ7", "ZZ8")
    np.testing.assert_allclose(whole["turnover"], [450.0, 381.0, 381.0, 100.0, 200.0])
    np.testing.assert_allclose(whole["plan"], [-9.0, 3.81, 0.0, -2.0, 2.0])
    assert whole["region"].values.tolist() == ["London"] * 5
    assert json.loads(whole.attrs["filled_trusts"])["turnover"] == ["ZZ2", "ZZ3"]


def test_plans_of_another_year_add_no_trusts():
    other = plans("2017-18", trust=["ZZ7", "ZZ8", "ZZ9"], name=["Seven", "Eight", "Nine"])
    whole, report = combine(plans(), other)
    assert whole["trust"].values.tolist() == ["ZZ1", "ZZ2", "ZZ3"]
    assert report.sources[0].unmatched == ("ZZ7", "ZZ8", "ZZ9")


def test_what_a_panel_does_not_know_comes_along_in_types_that_can_be_saved():
    other = source(codes=("ZZ1", "ZZ2"), turnover=[450.0, 300.0], comments=["a", "b"], foundation_trust=[True, False])
    whole, _ = combine(plans(), other)
    assert whole["comments"].values.tolist() == ["a", "b", ""]
    np.testing.assert_array_equal(whole["foundation_trust"], [1.0, 0.0, np.nan])
    assert {array.dtype.kind for array in whole.variables.values()} <= set("fUbi")


def test_a_source_in_per_cent_takes_the_panels_turnover():
    """A region's return has turnover but no variance; the oversight file has the variance in per cent."""
    region = plans(turnover=[1000.0, 300.0, 50.0]).drop_vars("variance_ytd")
    whole, _ = combine(region, plans().assign_attrs(source="oversight"))
    assert float(whole["variance_ytd"].sel(trust="ZZ1", month=3)) == pytest.approx(-0.01 * 1000 / 4)


def test_rule_filled_figures_of_another_source_are_not_taken():
    whole, report = combine(plans(turnover=[None, 1.0e3, 2.0e3]), plans().assign_attrs(source="other"))
    assert json.loads(whole.attrs["filled_trusts"])["turnover"] == ["ZZ1"]
    assert "turnover" not in report.sources[0].taken
    assert not report.conflicts


def test_labels_and_flags_that_rules_filled_give_way():
    panel = plans(name=["", "", ""])
    other = source(codes=("ZZ1", "ZZ2"), names=["First", "Second"], control_total_agreed=[True, False])
    whole, _ = combine(panel, other.assign_coords(system=("trust", ["North", ""])))
    assert whole["name"].values.tolist() == ["First", "Second", "ZZ3"]
    assert whole["system"].values.tolist() == ["North", "not stated", "not stated"]
    assert whole["control_total_agreed"].values.tolist() == [True, False, False]
    assert whole["control_total_agreed"].dtype == bool


def test_the_report_is_kept_in_the_panel():
    whole, report = combine(plans(), source())
    kept = json.loads(whole.attrs["combined"])
    assert kept["panel"] == "plans"
    assert kept["sources"][0]["unmatched"] == ["ZZ9"]
    assert kept == json.loads(report.to_json())
    assert str(report).splitlines()[0] == "plans, completed from accounts."


def test_combining_with_nothing_changes_nothing():
    panel = plans()
    whole, report = combine(panel)
    assert report.sources == ()
    del whole.attrs["combined"]
    xr.testing.assert_allclose(whole, panel)
    assert {k: v for k, v in whole.attrs.items() if k != "relative_trusts"}.keys() <= panel.attrs.keys()


def test_it_can_be_done_twice():
    once, _ = combine(plans(), source())
    again, report = combine(once, source())
    xr.testing.assert_allclose(again, once)
    assert report.sources[0].not_taken == {"turnover": "the panel has its own"}


# --- predecessors and successors ------------------------------------------------------------------------


def test_a_trust_and_its_successor_in_the_panel_are_a_fault_with_the_remedy():
    (fault,) = faults_of(plans(), source(), successors={"ZZ2": "ZZ1"})
    assert (fault.trust, fault.rule) == ("ZZ2", "a trust and its successor ZZ1 are both there")
    assert "take_over(panel, 'ZZ2', by='ZZ1')" in fault.remedy
    joined = take_over(plans(), "ZZ2", by="ZZ1")
    whole, _ = combine(joined, source())
    assert whole["successor"].values.tolist() == ["ZZ1", "ZZ1", "ZZ3"]
    assert by_successor(whole)["turnover"].values[0] == 750.0


def test_a_predecessor_in_the_accounts_is_a_fault_until_it_is_added():
    accounts = source(codes=("ZZ1", "OLD"), turnover=[450.0, 30.0], wte=[10.0, 5.0])
    accounts = accounts.assign_coords(successor=("trust", ["ZZ1", "ZZ1"]))
    (fault,) = faults_of(plans(), accounts)
    assert (fault.place, fault.trust) == ("accounts", "OLD")
    assert "ZZ1" in fault.rule
    assert "successors={'OLD': 'ZZ1'}" in fault.remedy
    whole, report = combine(plans(), accounts, successors={"OLD": "ZZ1"})
    assert float(whole["turnover"][0]) == 480.0
    assert float(whole["wte"][0]) == 15.0
    assert report.sources[0].unmatched == ()


def test_a_trust_that_the_panel_still_has_keeps_its_own_figures():
    whole, _ = combine(plans(), source(codes=("ZZ2",), turnover=[300.0]), successors={"ZZ2": "NEW"})
    assert float(whole["turnover"][1]) == 300.0


def test_a_predecessor_alone_is_its_successor():
    whole, _ = combine(plans(), source(codes=("OLD",), turnover=[500.0]), successors={"OLD": "ZZ1"})
    assert float(whole["turnover"][0]) == 500.0


def test_two_codes_with_one_name_are_a_fault():
    with pytest.raises(InputError) as caught:
        plans(name=["One NHS Trust", "One  NHS trust", "Three"])
    (fault,) = caught.value.faults
    assert fault.rule.startswith("ZZ1 and ZZ2 have the same name")
    merged = merge(plans(), ["ZZ1", "ZZ2"], into="ZZ1")
    check_panel(merged.assign_coords(name=("trust", ["One", "One", "Three"])))


# --- sources that are none -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "rule"),
    [
        (source(codes=("ZZ1", "zz1", "ZZ3")), "duplicate trust code"),
        (source(year="2018"), "not a financial year"),
        (xr.Dataset(), "not a source"),
        (pd.DataFrame(), "not a source"),
        (source().assign(turnover=source()["turnover"].assign_attrs(units="GBP")), "another unit"),
        (source().assign(plan=("trust", [1.0] * 3, {"units": "per cent of turnover"})), "per cent of turnover"),
    ],
)
def test_faults_of_a_source(other, rule):
    (fault,) = faults_of(plans(), other)
    assert fault.rule == rule
    assert fault.remedy


# --- the published files ----------------------------------------------------------------------------------


@pytest.mark.needs_shared_data
def test_the_oversight_file_with_published_expenditure(shared_data):
    nof = read_panel(shared_data / "nof_mh_community_q1-q3_2025-26.csv")
    table = pd.read_csv(shared_data / "panel_2018-19.csv")[["ods_code", "opex_m"]]
    spent = table.rename(columns={"ods_code": "trust", "opex_m": "turnover"}).set_index("trust").to_xarray()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole, report = combine(nof, spent.assign_attrs(year="2018-19", source="estates returns 2018-19"))
    assert whole["trust"].values.tolist() == nof["trust"].values.tolist()
    (part,) = report.sources
    assert part.matched + len(part.missing) == 61
    assert int(part.taken["turnover"].split()[0]) > 50
    own = spent["turnover"].sel(trust="R1A") * income_uplift("2025-26")
    assert float(whole["turnover"].sel(trust="R1A")) == pytest.approx(float(own))
    np.testing.assert_allclose(whole["plan"] / whole["turnover"], nof["plan"] / nof["turnover"])
    np.testing.assert_allclose(whole["variance_ytd"] / whole["turnover"], nof["variance_ytd"] / nof["turnover"])


def test_own_actuals_are_not_overruled_by_anothers_variance():
    ours = make_panel(
        pd.DataFrame(
            {"trust": ["ZZ1"], "region": ["London"], "trust_type": ["Acute"], "turnover": [150.0], "plan": [-5.0]}
            | {"efficiency_plan": [6.0], "actual_m1": [-1.0], "plan_ytd_m1": [-0.1]}
        ),
        year="2018-19",
    )
    theirs = xr.Dataset(
        {"variance_ytd": (("trust", "month"), [[-7.75, -9.0]])},
        coords={"trust": ["ZZ1"], "month": [1, 2]},
        attrs={"year": "2018-19", "source": "oversight"},
    )
    both, _ = combine(ours, theirs)
    assert np.isnan(both["variance_ytd"].sel(month=1)).all()
    assert both["variance_ytd"].sel(month=2).item() == -9.0
