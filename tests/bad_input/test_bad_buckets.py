"""Lakes in buckets that are not there, may not be entered, or lost something: one sentence each, without secrets."""

from __future__ import annotations

import shutil

import pytest
from spoiled import ORDERS, TOML, Shop

from servers import buckets
from servers.buckets import MadeBucket

WRONG = "d3JvbmcgYW5kIHNlY3JldA=="
COMMANDS = ["run", "plan", "status", "doctor", "diff", "dataset list", "vacuum --dry-run"]


def settle(shop: Shop, bucket: MadeBucket, connection: str, place: str = "") -> None:
    """Let the project keep its lakes in a bucket."""
    place = place or bucket.url
    shop.write(
        "penstock.toml",
        TOML.replace("[project]", f'[project]\ndatasets = "{place}/sets"')
        + f'[environments.staging]\nlake = "{place}/staging"\n[environments.production]\nlake = "{place}/production"\n'
        + connection,
    )


@pytest.fixture(params=["s3", "az"])
def bucket(request: pytest.FixtureRequest) -> MadeBucket:
    return buckets.made(request.param, request.getfixturevalue(buckets.SERVERS[request.param]))


@pytest.mark.parametrize("line", COMMANDS)
def test_a_bucket_that_is_not_there(shop: Shop, bucket: MadeBucket, line: str) -> None:
    place = bucket.url.partition("://")[0] + "://nowhere-at-all"
    settle(shop, bucket, bucket.connection().replace(bucket.url, place), place)
    shop.refused(shop.type(*line.split()), 2, f"There is no bucket {place}")
    assert not (shop.folder / "data/staging/lake").exists()


@pytest.mark.parametrize("line", COMMANDS)
def test_a_wrong_key(shop: Shop, azure: str, line: str) -> None:
    bucket = buckets.made("az", azure)
    settle(shop, bucket, bucket.connection().replace(bucket.secrets["account_key"], WRONG))
    said = shop.refused(shop.type(*line.split()), 2, bucket.url, "with these credentials", "secrets")
    assert WRONG not in said


@pytest.mark.parametrize("line", ["run", "status"])
def test_a_store_that_cannot_be_reached(shop: Shop, s3: str, line: str) -> None:
    bucket = buckets.made("s3", s3)
    settle(shop, bucket, bucket.connection().replace(s3, "http://127.0.0.1:9"))
    shop.refused(shop.type(*line.split()), 4, f"The store of {bucket.url}/", "does not answer")


def test_a_data_file_that_is_gone_or_cut(shop: Shop, bucket: MadeBucket) -> None:
    settle(shop, bucket, bucket.connection())
    assert shop.type("run").code == 0
    (newest,) = (path for path in bucket.paths("staging/revenue") if path.endswith(".parquet"))
    whole = bucket.get(newest)
    assert shop.type("diff").code == 0
    shutil.rmtree(shop.folder / ".penstock")
    bucket.remove(newest)
    assert shop.type("approve").code == 0
    shop.refused(shop.type("promote"), 6, "revenue", newest.rpartition("/")[2], "penstock run")
    bucket.put(newest, whole[:-100])
    said = shop.type("promote")
    shop.refused(said, said.code, "revenue")
    assert said.code in (3, 4)
    assert not (shop.folder / "data/production/warehouse.duckdb").exists()
    bucket.put(newest, whole)
    assert shop.type("promote").code == 0
    # The cut file was brought to production, where nothing names it.
    assert shop.type("doctor", "--clean").code == 0
    shop.whole()
    assert len([path for path in bucket.paths("production/revenue") if path.endswith(".parquet")]) == 1


def test_a_manifest_that_is_torn(shop: Shop, bucket: MadeBucket) -> None:
    settle(shop, bucket, bucket.connection())
    assert shop.type("run").code == 0
    manifest = max(path for path in bucket.paths("staging/raw_orders/_manifests"))
    whole = bucket.get(manifest)
    bucket.put(manifest, whole[: len(whole) // 2])
    shop.write("orders.csv", ORDERS + "4,PE,2026-01-04,1\n")
    said = shop.type("run")
    shop.refused(said, said.code, "raw_orders/_manifests")
    bucket.put(manifest, whole)
    assert shop.type("run").code == 0
    assert len(shop.rows("raw_orders")) == 4
    shop.whole()
