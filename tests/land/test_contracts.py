"""Contracts: each word against each kind of change, mid-stream too; nothing is silent and nothing lost."""

import json
import os
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from landing_place import batch, types

from penstock.errors import DataError
from penstock.extract.port import Scan
from penstock.model.contracts import Contract, Discarded, OnChange, Retyped, SchemaChange
from penstock.model.entries import EntryKind
from penstock.model.specs import SourceSpec

FREEZE = Contract(columns=OnChange.FREEZE, types=OnChange.FREEZE)
DISCARD = Contract(columns=OnChange.DISCARD, types=OnChange.DISCARD)


def delta(place, name="t"):
    """The table as one who knows only Delta reads it, oldest load first."""
    table = DeltaTable(os.path.join(place.lake.objects.root, f"raw_{name}"))
    read = table.to_pyarrow_table().to_pylist()
    scanned = duckdb.sql(f"SELECT * FROM read_parquet({table.file_uris()}, union_by_name=true)").fetchall()
    assert len(read) == len(scanned)
    return sorted(read, key=lambda row: row["_load"])


def left_out(place, entry):
    uris = [place.table().uri(file.path) for file in entry.files]
    found = duckdb.sql(f"SELECT _discarded FROM read_parquet({uris}, union_by_name=true)").fetchall()
    return [None if text is None else json.loads(text) for (text,) in found]


@pytest.mark.parametrize("by", ["arrow", "scan"])
def test_freeze_refuses_new_columns_vanished_ones_and_values_and_names_them(place, by):
    def rows(**values):
        if by == "arrow":
            return batch(values, origin="shop.csv")
        listed = ", ".join(f"unnest({list(found)!r}) AS {name}" for name, found in values.items())
        return Scan(f"SELECT {listed}", origins=(("shop.csv", {}),))

    place.land([rows(a=[1, 2], b=["x", "y"])], contract=FREEZE)
    before, files = place.table().head(), place.files()
    with pytest.raises(DataError, match=r"raw_t gives new column 'c' \(.*shop\.csv") as caught:
        place.land([rows(a=[1], b=["x"], c=[True])], contract=FREEZE)
    assert "contract={'each': {'c': 'evolve'}}" in str(caught.value)
    with pytest.raises(DataError, match=r"raw_t no longer gives column 'b', and the contract freezes"):
        place.land([rows(a=[1])], contract=FREEZE)
    with pytest.raises(DataError, match=r"'a' of raw_t holds a value that is no (BIGINT|INTEGER).*row 3 of shop\.csv"):
        place.land([rows(a=[1.0, 2.0, 2.5], b=["x", "y", "z"])], contract=FREEZE)
    with pytest.raises(DataError, match=r"'b' of raw_t comes as (BIGINT|INTEGER), and the contract freezes its type"):
        place.land([rows(a=[1], b=[7])], contract=FREEZE)
    assert (place.table().head(), place.files()) == (before, files)
    entry = place.land([rows(a=[1.0], b=["z"])], contract=FREEZE).entry
    assert place.rows(entry) == [(1, "z")]
    assert entry.change == SchemaChange(contract=FREEZE)


def test_the_first_load_makes_the_table_whatever_the_contract(place):
    entry = place.land([batch({"a": [1]}), batch({"a": [2], "b": ["x"]})], contract=FREEZE).entry
    assert place.rows(entry) == [(1, None), (2, "x")]
    assert entry.change.partial == {"b": 1}
    assert any(
        "'b' is missing from a part of the load; null in 1 rows" in note
        for note in place.land([batch({"a": [1]}), batch({"a": [2], "b": ["x"]})], contract=FREEZE).notes
    )


@pytest.mark.parametrize("by", ["arrow", "scan"])
def test_discard_leaves_out_counts_and_keeps(place, by):
    place.land([batch({"a": [1], "b": [date(2020, 1, 1)]})], contract=DISCARD)
    second = {"a": [2.5, 3.0, None], "b": [None, None, None], 'no"te': ["x", None, "é\0"]}
    if by == "arrow":
        batches = [batch(second)]
    else:
        batches = [
            Scan(
                "SELECT unnest([2.5, 3.0, NULL]::DOUBLE[]) AS a, NULL::DATE AS b, "
                "unnest(['x', NULL, 'é' || chr(0)]) AS \"no\"\"te\""
            )
        ]
    receipt = place.land(batches, contract=DISCARD)
    entry = receipt.entry
    assert place.rows(entry, '"a", "b"') == [(None, None), (3, None), (None, None)]
    assert left_out(place, entry) == [
        {"columns": {'no"te': "x"}, "values": {"a": "2.5"}},
        None,
        {"columns": {'no"te': "é\0"}},
    ]
    assert entry.change.discarded == (
        Discarded(column='no"te', type="VARCHAR", values=2, whole=True),
        Discarded(column="a", type="DOUBLE", values=1),
    )
    assert any("leaves out the new column 'no\"te' with 2 values" in note for note in receipt.notes)
    assert any("1 values of column 'a' do not fit its type; their rows are set aside" in n for n in receipt.notes)
    assert [row["_discarded"] is None for row in delta(place)] == [True, False, True, False]
    third = place.land([batch({"a": ["12", "word"], "b": [True, None]})], contract=DISCARD).entry
    assert place.rows(third, '"a", "b"') == [(12, None), (None, None)]
    assert left_out(place, third) == [{"values": {"b": "true"}}, {"values": {"a": "word"}}]
    assert "_discarded" not in types(place.land([batch({"_discarded": [1]})], table="own").entry)


def test_discard_takes_the_first_type_of_a_stream_for_that_of_the_table(place):
    entry = place.land([batch({"a": [1]}), batch({"a": ["word"]}), batch({"a": [2]})], contract=DISCARD).entry
    assert place.rows(entry, "a") == [(1,), (None,), (2,)]
    assert entry.change.discarded == (Discarded(column="a", type="VARCHAR", values=1),)


def test_single_columns_have_their_own_word_or_type(place):
    contract = Contract(
        columns=OnChange.DISCARD,
        each={"Amount": "freeze", "zip": "VARCHAR", "note": "evolve", "price": "DECIMAL(12,2)"},
    )
    entry = place.land([batch({"amount": [1], "zip": [1234], "price": [1.25]})], contract=contract).entry
    assert types(entry) == {"amount": "BIGINT", "zip": "VARCHAR", "price": "DECIMAL(12,2)"}
    again = place.land(
        [batch({"amount": [2], "zip": ["01234"], "price": [2], "note": ["n"], "other": [1]})], contract=contract
    ).entry
    assert types(again) | {"_discarded": ""} == {
        "amount": "BIGINT",
        "zip": "VARCHAR",
        "price": "DECIMAL(12,2)",
        "note": "VARCHAR",
        "_discarded": "",
    }
    assert place.rows(again, "amount, zip, price, note") == [(2, "01234", Decimal("2.00"), "n")]
    with pytest.raises(DataError, match=r"'amount' of raw_t holds a value that is no BIGINT"):
        place.land([batch({"amount": [1.5], "zip": ["1"], "price": [1]})], contract=contract)
    with pytest.raises(DataError, match=r"'price' of raw_t holds a value that is no DECIMAL\(12,2\)"):
        place.land([batch({"amount": [1], "zip": ["1"], "price": [1.255]})], contract=contract)


WIDENINGS = [
    (pa.array([1, None], pa.int32()), pa.array([2**40]), "BIGINT", [1, None, 2**40]),
    (pa.array([1, 2]), pa.array([0.5]), "DOUBLE", [1.0, 2.0, 0.5]),
    (pa.array([1.5], pa.float32()), pa.array([0.1]), "DOUBLE", [1.5, 0.1]),
    (
        pa.array([Decimal("1.25")], pa.decimal128(5, 2)),
        pa.array([Decimal("12345.6789")], pa.decimal128(9, 4)),
        "DECIMAL(9,4)",
        [Decimal("1.2500"), Decimal("12345.6789")],
    ),
    (pa.array([date(2020, 1, 1)]), pa.array([1577836800000001], pa.timestamp("us")), "TIMESTAMP", None),
    (
        pa.array([{"a": 1}]),
        pa.array([{"a": 2, "b": "x"}]),
        'STRUCT("a" BIGINT, "b" VARCHAR)',
        [{"a": 1, "b": None}, {"a": 2, "b": "x"}],
    ),
    (pa.array([[1]]), pa.array([[0.5]]), "DOUBLE[]", [[1.0], [0.5]]),
    (pa.array([[], None], pa.list_(pa.null())), pa.array([["x"]]), "VARCHAR[]", [[], None, ["x"]]),
    (pa.nulls(2), pa.array([7]), "BIGINT", [None, None, 7]),
    (pa.nulls(1), pa.array(["x"]), "VARCHAR", [None, "x"]),
    (pa.array([2**63], pa.uint64()), pa.array([-1]), "HUGEINT", [str(2**63), "-1"]),
]


@pytest.mark.parametrize(("first", "second", "type_", "expected"), WIDENINGS, ids=lambda value: str(value)[:20])
def test_the_table_widens_and_every_reader_sees_it(place, first, second, type_, expected):
    one = place.land([batch({"k": pa.array(range(len(first))), "x": first})]).entry
    receipt = place.land([batch({"k": [9], "x": second})])
    entry = receipt.entry
    assert types(entry)["x"] == type_
    (retyped,) = entry.change.retyped
    assert (retyped.column, retyped.after) == ("x", type_)
    assert any("'x'" in note for note in receipt.notes)
    found = sorted(delta(place), key=lambda row: (row["_load"], row["k"]))
    assert [row["k"] for row in found] == [*range(len(first)), 9]
    if expected is not None:
        assert [row["x"] for row in found] == expected
    # A load that landed before is still read as it was, row by row.
    reading = place.table().reading(one.files)
    held = reading.uris or [piece.uri for piece in reading.moved]
    assert duckdb.sql(f"SELECT count(*) FROM read_parquet({list(held)})").fetchall() == [(len(first),)]
    assert place.table().columns() == entry.schema
    third = place.land([batch({"k": [10], "x": first.slice(0, 1)})]).entry
    assert third.schema == entry.schema
    assert third.change is None


def test_a_table_never_widens_into_a_type_that_would_change_a_value(place):
    place.land([batch({"x": [2**53 + 1]})])
    before = place.table().head(), place.files()
    with pytest.raises(DataError, match=r"'x' of raw_t would become DOUBLE, and it holds values.*'x': 'VARCHAR'"):
        place.land([batch({"x": [0.5]})])
    assert (place.table().head(), place.files()) == before
    text = Contract(each={"x": "VARCHAR"})
    entry = place.land([batch({"x": [0.5]})], contract=text).entry
    assert entry.change.retyped == (Retyped(column="x", before="BIGINT", after="VARCHAR"),)
    assert [row["x"] for row in delta(place)] == [str(2**53 + 1), "0.5"]
    back = Contract(each={"x": "BIGINT"})
    with pytest.raises(DataError, match="would become BIGINT"):
        place.land([batch({"x": [1]})], contract=back)


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (pa.array([2**53 + 1]), pa.array([float("nan")]), "would become DOUBLE, and it holds values"),
        (pa.array([Decimal("1.5")]), pa.array([float("nan")]), r"holds a value that is no DECIMAL\(2,1\)"),
        (pa.array([2**64 - 1], pa.uint64()), pa.array([0.5]), "would become DOUBLE, and it holds values"),
        (
            pa.array([2**62]),
            pa.array([Decimal("1." + "1" * 30)]),
            r"would become DECIMAL\(38,30\), and it holds values",
        ),
        (pa.array([0.25]), pa.array([Decimal("12345678901234567890.1")]), "holds a value that is no DOUBLE"),
        (pa.array([5]), pa.array(["word"]), "holds a value that is no BIGINT"),
        (pa.array([True]), pa.array([1]), "was BOOLEAN and now comes as BIGINT.*contract={'each': {'x': 'VARCHAR'}}"),
        (
            pa.array([date(2020, 1, 1)]),
            pa.array([1], pa.timestamp("us", "UTC")),
            "was DATE and now comes as TIMESTAMP W",
        ),
        (pa.array([{"a": b"1"}]), pa.array(["x"]), r"was STRUCT\(a BLOB\) and now comes as VARCHAR"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_no_type_holds_is_refused_by_a_sentence_and_nothing_is_touched(place, first, second, said):
    place.land([batch({"x": first})])
    before = place.table().head(), place.files(), delta(place)
    with pytest.raises(DataError, match=f"'x' of raw_t (changed its type: it )?{said}"):
        place.land([batch({"x": second})])
    assert (place.table().head(), place.files(), delta(place)) == before


def test_infinite_numbers_and_those_that_are_none_widen_a_column_of_whole_ones(place):
    place.land([batch({"x": [5, None]})])
    place.land([batch({"x": [float("nan"), float("inf"), 0.5]})])
    assert [str(row["x"]) for row in delta(place)] == ["5.0", "None", "nan", "inf", "0.5"]


def test_widening_writes_only_files_that_have_the_column_and_is_one_entry_of_its_own(place):
    place.land([batch({"a": [1]})])
    place.land([batch({"a": [2], "x": pa.array([1], pa.int32())})])
    entry = place.land([batch({"a": [3], "x": [2**40]})]).entry
    (retyping,) = [one for one in place.table().entries() if one.kind is EntryKind.COMPACTION]
    assert len(retyping.removed) == len(retyping.files) == 1
    assert retyping.number < entry.number
    assert {row["a"]: row["_load"] for row in delta(place)} == {1: 1, 2: 2, 3: entry.number}
    log = os.path.join(place.lake.objects.root, "raw_t", "_delta_log")
    actions = [
        json.loads(line)
        for name in sorted(os.listdir(log))
        if name.endswith(".json")
        for line in Path(log, name).read_text(encoding="utf-8").splitlines()
    ]
    assert {
        action["add"]["dataChange"] for action in actions if "retyped-" in action.get("add", {}).get("path", "")
    } == {False}
    assert {action["remove"]["dataChange"] for action in actions if "remove" in action} == {False}


def test_mid_stream_types_widen_the_table_too_and_the_order_does_not_matter(place):
    place.land([batch({"x": pa.array([1], pa.int32())})])
    place.land([batch({"x": pa.array([1], pa.int32())})], table="u")
    small, big, broken = pa.array([2], pa.int32()), pa.array([2**40]), pa.array([0.5])
    one = place.land([batch({"x": small}), Scan("SELECT 1099511627776 AS x"), batch({"x": broken})]).entry
    other = place.land([batch({"x": broken}), batch({"x": big}), batch({"x": small})], table="u").entry
    assert types(one) == types(other) == {"x": "DOUBLE"}
    assert sorted(row["x"] for row in delta(place)) == sorted(row["x"] for row in delta(place, "u"))


def test_another_case_is_the_same_column_and_is_told_once(place):
    place.land([batch({"Name": ["a"]})], contract=FREEZE)
    receipt = place.land([batch({"NAME": ["b"]}), batch({"NAME": ["c"]})], contract=FREEZE)
    assert receipt.entry.change.renamed == {"Name": "NAME"}
    assert sum("'Name' came as 'NAME'" in note for note in receipt.notes) == 1
    assert place.rows(receipt.entry) == [("b",), ("c",)]


def test_columns_are_matched_by_name_never_by_position(place):
    place.land([batch({"a": [1], "b": [2]})])
    assert place.rows(place.land([batch({"b": [20], "a": [10]})]).entry, "a, b") == [(10, 20)]


def test_a_personal_column_that_is_left_out_is_kept_as_protected_as_any(place):
    place.land([batch({"a": [1]})], contract=DISCARD)
    source = SourceSpec(table="t", kind="python", contract=DISCARD, personal={"mail": "mask"})
    entry = place.land([batch({"a": [2], "mail": ["ada@example.com"]})], source=source).entry
    assert "ada@example.com" not in json.dumps(left_out(place, entry))
    assert left_out(place, entry)[0]["columns"]["mail"]
    (kept,) = [column for column in entry.schema if column.name == "_discarded"]
    assert kept.personal == "mask"
    assert all("_discarded" not in file.statistics for file in entry.files)
    assert place.land([batch({"a": [3], "mail": ["alan@example.com"]})], source=source).entry.schema == entry.schema
