"""The story with its lakes and training sets in a bucket: projects there, and copies of them on the disk."""

from __future__ import annotations

import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import obstore
from facts import facts

from servers.buckets import MadeBucket

_ROOTS = {"staging": "data/staging/lake", "production": "data/production/lake", "datasets": "data/datasets"}
_AT = re.compile(r"^# state: (.*)$", re.MULTILINE)


def moved(folder: Path, bucket: MadeBucket, state: str) -> None:
    """Let a project that was told nothing yet keep its lakes and training sets in a bucket."""
    file = folder / "penstock.toml"
    text = file.read_text()
    for name, place in _ROOTS.items():
        text = text.replace(f'"{place}"', f'"{bucket.url}/{state}/{name}"')
    file.write_text(f"# state: {state}\n{text}\n{bucket.connection()}")


def copied(project: Path, target: Path, bucket: MadeBucket, state: str) -> Path:
    """Copy a project and what it has in the bucket; no copies of objects come along, as on another machine."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(project, target, ignore=shutil.ignore_patterns(".penstock", "__pycache__"))
    file = target / "penstock.toml"
    before = _state(target)
    file.write_text(file.read_text().replace(f"{bucket.url}/{before}/", f"{bucket.url}/{state}/"))
    file.write_text(_AT.sub(f"# state: {state}", file.read_text()))
    paths = bucket.paths(before)
    with ThreadPoolExecutor(4) as hands:
        list(hands.map(lambda path: bucket.put(path.replace(before, state, 1), bucket.get(path)), paths))
    return target


def facts_of(project: Path, target: Path, bucket: MadeBucket) -> dict[str, Any]:
    """Return the facts of a project, read from plain copies of its objects on the disk."""
    return facts(mirrored(project, target, bucket))


def mirrored(project: Path, target: Path, bucket: MadeBucket) -> Path:
    """Bring the objects of a project to where a project of this machine has its files."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(project, target, ignore=shutil.ignore_patterns(".penstock", "__pycache__"))
    state = _state(project)
    for page in obstore.list(bucket.client, prefix=state):
        for meta in page:
            root, _, path = meta["path"].removeprefix(f"{state}/").partition("/")
            file = target / _ROOTS[root] / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(bucket.get(meta["path"]))
    return target


def _state(project: Path) -> str:
    found = _AT.search((project / "penstock.toml").read_text())
    assert found is not None
    return found[1]
