"""What ``penstock.toml`` says about releases: limits of automatic approval, and who is told of a release."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from penstock.config.secrecy import refuse_webhook
from penstock.model.specs import AnnouncementSpec, AutomaticSpec


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
