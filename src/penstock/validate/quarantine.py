"""The quarantine: failing rows, whole, with all their reasons and their origin; written once and read back.

A file below the lake root holds the rows that one load set aside. Beside the columns of the row, in their stored form:
``_reasons`` (names of all quarantine checks that it failed), ``_file`` and ``_row`` (its place in the lake table),
``_origin`` and ``_origin_detail`` (where it came from; JSON, with its position there as ``row``). A column of the data
that has one of these names gets the suffix ``__source``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from penstock.errors import BugError, DataError, NotFoundError
from penstock.model.codec import plain
from penstock.queries.relations import FILE, ROW
from penstock.queries.text import identifier, literal
from penstock.stores.objects import TEMPORARY, sync_file
from penstock.stores.port import Objects
from penstock.validate.rows import POSITION, Rows
from penstock.validate.values import quoted

FOLDER = "_quarantine"
REASONS, FILE_OF, ROW_OF, ORIGIN, DETAIL = "_reasons", "_file", "_row", "_origin", "_origin_detail"
_OWN = (REASONS, FILE_OF, ROW_OF, ORIGIN, DETAIL)
_PLACES, _ORIGINS = "_penstock_places", "_penstock_origins"
_BATCH_ROWS = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """The quarantine of one load.

    Attributes:
        path: Of the file, below the lake root.
        number: The number in its name.
        rows: Rows set aside.
        reasons: Check to the rows that failed it, most first; a row may have several.
    """

    path: str
    number: int
    rows: int
    reasons: Mapping[str, int]


def write(rows: Rows, failing: Mapping[str, str], objects: Objects, path: str) -> int:
    """Write the rows that fail at least one check, in the order of their positions, and return how many they are.

    The file is written under another name, then linked whole under ``path``.

    Args:
        rows: The rows; they must have a place.
        failing: Check name to SQL that is true for rows that fail it, over the rows with their place.
        objects: The lake root.
        path: Of the file below it. No committed entry may refer to it yet: what a crashed attempt left is replaced.
    """
    folder, _, name = path.rpartition("/")
    partial = f"{folder}/{TEMPORARY}{name}" if folder else TEMPORARY + name
    objects.remove(partial)
    connection = rows.connection
    connection.register(_PLACES, _places(rows))
    connection.register(_ORIGINS, _origins(rows))
    try:
        target = objects.uri(partial)
        found = connection.execute(f"COPY ({_query(rows, failing)}) TO {literal(target)} (FORMAT parquet)").fetchall()
        sync_file(target)
        objects.remove(path)
        objects.adopt(target, path)
    finally:
        connection.unregister(_PLACES)
        connection.unregister(_ORIGINS)
        objects.remove(partial)
    written = int(found[0][0])
    if written == 0:
        raise BugError(f"No row of {rows.table} was set aside, though checks found rows to set aside")
    return written


def summarise(objects: Objects, table: str, paths: Iterable[str] | None = None) -> tuple[Quarantined, ...]:
    """Return the quarantine of each load of a lake table, newest first.

    Args:
        objects: The lake root.
        table: The lake table, as ``raw_flights``.
        paths: The files that committed verdicts name; None takes all that are there.
    """
    if paths is None:
        paths = (item.path for item in objects.list(f"{FOLDER}/{table}/") if item.path.endswith(".parquet"))
    found = []
    for path in paths:
        total, reasons = 0, dict[str, int]()
        for batch in _open(objects, path).iter_batches(_BATCH_ROWS, columns=[REASONS]):
            total += batch.num_rows
            for item in pc.value_counts(batch.column(0).flatten()).to_pylist():
                reasons[item["values"]] = reasons.get(item["values"], 0) + item["counts"]
        ordered = dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))
        stem = path.rpartition("/")[2].removesuffix(".parquet")
        found.append(Quarantined(path=path, number=int(stem) if stem.isdecimal() else 0, rows=total, reasons=ordered))
    return tuple(sorted(found, key=lambda item: (item.number, item.path), reverse=True))


def rows(objects: Objects, path: str, limit: int = 50, reason: str | None = None) -> pa.Table:
    """Return the first rows of a quarantine file: reasons and origin first, then the row.

    Args:
        objects: The lake root.
        path: Of the file below it.
        limit: The most rows.
        reason: Only rows with this reason.

    Raises:
        NotFoundError: There is no such file.
        DataError: It cannot be read.
    """
    file = _open(objects, path)
    names = file.schema_arrow.names
    ordered = [REASONS, ORIGIN, DETAIL, *(name for name in names if name not in _OWN), FILE_OF, ROW_OF]
    kept, left = [file.schema_arrow.empty_table()], limit
    for batch in file.iter_batches(min(_BATCH_ROWS, max(1, limit))):
        part = pa.Table.from_batches([batch])
        if reason is not None:
            part = part.filter(pa.array([reason in given for given in batch.column(REASONS).to_pylist()], pa.bool_()))
        kept.append(part.slice(0, left))
        left -= kept[-1].num_rows
        if left <= 0:
            break
    return pa.concat_tables(kept).select([name for name in ordered if name in names])


def _open(objects: Objects, path: str) -> pq.ParquetFile:
    if not objects.exists(path):
        raise NotFoundError("There is no such quarantine file", value=path, remedy="See penstock quarantine list")
    try:
        file = pq.ParquetFile(objects.uri(path))
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            "A quarantine file cannot be read", value=path, remedy="See penstock doctor; check the load again"
        ) from error
    if REASONS not in file.schema_arrow.names:
        raise DataError("This file is no quarantine file: it has no reasons", value=path)
    return file


def _query(rows: Rows, failing: Mapping[str, str]) -> str:
    """Return the query of the file: rows in their stored form, while conditions see the original types."""
    known = {column.name.lower(): column for column in rows.columns}
    inner, outer = [], []
    for number, (lower, name) in enumerate(_stored_columns(rows)):
        column = known.get(lower)
        hidden = f"_penstock_stored_{number}"
        inner.append(f"{identifier(name)} AS {hidden}")
        kept = name + "__source" if lower in _OWN else name
        outer.append(f"{hidden} AS {identifier(kept)}")
        if column is None and lower not in known:
            inner.append(identifier(name))
    inner += [f"{rows.restored(column)} AS {identifier(column.name)}" for column in rows.columns]
    inner += [FILE, ROW, f"{rows.position} AS {POSITION}"]
    reasons = ", ".join(f"CASE WHEN {fails} THEN {quoted(name)} END" for name, fails in failing.items())
    return (
        f"SELECT {', '.join(outer)}, _penstock_reasons AS {REASONS}, places.path AS {FILE_OF}, {ROW} AS {ROW_OF}, "
        f"CASE WHEN {_within()} THEN origins.uri END AS {ORIGIN}, "
        f"CASE WHEN {_within()} THEN CAST(json_merge_patch(origins.detail, "
        f"json_object('row', {POSITION} - origins.first)) AS VARCHAR) END AS {DETAIL} "
        f"FROM (SELECT *, list_filter([{reasons}], lambda reason: reason IS NOT NULL) AS _penstock_reasons "
        f"FROM (SELECT {', '.join(inner)} FROM {rows.relation}) AS {rows.alias}) AS found "
        f"JOIN {_PLACES} AS places ON found.{FILE} = places.uri "
        f"ASOF LEFT JOIN {_ORIGINS} AS origins ON found.{POSITION} >= origins.first "
        f"WHERE len(_penstock_reasons) > 0 ORDER BY {POSITION}"
    )


def _within() -> str:
    return f"{POSITION} < origins.first + origins.rows"


def _stored_columns(rows: Rows) -> Sequence[tuple[str, str]]:
    return [(name.lower(), name) for name in rows.names]


def _places(rows: Rows) -> pa.Table:
    places = rows.places
    return pa.table(
        {"uri": [place.uri for place in places], "path": [place.path for place in places]},
        schema=pa.schema([("uri", pa.string()), ("path", pa.string())]),
    )


def _origins(rows: Rows) -> pa.Table:
    filled = [item for item in rows.origins if item.rows]
    return pa.table(
        {
            "first": [item.first for item in filled],
            "rows": [item.rows for item in filled],
            "uri": [item.uri for item in filled],
            "detail": [json.dumps(plain(dict(item.detail)), sort_keys=True, default=str) for item in filled],
        },
        schema=pa.schema([("first", pa.int64()), ("rows", pa.int64()), ("uri", pa.string()), ("detail", pa.string())]),
    )
