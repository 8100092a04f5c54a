"""Many small CSV files: what is found out of one is believed of another only where all its rows fit."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from draining import read

from penstock.extract.files.csv.detection import Told, detect
from penstock.extract.files.csv.repeats import Repeats
from penstock.extract.files.csv_scan import MOST_FILES
from penstock.extract.files.source import FilesSource
from penstock.extract.port import Request, Scan
from penstock.model.specs import SourceSpec, WriteMode


def asked(root: Path, path: str, **options: Any) -> Request:
    source = SourceSpec(table="t", kind="files", options={"path": path, **options}, write=WriteMode.APPEND)
    return Request(source=source, root=str(root))


def scans(root: Path, path: str, **options: Any) -> list[Scan]:
    extraction = FilesSource().open(asked(root, path, **options))
    assert extraction is not None
    try:
        return [batch for batch in extraction.batches() if isinstance(batch, Scan)]
    finally:
        extraction.close()


def kept(text: str) -> Repeats[str]:
    found = detect(text, Told(), cut=False)
    assert found is not None
    repeats: Repeats[str] = Repeats()
    repeats.keep(text, "csv", found, "known")
    return repeats


HEAD = "id,name\n1,Ada\n2,Alan\n3,Grace\n"
LIKE = ["id,name\n9,x\n", "id,name\n", "id,name\n9,x", "id,name\n,\n", "id,name\n1,ü\n2,\n"]
UNLIKE = {
    "another header": "id,names\n1,x\n",
    "a ragged row": "id,name\n1,x\n2\n",
    "a longer row": "id,name\n1,x,y\n",
    "another delimiter in the rows": "id,name\n1;x\n2;y\n",
    "a blank line": "id,name\n1,x\n\n2,y\n",
    "quotes, where there were none": 'id,name\n1,"x, y"\n',
    "an escape, where there was none": "id,name\n1,x\\y\n",
    "other ends of lines": "id,name\r\n1,x\r\n",
    "mixed ends of lines": "id,name\n1,x\r\n",
    "nothing": "",
}


@pytest.mark.parametrize("text", LIKE)
def test_a_file_whose_rows_fit_is_written_like_the_one_before(text: str) -> None:
    assert kept(HEAD).like(text, "csv") == "known"
    assert kept(HEAD).like(text, "tsv") is None


@pytest.mark.parametrize("text", UNLIKE.values(), ids=UNLIKE)
def test_a_file_that_is_written_otherwise_is_looked_at_itself(text: str) -> None:
    assert kept(HEAD).like(text, "csv") is None


@pytest.mark.parametrize("text", ["id,name\n", "some title\nid,name\n1,x\n2,y\n3,z\n", "id,name\r1,x\r2,y\r3,z\r"])
def test_a_file_that_is_not_plain_says_nothing_of_others(text: str) -> None:
    assert kept(text).like(text, "csv") is None


def test_quotes_are_known_from_a_file_that_had_them() -> None:
    repeats = kept('id,name\n1,"Ada, L."\n2,"Alan"\n3,Grace\n')
    assert repeats.like('id,name\n1,"x ""y"", z"\n', "csv") == "known"
    assert repeats.like('id,name\n1,"not closed\n', "csv") is None
    assert repeats.like("id,name\n1,'x, y'\n", "csv") is None


VARIED = [
    "id,name,n\n1,Ada,7\n2,Alan,8\n3,Grace,9\n",
    "id,name,n\n4,Kurt,\n",
    "id,name,n\r\n5,Emmy,10\r\n",
    'id,name,n\n6,"Noether, E.",11\n',
    "id;name;n\n7;Max;12\n8;Lise;13\n",
    "id,name,n",
    "id,name,n\n9,Sofia,2.5",
    "id,name,n\n\n10,Mary,14\n",
    "name,id\nAnnie,11\nVera,12\nJane,13\n",
]


@pytest.mark.parametrize("packed", [False, True])
def test_files_together_give_what_each_gives_alone(tmp_path: Path, packed: bool) -> None:
    """Thirty files that are written in nine ways, in an order that mixes them."""
    names = []
    for number in range(45):
        text = VARIED[number * 7 % len(VARIED)].encode()
        names.append(f"{number:02d}.csv{'.gz' if packed else ''}")
        (tmp_path / names[-1]).write_bytes(gzip.compress(text) if packed else text)
    together = read(FilesSource(), asked(tmp_path, "*.csv*"))
    alone: list[dict[str, Any]] = []
    for name in names:
        alone += read(FilesSource(), asked(tmp_path, name)).rows or []
    assert [{key: str(value) for key, value in row.items()} for row in together.rows or []] == [
        {key: str(float(value) if key == "n" and value is not None and _real(together, row) else value)
         for key, value in row.items()}
        for row in alone
    ]  # fmt: skip


def _real(together: Any, row: dict[str, Any]) -> bool:
    found = next(item for item in together.rows if item["id"] == row["id"])
    return isinstance(found["n"], float)


def test_types_are_those_of_all_files_and_each_row_knows_its_own(tmp_path: Path) -> None:
    for number in range(40):
        value = {17: "2.5", 38: "2.25"}.get(number, "7")
        text = {21: "x"}.get(number, "1")
        (tmp_path / f"{number:02d}.csv").write_text(f"n,v,w\n{number},{value},{text}\n{number},1,1\n{number},1,1\n")
    (scan,) = scans(tmp_path, "*.csv")
    assert [uri for uri, _ in scan.origins] == [f"{number:02d}.csv" for number in range(40)]
    found = read(FilesSource(), asked(tmp_path, "*.csv"))
    assert found.types == {"n": "BIGINT", "v": "DOUBLE", "w": "VARCHAR"}
    assert [row["n"] for row in found.rows or []] == [number for number in range(40) for _ in range(3)]


def test_no_scan_opens_more_files_than_it_may_and_all_have_the_same_types(tmp_path: Path) -> None:
    for number in range(MOST_FILES + 3):
        (tmp_path / f"{number:05d}.csv").write_text("a,b\n1,1\n2,2\n" + ("x,3\n" if number == MOST_FILES + 2 else ""))
    first, second = scans(tmp_path, "*.csv")
    assert (len(first.origins), len(second.origins)) == (MOST_FILES, 3)
    assert all("'a': 'VARCHAR', 'b': 'BIGINT'" in scan.sql for scan in (first, second))
