"""What ``scope`` says of files: those whose names differ only by digits are one table."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from penstock.errors import PenstockError
from penstock.extract import scoping
from penstock.extract.files.csv_files import WHOLE_BYTES
from penstock.extract.files.listing import COMPRESSIONS, FILE_COLUMN, File, find, release
from penstock.extract.files.plan import Rows, plan
from penstock.extract.files.spool import spool
from penstock.extract.port import Request, Scan, TableDescription
from penstock.names import DETAIL, ORIGIN, REASONS
from penstock.queries.text import identifier
from penstock.stores.engine import LocalEngine

_LOOKED_AT = 2**20
_SAMPLE = 200
_SHOWN = (REASONS, ORIGIN, DETAIL)
_MEMORY = 256 * 2**20


def describe(request: Request) -> tuple[TableDescription, ...]:
    """Describe the files that a request means; a file that cannot be read is a remark, not an error."""
    files = sorted(find(request), key=_family)
    engine = LocalEngine(memory=_MEMORY, threads=2)
    try:
        return tuple(_describe(name, list(group), request, engine) for name, group in groupby(files, key=_family))
    finally:
        engine.close()
        release(files)


def _describe(name: str, files: Sequence[File], request: Request, engine: LocalEngine) -> TableDescription:
    size = sum(file.bytes for file in files)
    remarks: list[str] = []
    columns: dict[str, str] = {}
    rows: int | None = None
    try:
        with spool(request, remarks, window=WHOLE_BYTES) as held:
            window = next(held.windows(files), [])
            planned = plan(request, [(each.file, each.content) for each in window], engine, remarks, held.lend)
            scans = [scan for _, scan in planned]
            remarks += [scan.remark for scan in scans if isinstance(scan, Scan) and scan.remark]
            for scan in scans:
                found, personal = _look(scan, engine)
                columns.update(found)
                remarks += personal
            if held.full:
                remarks.append(f"only the first {WHOLE_BYTES // 2**20} MiB of it were looked at")
            else:
                rows, aside = _rows(scans, [each.file for each in window], size, engine)
                remarks += aside
    except PenstockError as error:
        remarks.append(error.sentence())
    several = len(files) > 1
    return TableDescription(
        name=name,
        columns=columns,
        rows=rows,
        bytes=size,
        pattern="incremental" if several else "batch",
        reason="only new and changed files are read" if several else "a file is read whole when it changes",
        remarks=tuple(dict.fromkeys(remarks)),
        suggestion=scoping.protecting(
            f'sources.files("{name}", table="{_table(name)}", write="{"append" if several else "replace"}")', remarks
        ),
    )


def _look(scan: Scan | Rows, engine: LocalEngine) -> tuple[dict[str, str], tuple[str, ...]]:
    if not isinstance(scan, Scan):
        # The first batch may be there for the columns alone.
        first = None
        for batch in scan.batches(_LOOKED_AT):
            first = batch.data
            if first.num_rows:
                break
        found = {field.name: str(field.type) for field in first.schema} if first is not None else {}
        return found, scoping.personal(found, first.slice(0, _SAMPLE).to_pydict() if first is not None else {})
    with engine.session() as session:
        try:
            described = session.execute(f"DESCRIBE {scan.sql}", list(scan.values)).fetchall()
            columns = {row[0]: row[1] for row in described if row[0] != FILE_COLUMN}
            listed = f"SELECT * EXCLUDE ({identifier(FILE_COLUMN)}) FROM ({scan.sql}) LIMIT {_SAMPLE}"
            rows = session.execute(listed).fetchall()
        except duckdb.Error as error:
            other = scan.otherwise(session, error) if scan.otherwise is not None else None
            if other is not None:
                return _look(other, engine)
            raise _explained(scan, error) from error
    values = dict(zip(columns, zip(*rows, strict=True), strict=True)) if rows else {}
    return columns, scoping.personal(columns, values)


def _rows(
    scans: Sequence[Scan | Rows], files: Sequence[File], size: int, engine: LocalEngine
) -> tuple[int | None, list[str]]:
    """Count rows: from the footers of Parquet, by reading all of small files, else not at all."""
    aside: list[str] = []
    if all(file.format == "parquet" for file in files):
        return sum(int(pq.ParquetFile(file.path).metadata.num_rows) for file in files), aside
    if size > WHOLE_BYTES:
        return None, aside
    total = 0
    with engine.session() as session:
        for scan in scans:
            if not isinstance(scan, Scan):
                met = []
                for batch in scan.batches(_LOOKED_AT):
                    total += batch.data.num_rows
                    met += [batch.misfits] if batch.misfits is not None else []
                aside += _sentences(met)
                continue
            try:
                # Every column is touched, so that a malformed row is found; only a scan that ended has kept such rows.
                counted = session.execute(f"SELECT count(*), count(COLUMNS(*)) FROM ({scan.sql})").fetchall()
            except duckdb.Error as error:
                raise _explained(scan, error) from error
            read = int(counted[0][0])
            total += read
            if scan.misfits is not None:
                aside += _sentences(scan.misfits(session, read))
    return total, aside


def _sentences(batches: Iterable[pa.RecordBatch]) -> list[str]:
    """Say which lines are no rows: how many for each reason, and the first of them."""
    counts: Counter[str] = Counter()
    first: dict[str, str] = {}
    for batch in batches:
        for reasons, origin, detail in zip(*(batch.column(name).to_pylist() for name in _SHOWN), strict=True):
            counts.update(reasons)
            for reason in reasons:
                first.setdefault(reason, f"line {json.loads(detail)['line']} of {origin}")
    return [
        f"{count} line{'s are' if count > 1 else ' is'} no row and would be set aside: {reason}, as {first[reason]}"
        for reason, count in counts.items()
    ]


def _explained(scan: Scan, error: duckdb.Error) -> PenstockError:
    assert scan.explain is not None
    return scan.explain(error)


def _family(file: File) -> str:
    folder, name = os.path.split(file.key)
    return os.path.join(folder, re.sub(r"\d+(?:[-_.]\d+)*", "[0-9]*", name))


def _table(name: str) -> str:
    stem = os.path.basename(name)
    while os.path.splitext(stem)[1].lower() in COMPRESSIONS or os.path.splitext(stem)[1]:
        stem = os.path.splitext(stem)[0]
    return re.sub(r"\W+", "_", stem.replace("[0-9]*", "")).strip("_") or "table"
