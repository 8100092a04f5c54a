from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from draining import Read, read

from penstock.errors import ConfigurationError, DataError, TransientError
from penstock.extract.files.source import FilesSource
from penstock.extract.port import Request
from penstock.model.interval import Interval
from penstock.model.specs import ConnectionSpec, SourceSpec, WriteMode

Put = Callable[[str, str | bytes], Path]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    def run(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return run


@pytest.fixture
def take(tmp_path: Path) -> Callable[..., Read]:
    def run(path: str, *, position: Any = None, write: WriteMode = WriteMode.APPEND, **options: Any) -> Read:
        return read(FilesSource(), asked(tmp_path, path, position, write, **options))

    return run


def asked(root: Path, path: str, position: Any = None, write: WriteMode = WriteMode.APPEND, **options: Any) -> Request:
    source = SourceSpec(table="t", kind="files", options={"path": path, **options}, write=write)
    return Request(source=source, root=str(root), position=position)


Take = Callable[..., Read]


def test_csv_types_are_inferred_without_losing_anything(put: Put, take: Take) -> None:
    put(
        "t.csv",
        "id,zip,price,day,at,us,big,flag,text\n"
        "1,01234,1.5,2013-01-05,2013-01-05T10:00:00Z,01/02/2013,12345678901234567890,true,\n"
        '2,99999,2,2013-01-06,2013-01-05 10:00:00+02,03/04/2013,1.5,false,""\n',
    )
    found = take("t.csv")
    assert found.types == {
        "id": "BIGINT",
        "zip": "VARCHAR",
        "price": "DOUBLE",
        "day": "DATE",
        "at": "TIMESTAMP WITH TIME ZONE",
        "us": "VARCHAR",
        "big": "VARCHAR",
        "flag": "BOOLEAN",
        "text": "VARCHAR",
    }
    first, second = found.rows or []
    assert (first["zip"], first["us"], first["big"]) == ("01234", "01/02/2013", "12345678901234567890")
    assert first["at"].astimezone(UTC) == datetime(2013, 1, 5, 10, tzinfo=UTC)
    assert (first["text"], second["text"]) == (None, "")
    assert any("big holds numbers with more digits" in note for note in found.notes)


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        ("bom.csv", b"\xef\xbb\xbfa,b\n1,x\n", [{"a": 1, "b": "x"}]),
        ("utf16.csv", "a,b\n1,é\n".encode("utf-16"), [{"a": 1, "b": "é"}]),
        ("semicolon.csv", b"a;b\n1;x,y\n", [{"a": 1, "b": "x,y"}]),
        ("tab.tsv", b"a\tb\n1\tx,y\n", [{"a": 1, "b": "x,y"}]),
        ("crlf.csv", b'a,b\r\n1,"x\ny"\r\n', [{"a": 1, "b": "x\ny"}]),
        ("quotes.csv", b'a,b\n1,"say ""hi"", ok"\n', [{"a": 1, "b": 'say "hi", ok'}]),
        ("blank.csv", b"a,b\n\n1,x\n\n", [{"a": 1, "b": "x"}]),
        ("nul.csv", b"a,b\n1,x\0y\n", [{"a": 1, "b": "x\0y"}]),
        ("unnamed.csv", b"a,,c\n1,2,3\n", [{"a": 1, "column2": 2, "c": 3}]),
        ("packed.csv.gz", gzip.compress(b"a,b\n1,x\n", mtime=0), [{"a": 1, "b": "x"}]),
        ("packed.csv", gzip.compress(b"a,b\n1,x\n", mtime=0), [{"a": 1, "b": "x"}]),
        ("plain.csv.gz", b"a,b\n1,x\n", [{"a": 1, "b": "x"}]),
    ],
)
def test_csv_as_it_is_met(put: Put, take: Take, name: str, content: bytes, rows: list[dict[str, Any]]) -> None:
    put(name, content)
    found = take(name)
    assert found.rows == rows
    said = {"packed.csv": ("packed.csv is compressed by gzip, though its name does not say so",)}
    said["plain.csv.gz"] = ("plain.csv.gz is not compressed, though its name says so",)
    assert found.notes == said.get(name, ())


def test_latin1_bytes_are_read_and_said_so_also_late_in_the_file(put: Put, take: Take) -> None:
    put("l.csv", b"a,b\n" + b"1,x\n" * 400_000 + "2,café\n".encode("latin-1"))
    found = take("l.csv")
    assert (found.rows or [])[-1] == {"a": 2, "b": "café"}
    assert found.notes == ("l.csv is not UTF-8; it is read as Latin-1",)


def test_repeated_headers_are_numbered_and_said_so(put: Put, take: Take) -> None:
    put("d.csv", "a,a,A,filename\n1,2,3,4\n")
    found = take("d.csv")
    assert found.rows == [{"a": 1, "a__2": 2, "A__3": 3, "filename": 4}]
    assert len(found.notes) == 2


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("a,b\n1,x\n2\n3,y\n", "Line 3 of r.csv has 1 fields, its header 2"),
        ("a,b\n1,x\n3,y,z\n", "Line 3 of r.csv has 3 fields, its header 2"),
        ("a,b\n1,x,y\n", "Line 2 of r.csv has 3 fields, its header 2"),
        ('a,b\n1,"x\n2,y\n', "Line 2 of r.csv opens a quote that is not closed"),
    ],
)
def test_a_row_that_does_not_fit_stops_with_its_line_and_without_its_data(
    put: Put, take: Take, content: str, sentence: str
) -> None:
    put("r.csv", content.replace("x", "secret"))
    with pytest.raises(DataError, match=sentence) as met:
        take("r.csv", on_ragged="refuse")
    assert "secret" not in str(met.value)


def test_a_header_alone_gives_columns_and_a_file_without_a_byte_a_note(put: Put, take: Take) -> None:
    put("head.csv", "a,b\n")
    put("none.csv", "")
    put("none.json", "")
    put("list.json", "[]")
    assert take("head.csv").types == {"a": "VARCHAR", "b": "VARCHAR"}
    assert take("head.csv").rows == []
    for name, note in (("none.csv", "is empty"), ("none.json", "is empty"), ("list.json", "holds no records")):
        found = take(name)
        assert (found.rows, found.batches) == ([], 0)
        assert found.notes == (f"{name} {note}",)


def test_csv_options_choose_nulls_types_and_delimiter(put: Put, take: Take) -> None:
    put("o.csv", "# made by hand\na|b|c\nNA|7|-\n2|8|x\n")
    options = {"delimiter": "|", "nulls": ["NA", "-"], "types": {"b": "VARCHAR"}, "comment": "#"}
    expected = [{"a": None, "b": "7", "c": None}, {"a": 2, "b": "8", "c": "x"}]
    assert take("o.csv", **options).rows == expected
    assert take("o.csv", csv=options).rows == expected
    assert take("o.csv", csv=options).types["a"] == "BIGINT"
    put("bare.csv", "1,x\n2,y\n")
    assert take("bare.csv", header=False).rows == [{"column1": 1, "column2": "x"}, {"column1": 2, "column2": "y"}]


def test_options_that_cannot_be_are_refused(put: Put, take: Take, tmp_path: Path) -> None:
    put("o.csv", "a,b\n1,x\n")
    with pytest.raises(ConfigurationError, match=r"no csv option 'nuls' .*Did you mean 'nulls'"):
        take("o.csv", csv={"nuls": ["NA"]})
    with pytest.raises(ConfigurationError, match=r"no option 'delimeter' .*Did you mean 'delimiter'"):
        take("o.csv", delimeter=";")
    with pytest.raises(ConfigurationError, match="no column 'aa'"):
        take("o.csv", types={"aa": "BIGINT"})
    with pytest.raises(ConfigurationError, match="types that DuckDB knows"):
        take("o.csv", types={"a": "BIGNIT"})
    with pytest.raises(ConfigurationError, match=r"encoding of o.csv is not known"):
        take("o.csv", encoding="klingon")
    with pytest.raises(ConfigurationError, match="unknown format"):
        take("o.csv", format="csw")
    with pytest.raises(ConfigurationError, match="records is for JSON"):
        take("o.csv", records="a")
    with pytest.raises(ConfigurationError, match=r"o.csx' names no file.*Did you mean 'o.csv'"):
        take("o.csx")
    with pytest.raises(ConfigurationError, match="names no file"):
        take("*.parquet")
    put("o.txt", "a")
    with pytest.raises(ConfigurationError, match=r"format of o.txt cannot be told"):
        take("o.txt")
    request = asked(tmp_path, "o.csv")
    with pytest.raises(ConfigurationError, match="cannot be read interval by interval"):
        FilesSource().open(Request(source=request.source, root=request.root, interval=Interval.parse("2013-01-05")))


def test_a_value_that_contradicts_a_declared_type_is_named_by_line_and_column(put: Put, take: Take) -> None:
    put("c.csv", "a,b\n1,x\nsecret,y\n")
    with pytest.raises(DataError, match=r"Line 3 of c.csv holds a value in column 'a' that is no BIGINT") as met:
        take("c.csv", types={"a": "BIGINT"}, on_ragged="refuse")
    assert "secret" not in str(met.value)


def test_files_of_one_shape_are_one_scan_and_others_their_own_in_order(put: Put, take: Take) -> None:
    put("in/2013/b.csv", "a,b\n3,z\n")
    put("in/2013/a.csv", "a,b\n1,x\n2.5,y\n")
    put("in/2014/c.csv", "a;c\n4;w\n")
    put("in/2014/.hidden.csv", "a\n9\n")
    put("in/2014/note.md", "no data")
    found = take("in")
    assert found.batches == 2
    assert found.rows == [
        {"a": 1.0, "b": "x"},
        {"a": 2.5, "b": "y"},
        {"a": 3.0, "b": "z"},
        {"a": 4, "c": "w"},
    ]
    assert sorted(found.position["files"]) == ["in/2013/a.csv", "in/2013/b.csv", "in/2014/c.csv"]
    assert len(take("in/**/*.csv").rows or []) == 4
    assert len(take("in/2013/*.csv").rows or []) == 3


def test_origins_name_each_file_of_a_scan(put: Put, tmp_path: Path) -> None:
    put("a1.csv", "a\n1\n")
    put("a2.csv", "a\n2\n")
    extraction = FilesSource().open(asked(tmp_path, "a*.csv"))
    assert extraction is not None
    (scan,) = extraction.batches()
    extraction.close()
    assert [uri for uri, _ in scan.origins] == ["a1.csv", "a2.csv"]
    assert all(detail["sha256"] for _, detail in scan.origins)


def test_only_new_and_changed_files_are_read_again(put: Put, take: Take) -> None:
    path = put("f1.csv", "a\n1\n")
    put("f2.csv", "a\n2\n")
    first = take("f*.csv")
    assert take("f*.csv", position=first.position).rows is None
    os.utime(path, ns=(1, 1))
    assert take("f*.csv", position=first.position).rows is None, "the time changed, the content did not"
    put("f3.csv", "a\n3\n")
    second = take("f*.csv", position=first.position)
    assert second.rows == [{"a": 3}]
    assert set(second.position["files"]) == {"f1.csv", "f2.csv", "f3.csv"}
    put("f2.csv", "a\n22\n")
    third = take("f*.csv", position=second.position)
    assert third.rows == [{"a": 22}]
    assert "are appended whole" in third.notes[0]
    merged = take("f*.csv", position=second.position, write=WriteMode.MERGE)
    assert merged.notes == ()
    path.unlink()
    assert take("f*.csv", position=third.position).rows is None


def test_replace_reads_all_files_after_any_change(put: Put, take: Take) -> None:
    path = put("f1.csv", "a\n1\n")
    put("f2.csv", "a\n2\n")
    first = take("f*.csv", write=WriteMode.REPLACE)
    assert take("f*.csv", write=WriteMode.REPLACE, position=first.position).rows is None
    put("f2.csv", "a\n3\n")
    second = take("f*.csv", write=WriteMode.REPLACE, position=first.position)
    assert second.rows == [{"a": 1}, {"a": 3}]
    path.unlink()
    third = take("f*.csv", write=WriteMode.REPLACE, position=second.position)
    assert third.rows == [{"a": 3}]
    assert "1 files that were read before are gone, as f1.csv" in third.notes
    (path.parent / "f2.csv").unlink()
    assert take("f*.csv", write=WriteMode.REPLACE, position=third.position).rows == []


def test_new_content_under_the_old_size_and_time_is_found_when_content_is_compared(put: Put, take: Take) -> None:
    path = put("f.csv", "a\n1\n")
    first = take("f.csv")
    before = path.stat()
    path.write_text("a\n2\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert take("f.csv", position=first.position).rows is None
    assert take("f.csv", position=first.position, compare="content").rows == [{"a": 2}]


def test_a_file_that_changes_while_it_is_read_is_a_transient_error(put: Put, tmp_path: Path) -> None:
    path = put("f.csv", "a\n1\n")
    extraction = FilesSource().open(asked(tmp_path, "f.csv"))
    assert extraction is not None
    batches = extraction.batches()
    next(batches)
    before = path.stat()
    path.write_text("a\n2\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(TransientError, match=r"f\.csv changed while it was read"):
        next(batches)
    with pytest.raises(TransientError):
        extraction.position()
    path.unlink()
    with pytest.raises(TransientError, match="vanished"):
        extraction.position()
    extraction.close()


def test_json_keeps_nesting_big_numbers_and_mixed_values(put: Put, take: Take) -> None:
    put(
        "j.json",
        json.dumps(
            [
                {"id": 18446744073709551615, "wei": 2**200, "at": "2013-01-05T10:00:00Z", "geo": {"lat": 1.5}, "m": 1},
                {"id": -1, "wei": 1, "at": None, "geo": {"tags": ["a"], "n": 9007199254740993}, "m": {"x": 1}},
            ]
        ),
    )
    found = take("j.json")
    assert found.types == {
        "id": "HUGEINT",
        "wei": "JSON",
        "at": "TIMESTAMP WITH TIME ZONE",
        "geo": "STRUCT(lat DOUBLE, tags VARCHAR[], n BIGINT)",
        "m": "JSON",
    }
    first, second = found.rows or []
    assert first["wei"] == str(2**200)
    assert second["geo"] == {"lat": None, "tags": ["a"], "n": 9007199254740993}
    assert (first["m"], second["m"]) == ("1", '{"x":1}')
    assert len(found.notes) == 2


def test_json_floats_beside_big_integers_stay_exact_also_deep_inside(put: Put, take: Take) -> None:
    put("j.jsonl", '{"a":{"b":[9007199254740993]}}\n{"a":{"b":[1.5]}}\n')
    found = take("j.jsonl")
    assert found.types == {"a": "STRUCT(b JSON[])"}
    assert found.notes == ('a."b"[*] holds numbers with more digits than DOUBLE carries; it is read as JSON text',)
    assert [row["a"] for row in found.rows or []] == [{"b": ["9007199254740993"]}, {"b": ["1.5"]}]


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        ("lines.jsonl", '{"a":1}\n{"a":2,"b":"x"}\n', [{"a": 1, "b": None}, {"a": 2, "b": "x"}]),
        ("lines.json", '{"a":1}\n{"a":2}\n', [{"a": 1}, {"a": 2}]),
        ("one.json", '{"a":1}', [{"a": 1}]),
        ("bom.json", '\ufeff[{"a":1}]', [{"a": 1}]),
        ("case.json", '[{"a":1,"A":2}]', [{"a": 1, "A_1": 2}]),
        ("suffix.json", '[{"a_1":1.5,"id":12345678901234567890}]', [{"a_1": 1.5, "id": 12345678901234567890}]),
        ("list.jsonl", '[{"a":1}, {"a":2}]', [{"a": 1}, {"a": 2}]),
        ("late.jsonl", '{"a":1}\n' * 30_000 + '{"a":"x"}\n', None),
        ("packed.jsonl.gz", gzip.compress(b'{"a":1}\n', mtime=0), [{"a": 1}]),
    ],
)
def test_json_as_it_is_met(put: Put, take: Take, name: str, content: str, rows: list[dict[str, Any]] | None) -> None:
    put(name, content)
    found = take(name)
    if rows is None:
        assert found.types == {"a": "JSON"}
        assert (found.rows or [])[-1] == {"a": '"x"'}
    else:
        assert found.rows == rows


def test_records_names_the_list_within_a_document(put: Put, take: Take) -> None:
    put("d.json", '{"meta":{"n":2},"data":{"items":[{"a":1,"x":{"y":1}},{"a":2}]}}')
    found = take("d.json", records="data.items")
    assert found.rows == [{"a": 1, "x": {"y": 1}}, {"a": 2, "x": None}]
    with pytest.raises(ConfigurationError, match=r"no key 'dat' .*Did you mean 'data'"):
        take("d.json", records="dat.items")
    with pytest.raises(ConfigurationError, match=r"nothing at records='data.itms'"):
        take("d.json", records="data.itms")
    with pytest.raises(ConfigurationError, match=r"no list at records='meta.n'"):
        take("d.json", records="meta.n")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"a":1}\n{"a":2', "not valid JSON near line"),
        ('{"a":1}\n{"a":2}garbage\n', "not valid JSON near line"),
        ("<html>log in</html>", "not valid JSON near line"),
        ('{"a":1,"a":2}\n', "has the same key twice"),
        (b'{"a":"caf\xe9"}\n', "not valid JSON near line"),
    ],
)
def test_json_that_is_none_is_refused_with_its_place(put: Put, take: Take, content: Any, sentence: str) -> None:
    put("b.jsonl", content)
    with pytest.raises(DataError, match=sentence):
        take("b.jsonl")


def test_parquet_of_several_schemas_is_united_by_name(put: Put, take: Take, tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1], "d": [date(2013, 1, 5)]}), tmp_path / "p1.parquet")
    pq.write_table(pa.table({"d": [date(2013, 1, 6)], "b": ["x"]}), tmp_path / "p2.parquet")
    pq.write_table(pa.table({"a": pa.array([], pa.int64())}), tmp_path / "p3.parquet")
    found = take("p*.parquet")
    assert found.rows == [
        {"a": 1, "d": date(2013, 1, 5), "b": None},
        {"a": None, "d": date(2013, 1, 6), "b": "x"},
    ]
    whole = (tmp_path / "p1.parquet").read_bytes()
    put("torn.parquet", whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"torn\.parquet is no whole Parquet file"):
        take("torn.parquet")


def test_a_connection_of_files_is_the_folder_that_paths_begin_in(put: Put, tmp_path: Path) -> None:
    put("shared/in/a.csv", "a\n1\n")
    request = Request(
        source=SourceSpec(table="t", kind="files", connection="drop", options={"path": "in/*.csv"}),
        connection=ConnectionSpec(name="drop", kind="files", url="shared"),
        root=str(tmp_path),
    )
    found = read(FilesSource(), request)
    assert list(found.position["files"]) == ["shared/in/a.csv"]


def test_describe_groups_files_and_remarks_on_bad_ones(put: Put, tmp_path: Path) -> None:
    put("in/planes-2013-01.csv", "tailnum,email\nN1,a@example.org\n")
    put("in/planes-2013-02.csv", "tailnum,email\nN2,b@example.org\nN3,c@example.org\n")
    put("in/ragged.csv", "a,b\n1\n")
    pq.write_table(pa.table({"a": [1, 2, 3]}), tmp_path / "in" / "p.parquet")
    described = {item.name: item for item in FilesSource().describe(asked(tmp_path, "in"))}
    planes = described["in/planes-[0-9]*.csv"]
    assert (planes.rows, planes.columns) == (3, {"tailnum": "VARCHAR", "email": "VARCHAR"})
    assert planes.remarks == (
        "sure: delimiter ',', quote \", one header row, utf-8",
        "email looks personal: an e-mail address",
    )
    assert (
        planes.suggestion == 'sources.files("in/planes-[0-9]*.csv", table="planes", write="append", personal=["email"])'
    )
    assert described["in/p.parquet"].rows == 3
    assert described["in/ragged.csv"].rows is None
    assert "Line 2 of in/ragged.csv has 1 fields" in described["in/ragged.csv"].remarks[-1]
