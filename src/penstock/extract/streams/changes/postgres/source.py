"""The kind ``postgres_changes``: options ``table``, ``slot``, ``publication``."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.errors import MissingExtraError
from penstock.extract.port import Request
from penstock.extract.streams.changes.port import Capture, CaptureOpening, Unread
from penstock.extract.streams.changes.postgres import server
from penstock.extract.streams.changes.postgres.naming import publication_name, slot_name
from penstock.model.specs import ConnectionSpec, SourceSpec
from penstock.queries.text import literal


class PostgresChanges:
    """See ``CaptureSource``."""

    def capture(self, opening: CaptureOpening) -> Capture:
        """Look at the server, and make publication and slot where they are not there."""
        try:
            from penstock.extract.streams.changes.postgres.reading import PostgresCapture
        except ImportError:
            raise MissingExtraError("Capturing changes", "changes") from None
        return PostgresCapture(opening)

    def name(self, opening: CaptureOpening) -> str:
        """Return the name of the slot."""
        return slot_name(opening)

    def held(self, opening: CaptureOpening) -> Unread:
        """Return the slot, and the bytes that the server keeps for it."""
        request = Request(source=opening.sources[0], connection=opening.connection, root=opening.root)
        found = server.slot(request, slot_name(opening))
        return Unread(name=slot_name(opening), bytes=found.kept if found is not None else None)

    def left(self, connection: ConnectionSpec, wanted: Sequence[str], root: str) -> tuple[str, ...]:
        """Return a sentence for each slot of Penstock's that is not wanted."""
        request = Request(source=SourceSpec(table="slots", kind="sql"), connection=connection, root=root)
        return tuple(
            f"The replication slot {name!r} of {connection.name} is read by no pipeline of this project, and the "
            f"server keeps {kept:,} bytes of its log for it: SELECT pg_drop_replication_slot({literal(name)}) drops it"
            for name, kept in server.slots(request)
            if name not in wanted
        )

    def forget(self, opening: CaptureOpening) -> tuple[str, ...]:
        """Drop the slot, and the publication where it is Penstock's own."""
        publication, own = publication_name(opening)
        request = Request(source=opening.sources[0], connection=opening.connection, root=opening.root)
        return server.drop(request, slot_name(opening), publication if own else None)
