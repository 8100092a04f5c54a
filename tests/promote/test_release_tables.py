from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.model.entries import Column
from penstock.stores.engine import LocalEngine
from penstock.stores.release_tables import Amendment, ServedTable
from penstock.stores.releases import ReleaseFolder, link_or_copy

_COLUMNS = (Column(name="day", type="DATE"), Column(name="id", type="INTEGER"), Column(name="word", type="VARCHAR"))


def _file(folder: Path, engine: LocalEngine, name: str, rows: Sequence[tuple[Any, Any, Any]]) -> str:
    typed = "SELECT NULL::DATE AS day, NULL::INTEGER AS id, NULL::VARCHAR AS word WHERE false"
    values = [
        f"SELECT {'NULL' if d is None else f'DATE {chr(39)}2013-01-01{chr(39)} + {d}'}, "
        f"{'NULL' if i is None else i}, {'NULL' if w is None else repr(w)}"
        for d, i, w in rows
    ]
    path = str(folder / name)
    with engine.session() as connection:
        connection.execute(f"COPY ({' UNION ALL '.join([typed, *values])}) TO '{path}' (FORMAT parquet)")
    return path


def _rows(path: Path) -> Counter[str]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return Counter(str(row) for row in connection.execute("FROM t").fetchall())


def _table(uris: Sequence[str], rows: int, amendment: Amendment | None = None) -> ServedTable:
    return ServedTable(name="t", columns=_COLUMNS, uris=tuple(uris), rows=rows, amendment=amendment)


_ROW = st.tuples(st.sampled_from([None, 0, 1, 2, 3]), st.sampled_from([None, 1, 2, 3]), st.sampled_from([None, "a"]))
_PARTS = st.lists(st.lists(_ROW, max_size=4), min_size=1, max_size=4)


@settings(max_examples=15, deadline=timedelta(seconds=10))
@given(parts=_PARTS, fresh=st.lists(_ROW, max_size=4), gone=st.integers(0, 15), together=st.booleans())
def test_an_amended_table_is_the_table_written_anew(
    engine: LocalEngine,
    tmp_path_factory: pytest.TempPathFactory,
    parts: list[list[tuple[Any, Any, Any]]],
    fresh: list[tuple[Any, Any, Any]],
    gone: int,
    together: bool,
) -> None:
    """Whatever the rows: overlapping, repeated, null, all the same."""
    folder = tmp_path_factory.mktemp("amend")
    files = [_file(folder, engine, f"{number}.parquet", rows) for number, rows in enumerate(parts)]
    added = _file(folder, engine, "added.parquet", fresh)
    releases = ReleaseFolder(folder / "warehouse.duckdb", engine)
    releases.build("1.duckdb", [_table(files, sum(map(len, parts)))], None, ())
    removed = [number for number in range(len(parts)) if gone >> number & 1]
    left = [uri for number, uri in enumerate(files) if number not in removed]
    rows = sum(len(part) for number, part in enumerate(parts) if number not in removed) + len(fresh)
    lost = [files[number] for number in removed]
    amendment = Amendment(
        removed=(tuple(lost),) if together and lost else tuple((uri,) for uri in lost),
        removed_rows=sum(len(parts[number]) for number in removed),
        added=(added,),
    )
    releases.build("2.duckdb", [_table([*left, added], rows, amendment)], "1.duckdb", ())
    releases.build("3.duckdb", [_table([*left, added], rows)], None, ())
    assert _rows(releases.folder / "2.duckdb") == _rows(releases.folder / "3.duckdb")


def test_a_file_does_not_grow_with_the_number_of_promotions(engine: LocalEngine, tmp_path: Path) -> None:
    def part(day: int, turn: int) -> str:
        path = str(tmp_path / f"{day}-{turn}.parquet")
        with engine.session() as connection:
            connection.execute(
                f"COPY (SELECT DATE '2013-01-01' + {day} AS day, (random() * 1e9)::INTEGER AS id, "
                f"md5(random()::VARCHAR) AS word FROM range(4000)) TO '{path}' (FORMAT parquet)"
            )
        return path

    days = 32
    files = {day: part(day, 0) for day in range(days)}
    releases = ReleaseFolder(tmp_path / "warehouse.duckdb", engine)
    releases.build("1.duckdb", [_table(list(files.values()), days * 4000)], None, ())
    first = (releases.folder / "1.duckdb").stat().st_size
    for turn in range(1, days // 2):
        day = turn * 7 % days
        old, files[day] = files[day], part(day, turn)
        change = Amendment(removed=((old,),), removed_rows=4000, added=(files[day],))
        releases.build(f"{turn + 1}.duckdb", [_table(list(files.values()), days * 4000, change)], f"{turn}.duckdb", ())
        releases.remove(f"{turn}.duckdb")
    last = releases.folder / f"{days // 2}.duckdb"
    assert last.stat().st_size < 3 * first
    releases.build("anew.duckdb", [_table(list(files.values()), days * 4000)], None, ())
    assert _rows(last) == _rows(releases.folder / "anew.duckdb")


def test_a_file_that_cannot_be_linked_is_copied(engine: LocalEngine, tmp_path: Path) -> None:
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second disk")
    with tempfile.TemporaryDirectory(dir=other) as folder:
        source = Path(folder) / "1.duckdb"
        source.write_bytes(b"rows" * 1000)
        link_or_copy(source, tmp_path / "next")
    assert (tmp_path / "next").read_bytes() == b"rows" * 1000
    assert (tmp_path / "next").stat().st_mode & 0o222 == 0
