"""How a source is read: the arguments that every kind of source takes, checked once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from typing import Any, TypedDict, TypeVar

from penstock.errors import ConfigurationError
from penstock.model.durations import parse_duration
from penstock.model.specs import OnEmpty, OnNullCursor, Reconcile, SourceSpec, WriteMode
from penstock.names import unknown

Choice = TypeVar("Choice", bound=StrEnum)


class Reading(TypedDict, total=False):
    """What every kind of source takes.

    Attributes:
        write: ``append``, ``replace`` or ``merge``.
        key: The column or columns that name a row; needed for merge.
        cursor: The column that says how far was read; it also decides which of two rows with one key is newer.
        lag: How far behind the cursor reading begins again, for late rows: ``"2h"`` or a timedelta.
        on_null_cursor: What becomes of rows without a cursor value: ``include`` (each load reads them, and lands what
            is new), ``exclude`` (they are left out and counted) or ``raise``.
        horizon: Tables of PostgreSQL: read what was committed since the last reading, told by transactions, so that a
            row that was committed late is found whatever its cursor value. A lag bounds how far back is looked.
        interval: The column by which the source is read interval by interval of the pipeline's schedule.
        on_empty: For replace: ``empty`` the table when nothing comes, or ``refuse``.
        reconcile: What is compared between source, raw zone and warehouse after every load: ``counts``, ``sums``,
            ``hashes`` or ``off``.
    """

    write: str
    key: str | Sequence[str]
    cursor: str | None
    lag: str | timedelta
    on_null_cursor: str
    horizon: bool
    interval: str | None
    on_empty: str
    reconcile: str


def read_as(spec: SourceSpec, reading: Reading | Mapping[str, Any]) -> SourceSpec:
    """Return the source with the arguments of ``Reading`` filled in.

    Raises:
        ConfigurationError: An argument is misspelt, a value is not known, or they do not fit each other.
    """
    for name in reading:
        if name not in Reading.__annotations__:
            raise unknown("argument", name, Reading.__annotations__, where=f"source {spec.table!r}")
    lag = reading.get("lag", timedelta(0))
    found = replace(
        spec,
        write=_choice(WriteMode, reading.get("write", "append"), f"write mode of source {spec.table!r}"),
        key=_names(reading.get("key", ())),
        cursor=reading.get("cursor"),
        lag=parse_duration(lag) if isinstance(lag, str) else lag,
        on_null_cursor=_choice(
            OnNullCursor, reading.get("on_null_cursor", "include"), f"on_null_cursor of source {spec.table!r}"
        ),
        horizon=bool(reading.get("horizon", False)),
        interval=reading.get("interval"),
        on_empty=_choice(OnEmpty, reading.get("on_empty", "empty"), f"on_empty of source {spec.table!r}"),
        reconcile=_choice(Reconcile, reading.get("reconcile", "counts"), f"reconcile of source {spec.table!r}"),
    )
    if found.write is WriteMode.MERGE and not found.key:
        raise ConfigurationError(
            f"Source {found.table!r} merges but has no key", remedy="Say which columns name a row: key=…"
        )
    if found.lag and not found.cursor:
        raise ConfigurationError(f"Source {found.table!r} has a lag but no cursor", remedy="Add cursor=… or drop lag")
    _check_horizon(found)
    return found


def _check_horizon(source: SourceSpec) -> None:
    if not source.horizon:
        return
    if source.kind not in ("sql", "postgres"):
        raise ConfigurationError(
            f"Source {source.table!r} has a horizon, and only tables of PostgreSQL have one", value=source.kind
        )
    if source.cursor is None:
        raise ConfigurationError(
            f"Source {source.table!r} has a horizon but no cursor", remedy="Add cursor=… or drop horizon"
        )
    if source.interval is not None or source.write is WriteMode.REPLACE:
        raise ConfigurationError(
            f"Source {source.table!r} has a horizon, but is not read by its cursor",
            value=f"interval={source.interval!r}" if source.interval else "write='replace'",
            remedy="Drop horizon, or read it by cursor with write='append' or 'merge'",
        )


def _names(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _choice(kind: type[Choice], value: str, what: str) -> Choice:
    try:
        return kind(value)
    except ValueError:
        raise ConfigurationError(f"The {what} is not known", value=value, valid=[item.value for item in kind]) from None
