"""Projects whose lakes lie in buckets: from sources to a release, with plain readers, and what goes wrong."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from deltalake import DeltaTable

from penstock.errors import PenstockError
from penstock.model.receipts import State
from penstock.project import Project
from servers import buckets
from servers.buckets import MadeBucket
from servers.postgres import PostgresServer

TOML = """
[project]
name = "goods"
pipelines = ["bucket_goods:goods"]
datasets = "{datasets}"
catalog = "sqlite:///data/catalog.db"
[environments.staging]
lake = "{staging}"
warehouse = "data/staging/warehouse.duckdb"
[environments.production]
lake = "{production}"
warehouse = "data/production/warehouse.duckdb"
[connections.ops]
url = "{ops}"
password = "password-of-tests"
"""

PIPELINE = """
from penstock import Pipeline, checks, sources, split_by, sql, training_set
goods = Pipeline(
    name="goods",
    sources=[
        sources.sql("ops", table="bucket_orders", cursor="id", key="id", write="merge"),
        sources.files({prices}, table="prices", key="product", write="merge"),
    ],
    checks={{"prices": [checks.between("price", 0, 100, severity="quarantine")]}},
    transforms=[sql("sold", table="sold", text=
        "SELECT o.id, o.product, o.pieces * p.price AS paid FROM bucket_orders o JOIN prices p USING (product)")],
    datasets=[training_set("sales", from_="sold", label="paid > 5", label_name="much",
                           split=split_by("product", train=0.5, test=0.5))],
    promote=["sold"],
)
"""


@pytest.fixture
def ops(postgres: PostgresServer) -> Iterator[str]:
    postgres.execute("CREATE TABLE bucket_orders (id bigint PRIMARY KEY, product text, pieces int)")
    postgres.execute("INSERT INTO bucket_orders VALUES (1, 'apple', 2), (2, 'bread', 3), (3, 'cheese', 1)")
    yield postgres.url()
    postgres.execute("DROP TABLE bucket_orders")


def project(folder: Path, ops: str, bucket: MadeBucket, connections: str, **places: str) -> Project:
    """Write a project; its prices lie in the bucket as well."""
    wanted = {"staging": f"{bucket.url}/lake/staging", "production": f"{bucket.url}/lake/production"}
    wanted |= {"datasets": f"{bucket.url}/sets"} | places
    folder.mkdir(exist_ok=True)
    asked = '"in/*.csv", connection="store"' if connections else f'"{bucket.url}/in/*.csv"'
    (folder / "penstock.toml").write_text(TOML.format(ops=ops, **wanted) + connections)
    (folder / "bucket_goods.py").write_text(textwrap.dedent(PIPELINE).format(prices=asked))
    return Project(folder)


def prices(bucket: MadeBucket, *lines: str) -> None:
    bucket.put(f"in/{len(bucket.paths('in'))}.csv", "\n".join(["product,price", *lines, ""]).encode())


def release(opened: Project) -> None:
    candidate = opened.diff("goods")
    opened.approve(candidate.id, "it is right")
    opened.promote(candidate.id)


def served(folder: Path) -> list[tuple[object, ...]]:
    with duckdb.connect(str(folder / "data/production/warehouse.duckdb"), read_only=True) as connection:
        return connection.execute("SELECT id, product, paid FROM sold ORDER BY id").fetchall()


@pytest.mark.parametrize("kind", ["s3", "gs", "az"])
def test_from_sources_to_training_sets(
    kind: str, request: pytest.FixtureRequest, postgres: PostgresServer, ops: str, tmp_path: Path
) -> None:
    bucket = buckets.made(kind, request.getfixturevalue(buckets.SERVERS[kind]))
    prices(bucket, "apple,1", "bread,2.5", "cheese,800")
    with project(tmp_path, ops, bucket, bucket.connection()) as opened:
        assert opened.run("goods").state is State.DONE
        before = bucket.paths()
        receipt = opened.run("goods")
        assert receipt.state is State.UNCHANGED
        assert bucket.paths() == before
        assert [(item.table, item.rows) for item in opened.quarantine.summaries("prices")] == [("raw_prices", 1)]
        opened.quarantine.replay("prices", sets=["price = 8"])
        opened.run("goods")
        release(opened)
        assert served(tmp_path) == [(1, "apple", 2.0), (2, "bread", 7.5), (3, "cheese", 8.0)]
        postgres.execute("INSERT INTO bucket_orders VALUES (4, 'apple', 9)")
        prices(bucket, "apple,3")
        opened.run("goods")
        release(opened)
        assert served(tmp_path) == [(1, "apple", 6.0), (2, "bread", 7.5), (3, "cheese", 8.0), (4, "apple", 27.0)]
        opened.rollback(reason="too dear")
        assert len(served(tmp_path)) == 3
        opened.rebuild()
        built = opened.build_dataset("sales")
        assert opened.verify_dataset("sales").failures == ()
        shard = next(path for path in bucket.paths("sets") if path.endswith(".parquet"))
        damaged = bytearray(bucket.get(shard))
        damaged[len(damaged) // 2] ^= 1
        bucket.put(shard, bytes(damaged))
        assert any("another SHA-256" in failure for failure in opened.verify_dataset("sales").failures)
        bucket.remove(shard)
        assert any("is missing" in failure for failure in opened.verify_dataset("sales").failures)
        assert built.rows == 3
        assert opened.vacuum("0s").removed
        assert opened.examine().orphans == ()
    table = DeltaTable(f"{bucket.url}/lake/production/sold", storage_options=dict(bucket.delta))
    assert sorted(row["paid"] for row in table.to_pyarrow_table().to_pylist()) == [2.0, 7.5, 8.0]
    for path in bucket.paths("lake"):
        data = bucket.get(path)
        assert not any(secret.encode() in data for secret in (*bucket.secrets.values(), "password-of-tests")), path


def test_credentials_of_the_environment_and_a_lake_on_the_disk(
    s3: str, ops: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = buckets.made("s3", s3)
    for name, value in {"ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "s", "REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
    prices(bucket, "apple,1", "bread,2.5", "cheese,8")
    mixed = {
        "production": {"production": "data/production/lake"},
        "staging": {"staging": "data/staging/lake", "datasets": "data/sets"},
    }
    for on_disk, places in mixed.items():
        folder = tmp_path / on_disk
        with project(folder, ops, bucket, "", **places) as opened:
            assert opened.run("goods").state is State.DONE
            release(opened)
            opened.build_dataset("sales")
            assert opened.examine().orphans == ()
        assert served(folder) == [(1, "apple", 2.0), (2, "bread", 7.5), (3, "cheese", 8.0)]
        assert (folder / f"data/{on_disk}/lake").is_dir()
        for path in [path for path in bucket.paths() if not path.startswith("in/")]:
            bucket.remove(path)


def test_a_bucket_that_is_not_there_is_one_sentence(s3: str, ops: str, tmp_path: Path) -> None:
    bucket = buckets.made("s3", s3)
    prices(bucket, "apple,1")
    connections = bucket.connection() + bucket.connection("other").replace(bucket.url, "s3://nowhere-at-all")
    with (
        project(tmp_path, ops, bucket, connections, staging="s3://nowhere-at-all/lake") as opened,
        pytest.raises(PenstockError, match="There is no bucket s3://nowhere-at-all, as far as these credentials see"),
    ):
        opened.run("goods")


def test_a_store_that_goes_away_loses_nothing(s3: str, ops: str, tmp_path: Path) -> None:
    bucket = buckets.made("s3", s3)
    prices(bucket, "apple,1", "bread,2.5", "cheese,8")
    with project(tmp_path, ops, bucket, bucket.connection()) as opened:
        opened.run("goods")
    prices(bucket, "apple,2")
    lost = bucket.connection().replace(s3, "http://127.0.0.1:9")
    with (
        project(tmp_path, ops, bucket, lost) as opened,
        pytest.raises(PenstockError, match=r"The store of s3://.* does not answer as it should") as told,
    ):
        opened.run("goods")
    assert "of-tests" not in str(told.value)
    with project(tmp_path, ops, bucket, bucket.connection()) as opened:
        assert opened.run("goods").state is State.DONE
        release(opened)
    assert served(tmp_path) == [(1, "apple", 4.0), (2, "bread", 7.5), (3, "cheese", 8.0)]
    assert json.loads(bucket.get("lake/production/releases/current")) == {"release": 1}
