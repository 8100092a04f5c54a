"""What a project holds, read from its files without the catalog: rows, as a reader of each place gets them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb

from penstock.config.project import load_project
from penstock.dataset.manifest import list_manifests
from penstock.model.codec import decode
from penstock.model.entries import EntryKind, Verdict
from penstock.model.events import ignore
from penstock.model.releases import Release
from penstock.orchestrate import doctor
from penstock.orchestrate.workspace import open_workspace
from penstock.promote.versions import freeze
from penstock.queries.relations import accepted
from penstock.stores.lake import DeltaLake

OWN = ("_load", "_created_at", "_updated_at", "_order", "_row", "_parent")
"""Columns that say when and as which load a row came, which a kill may change."""


def facts(folder: Path) -> dict[str, Any]:
    """Return everything that must be equal after a kill and another telling."""
    with duckdb.connect() as connection:
        return {
            "staging warehouse": _warehouse(connection, folder / "data/staging/warehouse.duckdb"),
            "staging lake": _lake(connection, folder / "data/staging/lake"),
            "production": production(folder),
            "datasets": _datasets(connection, folder / "data/datasets"),
        }


def production(folder: Path) -> dict[str, Any]:
    """Return what production serves; its three faces must agree, or this fails."""
    root = folder / "data/production"
    pointer = root / "lake/releases/current"
    if not pointer.exists():
        assert not (root / "warehouse.duckdb").exists()
        return {}
    number = json.loads(pointer.read_text())["release"]
    release = decode(Release, (root / f"lake/releases/{number}.json").read_bytes(), where="a release")
    with duckdb.connect() as connection:
        served = _warehouse(connection, root / "warehouse.duckdb")
        assert _warehouse(connection, root / "warehouse.releases" / release.warehouse) == served
        lake = DeltaLake(root / "lake")
        for table in release.tables:
            named = [str(root / "lake" / table.table / file.path) for file in table.files]
            seen = [lake.table(table.table).uri(file.path) for file in lake.table(table.table).live()]
            assert sorted(named) == sorted(seen), f"the Delta table {table.table} does not show release {number}"
            assert _rows(connection, _parquet(named)) == served[table.table]
        assert {table.table for table in release.tables} == set(served)
    return {"release": number, "rollback to": release.rollback_to, "tables": served}


def served(folder: Path) -> object:
    """Return what a reader of the production warehouse sees at any moment, half-way states included."""
    path = folder / "data/production/warehouse.duckdb"
    if not path.exists():
        return None
    with duckdb.connect() as connection:
        return _warehouse(connection, path)


def examine(folder: Path, *, clean: bool) -> list[str]:
    """Return what the doctor lists, as paths below the project."""
    workspace = open_workspace(load_project(folder), ignore)
    try:
        report = doctor.examine(workspace, clean=clean)
    finally:
        workspace.close()
    assert report.removed == (len(report.orphans) if clean else 0)
    return sorted(path.removeprefix(f"{folder}/") for path, _ in report.orphans)


def _warehouse(connection, path: Path) -> dict[str, Counter]:
    if not path.exists():
        return {}
    assert not path.with_name(path.name + ".wal").exists() or "staging" in path.parts
    connection.execute(f"ATTACH '{path}' AS place (READ_ONLY)")
    try:
        listed = "SELECT table_name FROM duckdb_tables() WHERE database_name = 'place' AND schema_name = 'main'"
        names = [name for (name,) in connection.execute(listed).fetchall()]
        return {name: _rows(connection, f'place.main."{name}"') for name in names}
    finally:
        connection.execute("DETACH place")


def _lake(connection, root: Path) -> dict[str, Counter]:
    lake = DeltaLake(root)
    found = {}
    for name in lake.tables():
        table = lake.table(name)
        if name.startswith("raw_"):
            loads, aside = _standing(table)
            sets = [table.reading(load.files) for load in loads if load.files]
            paths = [uri for part in sets for uri in (*part.uris, *(piece.uri for piece in part.moved))]
            found[f"{name} set aside"] = _rows(connection, _parquet([str(root / path) for path in aside]), aside=True)
            lines = [str(root / load.misfits.path) for load in loads if load.misfits is not None]
            found[f"{name} lines that are no rows"] = _rows(connection, _parquet(lines), aside=True)
            found[f"{name} seen by Delta"] = set(paths) <= {table.uri(f.path) for f in table.live()}
            found[name] = _rows(connection, accepted(sets) if sets else None)
        else:
            paths = [table.uri(file.path) for file in freeze(table).version.files]
            assert paths == [table.uri(file.path) for file in table.live()]
            found[name] = _rows(connection, _parquet(paths))
    return found


def _standing(table):
    """Return the accepted loads that stand, and the quarantine files of their verdicts."""
    entries = list(table.entries())
    verdicts = {entry.load: entry for entry in entries if entry.kind is EntryKind.VERDICT}
    accepted = [
        entry
        for entry in entries
        if entry.kind is EntryKind.LOAD and entry.number in verdicts
        if verdicts[entry.number].verdict is Verdict.ACCEPTED
    ]
    gone = {number for entry in accepted for number in entry.supersedes}
    standing = [entry for entry in accepted if entry.number not in gone]
    if table.name == "raw_prices":
        standing = standing[-1:]
    return standing, [path for entry in standing if (path := verdicts[entry.number].quarantine)]


def _datasets(connection, root: Path) -> dict[str, object]:
    found = {}
    for manifest in list_manifests(root):
        folder = root / manifest.name / manifest.version
        for split in manifest.splits:
            paths = [str(folder / shard.path) for shard in manifest.shards if shard.split == split]
            found[f"{manifest.name} {split}"] = _rows(connection, _parquet(paths))
    return found


def _parquet(paths: list[str]) -> str | None:
    listed = ", ".join(f"'{path}'" for path in paths)
    return f"read_parquet([{listed}], union_by_name=true, hive_partitioning=false)" if paths else None


def _rows(connection, relation: str | None, *, aside: bool = False) -> Counter:
    if relation is None:
        return Counter()
    columns = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()]
    left_out = (*OWN, "_interval", "_file", "_row", "_origin", "_origin_detail") if aside else (*OWN, "_interval")
    kept = ", ".join(f'"{name}"' for name in sorted(columns) if name not in left_out)
    rows = connection.execute(f"SELECT {kept} FROM {relation}").fetchall()
    return Counter(repr(row) for row in rows)
