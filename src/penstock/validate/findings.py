"""From counts to findings: one sentence and a few bounded examples for each check that failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from penstock.errors import PenstockError
from penstock.model.durations import show_duration
from penstock.model.entries import CheckFailure
from penstock.queries.relations import FILE, ROW
from penstock.queries.text import identifier, literal
from penstock.validate.bound import Bound
from penstock.validate.functions import MARK, Answer, AnswerError
from penstock.validate.kinds import ordering
from penstock.validate.profile import LONGEST_TEXT
from penstock.validate.rows import POSITION, Rows
from penstock.values import dataclass

if TYPE_CHECKING:
    import pyarrow as pa

MASK = "•••"
_MOST_COLUMNS = 8
_LONGEST_REASON = 200
_TOGETHER = 40
"""Checks whose examples are looked for in one pass."""


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

    def examples(self, checks: Sequence[Bound], places: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
        """Return some failing rows of each check of single rows, found together in one pass.

        Args:
            checks: The checks.
            places: File and row of rows to choose from; none: all rows are looked at.
        """
        found: list[list[Mapping[str, Any]]] = []
        if not checks:
            return found
        with self.rows.registered():
            for start in range(0, len(checks), _TOGETHER):
                part = checks[start : start + _TOGETHER]
                values = self.rows.connection.execute(self._failing(part, places)).fetchall()[0]
                found += [self._shown_rows(check, rows or []) for check, rows in zip(part, values, strict=True)]
        return found

    def _failing(self, checks: Sequence[Bound], places: Sequence[Mapping[str, Any]]) -> str:
        """Return a query for a list of rows for each check, each row a list of texts and its position."""
        whole = any(check.reads is None for check in checks)
        reads = None if whole else {name for check in checks for name in check.reads or ()}
        source = self.rows.positioned(reads) if self.rows.located else self.rows.sql(reads)
        # What is shown is made of the rows that fail alone: an aggregate's arguments are made of all that it gets.
        failing = f"SELECT * FROM {source} WHERE ({' OR '.join(check.guarded for check in checks)})"
        if places:
            chosen = ", ".join(str(row) for row in sorted({place["row"] for place in places}))
            files = ", ".join(literal(file) for file in sorted({place["file"] for place in places}))
            failing += f" AND {ROW} IN ({chosen}) AND {FILE} IN ({files})"
            if len({place["file"] for place in places}) == 1:
                # All of them are found before the end of the file.
                failing += f" LIMIT {len(places)}"
        order = POSITION if self.rows.located else "0"
        asked = [
            f"arg_min([{', '.join(self._texts(check))}], {order}, {self.limit}) FILTER (WHERE {check.guarded})"
            for check in checks
        ]
        return f"SELECT {', '.join(asked)} FROM ({failing}) AS {self.rows.alias}"

    def _texts(self, check: Bound) -> list[str]:
        shown = check.columns[:_MOST_COLUMNS]
        texts = [f"left(CAST({identifier(name)} AS VARCHAR), {LONGEST_TEXT + 1})" for name in shown]
        return texts + ([f"CAST({POSITION} AS VARCHAR)"] if self.rows.located else ["NULL"])

    def failing(self, check: Bound, count: int, of: int, examples: Sequence[Mapping[str, Any]]) -> CheckFailure:
        """Return the finding about rows that fail a check of single rows."""
        return _finding(check, count, f"{check.expectation} {share(count, of)}", examples)

    def _shown_rows(self, check: Bound, rows: Sequence[Sequence[Any]]) -> list[Mapping[str, Any]]:
        shown = check.columns[:_MOST_COLUMNS]
        examples = [self._example(shown, row[:-1], None if row[-1] is None else int(row[-1])) for row in rows]
        return [item for item in examples if item]

    def repeating(self, check: Bound, count: int, of: int, examples: str) -> CheckFailure:
        """Return the finding about rows that repeat a key; ``examples`` is a query for keys and their numbers."""
        found = self.rows.connection.execute(examples).fetchall()
        shown = [{**self._example(check.columns, row, None), "rows": row[-1]} for row in found]
        return _finding(check, count, f"{check.expectation} {share(count, of)}", shown)

    def falling(self, check: Bound, count: int, of: int) -> CheckFailure:
        """Return the finding about rows that are below one before them."""
        examples = []
        for value, before, position in ordering.falling_examples(self.rows, check, self.limit):
            shown = dict(self._example(check.columns, [value], position))
            examples.append({**shown, "before": self._shown(before, check.columns[0].lower() in self.personal)})
        return _finding(check, count, f"{check.expectation} {share(count, of)}", examples)

    def alike(self, check: Bound, found: pa.Table, count: int, of: int) -> CheckFailure:
        """Return the finding about texts that are nearly the same: each with the one before it."""
        name, hidden = check.columns[0], check.columns[0].lower() in self.personal
        examples = [
            {name: self._shown(row["text"], hidden), "like": self._shown(row["other"], hidden)}
            for row in found.slice(0, self.limit).to_pylist()
        ]
        return _finding(check, count, f"{check.expectation} {share(count, of)}", examples)

    def gaps(self, check: Bound, count: int, longest: Sequence[tuple[Any, ...]]) -> CheckFailure:
        """Return the finding about gaps in time, the longest as examples."""
        name, every = check.columns[0], show_duration(timedelta(seconds=check.says("every")))
        hidden = name.lower() in self.personal
        examples = [
            {"after": MASK if hidden else before, "before": MASK if hidden else after, "gap": _duration(seconds)}
            for before, after, seconds in longest
        ]
        many = "a gap" if count == 1 else f"{count:,} gaps"
        message = f"{name} has {many} over {every}, the longest {_duration(longest[0][2])}"
        return _finding(check, count, message, examples)

    def queried(self, check: Bound) -> CheckFailure | None:
        """Return the finding about the rows that a query gives, or None if there is none."""
        source = f"({check.query})"
        ((count,),) = self.rows.connection.execute(f"SELECT count(*) FROM {source}").fetchall()
        if not count:
            return None
        found = self.rows.connection.execute(f"SELECT * FROM {source} LIMIT {self.limit}")
        names = [item[0] for item in found.description or ()][:_MOST_COLUMNS]
        shown = {column.name for column in self.rows.columns if column.name.lower() not in self.personal}
        # Where a column is personal, a value of another name may be made of it.
        hidden = [bool(self.personal) and name not in shown for name in names]
        examples = [
            {name: self._shown(value, secret) for name, secret, value in zip(names, hidden, row, strict=False)}
            for row in found.fetchall()
        ]
        return _finding(check, count, f"the query gives {count:,} {'row' if count == 1 else 'rows'}", examples)

    def whole(self, check: Bound, message: str | None) -> CheckFailure | None:
        """Return the finding about all rows together, or None where nothing is wrong."""
        return None if message is None else _finding(check, 1, message)

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
        # What DuckDB quotes of the query is ours, not the user's.
        words = str(error).partition("\n\nLINE ")[0].split()
        said = "" if quiet else _bounded(" ".join(words), _LONGEST_REASON)
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
            shown[name] = self._shown(value, name.lower() in self.personal)
        if position is not None:
            origin = self.rows.origin(position)
            place = "row {:,} of the load" if origin is None else f"{_bounded(origin[0].uri, LONGEST_TEXT)}, row {{:,}}"
            shown["_origin"] = place.format((position if origin is None else origin[1]) + 1)
        return shown

    def _shown(self, value: Any, hidden: bool) -> str | None:
        return None if value is None else MASK if hidden else _bounded(str(value), LONGEST_TEXT)


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
        owner=check.spec.owner,
        description=check.spec.description,
    )


def _duration(seconds: float) -> str:
    return show_duration(timedelta(seconds=int(seconds))) if seconds >= 1 else f"{seconds * 1000:.3g}ms"


def _bounded(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
