"""Alerts as a project's user sees them: how they stand, a look now, a test, silence for a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from penstock.model.alerts import Alert, AlertsReport, ChannelState
    from penstock.model.specs import PipelineSpec
    from penstock.orchestrate.workspace import Workspace


class Alerts:
    """What is wrong in a project without anybody looking; ``Project.alerts`` makes it.

    Args:
        workspace: The opened project.
        pipelines: Gives its pipelines by name.
    """

    def __init__(self, workspace: Workspace, pipelines: Callable[[], Mapping[str, PipelineSpec]]) -> None:
        self._workspace = workspace
        self._pipelines = pipelines

    def report(self) -> AlertsReport:
        """Return how alerts stand, as the last look left them."""
        from penstock.orchestrate import alerting

        return alerting.report(self._workspace)

    def check(self, at: datetime | None = None) -> AlertsReport:
        """Look at all pipelines at a moment (None: now), send what is due, and return how alerts stand."""
        from penstock.orchestrate import alerting

        return alerting.check(self._workspace, tuple(self._pipelines().values()), at)

    def test(self, channel: str | None = None) -> tuple[ChannelState, ...]:
        """Send a test message to one channel (None: to all)."""
        from penstock.orchestrate import alerting

        return alerting.try_channels(self._workspace, channel)

    def mute(self, id: str, length: str | timedelta, reason: str, by: str | None = None) -> Alert:  # noqa: A002
        """Send nothing of an open alert for a time, as ``"4h"``; ``"0s"`` ends that."""
        from penstock.orchestrate import alerting

        return alerting.mute(self._workspace, id, length, reason, by)
