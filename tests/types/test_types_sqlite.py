"""SQLite's types, the whole way: file, raw zone, warehouse."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlite_cases import CASES, NOT_UTF8
from types_way import Arrived, Case, bring, declared, rows

from penstock.extract.database.sqlite.source import SqliteSource
from penstock.extract.port import Request
from penstock.model.specs import ConnectionSpec, SourceSpec


def make(folder: Path, cases: Sequence[Case]) -> Arrived:
    file = folder / "ops.db"
    connection = sqlite3.connect(file)
    connection.executescript(f"CREATE TABLE t ({declared(cases)}); INSERT INTO t VALUES {', '.join(rows(cases))};")
    connection.close()
    url = f"sqlite:///{file}"
    source = SourceSpec(table="t", kind="sql", connection="ops", options={"table": "t"})
    extraction = SqliteSource().open(
        Request(source=source, connection=ConnectionSpec(name="ops", kind="sqlite", url=url))
    )
    try:
        schema = extraction.schema
    finally:
        extraction.close()
    return bring(f"{url}?table=t", folder, schema)


@pytest.fixture(scope="module")
def arrived(tmp_path_factory: pytest.TempPathFactory) -> Arrived:
    """One table that holds every case."""
    return make(tmp_path_factory.mktemp("sqlite"), CASES)


@pytest.mark.parametrize(("number", "case"), list(enumerate(CASES)), ids=[case.name for case in CASES])
def test_a_type_of_sqlite_arrives_as_it_is(arrived: Arrived, number: int, case: Case) -> None:
    arrived.check(number, case)


def test_texts_that_are_no_utf8_keep_every_byte_and_are_told(tmp_path: Path) -> None:
    arrived = make(tmp_path, NOT_UTF8)
    arrived.check(0, NOT_UTF8[0])
    assert arrived.notes == ("t holds texts that are not UTF-8; they are read as Latin-1",)


def test_what_is_read_otherwise_than_declared_is_told(arrived: Arrived) -> None:
    told = {note.split()[0].removeprefix("t.") for note in arrived.notes}
    fallen = {
        f"c{number}" for number, case in enumerate(CASES) if case.type and case.lost.startswith("the storage class")
    }
    assert fallen
    assert fallen <= told
