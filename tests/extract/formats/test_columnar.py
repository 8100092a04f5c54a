from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import feather, orc

from penstock.errors import DataError

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


def test_what_cannot_be_read_packed_is_said(tmp_path: Path, take: Take) -> None:
    orc.write_table(TABLE, str(tmp_path / "t.orc"))
    (tmp_path / "t.orc.gz").write_bytes(gzip.compress((tmp_path / "t.orc").read_bytes()))
    with pytest.raises(DataError, match=r"t\.orc\.gz is compressed as a whole \(gzip\)"):
        take("t.orc.gz")
