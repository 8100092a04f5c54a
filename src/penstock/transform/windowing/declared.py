"""Windows as their pipeline declares them: what they read is there, and has what they need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from penstock.errors import ConfigurationError
from penstock.model.event_time import OnLate
from penstock.model.specs import SourceSpec, WriteMode
from penstock.model.streams import LoadBy
from penstock.model.windows import Emit, WindowedSpec, WindowKind, WindowSpec
from penstock.names import VALID_FROM, unknown
from penstock.transform.windowing.statement import statement


def windowed(window: WindowSpec, sources: Sequence[SourceSpec], transforms: Sequence[str]) -> WindowedSpec:
    """Return a window as the transform that computes all of it.

    Args:
        window: The window.
        sources: The sources of its pipeline.
        transforms: The tables that other transforms of it make.

    Raises:
        ConfigurationError: It reads what is not there, or what says no event time; its SQL is none.
    """
    where = f"window {window.table!r}"
    found = {source.table: source for source in sources}
    if window.of not in found:
        raise unknown("source", window.of, found, where=f"{where} (of=…)")
    source = found[window.of]
    if source.event_time is None:
        raise ConfigurationError(
            f"The {where} is of {window.of!r}, which has no event time",
            remedy='Name the column that says when an event happened, at the source: event_time="at"',
        )
    if source.write is WriteMode.SCD2:
        raise ConfigurationError(
            f"The {where} is of {window.of!r}, which keeps a history of states, and has no events",
            value="write='scd2'",
            valid="append or merge",
        )
    _verify_emit(window, source, where)
    _verify_live(window, source, where)
    lookup = found.get(window.to)
    if window.kind is WindowKind.JOIN:
        window = _since(window, lookup, transforms, where)
    query = statement(
        window,
        source.event_time,
        history=lookup is not None and lookup.write is WriteMode.SCD2,
        landed=lookup is not None,
    )
    return WindowedSpec(
        table=window.table, sql=query, origin=f"window {window.table}", window=window, event_time=source.event_time
    )


def _verify_emit(window: WindowSpec, source: SourceSpec, where: str) -> None:
    """Refuse to say of windows that they are closed where nobody can know, or where they would change afterwards."""
    if window.emit is not Emit.CLOSED:
        return
    lateness = source.stream.lateness if source.stream is not None else None
    if lateness is None:
        raise ConfigurationError(
            f"The {where} is emitted when it is closed, but {window.of!r} has no watermark that could close it",
            value="emit='closed'",
            remedy='Say how late its events may come: stream={"lateness": "10m", "late": "quarantine"}',
        )
    if lateness.late is OnLate.INCLUDE:
        raise ConfigurationError(
            f"The {where} is emitted when it is closed, but late rows of {window.of!r} would change it afterwards",
            value="late='include'",
            remedy='Set them aside until they are replayed: stream={…, "late": "quarantine"}',
        )


def _verify_live(window: WindowSpec, source: SourceSpec, where: str) -> None:
    """Refuse a live table of what is not live, or whose rows nothing tells apart."""
    if not window.live:
        return
    stream = source.stream
    if stream is None or not stream.live or stream.load is not LoadBy.STREAM:
        raise ConfigurationError(
            f"The {where} is live, but {window.of!r} is no live stream that loads the staging warehouse",
            valid='a stream with {"live": True}, and without {"load": "run"}',
            remedy="Make the stream live, or the window not",
        )
    if window.kind is WindowKind.JOIN and source.write is not WriteMode.MERGE:
        raise ConfigurationError(
            f"The {where} is live, but nothing tells the events of {window.of!r} apart that it joins",
            remedy='Give the stream a key, with write="merge"; or let the window reach production by a release',
        )


def _since(window: WindowSpec, lookup: SourceSpec | None, transforms: Sequence[str], where: str) -> WindowSpec:
    """Return a join that says from when on a row of its table holds."""
    if lookup is None and window.to not in transforms:
        raise unknown("table", window.to, transforms, where=f"{where} (to=…)")
    said = window.since
    if not said and lookup is not None:
        said = VALID_FROM if lookup.write is WriteMode.SCD2 else lookup.event_time or ""
    if not said:
        raise ConfigurationError(
            f"The {where} joins {window.to!r}, and nobody says from when on its rows hold",
            remedy='Name the column: since="valid_from"',
        )
    return replace(window, since=said)
