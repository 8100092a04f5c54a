"""Users of a database who may do just what is needed: read one table, or write rows of a catalog that others made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from incremental import Place

from penstock import sources
from penstock.catalog.opening import open_catalog
from penstock.errors import ConfigurationError
from penstock.model.receipts import State
from servers.postgres import PostgresServer

pytestmark = pytest.mark.postgres

READER, WRITER = "reads_one_table", "writes_rows_only"


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[PostgresServer]:
    postgres.execute(
        f"CREATE ROLE {READER} LOGIN; CREATE ROLE {WRITER} LOGIN; CREATE SCHEMA rights;"
        "CREATE TABLE rights.seen (id int PRIMARY KEY, at timestamptz, secret text);"
        "INSERT INTO rights.seen VALUES (1, '2024-01-01', 'x'), (2, '2024-01-02', 'y');"
        "CREATE TABLE rights.unseen (id int);"
        f"GRANT USAGE ON SCHEMA rights TO {READER};"
        f"GRANT SELECT ON rights.seen TO {READER}"
    )
    yield postgres
    postgres.execute(
        f"DROP SCHEMA rights CASCADE; DROP SCHEMA IF EXISTS catalogued CASCADE; DROP OWNED BY {READER}, {WRITER};"
        f"DROP ROLE {READER}; DROP ROLE {WRITER}"
    )


@pytest.mark.parametrize(
    "reading",
    [
        {"write": "replace", "reconcile": "hashes"},
        {"write": "merge", "key": "id", "cursor": "at"},
        {"write": "append", "cursor": "at", "horizon": True},
    ],
    ids=str,
)
def test_who_may_read_one_table_reads_it(tmp_path: Path, database: PostgresServer, reading: dict[str, Any]) -> None:
    place = Place(tmp_path, database.url(READER))
    for _ in range(2):
        run = place.run(sources.sql("ops", table="rights.seen", name="t", **reading))
        assert run.state in (State.DONE, State.UNCHANGED), run.error
        assert place.column("SELECT id FROM raw_t ORDER BY id") == [1, 2]
    refused = place.run(sources.sql("ops", table="rights.unseen", name="u", write="replace"))
    assert refused.state is State.FAILED
    assert "permission denied" in refused.error
    place.close()


def test_a_catalog_that_others_made_needs_no_right_to_make_tables(tmp_path: Path, database: PostgresServer) -> None:
    ours = f"{database.url(WRITER)}?schema=catalogued"
    with pytest.raises(ConfigurationError, match="permission denied"):
        open_catalog(ours)
    open_catalog(f"{database.url()}?schema=catalogued").close()
    database.execute(
        f"GRANT USAGE ON SCHEMA catalogued TO {WRITER};"
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA catalogued TO {WRITER}"
    )
    place = Place(tmp_path)
    place.workspace.catalog.close()
    place.workspace.catalog = open_catalog(ours)
    source = sources.python([{"id": 1}], table="t", write="replace")
    assert place.good(source).state is State.DONE
    assert place.good(source).state is State.UNCHANGED
    assert place.column("SELECT id FROM raw_t") == [1]
    place.close()
    with psycopg.connect(database.url(WRITER)) as writer, pytest.raises(psycopg.errors.InsufficientPrivilege):
        writer.execute("CREATE TABLE catalogued.more (n int)")
