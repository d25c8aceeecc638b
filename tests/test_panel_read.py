"""From files and tables to panels."""

import csv
import datetime
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sector_risk.faults import InputError, InputWarning
from sector_risk.panel import check_panel, make_panel, read_panel
from sector_risk.panel.fill import income_uplift

SHARED = Path(__file__).parents[2] / "shared" / "data"
shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the published files are not beside the project")

HEADER = ["trust", "region", "trust_type", "turnover", "plan", "efficiency_plan"]
ROWS = [
    ["ZZ1", "London", "Acute", "1600", "-40", "70"],
    ["ZZ3", "London", "Mental health", "430", "2.5", "18"],
    ["ZZ4", "East of England", "Community", "150", "0", "6"],
]


def written(path, rows=ROWS, header=HEADER, encoding="utf-8"):
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file).writerows([header, *rows])
    return path


def frame(rows=ROWS, header=HEADER):
    return pd.DataFrame(rows, columns=header)


def workbook(path, rows):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


def only_fault(call, *arguments, **settings):
    with pytest.raises(InputError) as caught:
        call(*arguments, **settings)
    assert len(caught.value.faults) == 1, str(caught.value)
    return caught.value.faults[0]


def test_a_csv_becomes_a_panel(tmp_path):
    panel = read_panel(written(tmp_path / "plans_2018-19.csv"))
    assert panel["trust"].values.tolist() == ["ZZ1", "ZZ3", "ZZ4"]
    assert panel["plan"].values.tolist() == [-40.0, 2.5, 0.0]
    assert panel["plan"].dtype == np.float64
    assert panel["plan"].attrs == {
        "long_name": "planned year-end position before support",
        "units": "GBP million",
        "sign": "surplus positive, deficit negative",
    }
    assert "month" not in panel.dims
    assert panel.attrs["year"] == "2018-19"
    assert panel.attrs["source"] == "plans_2018-19.csv"
    assert set(panel.coords) == {"trust", "name", "region", "trust_type", "trust_subtype", "system"}


def test_silent_defaults_are_recorded(tmp_path):
    panel = read_panel(written(tmp_path / "plans.csv"))
    turnover = panel["turnover"].values
    np.testing.assert_allclose(panel["pay_afc"], turnover * 37.2 / 87.8)
    np.testing.assert_allclose(panel["pay_medical"], turnover * 11.8 / 87.8)
    np.testing.assert_array_equal(panel["efficiency_recurrent_share"], 0.91)
    np.testing.assert_array_equal(panel["support_allocation"], 0.0)
    np.testing.assert_array_equal(panel["control_total"], panel["plan"])
    assert panel["control_total_agreed"].dtype == bool
    assert not panel["control_total_agreed"].any()
    assert panel["name"].values.tolist() == ["ZZ1", "ZZ3", "ZZ4"]
    assert set(panel["system"].values) == {"not stated"}
    assert set(json.loads(panel.attrs["filled"])) == {
        "efficiency_recurrent_share",
        "pay_afc",
        "pay_medical",
        "support_allocation",
        "control_total",
        "control_total_agreed",
        "name",
        "system",
    }
    assert panel.attrs["year"] == "not stated"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_encodings(tmp_path, encoding):
    rows = [[*row, name] for row, name in zip(ROWS, ["Zoë’s", "£ & Co", "plain"], strict=True)]
    path = written(tmp_path / "plans.csv", rows, [*HEADER, "Trust name"], encoding)
    assert read_panel(path)["name"].values.tolist() == ["Zoë’s", "£ & Co", "plain"]


@pytest.mark.parametrize(
    ("text", "number"),
    [("1,600", 1600), (" £1,600.5 ", 1600.5), ("£1,234,567", None), ("1.6e3", 1600), ("+1600", 1600)],
)
def test_numbers_as_accountants_write_them(tmp_path, text, number):
    path = written(tmp_path / "plans.csv", [["ZZ1", "London", "Acute", text, "0", "0"]])
    if number is None:
        with pytest.warns(InputWarning, match="implausible scale"):
            read_panel(path)
    else:
        assert float(read_panel(path)["turnover"][0]) == number


@pytest.mark.parametrize(("text", "number"), [("(12.5)", -12.5), ("−3", -3), ("(£1.5)", -1.5), ("-£4", -4), ("(0)", 0)])
def test_negatives(tmp_path, text, number):
    plan = read_panel(written(tmp_path / "p.csv", [["ZZ1", "London", "Acute", "1600", text, "0"]]))["plan"]
    assert float(plan[0]) == number
    assert not np.signbit(plan.values[0]) or number < 0


@pytest.mark.parametrize("text", ["tbc", "1,23", "1.2.3", "(-3)", "12m", "2019-03-31", "1 600"])
def test_text_in_a_number(tmp_path, text):
    rows = [ROWS[0], ["ZZ3", "London", "Mental health", "430", text, "18"]]
    fault = only_fault(read_panel, written(tmp_path / "plans.csv", rows))
    assert (fault.row, fault.trust, fault.variable, fault.value) == (3, "ZZ3", "plan", text)
    assert fault.rule == "text in a number"
    assert "Type a number" in fault.remedy


@pytest.mark.parametrize("blank", ["", "-", "n/a", "N/A", " – "])
def test_missing_cells_are_filled_by_rule(tmp_path, blank):
    rows = [ROWS[0], ["ZZ3", "London", "Mental health", blank, "2.5", blank]]
    with pytest.warns(InputWarning) as caught:
        panel = read_panel(written(tmp_path / "plans_2018-19.csv", rows))
    assert [str(warning.message).split()[0] for warning in caught] == ["turnover", "efficiency_plan"]
    np.testing.assert_allclose(panel["turnover"], [1600, 230])
    np.testing.assert_allclose(panel["efficiency_plan"], [70, 230 * 0.041])
    filled = json.loads(panel.attrs["filled"])
    assert filled["efficiency_plan"] == "sector rate: 4.1% of turnover (1 of 2 trusts: ZZ3)"
    assert filled["turnover"].startswith("type median: ")
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("year", "uplift"),
    [
        ("2016-17", 1.0),
        ("2018-19", 1.0),
        ("2021-22", 110.3 / 87.8),
        ("2023-24", 129.2 / 87.8),
        ("2025-26", 129.2 / 87.8 * 1.04**2),
    ],
)
def test_turnover_is_uplifted_to_the_year(year, uplift):
    table = frame().drop(columns="turnover")
    with pytest.warns(InputWarning, match="type median"):
        panel = make_panel(table, year=year)
    np.testing.assert_allclose(panel["turnover"], np.array([381, 230, 152]) * uplift)
    assert 1.0 < income_uplift("2019-20") < income_uplift("2020-21") < income_uplift("2021-22")


def test_per_cent_columns_become_money():
    table = frame().rename(columns={"plan": "plan_pct_turnover"})
    table["ytd_var_pct_M3"] = ["-2", "0.5%", "n/a"]
    table["ytd_var_pct_M9"] = ["-1", "", "0"]
    panel = make_panel(table)
    np.testing.assert_allclose(panel["plan"], [-640, 10.75, 0])
    variance = panel["variance_ytd"]
    assert variance.dims == ("trust", "month")
    np.testing.assert_allclose(variance.sel(month=3), [-2 / 100 * 1600 / 4, 0.5 / 100 * 430 / 4, np.nan])
    np.testing.assert_allclose(variance.sel(month=9), [-1 / 100 * 1600 * 0.75, np.nan, 0])
    assert variance.sel(month=6).isnull().all()
    assert variance.attrs["units"] == panel["plan"].attrs["units"] == "GBP million"


def test_monthly_columns_in_any_spelling():
    table = frame()
    table["actual_m1"], table["Actual M02"] = ["-1", "0", ""], ["-2", "0.5", ""]
    panel = make_panel(table)
    assert panel["month"].values.tolist() == list(range(1, 13))
    assert panel["actual"].sel(trust="ZZ1").values[:3].tolist()[:2] == [-1.0, -2.0]
    assert json.loads(panel.attrs["not_used_yet"]) == []


def test_what_is_kept_but_not_used_is_listed():
    table = frame().assign(plan_original=["1", "2", "3"], plan_ytd_m1=["0", "0", "0"], segment=["", "", ""])
    table = table.assign(forecast=["1", "2", "3"], actual_m1=["0", "0", "0"], variance_ytd_m1=["0", "0", "0"])
    panel = make_panel(table)
    assert json.loads(panel.attrs["not_used_yet"]) == ["plan_original"]
    assert "plan_ytd" in panel
    assert "segment" not in panel  # nobody gave it


def test_flags():
    table = frame().assign(control_total_agreed=["Yes", "no", ""], support_allocation=["0", "1", "2"])
    assert make_panel(table)["control_total_agreed"].values.tolist() == [True, False, True]
    fault = only_fault(make_panel, table.assign(control_total_agreed=["perhaps", "0", "1"]))
    assert (fault.row, fault.trust, fault.variable) == (2, "ZZ1", "control_total_agreed")
    assert "yes or no" in fault.remedy


def test_labels_as_published():
    labels = [
        ("ACUTE - TEACHING", "", "NORTH WEST"),
        ("CARE TRUST", "", "East"),
        ("Mental health and community trust", "Community", "north east & yorkshire"),
        ("Mental health and community trust", "Mental Health and Learning Disability", "London"),
        ("Acute Specialist Trusts", "", "London"),
        ("Ambulance Trusts", "", "London"),
        ("", "Acute - Large", "London"),
    ]
    rows = [[f"T{i}", region, kind, "100", "0", "4", sub] for i, (kind, sub, region) in enumerate(labels)]
    panel = make_panel(frame(rows, [*HEADER, "nof_subtype"]))
    assert list(zip(panel["trust_type"].values, panel["trust_subtype"].values, strict=True)) == [
        ("Acute", "Acute - Teaching"),
        ("Community", "Care trust"),
        ("Community", "Community"),
        ("Mental health", "Mental health"),
        ("Acute", "Acute - Specialist"),
        ("Ambulance", ""),
        ("Acute", "Acute - Large"),
    ]
    assert panel["region"].values[:3].tolist() == [
        "North West",
        "East of England",
        "North East and Yorkshire",
    ]


def test_a_subtype_is_enough():
    table = frame().drop(columns="trust_type").assign(subtype=["Acute - Large", "Mental health", "Care trust"])
    assert make_panel(table)["trust_type"].values.tolist() == ["Acute", "Mental health", "Community"]


def test_codes_of_any_length_and_row_order_are_kept():
    rows = [["G6V2S", *ROWS[0][1:]], ["5E1", *ROWS[1][1:]], ["0012", *ROWS[2][1:]]]
    assert make_panel(frame(rows))["trust"].values.tolist() == ["G6V2S", "5E1", "0012"]


def test_a_mapping_names_columns():
    table = frame().rename(columns={"plan": "Planned I&E", "turnover": "size"})
    panel = make_panel(table, mapping={"Planned I&E": "plan", "size": "turnover"})
    assert panel["plan"].values.tolist() == [-40.0, 2.5, 0.0]
    panel = make_panel(frame().assign(reset=["-1", "-2", "-3"]), mapping={"reset": "plan"})
    assert panel["plan"].values.tolist() == [-1.0, -2.0, -3.0]
    assert json.loads(panel.attrs["ignored_columns"]) == ["plan"]


def test_a_mapping_may_name_a_month_and_a_unit():
    table = frame().assign(june=["-1", "0", "1"])
    panel = make_panel(table, mapping={"june": "variance_ytd_pct_m3"})
    np.testing.assert_allclose(panel["variance_ytd"].sel(month=3), [-4, 0, 0.375])


def test_a_mapping_that_names_nothing():
    fault = only_fault(make_panel, frame(), mapping={"turnovr": "turnover"})
    assert fault.value == "turnovr"
    assert fault.rule == "the mapping names a column that is not there"
    assert "Did you mean 'turnover'?" in fault.remedy
    fault = only_fault(make_panel, frame().assign(x=["1"] * 3), mapping={"x": "detb"})
    assert (fault.value, fault.rule) == ("detb", "the mapping names an unknown variable")
    assert "Did you mean 'debt'?" in fault.remedy


@pytest.mark.parametrize(
    ("extra", "mapping"), [({"Full year plan": ["1"] * 3}, None), ({"x": ["1"] * 3, "y": ["2"] * 3}, "both")]
)
def test_two_columns_for_one_variable(extra, mapping):
    settings = {"mapping": {"x": "plan", "y": "plan"}} if mapping else {}
    fault = only_fault(make_panel, frame().assign(**extra), **settings)
    assert (fault.rule, fault.variable) == ("two columns for one variable", "plan")
    assert "mapping=" in fault.remedy


def test_two_columns_of_the_same_name(tmp_path):
    rows = [[*row, "1"] for row in ROWS]
    fault = only_fault(read_panel, written(tmp_path / "plans.csv", rows, [*HEADER, "plan"]))
    assert (fault.rule, fault.value) == ("two columns for one variable", "plan, plan")


def test_months_in_two_units():
    table = frame().assign(variance_ytd_m3=["1"] * 3, ytd_var_pct_M6=["1"] * 3)
    fault = only_fault(make_panel, table)
    assert (fault.variable, fault.remedy) == ("variance_ytd", "Give all its months in one unit.")


@pytest.mark.parametrize(
    ("column", "near", "hint"),
    [
        ("trust", "Trust codde", "Did you mean 'Trust codde'?"),
        ("region", "regions", "Did you mean 'regions'?"),
        ("trust_type", "kind", "Add the column 'trust_type'"),
        ("plan", "plann", "Did you mean 'plann'?"),
    ],
)
def test_a_required_column_is_missing(column, near, hint):
    fault = only_fault(make_panel, frame().rename(columns={column: near}))
    assert (fault.rule, fault.variable, fault.row) == ("required column missing", column, None)
    assert hint in fault.remedy


def test_slips_of_the_pen_are_asked_about_and_strangers_are_not():
    table = frame().assign(effciency_delivered_m1=["1"] * 3, postcode=["x"] * 3, actual=["1"] * 3)
    with pytest.warns(InputWarning, match="names are not known") as caught:
        panel = make_panel(table)
    (warning,) = caught
    assert "'effciency_delivered_m1' (did you mean 'efficiency_delivered_m1'?)" in str(warning.message)
    assert "'actual' (did you mean 'actual_m1' to 'actual_m12'?)" in str(warning.message)
    assert "postcode" not in str(warning.message)
    assert json.loads(panel.attrs["ignored_columns"]) == ["effciency_delivered_m1", "postcode", "actual"]


def test_blank_rows_keep_their_numbers(tmp_path):
    rows = [ROWS[0], [], ["", "", "", "", "", ""], ["ZZ3", "London", "Mental health", "430", "tbc", "18"]]
    assert only_fault(read_panel, written(tmp_path / "plans.csv", rows)).row == 5


def test_a_comma_without_quotation_marks(tmp_path):
    path = tmp_path / "plans.csv"
    path.write_text(",".join(HEADER) + "\nRJ1,London,Acute,1,600,-40,70\n", encoding="utf-8")
    fault = only_fault(read_panel, path)
    assert (fault.row, fault.rule) == (2, "more cells than the header has columns (6)")
    assert "quotation marks" in fault.remedy


def test_the_year_comes_from_the_argument_then_from_the_name(tmp_path):
    path = written(tmp_path / "extract_2025-06-30_for_2025-26.csv")
    assert read_panel(path).attrs["year"] == "2025-26"
    assert read_panel(path, year="2018/19").attrs["year"] == "2018-19"
    fault = only_fault(read_panel, path, year="2018")
    assert (fault.value, fault.remedy) == ("2018", "Write it as 2018-19.")


# --- files that are not what they seem ---------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".xlsx", ".parquet"])
def test_other_formats_give_the_same_panel(tmp_path, suffix):
    numeric = frame().assign(**{name: frame()[name].astype(float) for name in HEADER[3:]})
    path = tmp_path / f"plans{suffix}"
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
        numeric.to_parquet(path)
    else:
        pytest.importorskip("python_calamine")
        workbook(path, [HEADER, *numeric.to_numpy().tolist()])
    panel = read_panel(path)
    xr.testing.assert_identical(panel.drop_attrs(), make_panel(frame()).drop_attrs())


def test_rows_of_a_workbook_are_numbered_as_the_spreadsheet_shows_them(tmp_path):
    pytest.importorskip("python_calamine")
    bad = ["ZZ3", "London", "Mental health", 430, datetime.date(2019, 3, 31), 18]
    path = workbook(tmp_path / "plans.xlsx", [[], HEADER, ROWS[0], [], bad])
    fault = only_fault(read_panel, path)
    assert (fault.row, fault.trust, fault.value) == (5, "ZZ3", "2019-03-31")


@pytest.mark.parametrize("rows", [[], [HEADER], [HEADER, ["", ""]]])
def test_no_rows(tmp_path, rows):
    path = tmp_path / "plans.csv"
    path.write_text("".join(",".join(row) + "\n" for row in rows) or "\n", encoding="utf-8")
    fault = only_fault(read_panel, path)
    assert (fault.place, fault.rule) == ("plans.csv", "no rows")
    assert "one row for each trust" in fault.remedy


def test_an_empty_file(tmp_path):
    (tmp_path / "plans.csv").touch()
    assert only_fault(read_panel, tmp_path / "plans.csv").rule == "an empty file"
    assert only_fault(make_panel, pd.DataFrame(columns=HEADER)).rule == "no rows"


@pytest.mark.parametrize(
    ("name", "content", "came"),
    [
        ("p.xlsx", b"trust,plan\nRJ1,2\n", "text"),
        ("p.xls", b"PK\x03\x04rest", "workbook"),
        ("p.parquet", b"trust,plan\nRJ1,2\n", "text"),
        ("p.parquet", b"PK\x03\x04rest", "workbook"),
        ("p.csv", b"PK\x03\x04rest", "workbook"),
        ("p.csv", b"PAR1rest", "Parquet"),
        ("p.csv", b"%PDF-1.7", "PDF"),
        ("p.csv", "trust,plan\nRJ1,2\n".encode("utf-16"), "UTF-16"),
        ("p.csv", b"trust\0plan", "binary"),
    ],
)
def test_a_file_that_is_not_what_its_name_says(tmp_path, name, content, came):
    (tmp_path / name).write_bytes(content)
    fault = only_fault(read_panel, tmp_path / name)
    assert fault.rule.startswith("the file is not what its name says")
    assert came in fault.rule
    assert "Save it anew" in fault.remedy


@pytest.mark.parametrize(
    ("name", "content", "library"),
    [("p.xls", b"\xd0\xcf\x11\xe0rest", "python_calamine"), ("p.parquet", b"PAR1rest", "pyarrow")],
)
def test_a_broken_file_and_a_missing_library(tmp_path, monkeypatch, name, content, library):
    pytest.importorskip(library)
    (tmp_path / name).write_bytes(content)
    assert only_fault(read_panel, tmp_path / name).rule.startswith("not readable as")
    monkeypatch.setitem(sys.modules, library, None)
    fault = only_fault(read_panel, tmp_path / name)
    assert 'pip install "sector-risk[files]"' in fault.remedy


def test_places_that_are_no_file(tmp_path):
    written(tmp_path / "plans_2018-19.csv")
    assert only_fault(read_panel, tmp_path).rule == "a folder, not a file"
    fault = only_fault(read_panel, tmp_path / "plans_2018-9.csv")
    assert fault.rule == "no such file"
    assert "Did you mean 'plans_2018-19.csv'?" in fault.remedy
    assert only_fault(read_panel, tmp_path / "nowhere" / "p.csv").rule == "no such file"
    (tmp_path / "p.docx").write_bytes(b"x")
    fault = only_fault(read_panel, tmp_path / "p.docx")
    assert fault.value == ".docx"
    assert ".csv, .xlsx" in fault.remedy


def test_a_csv_that_cannot_be_taken_apart(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text('trust,plan\nRJ1,"2\n', encoding="utf-8")
    assert only_fault(read_panel, path).rule.startswith("not readable as CSV near line")
    path.write_bytes(b"trust,plan\nRJ1,\x81\n")
    assert only_fault(read_panel, path).rule == "characters that cannot be read"


def test_a_frame_keeps_its_named_index_and_its_types():
    table = frame().assign(**{name: frame()[name].astype(float) for name in HEADER[3:]}).set_index("trust")
    table.loc["ZZ3", "efficiency_plan"] = np.nan
    with pytest.warns(InputWarning, match="sector rate"):
        panel = make_panel(table)
    assert panel["trust"].values.tolist() == ["ZZ1", "ZZ3", "ZZ4"]
    assert float(panel["turnover"][0]) == 1600.0


# --- the oversight framework's long form ---------------------------------------------------------------

LONG = ["Quarter", "Region", "Trust_type", "Trust_subtype", "Trust_code", "Trust_name", "Metric_ID", "Value"]
KIND = "Mental health and community trust"


def record(quarter, trust, metric, value, subtype="Community"):
    return [quarter, "East", KIND, subtype, trust, f"Trust {trust}", metric, value]


def long_rows():
    return [
        record("Q1 2025/26", "Z1A", "OF0005", "9"),
        record("Q1 2025/26", "Z1A", "OF0079", "1"),
        record("Q1 2025/26", "Z1A", "OF0081", "-2"),
        record("Q2 2025/26", "Z1A", "OF0079", "0.5", "Care Trust"),
        record("Q2 2025/26", "Z1A", "OF0081", "-1", "Care Trust"),
        record("Q4 2024/25", "Z1A", "OF0079", "77"),
        record("Q2 2025/26", "Z1D", "OF0005", "3"),
    ]


def test_the_long_form_becomes_one_row_per_trust(tmp_path):
    with pytest.warns(InputWarning) as caught:
        panel = read_panel(written(tmp_path / "league.csv", long_rows(), LONG, "utf-8-sig"))
    assert "left out: Z1D" in str(caught[0].message)
    assert panel.attrs["year"] == "2025-26"
    assert panel["trust_subtype"].values.tolist() == ["Care trust"]
    assert panel["trust_type"].values.tolist() == ["Community"]
    assert panel["region"].values.tolist() == ["East of England"]
    turnover = float(panel["turnover"][0])
    assert float(panel["plan"][0]) == pytest.approx(0.005 * turnover)
    np.testing.assert_allclose(panel["variance_ytd"].sel(month=[3, 6])[0], [-0.02 * turnover / 4, -0.01 * turnover / 2])


@pytest.mark.parametrize(
    ("place", "column", "text", "row", "variable", "rule"),
    [
        (4, 7, "tbc", 6, "variance_ytd_m6", "text in a number"),
        (3, 0, "summer", 5, "quarter", "not a quarter"),
        (3, 0, "Q1 2025/26", 5, "plan", "a second value for the same quarter (also in row 3)"),
    ],
)
def test_faults_of_the_long_form(place, column, text, row, variable, rule):
    rows = long_rows()
    rows[place][column] = text
    fault = only_fault(make_panel, frame(rows, LONG))
    assert (fault.row, fault.trust, fault.variable, fault.rule) == (row, "Z1A", variable, rule)
    assert fault.remedy


# --- the published files ------------------------------------------------------------------------------


@shared
@pytest.mark.needs_shared_data
def test_the_published_panel_reads_with_no_option():
    with pytest.warns(InputWarning) as caught:
        panel = read_panel(SHARED / "panel_2025-26_m9.csv")
    said = [str(warning.message) for warning in caught]
    assert len(said) == 3
    assert said[0].startswith("16 trusts have no plan")
    assert said[1].startswith("turnover is missing")
    assert said[2].startswith("efficiency_plan is missing")
    assert panel.sizes == {"trust": 186, "month": 12}
    assert panel.attrs["year"] == "2025-26"
    assert "K0N6A" in json.loads(panel.attrs["left_out"])
    plans = panel["plan"] / panel["turnover"]
    assert float(plans.min()) == pytest.approx(-0.1958)
    assert int(panel["variance_ytd"].notnull().sum()) == 58 + 58 + 186
    assert set(panel["trust_type"].values) <= {"Acute", "Mental health", "Community", "Ambulance"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        xr.testing.assert_identical(check_panel(panel), panel)


@shared
@pytest.mark.needs_shared_data
def test_the_published_long_form_agrees_with_the_panel():
    with pytest.warns(InputWarning):
        long = read_panel(SHARED / "nof_mh_community_q1-q3_2025-26.csv")
    with pytest.warns(InputWarning):
        wide = read_panel(SHARED / "panel_2025-26_m9.csv")
    assert long.sizes["trust"] == 61
    both = np.intersect1d(long["trust"], wide["trust"])
    np.testing.assert_allclose(*((panel["plan"] / panel["turnover"]).sel(trust=both) for panel in (long, wide)))


@pytest.mark.parametrize(
    "text", ["trust;region;trust_type;plan\nZZ1;London;Acute;-3\n", "Plans for the board\nZZ1\n", "a\tb\nZZ1\t2\n"]
)
def test_a_header_that_is_none_shows_what_was_read(tmp_path, text):
    path = tmp_path / "plans.csv"
    path.write_text(text)
    with pytest.raises(InputError, match="no known column in the header") as report:
        read_panel(path)
    assert report.value.faults[0].value == text.splitlines()[0]
