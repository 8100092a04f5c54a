"""Where promotion works, and how the releases of production are read."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from penstock.errors import DataError, NotFoundError
from penstock.model.codec import decode
from penstock.model.releases import Release
from penstock.stores.filelock import Tell
from penstock.stores.port import Engine, Lake
from penstock.stores.release_tables import ServedTable
from penstock.stores.releases import ReleaseFolder
from penstock.values import dataclass

CURRENT = "releases/current"
"""The pointer: JSON ``{"release": n}``, replaced atomically, always the last step of a release."""
_RELEASE = re.compile(r"releases/(\d+)\.json")


class ReleaseFiles(Protocol):
    """What a warehouse keeps of releases: a DuckDB file of each, or versions of tables in PostgreSQL.

    See ``penstock.stores.releases`` and ``penstock.stores.postgres``.
    """

    @property
    def shown(self) -> str:
        """Where readers read, for messages."""
        ...

    def occupied(self) -> bool:
        """Say whether something is served there."""
        ...

    def serves(self, name: str) -> bool:
        """Say whether readers are served a release, as far as can be told at once."""
        ...

    def holding(self, patience: float | None = None) -> AbstractContextManager[None]:
        """Keep other processes from changing production; wait so many seconds for one that does."""
        ...

    def leftovers(self, newest: int) -> Sequence[Path | str]:
        """Return what attempts that never committed left behind."""
        ...

    def names(self) -> tuple[str, ...]:
        """Return the names of the releases that are kept, oldest release first."""
        ...

    def staged(self) -> tuple[str, ...]:
        """Return the names of what was built for candidates before their promotion."""
        ...

    def exists(self, name: str) -> bool:
        """Say whether a release is kept."""
        ...

    def build(self, name: str, tables: Sequence[ServedTable], base: str | None, kept: Collection[str]) -> None:
        """Make a release, which no reader sees yet, from another one and the lake's files."""
        ...

    def link(self, name: str, source: str) -> None:
        """Give an earlier release a second name."""
        ...

    def verify(self, file: Path | str, tables: Sequence[ServedTable]) -> None:
        """Compare a release's tables and row counts with what they should be."""
        ...

    def refuse_foreign(self) -> None:
        """Raise ConflictError where somebody else has written into the warehouse."""
        ...

    def swap(self, name: str) -> None:
        """Let readers read a release."""
        ...

    def remove(self, path: Path | str) -> None:
        """Delete what is kept of a release, or what is left over."""
        ...


@dataclass(frozen=True, slots=True)
class PromotePorts:
    """Where promotion works.

    Attributes:
        staging: The lake with the versions.
        production: The lake that readers read.
        warehouse: Path of the DuckDB file that readers open.
        engine: The local DuckDB.
        on_wait: Called with one sentence when another process has been promoting for a second.
        files: What keeps releases, where it is not a folder of DuckDB files beside the warehouse.
    """

    staging: Lake
    production: Lake
    warehouse: str
    engine: Engine
    on_wait: Tell | None = None
    files: ReleaseFiles | None = None

    @property
    def releases(self) -> ReleaseFiles:
        """What keeps releases."""
        return self.files or ReleaseFolder(self.warehouse, self.engine, self.on_wait)


def path_of(number: int) -> str:
    """Return the path of a release below the production lake."""
    return f"releases/{number}.json"


def lake_identity(production: Lake) -> str:
    """Return what tells a production lake from all others, wherever it lies; empty before its first release."""
    try:
        return hashlib.sha256(production.objects.get(path_of(1))).hexdigest()[:16]
    except NotFoundError:
        return ""


def read_release(production: Lake, number: int) -> Release:
    """Return one release.

    Raises:
        NotFoundError: There is none of this number.
        DataError: Its file is torn or edited.
    """
    try:
        data = production.objects.get(path_of(number))
    except NotFoundError:
        raise NotFoundError(
            f"Production has no release {number}", remedy="penstock status shows the releases"
        ) from None
    return decode(Release, data, where=f"The release {path_of(number)}")


def pointed(production: Lake) -> int:
    """Return the number that ``releases/current`` names; 0 where it is missing or torn, since it can be remade."""
    try:
        return int(json.loads(production.objects.get(CURRENT))["release"])
    except (NotFoundError, ValueError, KeyError, TypeError):
        return 0


def newest_number(production: Lake) -> int:
    """Return the number of the newest committed release; 0 for none.

    Raises:
        DataError: The pointer names a release whose file is gone.
    """
    number = pointed(production)
    if not number:
        found = (_RELEASE.fullmatch(item.path) for item in production.objects.list("releases/"))
        return max((int(match[1]) for match in found if match), default=0)
    if not production.objects.exists(path_of(number)):
        raise DataError(
            f"Production's pointer {CURRENT} names release {number}, but {path_of(number)} is gone",
            remedy="Restore that file from a backup",
        )
    while production.objects.exists(path_of(number + 1)):
        number += 1
    return number


def newest_release(production: Lake) -> Release | None:
    """Return the newest committed release, finished or not; None if nothing was promoted yet."""
    number = newest_number(production)
    return read_release(production, number) if number else None
