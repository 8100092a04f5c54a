"""The fewest passes over the new rows that count what fails and take the profile."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import Any

import duckdb

from penstock.model.entries import DataFile
from penstock.profiles.profile import TableProfile
from penstock.queries.relations import FILE, ROW
from penstock.stores.port import Answerer
from penstock.validate.bound import Bound
from penstock.validate.gathering import Gathering
from penstock.validate.glancing import looking
from penstock.validate.profile import COUNT, EXTREME, SCAN, Figure, completed, figures, profile
from penstock.validate.rows import Rows
from penstock.validate.sketching import open_columns, sketch
from penstock.validate.spreading import spread_profile
from penstock.validate.texts import Texts
from penstock.values import dataclass

_PLACES = "places"
_FIRST = f"arg_min({{'file': {FILE}, 'row': {ROW}}}, {ROW}, 500)"
"""The first failing rows, from which examples are chosen: found in the same pass, where the next would cost as much."""
_WIDEST_PASS = 200
"""Aggregates in one query: planning grows faster than their number, and columns are read once either way."""
_DATA_ERRORS = (
    duckdb.ConversionException,
    duckdb.OutOfRangeException,
    duckdb.InvalidInputException,
    duckdb.DataError,
)
_Key = tuple[int | str, str]


@dataclass(frozen=True)
class Measured:
    """What was found.

    Attributes:
        rows: Rows looked at.
        failed: Check's index to the rows that fail it.
        looked: Check's index to the rows that it looks at, for checks with ``where``.
        figures: Check's index to its figure, for kinds that judge one.
        skipped: Indexes of checks whose ``when`` is not true.
        places: File and row of the first rows that fail any check of single rows, where the rows have a place.
        broken: Check's index to the error with which it stopped on the data.
        profile: Column to figures.
        sketches: The whole profile, if it was asked for.
    """

    rows: int
    failed: Mapping[int, int] = field(default_factory=dict)
    looked: Mapping[int, int] = field(default_factory=dict)
    figures: Mapping[int, Any] = field(default_factory=dict)
    skipped: frozenset[int] = frozenset()
    places: Sequence[Mapping[str, Any]] = ()
    broken: Mapping[int, duckdb.Error] = field(default_factory=dict)
    profile: Mapping[str, Any] = field(default_factory=dict)
    sketches: TableProfile | None = None


@dataclass(frozen=True, slots=True)
class _Asked:
    """One aggregate.

    Attributes:
        key: Whose it is (a check's index or a column), and which.
        sql: Its SQL; ``{fails}`` stands for the column of its condition.
        cost: How it is found, see ``Figure``.
        reads: The columns that it reads; None: any.
        condition: SQL that is true for failing rows; it is computed once for all aggregates that have it.
    """

    key: _Key
    sql: str
    cost: int
    reads: tuple[str, ...] | None
    condition: str = ""


def measure(
    rows: Rows, checks: Sequence[Bound], personal: Sequence[str], *, profiled: bool = True, sketched: bool = False
) -> Measured:
    """Count the failing rows of every check that judges rows one by one, and take the profile.

    A check that stops on the data (a cast that cannot be) is measured alone, so that it spoils no other.

    Args:
        rows: The rows.
        checks: All checks; those of other kinds only get ``looked`` and ``figures``.
        personal: Columns of which no value may be shown.
        profiled: Whether to take the profile.
        sketched: Whether to take its sketches as well.
    """
    shape = tuple(figures(rows.columns, personal, rows.unbounded, sketched=sketched)) if profiled else ()
    scanned = _scanned(rows, checks, shape)
    asked = [one for index, check in enumerate(checks) for one in _of_check(index, check, scanned)]
    wanted = [_of_profile(figure, scanned) for figure in shape]
    total, found, errors = 0, dict[_Key, Any](), dict[_Key, duckdb.Error]()
    as_text, sketches = rows.long_json_as_text(), None
    source, about = Gathering(as_text), sum(file.rows for file in rows.files)
    open_ = open_columns(as_text, {name.lower() for name in personal}) if profiled and sketched else []
    with looking(source, open_, about):
        texts = Texts(source, open_, _read(asked) if as_text is rows else (), about)
        along = [_Asked((column, name), sql, SCAN, (column,)) for column, name, sql in texts.aggregates()]
        several = ((rows, asked + wanted + along),) if as_text is rows else ((as_text, wanted), (rows, asked))
        for each, questions in several:
            for part in _passes(questions, few=rows.few):
                total = _measure(each, part, found, errors)
        taken = texts.taken({one.key: found.pop(one.key, None) for one in along})
        shown = profile(rows.columns, _figured(found)) if profiled else {}
        if profiled and sketched:
            sketches = sketch(rows, source, personal, total, shown, taken)
    return Measured(
        rows=total,
        failed=_named(found, "failed"),
        # DuckDB's count_if of no rows is null.
        looked={index: count or 0 for index, count in _named(found, "looked").items()},
        figures=_named(found, "figure"),
        places=[place for key, places in found.items() if key[1] == _PLACES for place in places or ()],
        skipped=frozenset(index for index, due in _named(found, "when").items() if due is not True),
        broken={index: error for (index, _), error in errors.items() if isinstance(index, int)},
        profile=shown if sketches is None else completed(shown, sketches),
        sketches=sketches,
    )


def profiled(rows: Rows, personal: Sequence[str], asked: Answerer | None = None) -> TableProfile:
    """Return the whole profile of rows that are not to be checked; of personal columns no value is kept.

    Args:
        rows: The rows, which stand in files if another engine is asked.
        personal: The columns of which no value is kept.
        asked: Who is asked about the rows; None: DuckDB of this machine.
    """
    if asked is not None:
        return spread_profile(replace(rows, asked=asked), personal)[1]
    return measure(rows, (), personal, sketched=True).sketches or TableProfile()


def _read(asked: Sequence[_Asked]) -> set[str]:
    """Return the columns that are read for what is asked of rows."""
    return {name for one in asked if one.cost == SCAN for name in one.reads or ()}


def _passes(asked: Sequence[_Asked], *, few: bool) -> Iterator[Sequence[_Asked]]:
    """Yield what is asked for together: what files tell apart from what rows do, unless there are few rows."""
    if few:
        yield asked
        return
    for cost in (COUNT, EXTREME, SCAN):
        part = [one for one in asked if one.cost == cost]
        if part or cost == COUNT:
            yield part


def _scanned(rows: Rows, checks: Sequence[Bound], shape: Sequence[Figure]) -> frozenset[str]:
    """Return the columns of which rows are looked at anyway, but for those that have no nulls by what files tell.

    Files tell the nulls of a column only where it has none; else they are counted, and the column is read for it.
    """
    read = [one.reads for index, check in enumerate(checks) for one in _of_check(index, check) if one.cost == SCAN]
    read += [(figure.column,) for figure in shape if figure.cost == SCAN]
    columns = {column.name for column in rows.columns}
    if None not in read:
        columns = {name for names in read for name in names or ()}
    full = {name for name in columns if rows.files and all(_full(file, name) for file in rows.files)}
    return frozenset(columns - full)


def _of_profile(figure: Figure, scanned: Collection[str]) -> _Asked:
    cost = SCAN if figure.cost == COUNT and figure.column in scanned else figure.cost
    return _Asked((figure.column, figure.name), figure.sql, cost, (figure.column,))


def _full(file: DataFile, column: str) -> bool:
    found = file.statistics.get(column)
    return found is not None and found[2] == 0


def _of_check(index: int, check: Bound, scanned: Collection[str] = ()) -> Iterator[_Asked]:
    alone = check.spec.kind == "not_null" and check.where is None and len(check.columns) == 1
    if alone and check.columns[0] not in scanned:
        yield _Asked((index, "failed"), f"count(*) - count({check.keys})", COUNT, check.reads)
    elif check.fails is not None:
        yield _Asked((index, "failed"), "count_if({fails})", SCAN, check.reads, check.guarded)
    if check.where is not None:
        yield _Asked((index, "looked"), f"count_if({check.where})", SCAN, check.reads)
    if check.figure and not check.query:
        yield _Asked((index, "figure"), check.figure, SCAN, check.reads)
    if check.when is not None:
        yield _Asked((index, "when"), f"CAST({check.when} AS BOOLEAN)", SCAN, None)


def _measure(rows: Rows, asked: Sequence[_Asked], found: dict[_Key, Any], errors: dict[_Key, duckdb.Error]) -> int:
    """Add what is found to ``found``, or the error to ``errors``, and return the number of rows."""
    total = 0
    for start in range(0, max(1, len(asked)), _WIDEST_PASS):
        part = asked[start : start + _WIDEST_PASS]
        try:
            total, values, places = _run(rows, part)
            found.update((one.key, value) for one, value in zip(part, values, strict=True))
            found[start, _PLACES] = places
        except (*_DATA_ERRORS, duckdb.OutOfMemoryException) as first:
            # Each figure of a very long value holds it once more: together too much, alone perhaps not.
            try:
                total = _one_by_one(rows, part, found, errors)
            except duckdb.TransactionException:
                # An open transaction ends with the first error, so nothing more can be asked within it.
                raise first from None
    return total


def _one_by_one(rows: Rows, asked: Sequence[_Asked], found: dict[_Key, Any], errors: dict[_Key, duckdb.Error]) -> int:
    total = 0
    for one in asked:
        try:
            total, (found[one.key],), _ = _run(rows, [one])
        except _DATA_ERRORS as error:
            errors[one.key] = error
    return total


def _run(rows: Rows, asked: Sequence[_Asked]) -> tuple[int, list[Any], Sequence[Mapping[str, Any]]]:
    """Return the number of rows, the values, and the places of the first failing rows."""
    whole = any(one.reads is None for one in asked)
    columns = None if whole else {name for one in asked for name in one.reads or ()}
    conditions = list(dict.fromkeys(one.condition for one in asked if one.condition))
    named = {condition: f"_penstock_fails_{place}" for place, condition in enumerate(conditions)}
    source = rows.sql(columns, place=rows.located and bool(conditions))
    if named:
        listed = ", ".join(f"{sql} AS {name}" for sql, name in named.items())
        source = f"(SELECT *, {listed} FROM {source}) AS {rows.alias}"
    aggregates = [one.sql.format(fails=named[one.condition]) if one.condition else one.sql for one in asked]
    placed = bool(named) and rows.located
    aggregates.append(f"{_FIRST} FILTER (WHERE {' OR '.join(named.values())})" if placed else "NULL")
    query = f"SELECT {', '.join(['count(*)', *aggregates])} FROM {source}"
    total, *values, places = rows.connection.execute(query).fetchall()[0]
    return total, values, places or ()


def _named(found: Mapping[_Key, Any], name: str) -> dict[int, Any]:
    return {index: value for (index, kind), value in found.items() if kind == name and isinstance(index, int)}


def _figured(found: Mapping[_Key, Any]) -> dict[tuple[str, str], Any]:
    return {(column, figure): value for (column, figure), value in found.items() if isinstance(column, str)}
