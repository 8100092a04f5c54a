"""MariaDB's and MySQL's types, the whole way: server, raw zone, warehouse."""

from __future__ import annotations

import pytest
from mariadb_cases import MARIADB, MYSQL
from types_way import Arrived, Case, bring, declared, rows

from penstock.extract.database.mysql.source import MySqlSource
from penstock.extract.port import Request
from penstock.model.specs import ConnectionSpec, SourceSpec
from servers.mariadb import TRUSTED_PASSWORD, MariaServer

CASES = {"mariadb": MARIADB, "mysql": MYSQL}
EACH = [(server, number, case) for server, cases in CASES.items() for number, case in enumerate(cases)]


@pytest.fixture(scope="module", params=list(CASES))
def arrived(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Arrived:
    """One table that holds every case."""
    server: MariaServer = request.getfixturevalue(request.param)
    cases = CASES[request.param]
    server.execute("DROP DATABASE IF EXISTS shop", "CREATE DATABASE shop")
    server.execute(f"CREATE TABLE t ({declared(cases)})", f"INSERT INTO t VALUES {', '.join(rows(cases))}")
    secrets = {"password": TRUSTED_PASSWORD}
    connection = ConnectionSpec(name="ops", kind="mysql", url=server.url(password=None), secrets=secrets)
    source = SourceSpec(table="t", kind="sql", connection="ops", options={"table": "t"})
    extraction = MySqlSource().open(Request(source=source, connection=connection))
    try:
        schema = extraction.schema
    finally:
        extraction.close()
    return bring(f"{server.url()}?table=t", tmp_path_factory.mktemp(request.param), schema)


@pytest.mark.parametrize(
    ("arrived", "number", "case"), EACH, indirect=["arrived"], ids=[f"{server}-{case.name}" for server, _, case in EACH]
)
def test_a_type_arrives_as_it_is(arrived: Arrived, number: int, case: Case) -> None:
    arrived.check(number, case)


@pytest.mark.parametrize("arrived", ["mariadb"], indirect=True)
def test_what_is_kept_as_text_is_told(arrived: Arrived) -> None:
    told = {note.split()[0].removeprefix("t.") for note in arrived.notes}
    fallen = {f"c{number}" for number, case in enumerate(MARIADB) if case.lost.startswith(("the type: the", "arith"))}
    assert fallen
    assert fallen <= told
