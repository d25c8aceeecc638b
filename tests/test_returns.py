"""Monthly finance returns, long and wide, in several units and formats."""

import csv
import datetime
import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sector_risk.faults import InputError, InputWarning
from sector_risk.panel import check_panel, read_return
from sector_risk.panel.months import month_of
from sector_risk.panel.xlsx import letters_of

LONG = [
    "Org",
    "Name",
    "Period",
    "Income",
    "Year plan",
    "Plan",
    "Result",
    "Forecast",
    "Rec plan",
    "One plan",
    "Rec",
    "One",
]
MAPPING = {
    "unit": "GBP thousand",
    "monthly": "in month",
    "columns": {
        "Org": "trust",
        "Year plan": "plan",
        "Plan": "plan_ytd",
        "Result": "actual",
        "Rec plan": "recurrent_planned",
        "One plan": "one_off_planned",
        "Rec": "recurrent_delivered",
        "One": "one_off_delivered",
    },
    "constants": {"region": "London", "trust_type": "Acute"},
}


def long_rows(trust="ZZ1", months=range(1, 13), so_far=3):
    """In-month figures in GBP thousand: the plan is -12,000, a loss of 1,500 a month so far."""
    rows = []
    for month in months:
        actual = [-1_500 if month <= so_far else ""]
        savings = [1_500 if month <= so_far else "", 200 if month <= so_far else ""]
        year = 2018 if month <= 9 else 2019
        period = datetime.date(year, (month + 2) % 12 + 1, 28).strftime("%b-%y")
        figures = [400_000, -12_000, -1_000, *actual, -12_000 - 100 * month, 1_800, 200, *savings]
        rows.append([trust, f"Trust {trust}", period, *figures])
    return rows


def written(path, rows, header=LONG):
    if path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, *rows])
    elif path.suffix == ".parquet":
        pytest.importorskip("pyarrow")
        frame = pd.DataFrame(rows, columns=header).replace({"": None})
        frame.infer_objects().to_parquet(path)
    else:
        openpyxl = pytest.importorskip("openpyxl")
        book = openpyxl.Workbook()
        for row in [header, *rows]:
            book.active.append(row)
        book.save(path)
    return path


def faults_of(path, mapping=MAPPING, **settings):
    with pytest.raises(InputError) as caught:
        read_return(path, mapping=mapping, **settings)
    return caught.value.faults


def changed(row, column, value, rows=None):
    rows = long_rows() if rows is None else rows
    rows[row - 2][LONG.index(column)] = value
    return rows


@pytest.mark.parametrize("suffix", [".csv", ".xlsx", ".parquet"])
def test_a_long_return_becomes_a_panel(tmp_path, suffix):
    rows = [*long_rows(), *long_rows("ZZ2")]
    panel = read_return(written(tmp_path / f"return_2018-19{suffix}", rows), mapping=MAPPING)
    assert panel.attrs["year"] == "2018-19"
    assert panel["trust"].values.tolist() == ["ZZ1", "ZZ2"]
    assert panel["name"].values.tolist() == ["Trust ZZ1", "Trust ZZ2"]
    for trust in ("ZZ1", "ZZ2"):
        one = panel.sel(trust=trust)
        assert (float(one["turnover"]), float(one["plan"])) == (400.0, -12.0)
        np.testing.assert_allclose(one["plan_ytd"], -np.arange(1.0, 13.0))
        np.testing.assert_allclose(one["actual"], [-1.5, -3.0, -4.5, *[np.nan] * 9])
        assert float(one["forecast"]) == -13.2  # the latest
        assert float(one["efficiency_plan"]) == pytest.approx(24.0)
        assert float(one["efficiency_recurrent_share"]) == pytest.approx(0.9)
        np.testing.assert_allclose(one["efficiency_delivered"][:3], [1.7, 3.4, 5.1])
        np.testing.assert_allclose(one["recurrent_delivered"][:3], [1.5, 3.0, 4.5])
        np.testing.assert_allclose(one["one_off_planned"][-1], 2.4)
    assert panel["recurrent_planned"].attrs["units"] == "GBP million"
    xr.testing.assert_identical(check_panel(panel), panel)


def test_the_order_of_rows_does_not_matter(tmp_path):
    rows = [*long_rows(), *long_rows("ZZ2")]
    panel = read_return(written(tmp_path / "r_2018-19.csv", rows), mapping=MAPPING)
    back = read_return(written(tmp_path / "b_2018-19.csv", rows[::-1]), mapping=MAPPING)
    xr.testing.assert_equal(panel, back.sel(trust=["ZZ1", "ZZ2"]))


def test_a_wide_return_with_months_in_its_names(tmp_path):
    header = ["Code", "Region", "Type", "Turnover", *(f"Result {m}" for m in ("Apr-18", "June", "May"))]
    header += ["Plan YTD M12", "Efficiency"]
    path = written(tmp_path / "r_2018-19.csv", [["ZZ1", "London", "Acute", 400, "(1.5)", -4, -3, -12, 16]], header)
    panel = read_return(path, mapping={"columns": {"Result {month}": "actual", "Plan YTD M12": "plan_ytd_m12"}})
    np.testing.assert_allclose(panel["actual"][0, :4], [-1.5, -3, -4, np.nan])
    assert float(panel["plan"][0]) == -12.0
    assert json.loads(panel.attrs["ignored_columns"]) == []


def test_per_cent_of_turnover(tmp_path):
    header = ["Code", "Region", "Type", "Turnover", "Plan", "Actual M3", "CIP"]
    path = written(tmp_path / "r_2018-19.csv", [["ZZ1", "London", "Acute", 400, "-2.5%", -1, 16]], header)
    rules = {"unit": "per cent of turnover", "units": {"efficiency_plan": "GBP million"}}
    with pytest.raises(InputError, match="a month is missing before month 3"):
        read_return(path, mapping=rules)
    header[5] = "Actual M1"
    panel = read_return(written(path, [["ZZ1", "London", "Acute", 400, "-2.5%", -1, 16]], header), mapping=rules)
    assert float(panel["plan"][0]) == -10.0
    assert float(panel["actual"][0, 0]) == pytest.approx(-1 / 100 * 400 / 12)
    (fault,) = faults_of(path, {**rules, "monthly": "in month"})
    assert fault.rule == "in-month per cents cannot be added up"


def test_a_mapping_file_and_a_sheet_below_a_cover(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.title = "Cover"
    book.active.append(["Finance return, month 3"])
    sheet = book.create_sheet("Data")
    for row in [["Finance return"], [], ["GBP thousand"], LONG, *long_rows()]:
        sheet.append(row)
    book.save(tmp_path / "return_2018-19.xlsx")
    lines = [f'"{name}" = "{variable}"' for name, variable in MAPPING["columns"].items()]
    mapping = tmp_path / "return.toml"
    mapping.write_text(
        "\n".join(
            [
                'unit = "GBP thousand"\nmonthly = "in month"\nas_at = 3\n[columns]',
                *lines,
                '[constants]\nregion = "London"\ntrust_type = "Acute"\n',
            ]
        )
    )
    panel = read_return(tmp_path / "return_2018-19.xlsx", mapping=mapping)
    assert panel.attrs["read_from"] == "sheet 'Data', columns named in row 4"
    assert float(panel["actual"][0, 2]) == -4.5


def test_noughts_of_months_to_come_are_blanks_and_figures_are_faults(tmp_path):
    rows = changed(5, "Result", 0, changed(6, "Result", 0))
    panel = read_return(written(tmp_path / "r_2018-19.csv", rows), mapping={**MAPPING, "as_at": 3})
    assert int(panel["actual"].notnull().sum()) == 3
    (fault,) = faults_of(written(tmp_path / "r_2018-19.xlsx", changed(5, "Result", -7)), {**MAPPING, "as_at": "June"})
    assert (fault.rule, fault.row, fault.column) == ("a figure of a month after the return's", 5, "G")
    assert "as at month 3" in fault.remedy


@pytest.mark.parametrize(
    ("rows", "row", "variable", "rule"),
    [
        (changed(4, "Period", "13"), 4, "month", "not a month from 1 to 12"),
        (changed(4, "Period", "Jun-19"), 4, "month", "a month of another year than 2018-19"),
        (changed(2, "Period", "Mar-18"), 2, "month", "a month of another year than 2018-19"),
        (changed(4, "Period", "Q1"), 4, "month", "not a month"),
        (changed(4, "Period", "May-18"), 4, "plan_ytd_m2", "a second figure for the same month (also in row 3)"),
        (changed(9, "Year plan", "-9"), 9, "plan", "a second figure for the same year (also in row 2)"),
        (changed(3, "Result", "#N/A"), 3, "actual_m2", "an Excel error cell"),
        (changed(3, "Result", "about 3"), 3, "actual_m2", "text in a number"),
        (changed(3, "Result", ""), 2, "actual_m2", "a month is missing before month 3"),
        (changed(3, "Org", "#REF!"), 3, "trust", "an Excel error cell"),
        (changed(3, "Org", ""), 3, "trust", "blank trust code"),
    ],
)
def test_faults_of_a_long_return(tmp_path, rows, row, variable, rule):
    faults = faults_of(written(tmp_path / "r_2018-19.xlsx", rows))
    found = [fault for fault in faults if fault.rule == rule and fault.variable == variable]
    assert [fault.row for fault in found][:1] == [row], [str(fault) for fault in faults]
    assert found[0].sheet == "Sheet"
    assert found[0].remedy
    if row != 2 or variable == "month":
        assert found[0].column == letters_of(
            LONG.index(
                {"month": "Period", "plan": "Year plan", "plan_ytd_m2": "Plan", "actual_m2": "Result", "trust": "Org"}[
                    variable
                ]
            )
        )


def test_repeated_codes_in_a_wide_return(tmp_path):
    row = ["ZZ1", "London", "Acute", 400, -12, 16]
    path = written(tmp_path / "r.csv", [row, row], ["Code", "Region", "Type", "Turnover", "Plan", "CIP"])
    (fault,) = faults_of(path, {})
    assert fault.rule == "duplicate trust code (also in row 2)"


def test_what_every_panel_needs_can_be_said_once_for_all(tmp_path):
    path = written(tmp_path / "r_2018-19.csv", long_rows())
    faults = faults_of(path, {key: value for key, value in MAPPING.items() if key != "constants"})
    assert {(fault.variable, fault.rule) for fault in faults} == {
        ("region", "required column missing"),
        ("trust_type", "required column missing"),
    }
    assert 'region = "London" under constants' in faults[0].remedy


def test_thousands_that_nobody_declared(tmp_path):
    path = written(tmp_path / "r_2018-19.csv", long_rows())
    with pytest.warns(InputWarning, match="implausible scale"):
        read_return(path, mapping={**MAPPING, "unit": "GBP million"})


def test_units_of_single_variables(tmp_path):
    rows = [[*row[:3], 400, *row[4:]] for row in long_rows()]
    panel = read_return(
        written(tmp_path / "r_2018-19.csv", rows), mapping={**MAPPING, "units": {"turnover": "GBP million"}}
    )
    assert float(panel["turnover"][0]) == 400.0
    pounds = [[*row[:3], *(1000 * cell if cell != "" else "" for cell in row[3:])] for row in long_rows()]
    same = read_return(written(tmp_path / "p_2018-19.csv", pounds), mapping={**MAPPING, "unit": "GBP"})
    np.testing.assert_allclose(same["plan_ytd"], panel["plan_ytd"])


@pytest.mark.parametrize(
    ("mapping", "value", "asked"),
    [
        ({"colums": {"Org": "trust"}}, "colums", "Did you mean 'columns'?"),
        ({"unit": "GBP thousands"}, "GBP thousands", "Did you mean 'GBP thousand'?"),
        ({"columns": {"Org": "trst"}}, "trst", "Did you mean 'trust'?"),
        ({"columns": {"Org": "actual_mm"}}, "actual_mm", "Did you mean"),
        ({"constants": {"regoin": "London"}}, "regoin", "Did you mean 'region'?"),
        ({"units": {"turnovr": "GBP"}}, "turnovr", "Did you mean 'turnover'?"),
        ({"monthly": "monthly"}, "monthly", "Use 'cumulative' or 'in month'."),
        ({"as_at": 13}, "13", "from 1 (April) to 12 (March)"),
        ({"columns": "trust"}, "trust", "Write it under [columns]."),
        ({"sheet": 3}, "3", "as text"),
        ({"columns": {"Organisation": "trust"}}, "Organisation", "Name a column that is there"),
    ],
)
def test_a_mapping_that_is_wrong_names_the_nearest(tmp_path, mapping, value, asked):
    faults = faults_of(written(tmp_path / "r_2018-19.csv", long_rows()), mapping)
    assert faults[0].value == value
    assert asked in faults[0].remedy


def test_a_mapping_file_that_is_none(tmp_path):
    path = written(tmp_path / "r.csv", long_rows())
    (tmp_path / "m.toml").write_text("columns = [")
    assert faults_of(path, tmp_path / "m.toml")[0].rule == "not readable as TOML"
    assert faults_of(path, tmp_path / "none.toml")[0].rule == "the mapping cannot be opened"


@pytest.mark.parametrize("text", ["0", "13", "M13", "Smarch", "2018", "Apr-17", "2019-04-30", ""])
def test_no_months(text):
    with pytest.raises(ValueError, match="month"):
        month_of(text, 2018)


@pytest.mark.parametrize(
    ("text", "month"),
    [("1", 1), ("M01", 1), ("Month 7", 7), ("Sept", 6), ("January 2019", 10), ("2018-12", 9), ("Mar-19", 12)],
)
def test_months(text, month):
    assert month_of(text, 2018) == month
