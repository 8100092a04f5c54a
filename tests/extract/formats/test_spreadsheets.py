from __future__ import annotations

import zipfile
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import duckdb
import msoffcrypto
import openpyxl
import pytest
import xlwt
from msoffcrypto.format.ooxml import OOXMLFile
from odf.opendocument import OpenDocumentSpreadsheet
from odf.style import Style, TableProperties
from odf.table import CoveredTableCell, Table, TableCell, TableRow
from odf.text import P
from openpyxl.utils.datetime import CALENDAR_MAC_1904
from pyxlsbwriter import XlsbWriter

import penstock
from penstock.errors import ConfigurationError, DataError

Take = Callable[..., Any]
MOMENT = datetime(2020, 1, 2, 3, 4, 5)  # noqa: DTZ001 - a cell has no zone


def put(path: Path, *rows: list[Any], sheet: str = "S") -> openpyxl.Workbook:
    """Write a workbook of one sheet; it is given back, to be changed and saved again."""
    book = openpyxl.Workbook()
    book.active.title = sheet
    for row in rows:
        book.active.append(row)
    book.save(path)
    return book


def test_each_kind_of_cell_is_a_type_of_its_own(tmp_path: Path, take: Take) -> None:
    book = put(
        tmp_path / "t.xlsx",
        ["whole", "float", "text", "digits", "day", "moment", "clock", "span", "truth", "nothing"],
        [1, 1.5, "a", "007", date(1, 1, 1), datetime(2020, 1, 2, 3, 4, 5, 678000), time(1, 2, 3), None, True, None],  # noqa: DTZ001
        [-(2**53), 2, " b\nc ", "1e5", None, datetime(9999, 12, 31), None, None, False, None],  # noqa: DTZ001
        [12, 1e300, None, None, date(1900, 3, 1), MOMENT, time(23, 59, 59, 999000), None, None, None],
    )
    sheet = book.active
    sheet["E2"] = 1
    sheet["E2"].number_format = "d mmm yy"
    sheet["H2"], sheet["H3"] = timedelta(hours=30), timedelta(seconds=1)
    sheet["H2"].number_format = sheet["H3"].number_format = "[h]:mm:ss"
    book.save(tmp_path / "t.xlsx")
    found = take("t.xlsx")
    assert found.types == {
        "whole": "int64", "float": "double", "text": "string", "digits": "string", "day": "date32[day]",
        "moment": "timestamp[us]", "clock": "time64[us]", "span": "duration[us]", "truth": "bool", "nothing": "null",
    }  # fmt: skip
    columns = {name: [row[name] for row in found.rows] for name in found.types}
    assert columns == {
        "whole": [1, -(2**53), 12], "float": [1.5, 2.0, 1e300], "text": ["a", " b\nc ", None],
        "digits": ["007", "1e5", None], "day": [date(1900, 1, 1), None, date(1900, 3, 1)],
        "moment": [datetime(2020, 1, 2, 3, 4, 5, 678000), datetime(9999, 12, 31), MOMENT],  # noqa: DTZ001
        "clock": [time(1, 2, 3), None, time(23, 59, 59, 999000)],
        "span": [timedelta(hours=30), timedelta(seconds=1), None], "truth": [True, False, None],
        "nothing": [None, None, None],
    }  # fmt: skip
    assert found.notes == ()


@pytest.mark.parametrize(("since_1904", "expected"), [
    (False, [date(1900, 1, 1), date(1900, 2, 28), date(1900, 3, 1), date(2020, 1, 2)]),
    (True, [date(1904, 1, 2), date(1904, 2, 29), date(1904, 3, 2), date(2024, 1, 3)]),
])  # fmt: skip
def test_days_count_from_1900_or_1904(tmp_path: Path, take: Take, since_1904: bool, expected: list[date]) -> None:
    book = put(tmp_path / "t.xlsx", ["d"], [1], [59], [61], [43832])
    if since_1904:
        book.epoch = CALENDAR_MAC_1904
    for row in range(2, 6):
        book.active.cell(row, 1).number_format = "yyyy-mm-dd"
    book.save(tmp_path / "t.xlsx")
    assert [row["d"] for row in take("t.xlsx").rows] == expected


def test_what_a_format_shows_as_a_day_but_is_none_stays_what_it_is(tmp_path: Path, take: Take) -> None:
    book = put(tmp_path / "t.xlsx", ["d"], [60], [-5], [0], [3_000_000], [43832.25])
    for row in range(2, 7):
        book.active.cell(row, 1).number_format = "yyyy-mm-dd"
    book.save(tmp_path / "t.xlsx")
    found = take("t.xlsx")
    assert [row["d"] for row in found.rows] == ["1900-02-29", "-5", "0", "3000000", "2020-01-02 06:00:00"]
    assert found.notes == ("t.xlsx, sheet S: column 'd' holds moments and numbers and texts; it is read as text",)


@pytest.mark.parametrize(("code", "kind"), [
    ('[$-409]d" day "mmm;@', "date32[day]"), ("0.00E+00", "int64"), ('#,##0 "days"', "int64"), ("[Red]0", "int64"),
    ("h:mm AM/PM", "timestamp[us]"), ("[mm]:ss", "duration[us]"), ("General", "int64"), ("mmmm", "date32[day]"),
    ("yyyy-mm-dd hh:mm", "date32[day]"), (r"0\d", "int64"),
])  # fmt: skip
def test_a_number_format_tells_a_moment_from_a_number(tmp_path: Path, take: Take, code: str, kind: str) -> None:
    book = put(tmp_path / "t.xlsx", ["n"], [43832])
    book.active["A2"].number_format = code
    book.save(tmp_path / "t.xlsx")
    assert take("t.xlsx").types == {"n": kind}


def test_a_column_of_several_kinds_is_text_and_loses_nothing(tmp_path: Path, take: Take) -> None:
    put(tmp_path / "t.xlsx", ["n"], [1], [0.1], ["x"], [date(2020, 1, 2)], [True])
    found = take("t.xlsx")
    assert [row["n"] for row in found.rows] == [
        "1", "0.1", "x", "2020-01-02", "true",
    ]  # fmt: skip
    assert found.notes == (
        "t.xlsx, sheet S: column 'n' holds dates and numbers and texts and truth values; it is read as text",
    )


def test_digits_that_a_double_would_round_are_kept(tmp_path: Path, take: Take) -> None:
    """Excel rounds them itself; other writers do not."""
    put(tmp_path / "t.xlsx", ["n", "m"], [1, 1], [7777, 8888])
    sheet = zipfile.ZipFile(tmp_path / "t.xlsx").read("xl/worksheets/sheet1.xml")
    longer = sheet.replace(b"7777", b"9007199254740993").replace(b"8888", b"-100000000000000000001")
    replaced(tmp_path / "t.xlsx", "xl/worksheets/sheet1.xml", longer)
    found = take("t.xlsx")
    assert found.rows == [{"n": 1, "m": "1"}, {"n": 9007199254740993, "m": "-100000000000000000001"}]
    assert found.types["n"] == "int64"


def test_error_cells_are_kept_or_null_or_refused_with_their_place(tmp_path: Path, take: Take) -> None:
    put(tmp_path / "t.xlsx", ["a", "b"], [1, 2], ["#DIV/0!", 3], [5, "#N/A"])
    with pytest.raises(DataError, match="2 of 3 rows do not fit"):
        take("t.xlsx", errors="quarantine")
    found = take("t.xlsx")
    assert [row["a"] for row in found.rows] == ["1", "#DIV/0!", "5"]
    assert found.notes == ("t.xlsx, sheet S: 2 error cells are kept as text, as #DIV/0! in A3, #N/A in B4",)
    found = take("t.xlsx", errors="null")
    assert found.rows == [{"a": 1, "b": 2}, {"a": None, "b": 3}, {"a": 5, "b": None}]
    assert found.notes == ("t.xlsx, sheet S: 2 error cells are read as null, as #DIV/0! in A3, #N/A in B4",)
    found = take("t.xlsx", errors="quarantine", misfit_limit=0.9)
    assert found.rows == [{"a": 1, "b": 2}]
    assert [(one["_reasons"], one["_line"], one["_origin_detail"]) for one in found.misfits] == [
        (["error_cell"], '{"A": "#DIV/0!", "B": "3"}', '{"cells":["A3"],"line":3,"sheet":"S"}'),
        (["error_cell"], '{"A": "5", "B": "#N/A"}', '{"cells":["B4"],"line":4,"sheet":"S"}'),
    ]
    with pytest.raises(DataError, match=r"t\.xlsx, sheet S: cell A3 holds an error\. Got: #DIV/0!"):
        take("t.xlsx", errors="refuse")
    with pytest.raises(ConfigurationError, match=r"Got: drop\. Valid: keep, null, quarantine, refuse"):
        take("t.xlsx", errors="drop")


def test_a_formula_that_was_never_computed_is_no_empty_cell(tmp_path: Path, take: Take) -> None:
    put(tmp_path / "t.xlsx", ["a", "b"], [1, "=A2*2"])
    with pytest.raises(DataError, match="cell B2 has a formula that no program has computed"):
        take("t.xlsx")
    assert take("t.xlsx", range="A:A").rows == [{"a": 1}]
    assert take("t.xlsx", errors="null").rows == [{"a": 1, "b": None}]


def test_sheets_by_name_and_number_and_all_with_what_is_left_out_told(tmp_path: Path, take: Take) -> None:
    book = put(tmp_path / "t.xlsx", ["a"], [1], sheet="2023")
    for name, state in (("2024", "visible"), ("secret", "hidden"), ("deeper", "veryHidden")):
        sheet = book.create_sheet(name)
        sheet.append(["a"])
        sheet.append([f"in {name}"])
        sheet.sheet_state = state
    book.create_chartsheet("chart")
    book.save(tmp_path / "t.xlsx")
    found = take("t.xlsx")
    assert found.rows == [{"a": 1}]
    assert found.notes == ("t.xlsx: of its sheets 2023 alone is read, not 2024, secret (hidden), deeper (hidden)",)
    assert take("t.xlsx", sheet="2024").rows == take("t.xlsx", sheet=2).rows == [{"a": "in 2024"}]
    assert take("t.xlsx", sheet="Deeper ").rows == [{"a": "in deeper"}]
    found = take("t.xlsx", sheet="*")
    assert found.rows == [{"sheet": "2023", "a": 1}, {"sheet": "2024", "a": "in 2024"}]
    assert found.notes == ("t.xlsx: hidden sheets are not read: secret, deeper",)
    assert take("t.xlsx", sheet=["secret", 1]).rows == [
        {"sheet": "secret", "a": "in secret"},
        {"sheet": "2023", "a": 1},
    ]
    for wanted, valid in (("2025", "2023, 2024, deeper, secret"), (5, "1 to 4"), ("chart", "2023")):
        with pytest.raises(ConfigurationError, match=valid):
            take("t.xlsx", sheet=wanted)


def test_a_table_somewhere_in_a_sheet(tmp_path: Path, take: Take) -> None:
    put(tmp_path / "t.xlsx", ["Report of 2023"], [], [None, "id", "name", "comment"], [None, 1, "a", "x"],
        [], [None, 2, "b", None], ["total", 3])  # fmt: skip
    assert take("t.xlsx", range="B3:C6").rows == [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    assert take("t.xlsx", range="B3:C6").notes == ("t.xlsx, sheet S: 1 blank rows are left out",)
    assert take("t.xlsx", range="B:C", skip=2).rows[-1] == {"id": 3, "name": None}
    assert take("t.xlsx", range="B4:C4", header=False).rows == [{"column_B": 1, "column_C": "a"}]
    assert "row 1 is read as the header and holds one cell; if it is a title, say skip=1" in take("t.xlsx").notes[-1]
    for wrong in ("B3:C", "$B$3:$C$7"):
        assert take("t.xlsx", range=wrong).rows[0] == {"id": 1, "name": "a"}
    for wrong in ("C6:B3", "3:4:5", "", "first", "A1:ZZZ9"):
        with pytest.raises((ConfigurationError, DataError)):
            take("t.xlsx", range=wrong)


def test_merged_and_doubled_and_missing_headers(tmp_path: Path, take: Take) -> None:
    book = put(tmp_path / "t.xlsx", ["id", "2023", None, "2024", None, None],
               [None, "sum", "count", "sum", "count", None],
               [1, 2, 3, 4, 5, "loose"], [6, 7, 8, 9, 10, None])  # fmt: skip
    for cells in ("A1:A2", "B1:C1", "D1:E1", "B3:B4"):
        book.active.merge_cells(cells)
    book.save(tmp_path / "t.xlsx")
    found = take("t.xlsx", header=2)
    assert found.rows[0] == {
        "id": 1, "2023_sum": 2, "2023_count": 3, "2024_sum": 4, "2024_count": 5, "column_F": "loose",
    }  # fmt: skip
    assert found.notes == ("t.xlsx, sheet S: 1 merged areas, as at B3, hold their value in their first cell alone",)
    put(tmp_path / "u.xlsx", ["a", "A", "a", None, 2023, date(2020, 1, 2)], [1, 2, 3, 4, 5, 6])
    assert list(take("u.xlsx").rows[0]) == ["a", "A__2", "a__3", "column_D", "2023", "2020-01-02"]


def test_a_sheet_without_rows_or_cells(tmp_path: Path, take: Take) -> None:
    put(tmp_path / "t.xlsx", ["a", "b"])
    assert (take("t.xlsx").rows, take("t.xlsx").types) == ([], {"a": "null", "b": "null"})
    put(tmp_path / "t.xlsx")
    assert take("t.xlsx").notes == ("t.xlsx, sheet S holds no cells",)


def test_a_large_sheet_passes_in_batches(tmp_path: Path, take: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("S")
    sheet.append(["n", "t"])
    for number in range(20_000):
        sheet.append([number, "text" * 5])
    book.save(tmp_path / "t.xlsx")
    held = take("t.xlsx", batch_bytes=100_000)
    monkeypatch.setattr("penstock.extract.files.formats.spreadsheets.reading._HELD", 1000)
    found = take("t.xlsx", batch_bytes=100_000)
    assert [row["n"] for row in found.rows] == list(range(20_000))
    assert found == held
    assert found.batches > 5
    assert found.largest < 200_000


def test_a_cell_at_the_far_corner_costs_nothing(tmp_path: Path, take: Take) -> None:
    book = put(tmp_path / "t.xlsx", ["a"], [1])
    book.active["XFD1048576"] = 2
    book.save(tmp_path / "t.xlsx")
    assert take("t.xlsx").rows == [{"a": 1, "column_XFD": None}, {"a": None, "column_XFD": 2}]


def test_a_binary_workbook(tmp_path: Path, take: Take) -> None:
    with XlsbWriter(str(tmp_path / "t.xlsb")) as writer:
        writer.add_sheet("S")
        writer.write_sheet([
            ["whole", "float", "text", "day", "moment", "truth", "none"],
            [1, 1.5, "é€", date(2020, 1, 2), MOMENT, True, None],
            [-(2**40), 0.1, "007", date(1900, 3, 1), None, False, None],
        ])  # fmt: skip
        writer.add_sheet("hidden", hidden=True)
        writer.write_sheet([["a"], [1]])
    found = take("t.xlsb")
    assert found.rows == [
        {"whole": 1, "float": 1.5, "text": "é€", "day": date(2020, 1, 2), "moment": MOMENT, "truth": True,
         "none": None},
        {"whole": -(2**40), "float": 0.1, "text": "007", "day": date(1900, 3, 1), "moment": None, "truth": False,
         "none": None},
    ]  # fmt: skip
    assert found.notes == ("t.xlsb: of its sheets S alone is read, not hidden (hidden)",)
    assert take("t.xlsb", sheet=2).rows == [{"a": 1}]


@pytest.mark.parametrize("since_1904", [False, True])
def test_an_old_workbook(tmp_path: Path, take: Take, since_1904: bool) -> None:
    book = xlwt.Workbook()
    book.dates_1904 = since_1904
    sheet = book.add_sheet("S")
    day, clock = xlwt.XFStyle(), xlwt.XFStyle()
    day.num_format_str, clock.num_format_str = "yyyy-mm-dd", "h:mm:ss"
    sheet.write_merge(0, 0, 0, 1, "both")
    for place, name in enumerate(["whole", "float", "text", "day", "clock", "truth", "fault"]):
        sheet.write(1, place, name)
    sheet.write(2, 0, 7)
    sheet.write(2, 1, 1.5)
    sheet.write(2, 2, "007 é")
    sheet.write(2, 3, 43832, day)
    sheet.write(2, 4, 0.5, clock)
    sheet.write(2, 5, True)
    sheet.row(2).set_cell_error(6, "#DIV/0!")
    book.add_sheet("hidden").visibility = 1
    book.save(str(tmp_path / "t.xls"))
    found = take("t.xls", header=2)
    assert found.rows == [
        {"both_whole": 7, "both_float": 1.5, "text": "007 é", "clock": time(12), "truth": True, "fault": "#DIV/0!",
         "day": date(2024, 1, 3) if since_1904 else date(2020, 1, 2)},
    ]  # fmt: skip
    assert found.notes == (
        "t.xls: of its sheets S alone is read, not hidden (hidden)",
        "t.xls, sheet S: 1 error cells are kept as text, as #DIV/0! in G3",
    )


def ods_row(table: Table, *cells: tuple[dict[str, Any], list[str]], **attributes: Any) -> None:
    row = TableRow(**attributes)
    for given, lines in cells:
        cell = TableCell(**given)
        for line in lines:
            cell.addElement(P(text=line))
        row.addElement(cell)
    table.addElement(row)


def text(*lines: str, **more: Any) -> tuple[dict[str, Any], list[str]]:
    return {"valuetype": "string", **more}, list(lines)


def test_an_open_document(tmp_path: Path, take: Take) -> None:
    book = OpenDocumentSpreadsheet()
    style = Style(name="away", family="table")
    style.addElement(TableProperties(display="false"))
    book.automaticstyles.addElement(style)
    table = Table(name="S")
    names = ["whole", "money", "text", "day", "moment", "clock", "span", "truth"]
    ods_row(table, *(text(name) for name in names), ({"numbercolumnsrepeated": 1000}, []))
    ods_row(
        table,
        ({"valuetype": "float", "value": "1"}, ["1"]),
        ({"valuetype": "currency", "currency": "EUR", "value": "1.5"}, ["1,50 €"]),
        text("two", "lines"),
        ({"valuetype": "date", "datevalue": "2020-01-02"}, ["2.1.20"]),
        ({"valuetype": "date", "datevalue": "2020-01-02T03:04:05"}, []),
        ({"valuetype": "time", "timevalue": "PT01H02M03S"}, []),
        ({"valuetype": "time", "timevalue": "PT30H00M00.5S"}, []),
        ({"valuetype": "boolean", "booleanvalue": "true"}, ["WAHR"]),
    )
    ods_row(table, ({"valuetype": "float", "value": "2", "numbercolumnsrepeated": 2}, ["2"]), text("007"),
            numberrowsrepeated=2)  # fmt: skip
    ods_row(table, ({"numbercolumnsrepeated": 16384}, []), numberrowsrepeated=1_048_000)
    book.spreadsheet.addElement(table)
    book.spreadsheet.addElement(Table(name="hidden", stylename=style))
    book.save(str(tmp_path / "t.ods"))
    found = take("t.ods")
    rest = dict.fromkeys(names[3:])
    assert found.rows == [
        {"whole": 1, "money": 1.5, "text": "two\nlines", "day": date(2020, 1, 2), "moment": MOMENT,
         "clock": time(1, 2, 3), "span": timedelta(hours=30, seconds=0.5), "truth": True},
        {"whole": 2, "money": 2.0, "text": "007", **rest},
        {"whole": 2, "money": 2.0, "text": "007", **rest},
    ]  # fmt: skip
    assert found.notes == ("t.ods: of its sheets S alone is read, not hidden (hidden)",)


def test_an_open_document_with_merged_headers_and_formulas(tmp_path: Path, take: Take) -> None:
    book = OpenDocumentSpreadsheet()
    table = Table(name="S")
    row = TableRow()
    row.addElement(merged := TableCell(valuetype="string", numbercolumnsspanned=2))
    merged.addElement(P(text="both"))
    row.addElement(CoveredTableCell())
    table.addElement(row)
    ods_row(table, text("a"), text("b"))
    ods_row(table, ({"valuetype": "float", "value": "1"}, []), ({"formula": "of:=1+1"}, []))
    book.spreadsheet.addElement(table)
    book.save(str(tmp_path / "t.ods"))
    assert take("t.ods", header=2, errors="null").rows == [{"both_a": 1, "both_b": None}]
    with pytest.raises(DataError, match="cell B3 has a formula that no program has computed"):
        take("t.ods")


def test_repetition_without_end_is_refused(tmp_path: Path, take: Take) -> None:
    book = OpenDocumentSpreadsheet()
    table = Table(name="S")
    ods_row(table, text("x", numbercolumnsrepeated=16_000), numberrowsrepeated=1_000_000)
    book.spreadsheet.addElement(table)
    book.save(str(tmp_path / "t.ods"))
    with pytest.raises(DataError, match=r"t\.ods, sheet S repeats its cells without end"):
        take("t.ods")


def test_a_password_is_told(tmp_path: Path, take: Take) -> None:
    put(tmp_path / "plain.xlsx", ["a"], [1])
    with open(tmp_path / "plain.xlsx", "rb") as plain, open(tmp_path / "t.xlsx", "wb") as target:
        OOXMLFile(plain).encrypt("secret", target)
    with open(tmp_path / "t.xlsx", "rb") as written:
        assert msoffcrypto.OfficeFile(written).is_encrypted()
    with pytest.raises(DataError, match=r"t\.xlsx is locked with a password\. Save it without one"):
        take("t.xlsx")


def replaced(path: Path, part: str, content: bytes) -> None:
    """Write a workbook anew with one of its parts changed."""
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    assert part in parts
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, data in {**parts, part: content}.items():
            new.writestr(name, data)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, take: Take) -> None:
    put(tmp_path / "t.xlsx", ["a"], [1])
    sheet = zipfile.ZipFile(tmp_path / "t.xlsx").read("xl/worksheets/sheet1.xml")
    replaced(tmp_path / "t.xlsx", "xl/worksheets/sheet1.xml", sheet + b" " * 2**28)
    assert (tmp_path / "t.xlsx").stat().st_size < 500_000
    with pytest.raises(DataError, match=r"t\.xlsx unpacks to .* made to harm"):
        take("t.xlsx")


def test_entities_in_a_part_are_refused(tmp_path: Path, take: Take) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    put(tmp_path / "t.xlsx", ["a"], ["b"])
    sheet = zipfile.ZipFile(tmp_path / "t.xlsx").read("xl/worksheets/sheet1.xml")
    outside = f'<!DOCTYPE x [<!ENTITY e SYSTEM "{tmp_path}/secret.txt">]>'.encode()
    replaced(tmp_path / "t.xlsx", "xl/worksheets/sheet1.xml", outside + sheet.replace(b"<t>b</t>", b"<t>&e;</t>"))
    with pytest.raises(DataError, match=r"t\.xlsx, sheet S declares a document type"):
        take("t.xlsx")


@pytest.mark.parametrize("name", ["t.xlsx", "t.xlsb", "t.xls", "t.ods"])
def test_a_cut_or_foreign_file_is_refused_by_name(tmp_path: Path, take: Take, name: str) -> None:
    put(tmp_path / "t.xlsx", ["a"], *([number] for number in range(500)))
    with XlsbWriter(str(tmp_path / "t.xlsb")) as writer:
        writer.add_sheet("S")
        writer.write_sheet([["a"], *([number] for number in range(500))])
    old = xlwt.Workbook()
    sheet = old.add_sheet("S")
    for number in range(500):
        sheet.write(number, 0, f"text {number}")
    old.save(str(tmp_path / "t.xls"))
    book = OpenDocumentSpreadsheet()
    book.spreadsheet.addElement(Table(name="S"))
    book.save(str(tmp_path / "t.ods"))
    whole = (tmp_path / name).read_bytes()
    for content in (whole[: len(whole) // 2], whole[:30], b"a;b\n1;2\n", b"<html><table></table></html>"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=name):
            take(name)


def test_a_workbook_under_another_ending_is_read_by_its_bytes(tmp_path: Path, take: Take) -> None:
    put(tmp_path / "t.xlsx", ["a"], [1])
    (tmp_path / "t.xlsx").rename(tmp_path / "t.xls")
    assert take("t.xls").rows == [{"a": 1}]


def test_a_workbook_reaches_the_warehouse_with_its_types(tmp_path: Path) -> None:
    book = put(tmp_path / "t.xlsx", ["id", "price\n(EUR), net", "at", "span"], [1, 1.5, MOMENT, None])
    book.active["D2"] = timedelta(hours=30)
    book.active["D2"].number_format = "[h]:mm:ss"
    book.save(tmp_path / "t.xlsx")
    penstock.ingest(str(tmp_path / "t.xlsx"), to=str(tmp_path / "w.duckdb"), table="t")
    with duckdb.connect(str(tmp_path / "w.duckdb"), read_only=True) as warehouse:
        found = warehouse.sql("SELECT * EXCLUDE (_load, _created_at, _updated_at) FROM t")
        assert [str(type_) for type_ in found.types[:4]] == ["BIGINT", "DOUBLE", "TIMESTAMP", "INTERVAL"]
        assert found.columns[:4] == ["id", "price (EUR), net", "at", "span"]
        assert found.fetchall()[0][:4] == (1, 1.5, MOMENT, timedelta(hours=30))
