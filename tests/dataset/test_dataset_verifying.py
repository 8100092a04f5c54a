from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from penstock.dataset.manifest import Manifest, read_manifest, seal
from penstock.dataset.shards import digest
from penstock.dataset.verifying import verify
from penstock.errors import DataError, NotFoundError
from penstock.model import codec
from penstock.model.specs import DatasetSpec, FeatureSpec, SplitSpec

WEATHER = FeatureSpec(table="weather", on=("origin",), event_time="time_hour", available_after=timedelta(hours=1))
DELAY = DatasetSpec(
    name="delay",
    table="departures",
    label="dep_delay > 15",
    event_time="at",
    features=(WEATHER,),
    split=SplitSpec(by=("tailnum",), shares={"train": 0.8, "test": 0.2}),
    rows_per_shard=500,
)


@pytest.fixture
def folder(flights: Any) -> Path:
    found: Path = flights.folder(flights.build(DELAY))
    return found


def failures(flights: Any, folder: Path) -> tuple[str, ...]:
    receipt = verify(folder, flights.engine)
    assert not receipt.sound
    with pytest.raises(DataError, match=r"Training set delay .* is not sound"):
        receipt.require()
    return receipt.failures


def first(folder: Path) -> Path:
    return min(folder.glob("train-*.parquet"))


def forge(folder: Path, shard: Path, query: str, **changes: Any) -> None:
    """Write a shard anew, and a manifest that believes it: as a bug of ours would."""
    other = shard.with_suffix(".new")
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute(f"copy ({query.format(shard=shard)}) to '{other}' (format parquet)")
        rows = connection.execute(f"select count(*) from read_parquet('{other}')").fetchall()[0][0]
    other.rename(shard)
    manifest = read_manifest(folder)
    shards = tuple(
        replace(item, sha256=digest(shard), bytes=shard.stat().st_size, rows=rows) if item.path == shard.name else item
        for item in manifest.shards
    )
    believe(folder, replace(manifest, shards=shards, **changes))


def believe(folder: Path, manifest: Manifest) -> None:
    (folder / "manifest.json").write_bytes(codec.encode(seal(manifest)))


def test_a_sound_training_set_passes(flights: Any, folder: Path) -> None:
    receipt = verify(folder, flights.engine)
    assert receipt.sound
    assert (receipt.rows, receipt.shards) == (2925, len(list(folder.glob("*.parquet"))))
    assert len(receipt.passed) == 4
    receipt.require()


def test_one_flipped_bit_anywhere_is_found(flights: Any, folder: Path) -> None:
    shard = first(folder)
    whole = shard.read_bytes()
    for place in (0, 4, len(whole) // 2, len(whole) - 9, len(whole) - 1):
        torn = bytearray(whole)
        torn[place] ^= 1
        shard.write_bytes(torn)
        assert failures(flights, folder) == (f"{shard.name} has another SHA-256 than when it was written",)
    shard.write_bytes(whole)
    assert verify(folder, flights.engine).sound


def test_a_cut_dropped_renamed_or_added_shard_is_found(flights: Any, folder: Path) -> None:
    shard = first(folder)
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    assert failures(flights, folder) == (f"{shard.name} has {len(whole) - 1} bytes instead of {len(whole)}",)
    shard.write_bytes(whole)
    moved = shard.rename(folder / "train-00099-of-00100.parquet")
    assert failures(flights, folder) == (f"{moved.name} is not in the manifest", f"{shard.name} is missing")
    moved.unlink()
    assert failures(flights, folder) == (f"{shard.name} is missing",)
    shard.mkdir()
    assert any(shard.name in failure for failure in failures(flights, folder))


def test_swapped_shards_are_found(flights: Any, folder: Path) -> None:
    one, two = sorted(folder.glob("train-*.parquet"))[:2]
    content = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(content)
    found = failures(flights, folder)
    assert len(found) == 2
    assert one.name in found[0]
    assert two.name in found[1]


def test_a_changed_or_torn_manifest_is_refused(flights: Any, folder: Path) -> None:
    path = folder / "manifest.json"
    whole = path.read_text()
    path.write_text(whole.replace('"rows":2925', '"rows":2926'))
    with pytest.raises(DataError, match="was changed after it was written"):
        verify(folder, flights.engine)
    path.write_text(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="is not a valid manifest"):
        verify(folder, flights.engine)
    path.unlink()
    with pytest.raises(NotFoundError):
        verify(folder, flights.engine)


def test_counts_must_add_up(flights: Any, folder: Path) -> None:
    manifest = read_manifest(folder)
    train = manifest.splits["train"]
    believe(folder, replace(manifest, splits={**manifest.splits, "train": replace(train, rows=train.rows + 1)}))
    assert failures(flights, folder) == (f"split train has {train.rows} samples in its shards, not {train.rows + 1}",)
    believe(folder, replace(manifest, rows=1))
    assert failures(flights, folder) == ("the shards hold 2925 samples, not 1",)


def test_a_group_in_two_splits_is_found(flights: Any, folder: Path) -> None:
    stolen = min(folder.glob("test-*.parquet"))
    moved = f"select * from '{stolen}' where _group is not null order by flight_id limit 1"
    forge(folder, first(folder), f"from (select * from '{{shard}}' limit 499) union all from ({moved})")
    found = failures(flights, folder)
    assert "1 groups (tailnum) are in more than one split" in found
    assert any("in another split than the hash" in failure for failure in found)


def test_a_feature_from_the_future_is_found(flights: Any, folder: Path) -> None:
    known = 'case when n < 3 then "at" + interval 1 microsecond else weather_known_at end as weather_known_at'
    numbered = "(select *, row_number() over () as n from '{shard}')"
    forge(folder, first(folder), f"select * exclude (n) replace ({known}) from {numbered}")
    assert failures(flights, folder) == (
        "2 samples have features that were known only after their moment: weather_known_at > at",
    )


def test_a_missing_label_is_found(flights: Any, folder: Path) -> None:
    forge(
        folder,
        first(folder),
        "select * replace (case when flight_id % 3 = 0 then null else label end as label) from '{shard}'",
    )
    assert "samples have no label" in failures(flights, folder)[0]


def test_a_missing_column_is_found(flights: Any, folder: Path) -> None:
    forge(folder, first(folder), "select * exclude (origin) from '{shard}'")
    assert failures(flights, folder)[0] == f"{first(folder).name} has other columns than the manifest"


def test_every_byte_of_the_manifest_is_covered(flights: Any, folder: Path) -> None:
    path = folder / "manifest.json"
    found = json.loads(path.read_text())
    for field in ("seed", "unlabelled", "release", "created_at", "version"):
        changed = {
            **found,
            field: "2026-11-21T00:00:01+00:00" if field == "created_at" else "00" if field == "version" else 99,
        }
        path.write_text(json.dumps(changed))
        with pytest.raises(DataError, match="was changed"):
            read_manifest(folder)
