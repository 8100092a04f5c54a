"""Landing: one extraction becomes one committed load of the raw zone, or nothing at all."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import field, replace
from datetime import datetime
from typing import Any

import duckdb

from penstock import names
from penstock.errors import ConfigurationError, ConflictError, DataError, PenstockError, StaleWriterError
from penstock.extract.port import Extraction
from penstock.land import discarding
from penstock.land.boundary import Boundary, without_known
from penstock.land.changes import told
from penstock.land.columns import Columns
from penstock.land.content import content_of
from penstock.land.intake import Intake, Taken
from penstock.land.misfits import MisfitFile
from penstock.land.parts import Folder, Part, merged, renumber, settle
from penstock.land.protection import Personal
from penstock.land.reconciling import Landed, kept, reconcile, wanted
from penstock.model.budget import ReadingShare
from penstock.model.codec import fingerprint
from penstock.model.contracts import SchemaChange
from penstock.model.entries import Entry, EntryKind, TakenRows, Work
from penstock.model.events import Advance
from penstock.model.figures import Reconciliation
from penstock.model.receipts import LandReceipt
from penstock.model.specs import OnEmpty, SourceSpec, WriteMode
from penstock.privacy.shield import Shield
from penstock.schema import trusts
from penstock.stores.freeing import give_back, take_from_the_system
from penstock.stores.parquet import heavy, without_values
from penstock.stores.port import Engine, Lake, LakeTable
from penstock.stores.retyping import Retyping, retype
from penstock.values import dataclass

_TRIES = 4
"""How often a number is asked for: once, and again after three conflicts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Landing:
    """One extraction to land.

    Attributes:
        source: The table that is read.
        work: What was asked: the interval, and the position from which reading began.
        run: The run.
        fence: The fencing token of its lease.
        created_at: The moment of the load, UTC.
        supersedes: Loads whose rows this one replaces.
        boundary: Recent accepted loads whose rows may be read again, because of the lag or at the last cursor value.
        taken: Of rows that are replayed: what is taken from a quarantine.
        after: Of a stream: the newest load that was known when reading began; if another has come, nothing lands.
        current: The newest accepted load (of this interval, where there is one): equal content lands nothing.
    """

    source: SourceSpec
    work: Work
    run: str
    fence: int
    created_at: datetime
    supersedes: tuple[int, ...] = ()
    boundary: tuple[Entry, ...] = ()
    current: Entry | None = None
    taken: TakenRows | None = None
    after: int | None = None


@dataclass(frozen=True, slots=True)
class LandPorts:
    """What landing works with; ``extraction`` is closed at the end in every case.

    ``shield`` protects what is personal, so that nothing of it reaches a disk; a source that names none needs none.
    ``chunk_bytes`` of rows are gathered before they are written as one row group. ``turn`` is held while an entry is
    committed, so that other extractions of the table, which go on at the same time, wait for it.
    """

    lake: Lake
    engine: Engine
    extraction: Extraction
    advance: Advance
    shield: Shield | None = None
    chunk_bytes: int = ReadingShare().chunk
    turn: AbstractContextManager[Any] = field(default_factory=contextlib.nullcontext)


def land(spec: Landing, ports: LandPorts) -> LandReceipt:
    """Drain an extraction into Parquet files and commit them as one load.

    Returns:
        The receipt; ``entry`` is None where nothing new came.

    Raises:
        ConfigurationError: There is no column of the name that the source's key or cursor has; the memory does not
            suffice.
        DataError: Columns at odds with the table, values that would be lost, an empty source that is refused, rows
            that cannot be read.
        TransientError: The disk is full; the source is down. Nothing was committed.
        StaleWriterError: A successor has committed under a greater fence.
        ConflictError: The number was taken by others four times.
    """
    take_from_the_system()
    try:
        table = ports.lake.table(names.raw(spec.source.table))
        with ports.engine.session(plain=True) as connection:
            return _Attempt(spec, ports, table, connection).run()
    except duckdb.OutOfMemoryException as error:
        raise ConfigurationError(
            f"Landing {spec.source.table} needs more memory than DuckDB may hold: {without_values(error)}",
            remedy="Raise memory (project.memory, or --memory of ingest), or free the disk",
        ) from error
    except duckdb.Error as error:
        raise DataError(f"Landing {spec.source.table} stopped: {without_values(error)}") from error
    finally:
        # What landed is committed or not by now; a source that cannot be closed changes neither.
        with contextlib.suppress(PenstockError, OSError):
            ports.extraction.close()
        give_back()


class _Attempt:
    """One try to land; its files are deleted unless they were committed."""

    def __init__(
        self, spec: Landing, ports: LandPorts, table: LakeTable, connection: duckdb.DuckDBPyConnection
    ) -> None:
        self._spec = spec
        self._ports = ports
        self._table = table
        self._connection = connection
        self._number = table.next_number()
        self._prior = table.columns()
        self._columns = Columns(table.name, self._prior, spec.source.contract, landed=spec.taken is not None)
        self._shield = ports.shield or Shield(spec.source.table, spec.source.personal, None)
        own = [column for column in self._prior if column.name != names.DISCARDED]
        self._personal = Personal(spec.source, self._shield, own, landed=spec.taken is not None)
        partition = names.moment(spec.created_at)
        suffix = f"{self._number}-{secrets.token_hex(4)}"
        self._folder = Folder(table, partition, suffix)
        self._misfits = MisfitFile(ports.lake.objects, table.name, suffix)

    def run(self) -> LandReceipt:
        """Land; the files are kept only if the entry is committed."""
        committed: Sequence[Part] = ()
        entry = None
        looking = contextlib.ExitStack()
        try:
            taken = self._taken()
            looking.enter_context(
                self._ports.engine.alone(heavy((part.place, part.written.bytes) for part in taken.parts))
            )
            if taken.rows:
                self._columns.verify(self._spec.source)
            schemas = (self._prior, self._columns.schema(), *(part.columns for part in taken.parts))
            if trusts(column.type for columns in schemas for column in columns):
                self._ports.engine.trust_json()
            with self._ports.turn:
                retyped = self._retype()
            parts = settle(self._connection, taken.parts, self._columns, self._folder, self._number)
            if retyped:
                parts = renumber(self._connection, parts, self._folder, self._number)
            landed = Landed(self._connection, self._spec.source, self._columns.whole())
            compared = reconcile(landed, parts, self._ports.extraction, taken.rows) if wanted(landed.source) else None
            parts = self._new_rows(parts)
            compared = kept(landed, parts, compared) if compared is not None else None
            change = self._change(parts)
            notes = [*taken.notes, *self._columns.notes(), *told(self._table.name, change)]
            known = taken.rows - sum(part.written.rows for part in parts)
            if known:
                notes.append(f"{self._table.name}: {known} rows were landed before and were left out")
            if compared is not None and compared.differences and not compared.rejects:
                notes.append(compared.sentence(self._table.name))
            draft = self._draft(parts, taken)
            if draft is not None:
                with self._ports.turn:
                    entry, committed = self._commit(replace(draft, reconciliation=compared, change=change), parts)
            elif compared is not None:
                self._refuse(compared)
        finally:
            looking.close()
            self._folder.clear(committed)
            if entry is None:
                self._misfits.clear()
        notes += [*self._ports.extraction.notes(), *self._acknowledge()]
        written = sum(part.written.bytes for part in committed)
        extracted = taken.rows + (taken.misfits.rows if taken.misfits else 0)
        return LandReceipt(table=self._table.name, entry=entry, rows=extracted, bytes=written, notes=tuple(notes))

    def _refuse(self, compared: Reconciliation) -> None:
        """Refuse a reading that brought nothing new and does not hold what its source says: it may have lost that."""
        current = self._spec.current.reconciliation if self._spec.current else None
        if compared.rejects and (current is None or current.differences != compared.differences):
            raise DataError(
                compared.sentence(self._table.name),
                remedy="Run again; if it stays so, mend the source, or set reconcile to 'off' if that is meant",
            )

    def _taken(self) -> Taken:
        intake = Intake(
            self._connection,
            self._folder,
            self._columns,
            self._personal,
            self._misfits,
            self._number,
            self._ports.advance,
        )
        with self._shield.raised(self._connection):
            return intake.drain(self._ports.extraction, self._ports.chunk_bytes)

    def _retype(self) -> bool:
        """Give the table the types that the load needs; the load then gets another number, for this is an entry too."""
        for left in range(_TRIES - 1, -1, -1):
            after = self._columns.table_schema()
            if after is None:
                return False
            spec = Retyping(
                run=self._spec.run,
                fence=self._spec.fence,
                at=self._spec.created_at,
                before=self._prior,
                after=after,
            )
            try:
                retype(spec, self._table, self._connection)
            except StaleWriterError:
                raise
            except ConflictError:
                if not left:
                    raise
                continue
            self._number = self._table.next_number()
            return True
        raise AssertionError

    def _change(self, parts: Sequence[Part]) -> SchemaChange | None:
        """Return what the columns did, with what is left out of the rows that are new."""
        keeping = [part.place for part in parts if any(column.name == names.DISCARDED for column in part.columns)]
        return self._columns.change(discarding.counted(self._connection, keeping))

    def _new_rows(self, parts: list[Part]) -> list[Part]:
        source = self._spec.source
        loads = tuple(load for load in self._spec.boundary if load.files)
        if not parts or not loads or source.cursor is None:
            return parts
        given = None if source.write in (WriteMode.MERGE, WriteMode.SCD2) else self._columns.met
        boundary = Boundary(loads, self._table.reading, self._columns.schema(), source.cursor, source.key, given)
        return without_known(self._connection, parts, boundary, self._folder)

    def _draft(self, parts: list[Part], taken: Taken) -> Entry | None:
        """Return the entry to commit, or None where there is nothing new to say."""
        spec, work = self._spec, self._spec.work
        rows = sum(part.written.rows for part in parts)
        if not taken.rows and spec.source.whole and spec.source.on_empty is OnEmpty.REFUSE:
            raise DataError(
                f"The source of {spec.source.table} is empty, and its table would be emptied",
                remedy="Mend the source, or set on_empty to 'empty' if that is meant",
            )
        position = self._ports.extraction.position()
        schema = self._columns.schema()
        whole = spec.source.whole or work.interval is not None
        content = content_of(self._connection, [part.place for part in parts], schema) if whole else ""
        if whole and taken.misfits is not None:
            # Lines that are no rows belong to what came: with others of them the load is another.
            content += f":{fingerprint(self._misfits.digest)}"
        if whole:
            if self._unchanged(content):
                return None
        elif not rows and not _moved(position, work.since) and (self._prior or not schema):
            return None
        return Entry(
            table=self._table.name,
            number=self._number,
            previous=None,
            kind=EntryKind.LOAD,
            created_at=spec.created_at,
            run=spec.run,
            fence=spec.fence,
            schema=schema,
            rows=rows,
            work=replace(work, position=position, snapshot=spec.source.by_snapshot),
            supersedes=spec.supersedes,
            content=content,
            taken=spec.taken,
            misfits=taken.misfits,
            after=spec.after,
        )

    def _unchanged(self, content: str) -> bool:
        current = self._spec.current
        if current is None or not current.content or current.content != content:
            return False
        if self._spec.source.by_snapshot and not (current.work and current.work.snapshot):
            return False
        # Two empty intervals are equal in content, and yet two pieces of work.
        before = current.span
        return before == self._spec.work.interval

    def _commit(self, draft: Entry, parts: list[Part]) -> tuple[Entry, list[Part]]:
        partition = names.moment(self._spec.created_at)
        for left in range(_TRIES - 1, -1, -1):
            files = tuple(part.file(partition) for part in parts)
            entry = replace(draft, number=self._number, files=files, origins=merged(parts))
            try:
                return self._table.commit(entry, (names.PARTITION,)), parts
            except StaleWriterError:
                raise
            except ConflictError:
                if not left:
                    raise
                self._number = self._table.next_number()
                parts = renumber(self._connection, parts, self._folder, self._number)
        raise AssertionError

    def _acknowledge(self) -> tuple[str, ...]:
        try:
            self._ports.extraction.commit()
        except PenstockError as error:
            return (f"The rows are safe, but the source could not be told so: {error.what}",)
        return ()


def _moved(position: Mapping[str, Any] | None, since: Mapping[str, Any] | None) -> bool:
    return position is not None and dict(position) != dict(since or {})
