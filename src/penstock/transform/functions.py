"""Calling a user's function: what each parameter gets, what may come back, and what a failure says."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb

from penstock.arrow import pa
from penstock.errors import ConfigurationError, MissingExtraError
from penstock.model.calling import blamed
from penstock.model.interval import Interval
from penstock.model.specs import TransformSpec
from penstock.names import unknown
from penstock.values import dataclass

SPECIAL = ("interval", "interval_start", "interval_end")
"""Parameter names that receive the interval instead of a table."""

_ALIASES = {"pa": "pyarrow", "pd": "pandas", "pl": "polars", "nw": "narwhals"}
_KINDS = (
    "duckdb.DuckDBPyRelation",
    "pyarrow.Table",
    "pyarrow.RecordBatchReader",
    "pandas.DataFrame",
    "polars.DataFrame",
    "polars.LazyFrame",
    "narwhals.DataFrame",
    "narwhals.LazyFrame",
)
_FRAMES = {"IntoFrame": "DataFrame", "IntoDataFrame": "DataFrame", "Frame": "DataFrame", "IntoLazyFrame": "LazyFrame"}
_BATCH_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class _Giving:
    """What a parameter's value is made from."""

    what: str
    select: str
    connection: duckdb.DuckDBPyConnection
    stack: ExitStack

    def relation(self) -> duckdb.DuckDBPyRelation:
        return self.connection.sql(self.select)

    def table(self) -> pa.Table:
        return self.relation().to_arrow_table()


@contextmanager
def call(
    transform: TransformSpec,
    selects: Mapping[str, str],
    interval: Interval | None,
    connection: duckdb.DuckDBPyConnection,
) -> Iterator[Any]:
    """Call a transform's function and lend its result in a form that DuckDB registers.

    Args:
        transform: With a function.
        selects: Input name to the query that gives its rows.
        interval: The interval, for the parameters ``interval``, ``interval_start`` and ``interval_end``.
        connection: The transaction's connection.

    Raises:
        ConfigurationError: A parameter is no table, an annotation is not known, or the result is no table.
        DataError: The function raised; says where, and what.
        MissingExtraError: An annotation names a package that is not installed.
    """
    function = transform.function
    assert function is not None
    what = f"Transform {transform.table!r}" + (f" ({transform.origin})" if transform.origin else "")
    with ExitStack() as stack:
        arguments = {}
        for name, parameter in inspect.signature(function).parameters.items():
            if name in SPECIAL:
                arguments[name] = _special(name, interval, parameter, what)
                continue
            select = _find(name, selects, what)
            kind = annotated(function, name, what=what)
            arguments[name] = _GIVERS[kind](_Giving(f"{what}, parameter {name!r}: {kind}", select, connection, stack))
        with blamed(function, what):
            accepted = _accepted(function(**arguments), what)
        yield accepted


def annotated(function: Callable[..., Any], parameter: str, *, what: str) -> str:
    """Return the kind of frame that a parameter asks for, as ``pandas.DataFrame``; a relation where it does not say.

    Annotations that are texts are read by the names they use; no package is imported for it.
    """
    annotation = inspect.signature(function).parameters[parameter].annotation
    if annotation is inspect.Parameter.empty:
        return _KINDS[0]
    if isinstance(annotation, str):
        path = _resolved(annotation, getattr(inspect.unwrap(function), "__globals__", {}))
    else:
        origin = getattr(annotation, "__origin__", annotation)
        module = getattr(origin, "__module__", "") or ""
        path = f"{module.partition('.')[0].lstrip('_')}.{getattr(origin, '__name__', origin)}"
    package, _, name = path.partition(".")
    if package == "narwhals":
        path = f"narwhals.{_FRAMES.get(name.removesuffix('T'), name)}"
    if path in ("typing.Any", "object.", "builtins.object"):
        return _KINDS[0]
    if path == "duckdb.duckdb":
        path = _KINDS[0]
    if path not in _KINDS:
        raise ConfigurationError(
            f"{what} annotates parameter {parameter!r} with something that is no table",
            value=annotation if isinstance(annotation, str) else path,
            valid=_KINDS,
            remedy="Write it with the name of its package",
        )
    return path


def _resolved(text: str, scope: Mapping[str, Any]) -> str:
    """Return package and class that the text of an annotation means, as ``pandas.DataFrame``."""
    name = text.strip().strip("'\"").partition("[")[0].strip()
    head, dot, _ = name.partition(".")
    last = name.rpartition(".")[2]
    value = scope.get(head)
    if isinstance(value, ModuleType):
        return f"{value.__name__.partition('.')[0].lstrip('_')}.{last}"
    if value is not None and not dot:
        module = getattr(value, "__module__", "") or ""
        return f"{module.partition('.')[0].lstrip('_')}.{getattr(value, '__name__', last)}"
    if dot:
        return f"{_ALIASES.get(head, head)}.{last}"
    # imported for type checking only, so the module is not known: a class name that only one package has still says it
    found = [kind for kind in _KINDS if kind.endswith(f".{name}")]
    if name in _FRAMES or name.removesuffix("T") in _FRAMES:
        return f"narwhals.{name}"
    return found[0] if len(found) == 1 else name


def _find(name: str, selects: Mapping[str, str], what: str) -> str:
    for table, select in selects.items():
        if table.lower() == name.lower():
            return select
    raise unknown("table", name, selects, where=f"a parameter of {what}")


def _special(name: str, interval: Interval | None, parameter: inspect.Parameter, what: str) -> Any:
    if interval is None:
        if parameter.default is not inspect.Parameter.empty:
            return parameter.default
        raise ConfigurationError(
            f"{what} asks for {name!r}, but is not made by interval",
            remedy='Mark it with @transform(interval="COLUMN"), or give the parameter a default',
        )
    return {"interval": interval, "interval_start": interval.start, "interval_end": interval.end}[name]


def _package(name: str, giving: _Giving) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise MissingExtraError(giving.what, name) from error


def _reader(giving: _Giving) -> pa.RecordBatchReader:
    """Give a stream that does not hold the connection: the rows are spooled to a file first, in bounded memory."""
    folder = giving.stack.enter_context(tempfile.TemporaryDirectory(prefix="penstock-"))
    path = Path(folder) / "input.arrow"
    stream = giving.relation().to_arrow_reader(_BATCH_ROWS)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, stream.schema) as writer:
        for batch in stream:
            writer.write_batch(batch)
    stream.close()
    source = giving.stack.enter_context(pa.memory_map(str(path)))
    return pa.ipc.open_stream(source)


def _pandas(giving: _Giving) -> Any:
    """Give integers and booleans as nullable types, since pandas turns them to floats and objects where one is null."""
    pandas = _package("pandas", giving)
    nullable = {
        **{getattr(pa, name.lower())(): getattr(pandas, f"{name}Dtype")() for name in _INTEGERS},
        pa.bool_(): pandas.BooleanDtype(),
    }
    return giving.table().to_pandas(types_mapper=nullable.get)


_INTEGERS = ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")


def _polars(giving: _Giving) -> Any:
    return _package("polars", giving).from_arrow(giving.table())


def _narwhals(giving: _Giving) -> Any:
    return _package("narwhals", giving).from_native(giving.table(), eager_only=True)


_GIVERS: Mapping[str, Callable[[_Giving], Any]] = {
    "duckdb.DuckDBPyRelation": _Giving.relation,
    "pyarrow.Table": _Giving.table,
    "pyarrow.RecordBatchReader": _reader,
    "pandas.DataFrame": _pandas,
    "polars.DataFrame": _polars,
    "polars.LazyFrame": lambda giving: _polars(giving).lazy(),
    "narwhals.DataFrame": _narwhals,
    "narwhals.LazyFrame": lambda giving: _narwhals(giving).lazy(),
}


def _accepted(result: Any, what: str) -> Any:
    """Return a function's result in a form that DuckDB registers."""
    if isinstance(result, duckdb.DuckDBPyRelation | pa.Table | pa.RecordBatchReader):
        return result
    if isinstance(result, pa.RecordBatch):
        return pa.Table.from_batches([result])
    package = type(result).__module__.partition(".")[0]
    if package in ("polars", "narwhals") and hasattr(result, "collect") and not hasattr(result, "to_arrow"):
        result = result.collect()
    if package == "pandas" and hasattr(result, "columns"):
        return _from_pandas(result)
    if package in ("polars", "narwhals") and hasattr(result, "to_arrow") and hasattr(result, "columns"):
        return result.to_arrow()
    if hasattr(result, "__arrow_c_stream__"):
        return pa.RecordBatchReader.from_stream(result)
    raise ConfigurationError(
        f"{what} returned something that is no table",
        value=f"{type(result).__module__}.{type(result).__qualname__}",
        valid=_KINDS,
    )


def _from_pandas(frame: Any) -> pa.Table:
    """Turn a pandas frame to Arrow: named index levels become columns, nanoseconds must fit microseconds."""
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    table = pa.Table.from_pandas(frame, preserve_index=False)
    fields = []
    for field in table.schema:
        if pa.types.is_timestamp(field.type) and field.type.unit == "ns":
            field = field.with_type(pa.timestamp("us", field.type.tz))  # noqa: PLW2901
        fields.append(field)
    return table.cast(pa.schema(fields))
