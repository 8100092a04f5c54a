"""Disks, folders and files of the project itself that fail: told in a sentence, and mended without a trace."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from spoiled import ORDERS, Said, Shop

from penstock.stores.warehouse import DuckDBWarehouse

MANY = "order_id,country,amount\n" + "".join(f"{n},{n * 7919 % 104729:x},{n}.5\n" for n in range(150_000))


# A full disk --------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(shop: Shop) -> Iterator[Path]:
    """The folder ``data`` on a disk of its own, of 3 MiB."""
    data = shop.folder / "data"
    data.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", data], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"no disk of its own can be mounted here: {made.stderr.strip()}")
    try:
        yield data
    finally:
        subprocess.run(["umount", data], check=True)


@pytest.mark.parametrize("room", [40_000, 900_000, 1_900_000], ids=["landing", "warehouse", "version"])
def test_a_full_disk(shop: Shop, small_disk: Path, room: int) -> None:
    shop.write("orders.csv", MANY)
    shop.declare(transforms='sql("revenue", text="SELECT * FROM orders")')
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * (3 * 2**20 - room))
    said = shop.refused(shop.type("run"), 4, "disk")
    assert str(small_disk) in said or "data/" in said or "raw_orders" in said or "revenue" in said
    filler.unlink()
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    shop.whole()
    assert shop.type("run").code == 0
    assert len(shop.rows("revenue")) == 150_000
    shop.whole()


_LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
from penstock.cli.main import main
main(sys.argv[2:])
"""


@pytest.mark.parametrize("size", [150_000, 900_000])
def test_a_file_that_may_not_grow(shop: Shop, size: int) -> None:
    """The portable way to a write that fails half-way: the system refuses files beyond a size."""
    shop.write("orders.csv", MANY)
    shop.declare(transforms='sql("revenue", text="SELECT * FROM orders")')
    assert shop.type("status").code == 0
    ended = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(size), "run"], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in ended.stderr
    assert ended.stderr.startswith("Error: ")
    assert ended.returncode in (2, 4), ended.stderr
    shop.kept.append(("refusal", f"{ended.returncode}: {ended.stderr.strip()}"))
    shop.whole()
    assert shop.type("run").code == 0
    assert len(shop.rows("revenue")) == 150_000
    shop.whole()


# Folders that may not be written ------------------------------------------------------------------------------------


def bound(*arguments: str) -> list[str]:
    """Return a command that permissions bind, which root's own do not."""
    if os.getuid() != 0:
        return [sys.executable, "-m", "penstock", *arguments]
    if shutil.which("setpriv") is None:
        pytest.skip("permissions do not bind root, and setpriv is not there to change that")
    dropped = "-dac_override,-dac_read_search,-fowner"
    return ["setpriv", "--bounding-set", dropped, sys.executable, "-m", "penstock", *arguments]


def typed_bound(shop: Shop, *arguments: str) -> Said:
    """Type a command in a process that permissions bind."""
    ended = subprocess.run(bound(*arguments), capture_output=True, text=True, check=False, cwd=shop.folder)
    return Said(ended.returncode, ended.stdout, ended.stderr)


READ_ONLY = {
    "project": (".", (".penstock",)),
    "table": ("data/staging/lake/raw_orders", ("data/staging/lake/raw_orders",)),
    "manifests": ("data/staging/lake/raw_orders/_manifests", ("data/staging/lake/raw_orders",)),
    "log": ("data/staging/lake/raw_orders/_delta_log", ("raw_orders",)),
    "warehouse": ("data/staging", ("data/staging/warehouse.duckdb",)),
}


@pytest.mark.parametrize("given", READ_ONLY)
def test_a_read_only_folder(shop: Shop, given: str) -> None:
    place, words = READ_ONLY[given]
    if given != "project":
        assert shop.type("run").code == 0
    (shop.folder / "data/staging/warehouse.duckdb.lock").unlink(missing_ok=True)
    shop.write("orders.csv", ORDERS + "4,PE,2026-01-04,1\n")
    before = shop.tree()
    folder = shop.folder / place
    folder.chmod(0o555)
    try:
        said = typed_bound(shop, "run")
    finally:
        folder.chmod(0o755)
    sentence = shop.refused(said, 2, *words)
    assert "ermission denied" in sentence or "read-only" in sentence
    if given != "warehouse":
        shop.unchanged(before)
    shop.whole()
    assert typed_bound(shop, "run").code == 0
    assert shop.rows("revenue") == [("NZ", 20.0), ("PE", 16.5)]
    shop.whole()


def test_a_source_that_may_not_be_read(shop: Shop) -> None:
    (shop.folder / "orders.csv").chmod(0o200)
    shop.refused(typed_bound(shop, "run"), 2, "orders.csv may not be read")
    shop.whole()


def test_production_that_may_not_be_written(shop: Shop) -> None:
    assert shop.type("run").code == 0
    assert shop.type("diff").code == 0
    production = shop.folder / "data/production"
    production.mkdir(exist_ok=True)
    production.chmod(0o555)
    try:
        # An approval counts, though what it approves cannot be brought there yet.
        assert typed_bound(shop, "approve").code == 0
        before = shop.tree()
        said = typed_bound(shop, "promote")
    finally:
        production.chmod(0o755)
    shop.refused(said, 2, "data/production")
    shop.unchanged(before)
    assert typed_bound(shop, "promote").code == 0
    shop.whole()


# Files that somebody holds or spoilt --------------------------------------------------------------------------------

_HOLD = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); c.execute('BEGIN'); print('held', flush=True); input()"


def test_a_warehouse_that_another_process_holds(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shop.type("run").code == 0
    shop.write("orders.csv", ORDERS + "4,PE,2026-01-04,1\n")
    monkeypatch.setattr(DuckDBWarehouse.__init__, "__defaults__", (None, 0.3))
    warehouse = shop.folder / "data/staging/warehouse.duckdb"
    digest = shop.tree()["data/staging/warehouse.duckdb"]
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(warehouse)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        shop.refused(shop.type("run"), 4, "warehouse.duckdb", "is held by", str(holder.pid), "Let it end")
        assert shop.type("status").code == 0
    finally:
        holder.communicate("\n")
    assert shop.tree()["data/staging/warehouse.duckdb"] == digest
    shop.whole()
    assert shop.type("run").code == 0
    assert shop.rows("revenue") == [("NZ", 20.0), ("PE", 16.5)]
    shop.whole()


def _no_warehouse(shop: Shop) -> None:
    shop.write("data/staging/warehouse.duckdb", b"no database" * 9000)


def _no_catalog(shop: Shop) -> None:
    for part in (shop.folder / ".penstock").iterdir():
        part.unlink()
    shop.write(".penstock/catalog.db", b"no database" * 9000)


def _later_catalog(shop: Shop) -> None:
    catalog = sqlite3.connect(shop.folder / ".penstock/catalog.db")
    catalog.execute("INSERT INTO schema_version VALUES (999, 'later', 0)")
    catalog.commit()
    catalog.close()


def _torn_manifest(shop: Shop) -> None:
    path = max((shop.folder / "data/staging/lake/raw_orders/_manifests").iterdir())
    path.write_bytes(path.read_bytes()[:40])
    for part in (shop.folder / ".penstock").iterdir():
        part.unlink()


def _no_log(shop: Shop) -> None:
    for path in (shop.folder / "data/staging/lake/raw_orders/_delta_log").iterdir():
        path.write_bytes(b"{")


SPOILT = {
    "warehouse": (_no_warehouse, 3, ("warehouse.duckdb", "not a DuckDB file")),
    "catalog": (_no_catalog, 3, ("catalog.db", "penstock doctor --rebuild-catalog")),
    "later catalog": (_later_catalog, 2, ("catalog", "999")),
    "manifest": (_torn_manifest, 3, ("raw_orders/_manifests/",)),
    "log of a table": (_no_log, 3, ("raw_orders",)),
}


@pytest.mark.parametrize("given", SPOILT)
def test_a_spoilt_file_of_the_project(shop: Shop, given: str) -> None:
    spoil, code, words = SPOILT[given]
    assert shop.type("run").code == 0
    spoil(shop)
    shop.write("orders.csv", ORDERS + "4,PE,2026-01-04,1\n")
    before = shop.tree()
    shop.refused(shop.type("run"), code, *words)
    after = shop.tree()
    assert {name: after.get(name) for name in before} == before


def test_a_file_of_the_lake_that_is_gone(shop: Shop) -> None:
    """A warehouse that must be built anew needs every load."""
    shop.declare(sources='sources.files("orders*.csv", table="orders")')
    assert shop.type("run").code == 0
    gone = next((shop.folder / "data/staging/lake/raw_orders").rglob("*.parquet"))
    kept = gone.read_bytes()
    gone.unlink()
    (shop.folder / "data/staging/warehouse.duckdb").unlink()
    shop.write("orders2.csv", ORDERS)
    sentence = shop.refused(shop.type("run"), 3, "raw_orders", gone.parent.name, "Put it back")
    assert "is gone" in sentence
    gone.write_bytes(kept)
    assert shop.type("run").code == 0
    assert shop.rows("revenue") == [("NZ", 40.0), ("PE", 31.0)]
    shop.whole()


RELEASES = {
    "current": ("data/production/lake/releases/current", b"seven"),
    "release": ("data/production/lake/releases/1.json", b'{"number": 1'),
    "served": ("data/production/warehouse.duckdb", b"no database" * 9000),
}


@pytest.mark.parametrize("given", RELEASES)
@pytest.mark.parametrize("line", ["status", "rollback --reason r --to 1", "promote", "doctor", "dataset build"])
def test_a_spoilt_release(shop: Shop, given: str, line: str) -> None:
    """Whatever is asked is answered, or refused in a sentence; what is damaged is not made worse."""
    path, content = RELEASES[given]
    assert shop.type("run").code == 0
    for word in ("diff", "approve", "promote"):
        assert shop.type(word).code == 0
    assert (shop.folder / path).exists()
    shop.write(path, content)
    said = shop.type(*line.split())
    assert "Traceback" not in said.out + said.err
    assert said.code in (0, 2, 3, 5, 6), said.err
    if said.code:
        shop.refused(said, said.code)


def test_readers_of_production_see_whole_releases_only(shop: Shop) -> None:
    """A promotion that fails leaves what is served as it was."""
    assert shop.type("run").code == 0
    for word in ("diff", "approve", "promote"):
        assert shop.type(word).code == 0
    shop.write("orders.csv", ORDERS + "4,PE,2026-01-04,1\n")
    assert shop.type("run").code == 0
    assert shop.type("diff").code == 0
    newest = max((shop.folder / "data/staging/lake/revenue").glob("*.parquet"), key=os.path.getmtime)
    newest.unlink()
    assert shop.type("approve").code == 0
    production = {name: digest for name, digest in shop.tree().items() if name.startswith("data/production/")}
    shop.refused(shop.type("promote"), 6, "revenue", newest.name, "penstock run")
    after = {name: digest for name, digest in shop.tree().items() if name.startswith("data/production/")}
    assert after == production
    with duckdb.connect(shop.folder / "data/production/warehouse.duckdb", read_only=True) as served:
        assert served.execute("SELECT count(*) FROM revenue").fetchone() == (2,)


def test_a_data_file_that_is_cut_after_its_candidate_was_staged(shop: Shop) -> None:
    """Both lakes hold one file by two names, and a promotion does not read again what the approval has staged."""
    assert shop.type("run").code == 0
    for word in ("diff", "approve"):
        assert shop.type(word).code == 0
    (newest,) = (shop.folder / "data/staging/lake/revenue").glob("*.parquet")
    os.truncate(newest, newest.stat().st_size - 100)
    shop.refused(shop.type("promote"), 3, "revenue", newest.name, "penstock run")
    assert not (shop.folder / "data/production/warehouse.duckdb").exists()
