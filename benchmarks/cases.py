"""The cases: what is measured, and how its answer is looked at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb

from benchmarks import data, drifting, promoting
from benchmarks.measuring import Contestant, Line, compete, once
from benchmarks.servers import server
from benchmarks.sizes import ROOT, Sizes, Table
from benchmarks.stream_cases import aged, changes, kafka, live, webhooks

_MOST_FOR_PANDERA = 5_000_000
"""Rows that it holds in memory several times over."""
DLT = "PENSTOCK_BENCH_DLT_PYTHON"
"""The environment variable that names an interpreter with dlt and polars."""


def postgres(sizes: Sizes, rounds: int, folder: Path) -> Iterator[Table]:
    """A table of PostgreSQL to the lake and DuckDB."""
    del folder
    with server("postgres") as database:
        data.fill_postgres(database.execute, sizes.postgres)
        url = f"{database.url()}?table={data.TABLE}"
        figures = "sum(quantity), sum(price), sum(discount), max(committed), min(shipped), count(instruction)"
        contestants = [
            _hand("by hand, both targets", "postgres", database.url(), figures, lake=True),
            *(
                _penstock(f"Penstock, both targets, {many}", many.replace(" ", "_"), url, figures, table="raw_t")
                for many in ("one connection", "two connections")
            ),
            _hand("by hand, DuckDB alone", "postgres_to_duckdb", database.url(), figures),
        ]
        python = os.environ.get(DLT)
        if python:
            command = [python, str(Path(__file__).parent / "by_dlt.py"), "{out}", database.url()]
            name = "dlt (pyarrow), DuckDB alone"
            contestants.append(Contestant(name, command, lambda out: _answer(out, "raw.lineitem", figures), peer=True))
        lines = compete(contestants, rounds)
    yield Table("PostgreSQL table to lake and DuckDB, 16 columns", sizes.postgres, lines)


def csv(sizes: Sizes, rounds: int, folder: Path) -> Iterator[Table]:
    """A CSV file to the lake and DuckDB."""
    path = folder / "orders.csv"
    data.write_csv(path, sizes.csv)
    size = path.stat().st_size / 1e6
    figures = "sum(id), sum(round(price * 100)::BIGINT), max(committed), min(shipped), count(instruction)"
    contestants = [
        _hand("by hand, both targets", "csv", str(path), figures, lake=True),
        _penstock("Penstock, both targets", "ingest", str(path), figures),
        _hand("by hand, DuckDB alone", "csv_to_duckdb", str(path), figures),
    ]
    python = os.environ.get(DLT)
    if python:
        command = [python, str(Path(__file__).parent / "by_polars.py"), "{out}", str(path)]
        contestants.append(Contestant("polars, Parquet alone", command, lambda out: _parquet(out, figures), peer=True))
    lines = compete(contestants, rounds)
    path.unlink()
    yield Table(f"CSV of {size:,.0f} MB to lake and DuckDB, 12 columns", sizes.csv, lines)


def small(sizes: Sizes, rounds: int, folder: Path) -> Iterator[Table]:
    """Many small CSV files to the lake and DuckDB."""
    data.write_small(folder / "small", sizes.small)
    paths = str(folder / "small" / "*.csv")
    figures = 'sum(id), sum(round(value * 1000)::BIGINT), max("at"), count(DISTINCT station), count(note)'
    lines = compete(
        [
            _hand("by hand, DuckDB alone", "csv_to_duckdb", paths, figures),
            _hand("by hand, both targets", "csv", paths, figures, lake=True),
            _penstock("Penstock, both targets", "ingest", paths, figures),
        ],
        rounds,
    )
    yield Table(f"{sizes.small:,} CSV files of 4 KB to lake and DuckDB, 5 columns", sizes.small * 100, lines)


def nested(sizes: Sizes, rounds: int, folder: Path) -> Iterator[Table]:
    """Nested JSON lines to the lake, and to a parent and two child tables in DuckDB."""
    path = folder / "orders.jsonl"
    data.write_nested(path, sizes.nested)
    size = path.stat().st_size / 1e6

    def answer(schema: str, lake: str | None) -> Callable[[Path], Any]:
        def look(out: Path) -> Any:
            query = f"""SELECT (SELECT count(*) FROM {schema}t),
                (SELECT sum(hash(id, customer__address__zip, total)) FROM {schema}t),
                (SELECT (count(*), sum(qty), sum(price)::BIGINT, count(DISTINCT sku)) FROM {schema}t__items),
                (SELECT (count(*), sum(lot), max(bin)) FROM {schema}t__items__lots)"""
            (found,) = _look(out / "t.duckdb", query)
            if lake is not None:
                _same_in_lake(out / lake, found[0])
            return found

        return look

    given = str(path)
    contestants = [
        Contestant("by hand, types of all records", _module("by_hand", "nested", given), answer("", "lake")),
        Contestant("Penstock", _module("by_penstock", "nested", given), answer("", "t.lake/raw_t")),
        Contestant(
            "by hand, types guessed from the first", _module("by_hand", "nested_guessed", given), answer("", "lake")
        ),
    ]
    python = os.environ.get(DLT)
    if python:
        command = [python, str(Path(__file__).parent / "by_dlt.py"), "{out}", given]
        contestants.append(Contestant("dlt, DuckDB alone", command, answer("raw.", None), peer=True))
    lines = compete(contestants, rounds)
    path.unlink()
    yield Table(f"Nested JSON lines of {size:,.0f} MB to lake, parent and two child tables", sizes.nested, lines)


def promotion(sizes: Sizes, rounds: int, folder: Path) -> Iterator[Table]:
    """A staged release in which every table is another one, of two sizes."""
    tables, several = sizes.promoted
    moves: dict[str, list[float]] = {}

    def contestant(name: str, work: str, base: Path) -> Contestant:
        def answer(out: Path) -> Any:
            moves.setdefault(name, []).append(float((out / "seconds").read_text()))
            return promoting.seen(out)

        return Contestant(name, [sys.executable, "-m", "benchmarks.promoting", work, "{out}"], answer, base)

    contestants = []
    for rows in several:
        base = folder / f"promoted{rows}"
        base.mkdir()
        command = [sys.executable, "-m", "benchmarks.promoting", "make", str(base), str(tables), str(rows)]
        subprocess.run(command, check=True, cwd=ROOT)
        contestants += [
            contestant(f"by hand, {rows:,} rows a table", "by_hand", base),
            contestant(f"Penstock, {rows:,} rows a table", "penstock", base),
        ]
    lines = compete(contestants, rounds)
    told = "; ".join(f"{name}: {sorted(found)[len(found) // 2]:.2f} s" for name, found in moves.items())
    note = f"The move itself, without the start of Python, in the median: {told}."
    yield Table(f"Promotion of {tables} staged tables", tables, lines, note)


def merge(sizes: Sizes, rounds: int, folder: Path) -> Iterator[Table]:
    """Changed rows merged into tables of two sizes."""
    figures = "count(DISTINCT id), sum(amount), sum(hash(name, email, status, n, note)), max(updated_at)"
    for rows in sizes.merge:
        people, changes = folder / f"people{rows}.parquet", folder / f"changes{rows}.parquet"
        data.write_people(people, rows)
        data.write_changes(changes, rows, sizes.changed)
        by_hand, by_penstock = folder / f"hand{rows}", folder / f"penstock{rows}"
        for module, work, base in (("by_hand", "parquet", by_hand), ("by_penstock", "merge", by_penstock)):
            base.mkdir()
            command = [sys.executable, "-m", f"benchmarks.{module}", work, str(base), str(people)]
            subprocess.run(command, check=True, cwd=ROOT)
        alone, landed = "by hand: delete and insert, DuckDB alone", rows + sizes.changed
        lines = compete(
            [
                _hand("by hand, lake and DuckDB", "merge", str(changes), figures, lake=landed, base=by_hand),
                _penstock("Penstock, lake and DuckDB", "merge", str(changes), figures, lake=landed, base=by_penstock),
                _hand(alone, "merge_to_duckdb", str(changes), figures, base=by_hand),
            ],
            rounds,
        )
        yield Table(f"{sizes.changed:,} rows merged into {rows:,}", sizes.changed, lines)


def transforms(sizes: Sizes, rounds: int, folder: Path) -> Iterator[Table]:
    """Twenty SQL transforms that do next to nothing."""
    del sizes
    project, script = folder / "noop", folder / "noop.sql"
    models = data.write_transforms(project)
    made = ["CREATE TABLE seed AS SELECT 0 AS x", *(f"CREATE TABLE {name} AS {query}" for name, query in models)]
    script.write_text(";\n".join(made))
    ready = folder / "ready"
    once(_project("prepared", project, lambda out: out.rename(ready)))

    def answer(out: Path) -> Any:
        found = next(path for path in (out / "t.duckdb", out / "data/staging/warehouse.duckdb") if path.exists())
        return _look(found, f"SELECT sum(x) FROM (FROM {' UNION ALL FROM '.join(name for name, _ in models)})")

    lines = compete(
        [
            Contestant("by hand: 20 CREATE TABLE AS", _module("by_hand", "transforms", str(script)), answer),
            _project("Penstock, first run", project, answer),
            _project("Penstock, nothing to do", ready, answer),
        ],
        rounds,
    )
    yield Table("20 no-op SQL transforms, start-up included", 20, lines)


def planning(sizes: Sizes, rounds: int, folder: Path) -> Iterator[Table]:
    """Projects of few and of many tables, in which nothing is to be done."""
    lines: list[Line] = []
    for tables in sizes.tables:
        project, ready = folder / f"noop{tables}", folder / f"ready{tables}"
        last = data.write_transforms(project, tables)[-1][0]

        def answer(out: Path, last: str = last) -> Any:
            return _look(out / "data/staging/warehouse.duckdb", f"SELECT count(*), sum(x) FROM {last}")

        once(_project("prepared", project, lambda out, ready=ready: out.rename(ready)))
        contestants = [
            _project(f"Penstock, {work}, {tables:,} tables", ready, answer, work) for work in ("plan", "run")
        ]
        lines += [replace(line, ratios=(), rows=tables) for line in compete(contestants, rounds)]
    few, many = sizes.tables
    step = (lines[-1].seconds - lines[1].seconds) / (many - few)
    note = f"A step that has nothing to do takes {step * 1000:.1f} ms of a run."
    yield Table("Nothing to do, start-up included", many, lines, note)


def checks(sizes: Sizes, rounds: int, folder: Path) -> Iterator[Table]:
    """Thirty checks over rows of which some are bad; the counts must be equal."""

    def answer(out: Path) -> Any:
        return json.loads((out / "counts.json").read_text())

    for stirred, keys in ((False, "keys in order"), (True, "keys in no order")):
        file = str(data.write_checked(folder / f"checked{stirred:d}", sizes.checked, stirred=stirred))
        contestants = [
            Contestant("by hand: one query, count(DISTINCT)", _module("checking", "fused", file), answer),
            Contestant("Penstock, checks alone", _module("checking", "penstock", file), answer),
            Contestant("Penstock, with whole profile", _module("checking", "profiled", file), answer),
        ]
        if sizes.checked <= _MOST_FOR_PANDERA:
            peer = _module("checking", "pandera", file)
            contestants.append(Contestant("Pandera, 24 of them", peer, answer, peer=True))
        lines = compete(contestants, rounds)
        yield Table(f"30 checks over a Parquet file of 16 columns, {keys}", sizes.checked, lines)


def drift(sizes: Sizes, rounds: int, folder: Path) -> Iterator[Table]:
    """Two tables of twenty columns, of which four are shifted: exactly these must be found."""
    given = folder / "drift"
    drifting.write(given, sizes.drifting)

    def answer(out: Path) -> Any:
        found = json.loads((out / "drifted.json").read_text())
        return "the shifted columns" if found == sorted(drifting.SHIFTED) else found

    contestants = [
        Contestant("by hand: DuckDB reads both tables", _module("drifting", "by_hand", str(given)), answer),
        Contestant("Penstock, from kept profiles", _module("drifting", "penstock", str(given)), answer),
    ]
    lines = compete(contestants, rounds)
    note = f"Each is compared with {sizes.drifting[1]:,} rows; every run found the four shifted columns and no other."
    yield Table("Drift of 20 columns, start-up included", sizes.drifting[0], lines, note)


def memory(sizes: Sizes, rounds: int, folder: Path) -> Iterator[Table]:
    """The memory of the process tree at one and ten times the rows of a table of PostgreSQL, each once."""
    del folder, rounds
    lines = []
    with server("postgres") as database:
        data.fill_postgres(database.execute, sizes.postgres)
        again = f"SELECT l.* FROM {data.TABLE} l CROSS JOIN generate_series(1, 10)"
        for rows, what in ((sizes.postgres, f"table={data.TABLE}"), (10 * sizes.postgres, f"query={quote(again)}")):
            sample = once(_penstock(f"Penstock, {rows:,} rows", "ingest", f"{database.url()}?{what}", "sum(price)"))
            lines.append(Line(f"Penstock, {rows:,} rows", [sample], rows=rows))
    growth = lines[-1].peak / lines[0].peak - 1
    note = f"The peak grows by {growth:.0%}; ten times the rows are a query that gives each row ten times."
    yield Table("Memory, PostgreSQL table to lake and DuckDB", 10 * sizes.postgres, lines, note)


CASES = {
    "postgres": postgres,
    "csv": csv,
    "small": small,
    "nested": nested,
    "merge": merge,
    "transforms": transforms,
    "planning": planning,
    "memory": memory,
    "checks": checks,
    "drift": drift,
    "promotion": promotion,
    "kafka": kafka,
    "live": live,
    "webhooks": webhooks,
    "cdc": changes,
    "aging": aged,
}


def _module(name: str, work: str, *given: str) -> list[str]:
    return [sys.executable, "-m", f"benchmarks.{name}", work, "{out}", *given]


def _hand(
    name: str, work: str, given: str, figures: str, *, lake: bool | int = False, base: Path | None = None
) -> Contestant:
    """Return a contestant by hand; ``lake``: it fills one, with so many rows where these are not the table's."""

    def answer(out: Path) -> Any:
        found = _answer(out, "t", figures)
        if lake:
            _same_in_lake(out / "lake", found[0] if lake is True else lake)
        return found

    return Contestant(name, _module("by_hand", work, given), answer, base)


def _penstock(
    name: str,
    work: str,
    given: str,
    figures: str,
    *,
    lake: int | None = None,
    base: Path | None = None,
    table: str = "t",
) -> Contestant:
    """Return Penstock as a contestant; ``lake`` says how many rows its raw zone holds where not the table's."""

    def answer(out: Path) -> Any:
        found = _answer(out, table, figures)
        _same_in_lake(out / "t.lake" / "raw_t", found[0] if lake is None else lake)
        return found

    return Contestant(name, _module("by_penstock", work, given), answer, base)


def _project(name: str, base: Path, answer: Any, work: str = "run") -> Contestant:
    return Contestant(name, _module("by_penstock", work), answer, base)


def _answer(out: Path, table: str, figures: str) -> tuple[Any, ...]:
    """Return count, key figures and the types of the source's own columns."""
    file = out / "t.duckdb"
    described = _look(file, f"DESCRIBE {table}")
    types = tuple(row[1] for row in described if not row[0].startswith("_"))
    return (*_look(file, f"SELECT count(*), {figures} FROM {table}")[0], types)


def _parquet(out: Path, figures: str) -> tuple[Any, ...]:
    """Return the same of one Parquet file."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE VIEW t AS FROM read_parquet('{out / 't.parquet'}')")
        types = tuple(row[1] for row in connection.execute("DESCRIBE t").fetchall())
        return (*connection.execute(f"SELECT count(*), {figures} FROM t").fetchall()[0], types)


def _look(file: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(file), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(query).fetchall()


def _same_in_lake(lake: Path, rows: int) -> None:
    from deltalake import DeltaTable

    files = DeltaTable(str(lake)).file_uris()
    with duckdb.connect() as connection:
        query = "SELECT count(*) FROM read_parquet(?, hive_partitioning = false)"
        found = connection.execute(query, [files]).fetchall()
    if found != [(rows,)]:
        raise AssertionError(f"the lake {lake} holds {found}, the table {rows}")
