"""The section ``[alerts]`` of ``penstock.toml``: who is told of what, and how."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, ConfigDict, Field

from penstock.config.releases import refuse_webhook
from penstock.errors import ConfigurationError
from penstock.model.alerts import AlertKind, AlertsSpec, ChannelSpec, Urgency
from penstock.model.durations import parse_duration
from penstock.names import unknown

_REFERENCE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*(?::-[^}]*)?\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")
_OPEN = frozenset({"mailto", "mailtos", "json", "jsons", "form", "forms", "xml", "xmls"})
"""Schemes of apprise whose URLs hold secrets at known places only; others hold them anywhere."""
_HARMLESS = frozenset(
    {"to", "from", "name", "cc", "bcc", "reply", "smtp", "mode", "format", "method", "verify", "user"}
)
_SECRET = re.compile(r"(?=[^/]*[0-9])(?=[^/]*[A-Za-z])[A-Za-z0-9_\-]{20,}")
"""What looks like a token: twenty letters and digits or more."""


class Channel(BaseModel):
    """A section ``[alerts.channels.NAME]``."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    url: str = ""
    webhook: str = ""
    token: str = ""
    folder: str = ""
    kinds: tuple[str, ...] = ()
    urgency: str = "warn"
    pipelines: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()

    def spec(self, name: str, root: Path, file: Path) -> ChannelSpec:
        """Return what it says.

        Raises:
            ConfigurationError: It is no channel, or of several ways; a kind is misspelt; a URL cannot be sent to.
        """
        where = f"alerts.channels.{name} in {file}"
        if not _NAME.fullmatch(name):
            raise ConfigurationError(
                f"The name of a channel under alerts.channels in {file} is not usable",
                value=name,
                valid="letters, digits, - _",
            )
        if sum(map(bool, (self.url, self.webhook, self.folder))) != 1:
            raise ConfigurationError(
                f"{where} must say one way of telling", valid='url = "${NAME}", webhook = "https://…" or folder = "…"'
            )
        if self.token and not self.webhook:
            raise ConfigurationError(f"{where} has a token but no webhook")
        if self.webhook:
            refuse_webhook(self.webhook, self.token, f"{where}: its webhook", f"alerts.channels.{name}.token")
        if self.url and "://" not in self.url:
            raise ConfigurationError(f"{where}: its url is no URL of apprise", valid="SCHEME://…, as mailtos://…")
        for kind in self.kinds:
            if kind not in list(AlertKind):
                raise unknown("kind", kind, [each.value for each in AlertKind], where=f"{where}: kinds")
        if self.urgency not in list(Urgency):
            raise unknown("urgency", self.urgency, [each.value for each in Urgency], where=f"{where}: urgency")
        return ChannelSpec(
            name=name,
            url=self.url,
            webhook=self.webhook,
            token=self.token,
            folder=str(root / Path(self.folder).expanduser()) if self.folder else "",
            kinds=tuple(AlertKind(kind) for kind in self.kinds),
            urgency=Urgency(self.urgency),
            pipelines=self.pipelines,
            owners=self.owners,
        )


class Alerts(BaseModel):
    """The section ``[alerts]``."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    repeat: str = ""
    quarantine: float = Field(default=0.1, ge=0, le=1)
    wait: float = Field(default=5.0, gt=0, le=60)
    learn: bool = True
    channels: dict[str, Channel] = Field(default_factory=dict)

    def spec(self, root: Path, file: Path) -> AlertsSpec:
        """Return what it says; raises ConfigurationError as ``Channel.spec`` does."""
        return AlertsSpec(
            channels=tuple(channel.spec(name, root, file) for name, channel in self.channels.items()),
            repeat=_repeat(self.repeat, file),
            quarantine=self.quarantine,
            wait=self.wait,
            learn=self.learn,
        )


def _repeat(text: str, file: Path) -> timedelta | None:
    if text in ("", "never"):
        return None
    found = parse_duration(text)
    if found < timedelta(minutes=1):
        raise ConfigurationError(f"alerts.repeat in {file} is too short", value=text, valid="1m or more, or never")
    return found


def refuse_written_secrets(section: Any, file: Path) -> None:
    """Refuse a secret in the file itself, which is in everybody's copy of the project."""
    channels = section.get("channels") if isinstance(section, dict) else None
    for name, channel in channels.items() if isinstance(channels, dict) else ():
        if not isinstance(channel, dict):
            continue
        for key, holds in (("token", _is_literal), ("url", _holds_secret), ("webhook", _webhook_holds_secret)):
            text = channel.get(key)
            if isinstance(text, str) and text and holds(text):
                raise ConfigurationError(
                    f"alerts.channels.{name}.{key} in {file} has a secret written in it, or what may be one",
                    valid=f'{key} = "${{NAME}}"'
                    + (', or "mailtos://USER:${PASSWORD}@HOST?to=ops@example.com"' if key == "url" else ""),
                    remedy="Take it out of the file, and set the variable in the environment, .env or secrets.toml",
                )


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
