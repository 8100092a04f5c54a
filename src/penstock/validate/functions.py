"""Checks in Python: which frame a function gets, the call, and what its answer means."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import duckdb

from penstock.arrow import pa
from penstock.errors import ConfigurationError, MissingExtraError
from penstock.queries.relations import FILE, ROW
from penstock.queries.text import identifier
from penstock.validate.rows import POSITION, Rows
from penstock.values import dataclass

TABLE, BATCH, RELATION, PANDAS, POLARS = "table", "batch", "relation", "pandas", "polars"
_FRAMES = {
    ("pyarrow", "Table"): TABLE,
    ("pyarrow", "RecordBatch"): BATCH,
    ("duckdb", "DuckDBPyRelation"): RELATION,
    ("pandas", "DataFrame"): PANDAS,
    ("polars", "DataFrame"): POLARS,
}
_ABBREVIATIONS = {"pa": "pyarrow", "pd": "pandas", "pl": "polars", "_duckdb": "duckdb"}
_VALID = "pyarrow.Table, pyarrow.RecordBatch, duckdb.DuckDBPyRelation, pandas.DataFrame, polars.DataFrame, or none"
MARK = "_penstock_mark"
"""The hash of a row's file, as a scan names it: eight bytes a row, where the name takes a hundred."""
_BATCH_ROWS = 65_536


class AnswerError(Exception):
    """A check answered with what is neither a bool nor a mask of the rows."""


@dataclass(frozen=True, slots=True)
class Call:
    """What a function is called with.

    Attributes:
        call: The function, or the method ``validate``.
        frame: What it gets.
        columns: The columns it gets.
        where: SQL of the rows that it gets; None: all.
    """

    call: Callable[[Any], Any]
    frame: str
    columns: tuple[str, ...]
    where: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a function said.

    Attributes:
        rows: Rows that it looked at; None where nobody counted.
        failed: Rows that it found bad; None where it judged all of them together.
        good: Whether it found everything good.
        places: The bad rows as a table of ``MARK`` and ``ROW``, where the rows have a place.
        examples: The first bad rows, as lists of columns.
    """

    good: bool
    rows: int | None = None
    failed: int | None = None
    places: pa.Table | None = None
    examples: pa.Table | None = None


def frame_of(call: Callable[..., Any], place: str) -> str:
    """Return what a function wants, by the annotation of its first parameter; nothing is imported for it.

    Args:
        call: The function.
        place: The check, for messages.

    Raises:
        ConfigurationError: If the annotation is of another kind.
    """
    try:
        parameters = list(inspect.signature(call).parameters.values())
    except (TypeError, ValueError):
        return TABLE
    wanted = parameters[0].annotation if parameters else inspect.Parameter.empty
    if wanted in (inspect.Parameter.empty, Any, object) or wanted in ("Any", "object"):
        return TABLE
    named = _spelt(wanted, call) if isinstance(wanted, str) else _named(wanted)
    frame = _FRAMES.get(named)
    if frame is None:
        shown = wanted if isinstance(wanted, str) else inspect.formatannotation(wanted)
        raise ConfigurationError(f"The {place} asks for rows in a form that is not known", value=shown, valid=_VALID)
    return frame


def ask(call: Call, rows: Rows, examples: int) -> Answer:
    """Call a function with the rows and read its answer.

    Args:
        call: The function and what it gets.
        rows: The rows.
        examples: How many bad rows to keep as examples.

    Raises:
        AnswerError: The answer is neither a bool nor a mask with one entry per row.
        Exception: Whatever the function raises.
    """
    listed = ", ".join(identifier(name) for name in call.columns) or "1 AS nothing"
    place = f", hash({FILE}) AS {MARK}, {ROW}" if rows.located else ""
    where = "" if call.where is None else f" WHERE {call.where}"
    source = f"FROM {rows.sql(place=rows.located)}{where}"
    if rows.asked is not None and rows.located:
        # Elsewhere files are read in any order.
        source = f"FROM {rows.positioned()}{where} ORDER BY {POSITION}"
        with rows.registered():
            return _asked(call, rows, f"SELECT {listed}{place} {source}", examples)
    if call.frame == RELATION:
        relation = _relation(rows, f"SELECT {listed} {source}")
        answer = call.call(relation)
        if isinstance(_plain(answer), bool):
            return Answer(good=bool(answer))
        whole = rows.connection.sql(f"SELECT {listed}{place} {source}").to_arrow_table()
        return _read(answer, whole, examples)
    query = f"SELECT {listed}{place} {source}"
    if call.frame == BATCH:
        return _together(_batches(call, rows, query, examples), examples)
    whole = rows.connection.sql(query).to_arrow_table()
    return _read(call.call(_framed(_shown(whole), call.frame)), whole, examples)


def _asked(call: Call, rows: Rows, query: str, examples: int) -> Answer:
    """Return the answer about rows that come from another engine."""
    whole = rows.connection.sql(query).to_arrow_table()
    if call.frame == BATCH:
        parts = (pa.Table.from_batches([batch]) for batch in whole.to_batches(_BATCH_ROWS))
        one = (_read(call.call(_shown(part).combine_chunks().to_batches()[0]), part, examples) for part in parts)
        return _together(one, examples)
    shown = _shown(whole)
    frame = rows.engine.from_arrow(shown) if call.frame == RELATION else _framed(shown, call.frame)
    return _read(call.call(frame), whole, examples)


def positions(places: pa.Table, rows: Rows) -> pa.Table:
    """Return the positions of bad rows as a table of ``POSITION``."""
    import pyarrow.compute as pc

    marks = pa.array([place.mark for place in rows.places], pa.uint64())
    starts = pa.array([place.start for place in rows.places], pa.int64())
    first = pc.take(starts, pc.index_in(places[MARK], value_set=marks))
    return pa.table({POSITION: pc.add(first, places[ROW])})


def _relation(rows: Rows, query: str) -> duckdb.DuckDBPyRelation:
    if rows.asked is None:
        return rows.engine.sql(query)
    return rows.engine.from_arrow(rows.asked.sql(query).to_arrow_table())


def _batches(call: Call, rows: Rows, query: str, examples: int) -> Iterator[Answer]:
    reader = rows.connection.sql(query).to_arrow_reader(_BATCH_ROWS)
    try:
        for batch in reader:
            whole = pa.Table.from_batches([batch])
            shown = _shown(whole).combine_chunks().to_batches()
            for one in shown:
                yield _read(call.call(one), whole, examples)
    finally:
        reader.close()


def _together(answers: Iterator[Answer], examples: int) -> Answer:
    rows, failed, good, places, shown, judged = 0, 0, True, [], [], False
    for answer in answers:
        good = good and answer.good
        rows += answer.rows or 0
        if answer.failed is None and not answer.good:
            return answer
        judged = judged or answer.failed is not None
        failed += answer.failed or 0
        places += [] if answer.places is None else [answer.places]
        shown += [] if answer.examples is None else [answer.examples]
    return Answer(
        good,
        rows,
        failed if judged else None,
        pa.concat_tables(places) if places else None,
        pa.concat_tables(shown).slice(0, examples) if shown else None,
    )


def _read(answer: Any, whole: pa.Table, examples: int) -> Answer:
    """Return what an answer means for the rows it is about."""
    import pyarrow.compute as pc

    plain = _plain(answer)
    if isinstance(plain, bool):
        return Answer(plain, whole.num_rows)
    bad = pc.invert(pc.fill_null(_mask(answer, whole.num_rows), True))
    failed = pc.sum(bad).as_py() or 0
    if not failed:
        return Answer(True, whole.num_rows, 0)
    rows = whole.filter(bad)
    places = rows.select([MARK, ROW]) if MARK in whole.column_names else None
    return Answer(False, whole.num_rows, failed, places, rows.slice(0, examples))


def _plain(answer: Any) -> Any:
    """Return a bool of NumPy, Arrow or Python as Python's, and anything else as it is."""
    if isinstance(answer, pa.BooleanScalar):
        return answer.as_py()
    return bool(answer) if type(answer).__name__ in ("bool", "bool_") else answer


def _mask(answer: Any, rows: int) -> pa.ChunkedArray:
    """Return an answer as one Arrow bool per row."""
    said = type(answer).__name__
    remedy = "return True or False, or one bool per row"
    if answer is None or isinstance(answer, str | int | float):
        raise AnswerError(f"it returned {said if answer is None else repr(answer)[:40]}; {remedy}")
    try:
        mask = answer if isinstance(answer, pa.Array | pa.ChunkedArray) else _converted(answer)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise AnswerError(f"it returned {said}, which is no mask; {remedy}") from error
    if not pa.types.is_boolean(mask.type) and len(mask) > 0:
        raise AnswerError(f"it returned a mask of {mask.type}; {remedy}")
    if len(mask) != rows:
        raise AnswerError(f"it returned a mask of {len(mask):,} for {rows:,} rows; {remedy}")
    whole = mask if isinstance(mask, pa.ChunkedArray) else pa.chunked_array([mask])
    return whole.cast(pa.bool_())


def _converted(answer: Any) -> pa.Array | pa.ChunkedArray:
    if hasattr(answer, "__arrow_c_stream__"):
        return pa.chunked_array(answer)
    if hasattr(answer, "to_numpy"):  # a pandas Series, whatever its index
        return pa.array(answer, from_pandas=True)
    if isinstance(answer, list | tuple) or hasattr(answer, "__array__") or hasattr(answer, "__arrow_c_array__"):
        return pa.array(answer)
    raise TypeError(type(answer).__name__)


def _shown(whole: pa.Table) -> pa.Table:
    return whole.drop_columns([name for name in (MARK, ROW, "nothing") if name in whole.column_names])


def _framed(table: pa.Table, frame: str) -> Any:
    if frame == PANDAS:
        try:
            return table.to_pandas()
        except ImportError as error:
            raise MissingExtraError("A check that takes a pandas.DataFrame", "pandas") from error
    if frame == POLARS:
        try:
            import polars as pl
        except ImportError as error:
            raise MissingExtraError("A check that takes a polars.DataFrame", "polars") from error
        return pl.from_arrow(table)
    return table


def _named(wanted: Any) -> tuple[str, str]:
    top = str(getattr(wanted, "__module__", "")).partition(".")[0]
    return _ABBREVIATIONS.get(top, top), str(getattr(wanted, "__name__", wanted))


def _spelt(wanted: str, call: Callable[..., Any]) -> tuple[str, str]:
    """Read an annotation that is a text, from the names of the function's module or by the usual abbreviations."""
    head, _, rest = wanted.strip("'\" ").partition(".")
    names = getattr(inspect.unwrap(getattr(call, "__func__", call)), "__globals__", {})
    found = names.get(head)
    if not rest:
        return _named(found) if found is not None else ("", head)
    module = getattr(found, "__name__", head)
    top = module.partition(".")[0]
    return _ABBREVIATIONS.get(top, top), rest.rpartition(".")[2]
