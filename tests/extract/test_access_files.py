"""Files of Access, written by Jackcess (access_files/MakeAccess.java): every type is exact; damage is told in words."""

from __future__ import annotations

import lzma
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from draining import Read, read, sql_request

from penstock.errors import ConfigurationError, DataError, PenstockError
from penstock.extract.database.access.source import AccessSource
from penstock.extract.port import ArrowBatch
from penstock.model.interval import Interval

MADE = Path(__file__).parent / "access_files"
EDGES = 'é"\n,😀' * 3
TYPES = {
    "id": ("Long Integer", "int32", [1, 2, 3, 4, 5]),
    "yes": ("Yes/No", "bool", [True, False, False, True, True]),
    "b": ("Byte", "uint8", [255, 0, None, 1, 1]),
    "i": ("Integer", "int16", [-(2**15), 2**15 - 1, None, 1, 1]),
    "l": ("Long Integer", "int32", [-(2**31), 2**31 - 1, None, 1, 1]),
    "m": ("Currency", "decimal128(19, 4)",
          [Decimal("922337203685477.5807"), Decimal("-922337203685477.5808"), None, Decimal("-1.5"), Decimal(0)]),
    "f": ("Single", "float", [0.10000000149011612, -3.4028234663852886e38, None, 9.999999350456404e-39, -0.0]),
    "d": ("Double", "double", [1.7976931348623157e308, 0.1, None, 2.5e-308, 9007199254740992.0]),
    "at": ("Date/Time", "timestamp[us]",
           [datetime(9999, 12, 31, 23, 59, 59), datetime(100, 1, 1), None, datetime(1899, 12, 29, 18, 30, 15),  # noqa: DTZ001
            datetime(2013, 11, 3, 1, 30, 0, 500000)]),  # noqa: DTZ001
    "raw": ("Binary", "binary", [b'\0\xff\n"', b"", None, b"\x01", b"\x01"]),
    "t": ("Short Text(200)", "string", [EDGES, "", None, "0", "  "]),
    "squeezed": ("Short Text(200)", "string", [f"abc{EDGES}def Привет xyz", "", None, "plain", " b "]),
    "o": ("OLE Object", "binary", [b"\x07" * 100_000, b"", None, b"A", b"A"]),
    "memo": ("Long Text", "string", ["x" * 70_000 + EDGES, "", None, "y" * 3000, "a\r\nb\\n"]),
    "g": ("Replication ID", "extension<arrow.uuid>",
          [UUID("f81d4fae-7dec-11d0-a765-00a0c91e6bf6"), UUID(int=0), None,
           *(UUID("00112233-4455-6677-8899-aabbccddeeff"),) * 2]),
    "n": ("Decimal(28,10)", "decimal128(28, 10)",
          [Decimal("123456789012345678.0123456789"), Decimal("-1E-10"), None, Decimal("1.5"), Decimal(0)]),
    "n0": ("Decimal(18,0)", "decimal128(18, 0)", [Decimal(10**18 - 1), Decimal(-1), None, Decimal(7), Decimal(0)]),
}  # fmt: skip
NEWEST = {
    "big": ("Large Number", "int64", [2**63 - 1, -(2**63), None, -(2**63), -(2**63)]),
    "fine": ("Date/Time Extended", "timestamp[ns]", None),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files."""
    made = tmp_path_factory.mktemp("access")
    for packed in MADE.glob("*.xz"):
        (made / packed.stem).write_bytes(lzma.decompress(packed.read_bytes()))
    return made


def take(path: Path, table: str | None = "every type", **fields: Any) -> Read:
    fields.setdefault("options", {"table": table})
    return read(AccessSource(), sql_request("access", f"access:///{path}", **fields))


@pytest.mark.parametrize("name", ["old.mdb", "new.accdb"])
def test_every_type_is_read_exactly(folder: Path, name: str) -> None:
    extraction = AccessSource().open(
        sql_request("access", f"access:///{folder / name}", options={"table": "EVERY type"})
    )
    try:
        batches = [batch.data for batch in extraction.batches() if isinstance(batch, ArrowBatch)]
        assert extraction.notes() == ()
        assert extraction.schema.metadata is None
        spelt = {field.name: (field.metadata or {})[b"penstock.source_type"].decode() for field in extraction.schema}
    finally:
        extraction.close()
    found = pa.Table.from_batches(batches)
    wanted = TYPES | (NEWEST if name == "new.accdb" else {})
    assert found.column_names == list(wanted)
    for column, (source, arrow, values) in wanted.items():
        assert (column, str(found.schema.field(column).type)) == (column, arrow)
        assert spelt[column] == source
        if values is not None:
            assert (column, found.column(column).to_pylist()) == (column, values)
    assert str(found.column("f").to_pylist()[4]) == "-0.0"
    if name == "new.accdb":
        ticks = found.column("fine").cast(pa.int64()).to_pylist()
        assert [None if tick is None else tick % 10**9 for tick in ticks] == [
            123456700, 123456800, None, 123457000, 123457100,
        ]  # fmt: skip
        assert ticks[0] // 10**9 == int(datetime(2024, 2, 29, 12, 34, 56, tzinfo=UTC).timestamp())


def test_rows_that_are_gone_stay_away_and_rows_that_moved_are_found(folder: Path) -> None:
    for name in ("old.mdb", "new.accdb"):
        rows = take(folder / name, "changed").rows or []
        left = [number for number in range(500) if number % 5]
        assert sorted(row["id"] for row in rows) == left
        assert all(row["t"] == (f"long {row['id']} " * 20 if row["id"] % 7 == 0 else "short") for row in rows)
        assert take(folder / name, "nothing").rows == []


def test_a_query_joins_tables_of_the_file(folder: Path) -> None:
    query = 'SELECT o.OrderID AS id, m, g FROM orders o JOIN "every type" e ON e.id = o.OrderID WHERE yes ORDER BY 1;'
    found = take(folder / "new.accdb", options={"query": query})
    assert [row["id"] for row in found.rows or []] == [1, 4, 5]
    assert found.types == {"id": "int32", "m": "decimal128(19, 4)", "g": "extension<arrow.uuid>"}


def test_by_cursor_and_by_interval(folder: Path) -> None:
    first = take(folder / "old.mdb", "Orders", cursor="updated_at", batch_bytes=10_000)
    assert (len(first.rows or []), first.batches > 1) == (3000, True)
    assert first.position["cursor"] == "2024-01-03T02:00:00"
    again = take(folder / "old.mdb", "Orders", cursor="updated_at", position=first.position, lag=timedelta(minutes=9))
    assert sorted(row["OrderID"] for row in again.rows or []) == list(range(2991, 3001))
    hour = Interval(datetime(2024, 1, 2, 5, tzinfo=UTC), datetime(2024, 1, 2, 6, tzinfo=UTC))
    found = take(folder / "old.mdb", "Orders", interval="updated_at", span=hour)
    assert sorted(row["OrderID"] for row in found.rows or []) == list(range(1740, 1800))


def test_scope_tells_all_there_is_to_tell(folder: Path) -> None:
    request = sql_request("access", f"access:///{folder / 'new.accdb'}", options={})
    found = {table.name: table for table in AccessSource().describe(request)}
    assert sorted(found) == ["Orders", "changed", "every type", "far away", "nothing", "sums", "t"]
    orders = found["Orders"]
    assert (orders.rows, orders.key, orders.cursors) == (3000, ("OrderID",), ("updated_at", "OrderID"))
    assert (orders.bytes or 0) > 3000 * 20
    assert (orders.pattern, "updated_at" in orders.reason) == ("incremental", True)
    assert orders.columns["Customer E-mail"] == "Short Text(255)"
    assert orders.remarks == ("Customer E-mail looks personal: an e-mail address",)
    assert 'personal=["Customer E-mail"]' in orders.suggestion
    assert found["far away"].remarks == ("linked from elsewhere",)
    assert any("both (calculated) of sums is left out" in remark for remark in found["sums"].remarks)
    listed = {table.name: table for table in AccessSource().tables(request)}
    assert "far away" not in listed
    assert listed["Orders"].key == ("OrderID",)


def test_columns_that_access_computes_are_left_out_and_told(folder: Path) -> None:
    found = take(folder / "new.accdb", "sums")
    assert found.rows == [{"a": 1, "b": 2}]
    assert found.notes == ("both (calculated) of sums is left out: Access computes it, or its type is unknown",)


def test_what_cannot_be_read_is_a_sentence(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Did you mean 'Orders'"):
        take(folder / "old.mdb", "Order")
    with pytest.raises(ConfigurationError, match="only linked there"):
        take(folder / "old.mdb", "far away")
    with pytest.raises(ConfigurationError, match=r"Did you mean 'old.mdb'"):
        take(folder / "odl.mdb")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        take(folder / "old.mdb", options={"query": "SELECT nonsense FROM orders"})
    text = tmp_path / "text.mdb"
    text.write_text("id,name\n" * 2000)
    with pytest.raises(DataError, match="is no file of Access"):
        take(text)
    whole = (folder / "old.mdb").read_bytes()
    ancient = tmp_path / "ancient.mdb"
    ancient.write_bytes(whole[:20] + b"\0" + whole[21:])
    with pytest.raises(ConfigurationError, match="Access 97 or older"):
        take(ancient)
    locked = tmp_path / "locked.mdb"
    locked.write_bytes(whole[:0x3E] + bytes((whole[0x3E] ^ 0x5A,)) + whole[0x3F:])
    with pytest.raises(ConfigurationError, match="encrypted with a password"):
        take(locked)
    cut = tmp_path / "cut.mdb"
    cut.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(DataError, match="is damaged"):
        [take(cut, table) for table in ("every type", "Orders", "changed")]


def test_a_file_that_changes_while_it_is_read_ends_the_load(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "busy.mdb"
    path.write_bytes((folder / "old.mdb").read_bytes())
    extraction = AccessSource().open(sql_request("access", f"access:///{path}", options={"table": "Orders"}))
    try:
        batches = extraction.batches()
        next(batches)
        with path.open("ab") as file:
            file.write(bytes(4096))
        with pytest.raises(DataError, match="changed while it was read"):
            list(batches)
    finally:
        extraction.close()


def test_damage_anywhere_is_a_sentence_or_a_row_less_but_never_a_crash(folder: Path, tmp_path: Path) -> None:
    whole = (folder / "old.mdb").read_bytes()
    chance = random.Random(7)
    path = tmp_path / "damaged.mdb"
    failed = 0
    for _ in range(40):
        data = bytearray(whole)
        for _ in range(60):
            page = chance.choice((2, *range(24, len(whole) // 4096)))
            data[page * 4096 + chance.randrange(4096)] = chance.randrange(256)
        path.write_bytes(data)
        for table in ("every type", "Orders", "changed"):
            try:
                take(path, table)
            except PenstockError:
                failed += 1
    assert failed > 20
