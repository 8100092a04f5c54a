"""The kind ``mysql_changes``: option ``table``."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.errors import MissingExtraError
from penstock.extract.streams.changes.naming import reading_name
from penstock.extract.streams.changes.port import Capture, CaptureOpening, Unread
from penstock.model.specs import ConnectionSpec


class MySqlChanges:
    """See ``CaptureSource``. A server keeps nothing for whoever reads its binary log."""

    def capture(self, opening: CaptureOpening) -> Capture:
        """Look at the server, and find out where the tables go on."""
        try:
            from penstock.extract.streams.changes.mysql.reading import BinlogCapture
        except ImportError:
            raise MissingExtraError("Capturing changes", "changes") from None
        return BinlogCapture(opening)

    def name(self, opening: CaptureOpening) -> str:
        """Return what the reading is called."""
        return reading_name(opening)

    def held(self, opening: CaptureOpening) -> Unread:
        """Return what the server has of its log that was not read, as long as it keeps it for anybody."""
        from penstock.extract.streams.changes.mysql.behind import unread

        return unread(opening)

    def left(self, connection: ConnectionSpec, wanted: Sequence[str], root: str) -> tuple[str, ...]:  # noqa: ARG002
        """Return nothing: nothing is made at the server."""
        return ()

    def forget(self, opening: CaptureOpening) -> tuple[str, ...]:  # noqa: ARG002 - one shape for all
        """Return nothing: nothing is made at the server."""
        return ()
