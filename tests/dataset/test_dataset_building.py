from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from penstock.dataset.manifest import list_manifests, read_manifest
from penstock.errors import ConfigurationError, DataError, NotFoundError
from penstock.model.specs import DatasetSpec, FeatureSpec, SplitSpec
from penstock.stores.engine import LocalEngine

WEATHER = FeatureSpec(table="weather", on=("origin",), event_time="time_hour", available_after=timedelta(hours=1))
DELAY = DatasetSpec(
    name="delay",
    table="departures",
    label="dep_delay > 15",
    label_name="late",
    event_time="at",
    features=(WEATHER,),
    split=SplitSpec(by=("tailnum",), shares={"train": 0.8, "test": 0.2}),
    rows_per_shard=500,
)


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.parquet"))}


def test_a_training_set_is_what_it_says(flights: Any) -> None:
    receipt = flights.build(DELAY, release=4, run="r1")
    manifest = read_manifest(flights.folder(receipt))
    rows = flights.rows(receipt)
    assert receipt.built
    assert (receipt.rows, receipt.unlabelled, len(rows)) == (2925, 75, 2925)
    assert sum(receipt.splits.values()) == 2925
    assert (manifest.release, manifest.run, manifest.versions) == (4, "r1", {"departures": 1, "weather": 1})
    assert list(rows[0])[:-1] == [column.name for column in manifest.schema]
    assert manifest.named("column") == ("flight_id", "tailnum", "origin")
    assert manifest.named("feature") == ("weather_temp", "weather_wind")
    assert (manifest.named("label"), manifest.named("known_at")) == (("late",), ("weather_known_at",))
    for row in rows:
        assert row["late"] == (row["flight_id"] * 7919 % 60 - 20 > 15)
        assert row["flight_id"] % 40 != 7
        if row["origin"] == "LGA":
            assert row["weather_temp"] is None
            assert row["weather_known_at"] is None
        else:
            hour = row["at"].replace(minute=0, second=0) - timedelta(hours=1)
            expected = (hour - datetime(2012, 12, 31, tzinfo=UTC)) // timedelta(hours=1)
            assert row["weather_temp"] == expected * 3 + 3
            assert row["weather_known_at"] == hour + timedelta(hours=1)


def test_shards_are_bounded_numbered_and_counted(flights: Any) -> None:
    receipt = flights.build(DELAY)
    folder = flights.folder(receipt)
    manifest = read_manifest(folder)
    train = receipt.splits["train"]
    count = -(-train // 500)
    names = [shard.path for shard in manifest.shards if shard.split == "train"]
    assert names == [f"train-{number:05d}-of-{count:05d}.parquet" for number in range(count)]
    for shard in manifest.shards:
        assert shard.sha256 == hashlib.sha256((folder / shard.path).read_bytes()).hexdigest()
        assert shard.bytes == (folder / shard.path).stat().st_size
        assert shard.rows == pq.read_metadata(folder / shard.path).num_rows
        assert 0 < shard.rows <= 500
        assert pq.read_metadata(folder / shard.path).row_group(0).column(0).compression == "ZSTD"
    assert {name: figures.rows for name, figures in manifest.splits.items()} == receipt.splits
    assert sum(manifest.splits["train"].labels.values()) == train
    assert manifest.splits["train"].mean == pytest.approx(manifest.splits["train"].labels["true"] / train)


def test_samples_are_shuffled_within_their_split(flights: Any) -> None:
    train = [row["flight_id"] for row in flights.rows(flights.build(DELAY)) if row["_split"] == "train"]
    assert train != sorted(train)
    rising = sum(left < right for left, right in pairwise(train))
    assert 0.4 < rising / len(train) < 0.6


def test_equal_inputs_give_equal_bytes_whatever_threads_and_order(flights: Any, tmp_path: Path) -> None:
    expected = digests(flights.folder(flights.build(DELAY)))
    for threads in (1, 2, 4):
        other = type(flights)(tmp_path / f"other-{threads}", LocalEngine(memory=128 * 2**20, threads=threads))
        other.root.mkdir()
        for table in ("departures", "weather"):
            order = "random()" if threads > 1 else "all"
            other.table(table, f"select * from {flights.relations[table]} order by {order}")
        receipt = other.build(replace(DELAY, rows_per_shard=500), created_at=datetime(2030, 1, 1, tzinfo=UTC), run="x")
        assert digests(other.folder(receipt)) == expected
        other.engine.close()


def test_the_second_time_nothing_is_written(flights: Any) -> None:
    first = flights.build(DELAY)
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in (flights.root / "datasets").rglob("*")}
    again = flights.build(DELAY, created_at=datetime(2031, 1, 1, tzinfo=UTC), release=9)
    assert (again.built, again.version, again.rows, again.splits) == (False, first.version, first.rows, first.splits)
    assert before == {
        path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in (flights.root / "datasets").rglob("*")
    }


def test_the_version_follows_the_meaning_and_the_pinned_versions(flights: Any) -> None:
    plain = flights.build(DELAY).version
    assert flights.build(replace(DELAY, label="dep_delay  >  15 -- late")).version == plain
    others = {
        flights.build(replace(DELAY, label="dep_delay > 16")).version,
        flights.build(replace(DELAY, rows_per_shard=501)).version,
        flights.build(replace(DELAY, features=())).version,
        flights.build(replace(DELAY, columns=("origin",))).version,
        flights.build(DELAY, versions={"departures": 1, "weather": 2}).version,
    }
    assert len({plain, *others}) == 6
    assert len(list_manifests(flights.root / "datasets", "delay")) == 6
    assert flights.build(DELAY, versions={"departures": 1, "weather": 1, "planes": 7}).version == plain


def test_what_an_interrupted_building_left_is_replaced(flights: Any) -> None:
    receipt = flights.build(DELAY)
    folder = flights.folder(receipt)
    expected = digests(folder)
    (folder / "manifest.json").unlink()
    (folder / "train-00000-of-00099.parquet").write_bytes(b"half a file")
    next(folder.glob("test-*")).write_bytes(b"")
    assert list_manifests(flights.root / "datasets") == ()
    with pytest.raises(NotFoundError, match=r"manifest\.json is missing"):
        read_manifest(folder)
    assert flights.build(DELAY).built
    assert digests(folder) == expected


def test_a_damaged_version_is_not_called_up_to_date(flights: Any) -> None:
    folder = flights.folder(flights.build(DELAY))
    next(folder.glob("train-00001-*")).unlink()
    with pytest.raises(DataError, match=r"is damaged: see train-00001-of"):
        flights.build(DELAY)


def test_without_a_choice_the_columns_of_the_label_stay_out(flights: Any) -> None:
    receipt = flights.build(DELAY)
    assert "dep_delay" not in flights.rows(receipt)[0]
    assert receipt.notes == ("dep_delay left out: the label is computed from it",)
    chosen = flights.build(replace(DELAY, columns=("ORIGIN", "dep_delay")))
    assert set(flights.rows(chosen)[0]) >= {"origin", "dep_delay", "at", "late"}
    assert chosen.notes == ("The label is computed from dep_delay, which is also a column of the training set",)


def test_without_a_split_all_is_train(flights: Any) -> None:
    receipt = flights.build(replace(DELAY, split=None))
    assert receipt.splits == {"train": 2925}
    assert "_group" not in flights.rows(receipt)[0]


def test_labels_of_numbers_and_texts_are_counted(flights: Any) -> None:
    manifest = read_manifest(flights.folder(flights.build(replace(DELAY, label="dep_delay", split=None))))
    assert manifest.splits["train"].labels == {}
    rows = [i * 7919 % 60 - 20 for i in range(3000) if i % 40 != 7]
    assert manifest.splits["train"].mean == pytest.approx(sum(rows) / len(rows))
    manifest = read_manifest(flights.folder(flights.build(replace(DELAY, label="origin", label_name="y", split=None))))
    assert (manifest.splits["train"].labels, manifest.splits["train"].mean) == (
        {"EWR": 1000, "JFK": 1000, "LGA": 1000},
        None,
    )


def test_rows_that_can_never_be_joined_are_counted(flights: Any) -> None:
    flights.table(
        "weather",
        """select unnest(['EWR', null, 'EWR']) as origin, 1 as temp,
                  unnest([timestamp '2013-01-01', timestamp '2013-01-01', null]) as time_hour""",
    )
    receipt = flights.build(DELAY)
    assert read_manifest(flights.folder(receipt)).unusable == {"weather": 2}
    assert "2 rows of weather can never be joined: a key or a time is null" in receipt.notes


def test_identical_samples_are_all_kept(flights: Any) -> None:
    flights.table(
        "departures",
        """select 'N1' as tailnum, 'EWR' as origin, timestamp '2013-01-05 03:00' as "at", 20 as dep_delay
           from range(1234)""",
    )
    receipt = flights.build(DELAY)
    assert (receipt.rows, sorted(receipt.splits.values())) == (1234, [0, 1234])
    assert any("has no samples" in note for note in receipt.notes)


def test_several_features_of_one_table_and_wide_types_hold(flights: Any) -> None:
    flights.table(
        "planes",
        f"""select origin, "at" as seen, sum(flight_id)::bigint as total,
                   uuid '11111111-1111-1111-1111-111111111111' as id, [1.5, null] as list, interval 1 day as i
            from {flights.relations["departures"]} group by all""",
    )
    features = (
        WEATHER,
        replace(WEATHER, prefix="old_", available_after=timedelta(days=2)),
        FeatureSpec(table="planes", on=("origin",), event_time="seen"),
    )
    # a 128-bit integer reaches a training set only by way of what restores the types of the lake
    wide = f"(select *, total::hugeint * 100000000000000000000 as big from {flights.relations['planes']})"
    relations = {**flights.relations, "planes": wide}
    receipt = flights.build(replace(DELAY, features=features, columns=("flight_id",)), relations=relations)
    row = next(row for row in flights.rows(receipt) if row["flight_id"] == 603)
    assert row["planes_big"] == "60300000000000000000000"
    assert row["planes_list"] == [1.5, None]
    assert row["old_temp"] == row["weather_temp"] - 47 * 3
    types = {column.name: (column.type, column.stored) for column in read_manifest(flights.folder(receipt)).schema}
    assert types["planes_big"] == ("HUGEINT", "VARCHAR")
    assert types["planes_id"] == ("UUID", None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"label": "dep_dely > 15"}, "Did you mean 'dep_delay'"),
        ({"label": "avg(dep_delay)"}, "an aggregate"),
        ({"label": "dep_delay > random()"}, "chance"),
        ({"label": "dep_delay > 15; drop table x"}, "exactly one query"),
        ({"label": "dep_delay >"}, "cannot be read as SQL"),
        ({"label": "dep_delay || 3 > [1]"}, "cannot be built"),
        ({"label": "origin::integer"}, "Could not convert"),
        ({"event_time": "when"}, "no column 'when'"),
        ({"event_time": "origin"}, "cannot be used as a time"),
        ({"event_time": None}, "need the moment of each sample"),
        ({"columns": ("orign",)}, "Did you mean 'origin'"),
        ({"label_name": "Origin"}, "two columns of the same name"),
        ({"features": (replace(WEATHER, prefix=""), replace(WEATHER, prefix=""))}, "two columns of the same name"),
        ({"table": "departure"}, "Did you mean 'departures'"),
        ({"rows_per_shard": 0}, "at least 1"),
        ({"name": "../delay"}, "cannot be used as a table name"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused(flights: Any, change: dict[str, Any], said: str) -> None:
    with pytest.raises((ConfigurationError, DataError)) as caught:
        flights.build(replace(DELAY, **change))
    assert said in str(caught.value)
    assert not list((flights.root / "datasets").rglob("*.parquet"))


def test_the_manifest_is_plain_json(flights: Any) -> None:
    receipt = flights.build(DELAY)
    found = json.loads((flights.folder(receipt) / "manifest.json").read_text())
    assert found["name"] == "delay"
    assert found["rows"] == 2925
    assert {shard["split"] for shard in found["shards"]} == {"train", "test"}
