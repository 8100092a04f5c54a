"""What a connection of kind ``webhook`` and a stream over it say, as an inbox understands it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from penstock.errors import ConfigurationError
from penstock.extract.streams.webhooks.inbox import InboxSpec
from penstock.extract.streams.webhooks.signatures import SCHEMES, secret_bytes
from penstock.model.durations import parse_duration
from penstock.model.sizes import parse_size
from penstock.model.specs import ConnectionSpec, SourceSpec
from penstock.names import unknown

FOLDER = "inbox"
_PATH = re.compile(r"/[A-Za-z0-9/_.~-]{0,200}")


def folder_of(root: str, source: SourceSpec) -> Path:
    """Return where the events of a stream lie."""
    return Path(root, str(source.options.get("folder") or f"{FOLDER}/{source.table}"))


def remembered(connection: ConnectionSpec) -> float:
    """Return for how many seconds the id of an event is known."""
    return _seconds(connection, "remember", "1h")


def inbox_of(root: str, source: SourceSpec, connection: ConnectionSpec) -> InboxSpec:
    """Return the inbox of a stream.

    Raises:
        ConfigurationError: The connection says something that cannot be.
    """
    where, options = f"connection {connection.name!r}", connection.options
    path = urlsplit(connection.url).path
    if connection.kind != "webhook" or not _PATH.fullmatch(path):
        raise ConfigurationError(
            f"The URL of {where} is no place for webhooks", value=connection.url, valid="webhook:///hooks/shop"
        )
    scheme = str(options.get("signature", "standard"))
    if scheme not in SCHEMES:
        raise unknown("signature", scheme, SCHEMES, where=where)
    return InboxSpec(
        table=source.table,
        path=path,
        folder=folder_of(root, source),
        signature=scheme,
        secrets=_secrets(connection, scheme, where),
        window=_seconds(connection, "window", "5m"),
        remembered=remembered(connection),
        most=_bytes(options.get("most", "1MiB"), f"The option most of {where}"),
        backlog=_bytes(options.get("backlog", "4GiB"), f"The option backlog of {where}"),
    )


def _secrets(connection: ConnectionSpec, scheme: str, where: str) -> tuple[bytes, ...]:
    given = [connection.secrets[name] for name in ("secret", "old_secret") if connection.secrets.get(name)]
    if scheme == "none":
        return ()
    if not given:
        raise ConfigurationError(
            f"The signatures of {where} cannot be checked without a secret",
            remedy='Give it secret = "${NAME}"; or signature = "none", where nobody else can reach it',
        )
    try:
        return tuple(secret_bytes(scheme, secret) for secret in given)
    except ValueError:
        raise ConfigurationError(
            f"A secret of {where} is none of the scheme {scheme}", valid="whsec_ and Base64, as the sender shows it"
        ) from None


def _seconds(connection: ConnectionSpec, name: str, usual: str) -> float:
    return parse_duration(connection.options.get(name, usual)).total_seconds()


def _bytes(value: Any, what: str) -> int:
    return parse_size(value, what, least=1)
