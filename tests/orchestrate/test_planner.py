"""The planner is pure: what is wanted and known go in, what would be done and why comes out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from penstock.catalog.port import LoadRecord
from penstock.errors import ConfigurationError
from penstock.model.entries import Entry, EntryKind, Verdict, Work
from penstock.model.interval import Interval
from penstock.model.plan import Action
from penstock.model.specs import PipelineSpec, SourceSpec, TransformSpec, WriteMode
from penstock.orchestrate import planner
from penstock.orchestrate.ledger import Ledger, SourceLedger, VersionLedger

AT = datetime(2013, 1, 5, 12, tzinfo=UTC)
DAYS = [Interval.parse(f"2013-01-0{day}") for day in range(1, 6)]

daily = TransformSpec(table="daily", sql="SELECT 1", inputs=("flights",), interval="day")
total = TransformSpec(table="total", sql="SELECT 1", inputs=("daily", "planes"))
spec = PipelineSpec(
    name="p",
    schedule="@daily",
    start=datetime(2013, 1, 1, tzinfo=UTC),
    sources=(SourceSpec(table="flights", kind="sql", interval="day"), SourceSpec(table="planes", kind="files")),
    transforms=(daily, total),
)


def load(number: int, interval: Interval | None = None, **fields: object) -> Entry:
    work = Work(interval=interval, position=None if interval else {"cursor": number})
    return Entry(table="raw_x", number=number, previous=None, kind=EntryKind.LOAD, created_at=AT, work=work, **fields)


def record(number: int, interval: Interval | None, verdict: Verdict | None, **fields: object) -> LoadRecord:
    return LoadRecord(entry=load(number, interval, **fields), verdict=verdict, verdict_entry=None)


def version(number: int, interval: Interval | None, fingerprint: str) -> Entry:
    return Entry(
        table="t",
        number=number,
        previous=None,
        kind=EntryKind.VERSION,
        created_at=AT,
        interval=interval,
        fingerprint=fingerprint,
    )


def known(*records: LoadRecord, planes: tuple[LoadRecord, ...] = ()) -> Ledger:
    return Ledger(
        sources={
            "flights": SourceLedger("raw_flights", WriteMode.APPEND, list(records)),
            "planes": SourceLedger("raw_planes", WriteMode.REPLACE, list(planes)),
        },
        versions={"daily": VersionLedger("daily"), "total": VersionLedger("total")},
    )


def made(ledger: Ledger, interval: Interval | None = None, **options: object) -> planner.Plan:
    wanted = planner.Wanted(interval=interval, at=AT, codes={"daily": "d1", "total": "t1"}, **options)
    return planner.plan(spec, spec.transforms, ledger, wanted)


def steps(plan: planner.Plan, action: Action, table: str) -> list[Interval | None]:
    return [step.interval for step in plan.steps if step.action is action and step.table == table]


def test_only_intervals_that_have_ended_are_due() -> None:
    assert planner.intervals(spec, None, AT) == tuple(DAYS[:4])


def test_an_interval_that_is_asked_for_is_cut_to_whole_steps_of_the_schedule() -> None:
    asked = Interval(datetime(2013, 1, 2, 6, tzinfo=UTC), datetime(2013, 1, 4, tzinfo=UTC))
    assert planner.intervals(spec, asked, AT) == tuple(DAYS[1:3])


def test_time_before_the_start_is_refused_with_the_start_named() -> None:
    with pytest.raises(ConfigurationError, match="starts at 2013-01-01"):
        planner.intervals(spec, Interval.parse("2012-12-31"), AT)


def test_a_first_run_reads_every_due_interval_and_every_source() -> None:
    plan = made(known())
    assert steps(plan, Action.EXTRACT, "flights") == DAYS[:4]
    assert steps(plan, Action.EXTRACT, "planes") == [None]
    assert steps(plan, Action.TRANSFORM, "daily") == DAYS[:4]


def test_done_intervals_are_not_read_again_unless_asked() -> None:
    ledger = known(record(1, DAYS[0], Verdict.ACCEPTED), record(2, DAYS[1], Verdict.ACCEPTED))
    assert steps(made(ledger), Action.EXTRACT, "flights") == DAYS[2:4]
    again = made(ledger, DAYS[0], again=True)
    assert steps(again, Action.EXTRACT, "flights") == [DAYS[0]]


def test_a_rejected_load_blocks_its_interval_alone() -> None:
    ledger = known(record(1, DAYS[0], Verdict.REJECTED))
    plan = made(ledger)
    assert steps(plan, Action.BLOCKED, "raw_flights") == [DAYS[0]]
    assert steps(plan, Action.EXTRACT, "flights") == DAYS[1:4]
    assert "penstock retry" in next(step.why for step in plan.steps if step.action is Action.BLOCKED)


def test_a_load_that_was_never_judged_is_checked_and_not_read_again() -> None:
    plan = made(known(record(1, DAYS[0], None)), DAYS[0])
    assert [step.load for step in plan.steps if step.action is Action.CHECK] == [1]
    assert steps(plan, Action.EXTRACT, "flights") == []


def test_a_transform_is_due_when_code_or_inputs_changed_and_never_otherwise() -> None:
    ledger = known(record(1, DAYS[0], Verdict.ACCEPTED))
    first = planner.due(daily, DAYS[0], ledger, "d1")
    assert first.why == "not made yet"
    ledger.versions["daily"].add(version(1, DAYS[0], first.fingerprint))
    assert planner.due(daily, DAYS[0], ledger, "d1").why == ""
    assert planner.due(daily, DAYS[0], ledger, "d2").why == "its code changed"
    ledger.sources["flights"].add(load(3, DAYS[0], supersedes=(1,)), None)
    ledger.sources["flights"].records[-1] = record(3, DAYS[0], Verdict.ACCEPTED, supersedes=(1,))
    assert planner.due(daily, DAYS[0], ledger, "d1").why == "new data in flights"


def test_a_volatile_transform_is_always_due() -> None:
    ledger = known(record(1, DAYS[0], Verdict.ACCEPTED))
    found = planner.due(daily, DAYS[0], ledger, "d1")
    ledger.versions["daily"].add(version(1, DAYS[0], found.fingerprint))
    assert "clock or chance" in planner.due(replace(daily, volatile=True), DAYS[0], ledger, "d1").why


def test_below_a_rejected_load_nothing_is_made() -> None:
    ledger = known(record(1, DAYS[0], Verdict.REJECTED))
    assert "load 1 of raw_flights is rejected" in planner.due(daily, DAYS[0], ledger, "d1").blocked


def test_a_result_equal_to_the_head_is_remembered_and_not_computed_again() -> None:
    ledger = known(record(1, DAYS[0], Verdict.ACCEPTED))
    ledger.versions["daily"].add(version(7, DAYS[0], "d0.x"))
    expected = planner.due(daily, DAYS[0], ledger, "d1").fingerprint
    ledger.versions["daily"].equal(DAYS[0], 7, expected)
    assert planner.due(daily, DAYS[0], ledger, "d1").why == ""


def test_the_state_moves_with_every_load_and_with_code() -> None:
    empty, one = known(), known(record(1, DAYS[0], Verdict.ACCEPTED))
    wanted = planner.Wanted(interval=None, at=AT, codes={"daily": "d1", "total": "t1"}, functions=("f1",))
    others = (
        replace(wanted, codes={"daily": "d2", "total": "t1"}),
        replace(wanted, functions=("f2",)),
    )
    states = {planner.state(empty, wanted, spec), *(planner.state(one, each, spec) for each in (wanted, *others))}
    assert len(states) == 4


def test_a_later_load_supersedes_and_a_replaced_table_has_one_live_load() -> None:
    source = SourceLedger("raw_x", WriteMode.APPEND)
    source.records = [record(1, DAYS[0], Verdict.ACCEPTED), record(2, DAYS[0], Verdict.ACCEPTED, supersedes=(1,))]
    assert [item.entry.number for item in source.live()] == [2]
    planes = SourceLedger("raw_p", WriteMode.REPLACE)
    planes.records = [record(1, None, Verdict.ACCEPTED), record(5, None, Verdict.ACCEPTED)]
    assert [item.entry.number for item in planes.live()] == [5]


def test_a_plan_of_ten_thousand_done_intervals_takes_less_than_a_step() -> None:
    long = replace(spec, start=AT - timedelta(days=10_000))
    covered = planner.intervals(long, None, AT)
    ledger = known(*(record(number, interval, Verdict.ACCEPTED) for number, interval in enumerate(covered, 1)))
    wanted = planner.Wanted(interval=covered[-1], at=AT, codes={"daily": "d1", "total": "t1"})
    assert steps(planner.plan(long, long.transforms, ledger, wanted), Action.EXTRACT, "flights") == []
