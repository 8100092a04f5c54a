"""Publishing a result: its Parquet file, then the commit that makes it a version."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from penstock import names
from penstock.errors import ConfigurationError
from penstock.model.codec import fingerprint
from penstock.model.entries import CheckReport, DataFile, Entry, EntryKind, InputVersion
from penstock.model.events import Advance
from penstock.model.interval import Interval
from penstock.model.receipts import CheckReceipt
from penstock.model.specs import TransformSpec
from penstock.queries.text import file_literal, identifier
from penstock.schema import store
from penstock.stores import parquet
from penstock.stores.contending import committed
from penstock.stores.port import LakeTable, Objects, WarehouseTransaction
from penstock.stores.sealing import Sealing
from penstock.transform.computing import Computed
from penstock.values import dataclass

WHOLE = "whole"
"""The partition of a version that holds the whole of a table that was made by interval before."""
_ATTEMPTS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Publishing:
    """What to publish.

    Attributes:
        transform: The transform.
        computed: Its result.
        created_at: The moment of the version, UTC.
        interval: The interval that it rebuilds; None replaces the whole table.
        inputs: What it was made from.
        fingerprint: Of code, parameters and inputs.
        checked: What the checks found; the rows of its quarantine file (``_row``: position in the result) are left out.
        run: The run.
        fence: The fencing token of the run's lease.
    """

    transform: TransformSpec
    computed: Computed
    created_at: datetime
    interval: Interval | None = None
    inputs: tuple[InputVersion, ...] = ()
    fingerprint: str = ""
    checked: CheckReceipt | None = None
    run: str | None = None
    fence: int = 0


@dataclass(frozen=True, slots=True)
class PublishPorts:
    """Where it happens.

    Attributes:
        transaction: The open warehouse transaction that holds the result.
        table: The lake table.
        objects: The lake's objects, where the quarantine file is.
        advance: Gets the rows and bytes written.
        sealing: Makes the file durable beside what follows; what else was begun with it is waited for as well before
            the version counts.
    """

    transaction: WarehouseTransaction
    table: LakeTable
    objects: Objects
    advance: Advance | None = None
    sealing: Sealing | None = None


def publish(spec: Publishing, ports: PublishPorts) -> Entry:
    """Write a result to the lake and commit it as a version.

    Rows stand in the file in the order that the transform gave. A version of an interval replaces the files of that
    interval alone; any other replaces them all.

    Raises:
        ConfigurationError: A table that was made whole would be made by interval.
        ConflictError: Others kept committing first.
        StaleWriterError: A successor has taken over.
        TransientError: The disk is full or cannot be written.
    """
    partition = _partition(spec, ports.table.live())
    file = _write(spec, partition, ports)
    files = (file,) if file.rows or spec.interval is None else ()
    if ports.advance is not None:
        ports.advance(file.rows, file.bytes)

    def attempt() -> Entry:
        entry = _entry(spec, files, ports.table.live(), ports.table.next_number())
        ready = None if ports.sealing is None else ports.sealing.wait
        return ports.table.commit(entry, (names.INTERVAL,) if partition else (), ready)

    return committed(attempt, _ATTEMPTS)


def _partition(spec: Publishing, live: tuple[DataFile, ...]) -> dict[str, str]:
    """Return the partition of the new file. A Delta table keeps its partitioning for ever."""
    if spec.interval is None:
        return {names.INTERVAL: WHOLE} if any(names.INTERVAL in file.partition for file in live) else {}
    if any(names.INTERVAL not in file.partition for file in live):
        raise ConfigurationError(
            f"The table {spec.transform.table!r} was made as a whole before and cannot be made by interval now",
            value=f"interval={spec.transform.interval}",
            remedy="Give the transform another table name, or take the interval away",
        )
    return {names.INTERVAL: spec.interval.path}


def _write(spec: Publishing, partition: Mapping[str, str], ports: PublishPorts) -> DataFile:
    """Write the rows that passed as one Parquet file, under a name that no other run uses."""
    folder = "".join(f"{name}={value}/" for name, value in partition.items())
    token = fingerprint(spec.run, spec.fence, spec.computed.content)[:8]
    path = f"{folder}part-{names.moment(spec.created_at)}-{token}.parquet"
    columns = ", ".join(
        f"{store(identifier(column.name), column.type)} AS {identifier(column.name)}"
        for column in spec.computed.columns
    )
    target = ports.table.uri(path)
    written = parquet.unsealed(
        ports.transaction.connection,
        f"SELECT {columns} FROM {_passed(spec, ports)}",
        target,
        {column.name: column.stored or column.type for column in spec.computed.columns},
    )
    if ports.sealing is None:
        parquet.seal_whole(target)
    else:
        ports.sealing.begin(lambda: parquet.seal_whole(target))
    return DataFile(
        path=path,
        rows=written.rows,
        bytes=written.bytes,
        partition=dict(partition),
        statistics=written.statistics,
    )


def _passed(spec: Publishing, ports: PublishPorts) -> str:
    relation = identifier(spec.computed.relation)
    if spec.checked is None or spec.checked.quarantine is None:
        return relation
    quarantine = file_literal(ports.objects.reading([spec.checked.quarantine])[0])
    return (
        f"(SELECT r.* FROM (SELECT *, row_number() OVER () - 1 AS _penstock_row FROM {relation}) r "
        f"ANTI JOIN (SELECT _row FROM read_parquet({quarantine}, hive_partitioning=false)) q "
        f"ON r._penstock_row = q._row ORDER BY r._penstock_row)"
    )


def _entry(spec: Publishing, files: tuple[DataFile, ...], live: tuple[DataFile, ...], number: int) -> Entry:
    if spec.interval is None:
        removed = live
    else:
        replaced = (spec.interval.path, WHOLE)
        removed = tuple(file for file in live if file.partition.get(names.INTERVAL) in replaced)
    gone = {file.path for file in removed}
    return Entry(
        table=spec.transform.table,
        number=number,
        previous=None,
        kind=EntryKind.VERSION,
        created_at=spec.created_at,
        run=spec.run,
        fence=spec.fence,
        files=files,
        removed=tuple(file.path for file in removed),
        schema=spec.computed.columns,
        rows=sum(file.rows for file in (*files, *live) if file.path not in gone),
        report=spec.checked.report if spec.checked else CheckReport(rows=spec.computed.rows),
        quarantine=spec.checked.quarantine if spec.checked else None,
        profile=spec.checked.profile if spec.checked else {},
        sketches=spec.checked.sketches if spec.checked else None,
        inputs=spec.inputs,
        interval=spec.interval,
        fingerprint=spec.fingerprint,
        content=spec.computed.content,
    )
