"""Windows that are live, as their stream is: production has with each micro-batch what all events make of them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from live_postgres import asked, database, live_project
from stream_project import append, begun, drained, end_leases, made, penstock, said, served, until
from windowed import START, Event, alike, cut, expected, newest, shuffled

from penstock import Pipeline, sources, windows
from penstock.errors import ConfigurationError
from penstock.model.receipts import State
from servers.postgres import PostgresServer

PIPELINE = """
from penstock import Pipeline, sources, windows
clicks = Pipeline(
    name="clicks",
    sources=[
        sources.tail("logs/clicks*", table="clicks", event_time="at", write="merge", key="id", cursor="version",
                     stream={"every": "50ms", "live": True}),
        sources.tail("logs/plans*", table="plans", event_time="since", stream={"every": "50ms"}),
    ],
    transforms=[
        windows.live(windows.tumbling("minutes", of="clicks", key="user", size="1m",
                                      sql="count(*) AS views, sum(ms) AS ms")),
        windows.live(windows.hopping("hops", of="clicks", size="1m", every="20s",
                                     sql="count(DISTINCT video) AS videos")),
        windows.live(windows.session("sessions", of="clicks", key="user", gap="15s",
                                     sql="count(*) AS views, max(ms) AS most")),
        windows.live(windows.running("lately", of="clicks", key="user", over="40s",
                                     sql="count(*) AS views, max_by(ms, ms, 2) AS top")),
        windows.live(windows.join("planned", of="clicks", to="plans", on="user", sql="plan")),
    ],
)
"""
Ask = Callable[[str], list[tuple[Any, ...]]]


def seconds(column: str) -> str:
    return f"round(extract(epoch FROM {column})::NUMERIC - {int(START.timestamp())}, 3)::DOUBLE PRECISION"


def asking() -> dict[str, str]:
    """Return a query of each table that DuckDB and PostgreSQL answer alike."""
    start, end, at = seconds("window_start"), seconds("window_end"), seconds('"at"')
    moment = seconds('CAST("at" AS TIMESTAMP WITH TIME ZONE)')
    return {
        "minutes": f'SELECT "user", {start}, {end}, views, ms::BIGINT FROM minutes',
        "hops": f"SELECT {start}, {end}, videos FROM hops",
        "sessions": f'SELECT "user", {start}, {end}, views, most FROM sessions',
        "lately": f'SELECT "user", {at}, views, top[1] FROM lately',
        "planned": f"SELECT id, {moment}, plan FROM planned",
    }


def rows(ask: Ask) -> dict[str, list[tuple[Any, ...]]]:
    return {table: sorted(ask(query), key=repr) for table, query in asking().items()}


def in_files(folder: Path) -> Ask:
    """Return what asks as a reader does who has DuckDB and nothing else."""

    def ask(query: str) -> list[tuple[Any, ...]]:
        table = query.rpartition(" ")[2]
        path = folder / f"data/production/warehouse.live/{table}.duckdb"
        with duckdb.connect(str(path), read_only=True) as connection:
            return connection.execute(query).fetchall()

    return ask


@pytest.fixture(params=["files", pytest.param("postgres", marks=pytest.mark.postgres)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Ask]:
    """A project, and what asks its production."""
    if request.param == "files":
        return made(tmp_path, PIPELINE), in_files(tmp_path)
    server: PostgresServer = request.getfixturevalue("postgres")
    url = database(server.url(), "live_windows")
    return live_project(tmp_path, url, PIPELINE), lambda query: asked(url, query)


def plan(user: str, second: float, name: str) -> dict[str, Any]:
    return {"user": user, "since": (START + timedelta(seconds=second)).isoformat(), "plan": name}


def verify(folder: Path, ask: Ask, came: list[Event]) -> None:
    """Compare production with the staging warehouse, and both with what all events at once make."""
    found = rows(ask)
    assert found == rows(lambda query: served(folder, query))
    alike(found, expected(newest(came), []), "minutes", "hops", "sessions")


def test_production_has_what_all_events_make_of_them(place: tuple[Path, Ask]) -> None:
    folder, ask = place
    came: list[Event] = []
    for number, batch in enumerate(cut(8, shuffled(8), 6)):
        came += batch
        append(folder / "logs/clicks.jsonl", [event.row for event in batch])
        append(folder / "logs/plans.jsonl", [plan("ab"[number % 2], 20.0 * (5 - number), f"p{number}")])
        receipt = drained(folder)
        assert receipt.state is State.DONE, receipt.error
        verify(folder, ask, came)
    # A run computes all of them, and the stream goes on behind it.
    assert penstock(folder, "run").returncode == 0
    append(folder / "logs/clicks.jsonl", [Event(5000, 1, "a", "v1", 7, 130.5).row])
    assert drained(folder).state is State.DONE
    verify(folder, ask, [*came, Event(5000, 1, "a", "v1", 7, 130.5)])
    # Another declaration has other rows, and other columns.
    text = (folder / "pipeline.py").read_text()
    (folder / "pipeline.py").write_text(text.replace("max(ms) AS most", "max(ms) / 2 AS most, min(ms) AS least"))
    assert drained(folder).state in (State.DONE, State.UNCHANGED)
    query = 'SELECT "user", views, most, least FROM sessions'
    assert sorted(ask(query)) == sorted(served(folder, query))


def test_another_process_sees_them_within_seconds_whatever_is_killed(place: tuple[Path, Ask]) -> None:
    folder, ask = place
    came, chance = shuffled(9, 200), random.Random(9)
    parts = cut(9, came, 12)
    append(folder / "logs/plans.jsonl", [plan("a", 10.0, "free")])
    process = begun(folder, "stream")
    try:
        for number, batch in enumerate(parts):
            append(folder / "logs/clicks.jsonl", [event.row for event in batch])
            if number % 4 == 3:
                time.sleep(chance.uniform(0.0, 1.5))
                process.kill()
                process.wait()
                end_leases(folder)
                process = begun(folder, "stream")
        count = len(newest(came))
        until(lambda: there(ask) == count)
        append(folder / "logs/clicks.jsonl", [Event(5000, 1, "a", "v1", 7, 130.5).row])
        until(lambda: there(ask) == count + 1)
    finally:
        process.kill()
        process.wait()
    end_leases(folder)
    assert drained(folder).state is not State.FAILED, said(folder)
    verify(folder, ask, [*came, Event(5000, 1, "a", "v1", 7, 130.5)])


def there(ask: Ask) -> int:
    try:
        return int(ask("SELECT sum(views) FROM minutes")[0][0] or 0)
    except Exception:
        return 0


def test_what_cannot_be_live_is_refused() -> None:
    def stream(**asked_: Any) -> Any:
        return sources.tail("logs/clicks*", table="clicks", event_time="at", stream={"every": "1s", **asked_})

    counted = windows.live(windows.tumbling("minutes", of="clicks", size="1m", sql="count(*) AS n"))
    for source in (stream(), stream(live=True, load="run")):
        with pytest.raises(ConfigurationError, match="is no live stream that loads the staging warehouse"):
            Pipeline(name="p", sources=[source], transforms=[counted])
    with pytest.raises(ConfigurationError, match="promotes windows that are live"):
        Pipeline(name="p", sources=[stream(live=True)], transforms=[counted], promote=["minutes"])
    joined = windows.live(windows.join("j", of="clicks", to="t", on="user", sql="x", since="since"))
    other = sources.files("t.csv", table="t", write="replace")
    with pytest.raises(ConfigurationError, match="nothing tells the events of 'clicks' apart"):
        Pipeline(name="p", sources=[stream(live=True), other], transforms=[joined])
