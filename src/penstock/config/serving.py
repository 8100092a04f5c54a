"""What ``penstock.toml`` says about schedules, in its section ``[serve]``."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from penstock.config.sections import Section
from penstock.errors import ConfigurationError
from penstock.model.budget import LEAST_CAP
from penstock.model.durations import parse_duration, show_duration
from penstock.model.firings import ServeSpec
from penstock.model.sizes import parse_size

_LEAST_GRACE = "30s"


class Serve(Section):
    """The section ``[serve]``."""

    parallel: Annotated[int, Meta(ge=1, le=64)] = 1
    memory: int | str | None = None
    retries: Annotated[int, Meta(ge=0, le=1000)] = 3
    backoff: str = "1m"
    timeout: str | None = None
    stopping: str = "1m"
    grace: str = "10m"
    listen: str = ""

    def spec(self, file: Path) -> ServeSpec:
        """Return what it says.

        Raises:
            ConfigurationError: A duration or a size is none, or ``grace`` is shorter than the scheduler looks about.
        """
        grace = _duration(self.grace, "grace", file)
        if grace < parse_duration(_LEAST_GRACE):
            raise ConfigurationError(
                f"serve.grace in {file} is too short", value=show_duration(grace), valid=f"at least {_LEAST_GRACE}"
            )
        return ServeSpec(
            parallel=self.parallel,
            memory=None if self.memory is None else parse_size(self.memory, f"serve.memory in {file}", LEAST_CAP),
            retries=self.retries,
            backoff=_duration(self.backoff, "backoff", file),
            timeout=None if self.timeout is None else _duration(self.timeout, "timeout", file),
            stopping=_duration(self.stopping, "stopping", file),
            grace=grace,
            listen=self.listen,
        )


def _duration(text: str, name: str, file: Path) -> timedelta:
    try:
        return parse_duration(text)
    except ConfigurationError as error:
        raise ConfigurationError(f"serve.{name} in {file} is not a duration", value=text, valid=error.valid) from None
