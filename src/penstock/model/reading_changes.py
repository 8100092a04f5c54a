"""How tables are kept up by their changes: what the arguments of reading mean for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.errors import ConfigurationError
from penstock.model.capture import COMMITTED, OP, Op
from penstock.model.reading import Reading, read_as
from penstock.model.reading_streams import streamed
from penstock.model.sizes import parse_size
from penstock.model.specs import SourceSpec
from penstock.names import unknown

_TOLD = ("deletes", "cursor", "lag", "interval", "horizon", "on_null_cursor")


_OF_POSTGRES = ("slot", "publication")
_OPTIONS = (*_OF_POSTGRES, "max_lag")
ARGUMENTS = (*_OPTIONS, "stream")


def changed(
    name: str,
    connection: str,
    given: Mapping[str, Any],
    reading: Reading | Mapping[str, Any],
    kind: str = "postgres_changes",
) -> SourceSpec:
    """Return a table of a database that is kept up by its changes.

    Args:
        name: What it is called in Penstock.
        connection: Its connection.
        given: ``table``, ``max_lag`` and ``stream``; of PostgreSQL ``slot`` and ``publication`` as well.
        reading: See ``Reading``.
        kind: See ``capture.DATABASE_OF``.

    Raises:
        ConfigurationError: An argument does not fit.
    """
    options = {option: given[option] for option in ("table", *_OPTIONS) if given.get(option)}
    for option in _OF_POSTGRES if kind != "postgres_changes" else ():
        if option in options:
            raise ConfigurationError(
                f"The changes of {name!r} are read without a {option}",
                value=options[option],
                valid="max_lag, stream",
                remedy=f"Drop {option}: only PostgreSQL has them",
            )
    if "max_lag" in options:
        options["max_lag"] = parse_size(options["max_lag"], f"The max_lag of {name!r}", least=1)
    bare = SourceSpec(table=name, kind=kind, connection=connection, options=options)
    return streamed(read_as(bare, captured_as(reading)), "json", of_changes(given.get("stream") or {}, name))


def verify_changes(given: Mapping[str, Any], connection: str) -> Mapping[str, Any]:
    """Return arguments that were given for many tables.

    Raises:
        ConfigurationError: One of them is misspelt.
    """
    for argument in given:
        if argument not in ARGUMENTS:
            raise unknown("argument", argument, ARGUMENTS, where=f"changes of {connection}")
    return dict(given)


def captured_as(reading: Reading | Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the arguments with what changes say by themselves: which rows are deleted, and when it was.

    Raises:
        ConfigurationError: An argument says what changes say by themselves.
    """
    for name in _TOLD:
        if name in reading:
            raise ConfigurationError(
                "A table that is kept up by its changes needs no such argument: they say it themselves",
                value=f"{name}={dict(reading)[name]!r}",
                remedy=f"Drop {name}",
            )
    found = dict(reading)
    if reading.get("write") in ("merge", "scd2"):
        found["deletes"] = {"column": OP, "values": [Op.DELETE.value]}
    if reading.get("write") == "scd2":
        found["cursor"] = COMMITTED
    return found


def of_changes(stream: Mapping[str, Any], table: str) -> Mapping[str, Any]:
    """Return how the stream is read.

    Raises:
        ConfigurationError: An argument means nothing for changes.
    """
    for name in ("start", "key"):
        if name in stream:
            raise ConfigurationError(
                f"The changes of {table!r} are a stream for which {name} means nothing",
                value=f"{name}={stream[name]!r}",
                valid="every, bytes, rows, on_gap, live",
                remedy=f"Drop {name}",
            )
    return stream
