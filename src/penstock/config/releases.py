"""What ``penstock.toml`` says about releases: limits of automatic approval, and who is told of a release."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta, structs

from penstock.config.secrecy import refuse_webhook
from penstock.config.sections import Section
from penstock.model.specs import AnnouncementSpec, AutomaticSpec


class Automatic(Section):
    """The section ``[automatic]``."""

    added: Annotated[float, Meta(ge=0)] | None = None
    removed: Annotated[float, Meta(ge=0, le=1)] | None = None
    changed: Annotated[float, Meta(ge=0, le=1)] | None = None
    figures: Annotated[float, Meta(ge=0)] | None = None
    columns: bool = True
    warnings: bool = True
    drift: bool = True

    def spec(self) -> AutomaticSpec:
        """Return what it says."""
        return AutomaticSpec(**structs.asdict(self))


class Announce(Section):
    """The section ``[announce]``."""

    folder: str = ""
    webhook: str = ""
    token: str = ""
    timeout: Annotated[float, Meta(gt=0, le=60)] = 5.0

    def spec(self, root: Path, file: Path) -> AnnouncementSpec:
        """Return what it says.

        Raises:
            ConfigurationError: The webhook is no URL that can be posted to, or would send a secret in the clear.
        """
        if self.webhook:
            refuse_webhook(self.webhook, self.token, f"announce.webhook in {file}", "announce.token")
        folder = str(root / Path(self.folder).expanduser()) if self.folder else ""
        return AnnouncementSpec(folder=folder, webhook=self.webhook, token=self.token, timeout=self.timeout)
