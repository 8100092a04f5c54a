"""Names: of tables, columns, paths and moments, and the nearest match for a misspelt one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from penstock.errors import ConfigurationError

RAW_PREFIX = "raw_"
PARTITION = "created_at"
"""The partition column of the raw zone: the moment of the load."""
LOAD = "_load"
"""The column that carries the number of the load a row came with."""
ORDER = "_order"
CREATED = "_created_at"
UPDATED = "_updated_at"
VALID_FROM = "_valid_from"
VALID_TO = "_valid_to"
DISCARDED = "_discarded"
"""The column of the raw zone that keeps what a contract left out of a row."""
INTERVAL = "_interval"
"""The partition column of a table that is rebuilt interval by interval."""
REASONS, ORIGIN, DETAIL, LINE = "_reasons", "_origin", "_origin_detail", "_line"
"""Columns of a quarantine file: why a row stands there, where it came from, the line of one that could not be read."""
FILE_ROW = "file_row_number"
"""What DuckDB calls a row's place in its file; it does not let another name be chosen."""
RESERVED = frozenset({PARTITION, LOAD, ORDER, CREATED, UPDATED, INTERVAL, DISCARDED, FILE_ROW})
_INTERNAL = "_penstock_"
"""What the names of all columns begin with that Penstock adds to rows on their way."""

_TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


def raw(table: str) -> str:
    """Return the name of a source table in the raw zone and the warehouse: ``raw_{table}``."""
    return RAW_PREFIX + table


def check_table_name(name: str, *, where: str) -> str:
    """Return ``name`` if it can name a table on every store, else raise ConfigurationError.

    Args:
        name: The name as the user wrote it.
        where: What the name belongs to, for the message.
    """
    if not _TABLE.fullmatch(name):
        raise ConfigurationError(
            f"{where} cannot be used as a table name",
            value=name,
            valid="a letter or underscore, then letters, digits and underscores, 63 at most",
        )
    return name


def is_internal(name: str) -> bool:
    """Say whether Penstock keeps a column name for rows on their way."""
    return name.lower().startswith(_INTERNAL)


def stored_names(columns: Sequence[str]) -> dict[str, str]:
    """Map the column names of a source to the names under which the lake stores them.

    A reserved or internal name gets the suffix ``__source``; names that differ only by case are numbered,
    because Delta and DuckDB ignore case; an empty name becomes ``column{position}``.

    Args:
        columns: The names in the order of the source.

    Returns:
        Source name to stored name, in the same order. Exact repeats must be resolved by the caller.
    """
    free = [f"{name}__source" if name.lower() in RESERVED or is_internal(name) else name for name in columns]
    return dict(zip(columns, distinct(free), strict=True))


def distinct(wanted: Iterable[str], *, reserved: Iterable[str] = (), cased: bool = False) -> list[str]:
    """Return names of which none is empty and no two are equal: the second of a name is numbered ``name__2``.

    Args:
        wanted: The names, in order; the first of equal ones keeps its name, an empty one is ``column{position}``.
        reserved: Names that a numbered one must not take either.
        cased: Names that differ only by case are two.
    """
    key = (lambda name: name) if cased else str.lower
    taken: set[str] = set()
    kept = {key(name) for name in reserved}
    found = []
    for position, given in enumerate(wanted, start=1):
        base = given or f"column{position}"
        name, number = base, 1
        while key(name) in taken or (number > 1 and key(name) in kept):
            number += 1
            name = f"{base}__{number}"
        taken.add(key(name))
        found.append(name)
    return found


def moment(at: datetime) -> str:
    """Return a UTC moment as it stands in paths: ``2026-11-20T15-04-05.123Z``."""
    utc = at.astimezone(UTC)
    return utc.strftime("%Y-%m-%dT%H-%M-%S.") + f"{utc.microsecond // 1000:03d}Z"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most like a misspelt or shortened one, or None."""
    names = list(known)
    found = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    longer = [each for each in names if len(name) > 2 and each.startswith(name)]
    return found[0] if found else longer[0] if len(longer) == 1 else None


def unknown(kind: str, name: str, known: Iterable[str], *, where: str) -> ConfigurationError:
    """Return the error for a name that is not known, with the nearest match as the remedy.

    Args:
        kind: What is named: ``table``, ``column``, ``connection``, ``key`` …
        name: The name as the user wrote it.
        known: The names that exist.
        where: Where it was written, for the message.
    """
    names = sorted(set(known))
    guess = nearest(name, names)
    return ConfigurationError(
        f"There is no {kind} {name!r} ({where})",
        valid=names or f"none: no {kind} exists here yet",
        remedy=f"Did you mean {guess!r}?" if guess else None,
    )
