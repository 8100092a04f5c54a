"""Opening a source and reading it to its end, as landing does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import duckdb

from penstock.extract.port import ArrowBatch, Request
from penstock.model.specs import ConnectionSpec, SourceSpec
from penstock.stores.engine import LocalEngine


@dataclass(frozen=True)
class Read:
    """What a reading gave; ``None`` for rows means that the source said nothing had changed."""

    rows: list[dict[str, Any]] | None
    types: dict[str, str]
    position: Any
    notes: tuple[str, ...]
    batches: int = 0
    largest: int = 0
    misfits: tuple[dict[str, Any], ...] = ()


def read(source: Any, request: Request) -> Read:
    """Read all, in the way of landing: batches, then position, notes, commit, close."""
    extraction = source.open(request)
    if extraction is None:
        return Read(None, {}, None, ())
    rows: list[dict[str, Any]] = []
    misfits: list[dict[str, Any]] = []
    types: dict[str, str] = {}
    count = largest = 0
    engine = LocalEngine(memory=128 * 2**20, threads=1)
    try:
        if extraction.schema is not None:
            types = {field.name: str(field.type) for field in extraction.schema}
        for batch in extraction.batches():
            count += 1
            if isinstance(batch, ArrowBatch):
                rows += batch.data.to_pylist()
                types |= {field.name: str(field.type) for field in batch.data.schema}
                largest = max(largest, batch.data.nbytes)
                misfits += batch.misfits.to_pylist() if batch.misfits is not None else []
                continue
            with engine.session() as session:
                try:
                    described = session.execute(f"DESCRIBE {batch.sql}", list(batch.values)).fetchall()
                    found = session.execute(batch.sql, list(batch.values)).fetchall()
                except duckdb.Error as error:
                    raise batch.explain(error) from error
                types |= {row[0]: row[1] for row in described if row[0] != batch.file_column}
                dicts = [dict(zip([row[0] for row in described], values, strict=True)) for values in found]
                rows += [{key: value for key, value in row.items() if key != batch.file_column} for row in dicts]
                if batch.misfits is not None:
                    for some in batch.misfits(session, len(found)):
                        misfits += some.to_pylist()
        position, notes = extraction.position(), extraction.notes()
        extraction.commit()
    finally:
        extraction.close()
        engine.close()
    return Read(rows, types, position, notes, count, largest, tuple(misfits))


def sql_request(kind: str, url: str, *, table: str = "t", **fields: Any) -> Request:
    """Return a request for a table or query of a database; ``span`` is the interval asked for."""
    mine = {name: fields.pop(name) for name in ("position", "root", "batch_bytes") if name in fields}
    mine["interval"] = fields.pop("span", None)
    secrets = fields.pop("secrets", {})
    source = SourceSpec(table=table, kind="sql", connection="ops", **fields)
    return Request(source=source, connection=ConnectionSpec(name="ops", kind=kind, url=url, secrets=secrets), **mine)
