"""What became of entries, settled as they are indexed, in whatever order they come.

A load stands under the newest verdict about it, and is superseded once an accepted load names it. A version is
superseded by any later one of its interval.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from penstock.catalog.database import Statements
from penstock.catalog.moments import to_micros
from penstock.model.entries import Entry, EntryKind

_CHUNK = 500

_VERDICTS = "FROM entries v WHERE v.table_name = entries.table_name AND v.load = entries.number AND v.kind = 'verdict'"
_NEWEST_VERDICT = (
    f"UPDATE entries SET verdict_number = (SELECT max(v.number) {_VERDICTS}), "
    f"verdict = (SELECT v.verdict {_VERDICTS} ORDER BY v.number DESC LIMIT 1) "
    "WHERE table_name = ? AND kind = 'load' AND number IN ({numbers}) "
    f"AND coalesce(verdict_number, -1) < (SELECT max(v.number) {_VERDICTS})"
)
_PREDECESSORS = "SELECT number FROM supersessions WHERE table_name = ? AND superseded_by IN ({numbers})"
_SUPERSEDED = (
    "UPDATE entries SET superseded = 1 - superseded WHERE table_name = ? AND kind = 'load' AND number IN ({numbers}) "
    "AND superseded <> CASE WHEN EXISTS (SELECT 1 FROM supersessions s JOIN entries b "
    "ON b.table_name = s.table_name AND b.number = s.superseded_by WHERE s.table_name = entries.table_name "
    "AND s.number = entries.number AND b.verdict = 'accepted') THEN 1 ELSE 0 END"
)
_OLDER_VERSIONS = (
    "UPDATE entries SET superseded = 1 WHERE table_name = ? AND kind = 'version' AND interval_start = ? "
    "AND interval_end = ? AND number < (SELECT max(n.number) FROM entries n WHERE n.table_name = entries.table_name "
    "AND n.kind = 'version' AND n.interval_start = entries.interval_start AND n.interval_end = entries.interval_end)"
)


def settle(statements: Statements, entries: Sequence[Entry]) -> None:
    """Bring verdicts and supersessions up to date for everything that the indexed entries touch."""
    touched: dict[str, set[int]] = {}
    for entry in entries:
        about = entry.load if entry.kind is EntryKind.VERDICT else entry.number
        if entry.kind is not EntryKind.VERSION and about is not None:
            touched.setdefault(entry.table, set()).add(about)
    for table, loads in touched.items():
        _over(statements, _NEWEST_VERDICT, table, loads)
        predecessors = {int(row[0]) for row in _over(statements, _PREDECESSORS, table, loads)}
        _over(statements, _SUPERSEDED, table, loads | predecessors)
    remade = {(entry.table, entry.interval) for entry in entries if entry.kind is EntryKind.VERSION and entry.interval}
    statements.many(_OLDER_VERSIONS, [(table, to_micros(each.start), to_micros(each.end)) for table, each in remade])


def _over(statements: Statements, sql: str, table: str, numbers: set[int]) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    for chunk in _chunks(sorted(numbers)):
        found += statements.rows(sql.replace("{numbers}", ", ".join("?" * len(chunk))), (table, *chunk))
    return found


def _chunks(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    for first in range(0, len(numbers), _CHUNK):
        yield numbers[first : first + _CHUNK]
