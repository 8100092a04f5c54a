"""From counts to findings: one sentence and a few bounded examples for each check that failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from penstock.errors import PenstockError
from penstock.model.durations import show_duration
from penstock.model.entries import CheckFailure
from penstock.queries.relations import FILE, ROW
from penstock.queries.text import identifier
from penstock.validate import uniqueness
from penstock.validate.binding import Bound, limits, staleness
from penstock.validate.functions import MARK, Answer, AnswerError
from penstock.validate.profile import LONGEST_TEXT
from penstock.validate.rows import Rows

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MASK = "•••"
_MOST_COLUMNS = 8
_LONGEST_REASON = 200


@dataclass(frozen=True)
class Reporter:
    """Writes findings about one table.

    Attributes:
        rows: The rows.
        personal: Columns of which no value may be shown, in lower case.
        limit: Examples of each failure.
    """

    rows: Rows
    personal: frozenset[str]
    limit: int

    def failing(self, check: Bound, count: int, of: int) -> CheckFailure:
        """Return the finding about rows that fail a check of single rows."""
        columns = check.columns[:_MOST_COLUMNS]
        listed = [f"left(CAST({identifier(name)} AS VARCHAR), {LONGEST_TEXT + 1})" for name in columns]
        listed += [FILE, ROW] if self.rows.located else []
        source = self.rows.sql(check.reads, place=self.rows.located)
        query = f"SELECT {', '.join(listed) or '1'} FROM {source} WHERE {check.guarded} LIMIT {self.limit}"
        found = self.rows.connection.execute(query).fetchall()
        positions = [self.rows.position(*row[-2:]) if self.rows.located else None for row in found]
        examples = [self._example(columns, row, position) for row, position in zip(found, positions, strict=True)]
        return _finding(check, count, f"{check.expectation} {share(count, of)}", [item for item in examples if item])

    def repeating(self, check: Bound, count: int, of: int) -> CheckFailure:
        """Return the finding about rows that repeat a key."""
        found = self.rows.connection.execute(uniqueness.examples(self.rows, check, self.limit)).fetchall()
        examples = [{**self._example(check.columns, row, None), "rows": row[-1]} for row in found]
        return _finding(check, count, f"{check.expectation} {share(count, of)}", examples)

    def counted(self, check: Bound, rows: int) -> CheckFailure | None:
        """Return the finding about the number of rows, or None if it is as expected."""
        least, most = check.spec.parameters.get("min", 0), check.spec.parameters.get("max", rows)
        if least <= rows <= most:
            return None
        condition = check.spec.parameters.get("where")
        suffix = "" if condition is None else f" where {' '.join(condition.split())}"
        return _finding(check, 1, f"{rows:,} {'row' if rows == 1 else 'rows'}{suffix}, expected {limits(check)}")

    def aged(self, check: Bound, newest: int | None, now: datetime) -> CheckFailure | None:
        """Return the finding about the newest moment, or None if it is fresh."""
        name = check.columns[0]
        if newest is None:
            return _finding(check, 1, f"{name} has no value, expected one {limits(check)} old")
        age = timedelta(microseconds=_microseconds(now) - newest)
        if age <= staleness(check):
            return None
        shown = "" if name.lower() in self.personal else f" ({_moment(newest)})"
        old = show_duration(timedelta(seconds=int(age.total_seconds())))
        return _finding(check, 1, f"the newest {name}{shown} is {old} old, expected {limits(check)}")

    def answered(self, check: Bound, answer: Answer) -> CheckFailure | None:
        """Return the finding about a function's answer, or None if it found all good."""
        if answer.good:
            return None
        name = check.spec.name
        if answer.failed is None:
            message = f"{name} returned False"
            if check.spec.severity == "quarantine":
                message += "; it names no rows, so none could be set aside and this counts as an error"
                return _finding(check, 1, message, severity="error")
            return _finding(check, 1, message)
        examples = self._rows_of(answer.examples, check)
        return _finding(check, answer.failed, f"{name} fails {share(answer.failed, answer.rows or 0)}", examples)

    def broken(self, check: Bound, error: Exception) -> CheckFailure:
        """Return the finding that a check itself failed; its text is left out where it may quote personal data."""
        reads = {name.lower() for name in check.columns or [column.name for column in self.rows.columns]}
        kind = "" if isinstance(error, AnswerError) else type(error).__name__
        quiet = bool(reads & self.personal) and not isinstance(error, AnswerError | PenstockError)
        said = "" if quiet else _bounded(" ".join(str(error).split()), _LONGEST_REASON)
        why = ": ".join(part for part in (kind, said) if part)
        return _finding(check, 1, f"the check itself failed: {why}", severity="error")

    def _rows_of(self, found: pa.Table | None, check: Bound) -> list[Mapping[str, Any]]:
        if found is None:
            return []
        names = check.columns or [name for name in found.column_names if name not in (MARK, ROW, "nothing")]
        starts = {place.mark: place.start for place in self.rows.places} if MARK in found.column_names else {}
        examples = []
        for row in found.slice(0, self.limit).to_pylist():
            position = starts[row[MARK]] + row[ROW] if MARK in row else None
            shown = names[:_MOST_COLUMNS]
            examples.append(self._example(shown, [row[name] for name in shown], position))
        return examples

    def _example(self, columns: Sequence[str], values: Sequence[Any], position: int | None) -> Mapping[str, Any]:
        shown: dict[str, Any] = {}
        for name, value in zip(columns, values, strict=False):
            hidden = value is not None and name.lower() in self.personal
            shown[name] = MASK if hidden else None if value is None else _bounded(str(value), LONGEST_TEXT)
        if position is not None:
            origin = self.rows.origin(position)
            place = "row {:,} of the load" if origin is None else f"{_bounded(origin[0].uri, LONGEST_TEXT)}, row {{:,}}"
            shown["_origin"] = place.format((position if origin is None else origin[1]) + 1)
        return shown


def share(count: int, of: int) -> str:
    """Return how many rows of how many, as ``in 3 of 842 rows (0.4 %)``."""
    percent = 100 * count / of if of else 100.0
    if count == of:
        shown = "100 %"
    elif percent < 0.1:
        shown = "under 0.1 %"
    else:
        shown = f"{min(percent, 99.9):.1f} %"
    return f"in {count:,} of {of:,} {'row' if of == 1 else 'rows'} ({shown})"


def _finding(
    check: Bound,
    count: int,
    message: str,
    examples: Sequence[Mapping[str, Any]] = (),
    severity: str | None = None,
) -> CheckFailure:
    return CheckFailure(
        check=check.spec.name,
        severity=severity or check.spec.severity.value,
        columns=check.columns,
        count=count,
        message=message,
        examples=tuple(examples),
    )


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


def _moment(microseconds: int) -> str:
    try:
        return f"{(_EPOCH + timedelta(microseconds=microseconds)).replace(tzinfo=None).isoformat(' ')} UTC"
    except OverflowError:
        return "beyond the year 9999 or before the year 1"


def _bounded(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
