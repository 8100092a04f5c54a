"""What Oracle is asked: names, constants and conditions in its dialect; no connection is needed for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from penstock.extract import cursors
from penstock.extract.database.dialect import DatabaseColumn
from penstock.extract.database.oracle import catalog


class OracleDialect:
    """The part of the port that makes SQL."""

    def identifier(self, name: str) -> str:
        """Return a name in quotes."""
        return catalog.quoted(name)

    def constant(self, value: Any, cursor: str) -> str:
        """Return a cursor value as a constant; see the port."""
        if cursor in ("integer", "decimal"):
            return str(Decimal(str(value)))
        if cursor == "real":
            return f"TO_BINARY_DOUBLE({float(value)!r})"
        if cursor == "text":
            return catalog.literal(str(value))
        datetime.fromisoformat(str(value))
        plain = str(value).replace("T", " ").removesuffix("Z").removesuffix("+00:00")
        whole, _, digits = plain.partition(".")
        whole = whole if " " in whole else f"{whole} 00:00:00"
        text = f"{whole}.{digits[:9]}" if digits else whole
        return f"TIMESTAMP '{text} +00:00'" if cursor == "timestamptz" else f"TIMESTAMP '{text}'"

    def since(self, column: DatabaseColumn, value: Any, lag: timedelta) -> str:
        """Return the condition of a cursor; see the port. The session compares texts by their bytes."""
        quoted, cursor = self.identifier(column.name), str(column.cursor)
        if cursor not in ("timestamp", "timestamptz"):
            return f"{quoted} >= {self.constant(value, cursor)}"
        text = str(value)
        if lag:
            text = cursors.earlier(datetime.fromisoformat(text), lag).isoformat()
        if column.spelt == "DATE":
            # It has whole seconds: without fractions the constant is never after the value that it was.
            text = text.partition(".")[0]
        return f"{quoted} >= {_moment(self, column, text)}"

    def between(self, column: DatabaseColumn, start: datetime, end: datetime) -> str:
        """Return the condition of an interval; see the port."""
        quoted = self.identifier(column.name)
        first, last = (
            _moment(self, column, at.astimezone(UTC).replace(tzinfo=None).isoformat()) for at in (start, end)
        )
        return f"{quoted} >= {first} AND {quoted} < {last}"

    def limited(self, sql: str, rows: int) -> str:
        """Return a SELECT cut to its first rows, as every version knows it."""
        return f"SELECT * FROM ({sql}) WHERE ROWNUM <= {rows}"


def _moment(dialect: OracleDialect, column: DatabaseColumn, text: str) -> str:
    """Return a moment as a constant; of a DATE as a date, which an index serves, where it has no fractions."""
    constant = dialect.constant(text, str(column.cursor))
    if column.spelt != "DATE" or "." in constant:
        return constant
    return f"TO_DATE({constant.removeprefix('TIMESTAMP ')}, 'YYYY-MM-DD HH24:MI:SS')"
