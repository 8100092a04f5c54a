"""Constructors of windows: figures over the event time of a stream, as ``windows.tumbling(...)``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from penstock.errors import ConfigurationError
from penstock.model.durations import parse_duration
from penstock.model.windows import Emit, WindowKind, WindowSpec
from penstock.names import check_table_name

__all__ = ["hopping", "join", "live", "running", "session", "tumbling"]
_LONGEST = timedelta(days=36_500)
_MOST = 10_000
"""Windows in which one event may lie."""


def tumbling(
    table: str, *, of: str, size: str | timedelta, sql: str, key: str | Sequence[str] = (), emit: str = "growing"
) -> WindowSpec:
    """Declare figures of windows of one length that follow each other, as of each minute.

    Args:
        table: The table it makes: the key, ``window_start``, ``window_end``, and the columns of ``sql``.
        of: The stream, or any other source with ``event_time``.
        size: The length, as ``"1m"``; windows are counted from Monday, 1970-01-05, UTC.
        sql: Aggregates over the events of a window, each with its name: ``"count(*) AS views, sum(ms) AS ms"``.
        key: The column or columns by which events are told apart.
        emit: ``growing``: a window is there from its first event on; ``closed``: once the watermark has passed its end.
    """
    made = WindowSpec(table=table, kind=WindowKind.TUMBLING, of=of, key=_names(key), sql=sql, emit=_emit(emit, table))
    return _verified(made, size)


def hopping(
    table: str,
    *,
    of: str,
    size: str | timedelta,
    every: str | timedelta,
    sql: str,
    key: str | Sequence[str] = (),
    emit: str = "growing",
) -> WindowSpec:
    """Declare figures of windows that overlap: of the last hour, every five minutes.

    Args:
        table: The table it makes; as for ``tumbling``.
        of: The stream.
        size: The length, as ``"1h"``.
        every: How far apart windows begin, as ``"5m"``.
        sql: As for ``tumbling``.
        key: As for ``tumbling``.
        emit: As for ``tumbling``.
    """
    apart = parse_duration(every)
    made = WindowSpec(
        table=table, kind=WindowKind.HOPPING, of=of, key=_names(key), sql=sql, every=apart, emit=_emit(emit, table)
    )
    found = _verified(made, size)
    if not apart or apart > found.size or found.size > _MOST * apart:
        raise ConfigurationError(
            f"Windows of {table!r} cannot begin so far apart",
            value=f"every={every!r}, size={size!r}",
            valid=f"more than nothing, at most the size, and no more than {_MOST:,} windows over one event",
        )
    return found


def session(
    table: str, *, of: str, gap: str | timedelta, sql: str, key: str | Sequence[str] = (), emit: str = "growing"
) -> WindowSpec:
    """Declare figures of sessions: events of a key that follow each other within a time.

    Args:
        table: The table it makes; ``window_start`` is the first event, ``window_end`` the gap after the last.
        of: The stream.
        gap: The time without an event after which the next one begins another session, as ``"30m"``.
        sql: As for ``tumbling``.
        key: As for ``tumbling``.
        emit: As for ``tumbling``.
    """
    made = WindowSpec(table=table, kind=WindowKind.SESSION, of=of, key=_names(key), sql=sql, emit=_emit(emit, table))
    return _verified(made, gap)


def running(table: str, *, of: str, over: str | timedelta, sql: str, key: str | Sequence[str] = ()) -> WindowSpec:
    """Declare running figures: for each moment at which a key has an event, over the time before, itself included.

    Args:
        table: The table it makes: the key, the event time, and the columns of ``sql``.
        of: The stream.
        over: How far back they reach, as ``"30d"``: events of just that age are not counted any more.
        sql: As for ``tumbling``.
        key: As for ``tumbling``.
    """
    return _verified(WindowSpec(table=table, kind=WindowKind.RUNNING, of=of, key=_names(key), sql=sql), over)


def join(table: str, *, of: str, to: str, on: str | Sequence[str], sql: str, since: str = "") -> WindowSpec:
    """Declare the events of a stream with what a table says of their key, as it was at the event's time.

    Args:
        table: The table it makes: the columns of the events and those of ``sql``.
        of: The stream.
        to: The table: a source or a transform of the pipeline.
        on: The column or columns that both have.
        sql: The columns that are taken of ``to``: ``"country, tier AS plan"``.
        since: The column of ``to`` that says from when on a row holds; a source with ``write="scd2"`` or ``event_time``
            says so already.
    """
    made = WindowSpec(table=table, kind=WindowKind.JOIN, of=of, key=_names(on), sql=sql, to=to, since=since)
    check_table_name(table, where="The name of a window")
    if not made.key:
        raise ConfigurationError(f"The join {table!r} has no column that both tables have", remedy="Say on=…")
    return made


def live(window: WindowSpec) -> WindowSpec:
    """Declare that a table of windows is live, as its stream is: readable in production with each micro-batch.

    Args:
        window: What any other function here has declared, of a stream with ``"live": True``.
    """
    return replace(window, live=True)


def _verified(made: WindowSpec, size: str | timedelta) -> WindowSpec:
    check_table_name(made.table, where="The name of a window")
    found = parse_duration(size)
    if not found or found > _LONGEST:
        raise ConfigurationError(
            f"The windows of {made.table!r} have no length, or one beyond all events",
            value=size,
            valid="as 1m, 1h, 30d; 36,500d at most",
        )
    return replace(made, size=found)


def _names(key: str | Sequence[str]) -> tuple[str, ...]:
    return (key,) if isinstance(key, str) else tuple(key)


def _emit(word: str, table: str) -> Emit:
    if word not in [each.value for each in Emit]:
        raise ConfigurationError(
            f"When windows of {table!r} are emitted is not known", value=word, valid=[each.value for each in Emit]
        )
    return Emit(word)
