from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import ConfigurationError, DataError

Take = Callable[..., Any]
PEOPLE = "00001Ada       18151210  12.50\n00002Alan      19120623   7\n00003Grace     19061209\n"
WIDTHS = {"id": 5, "name": 10, "born": 8, "sum": 7}


def put(path: Path, text: str, encoding: str = "utf-8") -> None:
    path.write_bytes(text.encode(encoding))


def test_widths_that_are_said(tmp_path: Path, take: Take) -> None:
    lines = [line.ljust(30) for line in PEOPLE.splitlines()]
    put(tmp_path / "t.fwf", "\n".join(lines))
    found = take("t.fwf", widths=WIDTHS, times={"born": "%Y%m%d"})
    assert found.rows == [
        {"id": "00001", "name": "Ada", "born": date(1815, 12, 10), "sum": 12.5},
        {"id": "00002", "name": "Alan", "born": date(1912, 6, 23), "sum": 7.0},
        {"id": "00003", "name": "Grace", "born": date(1906, 12, 9), "sum": None},
    ]
    assert found.types == {"id": "string", "name": "string", "born": "date32[day]", "sum": "double"}
    typed = take("t.fwf", widths=WIDTHS, types={"id": "BIGINT", "sum": "DECIMAL(9,2)", "born": "VARCHAR"}).rows[0]
    assert typed == {"id": 1, "name": "Ada", "born": "18151210", "sum": Decimal("12.50")}
    assert list(take("t.fwf", widths=[5, 25], header=False).rows[0]) == ["column1", "column2"]
    assert take("t.fwf", columns={"name": [6, 15], "year": [16, 19]}, on_ragged="pad").rows[1] == {
        "name": "Alan", "year": 1912,
    }  # fmt: skip


@pytest.mark.parametrize(("line", "told"), [(2, "27"), (3, "23")])
def test_a_line_of_another_length_is_refused_by_its_number(tmp_path: Path, take: Take, line: int, told: str) -> None:
    lines = [text.ljust(30) for text in PEOPLE.splitlines()]
    lines[line - 1] = lines[line - 1].rstrip()
    put(tmp_path / "t.fwf", "\n".join(lines))
    with pytest.raises(
        DataError, match=rf"Line {line} of t\.fwf has {told} characters, its columns 30.*on_ragged='pad'"
    ):
        take("t.fwf", widths=WIDTHS, on_ragged="refuse")
    assert len(take("t.fwf", widths=WIDTHS, on_ragged="pad").rows) == 3
    lines[line - 1] = "x" * 31
    put(tmp_path / "t.fwf", "\r\n".join(lines))
    with pytest.raises(DataError, match=rf"Line {line} of t\.fwf has 31 characters, its columns 30"):
        take("t.fwf", widths=WIDTHS, on_ragged="pad", misfit_limit=0)


def test_lines_that_do_not_fit_are_set_aside_with_their_numbers(tmp_path: Path, take: Take) -> None:
    lines = [f"{number:5}{'name':10}" for number in range(40)]
    lines[3], lines[7], lines[9] = "    3too short", lines[7] + "x", "seven".ljust(15)
    put(tmp_path / "t.fwf", "\n".join(lines))
    found = take("t.fwf", widths={"n": 5, "name": 10}, types={"n": "BIGINT"})
    assert [row["n"] for row in found.rows] == [n for n in range(40) if n not in (3, 7, 9)]
    assert [(one["_reasons"], one["_line"], one["_origin"], one["_origin_detail"]) for one in found.misfits] == [
        (["line_too_long"], lines[7], "t.fwf", '{"line":8}'),
        (["line_too_short"], lines[3], "t.fwf", '{"line":4}'),
        (["wrong_type"], lines[9], "t.fwf", '{"line":10}'),
    ]
    put(tmp_path / "t.fwf", "\n".join([*lines, *["x" * 20] * 8]))
    with pytest.raises(DataError, match=r"Line 8 of t\.fwf .*; 11 of 48 rows do not fit, more than may be set aside"):
        take("t.fwf", widths={"n": 5, "name": 10}, types={"n": "BIGINT"})
    assert len(take("t.fwf", widths={"n": 5, "name": 10}, misfit_limit=0.3).misfits) == 10


def test_a_ruler_tells_the_columns(tmp_path: Path, take: Take) -> None:
    put(
        tmp_path / "t.fwf",
        "id    full name  sum\n----- ---------- ---\n00001 Ada L.       1\n\n00002 Alan        23 and more\n",
    )
    found = take("t.fwf")
    assert found.rows == [
        {"id": "00001", "full name": "Ada L.", "sum": "1"},
        {"id": "00002", "full name": "Alan", "sum": "23 and more"},
    ]
    put(tmp_path / "t.fwf", "=== ===\na   b\n=== ===\n1   2\n3   4\n=== ===\n")
    assert take("t.fwf").rows == [{"a": 1, "b": 2}, {"a": 3, "b": 4}]
    put(tmp_path / "t.fwf", "id  sum\n--- ---\n1   2\n1234567\n")
    with pytest.raises(
        DataError, match=r"Line 4 of t\.fwf has a character at place 4, which stands between two columns"
    ):
        take("t.fwf", on_ragged="refuse")


def test_blank_columns_tell_the_columns(tmp_path: Path, take: Take) -> None:
    put(tmp_path / "t.fwf", "Report\n\ncode  name       sum\n  7   Ada L.    1.50\n 12   Alan        23\n")
    assert take("t.fwf", skip=2).rows == [
        {"code": 7, "name": "Ada L.", "sum": 1.5}, {"code": 12, "name": "Alan", "sum": 23.0},
    ]  # fmt: skip
    assert list(take("t.fwf", skip=3, header=False, names=["a", "b", "c"]).rows[0]) == ["a", "b", "c"]
    put(tmp_path / "t.fwf", "abc\ndef\n")
    with pytest.raises(DataError, match=r"The columns of t\.fwf cannot be told"):
        take("t.fwf")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252", "shift_jis"])
def test_places_are_characters_in_every_encoding(tmp_path: Path, take: Take, encoding: str) -> None:
    name = "日本" if encoding == "shift_jis" else "Zoë"
    put(tmp_path / "t.fwf", f"{name.ljust(4)}1\r\n{name.ljust(4)}2\r\n", encoding)
    told = {"encoding": encoding} if encoding in ("cp1252", "shift_jis") else {}
    found = take("t.fwf", widths={"name": 4, "n": 1}, **told)
    assert found.rows == [{"name": name, "n": 1}, {"name": name, "n": 2}]
    (tmp_path / "t.fwf.gz").write_bytes(gzip.compress((tmp_path / "t.fwf").read_bytes()))
    assert take("t.fwf.gz", widths={"name": 4, "n": 1}, **told).rows == found.rows


def test_a_column_takes_a_type_only_where_no_value_changes(tmp_path: Path, take: Take) -> None:
    columns = {
        "whole": ["1", "-12", "0"], "zeros": ["007", "8", "9"], "plus": ["+1", "2", "3"], "float": ["1", "2.5", "-0.1"],
        "digits": ["1234567890123456", "1.5", "2"], "large": ["123456789012345678", "1", "2"],
        "huge": ["12345678901234567890", "1", "2"], "day": ["2020-02-29", "1999-12-31", "0001-01-01"],
        "noday": ["2021-02-29", "1999-12-31", "0001-01-01"],
        "moment": ["2020-01-02 03:04:05", "2020-01-02T03:04:05.123456", "2020-01-02 00:00:00"],
        "zoned": ["2020-01-02T03:04:05+01:00", "2020-01-02 03:04:05Z", "2020-01-02 03:04:05-0530"],
        "truth": ["true", "False", "TRUE"], "yes": ["y", "n", "y"], "clock": ["23:59:59", "00:00:00", "01:02:03.5"],
        "exponent": ["1.5e3", "2.0E-7", "1"], "code": ["1e5", "2e5", "3e5"], "minus": ["-0", "1", "2"],
    }  # fmt: skip
    rows = ["".join(values[row].ljust(28) for values in columns.values()) for row in range(3)]
    put(tmp_path / "t.fwf", "\n".join(rows))
    found = take("t.fwf", widths=dict.fromkeys(columns, 28))
    assert found.types == {
        "whole": "int64", "zeros": "string", "plus": "string", "float": "double", "digits": "string", "large": "int64",
        "huge": "string", "day": "date32[day]", "noday": "string", "moment": "timestamp[us]",
        "zoned": "timestamp[us, tz=UTC]", "truth": "bool", "yes": "string", "clock": "time64[us]",
        "exponent": "double", "code": "string", "minus": "string",
    }  # fmt: skip
    assert found.rows[1]["moment"] == datetime(2020, 1, 2, 3, 4, 5, 123456)  # noqa: DTZ001
    assert found.rows[2]["zeros"] == "9"


def test_null_has_other_spellings_too(tmp_path: Path, take: Take) -> None:
    put(tmp_path / "t.fwf", "1  a\nNA b\n-  c\n")
    assert take("t.fwf", widths={"n": 3, "t": 1}, nulls=["NA", "-"]).rows == [
        {"n": 1, "t": "a"}, {"n": None, "t": "b"}, {"n": None, "t": "c"},
    ]  # fmt: skip


def test_a_value_of_another_type_far_below_is_refused_by_its_line(
    tmp_path: Path, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.extract.files.formats.texts.LOOKED_AT", 1000)
    lines = [f"{number:7}x" for number in range(300_000)]
    lines[299_000] = "secret x"
    put(tmp_path / "t.fwf", "\n".join(lines))
    with pytest.raises(
        DataError, match=r"Line 299001 of t\.fwf holds a value in column 'n' that is not of type BIGINT"
    ) as met:
        take("t.fwf", widths={"n": 7, "t": 1}, batch_bytes=100_000, on_ragged="refuse")
    assert "secret" not in str(met.value)
    lines[299_000] = "      1x"
    put(tmp_path / "t.fwf", "\n".join(lines))
    found = take("t.fwf", widths={"n": 7, "t": 1}, batch_bytes=100_000)
    assert [row["n"] for row in found.rows] == [*range(299_000), 1, *range(299_001, 300_000)]
    assert found.largest < 200_000


def test_what_cannot_be_is_told(tmp_path: Path, take: Take) -> None:
    put(tmp_path / "t.fwf", "1  a\n")
    for options, told in (
        ({"widths": [0, 1]}, "widths of t.fwf are none"), ({"widths": "5,3"}, "widths of t.fwf are none"),
        ({"columns": {"a": [3, 1]}}, "'a' of t.fwf has no place"),
        ({"widths": [1, 2], "names": ["a"]}, "2 widths, but 1"),
        ({"widths": {"a": 4}, "types": {"b": "BIGINT"}}, "no column 'b'"),
        ({"widths": {"a": 4}, "types": {"a": "BIGNIT"}}, "type or time format of t.fwf is not known"),
        ({"widths": {"a": 4}, "encoding": "klingon"}, "encoding of t.fwf is not known"),
        ({"widths": {"a": 4}, "on_ragged": "cut"}, "Valid: quarantine, refuse, pad"),
        ({"widths": {"a": 4}, "skip": -1}, "option skip"),
    ):  # fmt: skip
        with pytest.raises(ConfigurationError, match=told.replace(".", r"\.")):
            take("t.fwf", **options)
    put(tmp_path / "t.fwf", "Zo\xeb\n", "latin-1")
    with pytest.raises(DataError, match=r"t\.fwf is not written in utf-8 at line 1"):
        take("t.fwf", widths={"a": 3}, encoding="utf-8")
