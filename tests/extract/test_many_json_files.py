"""Many files of JSON lines: their types are found without holding something of each, and told by all of them."""

from __future__ import annotations

import gzip
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from draining import read

from penstock.errors import PenstockError
from penstock.extract.files.source import FilesSource
from penstock.extract.port import Request
from penstock.model.specs import SourceSpec, WriteMode
from penstock.stores.engine import LocalEngine

MANY = 200


def rows(root: Path, path: str) -> list[dict[str, Any]]:
    source = SourceSpec(table="t", kind="files", options={"path": path}, write=WriteMode.APPEND)
    # What DuckDB would hold of so many files is several times this.
    with closing(LocalEngine(memory=256 * 2**20, threads=2)) as engine:
        found = read(FilesSource(), Request(source=source, root=str(root), engine=engine)).rows
    assert found is not None
    return sorted(found, key=lambda row: row["n"])


def line(n: int) -> str:
    # The last file alone has a column, and values of types, that no other has.
    more = {"only": {"deep": [n]}, "x": 1.5} if n == MANY - 1 else {"x": n}
    return json.dumps({"n": n, **more})


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".jsonl.zst"])
def test_types_are_those_of_all_files(tmp_path: Path, ending: str) -> None:
    for n in range(MANY):
        # Some end without a line break, some begin with a byte order mark.
        text = line(n) + ("\n" if n % 3 else "")
        data = text.encode("utf-8-sig" if n % 5 == 0 and ending == ".jsonl" else "utf-8")
        if ending == ".jsonl.gz":
            data = gzip.compress(data)
        elif ending == ".jsonl.zst":
            data = pa.compress(data, "zstd", asbytes=True)
        (tmp_path / f"{n:03}{ending}").write_bytes(data)
    found = rows(tmp_path, f"*{ending}")
    assert [row["n"] for row in found] == list(range(MANY))
    assert [row["x"] for row in found] == [*map(float, range(MANY - 1)), 1.5]
    assert found[-1]["only"] == {"deep": [MANY - 1]}
    assert found[0]["only"] is None


def test_a_line_that_is_no_json_is_named_by_its_file(tmp_path: Path) -> None:
    for n in range(6):
        (tmp_path / f"{n}.jsonl").write_text(line(n) + "\n" if n != 4 else '{"n": oops}\n')
    with pytest.raises(PenstockError, match=r"4\.jsonl"):
        rows(tmp_path, "*.jsonl")


def test_files_without_a_record_give_none(tmp_path: Path) -> None:
    for n in range(6):
        (tmp_path / f"{n}.jsonl").write_text("\n")
    assert rows(tmp_path, "*.jsonl") == []
