"""Landing: conflicts, failing sources, many rows, many threads; nothing is left of what failed."""

import gc
import os
import threading
from datetime import timedelta

import duckdb
import psutil
import pyarrow as pa
import pytest
from landing_place import AT, Batches, Place, batch

from penstock.errors import ConflictError, DataError, StaleWriterError, TransientError
from penstock.extract.port import Scan
from penstock.land.landing import Landing, LandPorts, land
from penstock.model.entries import Work
from penstock.model.specs import SourceSpec


def test_a_taken_number_is_renumbered_in_the_rows_too(place):
    place.land([batch({"a": [1]})])

    def meanwhile():
        yield batch({"a": [2, 3]})
        other = Place(place.lake.objects.root)
        other.land([batch({"a": [9]})])
        other.engine.close()

    entry = place.land(meanwhile).entry
    assert (entry.number, entry.previous) == (3, 2)
    uris = [place.table().uri(file.path) for file in entry.files]
    assert duckdb.sql(f"SELECT a, _load FROM read_parquet({uris}, hive_partitioning=false)").fetchall() == [
        (2, 3),
        (3, 3),
    ]
    assert len(place.files()) == 3


def test_after_four_conflicts_it_gives_up_and_leaves_no_file(place, monkeypatch):
    place.land([batch({"a": [1]})])
    tried = []

    def refuse(entry, partition_by=()):
        tried.append(entry.number)
        raise ConflictError("taken")

    monkeypatch.setattr(place.table(), "commit", refuse)
    with pytest.raises(ConflictError):
        place.land([batch({"a": [2]})])
    assert len(tried) == 4
    assert len(place.files()) == 1


def test_a_stale_writer_is_refused_and_leaves_no_file(place):
    place.land([batch({"a": [1]})], fence=5)
    with pytest.raises(StaleWriterError):
        place.land([batch({"a": [2]})], fence=4)
    assert len(place.files()) == 1
    assert place.extraction.committed == 0


@pytest.mark.parametrize(
    ("raised", "expected", "match"),
    [
        (TransientError("the server is down"), TransientError, "server is down"),
        (ValueError("boom"), DataError, "stopped after 2 rows: ValueError: boom"),
        (KeyboardInterrupt("stop"), KeyboardInterrupt, "stop"),
    ],
)
def test_a_source_that_fails_leaves_nothing(place, raised, expected, match):
    def failing():
        yield batch({"a": [1, 2]})
        raise raised

    with pytest.raises(expected, match=match):
        place.land(failing)
    assert (place.files(), place.table().head()) == ([], 0)
    assert (place.extraction.committed, place.extraction.closed) == (0, 1)


def test_a_source_that_cannot_be_told_is_a_note(place):
    class Deaf(Batches):
        def commit(self):
            raise TransientError("the broker is gone")

        def close(self):
            raise TransientError("still gone")

    receipt = place.land([], extraction=Deaf([batch({"a": [1]})]))
    assert receipt.entry.number == 1
    assert "The rows are safe, but the source could not be told so: the broker is gone" in receipt.notes


def test_memory_stays_flat_over_a_million_rows(place):
    text, ones = pa.array(["x" * 90] * 10_000), pa.array([1] * 10_000, pa.uint64())

    def many():
        for start in range(0, 1_000_000, 10_000):
            yield batch({"id": pa.arange(start, start + 10_000), "text": text, "u": ones})

    gc.collect()
    process = psutil.Process()
    before, most, over = process.memory_info().rss, [0], threading.Event()

    def watch():
        while not over.wait(0.01):
            most[0] = max(most[0], process.memory_info().rss - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        entry = place.land(many).entry
    finally:
        over.set()
        watcher.join()
    assert entry.rows == 1_000_000
    assert place.rows(entry, "min(id), max(id), count(DISTINCT id)") == [(0, 999_999, 1_000_000)]
    assert most[0] < 250 * 2**20


def test_files_roll_over_at_their_size(place, monkeypatch):
    monkeypatch.setattr("penstock.land.parts.LARGEST", 200_000)
    place.chunk_bytes = 500_000

    def many():
        for start in range(0, 400_000, 20_000):
            yield batch({"id": pa.arange(start, start + 20_000), "r": pa.array(os.urandom(8) for _ in range(20_000))})

    entry = place.land(many).entry
    assert len(entry.files) > 3
    assert [row[0] for row in place.rows(entry, "id")] == list(range(400_000))
    assert sum(file.rows for file in entry.files) == 400_000


def test_eight_tables_land_at_the_same_time(place):
    failed = []

    def work(name):
        try:
            for turn in range(3):
                data = {"a": list(range(1000)), "u": pa.array([turn] * 1000, pa.uint64())}
                place_batch = [batch(data), Scan("SELECT 5 AS a")]
                landing = Landing(
                    source=SourceSpec(table=name, kind="python"),
                    work=Work(),
                    run="run",
                    fence=1,
                    created_at=AT + timedelta(seconds=turn),
                )
                land(landing, LandPorts(place.lake, place.engine, Batches(place_batch), lambda *_: None))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(f"t{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    for number in range(8):
        table = place.table(f"t{number}")
        assert [entry.rows for entry in table.entries()] == [1001] * 3
        assert sum(file.rows for file in table.live()) == 3003
