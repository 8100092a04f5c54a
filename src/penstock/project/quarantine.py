"""The quarantine as a project's user sees it: what was set aside, and how it comes back or ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Unpack

if TYPE_CHECKING:
    from penstock.model.answers import ExportReceipt, QuarantineRows, QuarantineSummary, ReplayPreview
    from penstock.model.entries import Entry
    from penstock.model.receipts import RunReceipt
    from penstock.model.specs import PipelineSpec
    from penstock.orchestrate.workspace import Workspace
    from penstock.validate.editing import Editing


class Quarantine:
    """What was set aside in a project; ``Project.quarantine`` makes it.

    Args:
        workspace: The opened project.
        pipelines: Gives its pipelines by name.
    """

    def __init__(self, workspace: Workspace, pipelines: Callable[[], Mapping[str, PipelineSpec]]) -> None:
        self._workspace = workspace
        self._pipelines = pipelines

    def summaries(self, table: str | None = None) -> tuple[QuarantineSummary, ...]:
        """Return what was set aside, newest first."""
        from penstock.orchestrate import asking

        return asking.quarantine(self._workspace, table)

    def rows(self, table: str, number: int | None = None, limit: int = 20) -> QuarantineRows:
        """Return rows that were set aside by a load or version (None: the newest that has any), with all reasons."""
        from penstock.orchestrate import asking

        return asking.quarantine_rows(self._workspace, table, number, limit)

    def export(self, table: str, file: str, *, lines: bool = False) -> ExportReceipt:
        """Write the open rows of a source's quarantine to a CSV, JSON lines or Parquet file, to be edited.

        ``lines``: instead of rows, the lines of files that were no rows, with empty columns to be filled in.
        """
        from penstock.model.answers import ExportReceipt
        from penstock.orchestrate import replaying

        rows = replaying.export(self._workspace, self._pipelines(), table, file, lines=lines)
        return ExportReceipt(table=table, file=file, rows=rows)

    def replay(self, table: str, **edit: Unpack[Editing]) -> RunReceipt:
        """Bring open rows of a source's quarantine in again, through the checks as they are now, and go on below.

        ``sets`` are changes, ``column = SQL expression``; ``where`` chooses rows by a SQL condition; ``file`` is an
        export that was edited, with rows as they should be; ``lines``: lines that were no rows are meant, ``_line``
        is their text.
        """
        from penstock.orchestrate import replaying
        from penstock.validate.editing import Edit

        return replaying.replay(self._workspace, self._pipelines(), table, Edit(**edit))

    def preview(self, table: str, **edit: Unpack[Editing]) -> ReplayPreview:
        """Say what such a replay would bring in and what the checks would find; nothing is written."""
        from penstock.orchestrate import replaying
        from penstock.validate.editing import Edit

        return replaying.preview(self._workspace, self._pipelines(), table, Edit(**edit))

    def discard(
        self, table: str, reason: str, *, where: str | None = None, by: str | None = None, lines: bool = False
    ) -> tuple[Entry, ...]:
        """End open rows of a source's quarantine (None: all), or lines: they are kept, and wait for nobody any more."""
        from penstock.orchestrate import replaying
        from penstock.validate.editing import Edit

        edit = Edit(where=where, lines=lines)
        return replaying.discard(self._workspace, self._pipelines(), table, edit, reason=reason, by=by)
