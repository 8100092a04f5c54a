"""PostgreSQL's types, the whole way: server, raw zone, warehouse."""

from __future__ import annotations

import pytest
from postgres_cases import BEFORE, CASES
from types_way import Arrived, bring, declared, rows

from penstock.extract.database.postgres.source import PostgresSource
from penstock.extract.port import Request
from penstock.model.specs import ConnectionSpec, SourceSpec
from servers.postgres import PostgresServer

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def arrived(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Arrived:
    """One table that holds every case."""
    postgres.execute("DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public")
    postgres.execute(f"{BEFORE}; CREATE TABLE t ({declared(CASES)})")
    postgres.execute(f"INSERT INTO t VALUES {', '.join(rows(CASES))}")
    connection = ConnectionSpec(name="ops", kind="postgres", url=postgres.url())
    source = SourceSpec(table="t", kind="sql", connection="ops", options={"table": "t"})
    extraction = PostgresSource().open(Request(source=source, connection=connection))
    try:
        schema = extraction.schema
    finally:
        extraction.close()
    return bring(f"{postgres.url()}?table=t", tmp_path_factory.mktemp("postgres"), schema)


@pytest.mark.parametrize(("number", "case"), list(enumerate(CASES)), ids=[case.name for case in CASES])
def test_a_type_of_postgres_arrives_as_it_is(arrived: Arrived, number: int, case) -> None:
    arrived.check(number, case)


def test_what_is_kept_as_text_is_told(arrived: Arrived) -> None:
    told = {note.split()[0] for note in arrived.notes}
    fallen = {f"c{number}" for number, case in enumerate(CASES) if case.lost.startswith(("the type", "the list:"))}
    assert fallen
    assert fallen <= told
