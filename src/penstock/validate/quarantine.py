"""The quarantine: failing rows, whole, with all their reasons and their origin; written once and read back.

A file below the lake root holds the rows that one load set aside. Beside the columns of the row, in their stored form:
``_reasons`` (names of all quarantine checks that it failed), ``_file`` and ``_row`` (its place in the lake table),
``_origin`` and ``_origin_detail`` (where it came from; JSON, with its position there as ``row``). A column of the data
that has one of these names gets the suffix ``__source``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from penstock.arrow import pa, pq
from penstock.errors import BugError, DataError, NotFoundError
from penstock.model.codec import plain
from penstock.names import DETAIL, LINE, ORIGIN, REASONS
from penstock.queries.relations import FILE, ROW
from penstock.queries.text import file_literal, identifier, literal
from penstock.stores.objects import TEMPORARY, sync_file
from penstock.stores.port import Objects
from penstock.validate.rows import PLACES, POSITION, Rows
from penstock.validate.values import quoted
from penstock.values import dataclass

FOLDER = "_quarantine"
FILE_OF, ROW_OF = "_file", "_row"
_OWN = (REASONS, FILE_OF, ROW_OF, ORIGIN, DETAIL, LINE)
_ORIGINS, _FOUND = "_penstock_origins", "_penstock_found"
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


def write(rows: Rows, failing: Mapping[str, str], objects: Objects, path: str, replayed: str | None = None) -> int:
    """Write the rows that fail at least one check, in the order of their positions, and return how many they are.

    The file is written under another name, then linked whole under ``path``.

    Args:
        rows: The rows; their places must be registered.
        failing: Check name to SQL that is true for rows that fail it, over the rows with their position.
        objects: The lake root.
        replayed: Of rows that are replayed: the file of their places and origins, see ``TakenRows``.
        path: Of the file below it. No committed entry may refer to it yet: what a crashed attempt left is replaced.
    """
    folder, _, name = path.rpartition("/")
    partial = f"{folder}/{TEMPORARY}{name}" if folder else TEMPORARY + name
    objects.remove(partial)
    judged = _judged(rows, failing)
    here = replace(rows, asked=None)
    rows.engine.register(_ORIGINS, _origins(rows))
    try:
        with nullcontext() if rows.asked is None else here.registered():
            if rows.asked is not None:
                rows.engine.register(_FOUND, rows.asked.sql(_marked(rows, failing)).to_arrow_table())
            target = objects.uri(partial)
            copy = f"COPY ({_query(rows, judged, replayed)}) TO {literal(target)} (FORMAT parquet)"
            ((written,),) = rows.engine.execute(copy).fetchall()
        sync_file(target)
        objects.remove(path)
        objects.adopt(target, path)
    finally:
        rows.engine.unregister(_ORIGINS)
        rows.engine.unregister(_FOUND)
        objects.remove(partial)
    if not written:
        raise BugError(f"No row of {rows.table} was set aside, though checks found rows to set aside")
    return int(written)


def summarise(objects: Objects, table: str, paths: Iterable[str] | None = None) -> tuple[Quarantined, ...]:
    """Return the quarantine of each load of a lake table, newest first.

    Args:
        objects: The lake root.
        table: The lake table, as ``raw_flights``.
        paths: The files that committed verdicts name; None takes all that are there.
    """
    import pyarrow.compute as pc

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
    ordered = [REASONS, ORIGIN, DETAIL, LINE, *(name for name in names if name not in _OWN), FILE_OF, ROW_OF]
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
        file = pq.ParquetFile(objects.reading([path])[0])
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            "A quarantine file cannot be read", value=path, remedy="See penstock doctor; check the load again"
        ) from error
    if REASONS not in file.schema_arrow.names:
        raise DataError("This file is no quarantine file: it has no reasons", value=path)
    return file


def _judged(rows: Rows, failing: Mapping[str, str]) -> str:
    """Return a query for the position and the reasons of each row that fails a check."""
    if rows.asked is None:
        source, fails = rows.positioned(), list(failing.values())
    else:
        source, fails = _FOUND, [f"fails_{place}" for place in range(len(failing))]
    reasons = ", ".join(f"CASE WHEN {each} THEN {quoted(name)} END" for name, each in zip(failing, fails, strict=True))
    return (
        f"SELECT {POSITION}, list_filter([{reasons}], lambda reason: reason IS NOT NULL) AS reasons "
        f"FROM {source} WHERE {' OR '.join(f'({each})' for each in fails)}"
    )


def _marked(rows: Rows, failing: Mapping[str, str]) -> str:
    """Return the query that another engine is asked: positions of rows that fail, and which checks each fails."""
    listed = ", ".join(f"({fails}) AS fails_{place}" for place, fails in enumerate(failing.values()))
    marked = f"SELECT {POSITION}, {listed} FROM {rows.positioned()}"
    return f"SELECT * FROM ({marked}) WHERE {' OR '.join(f'fails_{place}' for place in range(len(failing)))}"


def _query(rows: Rows, judged: str, replayed: str | None) -> str:
    """Return the query of the file.

    Rows are judged with nothing but their position and reasons kept, so that a wide row is neither held nor joined by
    range; the whole rows, in their stored form, are read once more for those that fail.
    """
    if replayed is not None:
        origin = (
            f"SELECT {POSITION}, reasons, t._origin AS origin, t._origin_detail AS detail FROM judged "
            f"LEFT JOIN read_parquet({file_literal(replayed)}, hive_partitioning=false) t ON t.position = {POSITION}"
        )
    else:
        origin = _origin()
    kept = ", ".join(f"stored.{identifier(name)} AS {identifier(renamed(name))}" for name in rows.names)
    return (
        f"WITH judged AS MATERIALIZED ({judged}), "
        f"found AS MATERIALIZED ({origin}) "
        f"SELECT {kept + ', ' if kept else ''}found.reasons AS {REASONS}, places.path AS {FILE_OF}, "
        f"stored.{ROW} AS {ROW_OF}, found.origin AS {ORIGIN}, found.detail AS {DETAIL} "
        f"FROM {rows.relation} AS stored JOIN {PLACES} AS places ON stored.{FILE} = places.uri "
        f"JOIN found ON found.{POSITION} = places.start + stored.{ROW} ORDER BY found.{POSITION}"
    )


def _origin() -> str:
    within = f"{POSITION} < origins.first + origins.rows"
    return (
        f"SELECT {POSITION}, reasons, CASE WHEN {within} THEN origins.uri END AS origin, "
        f"CASE WHEN {within} THEN '{{\"row\":' || ({POSITION} - origins.first) || origins.rest END AS detail "
        f"FROM judged ASOF LEFT JOIN {_ORIGINS} AS origins ON {POSITION} >= origins.first"
    )


def renamed(name: str) -> str:
    """Return the name that a stored column has in a quarantine file."""
    return name + "__source" if name.lower() in _OWN else name


def _origins(rows: Rows) -> pa.Table:
    filled = [item for item in rows.origins if item.rows]
    return pa.table(
        {
            "first": [item.first for item in filled],
            "rows": [item.rows for item in filled],
            "uri": [item.uri for item in filled],
            "rest": [_rest(item.detail) for item in filled],
        },
        schema=pa.schema([("first", pa.int64()), ("rows", pa.int64()), ("uri", pa.string()), ("rest", pa.string())]),
    )


def _rest(detail: Mapping[str, Any]) -> str:
    """Return what follows the position in the JSON of a detail."""
    others = {name: value for name, value in plain(dict(detail)).items() if name != "row"}
    shown = json.dumps(others, sort_keys=True, separators=(",", ":"), default=str)
    return "," + shown[1:] if others else "}"
