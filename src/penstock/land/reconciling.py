"""Comparing what landed with what the source says: files against source, before anything is committed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import duckdb

from penstock.extract.port import Extraction, Figured, SourceFigures
from penstock.land.parts import Part
from penstock.model.entries import Column
from penstock.model.figures import Aggregate, Figures, Reconciliation, compare
from penstock.model.specs import Reconcile, SourceSpec
from penstock.queries.relations import parquet
from penstock.queries.text import identifier
from penstock.schema import restore
from penstock.stores.measures import Measured, aggregates, family, footers, measure, united
from penstock.values import dataclass


@dataclass(frozen=True, slots=True)
class Landed:
    """What was landed, to be compared.

    Attributes:
        connection: A session of the engine.
        source: The source, which says what is compared.
        columns: The columns of the load, types settled.
    """

    connection: duckdb.DuckDBPyConnection
    source: SourceSpec
    columns: tuple[Column, ...]

    def figures(self, parts: Sequence[Part]) -> Figures:
        """Return the figures of files as they lie on the disk.

        Counts come from the files' footers; only the key is read for them, and all columns for sums and hashes.
        """
        uris = [part.place for part in parts]
        columns = [column for column in self.columns if family(column.type) and not self._personal(column)]
        there = {column.name for part in parts for column in part.columns}
        counted = footers(uris, {column.name for column in columns})
        kinds = {column.name: family(column.type) for column in columns}
        counted = replace(counted, families={name: kinds[name] for name in counted.columns})
        asked = self._asked([column for column in columns if column.name in there])
        asked = [each for each in asked if each.measure != "values" or each.column not in counted.columns]
        if not asked or not counted.rows:
            return counted
        return united(counted, measure(self.connection, asked, parquet(uris)))

    def _asked(self, columns: Sequence[Column]) -> list[Aggregate]:
        ends = {name.lower() for name in self.source.ends}
        return aggregates(
            [Measured(column.name, column.type, restore(identifier(column.name), column.type)) for column in columns],
            self.source.reconcile,
            {column.name for column in columns if column.at_source.lower() in ends},
        )

    def _personal(self, column: Column) -> bool:
        """Say whether nothing may be told of a column; its values may have been changed on the way, too."""
        return column.personal is not None or self.source.is_personal(column.at_source)


def reconcile(landed: Landed, parts: Sequence[Part], extraction: Extraction, read: int) -> Reconciliation:
    """Compare files with their source.

    Args:
        landed: What was landed.
        parts: Its files, before rows were left out that had been landed before.
        extraction: The drained extraction.
        read: How many rows it handed over.
    """
    found = landed.figures(parts)
    said = extraction.figures() if isinstance(extraction, Figured) else None
    # Whatever the source can say: rows that were handed over must lie in the files.
    handed = SourceFigures(Figures(rows=read), snapshot=True)
    expected = handed if said is None else said
    names = {column.at_source: column.name for column in landed.columns}
    compared, differences = compare(expected.figures.renamed(names), found)
    lost = compare(handed.figures, found)[1]
    if lost and not expected.snapshot:
        compared, differences, expected = 1, lost, handed
    return Reconciliation(
        mode=landed.source.reconcile.value,
        source=said is not None,
        snapshot=expected.snapshot,
        compared=compared,
        read=read,
        landed=found,
        differences=differences,
    )


def kept(landed: Landed, parts: Sequence[Part], reconciliation: Reconciliation) -> Reconciliation:
    """Return the reconciliation with the figures of the rows that stay, the others having been landed before."""
    rows = sum(part.written.rows for part in parts)
    known = reconciliation.landed.rows - rows
    if not known:
        return reconciliation
    return replace(reconciliation, known=known, landed=landed.figures(parts))


def wanted(source: SourceSpec) -> bool:
    """Say whether anything is compared."""
    return source.reconcile is not Reconcile.OFF
