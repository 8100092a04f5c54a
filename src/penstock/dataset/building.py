"""Building a training set: join, split, order, write shards, and last of all the manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field
from datetime import datetime

import duckdb

from penstock import names
from penstock.dataset.joining import PLACE, candidates, is_number, matches, unusable_count, widened
from penstock.dataset.manifest import FILE, Manifest, SplitFigures, parse, seal
from penstock.dataset.receipts import DatasetReceipt
from penstock.dataset.sampling import SPLIT, Layout, lay_out, samples_query
from penstock.dataset.shards import Writing, column_of, write_shards
from penstock.errors import BugError, ConfigurationError, DataError, TransientError
from penstock.model import codec
from penstock.model.entries import Column
from penstock.model.events import Advance
from penstock.model.specs import DatasetSpec
from penstock.queries.edges import expression_meaning
from penstock.queries.text import identifier, identifiers
from penstock.stores.port import Engine, Objects
from penstock.values import dataclass

FORMAT = 1
"""Changed when the same declaration and versions would give other rows or another layout."""
_SAMPLES = "_penstock_samples"
_JOINED = "_penstock_joined"
_FOUND = "_penstock_candidates"
_MATCHED = "_penstock_matched"
_MOST_LABELS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Building:
    """What to build.

    Attributes:
        dataset: The declaration.
        relations: Table to its rows, as SQL that stands in a FROM clause, over the pinned files.
        versions: Table to the version that the relation holds.
        created_at: The moment, UTC.
        release: The production release the versions were taken from; 0 for none.
        run: The run.
    """

    dataset: DatasetSpec
    relations: Mapping[str, str]
    versions: Mapping[str, int]
    created_at: datetime
    release: int = 0
    run: str | None = None


@dataclass(frozen=True, slots=True)
class DatasetPorts:
    """Where it happens.

    Attributes:
        engine: The engine that joins and writes.
        objects: The root of the training sets.
        advance: Gets the rows and bytes of each shard.
    """

    engine: Engine
    objects: Objects
    advance: Advance | None = field(default=None)


def build(spec: Building, ports: DatasetPorts) -> DatasetReceipt:
    """Build a training set, unless this version of it is there already.

    The version is a fingerprint of the declaration's meaning and of the pinned versions, so equal inputs are equal
    files. Every labelled row of the table becomes exactly one sample. What an interrupted building left is replaced.

    Raises:
        ConfigurationError: The declaration does not fit the tables.
        DataError: A value cannot be computed, or the version that is there is damaged.
        TransientError: The disk or the memory is full.
    """
    version = version_of(spec)
    folder = f"{names.check_table_name(spec.dataset.name, where='The name of a training set')}/{version}"
    if ports.objects.exists(f"{folder}/{FILE}"):
        return _standing(folder, ports)
    for leftover in list(ports.objects.list(f"{folder}/")):
        ports.objects.remove(leftover.path)
    with _sentences(spec.dataset.name), ports.engine.session() as connection:
        layout = lay_out(spec.dataset, _tables(spec, connection))
        unlabelled = _sample(spec, layout, connection)
        schema = _join(spec, layout, connection)
        splits = _figures(layout, connection)
        writing = Writing(
            relation=_JOINED,
            columns=schema,
            splits={name: figures.rows for name, figures in splits.items()},
            rows_per_shard=spec.dataset.rows_per_shard,
            folder=folder,
        )
        shards = write_shards(writing, connection, ports.objects, ports.advance)
        unusable = _unusable(spec, layout, connection)
    manifest = seal(
        Manifest(
            name=spec.dataset.name,
            version=version,
            created_at=spec.created_at,
            run=spec.run,
            rows=sum(shard.rows for shard in shards),
            unlabelled=unlabelled,
            schema=schema,
            roles=layout.roles,
            shards=shards,
            splits=splits,
            seed=spec.dataset.split.seed if spec.dataset.split else 0,
            group=layout.group,
            versions={table: spec.versions[table] for table in _names(spec.dataset)},
            release=spec.release,
            unusable=unusable,
        )
    )
    ports.objects.create(f"{folder}/{FILE}", codec.encode(manifest))
    return _receipt(manifest, folder, built=True, notes=(*layout.notes, *_remarks(manifest)))


def version_of(spec: Building) -> str:
    """Return the version that a declaration and its pinned versions have: 16 hex digits."""
    dataset = spec.dataset
    tables = _names(dataset)
    for table in tables:
        if table not in spec.relations or table not in spec.versions:
            raise names.unknown("table", table, spec.relations, where=f"training set {dataset.name!r}")
    label = expression_meaning(dataset.label, origin=f"The label of training set {dataset.name!r}")
    split = dataset.split
    return codec.fingerprint(
        FORMAT,
        [dataset.table, label, dataset.label_name, dataset.event_time, dataset.columns, dataset.rows_per_shard],
        dataset.features,
        [split.by, sorted(split.shares.items()), split.seed] if split else None,
        sorted((table, spec.versions[table]) for table in tables),
    )


def _names(dataset: DatasetSpec) -> list[str]:
    return sorted({dataset.table, *(feature.table for feature in dataset.features)})


def _standing(folder: str, ports: DatasetPorts) -> DatasetReceipt:
    """Answer for a version that is there; its files are counted and measured, not read."""
    manifest = parse(ports.objects.get(f"{folder}/{FILE}"), where=f"{folder}/{FILE}")
    sizes = {item.path: item.bytes for item in ports.objects.list(f"{folder}/")}
    for shard in manifest.shards:
        if sizes.get(f"{folder}/{shard.path}") != shard.bytes:
            raise DataError(
                f"Training set {manifest.name} {manifest.version} is damaged: see {shard.path}",
                value=f"{sizes.get(f'{folder}/{shard.path}')} bytes",
                valid=f"{shard.bytes} bytes",
                remedy=f"Remove the folder {folder} and build it again",
            )
    return _receipt(manifest, folder, built=False, notes=())


def _receipt(manifest: Manifest, folder: str, *, built: bool, notes: tuple[str, ...]) -> DatasetReceipt:
    return DatasetReceipt(
        name=manifest.name,
        version=manifest.version,
        path=folder,
        built=built,
        rows=manifest.rows,
        splits={name: figures.rows for name, figures in manifest.splits.items()},
        shards=len(manifest.shards),
        bytes=sum(shard.bytes for shard in manifest.shards),
        unlabelled=manifest.unlabelled,
        notes=notes,
    )


def _remarks(manifest: Manifest) -> Iterator[str]:
    for name, figures in manifest.splits.items():
        if not figures.rows:
            yield f"Split {name} has no samples"
    for table, rows in manifest.unusable.items():
        yield f"{rows} rows of {table} can never be joined: a key or a time is null"


def _tables(spec: Building, connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, str]]:
    """Return the columns and types of every table that takes part."""
    found = {}
    for table in _names(spec.dataset):
        relation = connection.sql(f"SELECT * FROM {spec.relations[table]}")
        found[table] = {name: str(type_) for name, type_ in zip(relation.columns, relation.types, strict=True)}
    return found


def _sample(spec: Building, layout: Layout, connection: duckdb.DuckDBPyConnection) -> int:
    """Make the table of labelled samples; return how many rows have no label."""
    relation = spec.relations[spec.dataset.table]
    _make(connection, _SAMPLES, samples_query(layout, relation))
    total = connection.execute(f"SELECT count(*) FROM {relation}").fetchall()[0][0]
    return int(total) - _count(connection, _SAMPLES)


def _join(spec: Building, layout: Layout, connection: duckdb.DuckDBPyConnection) -> tuple[Column, ...]:
    """Make the table of joined samples in their order; return its columns.

    Raises:
        BugError: The join dropped or multiplied samples.
    """
    samples = _count(connection, _SAMPLES)
    current = _SAMPLES
    for number, join in enumerate(layout.joins):
        # one sort at a time, from and to tables that spill: what the engine holds does not grow with the joins
        following = f"{_JOINED}_{number}"
        _make(connection, _FOUND, candidates(join, number, spec.relations[join.spec.table], current))
        _make(connection, _MATCHED, matches(join, number, _FOUND, current))
        _make(connection, following, widened(join, _FOUND, _MATCHED, current))
        for done in (_FOUND, _MATCHED, current):
            connection.execute(f"DROP TABLE {done}")
        current = following
    ordered = f"SELECT {SPLIT}, {PLACE}, {identifiers(layout.roles)} FROM {current} ORDER BY {PLACE}"
    _make(connection, _JOINED, ordered)
    connection.execute(f"DROP TABLE {current}")
    rows = _count(connection, _JOINED)
    if samples != rows:
        raise BugError(f"The features of training set {spec.dataset.name!r} made {rows} rows of {samples} samples")
    relation = connection.sql(f"SELECT {identifiers(layout.roles)} FROM {_JOINED}")
    return tuple(column_of(name, str(type_)) for name, type_ in zip(relation.columns, relation.types, strict=True))


def _make(connection: duckdb.DuckDBPyConnection, table: str, query: str) -> None:
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS {query}")


def _figures(layout: Layout, connection: duckdb.DuckDBPyConnection) -> dict[str, SplitFigures]:
    """Count samples and labels of each split, in the order in which the splits were declared."""
    split = layout.spec.split
    shares = dict(split.shares) if split else {"train": 1.0}
    label = identifier(layout.spec.label_name)
    type_ = str(connection.sql(f"SELECT {label} FROM {_JOINED}").types[0])
    mean = f"avg(CAST({label} AS DOUBLE))" if type_ == "BOOLEAN" or is_number(type_) else "NULL"
    counted = connection.execute(f"SELECT {SPLIT}, count(*), {mean} FROM {_JOINED} GROUP BY ALL").fetchall()
    found = {name: (int(rows), value) for name, rows, value in counted}
    labels = connection.execute(
        f"SELECT {SPLIT}, CAST({label} AS VARCHAR) AS value, count(*) FROM {_JOINED} WHERE "
        f"(SELECT count(DISTINCT {label}) FROM {_JOINED}) <= {_MOST_LABELS} GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    return {
        name: SplitFigures(
            rows=found.get(name, (0, None))[0],
            share=share,
            mean=found.get(name, (0, None))[1],
            labels={value: int(rows) for place, value, rows in labels if place == name},
        )
        for name, share in shares.items()
    }


def _unusable(spec: Building, layout: Layout, connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    found: dict[str, int] = {}
    for join in layout.joins:
        rows = connection.execute(unusable_count(join, spec.relations[join.spec.table])).fetchall()[0][0]
        if rows:
            found[join.spec.table] = int(rows)
    return found


def _count(connection: duckdb.DuckDBPyConnection, relation: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {relation}").fetchall()[0][0])


@contextmanager
def _sentences(name: str) -> Iterator[None]:
    """Turn DuckDB's errors into ours."""
    try:
        yield
    except duckdb.Error as error:
        reason = str(error).split("\n\nLINE")[0].replace("\n", " ").strip()
        if isinstance(error, duckdb.OutOfMemoryException | duckdb.IOException | duckdb.InterruptException):
            raise TransientError(f"Training set {name!r} ran out of memory or disk", value=reason) from error
        if isinstance(error, duckdb.BinderException | duckdb.ParserException | duckdb.CatalogException):
            raise ConfigurationError(f"Training set {name!r} cannot be built", value=reason) from error
        raise DataError(f"Training set {name!r} cannot be computed", value=reason) from error
