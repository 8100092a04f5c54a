"""What PostgreSQL itself says of the rows that are read: counts, bounds and sums within the snapshot of the reading."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import Any

import pyarrow as pa

from penstock.errors import PenstockError
from penstock.extract.database.postgres.connection import translated
from penstock.extract.database.postgres.types import Column
from penstock.extract.port import Request, SourceFigures
from penstock.model.figures import Aggregate, Figures, figures, query
from penstock.model.specs import Reconcile
from penstock.queries.text import identifier, literal

_FAMILIES = {
    "bool": "boolean", "int2": "number", "int4": "number", "int8": "number", "oid": "number", "numeric": "number",
    "float4": "float", "float8": "float", "text": "text", "varchar": "text", "bpchar": "text", "bytea": "bytes",
    "uuid": "uuid", "date": "date", "timestamp": "moment", "timestamptz": "moment",
}  # fmt: skip
_MOMENT = (
    "(date_part('epoch', date_trunc('day', {0}))::int8 * 1000000 + date_part('hour', {0})::int8 * 3600000000 "
    "+ date_part('minute', {0})::int8 * 60000000 + date_part('microseconds', {0})::int8)"
)
"""Microseconds since 1970, exact also where the server's epoch is a double (before version 14)."""
_EXACT_EPOCH = 140000
_AT_ONCE = 1000
"""A result of PostgreSQL has no more than 1664 columns."""
_STEADY = """
SELECT relkind IN ('r', 'm', 'p') AND NOT relrowsecurity
  AND (NOT (relkind = 'p' OR relhassubclass) OR NOT EXISTS (SELECT FROM pg_class WHERE relkind = 'f'))
FROM pg_class WHERE oid = {}::regclass
"""
"""A view, a query or a foreign table may give other rows at each asking, though the snapshot is one."""


class Asked:
    """The figures of one reading, asked for in a thread of its own while the rows come over another connection.

    Args:
        request: The reading.
        connection: The connection that planned it, whose transaction holds the snapshot.
        columns: The columns as they are read.
        relation: What is read: the relation and the condition, all that follows FROM.
        owned: What is closed with it: the connection.
    """

    def __init__(
        self, request: Request, connection: Any, columns: Sequence[Column], relation: tuple[str, str], owned: ExitStack
    ) -> None:
        self._request = request
        self._connection = connection
        self._columns = columns
        self._relation, self._where = relation
        self._owned = owned
        self._note = ""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="penstock-figures")
        self._asking: Future[SourceFigures] = self._thread.submit(self._ask)

    def figures(self) -> SourceFigures | None:
        """Return the figures; None, and a note, where the server refused them."""
        try:
            return self._asking.result()
        except PenstockError as error:
            self._note = f"{self._request.source.table} could not be compared with its source: {error.what}"
            return None

    def notes(self) -> tuple[str, ...]:
        """Return why there are no figures."""
        return (self._note,) if self._note else ()

    def close(self) -> None:
        """Stop asking and close the connection."""
        if not self._asking.done():
            with suppress(Exception):
                self._connection.cancel()
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._owned.close()

    def _ask(self) -> SourceFigures:
        with translated(self._request):
            source = self._request.source
            snapshot = "table" in source.options and bool(self._one(_STEADY.format(literal(self._relation)))[0])
            asked = _aggregates(self._columns, self._request, self._connection.info)
            found = Figures(rows=0)
            for first in range(0, max(1, len(asked)), _AT_ONCE):
                some = asked[first : first + _AT_ONCE]
                part = figures(some, self._one(query(some, self._relation + self._where)))
                found = Figures(
                    rows=part.rows,
                    columns={**found.columns, **part.columns},
                    families={**found.families, **part.families},
                )
        self._owned.close()
        return SourceFigures(found, snapshot)

    def _one(self, sql: str) -> Sequence[Any]:
        row: Sequence[Any] = self._connection.execute(sql.encode()).fetchone()
        return row


def _aggregates(columns: Sequence[Column], request: Request, server: Any) -> list[Aggregate]:
    source, mode = request.source, request.source.reconcile
    # Text is compared in bytes, which another encoding of the server would count otherwise.
    plain = server.parameter_status("server_encoding") == "UTF8"
    found: list[Aggregate] = []
    for column in columns:
        if source.is_personal(column.name):
            continue
        name, quoted = column.name, identifier(column.name)
        family = _FAMILIES.get(column.base, "")
        if column.target is not None and pa.types.is_string(column.target):
            # It is read as text, because this load holds a value that its type cannot.
            family = ""
        found.append(Aggregate(name, "values", family, f"count({quoted})"))
        if not family or (family == "text" and not plain):
            continue
        if name in source.ends:
            found += _ends(column, family)
        if mode in (Reconcile.SUMS, Reconcile.HASHES):
            found += _sums(column, family)
        if mode is Reconcile.HASHES:
            found += _hashes(column, family, exact=server.server_version >= _EXACT_EPOCH)
    return found


def _ends(column: Column, family: str) -> list[Aggregate]:
    quoted = identifier(column.name)
    # Whatever the collation of the column, bytes are compared, as the lake does.
    value = {
        "uuid": f'{quoted}::text COLLATE "C"',
        "bytes": f"encode({quoted}, 'hex') COLLATE \"C\"",
        "text": f'{quoted} COLLATE "C"',
        "boolean": f"{quoted}::int",
    }.get(family, quoted)
    found = []
    for name, end in (("least", f"min({value})"), ("greatest", f"max({value})")):
        asked, form = {
            "moment": (_MOMENT.format(end), "moment"),
            "date": (f"({end} - DATE '1970-01-01')", "day"),
            "float": (f"{end}::float8", "number"),
            "number": (end, "number"),
            "boolean": (end, "number"),
        }.get(family, (end, "text"))
        found.append(Aggregate(column.name, name, family, asked, form))
    return found


def _sums(column: Column, family: str) -> list[Aggregate]:
    quoted = identifier(column.name)
    found = {
        "number": ("sum", f"sum({column.expression if column.base == 'oid' else quoted})"),
        "boolean": ("true", f"count(*) FILTER (WHERE {quoted})"),
        "float": ("nans", f"count(*) FILTER (WHERE {quoted} = 'NaN')"),
        "date": ("days", f"sum({quoted} - DATE '1970-01-01')"),
        "text": ("bytes", f"sum(octet_length({quoted}))"),
        "bytes": ("bytes", f"sum(octet_length({quoted}))"),
    }.get(family)
    return [] if found is None else [Aggregate(column.name, found[0], family, found[1])]


def _hashes(column: Column, family: str, *, exact: bool) -> list[Aggregate]:
    quoted = identifier(column.name)
    if family == "moment":
        total = f"sum((extract(epoch FROM {quoted}) * 1000000)::int8)"
        return [Aggregate(column.name, "moments", family, total)] if exact else []
    # A cast would cut the blanks off that char(n) is filled up with, and with which it is read.
    blanks = family == "text" and column.base == "bpchar"
    text = {"text": f"{quoted}::text", "uuid": f"{quoted}::text", "bytes": f"encode({quoted}, 'hex')"}.get(family)
    if text is None:
        return []
    written = f"bpcharsend({quoted})" if blanks else f"convert_to({text}, 'UTF8')"
    total = f"sum(('x' || left(encode(sha256({written}), 'hex'), 15))::bit(60)::int8)"
    return [Aggregate(column.name, "hash", family, total)]
