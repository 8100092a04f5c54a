"""A pipeline of windows, events for it, and what its windows must be, worked out one by one in plain Python."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from stream_project import served

START = datetime(2026, 11, 22, 5, tzinfo=UTC)
PIPELINE = """
from penstock import Pipeline, sources, windows
clicks = Pipeline(
    name="clicks",
    sources=[
        sources.tail("logs/clicks*", table="clicks", event_time="at", WRITE, stream={"every": "50ms", STREAM}),
        sources.tail("logs/plans*", table="plans", event_time="since", stream={"every": "50ms"}),
    ],
    transforms=[
        windows.tumbling("minutes", of="clicks", key="user", size="1m", sql="count(*) AS views, sum(ms) AS ms", EMIT),
        windows.hopping("hops", of="clicks", size="1m", every="20s", sql="count(DISTINCT video) AS videos", EMIT),
        windows.session("sessions", of="clicks", key="user", gap="15s", sql="count(*) AS views, max(ms) AS most", EMIT),
        RUNNING
    ],
)
"""
RUNNING = """
        windows.running("lately", of="clicks", key="user", over="40s",
                        sql="count(*) AS views, sum(ms) / 40.0 AS rate, max_by(ms, ms, 2) AS top"),
        windows.join("planned", of="clicks", to="plans", on="user", sql="plan"),
"""


@dataclass(frozen=True)
class Event:
    """A click; a greater version of one that came before replaces it."""

    id: int
    version: int
    user: str
    video: str
    ms: int
    second: float

    @property
    def at(self) -> datetime:
        return START + timedelta(seconds=self.second)

    @property
    def row(self) -> dict[str, Any]:
        # Some clocks say another time zone.
        zoned = self.at.isoformat()
        if self.id % 3 == 0:
            zoned = (self.at + timedelta(hours=1)).replace(tzinfo=None).isoformat() + "+01:00"
        return {
            "id": self.id,
            "version": self.version,
            "user": self.user,
            "video": self.video,
            "ms": self.ms,
            "at": zoned,
        }


def shuffled(seed: int, count: int = 120) -> list[Event]:
    """Return events out of order, some of them late, some of them more than once, with another time or user too."""
    chance = random.Random(seed)
    events = [
        Event(
            n, 1, chance.choice("abc"), f"v{chance.randrange(6)}", chance.randrange(1000), chance.randrange(6000) / 20
        )
        for n in range(count)
    ]
    events.sort(key=lambda event: event.second + chance.choice((0, 0, 3, 10, 80)))
    for _ in range(count // 4):
        event = chance.choice(events)
        moved = chance.choice((0.0, 0.0, chance.randrange(-800, 800) / 20))
        again = Event(event.id, chance.choice((1, 2, 3)), chance.choice("abc"), event.video, chance.randrange(1000), 0)
        again = Event(**{**again.__dict__, "second": event.second + moved})
        # One version of an event says the same wherever it comes from.
        known = next((each for each in events if (each.id, each.version) == (again.id, again.version)), None)
        events.insert(chance.randrange(len(events)), known or again)
    return events


def cut(seed: int, events: list[Event], batches: int = 5) -> list[list[Event]]:
    """Return the same in micro-batches of any sizes."""
    chance = random.Random(seed)
    places = sorted(chance.sample(range(1, len(events)), batches - 1))
    return [events[first:after] for first, after in zip([0, *places], [*places, len(events)], strict=True)]


def newest(events: Iterable[Event]) -> list[Event]:
    """Return of each event its greatest version."""
    found: dict[int, Event] = {}
    for event in events:
        if event.id not in found or event.version > found[event.id].version:
            found[event.id] = event
    return list(found.values())


def expected(events: list[Event], plans: list[tuple[str, float, str]]) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of each table, seconds in the place of moments."""
    return {
        "minutes": _minutes(events),
        "hops": _hops(events),
        "sessions": _sessions(events),
        "lately": _lately(events),
        "planned": _planned(events, plans),
    }


def _minutes(events: list[Event]) -> list[tuple[Any, ...]]:
    found: Mapping[tuple[str, float], list[Event]] = defaultdict(list)
    for event in events:
        found[event.user, event.second // 60 * 60].append(event)
    return sorted((u, at, at + 60, len(each), sum(one.ms for one in each)) for (u, at), each in found.items())


def _hops(events: list[Event]) -> list[tuple[Any, ...]]:
    found: Mapping[float, set[str]] = defaultdict(set)
    for event in events:
        for start in range(-80, 400, 20):
            if start <= event.second < start + 60:
                found[start].add(event.video)
    return sorted((at, at + 60, len(each)) for at, each in found.items())


def _sessions(events: list[Event]) -> list[tuple[Any, ...]]:
    made = []
    for user in {event.user for event in events}:
        own = sorted((event for event in events if event.user == user), key=lambda event: event.second)
        session: list[Event] = []
        for event in own:
            if session and event.second - session[-1].second >= 15:
                made.append((user, session))
                session = []
            session.append(event)
        made.append((user, session))
    return sorted((u, s[0].second, s[-1].second + 15, len(s), max(one.ms for one in s)) for u, s in made)


def _lately(events: list[Event]) -> list[tuple[Any, ...]]:
    made = set()
    for event in events:
        near = [
            each.ms for each in events if each.user == event.user and event.second - 40 < each.second <= event.second
        ]
        top = tuple(sorted(near, reverse=True)[:2])
        made.add((event.user, event.second, len(near), sum(near) / 40.0, top))
    return sorted(made)


def _planned(events: list[Event], plans: list[tuple[str, float, str]]) -> list[tuple[Any, ...]]:
    made = []
    for event in events:
        had = [plan for plan in plans if plan[0] == event.user and plan[1] <= event.second]
        made.append((event.id, event.second, max(had, key=lambda plan: plan[1])[2] if had else None))
    return sorted(made, key=repr)


def standing(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return what the warehouse has, in the same form."""
    second = f"epoch_us({{}}) / 1e6 - {START.timestamp()}"
    of = {
        "minutes": f"user, {second.format('window_start')}, {second.format('window_end')}, views, ms",
        "hops": f"{second.format('window_start')}, {second.format('window_end')}, videos",
        "sessions": f"user, {second.format('window_start')}, {second.format('window_end')}, views, most",
        "lately": f"user, {second.format(chr(34) + 'at' + chr(34))}, views, rate, top",
        "planned": f"id, {second.format(chr(34) + 'at' + chr(34))}, plan",
    }
    there = {name for (name,) in served(folder, "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'main'")}
    found = {}
    for table, columns in of.items():
        rows = served(folder, f"SELECT {columns} FROM {table}") if table in there else []
        found[table] = _sorted(rows)
    return found


def _sorted(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    plain = [tuple(tuple(each) if isinstance(each, list) else _rounded(each) for each in row) for row in rows]
    return sorted(plain, key=repr)


def _rounded(value: Any) -> Any:
    return round(value, 6) if isinstance(value, float) else value


def alike(one: dict[str, list[tuple[Any, ...]]], other: dict[str, list[tuple[Any, ...]]], *tables: str) -> None:
    """Say where two differ."""
    for table in tables or one:
        left = sorted(({tuple(map(_rounded, row)) for row in one[table]}), key=repr)
        right = sorted(({tuple(map(_rounded, row)) for row in other[table]}), key=repr)
        assert left == right, table
        assert len(one[table]) == len(other[table]), table
