"""How a stream is read: the arguments that make a source a stream, checked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from penstock.errors import ConfigurationError
from penstock.model.capture import DATABASE_OF
from penstock.model.durations import parse_duration
from penstock.model.event_time import Lateness, OnLate
from penstock.model.scoring import scored_source
from penstock.model.sizes import parse_size
from penstock.model.specs import Nested, SourceSpec, WriteMode
from penstock.model.streams import KeyForm, LoadBy, OnGap, Start, StreamSpec, Trigger
from penstock.names import unknown

REGISTERED = ("avro", "protobuf", "json_schema")
"""The formats whose messages begin with the number of their schema in a registry."""
_WITHOUT_PARTITIONS = ("files", *DATABASE_OF)
FORMATS = ("json", "text", "bytes", "csv", *REGISTERED)
LATENESS = ("lateness", "late", "idle", "ahead")
ARGUMENTS = ("every", "bytes", "rows", "on_gap", "start", "key", "load", "live", "registry", "score", *LATENESS)


def streamed(spec: SourceSpec, format_: str, given: Mapping[str, Any]) -> SourceSpec:
    """Return a source as a stream.

    Args:
        spec: The source.
        format_: How a message is written.
        given: ``every`` (the age after which a micro-batch is closed, as ``"10s"``), ``bytes`` (``"16MiB"``) and
            ``rows``, whichever it reaches first; ``on_gap``, ``stop`` or ``record``: what becomes of it where the
            source no longer has what comes next; ``start``, ``earliest`` or ``latest``: where it begins;
            ``key``, ``text`` or ``bytes``: as what the keys of messages stand in rows; ``load``, ``stream`` or
            ``run``: who loads its rows into the staging warehouse; ``live``, true: its rows stand
            in production as soon as a micro-batch has passed its checks; ``registry``: the connection of
            the schema registry, for the formats ``avro``, ``protobuf`` and ``json_schema``; ``lateness`` (``"10m"``):
            how far behind the greatest event time of its partition an event may lie and not be late, with
            ``event_time``; ``late``, ``include`` or ``quarantine``: what becomes of late rows; ``idle`` (``"1m"``): how
            long a partition may bring nothing and hold the watermark back; ``ahead`` (``"10m"``): events further
            in the future than this do not move the watermark; ``score``: what ``penstock.scoring`` gives, which adds
            columns to the rows of each micro-batch.

    Raises:
        ConfigurationError: An argument is misspelt or has a value that is none; the source cannot be a stream.
    """
    where = f"stream {spec.table!r}"
    for name in given:
        if name not in ARGUMENTS:
            raise unknown("argument", name, ARGUMENTS, where=where)
    if format_ not in FORMATS:
        raise unknown("format", format_, FORMATS, where=where)
    if format_ == "csv" and spec.kind != "tail":
        raise ConfigurationError(
            f"Messages of {where} have no header, so they are no CSV", valid=[each for each in FORMATS if each != "csv"]
        )
    _refuse(spec)
    usual = Trigger()
    trigger = Trigger(
        bytes=parse_size(given.get("bytes", usual.bytes), f"The bytes of {where}", least=1),
        rows=_rows(given.get("rows", usual.rows), where),
        age=_age(given.get("every", usual.age), where),
    )
    registry = given.get("registry")
    if (format_ in REGISTERED) != isinstance(registry, str):
        raise ConfigurationError(
            f"The registry of {where} does not go with its format",
            value=f"format={format_!r}, registry={registry!r}",
            valid=f"the connection of a registry for {', '.join(REGISTERED)}, and none for the others",
            remedy="stream={'registry': 'schemas'}, and url = \"https://…\" in [connections.schemas]",
        )
    made = StreamSpec(
        format=format_,
        trigger=trigger,
        on_gap=OnGap(_word(given.get("on_gap", "stop"), [each.value for each in OnGap], "on_gap", where)),
        start=Start(_word(given.get("start", "earliest"), [each.value for each in Start], "start", where)),
        load=LoadBy(_word(given.get("load", "stream"), [each.value for each in LoadBy], "load", where)),
        live=_live(given.get("live", False), spec, where),
        key=KeyForm(_word(given.get("key", "text"), [each.value for each in KeyForm], "key", where)),
        registry=registry,
        lateness=_lateness(given, spec, where),
        scoring=scored_source(given.get("score"), spec),
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


def _live(value: object, spec: SourceSpec, where: str) -> bool:
    if not isinstance(value, bool):
        raise ConfigurationError(f"Whether {where} is live is no yes and no no", value=value, valid="True or False")
    nested = f"nested={spec.nested.value!r}" if spec.nested is not Nested.COLUMNS else ""
    history = f"write={spec.write.value!r}" if spec.write is WriteMode.SCD2 else ""
    for other in filter(None, (nested, history)):
        if value:
            raise ConfigurationError(
                f"The {where} is live, and a live table cannot be made so",
                value=other,
                valid="write='append' or 'merge', and nested='columns'",
                remedy="Drop live, and promote a table that a transform makes of it",
            )
    return value


def _lateness(given: Mapping[str, Any], spec: SourceSpec, where: str) -> Lateness | None:
    said = [name for name in LATENESS if name in given]
    if not said:
        return None
    if "lateness" not in given:
        raise ConfigurationError(
            f"The {where} has no lateness, which this goes with", value=said[0], remedy='Say how late is late: "10m"'
        )
    if spec.event_time is None:
        raise ConfigurationError(
            f"The {where} has a lateness, and no event time",
            value=f"lateness={given['lateness']!r}",
            remedy='Name the column that says when an event happened: event_time="at"',
        )
    if spec.kind in _WITHOUT_PARTITIONS:
        raise ConfigurationError(
            f"The {where} is read file by file or by transactions, and has no watermark",
            value=f"lateness={given['lateness']!r}",
            valid="streams of messages: tail, kafka, …",
            remedy="Drop lateness",
        )
    usual = Lateness(allowed=parse_duration(given["lateness"]))
    return Lateness(
        allowed=usual.allowed,
        late=OnLate(_word(given.get("late", "include"), [each.value for each in OnLate], "late", where)),
        idle=parse_duration(given.get("idle", usual.idle)),
        ahead=parse_duration(given.get("ahead", usual.ahead)),
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
