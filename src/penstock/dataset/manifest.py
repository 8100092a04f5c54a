"""The manifest of a training set: written last and create-only; a folder without one is no training set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from datetime import datetime
from pathlib import Path

from penstock.errors import DataError, NotFoundError
from penstock.model import codec
from penstock.model.entries import Column
from penstock.stores.objects import LocalObjects
from penstock.stores.port import Objects
from penstock.values import dataclass

FILE = "manifest.json"
GROUP = "_group"
"""The column with the hash of each sample's group: the first 16 hex digits of an MD5 with the split's seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One Parquet file.

    Attributes:
        path: Relative to the training set's folder.
        split: Its split.
        rows: Samples in it.
        bytes: Its size.
        sha256: Of its bytes, as hex digits.
    """

    path: str
    split: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitFigures:
    """What one split holds.

    Attributes:
        rows: Samples.
        share: The share that was asked for.
        mean: Mean of the label, where it is a number or a truth value.
        labels: Label to count, where there are at most 20.
    """

    rows: int
    share: float = 1.0
    mean: float | None = None
    labels: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A version of a training set.

    Attributes:
        name: The dataset.
        version: Fingerprint of the declaration and the pinned versions.
        created_at: When it was built, UTC.
        run: The run that built it.
        rows: Samples.
        unlabelled: Rows left out because their label is null.
        schema: The columns of every shard, in order.
        roles: Column to ``column``, ``event_time``, ``label``, ``feature``, ``known_at`` or ``group``.
        shards: The files, in order of split and number.
        splits: Split to figures.
        seed: Of the split and the order of samples.
        group: The columns whose values stay together in one split.
        versions: Table to the version it was made from.
        release: The production release that the versions were taken from; 0 for none.
        unusable: Feature table to rows that can never be joined, since a key or time is null.
        digest: Of all the fields above.
    """

    name: str
    version: str
    created_at: datetime
    run: str | None = None
    rows: int
    unlabelled: int = 0
    schema: tuple[Column, ...]
    roles: Mapping[str, str]
    shards: tuple[Shard, ...]
    splits: Mapping[str, SplitFigures]
    seed: int = 0
    group: tuple[str, ...] = ()
    versions: Mapping[str, int] = field(default_factory=dict)
    release: int = 0
    unusable: Mapping[str, int] = field(default_factory=dict)
    digest: str = ""

    def named(self, role: str) -> tuple[str, ...]:
        """Return the columns with a role, in order."""
        return tuple(column.name for column in self.schema if self.roles[column.name] == role)


def seal(manifest: Manifest) -> Manifest:
    """Return the manifest with its digest."""
    return replace(manifest, digest=_digest(manifest))


def parse(data: bytes, *, where: str) -> Manifest:
    """Read a manifest; raises DataError if it is torn or was changed."""
    manifest = codec.decode(Manifest, data, where=where)
    if manifest.digest != _digest(manifest):
        raise DataError(f"{where} was changed after it was written", value=f"digest {manifest.digest}")
    return manifest


def read_manifest(folder: str | Path, objects: Objects | None = None) -> Manifest:
    """Read the manifest of a training set's folder.

    Args:
        folder: The folder.
        objects: The root that the folder lies below; None: a folder of this machine.

    Raises:
        NotFoundError: There is none: no training set, or its building was interrupted.
        DataError: It is torn or was changed.
    """
    root, path = (LocalObjects(folder), FILE) if objects is None else (objects, f"{folder}/{FILE}")
    try:
        data = root.get(path)
    except NotFoundError as error:
        raise NotFoundError(
            f"There is no training set in {folder}: {FILE} is missing", remedy="See: penstock dataset list"
        ) from error
    return parse(data, where=root.url(path))


def list_manifests(root: str | Path | Objects, name: str | None = None) -> tuple[Manifest, ...]:
    """Return the training sets below the root of the datasets, by name, newest first.

    Args:
        root: What holds ``{name}/{version}/``.
        name: Only this dataset.
    """
    objects = LocalObjects(root) if isinstance(root, str | Path) else root
    listed = (info.path for info in objects.list(f"{name}/" if name else ""))
    folders = [path.removesuffix(f"/{FILE}") for path in listed if path.endswith(f"/{FILE}") and path.count("/") == 2]
    found = [read_manifest(folder, objects) for folder in folders]
    newest_first = sorted(found, key=lambda manifest: manifest.created_at, reverse=True)
    return tuple(sorted(newest_first, key=lambda manifest: manifest.name))


def _digest(manifest: Manifest) -> str:
    return codec.fingerprint(replace(manifest, digest=""))
