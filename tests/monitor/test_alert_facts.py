"""Facts are folded from entries, whatever the pieces they come in; findings are functions of facts and the clock."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from penstock.model.alerts import AlertsSpec, Finding
from penstock.model.codec import decode, encode
from penstock.model.entries import (
    CheckFailure,
    CheckReport,
    DataFile,
    Entry,
    EntryKind,
    Misfits,
    TakenRows,
    Verdict,
    Work,
)
from penstock.model.interval import Interval
from penstock.model.receipts import RunReceipt, State, StepReceipt
from penstock.model.releases import Release, TableVersion
from penstock.monitor.alerts import PipelineFacts, TableFacts, find, show
from penstock.monitor.arrivals import Arrivals, Released, fold, fold_releases

FIRST = datetime(2026, 9, 1, 2, tzinfo=UTC)
DAY = timedelta(days=1)
BEGUN = Arrivals(table="raw_orders", watched=("at",))


def failed(check: str, severity: str) -> CheckFailure:
    return CheckFailure(check=check, severity=severity, columns=("id",), count=1, message="1 is 2", owner="ada")


def load(number: int, at: datetime, rows: int = 5, **more: Any) -> Entry:
    return Entry(
        table="raw_orders",
        number=number,
        previous=number - 1 or None,
        kind=EntryKind.LOAD,
        created_at=at,
        rows=rows,
        **{"run": f"r{number}", **more},
    )


def verdict(number: int, about: int, at: datetime, word: Verdict = Verdict.ACCEPTED, *failures: CheckFailure) -> Entry:
    aside = sum(failure.severity == "quarantine" for failure in failures)
    report = CheckReport(rows=5, failures=failures, quarantined=aside)
    entry = replace(load(number, at, 0), kind=EntryKind.VERDICT, load=about, verdict=word, report=report)
    return replace(entry, run=None)


def version(number: int, at: datetime, newest: str, *failures: CheckFailure, interval: Interval | None = None) -> Entry:
    file = DataFile(path="x", rows=1, bytes=1, statistics={"at": (newest, newest, 0)})
    entry = replace(load(number, at), kind=EntryKind.VERSION, files=(file,), interval=interval)
    return replace(entry, report=CheckReport(rows=1, failures=failures))


def dated(newest: str) -> tuple[DataFile, ...]:
    return (DataFile(path="x", rows=1, bytes=1, statistics={"at": ("2020-01-01", newest, 0)}),)


def history(days: int) -> list[Entry]:
    found = []
    for day in range(days):
        at = FIRST + day * DAY
        found.append(load(2 * day + 1, at, files=dated(f"{at - DAY:%Y-%m-%dT%H:%M:%SZ}")))
        found.append(verdict(2 * day + 2, 2 * day + 1, at))
    return found


def test_pieces_make_the_same_as_the_whole_and_come_back_from_where_they_are_kept() -> None:
    entries = history(80)
    whole = fold(BEGUN, entries)
    drawn = random.Random(5)
    known, place = BEGUN, 0
    while place < len(entries):
        size = drawn.randint(1, 9)
        known = decode(Arrivals, encode(fold(known, entries[place : place + size])), where="it")
        place += size
    assert known == whole
    assert whole.last == FIRST + 79 * DAY
    assert whole.landed == {}
    assert len(whole.news) < 60


@pytest.mark.parametrize(
    "more",
    [
        {"rows": 0},
        {"supersedes": (1,)},
        {"taken": TakenRows(load=1, extracted=1, rows=5, path="x")},
        {"work": Work(interval=Interval(FIRST - 9 * DAY, FIRST - 8 * DAY))},
    ],
    ids=lambda more: next(iter(more)),
)
def test_what_brings_nothing_new_is_no_news(more: dict[str, Any]) -> None:
    known = fold(BEGUN, [load(1, FIRST, work=Work(interval=Interval(FIRST - DAY, FIRST)))])
    assert fold(known, [load(2, FIRST + DAY, **more)]).last == FIRST
    assert fold(known, [load(2, FIRST + DAY)]).last == FIRST + DAY


def test_the_intervals_of_one_backfill_came_at_once() -> None:
    intervals = [Interval(FIRST + day * DAY, FIRST + (day + 1) * DAY) for day in range(90)]
    entries = [
        load(number, FIRST + timedelta(hours=number), run="one", work=Work(interval=interval))
        for number, interval in enumerate(intervals, 1)
    ]
    known = fold(BEGUN, entries)
    assert known.news == (FIRST + timedelta(hours=1),)
    assert known.last == entries[-1].created_at


def test_a_rejected_load_waits_until_somebody_decides() -> None:
    entries = [load(1, FIRST), verdict(2, 1, FIRST, Verdict.REJECTED, failed("unique", "error"), failed("w", "warn"))]
    known = fold(BEGUN, entries)
    assert known.refused["1"].checks == ("unique",)
    assert known.refused["1"].owners == ("ada",)
    for word in (Verdict.ACCEPTED, Verdict.DISCARDED, Verdict.RETRIED):
        assert fold(known, [verdict(3, 1, FIRST, word)]).refused == {}


def test_rejected_versions_wait_for_the_next_of_their_interval() -> None:
    days = [Interval(FIRST + day * DAY, FIRST + (day + 1) * DAY) for day in (0, 1)]
    bad = [version(n, FIRST, "2026-09-01", failed("unique", "error"), interval=each) for n, each in enumerate(days, 1)]
    known = fold(BEGUN, bad)
    assert {each.number for each in known.refused.values()} == {1, 2}
    assert known.events == {}
    known = fold(known, [version(3, FIRST, "2026-08-30", interval=days[0])])
    assert {each.number for each in known.refused.values()} == {2}


def test_newest_moments_count_when_they_are_accepted_and_never_as_later_than_now() -> None:
    known = fold(BEGUN, [load(1, FIRST, files=dated("2099-01-01T00:00:00Z"))])
    assert known.events == {}
    known = fold(known, [verdict(2, 1, FIRST + DAY)])
    assert known.events == {"at": FIRST}
    known = fold(known, [load(3, FIRST + DAY, files=dated("2026-08-01")), verdict(4, 3, FIRST + DAY)])
    assert known.events == {"at": FIRST}
    # A whole version stands for itself.
    known = fold(known, [version(5, FIRST + DAY, "2026-08-01 12:00:00")])
    assert known.events == {"at": datetime(2026, 8, 1, 12, tzinfo=UTC)}
    assert known.versions["5"] == known.events


def test_lines_that_are_no_rows_count_as_set_aside() -> None:
    entries = [load(1, FIRST, misfits=Misfits(path="m", rows=5)), verdict(2, 1, FIRST)]
    known = fold(BEGUN, entries)
    assert known.aside is not None
    assert (known.aside.rows, known.aside.aside) == (10, 5)


def test_releases_are_counted_without_ways_back() -> None:
    def release(number: int, back: int | None = None) -> Release:
        return Release(
            number=number,
            previous=number - 1,
            candidate="c",
            pipeline="shop",
            created_at=FIRST + number * DAY,
            by="ada",
            reason="",
            tables=(TableVersion(table="paid", number=10 * (back or number), rows=1, schema=(), files=()),),
            rollback_to=back,
            warehouse="1.duckdb",
        )

    known = fold_releases(Released(), [release(1), release(2), release(3, back=1)])
    assert known.tables == {"paid": 10}
    assert known.moments == {"shop": (FIRST + DAY, FIRST + 2 * DAY)}
    assert decode(Released, encode(known), where="it") == known


def found(arrivals: Arrivals, at: datetime, spec: AlertsSpec | None = None, **more: Any) -> tuple[Finding, ...]:
    table = TableFacts(name="orders", arrivals=arrivals, source=True, **more)
    return find([PipelineFacts(name="shop", tables=(table,))], spec or AlertsSpec(), at)


def test_the_same_facts_at_the_same_moment_give_the_same_findings() -> None:
    arrivals = fold(BEGUN, history(40))
    last = arrivals.last
    assert last is not None
    assert found(arrivals, last + DAY) == ()
    assert [each.id for each in found(arrivals, last + 1.2 * DAY)] == ["silent:orders"]
    assert found(arrivals, last + 1.2 * DAY) == found(arrivals, last + 1.2 * DAY)
    assert found(arrivals, last + 1.2 * DAY, AlertsSpec(learn=False)) == ()
    assert found(arrivals, last + 1.2 * DAY, silent_after=2 * DAY) == ()
    assert found(arrivals, last + 2.1 * DAY, AlertsSpec(learn=False), silent_after=2 * DAY)


def test_what_is_made_is_not_said_to_be_silent() -> None:
    table = TableFacts(name="paid", arrivals=fold(BEGUN, history(40)), source=False)
    assert find([PipelineFacts(name="shop", tables=(table,))], AlertsSpec(), FIRST + 90 * DAY) == ()


def test_releases_that_stay_away_are_told_of() -> None:
    moments = tuple(FIRST + day * DAY for day in range(40))
    facts = PipelineFacts(name="shop", releases=moments)
    assert find([facts], AlertsSpec(), moments[-1] + DAY) == ()
    assert [each.id for each in find([facts], AlertsSpec(), moments[-1] + 2 * DAY)] == ["late:shop:production"]


@pytest.mark.parametrize(
    ("duration", "said"),
    [
        (timedelta(seconds=2.3), "2s"),
        (timedelta(minutes=90, seconds=10), "1h30m"),
        (timedelta(hours=27), "1d3h"),
        (timedelta(days=3, minutes=40), "3d1h"),
    ],
)
def test_durations_are_said_as_exactly_as_anybody_wants_to_know(duration: timedelta, said: str) -> None:
    assert show(duration) == said


def test_what_checks_rejected_of_a_transform_is_told_until_a_run_is_accepted() -> None:
    table = TableFacts(name="paid", arrivals=None, source=False)
    report = CheckReport(failures=(failed("unique", "error"),))

    def told(state: State) -> list[tuple[str, tuple[str, ...]]]:
        step = StepReceipt(step="transform paid", table="paid", state=state, report=report)
        run = RunReceipt(
            id="r1", pipeline="shop", command="run", started=FIRST, finished=FIRST, state=state, steps=(step,)
        )
        facts = PipelineFacts(name="shop", tables=(table,), ended=run, made=run)
        return [(each.said, each.owners) for each in find([facts], AlertsSpec(), FIRST)]

    assert told(State.REJECTED) == [
        ("What run r1 made of paid was rejected by unique; the version before it stands.", ("ada",))
    ]
    assert told(State.DONE) == []
