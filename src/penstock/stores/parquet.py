"""Writing Parquet files for a table: the one way by which data files come into being.

Every data file passes through ``write`` or ``seal``, so that a test that wraps these sees each of them.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any

import duckdb

from penstock.errors import AlreadyExistsError, DataError, PenstockError, TransientError
from penstock.queries.text import literal
from penstock.queries.widening import LOSSY
from penstock.schema import parse
from penstock.stores.footers import Group, footer
from penstock.stores.objects import sync_file
from penstock.values import dataclass

if TYPE_CHECKING:
    pass

ROW_GROUP = 116_736
"""Rows in one row group: 57 vectors of DuckDB, three below its own group of 122,880 rows.

DuckDB ends a group after the vector that fills it. One that is longer than its own group leaves a remnant in the
warehouse, and the checkpoint then writes the table a second time, to twice its size.
"""
_LEVEL = 2
"""Of zstd. (Measured over CSV: a sixth less time than level 3 in all, for files that are a fifteenth larger.)"""
GROUP_BYTES = 64 * 2**20
"""What a row group of many columns may hold: DuckDB gathers two and more of them before it writes one."""
_VALUE_BYTES = 16
_SHARED = 32_768
"""Rows from which on two threads read faster than one, which is all that a group can have."""
_VECTOR = 2048
_FULL = re.compile(r"no space left|file too large|disk quota", re.IGNORECASE)
_SMALL, _HEAVY, _HEAVY_ROW = 16 * 2**10, 16 * 2**20, 64 * 2**10
_QUOTED = re.compile(r"'.*'|'.*$")
LONGEST_BOUND = 32
"""Characters of a text that still stands in the Delta log as a minimum or maximum."""


@dataclass(frozen=True, slots=True)
class Written:
    """A Parquet file that is durable.

    Attributes:
        rows: Rows in it.
        bytes: Its size.
        statistics: Column to (minimum, maximum, null count), where known; see ``DataFile``.
    """

    rows: int
    bytes: int
    statistics: Mapping[str, tuple[Any, Any, int]] = field(default_factory=dict)


def write(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    target: str,
    types: Mapping[str, str],
    values: Sequence[Any] = (),
    explain: Callable[[Exception], PenstockError] | None = None,
    rows: int | None = None,
) -> Written:
    """Write the rows of a query, in their order, as one durable Parquet file.

    Args:
        connection: A session of the engine.
        query: A SELECT.
        target: Path of the new file; its folder exists.
        types: Stored DuckDB type of each column whose statistics are wanted.
        values: Values bound in the query.
        explain: See ``refusals``.
        rows: How many rows there will be, where that is known.

    Raises:
        AlreadyExistsError: There is such a file.
        DataError: A value cannot be converted, or a file that is read is broken.
        TransientError: The disk is full.
    """
    group = rows_of_group(len(types), rows)
    with refusals(target, explain):
        row = _copied(lambda copy: connection.execute(copy, list(values)), query, target, group)
    seal_whole(target)
    return _told(row, types)


def unsealed(connection: duckdb.DuckDBPyConnection, query: str, target: str, types: Mapping[str, str]) -> Written:
    """Write what ``write`` does; ``seal_whole`` has yet to make it durable before anything may name it."""
    with refusals(target):
        return _told(_copied(connection.execute, query, target, rows_of_group(len(types))), types)


def _copied(run: Callable[[str], duckdb.DuckDBPyConnection], query: str, target: str, group: int) -> tuple[Any, ...]:
    """Write the file, and return what DuckDB tells of it; after a failure there is none."""
    if os.path.lexists(target):
        raise AlreadyExistsError("A data file of this name exists already, and is never overwritten", value=target)
    try:
        row: tuple[Any, ...] | None = run(
            f"COPY ({query}) TO {literal(target)} "
            f"(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL {_LEVEL}, ROW_GROUP_SIZE {group}, RETURN_STATS)"
        ).fetchone()
        if row is None:
            raise DataError(f"{target} was not written")
    except BaseException:
        discard(target)
        raise
    return row


def _told(row: Sequence[Any], types: Mapping[str, str]) -> Written:
    return Written(int(row[1]), int(row[2]), _statistics(row[4] or {}, types))


def rows_of_group(columns: int, rows: int | None = None) -> int:
    """Return the rows of a row group: DuckDB's own unit, or fewer where many columns would make it too large.

    Args:
        columns: Of the file.
        rows: Of the file, where known: those that fit into one group are two, as a group is read by one thread alone.
    """
    fitting = GROUP_BYTES // (_VALUE_BYTES * max(1, columns)) // _VECTOR * _VECTOR
    if rows is not None and _SHARED <= rows <= ROW_GROUP:
        fitting = min(fitting, math.ceil(rows / 2 / _VECTOR) * _VECTOR)
    return max(_VECTOR, min(ROW_GROUP, fitting))


def largest_group(paths: Iterable[str]) -> int:
    """Return the bytes of the largest row group of some files, not compressed."""
    return max((group.bytes for path in paths for group in _groups(path)), default=0)


def heavy(files: Iterable[tuple[str, int]]) -> bool:
    """Say whether some of the rows are so long that few of them are to be held at once.

    Args:
        files: Path and size in bytes of each file; footers of small ones are not read.
    """
    return any(
        group.bytes >= max(_HEAVY, _HEAVY_ROW * group.rows)
        for path, size in files
        if size >= _SMALL
        for group in _groups(path)
    )


def _groups(path: str) -> Sequence[Group]:
    """Return what a footer says of the row groups; nothing of a file that is gone, which its reader will tell."""
    try:
        return footer(path).groups
    except DataError:
        return ()


def seal(path: str) -> None:
    """Make a written data file durable; only then may it be named in a commit."""
    sync_file(path)


def seal_whole(path: str) -> None:
    """Make a file of ``unsealed`` durable, or delete it."""
    try:
        seal(path)
    except BaseException:
        discard(path)
        raise


def discard(path: str) -> None:
    """Delete a data file of a failed attempt; what cannot be deleted is an orphan and counts for nothing."""
    with contextlib.suppress(OSError):
        os.unlink(path)


@contextlib.contextmanager
def refusals(target: str, explain: Callable[[Exception], PenstockError] | None = None) -> Iterator[None]:
    """Turn the errors of DuckDB while writing ``target`` into sentences.

    Args:
        target: What is written, for messages.
        explain: Gives the sentence for what is read, where the reader knows more than DuckDB says.
    """
    try:
        yield
    except duckdb.Error as error:
        if isinstance(error, duckdb.IOException) and _FULL.search(str(error)):
            raise TransientError(
                f"{target} could not be written: the disk is full",
                remedy="Free some space and run again; nothing was committed",
            ) from error
        if LOSSY in str(error):
            raise DataError(f"A value for {target} would be lost: {without_values(error)}") from error
        if explain is not None:
            raise explain(error) from error
        if isinstance(error, duckdb.OutOfMemoryException):
            raise TransientError(
                f"There is not enough memory to write {target}",
                remedy="Raise memory (project.memory, or --memory of ingest)",
            ) from error
        if isinstance(error, duckdb.IOException):
            raise TransientError(f"{target} could not be written: {first_line(error)}") from error
        raise DataError(f"The rows for {target} cannot be read or converted: {without_values(error)}") from error


def first_line(error: BaseException) -> str:
    """Return the first line of a foreign error, cut to 300 characters; the others quote data or SQL."""
    text = str(error).strip().splitlines()
    return text[0][:300] if text else type(error).__name__


def without_values(error: duckdb.Error) -> str:
    """Return the first line of an error of DuckDB without the values that it quotes, which may be personal."""
    # A quote within a value is not escaped, so all between the first and the last one goes.
    return _QUOTED.sub("'…'", first_line(error))


def bound(text: str, *, upper: bool) -> str | None:
    """Return a bound of a text of at most 32 characters that is still true; None where there is none."""
    if len(text) <= LONGEST_BOUND:
        return text
    if not upper:
        return text[:LONGEST_BOUND]
    # The last character that has a successor is raised, so that the shorter text is greater than the whole.
    for place in range(LONGEST_BOUND - 1, -1, -1):
        following = ord(text[place]) + 1
        if following <= 0x10FFFF:
            return text[:place] + chr(0xE000 if following == 0xD800 else following)
    return None


def _statistics(found: Mapping[str, Mapping[str, str]], types: Mapping[str, str]) -> dict[str, tuple[Any, Any, int]]:
    taken = {}
    for name, type_ in types.items():
        column = found.get('"' + name.replace('"', '""') + '"')
        # A nested column's count would have to be nested as well.
        if column is None or "null_count" not in column or parse(type_).members:
            continue
        # NaN is greater than all numbers to some readers, and stands in no bound.
        bounded = column.get("has_nan") != "true"
        low, high = (column.get("min"), column.get("max")) if bounded else (None, None)
        taken[name] = (
            None if low is None else statistic(low, type_, upper=False),
            None if high is None else statistic(high, type_, upper=True),
            int(column["null_count"]),
        )
    return taken


_INTEGERS = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT"})
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d{1,6})?)(\+00)?")
_EXACT_DIGITS = 15
"""Decimal digits that survive the way through a JSON number; a bound that is off by one would hide rows."""


def statistic(text: str, type_: str, *, upper: bool) -> Any:
    """Return a bound, as DuckDB prints it, as a JSON value of the Delta log.

    A reader refuses a log with a bound that it cannot parse, so whatever is out of the ordinary has none: infinity,
    years of five digits, decimals that a JSON number cannot hold.
    """
    if type_ in _INTEGERS:
        return int(text)
    if type_ == "BOOLEAN":
        return text.lower() in ("1", "true")
    if type_ in ("DOUBLE", "FLOAT"):
        return float(text) if math.isfinite(float(text)) else None
    if type_.startswith("DECIMAL"):
        exact = sum(character.isdigit() for character in text) <= _EXACT_DIGITS and "e" not in repr(float(text))
        return float(text) if exact else None
    if type_ == "VARCHAR":
        return bound(text, upper=upper)
    if type_ == "DATE":
        return text if _DATE.fullmatch(text) else None
    moment = _MOMENT.fullmatch(text) if type_.startswith("TIMESTAMP") else None
    if moment is None or (moment[3] is None) == (type_ == "TIMESTAMP WITH TIME ZONE"):
        return None
    return f"{moment[1]}T{moment[2]}" + ("Z" if moment[3] else "")
