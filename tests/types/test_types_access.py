"""Access's types, the whole way: file, raw zone, warehouse."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest
from access_cases import CASES
from types_way import Arrived, Case, bring

from penstock.extract.database.access.source import AccessSource
from penstock.extract.port import Request
from penstock.model.specs import ConnectionSpec, SourceSpec

MADE = Path(__file__).parents[1] / "extract" / "access_files"


def _arrived(name: str, folder: Path) -> Arrived:
    path = folder / name
    path.write_bytes(lzma.decompress((MADE / f"{name}.xz").read_bytes()))
    connection = ConnectionSpec(name="ops", kind="access", url=f"access:///{path}")
    source = SourceSpec(table="t", kind="sql", connection="ops", options={"table": "t"})
    extraction = AccessSource().open(Request(source=source, connection=connection))
    schema = extraction.schema
    extraction.close()
    return bring(f"access:///{path}?table=t", folder, schema)


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Arrived:
    """A file of Access 2019."""
    return _arrived("new.accdb", tmp_path_factory.mktemp("new"))


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Arrived:
    """A file of Access 2000."""
    return _arrived("old.mdb", tmp_path_factory.mktemp("old"))


@pytest.mark.parametrize(("number", "case"), list(enumerate(CASES)), ids=[case.name for case in CASES])
def test_a_type_of_access_arrives_as_it_is(new: Arrived, number: int, case: Case) -> None:
    new.check(number, case)


@pytest.mark.parametrize(("number", "case"), list(enumerate(CASES[:-2])), ids=[case.name for case in CASES[:-2]])
def test_a_type_of_an_old_file_arrives_as_it_is(old: Arrived, number: int, case: Case) -> None:
    old.check(number, case)
    assert not [note for note in old.notes if "c" in note.split()[0]]
