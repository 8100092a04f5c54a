"""What ``penstock.toml`` says about releases: limits of automatic approval, and who is told of a release."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from penstock.errors import ConfigurationError
from penstock.model.specs import AnnouncementSpec, AutomaticSpec

_REFERENCE = re.compile(r"\s*\$\{[A-Za-z_][A-Za-z0-9_]*\}\s*")


class Automatic(BaseModel):
    """The section ``[automatic]``."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    added: float | None = Field(default=None, ge=0)
    removed: float | None = Field(default=None, ge=0, le=1)
    changed: float | None = Field(default=None, ge=0, le=1)
    figures: float | None = Field(default=None, ge=0)
    columns: bool = True
    warnings: bool = True
    drift: bool = True

    def spec(self) -> AutomaticSpec:
        """Return what it says."""
        return AutomaticSpec(**self.model_dump())


class Announce(BaseModel):
    """The section ``[announce]``."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    folder: str = ""
    webhook: str = ""
    token: str = ""
    timeout: float = Field(default=5.0, gt=0, le=60)

    def spec(self, root: Path, file: Path) -> AnnouncementSpec:
        """Return what it says.

        Raises:
            ConfigurationError: The webhook is no URL that can be posted to, or would send a secret in the clear.
        """
        if self.webhook:
            refuse_webhook(self.webhook, self.token, f"announce.webhook in {file}", "announce.token")
        folder = str(root / Path(self.folder).expanduser()) if self.folder else ""
        return AnnouncementSpec(folder=folder, webhook=self.webhook, token=self.token, timeout=self.timeout)


def refuse_written_token(section: Any, file: Path) -> None:
    """Refuse a token in the file itself, which is in everybody's copy of the project."""
    token = section.get("token") if isinstance(section, dict) else None
    if isinstance(token, str) and token and not _REFERENCE.fullmatch(token):
        raise ConfigurationError(
            f"announce.token in {file} is no reference to a variable",
            valid='token = "${NAME}"',
            remedy="Take the token out of the file, and set it in the environment, .env or secrets.toml",
        )


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
