"""Lines that are no rows: kept whole with file, line and reason, none dropped, none padded."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from draining import Read, read

from penstock.errors import DataError
from penstock.extract.files.source import FilesSource
from penstock.extract.port import Request
from penstock.model.specs import SourceSpec, WriteMode
from penstock.project import Project

HEADER = "id,name,day\n"
BODY = "".join(f"{number},n{number},2020-01-{number:02d}\n" for number in range(1, 21))


@pytest.fixture
def take(tmp_path: Path) -> Callable[..., Read]:
    def run(content: str | bytes, name: str = "t.csv", **options: Any) -> Read:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        source = SourceSpec(table="t", kind="files", options={"path": name, **options}, write=WriteMode.APPEND)
        return read(FilesSource(), Request(source=source, root=str(tmp_path), position=None))

    return run


def told(misfit: Mapping[str, Any]) -> tuple[int, list[str], str]:
    return json.loads(misfit["_origin_detail"])["line"], misfit["_reasons"], misfit["_line"]


@pytest.mark.parametrize(
    ("line", "reason", "fields"),
    [
        ("99,x", "too_few_fields", 2),
        ("99", "too_few_fields", 1),
        ("99,x,2020-01-01,more", "too_many_fields", 4),
        ("99,x,2020-01-01,more,and more", "too_many_fields", 5),
        ('99,"x"y,2020-01-01', "stray_quote", None),
    ],
)
def test_a_row_that_does_not_fit_is_kept_whole(
    take: Callable[..., Read], line: str, reason: str, fields: int | None
) -> None:
    found = take(HEADER + BODY + line + "\n" + BODY)
    assert found.rows is not None
    assert len(found.rows) == 40
    assert found.types == {"id": "BIGINT", "name": "VARCHAR", "day": "DATE"}
    assert [told(misfit) for misfit in found.misfits] == [(22, [reason], line)]
    detail = json.loads(found.misfits[0]["_origin_detail"])
    assert detail.get("found") == fields
    assert found.misfits[0]["_origin"] == "t.csv"


def test_lines_are_counted_over_values_that_hold_line_breaks(take: Callable[..., Read]) -> None:
    found = take(HEADER + '1,"a\nb\nc",2020-01-01\n' + BODY + "9,9\n" + '2,"d\n\ne",2020-01-01\n' + "8\n")
    assert [told(misfit) for misfit in found.misfits] == [
        (25, ["too_few_fields"], "9,9"),
        (29, ["too_few_fields"], "8"),
    ]


def test_what_stands_around_the_table_is_kept_too(take: Callable[..., Read]) -> None:
    found = take("Report of the office\nMade 2020-05-05\n\n" + HEADER + BODY + "\nSource: the office\n")
    assert found.rows is not None
    assert len(found.rows) == 20
    assert [told(misfit) for misfit in found.misfits] == [
        (1, ["above_table"], "Report of the office"),
        (2, ["above_table"], "Made 2020-05-05"),
        (26, ["too_few_fields"], "Source: the office"),
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252", "utf-32"])
def test_a_misfit_keeps_its_line_in_every_encoding(take: Callable[..., Read], codec: str, end: str) -> None:
    text = (HEADER + "1,größe €,2020-01-01\n" + BODY + "9,Mühe\n" + BODY).replace("\n", end)
    found = take(text.encode(codec))
    assert found.rows is not None
    assert len(found.rows) == 41
    assert found.rows[0]["name"] == "größe €"
    assert [told(misfit) for misfit in found.misfits] == [(23, ["too_few_fields"], "9,Mühe")]


def test_a_packed_file_keeps_its_lines(take: Callable[..., Read]) -> None:
    found = take(gzip.compress((HEADER + BODY + "9,9\n").encode()), name="t.csv.gz")
    assert [told(misfit) for misfit in found.misfits] == [(22, ["too_few_fields"], "9,9")]


def test_too_many_misfits_stop_the_load_and_name_the_first(take: Callable[..., Read]) -> None:
    content = HEADER + BODY + "9,secret\n" * 10
    with pytest.raises(DataError, match=r"Line 22 of t.csv has 2 fields.*; 10 of 30 rows do not fit") as met:
        take(content)
    assert "secret" not in str(met.value)
    found = take(content, misfit_limit=0.5)
    assert found.rows is not None
    assert (len(found.rows), len(found.misfits)) == (20, 10)


def test_a_named_type_sets_aside_what_is_not_of_it(take: Callable[..., Read]) -> None:
    found = take(HEADER + BODY + "x99,x,2020-01-01\n" + BODY, types={"id": "BIGINT"})
    assert found.rows is not None
    assert len(found.rows) == 40
    assert [told(misfit) for misfit in found.misfits] == [(22, ["wrong_type"], "x99,x,2020-01-01")]
    assert json.loads(found.misfits[0]["_origin_detail"])["columns"] == ["id"]


def test_short_rows_are_filled_only_where_that_is_said(take: Callable[..., Read]) -> None:
    found = take(HEADER + BODY + "99,x\n", on_ragged="pad")
    assert found.rows is not None
    assert (found.rows[-1], found.misfits) == ({"id": 99, "name": "x", "day": None}, ())


def test_lines_with_personal_columns_are_counted_and_not_kept(take: Callable[..., Read], tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("id,email\n" + "".join(f"{n},a{n}@example.org\n" for n in range(20)) + "7\n")
    source = SourceSpec(
        table="t", kind="files", options={"path": "p.csv"}, write=WriteMode.APPEND, personal={"email": "token"}
    )
    found = read(FilesSource(), Request(source=source, root=str(tmp_path), position=None))
    assert [(misfit["_line"], misfit["_reasons"]) for misfit in found.misfits] == [(None, ["too_few_fields"])]


PIPELINE = """
from penstock import Pipeline, checks, sources
shop = Pipeline(
    name="shop",
    sources=[sources.files("in/*.csv", table="orders", write="append")],
    checks={"orders": [checks.between("id", 0, 15, severity="quarantine")]},
)
"""
TOML = """
[project]
name = "shop"
pipelines = ["pipeline:shop"]
[environments.staging]
lake = "staging/lake"
warehouse = "staging/warehouse.duckdb"
[environments.production]
lake = "production/lake"
warehouse = "production/warehouse.duckdb"
"""


@pytest.mark.parametrize("files", [1, 3])
def test_a_run_keeps_misfits_in_the_quarantine_and_counts_them(tmp_path: Path, files: int) -> None:
    (tmp_path / "penstock.toml").write_text(TOML)
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    (tmp_path / "in").mkdir()
    for number in range(files):
        (tmp_path / "in" / f"{number}.csv").write_text(HEADER + BODY + f"99,x{number}\n")
    with Project(tmp_path) as project:
        receipt = project.run("shop")
        step = next(step for step in receipt.steps if step.step.endswith("orders"))
        assert (step.rows, step.quarantined) == (21 * files, 6 * files)
        listed = project.quarantine.summaries("orders")
        assert [(item.rows, dict(item.reasons)) for item in listed if "too_few_fields" in item.reasons] == [
            (files, {"too_few_fields": files})
        ]
        shown = project.quarantine.rows("orders")
        assert (shown.total, len(shown.rows)) == (6 * files, 6 * files)
        path = next(item.path for item in listed if "too_few_fields" in item.reasons)
        kept = pq.read_table(path.removeprefix("file://")).to_pylist()
        assert [(row["_origin"], told(row)) for row in kept] == [
            (f"in/{number}.csv", (22, ["too_few_fields"], f"99,x{number}")) for number in range(files)
        ]
        assert project.run("shop").state.value in ("succeeded", "unchanged")
        assert len(project.quarantine.summaries("orders")) == 2


def test_a_whole_table_whose_misfits_alone_changed_is_a_new_load(tmp_path: Path) -> None:
    (tmp_path / "penstock.toml").write_text(TOML)
    (tmp_path / "pipeline.py").write_text(PIPELINE.replace('"append"', '"replace"'))
    (tmp_path / "in").mkdir()
    for line in ("99,x", "99,y", "99,y"):
        (tmp_path / "in" / "t.csv").write_text(HEADER + BODY + line + "\n")
        with Project(tmp_path) as project:
            project.run("shop")
            found = [item for item in project.quarantine.summaries("orders") if "too_few_fields" in item.reasons]
    assert [item.rows for item in found] == [1, 1]


@pytest.mark.parametrize(
    ("lines", "reasons"),
    [
        (["id,name,day"], ["wrong_type"]),
        (["", "a,b,c", "u,v,w"], ["wrong_type", "wrong_type"]),
        (["x,y", "1,2"], ["too_few_fields", "too_few_fields"]),
    ],
)
def test_the_header_again_and_another_table_are_set_aside(
    take: Callable[..., Read], lines: list[str], reasons: list[str]
) -> None:
    found = take(HEADER + BODY + "\n".join(lines) + "\n" + BODY)
    assert found.rows is not None
    assert len(found.rows) == 40
    assert found.types == {"id": "BIGINT", "name": "VARCHAR", "day": "DATE"}
    assert [misfit["_line"] for misfit in found.misfits] == [line for line in lines if line]
    assert [misfit["_reasons"] for misfit in found.misfits] == [[reason] for reason in reasons]


def test_one_value_of_another_kind_makes_its_column_text_and_loses_nothing(take: Callable[..., Read]) -> None:
    found = take(HEADER + BODY + "x99,n,2020-01-01\n" + BODY)
    assert found.rows is not None
    assert (len(found.rows), found.misfits) == (41, ())
    assert found.types["id"] == "VARCHAR"
    assert any("id is read as text: 1 of its values are no BIGINT" in note for note in found.notes)


def test_a_wider_number_is_no_foreign_row(take: Callable[..., Read]) -> None:
    numbers = "".join(f"{number},{number}\n" for number in range(30))
    found = take("a,b\n" + numbers + "1.5,2.5\nfoo,bar\n")
    assert found.rows is not None
    assert (found.rows[-1], found.types) == ({"a": 1.5, "b": 2.5}, {"a": "DOUBLE", "b": "DOUBLE"})
    assert [misfit["_line"] for misfit in found.misfits] == ["foo,bar"]


def test_spellings_of_a_missing_value_are_counted_per_column(take: Callable[..., Read]) -> None:
    rows = "".join(f"{number},{'N/A' if number % 4 == 0 else number / 2},NA\n" for number in range(20))
    found = take("id,value,name\n" + rows)
    assert found.rows is not None
    assert found.types == {"id": "BIGINT", "value": "DOUBLE", "name": "VARCHAR"}
    assert [found.rows[0], found.rows[1]] == [
        {"id": 0, "value": None, "name": "NA"},
        {"id": 1, "value": 0.5, "name": "NA"},
    ]
    assert "value is DOUBLE; missing values are spelled 'N/A' (5)" in found.notes
    assert take("id,value,name\n" + rows, nulls=["NA"]).types["value"] == "VARCHAR"


def test_raw_texts_stay_as_they_stood(take: Callable[..., Read]) -> None:
    rows = "".join(f"{number:03d},${number}.00,{number}%,{number},5\n" for number in range(20))
    found = take("code,price,share,x,y\n" + rows)
    assert found.rows is not None
    assert found.rows[7] == {"code": "007", "price": "$7.00", "share": "7%", "x": 7, "y": 5}


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_a_broken_character_in_utf8_costs_its_row_alone(take: Callable[..., Read], name: str) -> None:
    rows = [f"{i},né {i}\n".encode() for i in range(200)]
    rows[120] = b'120,"caf\xe9\nand more"\n'
    rows[150] = b"150,\xff\n"
    data = b"\xef\xbb\xbfid,name\n" + b"".join(rows)
    found = take(gzip.compress(data) if name.endswith(".gz") else data, name)
    assert found.types == {"id": "BIGINT", "name": "VARCHAR"}
    assert [row["id"] for row in found.rows or []] == [i for i in range(200) if i not in (120, 150)]
    assert (found.rows or [])[7]["name"] == "né 7"
    first, second = found.misfits
    assert (first["_reasons"], first["_line"]) == (["wrong_encoding"], '120,"caf\\xe9\nand more"')
    assert (second["_reasons"], second["_line"]) == (["wrong_encoding"], "150,\\xff")
    assert json.loads(first["_origin_detail"])["line"] == 122
    assert json.loads(second["_origin_detail"])["line"] == 153
    assert first["_origin"] == name


def test_latin1_with_a_character_that_looks_like_utf8_is_latin1(take: Callable[..., Read]) -> None:
    text = "id,name\n" + "".join(f"{i},Ã© é{i} ü\n" for i in range(50))
    found = take(text.encode("latin-1"))
    assert [row["name"] for row in found.rows or []] == [f"Ã© é{i} ü" for i in range(50)]
    assert found.misfits == ()


def test_a_broken_character_stops_a_reading_that_refuses_rows(take: Callable[..., Read]) -> None:
    data = b"id,name\n" + b"".join(f"{i},né\n".encode() for i in range(200)) + b"7,caf\xe9\n"
    with pytest.raises(DataError, match="Line 202"):
        take(data, on_ragged="refuse")
