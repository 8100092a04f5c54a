"""Secrets stay out of ``penstock.toml``, which is in everybody's copy of a project, and go to nobody in the clear."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from penstock.errors import ConfigurationError

_REFERENCE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*(?::-)?\}")
"""A variable; another default than an empty one would be a secret in the file again."""
_OPEN = frozenset({"mailto", "mailtos", "json", "jsons", "form", "forms", "xml", "xmls"})
"""Schemes of apprise whose URLs hold secrets at known places only; others hold them anywhere."""
_HARMLESS = frozenset(
    {"to", "from", "name", "cc", "bcc", "reply", "smtp", "mode", "format", "method", "verify", "user"}
)
_SECRET = re.compile(r"(?=[^/]*[0-9])(?=[^/]*[A-Za-z])[A-Za-z0-9_\-]{20,}")
"""What looks like a token: twenty letters and digits or more."""


def refuse_written(content: Mapping[str, Any], file: Path) -> None:
    """Refuse a secret in the file itself, before its references are filled in.

    Raises:
        ConfigurationError: There is one, or what may be one.
    """
    _refuse_keys(_table(content, "privacy"), file)
    for section in ("announce", "lineage"):
        token = _table(content, section).get("token")
        if isinstance(token, str) and token and _is_literal(token):
            raise _not_a_reference(f"{section}.token", file, "token")
    _refuse_password(_table(content, "environments", "production").get("warehouse"), file)
    _refuse_channels(_table(content, "alerts", "channels"), file)


def _table(content: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """Return a table of the file; an empty one where there is none, or something else."""
    found: Any = content
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _not_a_reference(what: str, file: Path, key: str) -> ConfigurationError:
    return ConfigurationError(
        f"{what} in {file} is no reference to a variable",
        valid=f'{key} = "${{NAME}}"',
        remedy=f"Take the {key} out of the file, and set it in the environment, .env or secrets.toml",
    )


def _refuse_keys(section: Mapping[str, Any], file: Path) -> None:
    former = _table(section, "former")
    for name, text in {"key": section.get("key"), **{f"former.{name}": text for name, text in former.items()}}.items():
        if isinstance(text, str) and _is_literal(text):
            raise _not_a_reference(f"privacy.{name}", file, "key")


def _refuse_password(warehouse: Any, file: Path) -> None:
    if not isinstance(warehouse, str) or "://" not in warehouse:
        return
    try:
        password = urlsplit(warehouse).password
    except ValueError:
        return
    if password and _is_literal(password):
        raise ConfigurationError(
            f"environments.production.warehouse in {file} holds a password",
            valid="postgresql://user:${NAME}@host:5432/database",
            remedy="Take it out of the file, and set it in the environment, .env or secrets.toml",
        )


def _refuse_channels(channels: Mapping[str, Any], file: Path) -> None:
    for name, key in _secrets(channels):
        raise ConfigurationError(
            f"alerts.channels.{name}.{key} in {file} has a secret written in it, or what may be one",
            valid=f'{key} = "${{NAME}}"'
            + (', or "mailtos://USER:${PASSWORD}@HOST?to=ops@example.com"' if key == "url" else ""),
            remedy="Take it out of the file, and set the variable in the environment, .env or secrets.toml",
        )


def _secrets(channels: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in channels:
        channel = _table(channels, name)
        for key, holds in (("token", _is_literal), ("url", _holds_secret), ("webhook", _webhook_holds_secret)):
            text = channel.get(key)
            if isinstance(text, str) and text and holds(text):
                yield name, key


def refuse_webhook(url: str, token: str, where: str, key: str) -> None:
    """Refuse a webhook that is no URL that can be posted to, or that would send a secret in the clear.

    Args:
        url: The webhook, its references filled in.
        token: What is sent with it.
        where: Where it stands, for the message.
        key: The key of the token, for the message.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host or re.search(r"[\s\x00-\x1f]", url):
        raise ConfigurationError(
            f"{where} is no URL that can be posted to",
            value=parts.scheme + "://…" if parts.scheme else "a text without https://",
            valid="https://HOST/PATH",
        )
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(
            f"{where} holds a user or a password", valid="https://HOST/PATH", remedy=f'Set {key} = "${{NAME}}"'
        )
    if parts.scheme == "http" and (token or parts.query) and not _here(host):
        raise ConfigurationError(
            f"{where} would send a token or a query to another machine in the clear", value=host, valid="https://…"
        )


def _here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_literal(text: str) -> bool:
    return _REFERENCE.fullmatch(text.strip()) is None


def _holds_secret(url: str) -> bool:
    """Say whether an URL of apprise may hold a secret in plain text."""
    if not _is_literal(url):
        return False
    scheme = url.partition("://")[0].lower()
    if scheme not in _OPEN:
        # The tokens of chats stand anywhere in their URLs.
        return True
    written = _REFERENCE.sub("", url.partition("://")[2])
    try:
        parts = urlsplit(f"//{written}")
        password = parts.password
    except ValueError:
        return True
    queried = {key.lower() for key, value in parse_qsl(parts.query) if value}
    return bool(password) or not queried <= _HARMLESS or _long(parts.path)


def _webhook_holds_secret(url: str) -> bool:
    if not _is_literal(url):
        return False
    try:
        parts = urlsplit(_REFERENCE.sub("", url))
    except ValueError:
        return False
    return bool(parts.password) or any(value for _, value in parse_qsl(parts.query)) or _long(parts.path)


def _long(path: str) -> bool:
    return any(_SECRET.fullmatch(part) for part in path.split("/"))
