from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from pyarrow import feather, orc

import penstock
from penstock.errors import DataError
from penstock.extract.files.source import FilesSource
from penstock.extract.port import Request
from penstock.model.specs import SourceSpec

Take = Callable[..., Any]
TABLE = pa.table(
    {
        "id": pa.array(range(5000), pa.int64()),
        "text": pa.array(["a", None, "", "🐟", "x"] * 1000),
        "price": pa.array(
            [Decimal("1.50"), None, Decimal("-0.01"), Decimal(0), Decimal(9)] * 1000, pa.decimal128(20, 2)
        ),
        "day": pa.array([date(1, 1, 1), date(9999, 12, 31), None, date(1969, 12, 31), date(2020, 2, 29)] * 1000),
        "tags": pa.array([["a", None], [], None, ["b"], ["c"]] * 1000),
        "at": pa.array([datetime(2013, 1, 5, 10, 0, 0, 1)] * 5000, pa.timestamp("ns")),  # noqa: DTZ001
    }
)


def write_arrow(path: Path, table: pa.Table, *, stream: bool, codec: str | None = None, rows: int = 700) -> None:
    options = pa.ipc.IpcWriteOptions(compression=codec)
    make = pa.ipc.new_stream if stream else pa.ipc.new_file
    with make(str(path), table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=rows)


@pytest.mark.parametrize("codec", [None, "lz4", "zstd"])
@pytest.mark.parametrize("stream", [True, False])
def test_arrow_files_and_streams(tmp_path: Path, take: Take, stream: bool, codec: str | None) -> None:
    write_arrow(tmp_path / "t.arrow", TABLE, stream=stream, codec=codec)
    found = take("t.arrow")
    assert found.rows == TABLE.to_pylist()
    assert found.batches == 9


@pytest.mark.parametrize("stream", [True, False])
def test_an_arrow_file_packed_as_a_whole(tmp_path: Path, take: Take, stream: bool) -> None:
    write_arrow(tmp_path / "t.arrow", TABLE, stream=stream)
    (tmp_path / "t.arrow.gz").write_bytes(gzip.compress((tmp_path / "t.arrow").read_bytes()))
    assert take("t.arrow.gz").rows == TABLE.to_pylist()


def test_feather_dictionaries_and_large_batches_in_slices(tmp_path: Path, take: Take) -> None:
    table = TABLE.set_column(1, "text", TABLE.column("text").dictionary_encode())
    feather.write_feather(table, str(tmp_path / "t.feather"), compression="zstd")
    found = take("t.feather", batch_bytes=50_000)
    assert found.rows == TABLE.to_pylist()
    assert found.batches > 5


def test_orc_stripe_by_stripe(tmp_path: Path, take: Take) -> None:
    orc.write_table(TABLE, str(tmp_path / "t.orc"), stripe_size=16_384, batch_size=500)
    found = take("t.orc", batch_bytes=40_000)
    assert found.rows == TABLE.to_pylist()
    assert found.largest <= 60_000
    assert found.types["price"] == "decimal128(20, 2)"


def test_a_table_without_rows_keeps_its_columns(tmp_path: Path, take: Take) -> None:
    orc.write_table(TABLE.slice(0, 0), str(tmp_path / "t.orc"))
    write_arrow(tmp_path / "t.arrow", TABLE.slice(0, 0), stream=False)
    for name in ("t.orc", "t.arrow"):
        found = take(name)
        assert found.rows == []
        assert found.types == {field.name: str(field.type) for field in TABLE.schema}


@pytest.mark.parametrize("name", ["t.orc", "t.arrow", "s.arrow"])
def test_a_cut_or_foreign_file_is_refused_by_name(tmp_path: Path, take: Take, name: str) -> None:
    orc.write_table(TABLE, str(tmp_path / "t.orc"))
    write_arrow(tmp_path / "t.arrow", TABLE, stream=False)
    write_arrow(tmp_path / "s.arrow", TABLE, stream=True)
    whole = (tmp_path / name).read_bytes()
    for content in (whole[: len(whole) // 2], b"a,b\n1,2\n" * 100, whole[:7]):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=name):
            take(name)


def test_an_offset_that_points_outside_is_met_before_it_is_followed(tmp_path: Path, take: Take) -> None:
    batch = pa.record_batch({"s": pa.array(["ab", "cd"])})
    with pa.ipc.new_file(str(tmp_path / "t.arrow"), batch.schema) as writer:
        writer.write_batch(batch)
    data = (tmp_path / "t.arrow").read_bytes()
    offsets = b"".join(number.to_bytes(4, "little") for number in (0, 2, 4))
    assert data.count(offsets) == 1
    harmful = b"".join(number.to_bytes(4, "little") for number in (0, 2, 2**30))
    (tmp_path / "t.arrow").write_bytes(data.replace(offsets, harmful))
    with pytest.raises(DataError, match=r"t\.arrow is no whole arrow file"):
        take("t.arrow")


def test_a_text_that_is_no_utf_8_is_refused(tmp_path: Path, take: Take) -> None:
    orc.write_table(pa.table({"s": ["first", "second"]}), str(tmp_path / "t.orc"))
    data = (tmp_path / "t.orc").read_bytes()
    assert data.count(b"firstsecond") == 1
    (tmp_path / "t.orc").write_bytes(data.replace(b"firstsecond", b"first\xffecond"))
    with pytest.raises(DataError, match=r"t\.orc is no whole orc file, or is damaged"):
        take("t.orc")
    orc.write_table(pa.table({"name_of_it": [1]}), str(tmp_path / "t.orc"), compression="uncompressed")
    data = (tmp_path / "t.orc").read_bytes()
    assert b"name_of_it" in data
    (tmp_path / "t.orc").write_bytes(data.replace(b"name_of_it", b"name\xffof_it"))
    with pytest.raises(DataError, match=r"t\.orc is no whole orc file, or is damaged"):
        take("t.orc")


@pytest.mark.parametrize("codec", ["uncompressed", "snappy", "zlib", "lz4", "zstd"])
def test_orc_of_every_codec(tmp_path: Path, take: Take, codec: str) -> None:
    orc.write_table(TABLE, str(tmp_path / "t.orc"), compression=codec)
    assert take("t.orc").rows == TABLE.to_pylist()


@pytest.mark.parametrize("ending", ["orc", "arrow"])
def test_files_of_one_glob_with_other_schemas_are_united(tmp_path: Path, ending: str) -> None:
    tables = [
        pa.table({"a": pa.array([1], pa.int32())}),
        pa.table({"b": ["x"], "a": pa.array([2**40], pa.int64())}),
        pa.table({"a": pa.array([], pa.int32())}),
    ]
    for number, table in enumerate(tables):
        path = tmp_path / f"{number}.{ending}"
        orc.write_table(table, str(path)) if ending == "orc" else write_arrow(path, table, stream=False)
    penstock.ingest(str(tmp_path / f"*.{ending}"), to=str(tmp_path / "w.duckdb"), table="t")
    with duckdb.connect(str(tmp_path / "w.duckdb"), read_only=True) as warehouse:
        assert warehouse.sql("SELECT a, b FROM t ORDER BY a").fetchall() == [(1, None), (2**40, "x")]


def test_scope_tells_columns_rows_and_what_looks_personal(tmp_path: Path) -> None:
    table = pa.table({"id": [1, 2], "mail": ["ada@example.org", "bob@example.org"]})
    orc.write_table(table, str(tmp_path / "people.orc"))
    write_arrow(tmp_path / "people.arrow", table, stream=True)
    lines = "id  mail\n--- ---------------\n1   ada@example.org\n2   bob@example.org\n"
    (tmp_path / "people.fwf").write_text(lines)
    for name in ("people.orc", "people.arrow", "people.fwf"):
        source = SourceSpec(table="t", kind="files", options={"path": name})
        (told,) = FilesSource().describe(Request(source=source, root=str(tmp_path)))
        assert (told.rows, dict(told.columns)) == (2, {"id": "int64", "mail": "string"}), name
        assert any("mail" in remark for remark in told.remarks), told.remarks
        assert "personal=" in told.suggestion


def test_what_cannot_be_read_packed_is_said(tmp_path: Path, take: Take) -> None:
    orc.write_table(TABLE, str(tmp_path / "t.orc"))
    (tmp_path / "t.orc.gz").write_bytes(gzip.compress((tmp_path / "t.orc").read_bytes()))
    with pytest.raises(DataError, match=r"t\.orc\.gz is compressed as a whole \(gzip\)"):
        take("t.orc.gz")
