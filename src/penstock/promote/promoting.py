"""Promotion: a candidate becomes the release that production serves."""

from __future__ import annotations

import filecmp
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from penstock.errors import (
    AlreadyExistsError,
    BugError,
    ConfigurationError,
    ConflictError,
    DataError,
    NotFoundError,
    StaleWriterError,
)
from penstock.model.codec import encode
from penstock.model.entries import DataFile
from penstock.model.releases import Candidate, Release, TableVersion, Withdrawal
from penstock.promote.comparison import same_file
from penstock.promote.finishing import HANDS, bring_forward, complete, expected, file_name, retire, serve
from penstock.promote.ports import PromotePorts, path_of
from penstock.promote.proposing import owner
from penstock.stores.releases import STAGED
from penstock.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Promoting:
    """What to promote.

    Attributes:
        candidate: The candidate, approved; see ``may_promote``.
        by: Who promotes.
        at: The moment, UTC.
        reason: Why.
        fence: The fencing token of the lease.
        keep: How many releases keep their DuckDB files.
    """

    candidate: Candidate
    by: str
    at: datetime
    reason: str = ""
    fence: int = 0
    keep: int = 5


def promote(spec: Promoting, ports: PromotePorts) -> Release:
    """Make a candidate the release that production serves.

    1. Bring unfinished work of a former command forward; refuse if production has moved since the report.
    2. Stage the data files: linked, or copied by the store, under the production root.
    3. Build the release's DuckDB file: whole, closed, reopened read-only and counted. Where ``stage`` did both after
       the approval, the files are there, and the promotion takes no longer for large tables.
    4. Commit: create ``releases/{n}.json``. Before it, production is as it was; after it, all else follows.
    5. Finish forward: Delta commits, the warehouse's rename, ``releases/current``.
    6. Retire the DuckDB files of releases older than the last ``keep``.

    Raises:
        ConflictError: Production has moved, the warehouse has a write-ahead log, or somebody else promoted.
        StaleWriterError: A successor of this run has promoted.
        NotFoundError: A data file of the candidate is gone.
        ConfigurationError: The warehouse's path holds a file that Penstock did not make.
        DataError: A data file cannot be read.
        BugError: The built file does not hold the rows that the versions say; nothing was published.
    """
    with ports.releases.holding():
        # Step 1: unfinished work.
        current = bring_forward(ports)
        _refuse(spec, current, ports)
        number = (current.number if current else 0) + 1
        # Step 2: data files.
        tables = _tables(spec.candidate, current, number, ports)
        # Step 3: the DuckDB file.
        if not _linked(spec.candidate, number, tables, ports):
            serve(ports, file_name(number), tables, current)
        release = Release(
            number=number,
            previous=current.number if current else 0,
            candidate=spec.candidate.id,
            pipeline=spec.candidate.pipeline,
            created_at=spec.at,
            by=spec.by,
            tables=tables,
            warehouse=file_name(number),
            reason=spec.reason,
            fence=spec.fence,
            withdrawn=_still_withdrawn(current, tables),
        )
        # Step 4: the commit point.
        commit(release, ports)
        # Step 5: forward.
        complete(ports, release)
        # Step 6: retention.
        retire(ports, number, spec.keep)
        return release


def stage(candidate: Candidate, ports: PromotePorts) -> bool:
    """Do steps 2 and 3 of a promotion ahead of it; no reader sees anything of that.

    A crash leaves files that the promotion, or the next one, takes or removes.

    Returns:
        Whether the candidate is staged; it is not where production has moved since its report.

    Raises:
        PenstockError: As ``promote``, which will try again by itself.
    """
    with ports.releases.holding():
        current = bring_forward(ports)
        number = current.number if current else 0
        if candidate.against != number or not candidate.tables:
            return False
        if not ports.releases.exists(staged_name(candidate)):
            serve(ports, staged_name(candidate), _tables(candidate, current, number + 1, ports), current)
        return True


def staged_name(candidate: Candidate) -> str:
    """Return the name of the DuckDB file that waits for a candidate's promotion."""
    return f"{STAGED}{candidate.id}.duckdb"


def _tables(
    candidate: Candidate, current: Release | None, number: int, ports: PromotePorts
) -> tuple[TableVersion, ...]:
    tables = (*_staged(candidate, current, number, ports), *_carried(candidate.pipeline, current))
    return tuple(sorted(tables, key=lambda table: table.table))


def _linked(candidate: Candidate, number: int, tables: tuple[TableVersion, ...], ports: PromotePorts) -> bool:
    """Give the staged file the name of the release; False where there is none that holds just these tables."""
    name = staged_name(candidate)
    if not ports.releases.exists(name):
        return False
    try:
        ports.releases.verify(name, expected(tables))
    except (BugError, DataError):
        return False
    ports.releases.link(file_name(number), name)
    return True


def commit(release: Release, ports: PromotePorts) -> None:
    """Create ``releases/{n}.json``: from here on the release is production's.

    Raises:
        ConflictError: Somebody else made a release of this number; our DuckDB file is removed.
    """
    try:
        ports.production.objects.create(path_of(release.number), encode(release))
    except AlreadyExistsError as error:
        ports.releases.remove(release.warehouse)
        raise ConflictError(
            f"Somebody else made release {release.number} of production first",
            remedy="Make the report again: penstock diff",
        ) from error


def refuse_stale(fence: int, current: Release | None) -> None:
    """Raise StaleWriterError if the current release was made under a greater fence."""
    if current is not None and current.fence > fence:
        raise StaleWriterError(
            f"Another run has taken over and made release {current.number}",
            remedy="This run stops; start a new one to go on from there",
        )


def _refuse(spec: Promoting, current: Release | None, ports: PromotePorts) -> None:
    refuse_stale(spec.fence, current)
    number = current.number if current else 0
    if spec.candidate.against != number:
        raise ConflictError(
            f"Production has moved to release {number} since candidate {spec.candidate.id} was compared with "
            f"release {spec.candidate.against}",
            remedy="Make the report again: penstock diff",
        )
    if not spec.candidate.tables:
        raise ConfigurationError(f"Candidate {spec.candidate.id} holds no tables", remedy="Run the pipeline first")
    ports.releases.refuse_foreign()
    if current is None and ports.releases.occupied():
        raise ConfigurationError(
            f"The production warehouse {ports.releases.shown} is there already, and no release made it",
            remedy="Name another one in penstock.toml, or move this one away",
        )


def _carried(pipeline: str, current: Release | None) -> Iterator[TableVersion]:
    """Yield the tables that other pipelines promoted."""
    if current is not None:
        yield from (table for table in current.tables if owner(table, current) != pipeline)


def _staged(candidate: Candidate, current: Release | None, number: int, ports: PromotePorts) -> Iterator[TableVersion]:
    former = {table.table: {file.path: file for file in table.files} for table in current.tables} if current else {}
    # Making each name durable is waiting for the disk, which many can do together.
    with ThreadPoolExecutor(HANDS) as hands:
        for table in candidate.tables:
            there = former.get(table.table, {})

            def stage(file: DataFile, table: TableVersion = table, there: dict[str, DataFile] = there) -> DataFile:
                known = there.get(file.path)
                if known is None or not same_file(file, known):
                    return _stage(table, file, number, ports)
                # Its statistics are in the Delta log already; repeated in every release they would outweigh it.
                return replace(known, statistics={})

            yield replace(table, files=tuple(hands.map(stage, table.files)), pipeline=candidate.pipeline)


def _stage(table: TableVersion, file: DataFile, number: int, ports: PromotePorts) -> DataFile:
    """Bring one file under the production root; a different file of the same name keeps its place."""
    name = f"{table.table}/{file.path}"
    objects = ports.production.objects
    there = objects.info(name)
    if there is not None:
        if there.bytes == file.bytes and _same(ports, name):
            return file
        folder, _, last = file.path.rpartition("/")
        file = replace(file, path=f"{folder}/r{number}-{last}" if folder else f"r{number}-{last}")
    taken = f"{table.table}/{file.path}"
    with _there(table):
        objects.take(ports.staging.objects, name, taken)
    found = objects.info(taken)
    if found is None or found.bytes != file.bytes:
        # What was staged ahead is not read again, so a file that was cut since must be found out by its size.
        raise DataError(
            f"A data file of version {table.number} of {table.table} was changed in the staging lake",
            value=f"{name}: {found.bytes if found else 0} bytes, its manifest says {file.bytes}",
            remedy="Make the version again: penstock run, then penstock diff",
        )
    return file


def _same(ports: PromotePorts, name: str) -> bool:
    """Say whether the object of a name is the same in both lakes; where staging's is gone, its size had to tell."""
    if not ports.staging.objects.exists(name):
        return True
    ((source,), (target,)) = ports.staging.objects.reading([name]), ports.production.objects.reading([name])
    return os.path.samefile(source, target) or filecmp.cmp(source, target, shallow=False)


@contextmanager
def _there(table: TableVersion) -> Iterator[None]:
    try:
        yield
    except NotFoundError as error:
        raise NotFoundError(
            f"A data file of version {table.number} of {table.table} is gone from the staging lake",
            value=error.what,
            remedy="Make the version again: penstock run, then penstock diff",
        ) from error


def _still_withdrawn(current: Release | None, tables: tuple[TableVersion, ...]) -> tuple[Withdrawal, ...]:
    """Return the withdrawals that newer versions have not made idle."""
    numbers = {table.table: table.number for table in tables}
    return tuple(item for item in (current.withdrawn if current else ()) if item.number > numbers.get(item.table, 0))
