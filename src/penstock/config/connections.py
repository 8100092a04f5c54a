"""Connections: what a table of ``[connections]``, or a URL alone, says about an endpoint."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from penstock.errors import ConfigurationError
from penstock.model.specs import ConnectionSpec
from penstock.names import unknown
from penstock.plugins import BUILT_IN
from penstock.values import dataclass

_SCHEMES = {
    "sqlite": "sqlite",
    "postgresql": "postgres",
    "postgres": "postgres",
    "duckdb": "duckdb",
    "access": "access",
    "mysql": "mysql",
    "mariadb": "mysql",
    "mssql": "mssql",
    "sqlserver": "mssql",
    "oracle": "oracle",
    "http": "rest",
    "https": "rest",
    "file": "files",
    "amqp": "rabbitmq",
    "amqps": "rabbitmq",
    "kafka": "kafka",
    "kinesis": "kinesis",
    "mqtt": "mqtt",
    "mqtts": "mqtt",
    "nats": "nats",
    "tls": "nats",
    "pubsub": "pubsub",
    "redis": "redis",
    "rediss": "redis",
    "webhook": "webhook",
    "ws": "websocket",
    "wss": "websocket",
    **dict.fromkeys(("s3", "s3a", "gs", "gcs", "az", "azure", "abfs", "abfss", "sftp"), "files"),
}
DATABASES = ("sqlite", "postgres", "mysql", "duckdb", "access", "mssql", "oracle")
"""The kinds of connection whose tables and queries are read as kind ``sql``."""
KEYS: Mapping[str, tuple[str, ...]] = {
    "sqlite": (),
    "postgres": ("user", "readers", "connect_timeout", "statement_timeout"),
    "duckdb": (),
    "access": (),
    "mssql": ("user", "encrypt", "trust_server_certificate", "authentication", "connect_timeout", "statement_timeout"),
    "oracle": ("user", "ssl", "ssl_ca", "connect_timeout", "statement_timeout"),
    "mysql": ("user", "ssl", "ssl_ca", "reader", "connect_timeout"),
    "files": (
        "endpoint", "region", "access_key_id", "anonymous", "account", "service_account_file", "user",
        "private_key_file", "known_hosts", "timeout",
    ),
    "rest": (
        "auth", "headers", "params", "user", "rate", "timeout", "call_seconds", "attempts", "backoff", "longest_wait",
        "body_bytes", "allow_hosts", "ssl_ca",
    ),
    "kafka": ("user", "security", "sasl_mechanism", "ssl_ca", "ssl_certificate", "ssl_key_file", "settings"),
    "kinesis": ("access_key_id", "endpoint"),
    "mqtt": ("user", "ssl_ca", "ssl_certificate", "ssl_key_file", "client_id", "session", "remember"),
    "nats": ("user", "credentials_file", "ssl_ca", "ssl_certificate", "ssl_key_file"),
    "pubsub": ("credentials_file", "endpoint", "remember"),
    "rabbitmq": ("user", "ssl_ca", "ssl_certificate", "ssl_key_file", "prefetch", "remember"),
    "redis": ("user", "ssl_ca", "ssl_certificate", "ssl_key_file"),
    "sse": ("user", "headers", "ssl_ca", "ssl_certificate", "ssl_key_file", "silence", "remember"),
    "webhook": ("signature", "window", "remember", "most", "backlog"),
    "websocket": ("user", "headers", "ssl_ca", "ssl_certificate", "ssl_key_file", "remember"),
}  # fmt: skip
"""What a connection of a kind may say besides ``url``, ``kind`` and secrets; other kinds check it themselves."""
_SECRETS = ("password", "token", "key", "secret")


@dataclass(frozen=True, slots=True)
class GivenConnection:
    """What a table of ``[connections]`` says, or a URL alone.

    Attributes:
        url: Where it is.
        kind: Its kind, where the URL does not tell.
        secrets: Its passwords and tokens.
        rest: The keys beside these, which depend on the kind.
    """

    url: str
    kind: str | None = None
    secrets: Mapping[str, str] = field(default_factory=dict)
    rest: Mapping[str, Any] = field(default_factory=dict)


def connection_from_url(name: str, url: str) -> ConnectionSpec:
    """Return a connection that nothing but a URL describes; relative places stay relative.

    Raises:
        ConfigurationError: The URL is of no known kind.
    """
    return connection_from_table(name, GivenConnection(url), None, f"connection {name!r}")


def connection_from_table(name: str, given: GivenConnection, root: Path | None, where: str) -> ConnectionSpec:
    """Return a connection with its password and tokens put among the secrets.

    Args:
        name: The connection.
        given: What the file says.
        root: Where relative places are; None leaves them relative.
        where: Where it was written, for messages.
    """
    rest = dict(given.rest)
    kind = given.kind or _kind(given.url, where)
    if given.kind is not None and kind not in _kinds():
        raise unknown("kind of connection", kind, _kinds(), where=where)
    known = ("url", "kind", "secrets", *KEYS.get(kind, ()), *_SECRETS)
    for key in rest:
        if kind in KEYS and key not in known and not _is_secret(key):
            raise unknown("key", key, known, where=where)
    url, password = _without_password(given.url, where)
    secrets = dict(given.secrets)
    if password:
        secrets["password"] = password
    for key in list(rest):
        if _is_secret(key):
            if not isinstance(rest[key], str):
                raise ConfigurationError(f"{key} of {where} is not a text")
            secrets[key] = rest.pop(key)
    return ConnectionSpec(
        name=name,
        kind=kind,
        url=url if root is None else resolved(root, url),
        secrets=MappingProxyType({key: str(value) for key, value in secrets.items()}),
        options=MappingProxyType(rest),
    )


def _is_secret(key: str) -> bool:
    return key in _SECRETS or key.endswith(tuple(f"_{secret}" for secret in _SECRETS))


def _kind(url: str, where: str) -> str:
    scheme, separator, _ = url.partition(":")
    if not separator or len(scheme) == 1 or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
        return "files"
    # A driver may be named as SQLAlchemy does: postgresql+psycopg.
    scheme = scheme.lower().partition("+")[0]
    if scheme in _SCHEMES:
        return _SCHEMES[scheme]
    if scheme in _kinds():
        return scheme
    raise unknown("scheme of a URL", scheme, [*_SCHEMES, *_kinds()], where=where)


def _kinds() -> list[str]:
    from importlib.metadata import entry_points

    return [*BUILT_IN["source"], *BUILT_IN["stream"], *(point.name for point in entry_points(group="penstock.source"))]


def _without_password(url: str, where: str) -> tuple[str, str | None]:
    if "://" not in url or "@" not in url:
        return str(url), None
    try:
        parts = urlsplit(url)
        if parts.password is None:
            return str(url), None
        bare = f"{quote(unquote(parts.username or ''), safe='')}@" if parts.username else ""
        return urlunsplit(parts._replace(netloc=bare + parts.netloc.rpartition("@")[2])), unquote(parts.password)
    except ValueError:
        raise ConfigurationError(f"The url of {where} is not a URL") from None


def resolved(root: Path, url: str) -> str:
    """Resolve the place that a URL of files names; other URLs stay as they are."""
    kind, _, place = url.partition(":")
    if kind in ("sqlite", "duckdb", "access"):
        path, question, query = place.partition("?")
        path = unquote(path.removeprefix("///") if path.startswith("///") else path.removeprefix("//"))
        if not path:
            raise ConfigurationError(f"A URL of {kind} names no file", value=url, valid=f"{kind}:///path/file.db")
        return f"{kind}:///{quote(str(root / Path(path).expanduser()))}{question}{query}"
    if url.startswith("file:"):
        return str(root / unquote(urlsplit(url).path))
    return url if "://" in url else str(root / Path(url).expanduser())
