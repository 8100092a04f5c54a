"""How a stream is read: the arguments that make a source a stream, checked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from penstock.errors import ConfigurationError
from penstock.model.durations import parse_duration
from penstock.model.sizes import parse_size
from penstock.model.specs import SourceSpec, WriteMode
from penstock.model.streams import KeyForm, OnGap, Start, StreamSpec, Trigger
from penstock.names import unknown

FORMATS = ("json", "text", "bytes")
ARGUMENTS = ("every", "bytes", "rows", "on_gap", "start", "key")


def streamed(spec: SourceSpec, format_: str, given: Mapping[str, Any]) -> SourceSpec:
    """Return a source as a stream.

    Args:
        spec: The source.
        format_: How a message is written.
        given: ``every`` (the age after which a micro-batch is closed, as ``"10s"``), ``bytes`` (``"16MiB"``) and
            ``rows``, whichever it reaches first; ``on_gap``, ``stop`` or ``record``: what becomes of it where the
            source no longer has what comes next; ``start``, ``earliest`` or ``latest``: where it begins;
            ``key``, ``text`` or ``bytes``: as what the keys of messages stand in rows.

    Raises:
        ConfigurationError: An argument is misspelt or has a value that is none; the source cannot be a stream.
    """
    where = f"stream {spec.table!r}"
    for name in given:
        if name not in ARGUMENTS:
            raise unknown("argument", name, ARGUMENTS, where=where)
    if format_ not in FORMATS:
        raise unknown("format", format_, FORMATS, where=where)
    _refuse(spec)
    usual = Trigger()
    trigger = Trigger(
        bytes=parse_size(given.get("bytes", usual.bytes), f"The bytes of {where}", least=1),
        rows=_rows(given.get("rows", usual.rows), where),
        age=_age(given.get("every", usual.age), where),
    )
    made = StreamSpec(
        format=format_,
        trigger=trigger,
        on_gap=OnGap(_word(given.get("on_gap", "stop"), [each.value for each in OnGap], "on_gap", where)),
        start=Start(_word(given.get("start", "earliest"), [each.value for each in Start], "start", where)),
        key=KeyForm(_word(given.get("key", "text"), [each.value for each in KeyForm], "key", where)),
    )
    return replace(spec, stream=made)


def _refuse(spec: SourceSpec) -> None:
    """Refuse what only a source can have that is read from end to end."""
    snapshot = "deletes='snapshot'" if spec.by_snapshot else ""
    replacing = "write='replace'" if spec.write is WriteMode.REPLACE else ""
    interval = f"interval={spec.interval!r}" if spec.interval else ""
    horizon = "horizon=True" if spec.horizon else ""
    lag = f"lag={spec.lag!r}" if spec.lag else ""
    for value in filter(None, (snapshot, replacing, interval, horizon, lag)):
        raise ConfigurationError(
            f"Source {spec.table!r} is a stream, which has no end that this could mean",
            value=value,
            remedy="Drop it; a stream is read by its positions, and its write mode is append, merge or scd2",
        )


def _rows(value: object, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigurationError(f"The rows of {where} are no number of rows", value=value, valid="1 or more")
    return value


def _age(value: str | timedelta, where: str) -> timedelta:
    found = parse_duration(value)
    if not found:
        raise ConfigurationError(
            f"Micro-batches of {where} would be closed at once", value=value, valid="a duration, as 1s or 10s"
        )
    return found


def _word(value: object, valid: list[str], name: str, where: str) -> str:
    if value not in valid:
        raise ConfigurationError(f"The {name} of {where} is not known", value=value, valid=valid)
    return str(value)
