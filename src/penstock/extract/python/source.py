"""Python objects: dictionaries, tables, data frames, Arrow streams, and functions that give any of these."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any

import pyarrow as pa

from penstock.errors import ConfigurationError, DataError, PenstockError
from penstock.extract import cursor_values, cursors, scoping
from penstock.extract.port import ArrowBatch, Request, TableDescription, byte_size
from penstock.extract.progress import Gate, Progress, encoded, in_no_interval, local_clock
from penstock.extract.python.rows import Columns
from penstock.names import unknown

_FIRST_ROWS = 512
_MOST_ROWS = 32_768
_VALID = (
    "an iterable of dictionaries, a pyarrow table, batch or reader, a pandas or polars data frame, a DuckDB relation, "
    "anything with __arrow_c_stream__, or a function that returns one of these"
)


class PythonSource:
    """The source kind ``python``: ``SourceSpec.data``.

    A function may take ``interval`` and ``position`` by name; it then chooses its rows itself. Otherwise rows outside
    the interval, or before the cursor's last position less its lag, are left out here.
    """

    def open(self, request: Request) -> PythonExtraction:
        """Call the function if it is one, and look at what there is; see the port."""
        if request.source.data is None:
            raise ConfigurationError(f"The source {request.source.table} has no data", valid=_VALID)
        return PythonExtraction(request)

    def describe(self, request: Request) -> tuple[TableDescription, ...]:
        """Describe a table or frame; functions are not called and iterators not touched, so they stay undescribed."""
        data, name = request.source.data, request.source.table
        if data is None or callable(data) or isinstance(data, Iterator | pa.RecordBatchReader):
            reason = "what it gives is known only when it is read"
            return (TableDescription(name=name, pattern="batch", reason=reason),)
        first = next((batch for batch in _batches_of(data, request, [])), None)
        if first is None:
            return (TableDescription(name=name, rows=0, reason="it is empty"),)
        columns = {field.name: str(field.type) for field in first.schema}
        sample = first.slice(0, 200).to_pydict() if len(set(columns)) == first.num_columns else {}
        rows = getattr(data, "num_rows", None)
        rows = rows if isinstance(rows, int) else len(data) if hasattr(data, "__len__") else None
        times = {field.name: pa.types.is_temporal(field.type) for field in first.schema}
        found = scoping.cursors(times, (), ())
        pattern, reason = scoping.pattern(found, (), rows)
        remarks = scoping.personal(columns, sample)
        return (
            TableDescription(
                name=name,
                columns=columns,
                rows=rows,
                cursors=found,
                pattern=pattern,
                reason=reason,
                remarks=remarks,
                suggestion=scoping.protecting(f'sources.python(data, table="{name}", write="replace")', remarks),
            ),
        )


class PythonExtraction:
    """One reading of an object; see the port."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._notes: list[str] = []
        self._timeless = 0
        self._progress = Progress(request.source, request.source.table, local_clock())
        self._gate = Gate(request.source, request.source.table)
        data = request.source.data
        self._name = getattr(data, "__qualname__", type(data).__name__)
        self._handed = data
        self._takes: frozenset[str] = frozenset()
        if _is_function(data):
            self._takes = _wanted(data)
            data = self._call(data)
        self._data = data
        self._batches = _batches_of(data, request, self._notes)
        _refuse_consumed(data, request)

    @property
    def schema(self) -> pa.Schema | None:
        """The columns of tables and streams; None for dictionaries, whose columns show one by one."""
        found = getattr(self._data, "schema", None)
        return found if isinstance(found, pa.Schema) else None

    def batches(self) -> Iterator[ArrowBatch]:
        """Yield the rows; an exception of the object is raised as DataError with the row reached."""
        source, rows = self._request.source, 0
        origin: tuple[str, Mapping[str, Any]] = (f"python:{self._name}", {})
        for batch in self._batches:
            rows += batch.num_rows
            kept = self._chosen(batch)
            if source.cursor is not None and self._request.interval is None:
                self._advance(kept.column(self._place(kept, source.cursor)))
            yield ArrowBatch(kept, origin)
        if not rows and self._data is self._handed and isinstance(self._data, Iterator | pa.RecordBatchReader):
            raise DataError(
                f"The data of {source.table} gave no row; an iterator can be read only once, and may have been",
                remedy="Give a function that makes it anew",
            )

    def position(self) -> Mapping[str, Any] | None:
        """Return the greatest cursor value met; see the port."""
        return encoded(self._progress, str(self._request.source.cursor))

    def notes(self) -> tuple[str, ...]:
        """Return what was met on the way."""
        source, said = self._request.source, list(self._notes)
        if self._timeless and self._request.without_interval:
            said.append(in_no_interval(self._timeless, str(source.interval), source.table))
        return tuple(dict.fromkeys([*said, *self._gate.notes(), *self._progress.notes()]))

    def commit(self) -> None:
        """Nothing is to be acknowledged."""

    def close(self) -> None:
        """Close a generator that was not read to its end."""
        for closing in (self._batches, self._data):
            if inspect.isgenerator(closing):
                closing.close()

    def _call(self, function: Callable[..., Any]) -> Any:
        arguments = {"interval": self._request.interval, "position": self._request.position}
        try:
            return function(**{name: value for name, value in arguments.items() if name in self._takes})
        except PenstockError:
            raise
        except Exception as error:
            raise _failed(self._request, error, 0) from error

    def _chosen(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        source, interval = self._request.source, self._request.interval
        if interval is not None:
            if "interval" in self._takes:
                return batch
            if source.interval is None:
                raise ConfigurationError(
                    f"The source {source.table} was asked for an interval but names no column of it"
                )
            column = batch.column(self._place(batch, source.interval))
            self._timeless += column.null_count
            return batch.filter(cursor_values.within(column, interval, source.table))
        if source.cursor is None or not cursors.steers(self._request):
            return batch
        column = batch.column(self._place(batch, source.cursor))
        return batch.filter(self._gate.wanted(column, self._since(column)))

    def _since(self, column: pa.Array) -> pa.Scalar | None:
        """Return the least cursor value that is wanted; None for all, or where the function chose by itself."""
        source, position = self._request.source, cursors.resume(self._request)
        if position is None or "position" in self._takes or column.null_count == len(column):
            return None
        if cursor_values.kind(column.type) != position.get("cursor_type"):
            raise ConfigurationError(
                f"The cursor {source.cursor!r} of {source.table} changed its type since it was last read",
                value=str(column.type),
                valid=str(position.get("cursor_type")),
            )
        return cursor_values.earlier(cursor_values.decode(position["cursor"], column.type), source.lag, source.table)

    def _place(self, batch: pa.RecordBatch, column: str) -> int:
        if column not in batch.schema.names:
            raise unknown("column", column, batch.schema.names, where=f"source {self._request.source.table}")
        return int(batch.schema.get_field_index(column))

    def _advance(self, column: pa.Array) -> None:
        if column.null_count < len(column) and cursor_values.kind(column.type) is None:
            raise ConfigurationError(
                f"The cursor {self._request.source.cursor!r} of {self._request.source.table} has no useful order",
                value=str(column.type),
            )
        self._progress.add(column)


def _is_function(data: Any) -> bool:
    return callable(data) and not hasattr(data, "__arrow_c_stream__") and not isinstance(data, Iterable)


def _wanted(function: Callable[..., Any]) -> frozenset[str]:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return frozenset()
    return frozenset({"interval", "position"} & set(parameters))


def _refuse_consumed(data: Any, request: Request) -> None:
    if inspect.isgenerator(data) and inspect.getgeneratorstate(data) != inspect.GEN_CREATED:
        raise DataError(
            f"The generator of {request.source.table} was read before; a generator can be read only once",
            remedy="Give the generator function itself, not what it returned",
        )


def _failed(request: Request, error: Exception, row: int) -> DataError:
    where = f"at row {row}" if row else "before its first row"
    return DataError(
        f"The data of {request.source.table} raised {type(error).__name__} {where}", value=str(error) or None
    )


def _batches_of(data: Any, request: Request, notes: list[str]) -> Iterator[pa.RecordBatch]:
    """Return batches of any supported object.

    Raises:
        ConfigurationError: If the object is of no supported kind.
    """
    if isinstance(data, pa.RecordBatch):
        return _sliced(pa.Table.from_batches([data]), request)
    if isinstance(data, pa.Table):
        return _sliced(data, request)
    if _is_pandas(data):
        return _sliced(_from_pandas(data, notes), request)
    if isinstance(data, pa.RecordBatchReader) or hasattr(data, "__arrow_c_stream__"):
        return _streamed(data, request)
    if isinstance(data, Mapping | str | bytes) or not isinstance(data, Iterable):
        raise ConfigurationError(
            f"The data of {request.source.table} is a {type(data).__name__}, which is no source of rows", valid=_VALID
        )
    return _from_items(data, request, notes)


def _sliced(table: pa.Table, request: Request) -> Iterator[pa.RecordBatch]:
    width = max(1, byte_size(table) // max(1, table.num_rows))
    yield from table.to_batches(max_chunksize=max(1, request.batch_bytes // width))


def _streamed(data: Any, request: Request) -> Iterator[pa.RecordBatch]:
    rows = 0
    try:
        reader = data if isinstance(data, pa.RecordBatchReader) else pa.RecordBatchReader.from_stream(data)
        for batch in reader:
            rows += batch.num_rows
            yield from _sliced(pa.Table.from_batches([batch]), request)
    except PenstockError:
        raise
    except Exception as error:
        raise _failed(request, error, rows + 1) from error


def _is_pandas(data: Any) -> bool:
    # Another thread may be importing pandas at this moment; then nothing here can be a frame of it.
    frame = getattr(sys.modules.get("pandas"), "DataFrame", None)
    return frame is not None and isinstance(data, frame)


def _from_pandas(frame: Any, notes: list[str]) -> pa.Table:
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, ValueError):
        # One odd column of objects: take such columns by the rules for dictionaries.
        odd = Columns()
        arrays, names = [], []
        for place, name in enumerate(frame.columns):
            column = frame.iloc[:, place]
            try:
                arrays.append(pa.Array.from_pandas(column))
            except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, ValueError):
                missing = column.isna()
                rows = [{str(name): None if gone else value} for value, gone in zip(column, missing, strict=True)]
                arrays.append(odd.batch(rows).column(str(name)))
            names.append(str(name))
        notes += odd.notes()
        return pa.Table.from_arrays(arrays, names=names)


def _from_items(data: Iterable[Any], request: Request, notes: list[str]) -> Iterator[pa.RecordBatch]:
    """Read an iterable whose items are dictionaries, or tables and frames."""
    items = _Counted(data, request)
    first = next(items, None)
    if first is None:
        return
    if not isinstance(first, Mapping):
        for item in chain([first], items):
            if isinstance(item, str | bytes) or _is_rows_of_rows(item):
                raise _no_row(request, item, items.row)
            yield from _batches_of(item, request, notes)
        return
    columns, size = Columns(), _FIRST_ROWS
    pending = chain([first], items)
    while rows := list(islice(pending, size)):
        if not all(map(_is_mapping, rows)):
            stranger = next(place for place, row in enumerate(rows) if not isinstance(row, Mapping))
            raise _no_row(request, rows[stranger], items.row - len(rows) + stranger + 1)
        batch = columns.batch(rows)
        width = max(1, byte_size(batch) // batch.num_rows)
        size = max(1, min(_MOST_ROWS, size * 4, request.batch_bytes // width))
        for note in columns.notes():
            if note not in notes:
                notes.append(note)
        yield batch


def _is_mapping(row: Any) -> bool:
    return isinstance(row, Mapping)


def _is_rows_of_rows(item: Any) -> bool:
    return not hasattr(item, "__arrow_c_stream__") and not _is_pandas(item) and not isinstance(item, pa.RecordBatch)


def _no_row(request: Request, item: Any, row: int) -> DataError:
    return DataError(
        f"Row {row} of {request.source.table} is a {type(item).__name__}, no dictionary",
        valid="a dictionary for each row",
    )


class _Counted:
    """Counts the items of an iterable, so that an exception can say where it was raised."""

    def __init__(self, data: Iterable[Any], request: Request) -> None:
        self._request = request
        self.row = 0
        try:
            self._items = iter(data)
        except Exception as error:
            raise _failed(request, error, 0) from error

    def __iter__(self) -> _Counted:
        return self

    def __next__(self) -> Any:
        try:
            item = next(self._items)
        except (StopIteration, PenstockError):
            raise
        except Exception as error:
            raise _failed(self._request, error, self.row + 1) from error
        self.row += 1
        return item
