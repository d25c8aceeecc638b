"""The registry of variables says one thing once, and says it of everything."""

import pytest

import sector_risk as sr
from sector_risk.faults import Fault, InputError, as_sentence, nearest, raise_if_any
from sector_risk.panel.columns import NAMES, Column, recognise
from sector_risk.schema import (
    ERROR,
    OF_SECTOR,
    PANEL,
    REGION_LABELS,
    REGIONS,
    STREAMED,
    SUBTYPE_LABELS,
    SUMMARY,
    TRUST_SUBTYPES,
    TRUST_TYPES,
    TYPE_LABELS,
    TYPE_OF_SUBTYPE,
)


@pytest.mark.parametrize("spec", PANEL.values(), ids=list(PANEL))
def test_every_spec_is_complete(spec):
    assert PANEL[spec.name] is spec
    assert spec.long_name
    assert spec.dims in (("trust",), ("trust", "month"))
    assert spec.low <= spec.high
    assert bool(spec.unit) == (spec.kind != "text")
    assert bool(spec.sign) == (spec.kind == "float")


@pytest.fixture(scope="module")
def streamed():
    return sr.simulate(sr.load_case("england-2018-19").isel(trust=slice(6)), n_draws=50, keep="summary")


def test_no_two_variables_of_a_summary_say_the_same(streamed):
    said = [streamed[name].attrs["long_name"] for name in streamed.variables]
    assert len(set(said)) == len(said)


def test_errors_and_bounds_say_of_what(streamed):
    for name in map(str, streamed.variables):
        if name.endswith("_se"):
            assert streamed[name].attrs["long_name"].startswith(ERROR)
        if name.endswith(("_se", "_bound")):
            assert name.rpartition("_")[0] in streamed
            assert len(streamed[name].attrs["long_name"].split()) > 7
        if name.endswith("_bound"):
            assert "read off bins" in streamed[name].attrs["long_name"]


def test_money_of_a_summary_that_may_have_either_sign_says_which_is_which(streamed):
    spreads = ("_se", "_bound", "_width", "sd")
    money = [n for n in map(str, streamed.variables) if streamed[n].attrs.get("units") == "GBP million"]
    signed = [name for name in money if not name.endswith(spreads)]
    assert {"sector_ytd_quantile", "mean", "tail_value_at_risk_share"} <= set(signed)
    assert all(
        "positive" in streamed[name].attrs["sign"] or "negative" in streamed[name].attrs["sign"] for name in signed
    )


def test_what_a_summary_says_of_the_sector_names_it(streamed):
    for name in ("sd_share", "tail_value_at_risk_share", "sd_by_effect", "tail_value_at_risk_by_effect"):
        assert "provider sector" in streamed[name].attrs["long_name"]
        assert streamed[name].dims == OF_SECTOR[name].dims


def test_variables_of_a_summary_have_the_dimensions_of_their_specs(streamed):
    for name, spec in {**SUMMARY, **STREAMED}.items():
        assert streamed[name].dims == spec.dims, name


def test_bins_are_labelled_with_money(streamed):
    middle, start, width = (streamed[name] for name in ("bin_middle", "bin_start", "bin_width"))
    assert (abs(middle.isel(bin=0) - (start + width / 2)) < 1e-9).all()
    assert (abs(middle.isel(bin=-1) - (start + 1023.5 * width)) < 1e-9).all()
    sector = streamed["histogram"].sel(unit="Provider sector").swap_dims(bin="bin_middle")
    position = streamed["mean"].sel(unit="Provider sector").item()
    assert sector.sel(bin_middle=slice(position - 1000, position + 1000)).sum() == 50


def test_no_alias_names_two_variables():
    names = [name for spec in PANEL.values() for name in (spec.name, *spec.aliases)]
    assert len(names) == len(set(names)) == len(NAMES)


def test_labels_lead_to_known_names():
    assert set(REGION_LABELS.values()) == set(REGIONS)
    assert len(REGIONS) == 7
    assert {kind for kind, _ in TYPE_LABELS.values()} == set(TRUST_TYPES)
    assert {subtype for _, subtype in TYPE_LABELS.values()} <= {"", *TRUST_SUBTYPES}
    assert set(SUBTYPE_LABELS.values()) == set(TRUST_SUBTYPES)
    assert TYPE_OF_SUBTYPE["Care trust"] == "Community"
    tables = (REGION_LABELS, TYPE_LABELS, SUBTYPE_LABELS)
    assert all(label == label.casefold() for table in tables for label in table)


@pytest.mark.parametrize(
    ("header", "column"),
    [
        ("trust", Column("trust")),
        ("ODS code", Column("trust")),
        ("Trust_code", Column("trust")),
        ("Plan", Column("plan")),
        ("plan_pct_turnover", Column("plan", per_cent=True)),
        ("Plan (% of turnover)", Column("plan", per_cent=True)),
        ("plan %", Column("plan", per_cent=True)),
        ("Turnover (£m)", Column("turnover")),
        ("ytd_var_pct_M9", Column("variance_ytd", 9, per_cent=True)),
        ("variance_ytd_m3_pct", Column("variance_ytd", 3, per_cent=True)),
        ("actual_m01", Column("actual", 1)),
        ("Actual M12", Column("actual", 12)),
        ("nof_subtype", Column("trust_subtype")),
        ("ICS", Column("system")),
        ("actual_m13", None),
        ("actual_m0", None),
        ("actual", None),
        ("plan_m3", None),
        ("plan (£000)", None),
        ("efficiency_recurrent_share_pct", None),
        ("region_m1", None),
        ("fin_ytd_var_m", None),
        ("nof_type", None),
    ],
)
def test_headers(header, column):
    assert recognise(header) == column


def test_a_report_counts_and_names_every_fault():
    error = InputError(
        [
            Fault("a.csv", "text in a number", "tbc", "Type a number.", "ZZ1", "plan", 3),
            Fault("a.csv", "unknown region", "Lundon", "Did you mean 'London'?", "ZZ2", "region", 4),
        ]
    )
    assert str(error).splitlines() == [
        "2 faults in a.csv:",
        "  row 3, trust ZZ1, plan: text in a number ('tbc'). Type a number.",
        "  row 4, trust ZZ2, region: unknown region ('Lundon'). Did you mean 'London'?",
    ]


def test_a_long_report_is_cut_but_the_faults_are_not():
    error = InputError(Fault("a.csv", "infinite", "inf", "", row=row) for row in range(100))
    assert len(error.faults) == 100
    assert str(error).splitlines()[-1] == "  ... and 60 more: see the error's .faults"


def test_no_fault_no_error():
    raise_if_any(())
    with pytest.raises(InputError, match="no rows"):
        raise_if_any([Fault("a.csv", "no rows", "", "")])


def test_nearest_minds_no_case_and_keeps_names():
    assert as_sentence(nearest("lundon", REGIONS)) == "Did you mean 'London'?"
    assert nearest("zzz", REGIONS) == ""
