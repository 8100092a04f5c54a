"""Alerts as a project's user sees them: how they stand, a look now, a test, silence for a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from penstock.model.alerts import Alert, AlertsReport, ChannelState
    from penstock.model.firings import ServeSpec
    from penstock.model.specs import PipelineSpec
    from penstock.orchestrate.workspace import Workspace


class Alerts:
    """What is wrong in a project without anybody looking; ``Project.alerts`` makes it.

    Args:
        workspace: The opened project.
        pipelines: Gives its pipelines by name.
        serve: How its schedules are carried out.
    """

    def __init__(
        self, workspace: Workspace, pipelines: Callable[[], Mapping[str, PipelineSpec]], serve: ServeSpec
    ) -> None:
        self._workspace = workspace
        self._serve = serve
        self._pipelines = pipelines

    def report(self) -> AlertsReport:
        """Return how alerts stand, as the last look left them."""
        from penstock.orchestrate import alerting

        return alerting.report(self._workspace)

    def check(self, at: datetime | None = None) -> AlertsReport:
        """Look at all pipelines at a moment (None: now), send what is due, and return how alerts stand."""
        from penstock.orchestrate import alerting
        from penstock.orchestrate.schedule.missing import missed
        from penstock.orchestrate.workspace import now

        specs = self._pipelines()
        not_begun = missed(self._workspace.catalog, specs, self._serve, at or now())
        return alerting.check(self._workspace, tuple(specs.values()), at, not_begun)

    def test(self, channel: str | None = None) -> tuple[ChannelState, ...]:
        """Send a test message to one channel (None: to all)."""
        from penstock.orchestrate import alerting

        return alerting.try_channels(self._workspace, channel)

    def mute(self, id: str, length: str | timedelta, reason: str, by: str | None = None) -> Alert:  # noqa: A002
        """Send nothing of an open alert for a time, as ``"4h"``; ``"0s"`` ends that."""
        from penstock.orchestrate import alerting

        return alerting.mute(self._workspace, id, length, reason, by)
