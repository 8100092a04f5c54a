"""The whole profiles that loads and versions keep in the lake: where they lie, and how they are read."""

from __future__ import annotations

from penstock.catalog.port import CatalogReader
from penstock.orchestrate.context import RunContext
from penstock.profiles.profile import TableProfile
from penstock.stores.port import Objects


def sketch_path(name: str, number: int, context: RunContext) -> str | None:
    """Return where a load or version keeps its profile; None for a table that is not ``profiled``.

    Args:
        name: The source or transform.
        number: The load or version.
        context: The run that makes it.
    """
    if name not in context.spec.profiled:
        return None
    return f"_profiles/{context.ledger.lake_table(name)}/{number}.json.gz"


def read_sketch(objects: Objects, path: str) -> TableProfile:
    """Return a kept profile."""
    return TableProfile.decode(objects.get(path), where=path)


def released(catalog: CatalogReader, table: str) -> int | None:
    """Return the number of a table in production; None: it is not there."""
    releases = catalog.releases()
    held = [item.number for item in releases[0].tables if item.table == table] if releases else []
    return held[0] if held else None
