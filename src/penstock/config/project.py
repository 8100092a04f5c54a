"""``penstock.toml``: where a project's things are.

Order, the later winning: the file, ``PENSTOCK__SECTION__KEY`` variables. ``${NAME}`` in a text is taken from the
environment, then from ``.env`` and ``secrets.toml`` beside the file. Relative places are below the file's folder.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path, PurePath, PurePosixPath
from types import MappingProxyType
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from penstock.config.alerts import Alerts
from penstock.config.checking import Checks
from penstock.config.connections import GivenConnection, connection_from_table, resolved
from penstock.config.production import Locks, postgres_from
from penstock.config.releases import Announce, Automatic
from penstock.config.secrecy import refuse_webhook, refuse_written
from penstock.config.sections import Section, read_section
from penstock.config.serving import Serve
from penstock.config.variables import Variables, override, read_toml
from penstock.errors import ConfigurationError
from penstock.model.alerts import AlertsSpec
from penstock.model.buckets import address, is_bucket
from penstock.model.budget import DEFAULT_CAP, cap
from penstock.model.firings import ServeSpec
from penstock.model.lineage import EventsSpec
from penstock.model.production import PostgresSpec
from penstock.model.sizes import parse_size
from penstock.model.specs import (
    AnnouncementSpec,
    AutomaticSpec,
    CheckEngineSpec,
    CompactionSpec,
    ConnectionSpec,
    EnvironmentSpec,
)
from penstock.privacy.keys import Keys, read_keys
from penstock.values import dataclass

FILE = "penstock.toml"
LEAST_TARGET = 2**20
COPIES = 20 * 2**30
"""Bytes that copies of objects in buckets may take on this machine, where the file says nothing."""
LEAST_COPIES = 64 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectConfig:
    """Where a project's things are.

    Attributes:
        name: The project.
        root: The folder of ``penstock.toml``.
        catalog: URL of the catalog; may hold a password, so it is not shown.
        pipelines: ``module:attribute`` of each pipeline, below the root.
        environments: ``staging`` and ``production``.
        connections: The named endpoints, secrets resolved.
        memory: Bytes that the whole process may hold; ``model.budget`` divides them.
        datasets: Folder or URL of training sets.
        approvers: Who may approve a release; empty: anybody.
        compaction: When and how small files of raw tables are written together.
        copies: Folder of copies of what lies in buckets.
        copies_limit: Bytes that they may take.
        keys: The privacy keys; None where there is no section ``[privacy]``.
        events: Where lineage events are sent; None where there is no section ``[lineage]``.
        automatic: Inside which limits a candidate may be approved by nobody.
        announce: Who is told of a release.
        alerts: Who is told of what goes wrong.
        serve: How schedules are carried out.
        checking: The Spark that judges rows; None: DuckDB does.
    """

    name: str
    root: Path
    catalog: str = field(repr=False)
    pipelines: tuple[str, ...]
    environments: Mapping[str, EnvironmentSpec]
    connections: Mapping[str, ConnectionSpec]
    memory: int
    datasets: str
    approvers: tuple[str, ...] = ()
    compaction: CompactionSpec = field(default_factory=CompactionSpec)
    copies: str = ""
    copies_limit: int = COPIES
    keys: Keys | None = field(default=None, repr=False)
    events: EventsSpec | None = None
    automatic: AutomaticSpec = field(default_factory=AutomaticSpec)
    announce: AnnouncementSpec = field(default_factory=AnnouncementSpec)
    alerts: AlertsSpec = field(default_factory=AlertsSpec)
    serve: ServeSpec = field(default_factory=ServeSpec)
    checking: CheckEngineSpec | None = None


class _Project(Section):
    name: Annotated[str, Meta(min_length=1)]
    catalog: str = "sqlite:///.penstock/catalog.db"
    pipelines: tuple[str, ...] = ()
    memory: int | str = DEFAULT_CAP
    datasets: str = "data/datasets"
    approvers: tuple[str, ...] = ()


class _Staging(Section):
    lake: str = "data/staging/lake"
    warehouse: str = "data/staging/warehouse.duckdb"


class _Production(Section):
    lake: str = "data/production/lake"
    warehouse: str = "data/production/warehouse.duckdb"
    keep_releases: Annotated[int, Meta(ge=1)] = 5
    postgres_schema: Annotated[str, Meta(min_length=1)] = "public"
    lock_timeout: Annotated[float, Meta(ge=0.05, le=30)] = 0.5
    lock_wait: Annotated[float, Meta(ge=0, le=86_400)] = 120

    def served(self, connections: Mapping[str, ConnectionSpec], where: str) -> PostgresSpec | None:
        """Return the database that serves production; None where a DuckDB file does."""
        limits = Locks(schema=self.postgres_schema, timeout=self.lock_timeout, wait=self.lock_wait)
        return postgres_from(self.warehouse, connections, limits, where)


class _Environments(Section):
    staging: _Staging = msgspec.field(default_factory=_Staging)
    production: _Production = msgspec.field(default_factory=_Production)


class _Compaction(Section):
    files: Annotated[int, Meta(ge=2, le=10_000)] = 1000
    window: Literal["hour", "day"] = "day"
    target: int | str = "256MiB"


class _Copies(Section):
    folder: str = ".penstock/copies"
    limit: int | str = COPIES


class _Lineage(Section):
    events: Annotated[str, Meta(min_length=1)]
    namespace: str = ""
    token: str = ""
    wait: Annotated[float, Meta(gt=0, le=60)] = 2.0


class _Privacy(Section):
    key: Annotated[str, Meta(min_length=1)]
    version: Annotated[int, Meta(ge=1, le=999_999_999)] = 1
    former: dict[str, str] = msgspec.field(default_factory=dict)


class _Connection(Section, forbid_unknown_fields=False):
    url: Annotated[str, Meta(min_length=1)]
    kind: str | None = None
    secrets: dict[str, str] = msgspec.field(default_factory=dict)


class _File(Section):
    project: _Project
    compaction: _Compaction = msgspec.field(default_factory=_Compaction)
    copies: _Copies = msgspec.field(default_factory=_Copies)
    environments: _Environments = msgspec.field(default_factory=_Environments)
    connections: dict[str, Any] = msgspec.field(default_factory=dict)
    privacy: _Privacy | None = None
    lineage: _Lineage | None = None
    automatic: Automatic = msgspec.field(default_factory=Automatic)
    announce: Announce = msgspec.field(default_factory=Announce)
    alerts: Alerts = msgspec.field(default_factory=Alerts)
    serve: Serve = msgspec.field(default_factory=Serve)
    checks: Checks = msgspec.field(default_factory=Checks)


def find_project(folder: str | Path | None = None) -> Path:
    """Return the ``penstock.toml`` of a folder or the nearest above it.

    Args:
        folder: A folder, or the file itself; None: the current folder.

    Raises:
        ConfigurationError: There is none.
    """
    start = Path(folder or ".").expanduser().resolve()
    if start.is_file():
        return start
    if not start.is_dir():
        raise ConfigurationError("There is no such folder", value=str(start), remedy="Name the project with --project")
    for place in (start, *start.parents):
        if (place / FILE).is_file():
            return place / FILE
    raise ConfigurationError(
        f"There is no {FILE} in {start} or above it",
        remedy="penstock init DIR --template flights makes a project; --project DIR names one",
    )


def load_project(path: str | Path, environment: Mapping[str, str] | None = None) -> ProjectConfig:
    """Read a project's configuration.

    Args:
        path: The ``penstock.toml``, or its folder.
        environment: The variables; None takes the process's own.

    Raises:
        ConfigurationError: A key that is not known (with the nearest that is), a bad value, a missing variable.
    """
    file = find_project(path)
    variables = dict(os.environ if environment is None else environment)
    content = read_toml(file)
    refuse_written(content, file)
    override(content, variables)
    filled = Variables(file, variables).fill(content)
    given = read_section(_File, filled, file)
    root = file.parent
    connections = {
        name: connection_from_table(name, _connection(name, each, file), root, f"connections.{name} in {file}")
        for name, each in given.connections.items()
    }
    return ProjectConfig(
        name=given.project.name,
        root=root,
        catalog=resolved(root, given.project.catalog),
        pipelines=given.project.pipelines,
        environments=_environments(given.environments, connections, root, file),
        connections=MappingProxyType(connections),
        memory=cap(given.project.memory, f"project.memory in {file}"),
        datasets=_root(root, given.project.datasets, f"project.datasets in {file}"),
        approvers=given.project.approvers,
        compaction=CompactionSpec(
            limit=given.compaction.files,
            window=given.compaction.window,
            target=parse_size(given.compaction.target, f"compaction.target in {file}", LEAST_TARGET),
        ),
        copies=str(root / Path(given.copies.folder).expanduser()),
        copies_limit=parse_size(given.copies.limit, f"copies.limit in {file}", LEAST_COPIES),
        keys=_keys(given.privacy, file),
        events=_events(given.lineage, root, given.project.name, file),
        automatic=given.automatic.spec(),
        announce=given.announce.spec(root, file),
        alerts=given.alerts.spec(root, file),
        serve=given.serve.spec(file),
        checking=given.checks.spec(file),
    )


def _events(given: _Lineage | None, root: Path, name: str, file: Path) -> EventsSpec | None:
    """Return where lineage events are sent; a path is below the root."""
    if given is None:
        return None
    to, scheme = given.events, given.events.partition("://")[0] if "://" in given.events else ""
    if scheme not in ("", "file", "http", "https", "kafka"):
        raise ConfigurationError(
            f"lineage.events in {file} is of no kind that events can be sent to",
            value=scheme,
            valid="a file, http://…, https://… or kafka://host:9092/topic",
        )
    if scheme in ("http", "https"):
        refuse_webhook(to, given.token, f"lineage.events in {file}", "lineage.token")
    if scheme in ("", "file"):
        to = str(root / Path(to.removeprefix("file://")).expanduser())
    return EventsSpec(to=to, namespace=given.namespace or name, token=given.token, wait=given.wait)


def _keys(given: _Privacy | None, file: Path) -> Keys | None:
    if given is None:
        return None
    return read_keys(given.key, version=given.version, former=given.former, where=f"privacy in {file}")


def _connection(name: str, table: Any, file: Path) -> GivenConnection:
    """Return what a table of ``[connections]`` says; keys beside those of all connections depend on its kind."""
    given = read_section(_Connection, table, file, f"connections.{name}")
    rest = {key: value for key, value in table.items() if key not in _Connection.__struct_fields__}
    return GivenConnection(given.url, given.kind, given.secrets, rest)


def _root(root: Path, place: str, where: str) -> str:
    """Return a folder of this machine or the URL of a bucket, without a slash at its end.

    Raises:
        ConfigurationError: It is a URL of another kind, names no bucket, or holds more than a path.
    """
    if "://" not in place or place.startswith("file:"):
        return resolved(root, place)
    shown = place.partition("?")[0]
    if not is_bucket(place):
        raise ConfigurationError(
            f"{where} must be a folder or the URL of a bucket",
            value=shown.rpartition("@")[2],
            valid="a folder, also one of a network file system, or a URL with s3://, gs://, az:// or abfss://",
        )
    host = place.partition("://")[2].partition("/")[0]
    if "?" in place or "#" in place or ":" in host or (host.count("@") and not shown.lower().startswith("abfs")):
        raise ConfigurationError(
            f"{where} may say nothing but a bucket and a path",
            valid="s3://bucket/path; credentials stand in a connection of the same bucket, or in the environment",
        )
    scheme, _, path = address(place)
    if not path:
        raise ConfigurationError(
            f"{where} names a whole bucket, and what else lies there could not be told from the lake",
            value=shown,
            valid=f"{scheme}://NAME/path",
        )
    if any(part in ("", ".", "..") for part in path.split("/")):
        raise ConfigurationError(f"{where} holds an empty or upward part", value=shown, valid=f"{scheme}://NAME/path")
    return place.rstrip("/")


def _environments(
    given: _Environments, connections: Mapping[str, ConnectionSpec], root: Path, file: Path
) -> Mapping[str, EnvironmentSpec]:
    postgres = given.production.served(connections, f"environments.production.warehouse in {file}")
    specs = {
        name: EnvironmentSpec(
            name=name,
            lake=_root(root, each.lake, f"environments.{name}.lake in {file}"),
            warehouse=resolved(root, each.warehouse),
        )
        for name, each in (("staging", given.staging), ("production", given.production))
    }
    production = specs["production"]
    specs["production"] = EnvironmentSpec(
        name="production",
        lake=production.lake,
        warehouse=postgres.shown if postgres else production.warehouse,
        keep_releases=given.production.keep_releases,
        postgres=postgres,
    )
    lakes = [_compared(spec.lake) for spec in specs.values()]
    if lakes[0] == lakes[1] or lakes[0] in lakes[1].parents or lakes[1] in lakes[0].parents:
        raise ConfigurationError(
            f"The lakes of staging and production overlap in {file}",
            value=f"{lakes[0]} and {lakes[1]}",
            valid="two folders or paths of buckets, neither inside the other",
        )
    if os.path.normpath(specs["staging"].warehouse) == os.path.normpath(production.warehouse):
        raise ConfigurationError(
            f"Staging and production have the same warehouse in {file}", value=production.warehouse, valid="two files"
        )
    return MappingProxyType(specs)


def _compared(lake: str) -> PurePath:
    """Return a lake's place as a path, so that one within another is seen."""
    return PurePosixPath("/", *address(lake)) if is_bucket(lake) else Path(os.path.normpath(lake))
