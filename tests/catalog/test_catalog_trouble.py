"""Bad URLs, damaged files, later code, servers that are gone: each gets a sentence."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from penstock.catalog import sqlite as sqlite_catalog
from penstock.catalog.migrations import MIGRATIONS, Migration, migrate
from penstock.catalog.opening import open_catalog, set_aside, set_aside_if_damaged
from penstock.catalog.port import Catalog
from penstock.catalog.sqlite import SqliteCatalog, SqliteDatabase
from penstock.errors import BugError, ConfigurationError, DataError, TransientError
from penstock.model.entries import Entry, EntryKind

if TYPE_CHECKING:
    from servers.postgres import PostgresServer

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def load(number: int) -> Entry:
    return Entry(table="raw_t", number=number, previous=None, kind=EntryKind.LOAD, created_at=NOW)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://u:hunter2@h/d", "sqlite:///path"),
        ("sqllite:///x.db", "Did you mean 'sqlite'"),
        ("catalog.db", "sqlite:///path"),
        ("sqlite://x.db", "three slashes"),
        ("sqlite:///", "three slashes"),
        ("", "no known kind"),
    ],
)
def test_a_bad_url_gets_a_sentence(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        open_catalog(url)
    assert "hunter2" not in str(caught.value)


def test_a_later_catalog_is_refused(catalog_url: str) -> None:
    catalog = open_catalog(catalog_url)
    newest = MIGRATIONS[-1].number
    database = catalog._database  # type: ignore[attr-defined]
    migrate(database, (*MIGRATIONS, Migration(newest + 1, "more", ("CREATE TABLE more (x {blob})",))))
    migrate(database, (*MIGRATIONS, Migration(newest + 1, "more", ("CREATE TABLE more (x {blob})",))))
    catalog.close()
    with pytest.raises(
        ConfigurationError, match=f"older than the catalog.*number {newest + 1}.*up to {newest}.*Upgrade"
    ):
        open_catalog(catalog_url)


def test_a_migration_that_fails_leaves_nothing(catalog_url: str) -> None:
    catalog = open_catalog(catalog_url)
    database = catalog._database  # type: ignore[attr-defined]
    number = MIGRATIONS[-1].number + 1
    with pytest.raises(DataError):
        migrate(database, (*MIGRATIONS, Migration(number, "bad", ("CREATE TABLE half (x {blob})", "CREATE NONSENSE"))))
    migrate(database, (*MIGRATIONS, Migration(number, "good", ("CREATE TABLE half (x {blob})",))))
    catalog.close()


def filled(path: Path) -> Path:
    catalog = SqliteCatalog(path)
    catalog.index([load(number) for number in range(1, 2000)])
    catalog.close()
    return path


@pytest.mark.parametrize("keep", [10, 100, 4096, 50_000])
def test_a_truncated_file_is_named_with_the_remedy(tmp_path: Path, keep: int) -> None:
    path = filled(tmp_path / "catalog.db")
    os.truncate(path, keep)
    with pytest.raises(DataError, match=r"catalog\.db is damaged.*penstock doctor --rebuild-catalog"):
        use_all(path)


def test_a_file_that_is_no_catalog_is_named_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    path.write_text("Dear diary, today I was taken for a database.\n" * 100)
    with pytest.raises(DataError, match="penstock doctor --rebuild-catalog"):
        use_all(path)
    assert path.read_text().startswith("Dear diary")


def test_a_body_that_was_edited_is_named(tmp_path: Path) -> None:
    path = filled(tmp_path / "catalog.db")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE entries SET body = CAST('{\"table\": 1}' AS BLOB) WHERE number = 7")
    connection.close()
    with pytest.raises(DataError, match=r"entry in the catalog .*catalog\.db is not a valid entry"):
        use_all(path)


def use_all(path: Path) -> None:
    catalog = SqliteCatalog(path)
    try:
        catalog.entries("raw_t")
    finally:
        catalog.close()


def test_a_damaged_file_is_set_aside_with_its_log(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    url = f"sqlite:///{path}"
    assert set_aside(url, NOW) is None
    assert set_aside("postgresql://h/d", NOW) is None
    path.write_bytes(b"rubbish")
    (tmp_path / "catalog.db-wal").write_bytes(b"log")
    aside = set_aside(url, NOW)
    assert aside is not None
    assert aside.read_bytes() == b"rubbish"
    assert sorted(found.name for found in tmp_path.iterdir()) == [aside.name, aside.name + "-wal"]
    catalog = open_catalog(url)
    assert catalog.tables() == ()
    catalog.close()


@pytest.mark.parametrize("keep", [0, 100, 4096, 50_000, None])
def test_only_a_damaged_catalog_is_set_aside_for_a_rebuild(tmp_path: Path, keep: int | None) -> None:
    path = filled(tmp_path / "catalog.db")
    if keep is not None:
        os.truncate(path, keep)
    aside = set_aside_if_damaged(f"sqlite:///{path}", NOW)
    assert (aside is not None) == (keep not in (None, 0))
    catalog = SqliteCatalog(path)
    assert catalog.head("raw_t") == (1999 if keep is None else 0)
    catalog.close()
    assert set_aside_if_damaged("postgresql://h/d", NOW) is None
    assert set_aside_if_damaged(f"sqlite:///{tmp_path}/nowhere.db", NOW) is None


def test_a_folder_that_cannot_be_made_gets_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"folder .* cannot be made"):
        SqliteCatalog(tmp_path / "file" / "catalog.db")


def test_a_place_that_cannot_be_opened_gets_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "catalog.db").mkdir()
    with pytest.raises(ConfigurationError, match="cannot be opened for writing"):
        SqliteCatalog(tmp_path / "catalog.db")


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_read_only_file_gets_a_sentence(tmp_path: Path) -> None:
    path = filled(tmp_path / "catalog.db")
    path.chmod(stat.S_IRUSR)
    catalog = SqliteCatalog(path)
    with pytest.raises(ConfigurationError, match="cannot be opened for writing"):
        catalog.drop_run("any")
    catalog.close()


def test_a_file_held_too_long_is_transient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_catalog, "BUSY_SECONDS", 0.2)
    path = filled(tmp_path / "catalog.db")
    catalog = SqliteCatalog(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(TransientError, match="held by another process"):
        catalog.index([load(3000)])
    assert catalog.head("raw_t") == 1999
    other.execute("ROLLBACK")
    other.close()
    catalog.index([load(3000)])
    assert catalog.head("raw_t") == 3000
    catalog.close()


def test_a_failed_change_is_rolled_back(catalog: Catalog) -> None:
    database = catalog._database  # type: ignore[attr-defined]

    def change() -> None:
        with database.writing() as statements:
            statements.rows("INSERT INTO staging_tables VALUES ('half')")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change()
    assert catalog.tables() == ()
    catalog.index([load(1)])
    assert catalog.tables() == ("raw_t",)


def test_connections_of_ended_threads_are_closed(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "c.db")

    def ask() -> None:
        with database.reading() as statements:
            statements.rows("SELECT 1")

    for _ in range(20):
        thread = Thread(target=ask)
        thread.start()
        thread.join()
    ask()
    assert len(database._connections) == 1
    database.close()
    assert not database._connections


def test_a_killed_writer_leaves_whole_changes_only(tmp_path: Path) -> None:
    script = """
import sys
from datetime import UTC, datetime
from penstock.catalog.sqlite import SqliteCatalog
from penstock.model.entries import Entry, EntryKind
catalog = SqliteCatalog(sys.argv[1])
for first in range(1, 10**9, 10):
    catalog.index([Entry(table="raw_t", number=n, previous=None, kind=EntryKind.LOAD,
                         created_at=datetime(2026, 1, 1, tzinfo=UTC)) for n in range(first, first + 10)])
    print(first, flush=True)
"""
    path = tmp_path / "catalog.db"
    for _ in range(3):
        child = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        for _ in range(7):
            child.stdout.readline()
        child.kill()
        child.communicate()
        catalog = SqliteCatalog(path)
        assert catalog.head("raw_t") >= 70
        assert len(catalog.entries("raw_t")) % 10 == 0
        catalog.close()


@pytest.mark.postgres
def test_a_server_that_is_gone_is_transient(postgres: PostgresServer) -> None:
    with pytest.raises(TransientError, match=r"postgresql://127\.0\.0\.1:1/x cannot be reached") as caught:
        open_catalog("postgresql://u:hunter2@127.0.0.1:1/x")
    assert "hunter2" not in str(caught.value)


@pytest.mark.postgres
def test_a_refused_user_or_database_is_a_matter_of_configuration(postgres: PostgresServer) -> None:
    for url in (postgres.url("guarded", "wrong"), postgres.url(database="nowhere"), postgres.url("guarded")):
        with pytest.raises(ConfigurationError, match="The server refuses the catalog") as caught:
            open_catalog(url)
        assert "wrong" not in str(caught.value)


@pytest.mark.postgres
def test_a_broken_connection_is_made_anew(postgres: PostgresServer) -> None:
    catalog = open_catalog(f"{postgres.url()}?schema=broken")
    catalog.index([load(1)])
    postgres.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'penstock catalog'"
    )
    with pytest.raises(TransientError):
        catalog.head("raw_t")
    assert catalog.head("raw_t") == 1
    catalog.close()


def test_a_closed_catalog_opens_again_when_asked(tmp_path: Path) -> None:
    catalog = SqliteCatalog(tmp_path / "c.db")
    catalog.close()
    catalog.close()
    assert catalog.tables() == ()
    catalog.close()


def test_missing_tables_are_not_taken_for_a_bug(tmp_path: Path) -> None:
    path = filled(tmp_path / "catalog.db")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TABLE entries")
    connection.close()
    with pytest.raises(DataError, match="rebuild-catalog"):
        use_all(path)
    assert not issubclass(DataError, BugError)
