"""Kinds of values that mix: what comes as an object once and as a text later lands as JSON, and nothing is lost."""

import itertools
import json

import duckdb
import pytest

import penstock
from penstock.errors import PenstockError
from penstock.queries.mixing import mixture, remade

ANN = {"n": "Ann", "a": {"x": 1}}
MEETINGS = [
    ("STRUCT(a BIGINT)", "VARCHAR", "JSON"),
    ("STRUCT(a BIGINT)[]", "VARCHAR", "JSON"),
    ("STRUCT(a BIGINT)", "DOUBLE", "JSON"),
    ("STRUCT(a BIGINT)", "BIGINT[]", "JSON"),
    ("STRUCT(a BIGINT)", "MAP(VARCHAR, BIGINT)", "JSON"),
    ("STRUCT(a STRUCT(b BIGINT), c DATE)", "STRUCT(a VARCHAR)", 'STRUCT("a" JSON, "c" DATE)'),
    ("STRUCT(a JSON)", "STRUCT(a VARCHAR)", 'STRUCT("a" JSON)'),
    ("STRUCT(a BIGINT)[]", "VARCHAR[]", "JSON[]"),
    ("BIGINT", "VARCHAR", None),
    ("STRUCT(a BIGINT)", "STRUCT(a VARCHAR)", None),
    ("STRUCT(a BLOB)", "VARCHAR", None),
]


@pytest.mark.parametrize(("one", "other", "met"), MEETINGS)
def test_two_kinds_meet_the_same_whichever_comes_first(one, other, met):
    assert mixture(one, other) == met
    turned = mixture(other, one)
    assert (turned or "").replace('"c" DATE, ', "") == (met or "").replace('"c" DATE, ', "")


def test_an_object_keeps_its_type_where_one_without_keys_comes():
    assert mixture("STRUCT(a STRUCT(b BIGINT))", "STRUCT(a JSON, c DATE)", hopeful=True) == (
        'STRUCT("a" STRUCT("b" BIGINT), "c" DATE)'
    )
    assert mixture("STRUCT(a STRUCT(b BIGINT))", "STRUCT(a JSON)") == 'STRUCT("a" JSON)'


@pytest.mark.parametrize(
    ("type_", "wanted", "value", "expected"),
    [
        ("STRUCT(a VARCHAR, b STRUCT(c BIGINT))", "STRUCT(a VARCHAR, b JSON)", "{'a': 'x', 'b': {'c': 1}}", '{"c":1}'),
        ("STRUCT(b VARCHAR)", 'STRUCT("a" VARCHAR, "b" JSON)', "{'b': 'tell \"me\"'}", '"tell \\"me\\""'),
        ("STRUCT(b JSON)", 'STRUCT("a" VARCHAR, "b" JSON)', "{'b': '[1]'::JSON}", "[1]"),
        ("STRUCT(b BIGINT)", 'STRUCT("a" VARCHAR, "b" JSON)', "NULL", None),
    ],
)
def test_what_is_within_an_object_becomes_json(type_, wanted, value, expected):
    with duckdb.connect() as connection:
        made = remade("x", type_, wanted, "x")
        found = connection.execute(f"SELECT ({made}).b FROM (SELECT CAST({value} AS {type_}) AS x)").fetchall()
    assert found == [(expected,)]


def ingested(folder, loads, *, kind="files", **reading):
    """Bring loads in, one after the other; return the rows of the table by id, values of JSON read, and the notes."""
    target, notes = folder / "t.duckdb", []
    for number, records in enumerate(loads):
        data = records
        if kind == "files":
            data = str(folder / f"{number}.jsonl")
            (folder / f"{number}.jsonl").write_text("\n".join(map(json.dumps, records)))
        receipt = penstock.ingest(data, to=str(target), table="t", **{"write": "append", **reading})
        notes += [note for step in receipt.run.steps for note in step.notes]
    with duckdb.connect(str(target), read_only=True) as warehouse:
        cursor = warehouse.execute("SELECT * FROM t ORDER BY id")
        names = [each[0] for each in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return {row["id"]: {k: v for k, v in row.items() if k[0] != "_"} for row in rows}, notes


@pytest.mark.parametrize("kind", ["files", "python"])
@pytest.mark.parametrize("nested", ["columns", "tables", "json"])
def test_an_object_and_a_text_in_any_order_land_as_json(tmp_path, kind, nested):
    loads = [[{"id": 1, "c": ANN}], [{"id": 2, "c": "Bo"}, {"id": 3}], [{"id": 5, "c": "Cy"}]]
    orders = list(itertools.permutations(loads))
    # A number after texts alone stays refused; after an object it is JSON like all else.
    orders.append((loads[0], [{"id": 4, "c": 5}], *loads[1:]))
    for place, order in enumerate(orders if (kind, nested) == ("files", "columns") else orders[-3:-1]):
        folder = tmp_path / str(place)
        folder.mkdir()
        rows, notes = ingested(folder, order, kind=kind, nested=nested)
        found = {id_: None if row["c"] is None else json.loads(row["c"]) for id_, row in rows.items()}
        assert found.pop(4, 5) == 5
        assert found == {1: ANN, 2: "Bo", 3: None, 5: "Cy"}
        assert any("'c' is JSON now" in note for note in notes)


def test_a_merge_keeps_one_row_of_each_key_over_kinds(tmp_path):
    loads = [[{"id": 1, "c": ANN}, {"id": 2, "c": ANN}], [{"id": 2, "c": "Bo"}], [{"id": 1, "c": {"n": "Di"}}]]
    rows, _ = ingested(tmp_path, loads, write="merge", key=["id"])
    assert {id_: json.loads(row["c"]) for id_, row in rows.items()} == {1: {"n": "Di"}, 2: "Bo"}


@pytest.mark.parametrize("kind", ["files", "python"])
def test_within_an_object_only_what_differs_becomes_json(tmp_path, kind):
    loads = [[{"id": 1, "c": ANN}], [{"id": 2, "c": {"n": "Bo", "a": "text"}}], [{"id": 3, "c": {"a": "more"}}]]
    rows, _ = ingested(tmp_path, loads, kind=kind)
    assert {id_: row["c"]["n"] for id_, row in rows.items()} == {1: "Ann", 2: "Bo", 3: None}
    assert {id_: json.loads(row["c"]["a"]) for id_, row in rows.items()} == {1: {"x": 1}, 2: "text", 3: "more"}


@pytest.mark.parametrize("kind", ["files", "python"])
@pytest.mark.parametrize("nested", ["columns", "tables", "json"])
def test_an_object_without_keys_in_all_records_of_a_load_lands(tmp_path, kind, nested):
    later = [{"id": 2, "c": {"n": "Bo", "a": {}}}, {"id": 3, "c": {"n": "Cy", "a": {}, "new": 7}}]
    rows, notes = ingested(tmp_path, [[{"id": 1, "c": ANN}], later, [{"id": 4, "c": {}}]], kind=kind, nested=nested)
    if nested == "columns":
        assert [row["c"] and row["c"]["a"] for row in rows.values()][:3] == [{"x": 1}, {"x": None}, {"x": None}]
        assert [row["c"]["n"] for row in rows.values()] == ["Ann", "Bo", "Cy", None]
        assert rows[3]["c"]["new"] == 7
    elif nested == "tables":
        assert [row["c__a__x"] for row in rows.values()] == [1, None, None, None]
        assert [row["c__n"] for row in rows.values()] == ["Ann", "Bo", "Cy", None]
        assert rows[3]["c__new"] == 7
    else:
        assert [json.loads(row["c"])["n"] for row in rows.values()] == ["Ann", "Bo", "Cy", None]
    assert not any("'c' is JSON now" in note for note in notes)


def test_a_list_of_objects_without_keys_lands(tmp_path):
    loads = [[{"id": 1, "c": [{"x": 1}]}], [{"id": 2, "c": [{}]}]]
    rows, _ = ingested(tmp_path, loads)
    assert [row["c"] for row in rows.values()] == [[{"x": 1}], [{"x": None}]]


@pytest.mark.parametrize("contract", ["freeze", {"each": {"c": "freeze"}}])
def test_a_contract_that_freezes_refuses_another_kind(tmp_path, contract):
    with pytest.raises(PenstockError, match="the contract freezes its type"):
        ingested(tmp_path, [[{"id": 1, "c": ANN}], [{"id": 2, "c": "Bo"}]], contract=contract)


def test_a_contract_that_discards_sets_another_kind_aside(tmp_path):
    rows, _ = ingested(tmp_path, [[{"id": 1, "c": ANN}], [{"id": 2, "c": "Bo"}]], contract="discard")
    assert list(rows) == [1]


def test_python_objects_that_change_their_kind_within_one_load_land_as_json(tmp_path):
    rows, _ = ingested(tmp_path, [[*({"id": n, "c": n} for n in range(3000)), {"id": 3000, "c": "a"}]], kind="python")
    assert len(rows) == 3001
    assert (json.loads(rows[7]["c"]), json.loads(rows[3000]["c"])) == (7, "a")
