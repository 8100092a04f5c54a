"""A file of Access, read run after run: a new copy of it brings what is new, and everything is reconciled."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest
from incremental import Place, notes, read

from penstock import sources
from penstock.extract.database.access.source import AccessSource
from penstock.extract.port import Request
from penstock.model.receipts import State
from penstock.model.specs import ConnectionSpec, SourceSpec, WriteMode
from penstock.orchestrate.expanding import sources_of

MADE = Path(__file__).parents[1] / "extract" / "access_files"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ops.accdb"
    path.write_bytes(lzma.decompress((MADE / "new.accdb.xz").read_bytes()))
    return path


def test_a_table_is_read_by_its_cursor_and_counted(tmp_path: Path, file: Path) -> None:
    place = Place(tmp_path, f"access:///{file}")
    try:
        orders = sources.sql("ops", table="Orders", cursor="updated_at", key="OrderID", write="merge", name="orders")
        first = place.good(orders)
        assert read(first) == 3000
        assert [step.reconciled for step in first.steps if step.step.startswith("extract")] == ["reconciled"]
        assert place.rows('SELECT count(*), min("OrderID"), max(length("Customer E-mail")) FROM raw_orders') == [
            (3000, 1, len("p3000@example.org"))
        ]
        assert place.good(orders).state is State.UNCHANGED
        changed = place.good(sources.sql("ops", table="changed", write="replace"))
        assert (read(changed), notes(changed)) == (400, "")
    finally:
        place.close()


def test_all_tables_come_with_one_line(file: Path) -> None:
    connection = ConnectionSpec(name="ops", kind="access", url=f"access:///{file}")
    tables = AccessSource().tables(Request(source=SourceSpec(table="ops", kind="sql"), connection=connection))
    found = {each.table: each for each in sources_of(sources.database("ops", tables="*", exclude="t"), tables)}
    assert sorted(found) == ["Orders", "changed", "every_type", "nothing", "sums"]
    assert (found["Orders"].key, found["Orders"].write) == (("OrderID",), WriteMode.MERGE)
    assert (found["every_type"].options["table"], found["changed"].write) == ("every type", WriteMode.REPLACE)
