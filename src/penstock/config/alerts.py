"""The section ``[alerts]`` of ``penstock.toml``: who is told of what, and how."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, field

from penstock.config.secrecy import refuse_webhook
from penstock.config.sections import Section, read_section
from penstock.errors import ConfigurationError
from penstock.model.alerts import AlertKind, AlertsSpec, ChannelSpec, Urgency
from penstock.model.durations import parse_duration
from penstock.names import unknown

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")


class Channel(Section):
    """A section ``[alerts.channels.NAME]``."""

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


class Alerts(Section):
    """The section ``[alerts]``."""

    repeat: str = ""
    quarantine: Annotated[float, Meta(ge=0, le=1)] = 0.1
    wait: Annotated[float, Meta(gt=0, le=60)] = 5.0
    learn: bool = True
    channels: dict[str, Any] = field(default_factory=dict)

    def spec(self, root: Path, file: Path) -> AlertsSpec:
        """Return what it says; raises ConfigurationError as ``Channel.spec`` does."""
        channels = {
            name: read_section(Channel, each, file, f"alerts.channels.{name}") for name, each in self.channels.items()
        }
        return AlertsSpec(
            channels=tuple(channel.spec(name, root, file) for name, channel in channels.items()),
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
