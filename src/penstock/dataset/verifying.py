"""Verifying a training set: its files against the manifest, then what it promises, read back from the shards.

It fails closed: what cannot be read or is not listed is a failure, and names the shard.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import duckdb

from penstock.dataset.manifest import FILE, GROUP, Manifest, Shard, read_manifest
from penstock.dataset.receipts import VerifyReceipt
from penstock.dataset.sampling import split_sql
from penstock.dataset.shards import digest
from penstock.model.specs import SplitSpec
from penstock.queries.relations import parquet
from penstock.queries.text import identifier, literal
from penstock.stores.objects import LocalObjects
from penstock.stores.port import Engine, Objects


def verify(folder: str | Path, engine: Engine, objects: Objects | None = None) -> VerifyReceipt:
    """Check a training set.

    Every shard of the manifest is there, with its size, SHA-256, rows and columns, and nothing else is; no sample lacks
    its label; no group is in two splits and each is in the split that its hash says; no feature became usable after the
    moment of its sample.

    Args:
        folder: The folder with the manifest.
        engine: The engine that reads the shards.
        objects: The root that the folder lies below; None: a folder of this machine.

    Returns:
        What was found; nothing is raised for a damaged shard.

    Raises:
        NotFoundError: There is no manifest.
        DataError: The manifest is torn or was changed.
    """
    manifest = read_manifest(folder, objects)
    found = LocalObjects(folder) if objects is None else objects
    below = "" if objects is None else f"{folder}/"
    sizes = {info.path.removeprefix(below): info.bytes for info in found.list(below)}
    failures = [*_strangers(sizes, manifest)]
    root = _here(found, below, manifest, sizes)
    whole: list[Shard] = []
    with engine.session() as connection:
        for shard in manifest.shards:
            wrong = _shard(root, shard, manifest, connection)
            failures += [wrong] if wrong else []
            whole += [] if wrong else [shard]
        passed = [] if failures else ["files, sizes, checksums, rows and columns are those of the manifest"]
        failures += _sums(manifest)
        for promise, check in _PROMISES.items():
            broken = _asked(check, root, manifest, whole, connection)
            failures += broken
            if not broken and not failures:
                passed.append(promise)
    return VerifyReceipt(
        name=manifest.name,
        version=manifest.version,
        rows=sum(shard.rows for shard in whole),
        shards=len(manifest.shards),
        bytes=sum(shard.bytes for shard in whole),
        failures=tuple(failures),
        passed=tuple(passed),
    )


def _strangers(sizes: Mapping[str, int], manifest: Manifest) -> Iterator[str]:
    listed = {FILE, *(shard.path for shard in manifest.shards)}
    for name in sorted(sizes.keys() - listed):
        yield f"{name} is not in the manifest"


def _here(objects: Objects, below: str, manifest: Manifest, sizes: Mapping[str, int]) -> Path:
    """Return the folder of the shards on this machine; what lies in a bucket is read from there anew."""
    paths = [f"{below}{shard.path}" for shard in manifest.shards]
    objects.forget(paths)
    objects.reading([path for path in paths if path.removeprefix(below) in sizes])
    return Path(objects.place(f"{below}{FILE}")).parent


def _shard(root: Path, shard: Shard, manifest: Manifest, connection: duckdb.DuckDBPyConnection) -> str | None:
    """Return what is wrong with a shard, or None."""
    path = root / shard.path
    try:
        size = path.stat().st_size
        if size != shard.bytes:
            return f"{shard.path} has {size} bytes instead of {shard.bytes}"
        if digest(path) != shard.sha256:
            return f"{shard.path} has another SHA-256 than when it was written"
        relation = connection.sql(f"SELECT * FROM {parquet([str(path)])}")
        columns = list(relation.columns)
        rows = connection.execute(f"SELECT count(*) FROM {parquet([str(path)])}").fetchall()[0][0]
    except FileNotFoundError:
        return f"{shard.path} is missing"
    except OSError as error:
        return f"{shard.path} cannot be read: {error.strerror or error}"
    except duckdb.Error as error:
        return f"{shard.path} cannot be read as Parquet: {str(error).splitlines()[0]}"
    if rows != shard.rows:
        return f"{shard.path} has {rows} samples instead of {shard.rows}"
    if columns != [column.name for column in manifest.schema]:
        return f"{shard.path} has other columns than the manifest"
    return None


def _sums(manifest: Manifest) -> Iterator[str]:
    """Compare the manifest with itself."""
    counted: dict[str, int] = dict.fromkeys(manifest.splits, 0)
    for shard in manifest.shards:
        counted[shard.split] = counted.get(shard.split, 0) + shard.rows
    for split, rows in counted.items():
        figures = manifest.splits.get(split)
        if figures is None or figures.rows != rows:
            yield f"split {split} has {rows} samples in its shards, not {figures.rows if figures else 'any'}"
    if manifest.rows != sum(counted.values()):
        yield f"the shards hold {sum(counted.values())} samples, not {manifest.rows}"


_Check = Callable[[Manifest, str, duckdb.DuckDBPyConnection], Iterator[str]]


def _asked(
    check: _Check, root: Path, manifest: Manifest, whole: Sequence[Shard], connection: duckdb.DuckDBPyConnection
) -> list[str]:
    if not whole:
        return []
    selects = [
        f"SELECT *, {literal(split)} AS _split FROM {parquet([str(root / shard.path) for shard in shards])}"
        for split, shards in _by_split(whole).items()
    ]
    try:
        return list(check(manifest, f"({' UNION ALL BY NAME '.join(selects)})", connection))
    except duckdb.Error as error:
        return [f"the shards cannot be read together: {str(error).splitlines()[0]}"]


def _by_split(shards: Sequence[Shard]) -> Mapping[str, list[Shard]]:
    found: dict[str, list[Shard]] = {}
    for shard in shards:
        found.setdefault(shard.split, []).append(shard)
    return found


def _labels(manifest: Manifest, relation: str, connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    for name in manifest.named("label"):
        rows = connection.execute(f"SELECT count(*) FROM {relation} WHERE {identifier(name)} IS NULL").fetchall()[0][0]
        if rows:
            yield f"{rows} samples have no {name}"


def _groups(manifest: Manifest, relation: str, connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    if not manifest.group:
        return
    rows = connection.execute(
        f"SELECT count(*) FROM (SELECT {GROUP} FROM {relation} WHERE {GROUP} IS NOT NULL GROUP BY {GROUP} "
        "HAVING count(DISTINCT _split) > 1)"
    ).fetchall()[0][0]
    if rows:
        yield f"{rows} groups ({', '.join(manifest.group)}) are in more than one split"
    shares = {name: figures.share for name, figures in manifest.splits.items()}
    expected = split_sql(SplitSpec(by=manifest.group, shares=shares, seed=manifest.seed), hashed=GROUP)
    rows = connection.execute(
        f"SELECT count(*) FROM {relation} WHERE {GROUP} IS NOT NULL AND {expected} <> _split"
    ).fetchall()[0][0]
    if rows:
        yield f"{rows} samples are in another split than the hash of their group says"


def _leaks(manifest: Manifest, relation: str, connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    times = manifest.named("event_time")
    for known in manifest.named("known_at"):
        later = f"{identifier(known)} > CAST({identifier(times[0])} AS TIMESTAMPTZ)" if times else "true"
        rows = connection.execute(
            f"SELECT count(*) FROM {relation} WHERE {identifier(known)} IS NOT NULL AND coalesce({later}, true)"
        ).fetchall()[0][0]
        if rows:
            yield f"{rows} samples have features that were known only after their moment: {known} > {times[0]}"


_PROMISES: Mapping[str, _Check] = {
    "every sample has a label": _labels,
    "no group is in two splits": _groups,
    "no feature is newer than its sample": _leaks,
}
