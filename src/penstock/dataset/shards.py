"""Shards: the samples of each split in their order, as Parquet files of bounded size with checksums.

DuckDB writes equal bytes for equal rows whatever the number of threads, as long as the order is asked for (tried:
without ORDER BY the row groups of a filtered scan follow its batches).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import duckdb

from penstock.dataset.joining import PLACE
from penstock.dataset.manifest import Shard
from penstock.model.entries import Column
from penstock.model.events import Advance
from penstock.queries.text import identifier
from penstock.schema import storage, store
from penstock.stores import parquet
from penstock.stores.objects import file_error
from penstock.stores.port import Objects
from penstock.values import dataclass

_CHUNK = 2**20
# Parquet as DuckDB writes it rounds 128-bit integers to doubles and has no like for the others.
_LOSSY = ("HUGEINT", "UHUGEINT", "BIT", "INTERVAL", "TIME WITH TIME ZONE", "NULL", '"NULL"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """What to write.

    Attributes:
        relation: The table of joined samples, with ``PLACE``.
        columns: The columns of the shards.
        splits: Split to its samples.
        rows_per_shard: The most samples in one file.
        folder: Where, below the root of the training sets.
    """

    relation: str
    columns: tuple[Column, ...]
    splits: Mapping[str, int]
    rows_per_shard: int
    folder: str


def column_of(name: str, type_: str) -> Column:
    """Return a column of a shard: types that Parquet would round or lose are stored as the lake stores them."""
    how = storage(type_) if type_ in _LOSSY else None
    return Column(name=name, type=type_, stored=how.stored if how else None)


def write_shards(
    spec: Writing, connection: duckdb.DuckDBPyConnection, objects: Objects, advance: Advance | None
) -> tuple[Shard, ...]:
    """Write ``{split}-{i:05d}-of-{n:05d}.parquet`` for each split; each is durable when this returns."""
    shards = []
    end = 0
    for split in sorted(spec.splits):
        begin, end = end, end + spec.splits[split]
        count = -(-spec.splits[split] // spec.rows_per_shard)
        for number in range(count):
            first = begin + number * spec.rows_per_shard
            path = f"{split}-{number:05d}-of-{count:05d}.parquet"
            # A crash may have left one that was never published.
            objects.forget([f"{spec.folder}/{path}"])
            uri = objects.uri(f"{spec.folder}/{path}")
            written, checksum = _write(spec, (first, min(first + spec.rows_per_shard, end)), connection, uri)
            shard = Shard(path=path, split=split, rows=written.rows, bytes=written.bytes, sha256=checksum)
            shards.append(shard)
            if advance is not None:
                advance(shard.rows, shard.bytes)
    objects.publish([f"{spec.folder}/{shard.path}" for shard in shards])
    return tuple(shards)


def digest(path: str | Path) -> str:
    """Return the SHA-256 of a file, read in pieces of 1 MiB."""
    found = hashlib.sha256()
    with Path(path).open("rb") as file:
        while piece := file.read(_CHUNK):
            found.update(piece)
    return found.hexdigest()


def _write(
    spec: Writing, places: tuple[int, int], connection: duckdb.DuckDBPyConnection, uri: str
) -> tuple[parquet.Written, str]:
    """Write the samples from the first place until before the second; return the checksum too."""
    columns = ", ".join(
        f"{store(identifier(column.name), column.type) if column.stored else identifier(column.name)} "
        f"AS {identifier(column.name)}"
        for column in spec.columns
    )
    query = (
        f"SELECT {columns} FROM {spec.relation} WHERE {PLACE} >= {places[0]} AND {PLACE} < {places[1]} ORDER BY {PLACE}"
    )
    written = parquet.write(connection, query, uri, {})
    try:
        return written, digest(uri)
    except OSError as error:
        raise file_error(error, uri, "read") from error
