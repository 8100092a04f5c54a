"""Which inboxes there are: one for each stream over a connection of kind ``webhook``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from penstock.errors import ConfigurationError
from penstock.extract.streams.webhooks.inbox import Inbox
from penstock.extract.streams.webhooks.settings import inbox_of
from penstock.model.specs import ConnectionSpec, PipelineSpec


def inboxes(root: str, specs: Iterable[PipelineSpec], connections: Mapping[str, ConnectionSpec]) -> dict[str, Inbox]:
    """Return path to inbox; nothing is opened yet.

    Raises:
        ConfigurationError: Two streams listen on one path; a connection says something that cannot be.
    """
    found: dict[str, Inbox] = {}
    for spec in specs:
        for source in spec.sources:
            if source.kind != "webhook" or not source.connection:
                continue
            given = inbox_of(root, source, connections[source.connection])
            if given.path in found:
                raise ConfigurationError(
                    f"Streams {found[given.path].spec.table!r} and {source.table!r} listen on one path",
                    value=given.path,
                    remedy="Give each a connection of its own",
                )
            found[given.path] = Inbox(given)
    return found
