"""Footers of Parquet files: what is read here is what Arrow reads."""

from __future__ import annotations

import decimal
import random
import subprocess
import sys
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.errors import DataError
from penstock.stores.footers import Footer, footer

READ = """
import sys
from penstock.errors import DataError
from penstock.stores.footers import footer

for path in sys.argv[1:]:
    try:
        found = footer(path)
    except DataError:
        print("none")
    else:
        groups = [(g.rows, g.bytes, [(g.nulls(k), g.texts(k)) for k in range(len(found.leaves))]) for g in found.groups]
        print((found.rows, [(leaf.column, leaf.digits) for leaf in found.leaves], groups))
        assert "pyarrow" not in sys.modules, path
"""


def told(found: Footer) -> str:
    groups = [(g.rows, g.bytes, [(g.nulls(k), g.texts(k)) for k in range(len(found.leaves))]) for g in found.groups]
    return str((found.rows, [(leaf.column, leaf.digits) for leaf in found.leaves], groups))


def read_here(*paths: Path) -> list[str]:
    """Return what is read where Arrow is not imported."""
    asked = [sys.executable, "-c", READ, *map(str, paths)]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.splitlines()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("footers")
    nested = (
        "{'x': range, 'y': [range, NULL], 'z': {'w': 'q'}} AS s, map {'k': range} AS m, [range, 1] AS l, 'q' AS \"s.x\""
    )
    queries = {
        "plain": "SELECT range AS a, 'n' || range AS b, CASE WHEN range % 3 = 0 THEN range END AS c, "
        "range::DECIMAL(10, 2) AS d, range::DECIMAL(38, 9) AS e, uuid() AS f, now() AS g FROM range(5000)",
        "nested": f"SELECT {nested} FROM range(100)",
        "empty": "SELECT 1 AS a, 'x' AS b LIMIT 0",
    }
    for name, query in queries.items():
        duckdb.execute(f"COPY ({query}) TO '{folder / name}.parquet' (ROW_GROUP_SIZE 2048)")
    wide = decimal.Decimal("1.5")
    rows = pa.table(
        {
            "wide": pa.array([wide, None], pa.decimal256(60, 5)),
            "in": pa.array([{"d": wide, "t": "x"}, None], pa.struct([("d", pa.decimal256(50, 1)), ("t", pa.string())])),
            "code": pa.array(["a", "a"]).dictionary_encode(),
            "id": pa.array([b"1" * 16, None], pa.uuid()),
            "raw": pa.array([b"\0", None]),
            "é": pa.array([[["x"]], None]),
        }
    )
    pq.write_table(rows, folder / "arrow.parquet")
    pq.write_table(rows, folder / "silent.parquet", write_statistics=False, version="1.0", compression="gzip")
    pq.write_table(rows, folder / "old_lists.parquet", use_compliant_nested_type=False)
    return sorted(folder.iterdir())


def test_what_is_read_here_is_what_arrow_reads(files: list[Path]) -> None:
    assert read_here(*files) == [told(footer(str(file))) for file in files]


def test_a_nested_column_lends_no_member_its_name(files: list[Path]) -> None:
    nested = footer(str(next(file for file in files if file.stem == "nested")))
    assert [leaf.column for leaf in nested.leaves if leaf.column] == ["s.x"]


def test_a_large_footer_is_left_to_arrow(tmp_path: Path) -> None:
    place = tmp_path / "wide.parquet"
    pq.write_table(pa.table({f"column {number}": [number] for number in range(2000)}), place)
    asked = subprocess.run([sys.executable, "-c", READ, str(place)], capture_output=True, text=True, check=False)
    assert asked.stdout.splitlines() == [told(footer(str(place)))]
    assert "AssertionError" in asked.stderr


def test_bytes_that_are_no_footer_are_refused(files: list[Path], tmp_path: Path) -> None:
    chance, hurt = random.Random(5), []
    for number in range(300):
        data = bytearray(chance.choice(files).read_bytes())
        start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(start, len(data) - 8)] = chance.randrange(256)
        hurt.append(tmp_path / f"{number}.parquet")
        hurt[-1].write_bytes(data)
    for name, data in (("none", b""), ("short", b"PAR1"), ("magic", b"\xff" * 4 + b"PAR1"), ("other", b"x" * 100)):
        hurt.append(tmp_path / name)
        hurt[-1].write_bytes(data)
    said = read_here(*hurt)
    assert len(said) == len(hurt)
    assert 4 < said.count("none") < len(hurt)
    for file in hurt[-4:]:
        with pytest.raises(DataError, match="no whole Parquet file"):
            footer(str(file))
