"""What SQL Server is asked: names, constants and conditions in its dialect; no connection is needed for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from penstock.extract import cursors
from penstock.extract.database.dialect import DatabaseColumn
from penstock.extract.database.mssql import catalog

_BINARY = "Latin1_General_BIN2"


class SqlServerDialect:
    """The part of the port that makes SQL."""

    def identifier(self, name: str) -> str:
        """Return a name in brackets."""
        return catalog.quoted(name)

    def constant(self, value: Any, cursor: str) -> str:
        """Return a cursor value as a constant; see the port."""
        if cursor in ("integer", "decimal"):
            return str(Decimal(str(value)))
        if cursor == "real":
            return repr(float(value))
        if cursor == "text":
            return catalog.literal(str(value))
        if cursor == "date":
            return f"CONVERT(date, '{datetime.fromisoformat(str(value)).date().isoformat()}', 23)"
        return f"CONVERT(datetime2(7), '{_iso(str(value))}', 126)"

    def since(self, column: DatabaseColumn, value: Any, lag: timedelta) -> str:
        """Return the condition of a cursor; see the port. Texts are compared by their code units."""
        quoted, cursor = self.identifier(column.name), str(column.cursor)
        if cursor == "text":
            return f"{quoted} COLLATE {_BINARY} >= {self.constant(value, cursor)}"
        if column.spelt in ("timestamp", "rowversion"):
            return f"{quoted} >= CONVERT(binary(8), CAST({self.constant(value, cursor)} AS bigint))"
        if cursor not in ("date", "timestamp", "timestamptz"):
            return f"{quoted} >= {self.constant(value, cursor)}"
        text = str(value)
        if lag:
            text = cursors.earlier(datetime.fromisoformat(text), lag).isoformat()
        return f"{quoted} >= {_moment(column, text)}"

    def between(self, column: DatabaseColumn, start: datetime, end: datetime) -> str:
        """Return the condition of an interval; see the port."""
        zoned = column.cursor == "timestamptz"
        first, last = (
            _moment(column, (at.astimezone(UTC) if zoned else at.astimezone(UTC).replace(tzinfo=None)).isoformat())
            for at in (start, end)
        )
        quoted = self.identifier(column.name)
        return f"{quoted} >= {first} AND {quoted} < {last}"

    def limited(self, sql: str, rows: int) -> str:
        """Return a SELECT cut to its first rows."""
        return f"SELECT TOP ({rows}) {sql.removeprefix('SELECT ')}"


def _iso(text: str) -> str:
    """Return a moment as ISO 8601 with a T and at most the seven digits of a second that the server has."""
    datetime.fromisoformat(text)
    at, _, rest = text.replace(" ", "T").partition(".")
    at = at if "T" in at else f"{at}T00:00:00"
    digits = rest[:7].rstrip("0")
    return f"{at}.{digits}" if digits else at


def _moment(column: DatabaseColumn, text: str) -> str:
    """Return a moment as a constant of the column's own type: another would be rounded otherwise, or find no index."""
    if column.cursor == "timestamptz":
        plain = text.removesuffix("Z").removesuffix("+00:00")
        return f"CONVERT(datetimeoffset(7), '{_iso(plain)}Z', 127)"
    plain = _iso(text)
    if column.spelt in ("datetime", "smalldatetime"):
        whole, _, digits = plain.partition(".")
        return f"CONVERT(datetime, '{whole}.{digits[:3]:0<3}', 126)"
    # A day is compared with a moment as the midnight at which it begins.
    return f"CONVERT(datetime2(7), '{plain}', 126)"
