"""Bringing production forward: a committed release is completed, an attempt that never committed is undone."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from penstock.errors import BugError, ConflictError, DataError, StaleWriterError, TransientError
from penstock.model.entries import DataFile, Entry, EntryKind, InputVersion
from penstock.model.releases import Release, TableVersion
from penstock.names import INTERVAL
from penstock.promote.comparison import differing, same_rows
from penstock.promote.ports import CURRENT, PromotePorts, newest_number, newest_release, pointed, read_release
from penstock.stores.port import LakeTable
from penstock.stores.release_tables import Amendment, ServedTable
from penstock.stores.releases import number_of

HANDS = 8
"""Files and tables that are staged, committed or asked for at once."""
_SMALLER_PART = 0.5
_MOST_GROUPS = 100
"""Beyond so many partitions that changed, a table is rather written anew."""


def finish(ports: PromotePorts) -> Release | None:
    """Complete the newest committed release and undo what never committed; the same call again changes nothing.

    Called at the start of every command that touches production. Where nothing is to do, it takes no lock and writes
    nothing, so that a reader without the right to write may call it.

    Returns:
        The release that was completed; None if nothing was left to complete.

    Raises:
        TransientError: Another process is promoting, and did not end in time.
        ConflictError: The warehouse has a write-ahead log; the release is committed and is put in place once that is
            gone.
    """
    newest = newest_number(ports.production)
    if settled(ports, newest):
        return None
    pending = bool(newest) and not _complete(ports, newest)
    try:
        with ports.releases.holding(None if pending else 0.0):
            done = pointed(ports.production)
            release = bring_forward(ports)
    except TransientError:
        if pending:
            raise
        # Somebody is at work: what lies about is theirs.
        return None
    return release if release is not None and release.number != done else None


def settled(ports: PromotePorts, newest: int) -> bool:
    """Say whether nothing is left to complete or to undo."""
    return _complete(ports, newest) and not ports.releases.leftovers(newest)


def _complete(ports: PromotePorts, newest: int) -> bool:
    return pointed(ports.production) == newest and (newest == 0 or ports.releases.serves(file_name(newest)))


def bring_forward(ports: PromotePorts) -> Release | None:
    """Complete and undo as ``finish`` does, for a caller that holds the lock.

    Returns:
        The release that production serves; None if nothing was promoted yet.
    """
    release = newest_release(ports.production)
    newest = release.number if release else 0
    for path in ports.releases.leftovers(newest):
        ports.releases.remove(path)
    if release is not None and not settled(ports, newest):
        complete(ports, release)
    return release


def complete(ports: PromotePorts, release: Release) -> None:
    """Carry a committed release to its end; every step may have been done already.

    The pointer comes last: what it names is complete.
    """
    previous = read_release(ports.production, release.previous) if release.previous else None
    ports.releases.refuse_foreign()
    _commit_tables(ports, release, previous)
    if not ports.releases.exists(release.warehouse):
        serve(ports, release.warehouse, release.tables, previous)
    ports.releases.swap(release.warehouse)
    ports.production.objects.replace(CURRENT, json.dumps({"release": release.number}).encode())


def serve(ports: PromotePorts, name: str, tables: Sequence[TableVersion], previous: Release | None) -> None:
    """Build a release's DuckDB file of a name from the former one, writing anew only what differs."""
    base = previous.warehouse if previous and ports.releases.exists(previous.warehouse) else None
    former = {table.table: table for table in previous.tables} if previous and base else {}
    kept = {table.table for table in tables if table.table in former and same_rows(former[table.table], table)}
    served = [_served(ports, table, former.get(table.table), read=table.table not in kept) for table in tables]
    if base is not None and (kept or any(table.amendment for table in served)):
        try:
            ports.releases.build(name, served, base, kept)
        except (BugError, DataError):
            # The former file may be damaged; the lake's files are what counts.
            pass
        else:
            return
    ports.releases.build(name, [_served(ports, table, None, read=True) for table in tables], None, ())


def expected(tables: Sequence[TableVersion]) -> tuple[ServedTable, ...]:
    """Return what a release's DuckDB file must hold, without where it comes from."""
    return tuple(ServedTable(name=table.table, columns=table.schema, uris=(), rows=table.rows) for table in tables)


def _served(ports: PromotePorts, table: TableVersion, former: TableVersion | None, *, read: bool) -> ServedTable:
    def uris(files: Sequence[DataFile]) -> tuple[str, ...]:
        return ports.production.table(table.table).places(files)

    return ServedTable(
        name=table.table,
        columns=table.schema,
        uris=uris(table.files) if read else (),
        rows=table.rows,
        amendment=_amendment(table, former, uris) if read and former else None,
    )


def _amendment(
    table: TableVersion, former: TableVersion, uris: Callable[[Sequence[DataFile]], tuple[str, ...]]
) -> Amendment | None:
    """Return how a table differs from its former version, if that is the smaller part of it."""
    if table.schema != former.schema:
        return None
    added, removed = differing(table, former), differing(former, table)
    gone = sum(file.rows for file in removed)
    groups: dict[object, list[DataFile]] = {}
    for file in removed:
        groups.setdefault(tuple(sorted(file.partition.items())) or file.path, []).append(file)
    if gone + sum(file.rows for file in added) > table.rows * _SMALLER_PART or len(groups) > _MOST_GROUPS:
        return None
    return Amendment(removed=tuple(uris(group) for group in groups.values()), removed_rows=gone, added=uris(added))


def file_name(number: int) -> str:
    """Return the name of a release's DuckDB file."""
    return f"{number}.duckdb"


def retire(ports: PromotePorts, newest: int, keep: int) -> None:
    """Remove the DuckDB files of all but the last ``keep`` releases, and what was staged upon a former one.

    Data files are never removed here.
    """
    for name in ports.releases.staged():
        ports.releases.remove(name)
    for name in ports.releases.names():
        if number_of(name) <= newest - max(keep, 1):
            ports.releases.remove(name)


def _commit_tables(ports: PromotePorts, release: Release, previous: Release | None) -> None:
    """Commit the tables that differ, several at once: each is a log of its own, and mostly waits for the disk."""
    former = {table.table: table for table in previous.tables} if previous else {}
    moved = []
    for version in release.tables:
        old = former.pop(version.table, None)
        if old is None or not same_rows(old, version):
            moved.append(version)
    moved += [_emptied(version) for version in former.values()]
    with ThreadPoolExecutor(HANDS) as hands:
        # All are waited for, also where one fails: nobody may still write once the lock is given back.
        done = [hands.submit(_commit_table, ports, release, version) for version in moved]
    for each in done:
        each.result()


def _emptied(version: TableVersion) -> TableVersion:
    """Return the state of a table that left production: to a Delta reader it is empty."""
    return TableVersion(table=version.table, number=0, rows=0, schema=(), files=())


def _commit_table(ports: PromotePorts, release: Release, version: TableVersion) -> None:
    """Make the Delta table show exactly the version's files, in one commit that carries the release's number."""
    table = ports.production.table(version.table)
    for _ in range(3):
        entry = _entry(table, release, version)
        if entry is None:
            return
        # The manifest of this release, left by a crash before its commit, would keep the number taken.
        if entry.number == release.number:
            ports.production.objects.remove(f"{version.table}/_manifests/{entry.number}.json")
        try:
            table.commit(entry, _partitions(version))
        except StaleWriterError:
            raise
        except ConflictError:
            continue
        return
    raise BugError(f"The Delta table {version.table} of production is being written by somebody else")


def _entry(table: LakeTable, release: Release, version: TableVersion) -> Entry | None:
    head = table.head()
    live = {file.path for file in table.live()}
    wanted = {file.path for file in version.files}
    if head and live == wanted and (not version.schema or table.entry(head).schema == version.schema):
        return None
    return Entry(
        table=version.table,
        number=release.number if release.number > head else table.next_number(),
        previous=None,
        kind=EntryKind.VERSION,
        created_at=release.created_at,
        run=f"release-{release.number}",
        reason=f"release {release.number}",
        fence=release.fence,
        files=tuple(file for file in version.files if file.path not in live),
        removed=tuple(sorted(live - wanted)),
        schema=version.schema,
        rows=version.rows,
        inputs=(InputVersion(table=version.table, number=version.number),) if version.number else (),
        content=version.content,
    )


def _partitions(version: TableVersion) -> tuple[str, ...]:
    for file in version.files:
        return tuple(file.partition)
    return (INTERVAL,) if any(column.name == INTERVAL for column in version.schema) else ()
