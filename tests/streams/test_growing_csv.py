"""Files of CSV that grow: each has a header, lines that are no rows are set aside, rotation loses nothing."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from stream_project import drained, in_warehouse, made, served

from penstock import sources
from penstock.errors import ConfigurationError
from penstock.extract.streams.csv_decoding import CsvDecoder
from penstock.project import Project

PIPELINE = """
from penstock import Pipeline, sources
clicks = Pipeline(
    name="clicks",
    sources=[
        sources.tail("logs/clicks.csv", table="clicks", format="csv", stream={"every": "200ms"},
                     contract={"each": {"n": "BIGINT"}}),
    ],
)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made(tmp_path / "project", PIPELINE)


def append(folder: Path, text: str) -> None:
    with (folder / "logs/clicks.csv").open("a", newline="") as file:
        file.write(text)


def test_lines_land_once_over_polls_rotation_and_another_header(folder: Path) -> None:
    append(folder, 'user,n\r\nada,0\r\n"b,o""b",1\r\n')
    drained(folder)
    append(folder, 'eve,2\r\n,3\r\n"",4\r\nhalf')
    drained(folder)
    append(folder, ",5\r\n")
    (folder / "logs/clicks.csv").rename(folder / "logs/clicks.csv.1")
    append(folder, "n,user,page\n6,ada,p1\n")
    drained(folder)
    drained(folder)
    assert in_warehouse(folder) == Counter(range(7))
    assert served(folder, "SELECT n, user, page FROM raw_clicks ORDER BY n") == [
        (0, "ada", None), (1, 'b,o"b', None), (2, "eve", None), (3, None, None), (4, "", None), (5, "half", None),
        (6, "ada", "p1"),
    ]  # fmt: skip


def test_lines_that_are_no_rows_are_set_aside_with_their_header(folder: Path) -> None:
    append(folder, 'user,n\nada,0\nbob\ncy,1,2\n"open,3\ndee,4\n')
    with (folder / "logs/clicks.csv").open("ab") as file:
        file.write(b"\xff,6\ngus,7\n")
    drained(folder)
    assert in_warehouse(folder) == Counter([0, 4, 7])
    with Project(folder) as project:
        project.quarantine.export("clicks", str(folder / "lines.jsonl"), lines=True)
    found = [json.loads(line) for line in (folder / "lines.jsonl").read_text().splitlines()]
    assert {"user,n\nbob", "user,n\ncy,1,2", 'user,n\n"open,3'} <= {each["_line"] for each in found}


def test_each_line_is_told_apart_whatever_its_neighbours_are() -> None:
    lines = [
        b"a,b\n1,2",
        b'a,b\n"x,1',
        b'a,b\ny",2',
        b"b\n3",
        b"a,b\n",
        b"a,a\n1,2",
        b"a,b",
        b'a,b\n"\xc3\xa4",',
        b"a,b\n4,5",
        b"\n1",
        b"z\n\r",
    ]
    decoded = CsvDecoder().decode(pa.array(lines, pa.binary()))
    assert decoded.misfits == {
        1: "unclosed_quote",
        4: "too_few_fields",
        5: "no_header",
        6: "too_few_fields",
        9: "no_header",
        10: "too_few_fields",
    }
    rows = {
        place: row
        for piece in decoded.pieces
        for place, row in zip(piece.places.to_pylist(), piece.rows.to_pylist(), strict=True)
    }
    assert rows == {
        0: {"a": "1", "b": "2"},
        2: {"a": 'y"', "b": "2"},
        3: {"b": "3"},
        7: {"a": "ä", "b": None},
        8: {"a": "4", "b": "5"},
    }


def test_a_message_of_a_broker_has_no_header() -> None:
    with pytest.raises(ConfigurationError, match="Messages of stream 't' have no header, so they are no CSV"):
        sources.kafka("events", topics="t", table="t", format="csv")
