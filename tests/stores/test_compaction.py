"""Compaction: the same rows in fewer files, for plain readers and for readers of one load."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from deltalake import DeltaTable

from penstock.errors import ConflictError, DataError
from penstock.model.entries import Column, DataFile, Entry, EntryKind
from penstock.names import LOAD, PARTITION, moment
from penstock.queries.relations import FILE, ROW, accepted
from penstock.queries.text import literal
from penstock.stores.compaction import Compacted, Compacting, compact, compactable, sources_of, window_of
from penstock.stores.engine import LocalEngine
from penstock.stores.lake import DeltaLake, DeltaLakeTable
from penstock.stores.parquet import write

DAY_ONE = datetime(2026, 11, 1, 8, tzinfo=UTC)
LATER = datetime(2026, 11, 20, tzinfo=UTC)
COLUMNS = (Column(name="n", type="INTEGER"), Column(name="text", type="VARCHAR"))


def nobody(_rows: int, _size: int) -> None:
    """Be told of progress."""


class Raw:
    """A table of the raw zone whose loads are written as landing would."""

    def __init__(self, root: Path, engine: LocalEngine) -> None:
        self.engine = engine
        self.table: DeltaLakeTable = DeltaLake(root).table("raw_t")
        self.root = root / "raw_t"

    def land(self, at: datetime, *queries: str, columns: tuple[Column, ...] = COLUMNS) -> Entry:
        number = self.table.next_number()
        files = []
        types = {column.name: column.stored or column.type for column in columns}
        for place, query in enumerate(queries):
            path = f"{PARTITION}={moment(at)}/part-{place:05}-{number}.parquet"
            with self.engine.session() as connection:
                made = write(
                    connection, f"SELECT *, {number}::BIGINT AS {LOAD} FROM ({query})", self.table.uri(path), types
                )
            files.append(
                DataFile(
                    path=path,
                    rows=made.rows,
                    bytes=made.bytes,
                    partition={PARTITION: moment(at)},
                    statistics=made.statistics,
                )
            )
        entry = Entry(
            table="raw_t",
            number=number,
            previous=None,
            kind=EntryKind.LOAD,
            created_at=at,
            files=tuple(files),
            schema=columns,
            rows=sum(file.rows for file in files),
        )
        return self.table.commit(entry, (PARTITION,))

    def compact(self, now: datetime = LATER, **more: object) -> Compacted:
        spec = self.spec(now, **more)
        return compact(spec, self.table, self.engine, nobody)

    def spec(self, now: datetime = LATER, columns: tuple[Column, ...] = COLUMNS, **more: object) -> Compacting:
        entries = list(self.table.entries())
        sources = sources_of(
            [entry for entry in entries if entry.kind is EntryKind.LOAD],
            [entry for entry in entries if entry.kind is EntryKind.COMPACTION],
        )
        return Compacting(run="test", now=now, sources=sources, columns=columns, **more)  # type: ignore[arg-type]

    def rows(self, *loads: Entry, excluded: str | None = None, what: str = "*") -> list[tuple]:
        """Return the rows of loads as every reader of the package sees them, each with its file and row."""
        sets = [self.table.reading(load.files, excluded) for load in loads if load.files]
        with self.engine.session() as connection:
            return connection.execute(
                f"SELECT {what} FROM {accepted(sets, located=True)} ORDER BY {LOAD}, {FILE}, {ROW}"
            ).fetchall()

    def plain(self) -> list[tuple]:
        """Return what deltalake alone shows."""
        shown = DeltaTable(self.root).to_pyarrow_table().select(["n", "text", LOAD]).to_pylist()
        return sorted((row["n"], row["text"] or "", row[LOAD]) for row in shown)

    def live(self) -> list[str]:
        return [file.path for file in self.table.live()]

    def forget_old(self) -> None:
        """Delete every file that the log does not name, as vacuum does."""
        live = set(self.live())
        for path in self.root.glob(f"{PARTITION}=*/*.parquet"):
            if path.relative_to(self.root).as_posix() not in live:
                path.unlink()


@pytest.fixture
def raw(tmp_path: Path):
    engine = LocalEngine()
    yield Raw(tmp_path, engine)
    engine.close()


def some(raw: Raw, loads: int, step: timedelta = timedelta(hours=1), start: datetime = DAY_ONE) -> list[Entry]:
    made = []
    for number in range(loads):
        first = number * 100
        query = f"SELECT range::INTEGER AS n, 'v' || range AS text FROM range({first}, {first + 3 + number % 4})"
        more = f"SELECT -range::INTEGER - 1 AS n, NULL AS text FROM range({first}, {first + 2})"
        made.append(raw.land(start + step * number, *([query, more] if number % 3 == 0 else [query])))
    return made


def test_rows_are_equal_before_and_after(raw: Raw) -> None:
    loads = some(raw, 30)
    before = [raw.rows(load) for load in loads]
    together, plain = raw.rows(*loads), raw.plain()
    files = len(raw.live())
    done = raw.compact()
    assert done.files_before == files == 40
    assert done.rows == len(plain)
    # Nov 1 from eight, and the rest on Nov 2.
    assert len(raw.live()) == done.files_after == 2
    raw.forget_old()
    assert [raw.rows(load) for load in loads] == before
    assert raw.rows(*loads) == together
    assert raw.rows(loads[4], loads[29], loads[3]) == sorted(
        before[3] + before[4] + before[29], key=lambda row: (row[2], row[3], row[4])
    )
    assert raw.plain() == plain
    values = {file.partition[PARTITION] for file in raw.table.live()}
    assert values == {"2026-11-01T00-00-00.000Z", "2026-11-02T00-00-00.000Z"}


def test_a_second_compaction_and_a_new_process_still_find_every_load(raw: Raw) -> None:
    loads = some(raw, 12)
    before = [raw.rows(load) for load in loads]
    assert raw.compact(window="hour").files_before == 8
    assert raw.compact(window="day").files_after == 1
    assert raw.compact(window="day").entries == ()
    loads += some(raw, 3, start=DAY_ONE + timedelta(hours=3))
    before += [raw.rows(load) for load in loads[12:]]
    assert raw.compact().files_after == 1
    raw.forget_old()
    fresh = Raw(raw.root.parent, raw.engine)
    assert [fresh.rows(load) for load in loads] == before
    assert fresh.rows(*loads) == [row for rows in before for row in rows]
    assert len(fresh.live()) == 1


def test_rows_of_the_quarantine_stay_out(raw: Raw, tmp_path: Path) -> None:
    loads = some(raw, 9)
    quarantines = []
    for load in loads[:6]:
        last = load.files[-1]
        place = tmp_path / f"q{load.number}.parquet"
        duckdb.sql(f"COPY (SELECT {literal(last.path)} AS _file, 1::BIGINT AS _row) TO {literal(str(place))}")
        quarantines.append(str(place))
    sets = lambda: [  # noqa: E731
        raw.table.reading(load.files, quarantines[place] if place < 6 else None) for place, load in enumerate(loads)
    ]
    query = "SELECT * FROM {} ORDER BY ALL"
    with raw.engine.session() as connection:
        before = connection.execute(query.format(accepted(sets(), located=True))).fetchall()
        bare = connection.execute(query.format(accepted(sets()))).fetchall()
        raw.compact()
        raw.forget_old()
        assert connection.execute(query.format(accepted(sets(), located=True))).fetchall() == before
        assert connection.execute(query.format(accepted(sets()))).fetchall() == bare
    assert len(bare) == sum(load.rows for load in loads) - 6


def test_columns_of_different_ages_are_united(raw: Raw) -> None:
    wide = (Column(name="n", type="BIGINT"), COLUMNS[1], Column(name="wide", type="HUGEINT", stored="VARCHAR"))
    old = raw.land(DAY_ONE, "SELECT 1::INTEGER AS n, 'a' AS text")
    # A later type stands in the files alone: the Delta schema would not take the change.
    path = f"{PARTITION}={moment(DAY_ONE)}/part-00000-2.parquet"
    with raw.engine.session() as connection:
        made = write(connection, f"SELECT 5000000000 AS n, '7' AS wide, 2::BIGINT AS {LOAD}", raw.table.uri(path), {})
        from penstock.stores.rewriting import Source, Target, rewrite

        file = DataFile(path=path, rows=made.rows, bytes=made.bytes)
        target = Target(f"{PARTITION}=x/new.parquet", (PARTITION, "x"))
        sources = (Source(old.files[0], COLUMNS, 1, (1, 0)), Source(file, wide, 2, (2, 0)))
        new, slices = rewrite(connection, raw.table, sources, wide, target)
        rows = connection.execute(f"SELECT n, text, wide, {LOAD} FROM {literal(raw.table.place(new.path))}").fetchall()
    assert rows == [(1, "a", None, 1), (5000000000, None, "7", 2)]
    assert [(piece.file, piece.first, piece.rows, piece.load) for piece in slices] == [
        (old.files[0].path, 0, 1, 1),
        (path, 1, 1, 2),
    ]


def test_bounds_are_kept_but_not_where_a_file_had_none(raw: Raw) -> None:
    for number in range(3):
        raw.land(DAY_ONE, f"SELECT {number} AS n, 'secret' AS text", columns=COLUMNS[:1])
    done = raw.compact(columns=COLUMNS)
    (file,) = done.entries[0].files
    assert file.statistics == {"n": (0, 2, 0)}
    log = max((raw.root / "_delta_log").glob("*.json")).read_text()
    assert '"dataChange":false' in log
    assert "secret" not in log
    some(raw, 2, start=DAY_ONE + timedelta(days=1))
    done = raw.compact(columns=(replace(COLUMNS[0], personal="mask"), COLUMNS[1]))
    assert set(done.entries[0].files[0].statistics) == {"text"}


def test_open_windows_large_files_and_single_files_stay(raw: Raw) -> None:
    some(raw, 3)
    assert compactable(raw.spec(DAY_ONE + timedelta(hours=5)), raw.table) == 0
    assert raw.compact(DAY_ONE + timedelta(hours=5)).entries == ()
    size = min(file.bytes for file in raw.table.live())
    assert raw.compact(target=size).entries == ()
    assert raw.compact(LATER).files_before == 4
    assert window_of(datetime(2026, 1, 1, 23, 59, 59, tzinfo=UTC), "hour") == datetime(2026, 1, 1, 23, tzinfo=UTC)


def test_the_size_of_new_files_is_what_is_asked_for(raw: Raw) -> None:
    some(raw, 24, step=timedelta(minutes=1))
    largest = max(file.bytes for file in raw.table.live())
    raw.compact(target=largest * 5)
    assert 4 < len(raw.live()) < 16
    assert all(file.bytes < largest * 6 for file in raw.table.live())


def test_what_another_compaction_has_replaced_is_let_go(raw: Raw) -> None:
    loads = some(raw, 5)
    spec = raw.spec()
    before = raw.rows(*loads)
    raw.compact()
    files = sorted(raw.root.glob(f"{PARTITION}=*/*.parquet"))
    assert compact(spec, raw.table, raw.engine, nobody).entries == ()
    assert sorted(raw.root.glob(f"{PARTITION}=*/*.parquet")) == files
    assert raw.rows(*loads) == before


def test_a_conflict_is_tried_again_and_a_broken_file_stops_it(raw: Raw) -> None:
    some(raw, 4)
    commit, refused = raw.table.commit, []

    def refuse_once(entry: Entry, partition_by: tuple[str, ...] = ()) -> Entry:
        if not refused:
            refused.append(entry.number)
            raw.table.commit = commit  # type: ignore[method-assign]
            some(raw, 1, start=LATER)
            raise ConflictError("somebody was first")
        return commit(entry, partition_by)

    raw.table.commit = refuse_once  # type: ignore[method-assign]
    done = raw.compact()
    assert refused
    assert done.entries[0].number > refused[0]
    some(raw, 2, start=DAY_ONE + timedelta(days=1))
    victim = raw.root / next(path for path in raw.live() if "2026-11-02" in path)
    victim.write_bytes(victim.read_bytes()[:-20])
    files = set(raw.live())
    with pytest.raises(DataError):
        raw.compact()
    assert set(raw.live()) == files
    assert not [path for path in raw.root.glob("*/compacted-*") if path.relative_to(raw.root).as_posix() not in files]


def test_one_small_load_out_of_a_large_file_is_cheap(raw: Raw) -> None:
    for number in range(40):
        raw.land(DAY_ONE, f"SELECT range::INTEGER AS n, 'x' || range AS text FROM range({number}, {number} + 50000)")
    raw.compact()
    assert len(raw.live()) == 1
    load = raw.table.entry(17)
    with raw.engine.session() as connection:
        relation = accepted([raw.table.reading(load.files)], located=True)
        query = f"SELECT count(*), min(n), max({ROW}) FROM {relation}"
        counted = connection.execute(query).fetchone()
        plan = connection.execute(f"EXPLAIN ANALYZE SELECT n, text, {ROW} FROM {relation}").fetchall()[0][1]
    assert counted == (50000, 16, 49999)
    assert "2,000,000 rows" not in plan, plan
