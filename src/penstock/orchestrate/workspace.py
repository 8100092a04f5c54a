"""The opened places of a project: lakes, warehouses, catalog, engine; made from the configuration, handed to runs."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING

from penstock.catalog.port import Catalog
from penstock.model.alerts import AlertsSpec
from penstock.model.buckets import is_bucket
from penstock.model.budget import DEFAULT_CAP, MemoryBudget
from penstock.model.events import Observer, Waiting, ignore
from penstock.model.lineage import EventsSpec
from penstock.model.specs import (
    AnnouncementSpec,
    AutomaticSpec,
    CheckEngineSpec,
    CompactionSpec,
    ConnectionSpec,
    EnvironmentSpec,
)
from penstock.names import raw
from penstock.orchestrate import clock
from penstock.privacy.keys import Keys
from penstock.stores.copies import LIMIT, Copies
from penstock.stores.engine import LocalEngine
from penstock.stores.lake import DeltaLake
from penstock.stores.places import open_objects
from penstock.stores.port import Objects, ScaleOut
from penstock.stores.warehouse import DuckDBWarehouse, refuse_path
from penstock.values import dataclass

if TYPE_CHECKING:
    from penstock.config.project import ProjectConfig
    from penstock.stores.spark import Spark

now, new_id = clock.now, clock.new_id
COPIES = ".penstock/copies"
"""Where copies of what lies in buckets are kept, below the project's root."""


@dataclass(kw_only=True)
class Workspace:
    """Everything that a run needs to reach, opened once per process.

    Attributes:
        name: The project.
        root: The project's folder.
        staging: Where runs write.
        production: Where readers read; None for the one-liner.
        catalog: The index.
        connections: The named endpoints.
        datasets: Folder or URL of training sets.
        approvers: Who may approve; empty: anybody.
        memory: Bytes that the whole process may hold.
        observer: Gets events.
        workers: How many independent steps run at once.
        served: Source to the warehouse table it is served as, where that is not ``raw_{source}``.
        compaction: When and how small files of raw tables are written together.
        copies: Folder of copies of what lies in buckets; empty: below the root.
        copies_limit: Bytes that they may take.
        keys: The privacy keys, where there are any.
        events: Where lineage events of runs are sent; None: nowhere.
        automatic: Inside which limits a candidate may be approved by nobody.
        announce: Who is told of a release.
        alerts: Who is told of what goes wrong.
        checking: The Spark that judges rows; None: DuckDB does.
    """

    name: str
    root: str
    staging: EnvironmentSpec
    production: EnvironmentSpec | None
    catalog: Catalog
    connections: Mapping[str, ConnectionSpec] = field(default_factory=dict)
    datasets: str = ""
    approvers: tuple[str, ...] = ()
    memory: int = DEFAULT_CAP
    observer: Observer = ignore
    workers: int = 4
    served: Mapping[str, str] = field(default_factory=dict)
    compaction: CompactionSpec = field(default_factory=CompactionSpec)
    copies: str = ""
    copies_limit: int = LIMIT
    keys: Keys | None = field(default=None, repr=False)
    events: EventsSpec | None = None
    automatic: AutomaticSpec = field(default_factory=AutomaticSpec)
    announce: AnnouncementSpec = field(default_factory=AnnouncementSpec)
    alerts: AlertsSpec = field(default_factory=AlertsSpec)
    checking: CheckEngineSpec | None = None

    def __post_init__(self) -> None:
        self.budget = MemoryBudget(self.memory)
        self.engine = LocalEngine(self.budget.engine)
        self._copies = Copies(self.copies or os.path.join(self.root, COPIES), self.copies_limit)
        self._opened: dict[str, Objects] = {}
        self._production: DeltaLake | None = None
        self._spark: Spark | None = None
        if self.checking is not None:
            from penstock.stores.spark import Spark

            self._spark = Spark(self.checking.url, remote_lake=is_bucket(self.staging.lake))
        self.lake = DeltaLake(self.objects(self.staging.lake))
        self.warehouse = DuckDBWarehouse(self.staging.warehouse, self.engine, on_wait=self.waiting)
        if self.production is not None and self.production.postgres is None:
            refuse_path(self.production.warehouse)

    def production_lake(self) -> DeltaLake:
        """Return the lake that readers read."""
        assert self.production is not None
        if self._production is None:
            self._production = DeltaLake(self.objects(self.production.lake))
        return self._production

    def dataset_objects(self) -> Objects:
        """Return the root of the training sets."""
        return self.objects(self.datasets)

    def objects(self, place: str) -> Objects:
        """Return the objects below a place, a folder or the URL of a bucket, entered as the connections say."""
        if place not in self._opened:
            self._opened[place] = open_objects(place, self.connections.values(), self._copies)
        return self._opened[place]

    def exists(self, place: str) -> bool:
        """Say whether a root exists already, without making it."""
        return self.objects(place).holds()

    def judge_of(self, table: str) -> ScaleOut | None:
        """Return who judges the rows of a lake table in DuckDB's place; None: nobody.

        Args:
            table: Without the prefix of raw tables, as checks are declared for it.
        """
        wanted = () if self.checking is None else self.checking.tables
        return self._spark if not wanted or table in wanted else None

    def warehouse_table(self, source: str) -> str:
        """Return the warehouse table that serves a source."""
        return self.served.get(source, raw(source))

    def waiting(self, sentence: str) -> None:
        """Tell whoever watches that something is waited for."""
        self.observer(Waiting(sentence=sentence))

    def close(self) -> None:
        """Close catalog and engines."""
        if self._spark is not None:
            self._spark.close()
        self.catalog.close()
        self.engine.close()


def open_workspace(config: ProjectConfig, observer: Observer) -> Workspace:
    """Open the places that a project's configuration names."""
    from penstock.catalog.opening import open_catalog

    return Workspace(
        name=config.name,
        root=str(config.root),
        staging=config.environments["staging"],
        production=config.environments["production"],
        catalog=open_catalog(config.catalog),
        connections=config.connections,
        datasets=config.datasets,
        approvers=tuple(config.approvers),
        memory=config.memory,
        observer=observer,
        compaction=config.compaction,
        copies=config.copies,
        copies_limit=config.copies_limit,
        keys=config.keys,
        events=config.events,
        automatic=config.automatic,
        announce=config.announce,
        alerts=config.alerts,
        checking=config.checking,
    )


def user() -> str:
    """Return who is acting: ``PENSTOCK_USER`` or the account's name."""
    try:
        return os.environ.get("PENSTOCK_USER") or getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
