"""The registry of variables says one thing once, and says it of everything."""

import pytest

from sector_risk.faults import Fault, InputError, as_sentence, nearest, raise_if_any
from sector_risk.panel.columns import NAMES, Column, recognise
from sector_risk.schema import (
    PANEL,
    REGION_LABELS,
    REGIONS,
    SUBTYPE_LABELS,
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
