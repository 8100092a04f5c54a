"""Checks in Python: a function of the rows, an object with ``validate``, a schema of Pandera."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Unpack

from penstock.checks.making import About, spec
from penstock.checks.schemas import PandasSchema, PolarsSchema, backend_of
from penstock.errors import ConfigurationError
from penstock.model.specs import CheckSpec


def function(call: Callable[..., Any], *columns: str, **about: Unpack[About]) -> CheckSpec:
    """Expect that a Python function finds the new rows good.

    It is called once with all of them: as an Arrow table, or as its parameter's annotation says: ``pyarrow.Table``,
    ``duckdb.DuckDBPyRelation``, ``pandas.DataFrame``, ``polars.DataFrame``; with ``pyarrow.RecordBatch``, batch by
    batch in bounded memory. It returns a bool, or a mask with one bool per row, True for the good ones (null passes).
    A plain bool names no rows: with severity ``quarantine`` such a failure counts as ``error``. An exception is a
    failed check of severity ``error`` that says so; it does not end the run.

    Args:
        call: The function.
        columns: The columns that it gets; all where none is named.
        about: Severity, name (the default is the function's), description (its docstring), where: see ``About``.
    """
    if not callable(call):
        raise ConfigurationError("A function check needs a function", value=type(call).__name__)
    shown = getattr(call, "__name__", None) or type(call).__name__
    _takes_rows(call, shown)
    documented: About = {"description": _first_line(call), **about}
    return spec("function", columns, {}, documented, shown, call)


def validator(judge: Any, *columns: str, **about: Unpack[About]) -> CheckSpec:
    """Expect that ``judge.validate(data)`` is true; the rest is as with ``function``.

    Args:
        judge: An object with ``validate(data) -> bool``.
        columns: The columns that it gets; all where none is named.
        about: Severity, name (the default is the class), description (its docstring), where: see ``About``.
    """
    validate = getattr(judge, "validate", None)
    if not callable(validate):
        raise ConfigurationError("A validator needs a method validate(data)", value=type(judge).__name__)
    kind = judge if isinstance(judge, type) else type(judge)
    _takes_rows(validate, f"{kind.__name__}.validate")
    documented: About = {"description": _first_line(kind), **about}
    return spec("validator", columns, {}, documented, kind.__name__, judge)


def pandera(schema: Any, *columns: str, **about: Unpack[About]) -> CheckSpec:
    """Expect that a schema of Pandera finds the new rows good; rows that it names can be set aside.

    All its failures are collected (``lazy=True``). What it says of no single row, as that a column is missing, is a
    failed check of severity ``error``. Needs ``penstock[pandera]`` and the library of the schema, pandas or polars.

    Args:
        schema: A ``DataFrameSchema`` or ``DataFrameModel`` over pandas or polars.
        columns: The columns that it gets; all where none is named.
        about: See ``About``.
    """
    backend = backend_of(schema)
    if not backend:
        raise ConfigurationError(
            "A pandera check needs a schema over pandas or polars",
            value=type(schema).__name__,
            valid="pandera.polars.DataFrameSchema, pandera.pandas.DataFrameModel …",
        )
    name = getattr(schema, "name", None) or getattr(schema, "__name__", None) or type(schema).__name__
    judge = {"pandas": PandasSchema, "polars": PolarsSchema}[backend](schema)
    return spec("validator", columns, {}, about, str(name), judge)


def as_check(found: Any) -> CheckSpec:
    """Return whatever stands in a list of checks as a spec: a spec, a function, or an object with ``validate``.

    Raises:
        ConfigurationError: If it is none of them.
    """
    if isinstance(found, CheckSpec):
        return found
    if backend_of(found):
        return pandera(found)
    if callable(getattr(found, "validate", None)):
        return validator(found)
    if callable(found):
        return function(found)
    raise ConfigurationError(
        "This is not a check",
        value=found,
        valid="checks.not_null(…) and its like, a function of the rows, an object with validate(data)",
    )


def _takes_rows(call: Callable[..., Any], name: str) -> None:
    """Refuse what could not be called with the rows, and what would answer with something that is always true."""
    inner = call if inspect.isroutine(call) else type(call).__call__
    if inspect.iscoroutinefunction(inner) or inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
        raise ConfigurationError(f"The check {name} is no plain function", valid="def, returning a bool or a mask")
    try:
        inspect.signature(call).bind(None)
    except TypeError:
        raise ConfigurationError(
            f"The check {name} must be callable with the rows as its only argument", valid="def check(rows): …"
        ) from None
    except ValueError:
        return


def _first_line(thing: Any) -> str:
    documented = thing.__doc__ if inspect.isroutine(thing) or isinstance(thing, type) else ""
    return (documented or "").strip().partition("\n")[0]
