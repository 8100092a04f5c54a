"""Writing a row with very long values as a Parquet file, without holding such a value a second time.

Arrow's writer and DuckDB's each hold a value twice more while they encode it. Here Arrow writes the row with empty
texts in the places of the long ones, into memory; then its pages are copied, those of the long values are written from
where they lie, compressed as they pass, and the footer is written anew with the places that this gives.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from typing import Any

from penstock.arrow import pa, pq
from penstock.errors import DataError
from penstock.schema import LONG
from penstock.stores import thrift

_MAGIC = b"PAR1"
_LONGEST = 2**31 - 64
"""A page tells its size in 32 bits with a sign."""
_PRESENT = b"\x02\x00\x00\x00\x02\x01"
"""Definition levels of one value that is not null: two bytes, a run of one, the level 1."""
_PLAIN, _RLE = 0, 3

# The numbers of fields, by Parquet's own definition.
_GROUPS = 4
_COLUMNS, _GROUP_BYTES, _GROUP_OFFSET, _GROUP_COMPRESSED = 1, 2, 5, 6
_CHUNK_OFFSET, _META = 2, 3
_UNCOMPRESSED, _COMPRESSED, _DATA_PAGE, _DICTIONARY_PAGE, _STATISTICS, _SIZES = 6, 7, 9, 11, 12, 16
_NULLS = 3


def long_columns(row: pa.Table | pa.RecordBatch) -> list[str]:
    """Return the columns that hold a long value; only texts (of JSON, too) and bytes do, not what is nested."""
    import pyarrow.compute as pc

    lengths = {
        field.name: pc.max(pc.binary_length(texts_of_json(row.column(field.name)))).as_py() or 0
        for field in row.schema
        if _bytes_like(field.type)
    }
    return [name for name, length in lengths.items() if length >= LONG]


def long_rows(batch: pa.RecordBatch) -> list[int]:
    """Return the places of the rows that hold a long value."""
    import pyarrow.compute as pc

    found: set[int] = set()
    for name in long_columns(batch):
        lengths = pc.binary_length(texts_of_json(batch.column(name)))
        is_long = pc.fill_null(pc.greater_equal(lengths, LONG), False)
        found.update(pc.indices_nonzero(is_long).to_pylist())
    return sorted(found)


def text_type(type_: pa.DataType) -> pa.DataType:
    """Return a type of Arrow, of JSON the one of its texts."""
    return type_.storage_type if isinstance(type_, pa.JsonType) else type_


def texts_of_json(column: Any) -> Any:
    """Return a column of Arrow, of JSON as the texts that it is; nothing is copied."""
    if not isinstance(column.type, pa.JsonType):
        return column
    if isinstance(column, pa.ChunkedArray):
        return pa.chunked_array([part.storage for part in column.chunks], column.type.storage_type)
    return column.storage


def write_row(row: pa.Table, place: str) -> None:
    """Write a table of one row as a Parquet file; durable only after ``stores.parquet.seal``.

    Args:
        row: The row; some of its columns hold long values.
        place: Path of the new file.

    Raises:
        DataError: A value is longer than Parquet can hold.
        OSError: The disk is full, or the like.
    """
    long = long_columns(row)
    stub = _stub(row, long)
    size = int.from_bytes(stub[-8:-4], "little")
    footer = thrift.read(stub[-8 - size : -8])
    (group,) = footer[_GROUPS][1][1]
    with open(place, "wb") as target:
        target.write(_MAGIC)
        uncompressed = compressed = 0
        for name, chunk in zip(_roots(group), group[_COLUMNS][1][1], strict=True):
            meta = chunk[_META][1]
            if name in long:
                _write_long(target, _value(row.column(name)), meta, name)
            else:
                _copy(target, stub, meta)
            chunk[_CHUNK_OFFSET] = (thrift.I64, 0)
            uncompressed += meta[_UNCOMPRESSED][1]
            compressed += meta[_COMPRESSED][1]
        group[_GROUP_BYTES] = (thrift.I64, uncompressed)
        group[_GROUP_COMPRESSED] = (thrift.I64, compressed)
        group[_GROUP_OFFSET] = (thrift.I64, len(_MAGIC))
        end = thrift.write(footer)
        target.write(end + len(end).to_bytes(4, "little") + _MAGIC)


def _bytes_like(type_: pa.DataType) -> bool:
    return text_type(type_) in (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())


def _value(column: pa.ChunkedArray) -> pa.Buffer:
    """Return the bytes of the first value where they lie; a scalar of Arrow would be a copy."""
    first = next(chunk for chunk in column.chunks if len(chunk))
    wide = first.type in (pa.large_string(), pa.large_binary())
    _, offsets, values = first.buffers()
    begin, end = memoryview(offsets).cast("q" if wide else "i")[first.offset : first.offset + 2]
    return values.slice(begin, end - begin)


def _stub(row: pa.Table, long: Sequence[str]) -> bytes:
    """Return the row as a Parquet file whose long values are empty."""
    columns = [pa.array([""], field.type) if field.name in long else row.column(field.name) for field in row.schema]
    # Every value is then led by its level, as ``_PRESENT`` says.
    schema = pa.schema([field.with_nullable(True) for field in row.schema])
    sink = pa.BufferOutputStream()
    short = [name for name in row.column_names if name not in long]
    with pq.ParquetWriter(
        sink,
        schema,
        compression="zstd",
        store_schema=False,
        use_dictionary=short,
    ) as writer:
        writer.write_table(pa.table(columns, schema=schema))
    return bytes(sink.getvalue())


def _roots(group: thrift.Struct) -> list[str]:
    """Return the column to which each leaf belongs."""
    paths = [chunk[_META][1][3][1][1] for chunk in group[_COLUMNS][1][1]]
    return [path[0].decode() for path in paths]


def _copy(target: Any, stub: bytes, meta: thrift.Struct) -> None:
    starts = [meta[number][1] for number in (_DATA_PAGE, _DICTIONARY_PAGE) if number in meta]
    first, moved = min(starts), target.tell()
    for number in (_DATA_PAGE, _DICTIONARY_PAGE):
        if number in meta:
            meta[number] = (thrift.I64, meta[number][1] - first + moved)
    target.write(stub[first : first + meta[_COMPRESSED][1]])


def _write_long(target: Any, value: pa.Buffer, meta: thrift.Struct, name: str) -> None:
    if value.size > _LONGEST:
        raise DataError(
            f"A value of the column {name!r} is longer than Parquet can hold",
            value=f"{value.size} bytes",
            valid=f"at most {_LONGEST} bytes",
            remedy="Keep such values as files beside the table",
        )
    begun = target.tell()
    # The size of a page stands before it, so what is compressed waits in a file without a name.
    with tempfile.TemporaryFile(dir=os.path.dirname(target.name)) as page:
        with pa.CompressedOutputStream(pa.OSFile(f"/dev/fd/{page.fileno()}", "wb"), "zstd") as packed:
            packed.write(_PRESENT + value.size.to_bytes(4, "little"))
            packed.write(value)
        page.seek(0, os.SEEK_END)
        plain, packed_size = len(_PRESENT) + 4 + value.size, page.tell()
        header = thrift.write(
            {
                1: (thrift.I32, 0),
                2: (thrift.I32, plain),
                3: (thrift.I32, packed_size),
                5: (
                    thrift.STRUCT,
                    {
                        1: (thrift.I32, 1),
                        2: (thrift.I32, _PLAIN),
                        3: (thrift.I32, _RLE),
                        4: (thrift.I32, _RLE),
                    },
                ),
            }
        )
        target.write(header)
        page.seek(0)
        shutil.copyfileobj(page, target, 2**20)
    meta[_DATA_PAGE] = (thrift.I64, begun)
    meta[_UNCOMPRESSED] = (thrift.I64, len(header) + plain)
    meta[_COMPRESSED] = (thrift.I64, len(header) + packed_size)
    if _STATISTICS in meta:
        # Of a long value there is no least and greatest, but that it is not null.
        meta[_STATISTICS] = (thrift.STRUCT, {_NULLS: meta[_STATISTICS][1][_NULLS]})
    meta.pop(_SIZES, None)
