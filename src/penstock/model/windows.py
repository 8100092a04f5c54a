"""Windows: tables of figures over the event time of a stream, declared once, and computed whole or piece by piece."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from penstock.model.specs import TransformSpec
from penstock.values import dataclass


class WindowKind(StrEnum):
    """Which events belong together."""

    TUMBLING = "tumbling"
    HOPPING = "hopping"
    SESSION = "session"
    RUNNING = "running"
    JOIN = "join"


class Emit(StrEnum):
    """When a window is in the table: from its first event on, or once the watermark has passed its end."""

    GROWING = "growing"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowSpec:
    """One table of windows.

    Attributes:
        table: The table it makes.
        kind: Which events belong together.
        of: The stream (or any other source with an event time).
        key: The columns of it by which events are told apart; of a join, those that it has in common with ``to``.
        sql: The columns of the result: aggregates over the events of a window, each with its name; of a join, columns
            of ``to``.
        size: The length of a window; of sessions the gap without an event that ends one; of running figures how
            far back they reach.
        every: Of hopping windows: how far apart they begin.
        emit: When a window is in the table.
        to: Of a join: the table with what is known of a key, from which time on.
        since: Of a join: the column that says from when on a row of ``to`` holds; empty: as its source says.
        live: Its rows stand in production as soon as its stream's do, outside of releases.
    """

    table: str
    kind: WindowKind
    of: str
    key: tuple[str, ...]
    sql: str
    size: timedelta = timedelta(0)
    every: timedelta = timedelta(0)
    emit: Emit = Emit.GROWING
    to: str = ""
    since: str = ""
    live: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowedSpec(TransformSpec):
    """A transform that is a window: ``sql`` computes all of it, and streams keep it up as ``window`` says.

    Attributes:
        window: What was declared.
        event_time: The column of events that says when they happened.
    """

    window: WindowSpec
    event_time: str
