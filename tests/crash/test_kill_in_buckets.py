"""The story with its lakes in buckets: told to its end on every store, and killed at writes on one of them."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from facts import examine, facts
from stored import copied, facts_of, moved
from telling import KILLED, NAMES, Nursery, Reference, copy, drawn

from servers import buckets
from servers.buckets import MadeBucket

SHORT = 1
"""Kills in each chapter, in the short form."""
CHAPTERS = ("backfill", "first_release", "bad_day", "small_files", "vacuum", "training_set", "other_parcels")


@pytest.mark.parametrize("kind", ["s3", pytest.param("gs", marks=pytest.mark.slow), "az"])
def test_the_story_ends_as_on_a_disk(
    kind: str, request: pytest.FixtureRequest, told: Reference, nursery: Nursery, tmp_path: Path
) -> None:
    bucket = buckets.made(kind, request.getfixturevalue(buckets.SERVERS[kind]))
    project = copy(told.states[0], tmp_path / "project")
    moved(project, bucket, "told")
    ended = nursery.tell(project, NAMES)
    assert ended.status == 0, ended.said
    assert facts_of(project, tmp_path / "mirror", bucket) == facts(told.states[-1])
    assert listed(project) == []
    assert not (project / "data/staging/lake").exists()
    # Another machine, which has no copies and lost the catalog, goes on from there.
    other = copied(project, tmp_path / "other", bucket, "other")
    shutil.rmtree(other / "data/catalog")
    again = nursery.tell(other, NAMES[-2:])
    assert again.status == 0, again.said
    assert facts_of(other, tmp_path / "mirror", bucket) == facts(told.states[-1])


@dataclass
class StoredReference:
    """The story told in a bucket without a kill; see ``Reference``."""

    bucket: MadeBucket
    states: list[Path]
    writes: list[list[str]]


@pytest.fixture(scope="module")
def stored(s3: str, told: Reference, nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> StoredReference:
    bucket = buckets.made("s3", s3)
    folder = tmp_path_factory.mktemp("stored")
    first = copy(told.states[0], folder / "state-0")
    moved(first, bucket, "state-0")
    states, writes = [first], []
    for number, name in enumerate(NAMES, 1):
        state = copied(states[-1], folder / f"state-{number}", bucket, f"state-{number}")
        counted = nursery.tell(state, [name], kill_at=0)
        assert counted.status == 0, counted.said
        states.append(state)
        writes.append([line for line in counted.said.splitlines() if line.startswith("write ")])
    return StoredReference(bucket, states, writes)


def test_the_hooks_see_the_writes_to_the_bucket(stored: StoredReference) -> None:
    kinds = Counter(name for chapter in stored.writes for name in chapter)
    for port in ("BucketObjects.create", "BucketObjects._upload", "DeltaLog.append", "BucketObjects.take"):
        assert kinds[f"write {port}"] > 3, f"the hooks do not see {port}: {kinds}"


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_some_writes_in_a_bucket(
    chapter: str, stored: StoredReference, told: Reference, nursery: Nursery, tmp_path: Path
) -> None:
    number = NAMES.index(chapter)
    for chance in drawn(SHORT, f"{chapter} in a bucket"):
        at = chance.randint(1, len(stored.writes[number]))
        killed_at(at, number, chance.random() < 0.5, stored, told, nursery, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_write_in_a_bucket(
    chapter: str, before: bool, stored: StoredReference, told: Reference, nursery: Nursery, tmp_path: Path
) -> None:
    number = NAMES.index(chapter)
    for at in range(1, len(stored.writes[number]) + 1):
        killed_at(at, number, before, stored, told, nursery, tmp_path)


def killed_at(
    at: int, number: int, before: bool, stored: StoredReference, told: Reference, nursery: Nursery, folder: Path
) -> None:
    """Kill a chapter at one write, then tell it again and compare with the story on a disk."""
    bucket = stored.bucket
    project = copied(stored.states[number], folder / "project", bucket, f"killed-{number}-{at}-{before}")
    ended = nursery.tell(project, [NAMES[number]], kill_at=at, before=before)
    where = f"{'before' if before else 'after'} write {at} of {NAMES[number]} ({stored.writes[number][at - 1]})"
    assert ended.status in (0, KILLED), f"{where}: {ended.said}"
    if at % 3 == 1:
        examine_all(project, clean=True)
    if at % 3 == 2:
        # The catalog is lost, and the copies with the machine.
        shutil.rmtree(project / "data/catalog", ignore_errors=True)
        shutil.rmtree(project / ".penstock", ignore_errors=True)
    again = nursery.tell(project, [NAMES[number]])
    assert again.status == 0, f"{where}: {again.said}"
    wanted, found = facts(told.states[number + 1]), facts_of(project, folder / "mirror", bucket)
    for place in wanted:
        assert found[place] == wanted[place], f"{where}: {place}"
    if left := listed(project):
        assert examine_all(project, clean=True) == left, where
        assert listed(project) == [], where
        assert facts_of(project, folder / "mirror", bucket) == wanted, f"{where}: cleaning took something away"
    for path in bucket.paths(f"killed-{number}-{at}-{before}"):
        bucket.remove(path)


def listed(project: Path) -> list[str]:
    return examine_all(project, clean=False)


def examine_all(project: Path, *, clean: bool) -> list[str]:
    return examine(project, clean=clean)
