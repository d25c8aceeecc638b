"""Published accounts, in small files of the published layout."""

import csv
import subprocess
import sys
import warnings
import zipfile

import numpy as np
import pytest

from sector_risk.faults import InputError, InputWarning
from sector_risk.panel import read_accounts
from sector_risk.panel.accounts import LINES
from sector_risk.panel.xlsx import open_xlsx

openpyxl = pytest.importorskip("openpyxl")

COLUMNS = ["OrganisationName", "WorkSheetName", "TableID", "MainCode", "RowNumber", "SubCode", "Total"]
COLUMNS_2021 = ["Organisation Name", "WorkSheetName", "TableID", "MainCode", "RowNumber", "SubCode", "Value number"]
LISTED = ["Full name of Provider", "NHS code", "Region", "Sector", "Comments"]
ONE, TWO = "Anytown Hospitals NHS Trust", "Otherville NHS Foundation Trust"
FORM = {
    "SCI0100A": 400_000,
    "SCI0110A": 50_000,
    "SCI0125A": -460_000,
    "SCI0210": 3_000,
    "SCI0240": -12_500,
    "INC1310": 6_000,
    "EXP0260": 2_000,
    "STA0300": 9_000,
    "STA0310": 11_000,
    "STA0360": 290_000,
    "STA0490": 5_200,
    "OTD0230": -14_250,
}
MAIN = {sub: main for main, sub in LINES.values()}


def form(name, **changes):
    """The rows of one trust: its current year, last year's figures beside it, and other tables' lines."""
    cells = {**FORM, **changes}
    rows = [[name, "TAC", 1, MAIN[sub], 10, sub, value] for sub, value in cells.items() if value is not None]
    last_year = [[name, "TAC", 1, main.replace("CY", "PY"), 10, sub, 1] for *_, main, _, sub, _ in rows]
    permanent = [[name, "TAC09 Staff", 2, "A09CY01P", 25, "STA0360", 270_000]]
    return [*rows, *last_year, *permanent, [name, "TAC14 PPE", 3, "A14CY01", 9, "PPE0010", 77]]


def listed(**comments):
    return [
        [ONE, "ZZ1", "London", "Acute", comments.get("one", "")],
        [TWO, "ZZ2", "North East & Yorkshire", "Mental Health", comments.get("two", "")],
    ]


def workbook(path, rows=None, providers=None, columns=COLUMNS, names=("List of Providers", "All data"), above=()):
    book = openpyxl.Workbook()
    first, second = book.active, book.create_sheet(names[1])
    first.title = names[0]
    for row in [LISTED, *(listed() if providers is None else providers)]:
        first.append(row)
    for number, row in enumerate([*above, columns, *([*form(ONE), *form(TWO)] if rows is None else rows)], start=1):
        second.append(row)
        if any(isinstance(value, str) and value.startswith("#") for value in row):
            second.cell(number, len(row)).data_type = "e"
    book.save(path)
    return path


def faults_of(path, **settings):
    with pytest.raises(InputError) as caught:
        read_accounts(path, **settings)
    return caught.value.faults


@pytest.mark.parametrize(("columns", "year"), [(COLUMNS, "2023-24"), (COLUMNS_2021, "2021-22"), (COLUMNS, "2017-18")])
def test_both_layouts_give_the_current_year_in_million(tmp_path, columns, year):
    accounts = read_accounts(workbook(tmp_path / f"TAC_NHS_trusts_{year}.xlsx", columns=columns))
    assert accounts.attrs["year"] == year
    assert accounts["trust"].values.tolist() == ["ZZ1", "ZZ2"]
    expected = {
        "turnover": 450.0,
        "operating_expenditure": 460.0,
        "surplus": -12.5,
        "sustainability_funding": 6.0,
        "impairments": 2.0,
        "staff_cost": 290.0,
        "bank": 9.0,
        "agency": 11.0,
        "pay_bank_agency": 20.0,
        "pay_afc": 270.0 * 37.2 / 49.0,
        "pay_medical": 270.0 * 11.8 / 49.0,
        "wte": 5200.0,
    }
    for name, value in expected.items():
        np.testing.assert_allclose(accounts[name], [value, value], err_msg=name)
    assert accounts["turnover"].attrs == {
        "long_name": "income of the year",
        "units": "GBP million",
        "sign": "zero or positive",
    }
    assert accounts["wte"].attrs["units"] == "1"


def test_the_adjusted_position_of_trusts_and_foundation_trusts(tmp_path):
    accounts = read_accounts(workbook(tmp_path / "tac_2023-24.xlsx"))
    assert accounts["foundation_trust"].values.tolist() == [False, True]
    np.testing.assert_allclose(accounts["adjusted_position"], [-14.25, -12.5 - 3.0 + 2.0])
    assert accounts["region"].values.tolist() == ["London", "North East and Yorkshire"]
    assert accounts["trust_type"].values.tolist() == ["Acute", "Mental health"]
    assert accounts["sector"].values.tolist() == ["Acute", "Mental Health"]


def test_lines_that_a_form_does_not_have(tmp_path):
    bare = form(TWO, INC1310=None, SCI0110A=None, SCI0210=None, EXP0260=None, STA0300=None)
    two = read_accounts(workbook(tmp_path / "t.xlsx", [*form(ONE), *bare])).sel(trust="ZZ2")
    assert float(two["turnover"]) == 400.0
    assert float(two["adjusted_position"]) == -12.5
    assert float(two["pay_bank_agency"]) == 11.0
    assert np.isnan([two["bank"], two["impairments"], two["sustainability_funding"]]).all()


def test_figures_as_text_titles_above_and_other_spellings_of_sheets(tmp_path):
    rows = [[*row[:-1], f"({-row[-1]:,})" if row[-1] < 0 else f"{row[-1]:,}"] for row in form(ONE)]
    rows = [["ANYTOWN  HOSPITALS NHS TRUST ", *row[1:]] for row in rows]
    above = [["Published accounts"], [], ["GBP thousand"]]
    names = ("LIST OF PROVIDERS", "all data ")
    path = workbook(tmp_path / "t.xlsx", [*rows, *form(TWO)], names=names, above=above)
    accounts = read_accounts(path, year="2022-23")
    assert accounts["surplus"].values.tolist() == [-12.5, -12.5]
    assert accounts.attrs["year"] == "2022-23"


def test_sheets_as_two_text_files(tmp_path):
    whole = read_accounts(workbook(tmp_path / "tac_2023-24.xlsx"))
    data, providers = tmp_path / "data_2023-24.csv", tmp_path / "providers.csv"
    for path, rows in ((data, [COLUMNS, *form(ONE), *form(TWO)]), (providers, [LISTED, *listed()])):
        with path.open("w", newline="", encoding="utf-8-sig") as file:
            csv.writer(file).writerows(rows)
    assert read_accounts(data, providers=providers).drop_attrs().identical(whole.drop_attrs())
    (fault,) = faults_of(data)
    assert "providers=" in fault.remedy


@pytest.mark.parametrize(
    ("value", "rule"), [("#REF!", "an Excel error cell"), ("tbc", "text in a number"), ("=A1+A2", "a formula whose")]
)
def test_a_cell_that_cannot_be_read_is_named_to_the_letter(tmp_path, value, rule):
    rows = form(ONE)
    rows[2][-1] = value
    (fault,) = faults_of(workbook(tmp_path / "t.xlsx", rows))
    assert fault.rule.startswith(rule)
    assert (fault.sheet, fault.row, fault.column) == ("All data", 4, "G")
    assert (fault.trust, fault.variable) == (ONE, "operating_expenditure")
    assert str(fault).startswith("sheet 'All data', row 4, column G, trust")


def test_an_error_in_a_cell_that_is_not_used_does_no_harm(tmp_path):
    rows = [*form(ONE), [ONE, "TAC14 PPE", 3, "A14CY01", 9, "PPE0020", "#DIV/0!"]]
    assert float(read_accounts(workbook(tmp_path / "t.xlsx", rows, listed()[:1]))["surplus"][0]) == -12.5


def test_a_code_twice(tmp_path):
    rows = form(ONE)
    (fault,) = faults_of(workbook(tmp_path / "t.xlsx", [*rows, rows[0]]))
    assert fault.rule == "a code twice for one trust (also in row 2)"
    assert (fault.value, fault.row) == ("A02CY01 SCI0100A", len(rows) + 2)
    (fault,) = faults_of(workbook(tmp_path / "t.xlsx", providers=[*listed(), [*listed()[0]]]))
    assert fault.rule == "duplicate trust code (also in row 2)"
    assert (fault.sheet, fault.column, fault.row) == ("List of Providers", "B", 4)


def test_renamed_columns_and_sheets(tmp_path):
    (fault,) = faults_of(workbook(tmp_path / "t.xlsx", columns=[*COLUMNS[:5], "Sub-codes", "Total"]))
    assert (fault.sheet, fault.rule) == ("All data", "required column missing")
    assert "Name it 'SubCode'" in fault.remedy
    assert "Did you mean 'Sub-codes'?" in fault.remedy
    (fault,) = faults_of(workbook(tmp_path / "t.xlsx", names=("List of Providers", "Al data")))
    assert (fault.rule, fault.value) == ("no such sheet", "All data")
    assert "Did you mean 'Al data'?" in fault.remedy


def test_other_codes_than_published(tmp_path):
    rows = [[*row[:5], row[5].replace("SCI0100A", "SCI0100"), row[6]] for row in form(ONE)]
    (fault,) = faults_of(workbook(tmp_path / "t.xlsx", rows))
    assert (fault.rule, fault.value) == ("no trust has this line", "A02CY01 SCI0100A")
    assert "Did you mean 'SCI0100'?" in fault.remedy


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_another_unit_than_thousands(tmp_path, factor):
    (fault,) = faults_of(workbook(tmp_path / "t.xlsx", [[*row[:-1], row[-1] * factor] for row in form(ONE)]))
    assert "not in GBP thousand" in fault.rule


def test_trusts_of_one_sheet_only_are_named(tmp_path):
    path = workbook(tmp_path / "t.xlsx", [*form(ONE), *form("Nowhere NHS Trust")])
    with pytest.warns(InputWarning) as said:
        accounts = read_accounts(path)
    assert "not on the list of providers: Nowhere NHS Trust" in str(said[0].message)
    assert f"no figures of theirs: {TWO}" in str(said[1].message)
    assert said[0].filename == __file__
    assert accounts["trust"].values.tolist() == ["ZZ1"]


@pytest.mark.parametrize(
    ("comments", "expected"),
    [
        ({"one": f"Acquired by {TWO} on 1 July"}, ["ZZ2", "ZZ2"]),
        ({"two": f"This trust acquired {ONE} on 1 July"}, ["ZZ2", "ZZ2"]),
        ({"one": "Licensed on 1 July"}, ["ZZ1", "ZZ2"]),
        ({}, ["ZZ1", "ZZ2"]),
    ],
)
def test_comments_say_who_took_whom_on(tmp_path, comments, expected):
    accounts = read_accounts(workbook(tmp_path / "t.xlsx", providers=listed(**comments)))
    assert accounts["successor"].values.tolist() == expected


# --- the workbook reader beside two others -------------------------------------------------------------


@pytest.mark.needs_shared_data
@pytest.mark.parametrize("year", ["2019-20", "2023-24"])
def test_every_cell_of_the_published_forms_is_read(shared_data, year):
    """The reader's twin is openpyxl; where it sees a per cent format the cell says so."""
    path = shared_data / f"tac_illustrative_{year}.xlsx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        twin = openpyxl.load_workbook(path, data_only=True, read_only=True)
        theirs = {
            (sheet.title, number, column): cell
            for sheet in twin
            for number, row in enumerate(sheet.iter_rows(values_only=True), start=1)
            for column, cell in enumerate(row)
            if cell is not None and str(cell).strip()
        }
    with zipfile.ZipFile(path) as archive:
        book = open_xlsx(archive)
        mine = {
            (sheet.name, number, column): text
            for sheet in book.sheets
            for number, cells in book.rows(sheet)
            for column, text in enumerate(cells)
            if text
        }
    assert mine.keys() >= theirs.keys()
    assert len(theirs) > 7_000
    wrong = [key for key, cell in theirs.items() if isinstance(cell, str) and mine[key] != cell.strip()]
    wrong += [
        key
        for key, cell in theirs.items()
        if isinstance(cell, int | float) and float(mine[key].rstrip("%")) not in (cell, 100 * cell)
    ]
    assert not wrong


@pytest.mark.needs_shared_data
def test_every_line_is_in_the_published_forms(shared_data):
    with (shared_data / "tac_cells_all_years.csv").open(encoding="utf-8-sig") as file:
        cells = list(csv.DictReader(file))
    for line, (main, sub) in LINES.items():
        years = {c["file_year"] for c in cells if c["subcode"] == sub and main in c["cy_maincodes"].split("|")}
        assert len(years) == (2 if line == "sustainability_funding" else 5), line


def test_memory_does_not_grow_with_the_rows(tmp_path):
    """A file of 28,000 rows may not take 4 MB more than one of 40; its cells alone would take 15 MB."""
    code = (
        "import sys, tracemalloc; from sector_risk.panel import read_accounts\n"
        "tracemalloc.start(); read_accounts(sys.argv[1]); print(tracemalloc.get_traced_memory()[1])"
    )
    peaks = []
    for copies in (1, 2_000):
        rows = [*form(ONE), *(row for _ in range(copies) for row in form(TWO)[len(FORM) :])]
        rows += form(TWO)[: len(FORM)]
        path = workbook(tmp_path / f"t{copies}.xlsx", rows)
        done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout))
    assert peaks[1] - peaks[0] < 4_000_000
