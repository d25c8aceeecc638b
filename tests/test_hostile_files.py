"""Files that are broken, huge, or made to harm: a clear report, little memory, no crash, nothing lost."""

import csv
import random
import tracemalloc
import warnings
import zipfile
from contextlib import suppress

import pytest

from sector_risk.faults import InputError, InputWarning
from sector_risk.panel import read_accounts, read_panel, read_return
from sector_risk.panel.guard import LARGEST_FILE, LARGEST_UNPACKED
from sector_risk.panel.tables import MOST_CELLS

HEADER = ["trust", "region", "trust_type", "turnover", "plan", "efficiency_plan"]
ROW = ["ZZ1", "London", "Acute", 1600, -40, 70]
MB = 10**6

MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
LINKED = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'


def cell(value, place):
    kind = ' t="e"' if str(value).startswith("#") else ' t="inlineStr"' if isinstance(value, str) else ""
    inner = f"<is><t>{value}</t></is>" if "inline" in kind else f"<v>{value}</v>"
    return f'<c r="{place}"{kind}>{inner}</c>'


def sheet_of(rows):
    cells = (
        "".join(cell(value, f"{chr(65 + at)}{n}") for at, value in enumerate(row)) for n, row in enumerate(rows, 1)
    )
    body = "".join(f'<row r="{number}">{row}</row>' for number, row in enumerate(cells, start=1))
    return f"<worksheet {MAIN}><sheetData>{body}</sheetData></worksheet>"


def workbook(path, *sheets, **parts):
    """A workbook made by hand, part by part; `parts` replace or add to them (None leaves one out)."""
    names = [f"Sheet{number}" for number in range(1, len(sheets) + 1)]
    listed = "".join(f'<sheet name="{name}" sheetId="{n}" r:id="r{n}"/>' for n, name in enumerate(names, 1))
    links = "".join(f'<Relationship Id="r{n}" Target="worksheets/s{n}.xml"/>' for n in range(1, len(sheets) + 1))
    contents = {
        "xl/workbook.xml": f"<workbook {MAIN} {LINKED}><sheets>{listed}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f"<Relationships>{links}</Relationships>",
        **{f"xl/worksheets/s{n}.xml": sheet for n, sheet in enumerate(sheets, 1)},
        **parts.get("replaced", {}),
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in contents.items():
            if text is not None:
                archive.writestr(name, text)
    return path


def document(path, rows, extra=""):
    """An OpenDocument spreadsheet of one sheet."""
    spaces = "".join(
        f' xmlns:{prefix}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for prefix, name in (("office", "office"), ("table", "table"), ("text", "text"))
    )
    body = f'<table:table table:name="Plans">{rows}</table:table>'
    content = f"{extra}<office:document-content{spaces}><office:body>{body}</office:body></office:document-content>"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("content.xml", content)
    return path


def ods_row(values, times=""):
    def one(value):
        if isinstance(value, str):
            return f"<table:table-cell><text:p>{value}</text:p></table:table-cell>"
        return (
            f'<table:table-cell office:value-type="float" office:value="{value}"><text:p>x</text:p></table:table-cell>'
        )

    return f"<table:table-row{times}>{''.join(map(one, values))}</table:table-row>"


def faults_of(path, reader=read_panel, **settings):
    with pytest.raises(InputError) as caught:
        reader(path, **settings)
    return caught.value.faults


def only(path, **settings):
    (fault,) = faults_of(path, **settings)
    return fault


READERS = [read_panel, read_accounts, read_return]


# --- cells ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", ["#REF!", "#DIV/0!", "#N/A", "#VALUE!", "#NAME?"])
@pytest.mark.parametrize("column", [1, 3, 4])
def test_an_excel_error_is_named_and_never_filled(tmp_path, error, column):
    row = list(ROW)
    row[column] = error
    fault = only(workbook(tmp_path / "p.xlsx", sheet_of([HEADER, row])))
    assert (fault.rule, fault.value) == ("an Excel error cell", error)
    assert (fault.sheet, fault.row, fault.column) == ("Sheet1", 2, chr(65 + column))
    assert str(fault).startswith(f"sheet 'Sheet1', row 2, column {chr(65 + column)}, trust ZZ1, {HEADER[column]}: ")


def test_an_excel_error_in_text_and_in_a_document(tmp_path):
    path = tmp_path / "p.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([HEADER, [*ROW[:4], "#REF!", 70]])
    assert only(path).rule == "an Excel error cell"
    rows = ods_row(HEADER) + ods_row([*ROW[:3], "#DIV/0!", *ROW[4:]])
    fault = only(document(tmp_path / "p.ods", rows))
    assert (fault.rule, fault.sheet, fault.row, fault.column) == ("an Excel error cell", "Plans", 2, "D")


def test_an_error_of_a_document_is_kept_beside_a_nought(tmp_path):
    rows = (ods_row(HEADER) + ods_row(ROW)).replace('"1600"><text:p>x<', '"0"><text:p>#REF!<')
    assert only(document(tmp_path / "p.ods", rows)).value == "#REF!"
    narrow = (ods_row(HEADER) + ods_row(ROW)).replace('"1600"><text:p>x<', '"1600"><text:p>###<')
    assert float(read_panel(document(tmp_path / "p.ods", narrow))["turnover"][0]) == 1600.0


def test_a_document_gives_the_panel_that_text_gives(tmp_path):
    gap = '<table:table-row table:number-rows-repeated="1048000"><table:table-cell/></table:table-row>'
    panel = read_panel(document(tmp_path / "p.ods", ods_row(HEADER) + ods_row(ROW) + gap))
    assert float(panel["plan"][0]) == -40.0
    assert panel.attrs["read_from"] == "sheet 'Plans', columns named in row 1"


def test_a_formula_whose_result_was_not_saved_is_no_blank(tmp_path):
    sheet = sheet_of([HEADER, ROW]).replace("<v>1600</v>", "<f>SUM(A1:A2)</f>")
    fault = only(workbook(tmp_path / "p.xlsx", sheet))
    assert (fault.rule, fault.value) == ("a formula whose result was not saved", "=SUM(A1:A2)")


def test_per_cent_and_dates_are_read_as_the_sheet_shows_them(tmp_path):
    styles = (
        f'<styleSheet {MAIN}><cellXfs><xf numFmtId="0"/><xf numFmtId="10"/><xf numFmtId="14"/></cellXfs></styleSheet>'
    )
    header = ["trust", "region", "trust_type", "turnover", "plan_pct", "recurrent_share", "efficiency_plan"]
    sheet = sheet_of([header, ["ZZ1", "London", "Acute", 1600, -0.025, 0.9, 70]])
    shares = sheet.replace('<c r="E2">', '<c r="E2" s="1">').replace('<c r="F2">', '<c r="F2" s="1">')
    panel = read_panel(workbook(tmp_path / "p.xlsx", shares, replaced={"xl/styles.xml": styles}))
    assert float(panel["plan"][0]) == -40.0
    assert float(panel["efficiency_recurrent_share"][0]) == 0.9
    dated = sheet.replace('<c r="D2">', '<c r="D2" s="2">')
    fault = only(workbook(tmp_path / "p.xlsx", dated, replaced={"xl/styles.xml": styles}))
    assert (fault.value, fault.variable) == ("1904-05-18", "turnover")
    money = sheet.replace("plan_pct", "plan").replace('<c r="E2">', '<c r="E2" s="1">')
    assert only(workbook(tmp_path / "p.xlsx", money, replaced={"xl/styles.xml": styles})).value == "-2.5%"


# --- sheets and headers ------------------------------------------------------------------------------------


def test_titles_above_the_header_and_a_cover_sheet(tmp_path):
    cover = sheet_of([["Plan"], ["Region"], ["Prepared for the board"]])
    data = sheet_of([["Plan"], ["GBP million"], HEADER, ROW])
    panel = read_panel(workbook(tmp_path / "p.xlsx", cover, data))
    assert panel.attrs["read_from"] == "sheet 'Sheet2', columns named in row 3"
    assert float(panel["plan"][0]) == -40.0
    fault = only(workbook(tmp_path / "p.xlsx", cover, sheet_of([["Plan"], ["x"], HEADER, [*ROW[:4], "tbc", 1]])))
    assert (fault.sheet, fault.row, fault.column) == ("Sheet2", 4, "E")


def test_two_sheets_that_would_do_and_one_that_is_asked_for(tmp_path):
    path = workbook(tmp_path / "p.xlsx", sheet_of([HEADER, ROW]), sheet_of([HEADER, [*ROW[:4], -7, 70]]))
    fault = only(path)
    assert (fault.rule, fault.value) == ("several sheets have the needed columns", "Sheet1, Sheet2")
    assert "sheet='Sheet1'" in fault.remedy
    assert float(read_panel(path, sheet="sheet2")["plan"][0]) == -7.0
    fault = only(path, sheet="Sheet22")
    assert fault.rule == "no such sheet"
    assert "Did you mean 'Sheet2'?" in fault.remedy


def test_a_header_too_far_down_is_not_looked_for(tmp_path):
    rows = [*([f"note {number}"] for number in range(20)), HEADER, ROW]
    assert faults_of(workbook(tmp_path / "p.xlsx", sheet_of(rows)))


def test_a_sheet_asked_of_a_text_file(tmp_path):
    (tmp_path / "p.csv").write_text("trust,plan\nZZ1,3\n")
    assert only(tmp_path / "p.csv", sheet="Plans").rule == "no sheets in a file of this kind"


# --- too large ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("suffix", [".csv", ".xlsx", ".parquet", ".ods", ".xls"])
def test_two_hundred_megabytes_are_refused_unread(tmp_path, reader, suffix):
    path = tmp_path / f"p{suffix}"
    with path.open("wb") as file:
        file.truncate(200 * MB)
    tracemalloc.start()
    (fault,) = faults_of(path, reader)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert fault.rule == f"larger than {LARGEST_FILE // MB} MB"
    assert fault.value == "200 MB"
    assert peak < MB


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("suffix", [".xlsx", ".ods"])
@pytest.mark.parametrize("part", ["xl/worksheets/s1.xml", "content.xml", "xl/sharedStrings.xml", "xl/media/i.png"])
def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path, reader, suffix, part):
    path = tmp_path / f"bomb{suffix}"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(part, "w") as file:
        for _ in range(30):
            file.write(bytes(MB))
    assert path.stat().st_size < MB
    tracemalloc.start()
    (fault,) = faults_of(path, reader)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert fault.rule.startswith("a part unpacks to more than 200 times its size")
    assert part in fault.rule
    assert peak < MB


def test_what_unpacks_to_too_much_in_all(tmp_path, monkeypatch):
    path = workbook(tmp_path / "p.xlsx", sheet_of([HEADER, ROW]))
    monkeypatch.setattr("sector_risk.panel.guard.LARGEST_UNPACKED", 100)
    assert only(path).rule == "unpacks to more than 0 MB"
    assert LARGEST_UNPACKED == 1_000 * MB


def test_a_directory_that_lies_about_sizes(tmp_path):
    """The archive says the sheet has 100 bytes: no more are unpacked, and that is not a sheet."""
    path = workbook(tmp_path / "p.xlsx", sheet_of([HEADER, *[ROW] * 2000]))
    with zipfile.ZipFile(path) as archive:
        true_size = archive.getinfo("xl/worksheets/s1.xml").file_size
    raw = path.read_bytes()
    path.write_bytes(raw.replace(true_size.to_bytes(4, "little"), (100).to_bytes(4, "little")))
    assert only(path).rule == "not readable as a workbook"


def test_a_part_that_is_no_sheet_is_small(tmp_path):
    noise = random.Random(1).randbytes(21 * MB)
    path = workbook(tmp_path / "p.xlsx", sheet_of([HEADER, ROW]), replaced={"xl/styles.xml": noise})
    assert only(path).rule == "a part that is no sheet is larger than 20 MB: xl/styles.xml"


@pytest.mark.parametrize("suffix", [".xlsx", ".ods", ".csv", ".parquet"])
def test_more_cells_than_a_panel_has(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr("sector_risk.panel.tables.MOST_CELLS", 10)
    path = tmp_path / f"p{suffix}"
    if suffix == ".xlsx":
        workbook(path, sheet_of([HEADER, ROW]))
    elif suffix == ".ods":
        document(path, ods_row(HEADER) + ods_row(ROW))
    elif suffix == ".csv":
        path.write_text(",".join(HEADER) + "\n" + ",".join(map(str, ROW)) + "\n")
    else:
        pandas = pytest.importorskip("pandas")
        pytest.importorskip("pyarrow")
        pandas.DataFrame([ROW] * 2, columns=HEADER).to_parquet(path)
    fault = only(path)
    assert fault.rule == "more than 10 cells"
    assert MOST_CELLS == 3_000_000


# --- made to take memory ------------------------------------------------------------------------------------


def peak_of(path):
    tracemalloc.start()
    try:
        read_panel(path)
    except InputError as error:
        return error, tracemalloc.get_traced_memory()[1]
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return None, peak


def test_one_cell_in_the_last_corner_takes_no_memory(tmp_path):
    corner = '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
    path = workbook(tmp_path / "p.xlsx", sheet_of([HEADER, ROW]).replace("</sheetData>", corner))
    error, peak = peak_of(path)
    assert error.faults[0].row == 1_048_576
    assert error.faults[0].rule == "more cells than the header has columns (6)"
    assert peak < 4 * MB


@pytest.mark.parametrize("place", ["XFE2", "A1048577", "A0", "ZZZZZZZZZZ1", "A99999999999999999999"])
def test_a_cell_outside_any_sheet(tmp_path, place):
    row = place.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    sheet = sheet_of([HEADER, ROW]).replace("</sheetData>", f'<row r="{row}">{cell(1, place)}</row></sheetData>')
    assert "outside any sheet" in only(workbook(tmp_path / "p.xlsx", sheet)).value


def test_cells_that_repeat_without_end(tmp_path):
    repeated = ods_row(ROW, ' table:number-rows-repeated="1000000"')
    error, peak = peak_of(document(tmp_path / "p.ods", ods_row(HEADER) + repeated))
    assert error.faults[0].rule == "more than 3,000,000 cells"
    assert peak < 150 * MB
    wide = '<table:table-row><table:table-cell table:number-columns-repeated="999999999"><text:p>x</text:p>'
    path = document(tmp_path / "q.ods", f"{wide}</table:table-cell></table:table-row>")
    assert "outside any sheet" in only(path).value


ENTITIES = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
BOMB = f'<!DOCTYPE x [<!ENTITY e0 "ha">{ENTITIES}]>'


@pytest.mark.parametrize(
    "part",
    ["xl/workbook.xml", "xl/worksheets/s1.xml", "xl/sharedStrings.xml", "xl/styles.xml", "xl/_rels/workbook.xml.rels"],
)
def test_entities_are_refused(tmp_path, part):
    whole = f"<!-- {'x' * 100_000} -->{BOMB}<worksheet {MAIN}><t>&e9;</t></worksheet>"
    path = workbook(tmp_path / "p.xlsx", sheet_of([HEADER, ROW]), replaced={part: whole})
    error, peak = peak_of(path)
    assert "declares a document type" in error.faults[0].value
    assert peak < 2 * MB
    error, _ = peak_of(document(tmp_path / "p.ods", ods_row(HEADER), BOMB))
    assert "declares a document type" in error.faults[0].value


def test_an_outside_entity_is_not_fetched(tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("London")
    outside = f'<!DOCTYPE x [<!ENTITY s SYSTEM "{secret.as_uri()}">]>'
    path = workbook(tmp_path / "p.xlsx", outside + sheet_of([HEADER, ROW]).replace("London", "&s;"))
    assert "declares a document type" in only(path).value


def test_a_cell_and_a_line_without_end(tmp_path):
    sheet = sheet_of([HEADER, ROW]).replace("London", "".join(map(str, range(50_000))))
    assert "a cell with more than 100,000 characters" in only(workbook(tmp_path / "p.xlsx", sheet)).value
    path = tmp_path / "p.csv"
    path.write_text(",".join(HEADER) + "\n" + "," * 3_000_000 + "\n")
    fault = only(path)
    assert fault.rule == "not readable as CSV near line 1"
    assert "1,000,000 characters" in fault.value


def test_millions_of_elements_that_mean_nothing(tmp_path):
    """What is not a cell is passed over and leaves no trace."""
    junk = "".join(f'<j{n % 7} a="{n}"/>' for n in range(200_000))
    path = workbook(tmp_path / "p.xlsx", sheet_of([HEADER, ROW]).replace("<sheetData>", f"{junk}<sheetData>"))
    error, peak = peak_of(path)
    assert error is None
    assert peak < 2 * MB
    names = "".join(f"<j{n}/>" for n in range(2_000))
    path = workbook(tmp_path / "p.xlsx", sheet_of([HEADER, ROW]).replace("<sheetData>", f"{names}<sheetData>"))
    assert "more kinds of elements" in only(path).value


# --- broken -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["xl/workbook.xml", "xl/_rels/workbook.xml.rels", "xl/worksheets/s1.xml"])
@pytest.mark.parametrize("text", [None, "", "<a>", "no xml"])
def test_a_part_that_is_missing_or_broken(tmp_path, part, text):
    faults = faults_of(workbook(tmp_path / "p.xlsx", sheet_of([HEADER, ROW]), replaced={part: text}))
    assert faults[0].place == "p.xlsx"
    assert faults[0].remedy


@pytest.mark.parametrize(
    ("old", "new"),
    [("<v>1600</v>", "<v>many</v>"), ('<c r="D2">', '<c r="D2" t="s">'), ('<c r="D2">', '<c r="D2" s="x">')],
)
def test_a_cell_that_breaks_the_format(tmp_path, old, new):
    path = workbook(tmp_path / "p.xlsx", sheet_of([HEADER, ROW]).replace(old, new))
    assert only(path).rule == "not readable as a workbook"


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("suffix", [".xlsx", ".ods"])
def test_no_byte_that_is_changed_makes_it_crash(tmp_path, reader, suffix):
    """Whatever comes of it is a panel or a report."""
    if suffix == ".xlsx":
        whole = workbook(tmp_path / "whole.xlsx", sheet_of([HEADER, ROW, ["ZZ2", *ROW[1:]]])).read_bytes()
    else:
        whole = document(tmp_path / "whole.ods", ods_row(HEADER) + ods_row(ROW)).read_bytes()
    source = random.Random(7)
    for number in range(120):
        raw = bytearray(whole)
        for _ in range(source.randint(1, 4)):
            raw[source.randrange(4, len(raw))] = source.randrange(256)
        path = tmp_path / f"p{number}{suffix}"
        path.write_bytes(bytes(raw[: source.randrange(40, len(raw))]) if number % 3 == 0 else bytes(raw))
        with warnings.catch_warnings(), suppress(InputError):
            warnings.simplefilter("ignore", InputWarning)
            reader(path)


def test_a_quotation_mark_that_is_never_closed(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text(",".join(HEADER) + '\n"' + "x\n" * 200_000)
    assert only(path).rule.startswith("not readable as CSV near line")


def test_an_old_workbook_is_read_with_a_warning_about_its_blind_spot():
    from sector_risk.panel.build import blind
    from sector_risk.panel.tables import Table

    (message,) = blind(Table("plans.XLS", ("trust",), (2,), (("ZZ1",),)))
    assert "error cells look blank" in message
    assert blind(Table("plans.xlsx", ("trust",), (2,), (("ZZ1",),))) == []
