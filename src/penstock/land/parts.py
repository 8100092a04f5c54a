"""The Parquet files of a load while it is being landed: written, rewritten, or thrown away."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import field, replace
from typing import Any

from penstock.arrow import pa, pq
from penstock.errors import BugError
from penstock.land.bounds import footer_statistics
from penstock.land.chunks import OriginRows
from penstock.land.columns import Columns
from penstock.land.encoding import repeating, short
from penstock.land.refusing import sentences
from penstock.model.entries import Column, DataFile, Origin
from penstock.names import LOAD, PARTITION
from penstock.queries.mixing import MIXED, reshaped, stored_otherwise
from penstock.queries.text import file_literal, identifier
from penstock.schema import restore, store
from penstock.stores.long_values import write_row
from penstock.stores.objects import file_error
from penstock.stores.parquet import ROW_GROUP, Written, discard, seal, write
from penstock.stores.port import LakeTable
from penstock.values import dataclass

LARGEST = 128 * 2**20
"""Bytes after which a file is closed and the next begun."""


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a load.

    Attributes:
        path: Relative to the table's folder.
        place: Absolute path.
        written: What is in it.
        columns: Its columns, without the load's number.
        origins: Where its rows came from, in their order.
    """

    path: str
    place: str
    written: Written
    columns: tuple[Column, ...]
    origins: tuple[OriginRows, ...] = ()

    def file(self, partition: str) -> DataFile:
        """Return the part as it stands in a manifest."""
        return DataFile(
            path=self.path,
            rows=self.written.rows,
            bytes=self.written.bytes,
            partition={PARTITION: partition},
            statistics=self.written.statistics,
        )


@dataclass(slots=True)
class Folder:
    """Names for new files of one attempt; knows them all, so that a failure can take them away.

    Attributes:
        table: The lake table.
        partition: The value of the partition column, part of every path.
        suffix: What tells this attempt's files from those of others.
    """

    table: LakeTable
    partition: str
    suffix: str
    _made: list[str] = field(default_factory=list)

    def new(self) -> tuple[str, str]:
        """Return path and place of a file that does not exist yet."""
        path = f"{PARTITION}={self.partition}/part-{len(self._made):05}-{self.suffix}.parquet"
        place = self.table.uri(path)
        self._made.append(place)
        return path, place

    def clear(self, keep: Sequence[Part] = ()) -> None:
        """Delete every file of the attempt but those to keep; quiet about what is gone."""
        kept = {part.place for part in keep}
        for place in self._made:
            if place not in kept:
                discard(place)
        if self._made and not kept:
            with contextlib.suppress(OSError):
                os.rmdir(os.path.dirname(self._made[0]))


class ArrowFile:
    """A Parquet file that is written chunk by chunk, one at a time, by a thread of its own.

    Args:
        path: Relative to the table's folder.
        place: Absolute path.
        columns: Its columns, without the load's number.
    """

    def __init__(self, path: str, place: str, columns: tuple[Column, ...]) -> None:
        self.columns = columns
        self._path = path
        self._place = place
        self._rows = 0
        self._origins: list[OriginRows] = []
        self._writer: pq.ParquetWriter | None = None
        self._sink: Any = None
        self._encoder = ThreadPoolExecutor(1, thread_name_prefix="penstock-parquet")
        self._pending: Future[None] | None = None

    @property
    def full(self) -> bool:
        """Say whether the file has reached its size; waits for the chunk that is being written."""
        self._wait()
        return self._sink is not None and self._sink.tell() >= LARGEST

    def write(self, table: pa.Table, origins: Sequence[OriginRows]) -> None:
        """Append one chunk, as one row group or a few; it is encoded while the source reads the next one."""
        self._wait()
        self._pending = self._encoder.submit(self._encode, table)
        self._rows += table.num_rows
        self._origins.extend(origins)

    def close(self) -> Part:
        """Finish the file and make it durable."""
        self._wait()
        self._encoder.shutdown()
        if self._writer is None:
            raise BugError(f"{self._place} was closed before a row was written")
        try:
            self._writer.close()
            self._sink.close()
        except OSError as error:
            raise file_error(error, self._place, "written") from error
        seal(self._place)
        size = os.path.getsize(self._place)
        written = Written(self._rows, size, footer_statistics(self._place, self.columns))
        return Part(self._path, self._place, written, self.columns, tuple(self._origins))

    def abandon(self) -> None:
        """Stop after a failure; the file itself is the folder's to delete."""
        self._encoder.shutdown(cancel_futures=True)
        for handle in (self._writer, self._sink):
            with contextlib.suppress(OSError, pa.ArrowException):
                if handle is not None:
                    handle.close()

    def _encode(self, table: pa.Table) -> None:
        try:
            if self._writer is None:
                self._sink = pa.OSFile(self._place, "wb")
                narrow = short(table)
                self._writer = pq.ParquetWriter(
                    self._sink,
                    table.schema,
                    compression="zstd",
                    store_schema=False,
                    store_decimal_as_integer=True,
                    use_dictionary=repeating(table, narrow),
                    write_statistics=len(narrow) == table.num_columns or narrow,
                )
            self._writer.write_table(table, row_group_size=ROW_GROUP)
        except OSError as error:
            raise file_error(error, self._place, "written") from error

    def _wait(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()


def long_part(row: pa.Table, columns: tuple[Column, ...], folder: Folder, origins: Sequence[OriginRows]) -> Part:
    """Write one row with a very long value as a file of its own, durable."""
    path, place = folder.new()
    try:
        write_row(row, place)
    except OSError as error:
        raise file_error(error, place, "written") from error
    seal(place)
    written = Written(row.num_rows, os.path.getsize(place), footer_statistics(place, columns))
    return Part(path, place, written, columns, tuple(origins))


def settle(connection: Any, parts: Sequence[Part], columns: Columns, folder: Folder, number: int) -> list[Part]:
    """Rewrite the parts in which a column has not the type that the whole load gives it."""
    settled = []
    for part in parts:
        wanted = tuple(columns.settled(column) for column in part.columns)
        if not any(stored_otherwise(old, new) for new, old in zip(wanted, part.columns, strict=True)):
            settled.append(replace(part, columns=wanted))
            continue
        select = []
        for new, old in zip(wanted, part.columns, strict=True):
            value = restore(identifier(old.name), old.type)
            mixed = new.source_type == MIXED and old.source_type != MIXED
            value = reshaped(value, old.type, new.type, (new.name, folder.table.name), mixed=mixed)
            select.append(f"{store(value, new.type)} AS {identifier(new.name)}")
        select.append(f"CAST({number} AS BIGINT) AS {LOAD}")
        settled.append(rewrite(connection, part, folder, wanted, ", ".join(select)))
    return settled


def renumber(connection: Any, parts: Sequence[Part], folder: Folder, number: int) -> list[Part]:
    """Rewrite the parts under another load number, because the first was taken by somebody else."""
    select = f"* REPLACE (CAST({number} AS BIGINT) AS {LOAD})"
    return [rewrite(connection, part, folder, part.columns, select) for part in parts]


def rewrite(
    connection: Any, part: Part, folder: Folder, columns: tuple[Column, ...], select: str, where: str = ""
) -> Part:
    """Write a part anew with other expressions, in the same order; the old file is deleted.

    Args:
        connection: A session of the engine.
        part: The part.
        folder: Where new files are named.
        columns: The columns of the new file.
        select: What stands between SELECT and FROM.
        where: A condition with its WHERE; may use ``file_row_number``.
    """
    path, place = folder.new()
    numbered = ", file_row_number=true" if where else ""
    source = f"read_parquet({file_literal(part.place)}, hive_partitioning=false{numbered})"
    types = {column.name: column.stored or column.type for column in columns}
    with sentences(folder.table.name, columns):
        written = write(connection, f"SELECT {select} FROM {source} {where}", place, types)
    discard(part.place)
    return Part(path, place, written, columns, part.origins)


def merged(parts: Sequence[Part]) -> tuple[Origin, ...]:
    """Return the origins of all rows of a load, each run of rows from one place as one range."""
    ranges: list[Origin] = []
    first = 0
    for part in parts:
        for uri, detail, rows in part.origins:
            if not rows:
                continue
            last = ranges[-1] if ranges else None
            if last is not None and last.uri == uri and dict(last.detail) == dict(detail):
                ranges[-1] = replace(last, rows=last.rows + rows)
            else:
                ranges.append(Origin(uri=uri, first=first, rows=rows, detail=dict(detail)))
            first += rows
    return tuple(ranges)
