"""MariaDB's types, the whole way: server, raw zone, warehouse."""

from __future__ import annotations

import pytest
from mariadb_cases import CASES
from types_way import Arrived, Case, bring, declared, rows

from penstock.extract.database.mysql.source import MySqlSource
from penstock.extract.port import Request
from penstock.model.specs import ConnectionSpec, SourceSpec
from servers.mariadb import TRUSTED_PASSWORD, MariaServer


@pytest.fixture(scope="module")
def arrived(mariadb: MariaServer, tmp_path_factory: pytest.TempPathFactory) -> Arrived:
    """One table that holds every case."""
    mariadb.execute("DROP DATABASE IF EXISTS shop", "CREATE DATABASE shop")
    mariadb.execute(f"CREATE TABLE t ({declared(CASES)})", f"INSERT INTO t VALUES {', '.join(rows(CASES))}")
    secrets = {"password": TRUSTED_PASSWORD}
    connection = ConnectionSpec(name="ops", kind="mysql", url=mariadb.url(password=None), secrets=secrets)
    source = SourceSpec(table="t", kind="sql", connection="ops", options={"table": "t"})
    extraction = MySqlSource().open(Request(source=source, connection=connection))
    try:
        schema = extraction.schema
    finally:
        extraction.close()
    return bring(f"{mariadb.url()}?table=t", tmp_path_factory.mktemp("mariadb"), schema)


@pytest.mark.parametrize(("number", "case"), list(enumerate(CASES)), ids=[case.name for case in CASES])
def test_a_type_of_mariadb_arrives_as_it_is(arrived: Arrived, number: int, case: Case) -> None:
    arrived.check(number, case)


def test_what_is_kept_as_text_is_told(arrived: Arrived) -> None:
    told = {note.split()[0].removeprefix("t.") for note in arrived.notes}
    fallen = {f"c{number}" for number, case in enumerate(CASES) if case.lost.startswith(("the type: the", "arith"))}
    assert fallen
    assert fallen <= told
