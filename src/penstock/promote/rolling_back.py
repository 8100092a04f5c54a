"""Rollback: an earlier release's tables become a new release, which is served from the earlier file."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from penstock.errors import BugError, ConfigurationError, DataError, NotFoundError
from penstock.model.releases import Release, Withdrawal
from penstock.promote.comparison import same_rows
from penstock.promote.finishing import HANDS, bring_forward, complete, expected, file_name, retire, serve
from penstock.promote.ports import PromotePorts, read_release
from penstock.promote.promoting import commit, refuse_stale
from penstock.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RollingBack:
    """Where to go back to.

    Attributes:
        by: Who rolls back.
        reason: Why.
        at: The moment, UTC.
        to: The release; None takes the one before the current one's content.
        fence: The fencing token of the lease.
        keep: How many releases keep their DuckDB files.
    """

    by: str
    reason: str
    at: datetime
    to: int | None = None
    fence: int = 0
    keep: int = 5


def rollback(spec: RollingBack, ports: PromotePorts) -> Release:
    """Serve an earlier release again, as a new release; its commit point and what follows are those of a promotion.

    The versions that leave production are withdrawn: they may not return until newer ones replace them.

    Raises:
        ConfigurationError: There is no such earlier release.
        NotFoundError: Data files of that release are gone.
        ConflictError: The warehouse has a write-ahead log, or somebody else made a release.
        StaleWriterError: A successor of this run has promoted.
    """
    with ports.releases.holding():
        current = bring_forward(ports)
        refuse_stale(spec.fence, current)
        if current is None:
            raise ConfigurationError("Production has no release yet, so there is nothing to roll back to")
        target = _target(spec.to, current, ports)
        ports.releases.refuse_foreign()
        _refuse_gone(target, ports)
        number = current.number + 1
        _serve_again(number, target, current, ports)
        release = Release(
            number=number,
            previous=current.number,
            candidate=target.candidate,
            pipeline=target.pipeline,
            created_at=spec.at,
            by=spec.by,
            tables=target.tables,
            warehouse=file_name(number),
            rollback_to=target.number,
            reason=spec.reason,
            fence=spec.fence,
            withdrawn=_withdrawn(number, target, current, ports),
        )
        commit(release, ports)
        complete(ports, release)
        retire(ports, number, spec.keep)
        return release


def _target(to: int | None, current: Release, ports: PromotePorts) -> Release:
    if to is not None:
        if not 0 < to < current.number:
            raise ConfigurationError(
                f"Production cannot be rolled back to release {to}: it serves release {current.number}",
                valid=f"a release from 1 to {current.number - 1}" if current.number > 1 else "none: it is the first",
            )
        return read_release(ports.production, to)
    found = current
    while _same(found, current):
        found = _content(found, ports)
        if not found.previous:
            raise ConfigurationError(
                f"There is no release before the one that production serves ({current.number})",
                remedy="Promote another candidate, or name a release: penstock rollback --to N",
            )
        found = read_release(ports.production, found.previous)
    return found


def _content(release: Release, ports: PromotePorts) -> Release:
    """Return the release whose tables a rollback took back, or the release itself."""
    while release.rollback_to is not None:
        release = read_release(ports.production, release.rollback_to)
    return release


def _same(one: Release, other: Release) -> bool:
    tables = {table.table: table for table in other.tables}
    return len(one.tables) == len(other.tables) and all(
        table.table in tables and same_rows(table, tables[table.table]) for table in one.tables
    )


def _refuse_gone(target: Release, ports: PromotePorts) -> None:
    objects = ports.production.objects
    for table in target.tables:
        with ThreadPoolExecutor(HANDS) as hands:
            there = hands.map(objects.exists, [f"{table.table}/{file.path}" for file in table.files])
            gone = [file.path for file, found in zip(table.files, there, strict=True) if not found]
        if gone:
            raise NotFoundError(
                f"Production cannot be rolled back to release {target.number}: {len(gone)} of the "
                f"{len(table.files)} data files of {table.table} are gone",
                value=gone[0],
                remedy="Choose a later release: penstock rollback --to N",
            )


def _serve_again(number: int, target: Release, current: Release, ports: PromotePorts) -> None:
    """Take the kept file a second time; where it is gone or damaged, build it from the lake's files."""
    if ports.releases.exists(target.warehouse):
        try:
            ports.releases.verify(target.warehouse, expected(target.tables))
        except (BugError, DataError):
            pass
        else:
            ports.releases.link(file_name(number), target.warehouse)
            return
    serve(ports, file_name(number), target.tables, current)


def _withdrawn(number: int, target: Release, current: Release, ports: PromotePorts) -> tuple[Withdrawal, ...]:
    stays = {(table.table, table.number) for table in target.tables}
    found = {(item.table, item.number): item for item in current.withdrawn}
    for between in range(target.number + 1, current.number + 1):
        release = current if between == current.number else read_release(ports.production, between)
        for table in release.tables:
            key = (table.table, table.number)
            found.setdefault(key, Withdrawal(table=table.table, number=table.number, release=number))
    return tuple(item for key, item in sorted(found.items()) if key not in stays)
