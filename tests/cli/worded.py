"""One value of each kind that a command shows, with what its text must say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from worded_alerts import SAID as ALERTS
from worded_lineage import SAID
from worded_reports import ERROR, REPORT
from worded_reports import SAID as REPORTS
from worded_schedules import SAID as SCHEDULES

from penstock.dataset.manifest import Manifest, Shard, SplitFigures
from penstock.dataset.receipts import DatasetReceipt, VerifyReceipt
from penstock.extract.port import TableDescription
from penstock.model import answers
from penstock.model.contracts import Contract, Discarded, OnChange, Retyped, SchemaChange
from penstock.model.entries import DataFile, Entry, EntryKind, InputVersion, Verdict, Work
from penstock.model.interval import Interval
from penstock.model.plan import Action, Cause, Plan, PlannedStep
from penstock.model.receipts import IngestReceipt, RunReceipt, State, StepReceipt
from penstock.model.releases import Candidate, Decision, Release, TableChange, TableVersion

AT = datetime(2026, 11, 21, 2, 30, 54, 123000, tzinfo=UTC)
DAY = Interval(datetime(2013, 1, 5, tzinfo=UTC), datetime(2013, 1, 6, tzinfo=UTC))
NEXT = Interval(DAY.end, DAY.end + timedelta(days=1))


def step(name: str, state: State = State.DONE, interval: Interval | None = None, **fields: Any) -> StepReceipt:
    return StepReceipt(step=name, table="raw_flights", state=state, interval=interval, rows=1234, seconds=1.0, **fields)


def run(state: State = State.DONE, *steps: StepReceipt, **fields: Any) -> RunReceipt:
    return RunReceipt(
        id="2026-11-21T02-30-54.123Z-k3f9",
        pipeline="flights",
        command="run",
        started=AT,
        finished=AT + timedelta(seconds=75),
        state=state,
        steps=steps,
        **fields,
    )


CHANGED = SchemaChange(
    contract=Contract(columns=OnChange.FREEZE, types=OnChange.DISCARD, each={"gate": "evolve"}),
    added={"gate": "VARCHAR"},
    vanished=("pier",),
    retyped=(Retyped(column="delay", before="BIGINT", after="DOUBLE"),),
    discarded=(Discarded(column="distance", type="VARCHAR", values=3),),
)


def entry(number: int, kind: EntryKind, **fields: Any) -> Entry:
    return Entry(table="raw_flights", number=number, previous=None, kind=kind, created_at=AT, run="r1", **fields)


VERSION = TableVersion(table="delays", number=4, rows=900, schema=(), files=(), failures=("fresh",))
CHANGE = TableChange(
    table="delays",
    before=3,
    after=4,
    rows_before=1000,
    rows_after=1900,
    added=1000,
    removed=100,
    columns=("a column gate appeared",),
    figures={"delay": (10.5, 21.0), "carrier": (16, 16), "new": (None, "x")},
)
KEYED = TableChange(
    table="delays",
    before=3,
    after=4,
    rows_before=1000,
    rows_after=1900,
    added=1000,
    removed=100,
    changed=7,
    key=("origin", "hour"),
    passed=2,
    warned=("Check 'fresh' warned in version 4 of delays: two days old",),
    drift=("delay drifted: its mean moved",),
    bytes=2048,
    seconds=1.25,
    inputs=(InputVersion(table="raw_flights", number=9),),
)
CANDIDATE = Candidate(id="c0ffee", pipeline="flights", created_at=AT, against=2, tables=(VERSION,), changes=(CHANGE,))
RELEASE = Release(
    number=3,
    previous=2,
    candidate="c0ffee",
    pipeline="flights",
    created_at=AT,
    by="ada",
    tables=(VERSION,),
    warehouse="3.duckdb",
    rollback_to=1,
    reason="wrong",
)
PLAN = Plan(
    pipeline="flights",
    created_at=AT,
    state="abc",
    steps=(
        PlannedStep(action=Action.EXTRACT, table="flights", interval=DAY, why="not read yet", rows=842, seconds=61),
        PlannedStep(action=Action.EXTRACT, table="flights", interval=NEXT, why="not read yet"),
        PlannedStep(action=Action.BLOCKED, table="raw_weather", load=7, why="load 7 is rejected"),
        PlannedStep(action=Action.TRANSFORM, table="delays", why="new data in flights", if_new=True),
    ),
    unchanged=tuple(f"planes {number}: nothing new" for number in range(20)),
)
STATUS = answers.ProjectStatus(
    name="flights",
    pipelines=(
        answers.PipelineStatus(
            name="flights",
            last_run=run(State.REJECTED),
            tables=(
                answers.TableStatus(
                    table="raw_flights",
                    kind="source",
                    number=9,
                    rows=336_776,
                    quarantined=3,
                    rejected=(7, 9),
                    newest=AT,
                    event_time="2013-03-31",
                    production=None,
                ),
            ),
            intervals_done=90,
            intervals_missing=1,
        ),
        answers.PipelineStatus(name="other", last_run=None, tables=()),
    ),
    release=3,
    released_at=AT,
    waiting=("Load 9 of raw_flights is rejected: penstock retry",),
    places={"staging lake": "/srv/lake"},
)
ROWS = answers.QuarantineRows(
    table="raw_flights",
    number=9,
    total=7,
    rows=(
        {
            "_reasons": ["between(month)", "in_set(x)"],
            "_origin": "a.csv",
            "_origin_detail": '{"row": 3}',
            "id": 1,
            "n": None,
        },
        {"_reasons": None, "_origin": None, "_origin_detail": "not json", "text": "a\nb\x1b[31m" + "x" * 900},
    ),
)
MANIFEST = Manifest(
    name="delay",
    version="v1",
    created_at=AT,
    rows=30,
    schema=(),
    roles={},
    release=3,
    shards=(Shard(path="train/0.parquet", split="train", rows=30, bytes=9, sha256="f"),),
    splits={"train": SplitFigures(rows=24), "test": SplitFigures(rows=6)},
)
DESCRIPTION = TableDescription(
    name="flights",
    columns={"id": "INTEGER", "at": "TEXT"},
    rows=5,
    bytes=5000,
    key=("id",),
    cursors=("at",),
    pattern="incremental",
    reason="It has a time column.",
    remarks=("tailnum looks personal",),
    suggestion="sources.sql()",
    children=("__items", "__items__lots"),
)

VALUES: list[tuple[Any, list[str]]] = [
    (
        run(
            State.DONE,
            step("extract flights", interval=DAY, bytes=10_500, quarantined=2, report=REPORT),
            step("load raw_flights", notes=("a column appeared",)),
        ),
        [
            "extract flights   done   1,234  10.5 kB          2  1 passed, 2 failed",
            "rejected: raw_flights 2013-01-05: unique(id): id repeats.",
            "note: raw_flights: a column appeared",
            "flights run: done in 1 min 15 s: 1,234 rows extracted, 2 set aside. Run 2026-11-21T02-30-54.123Z-k3f9.",
        ],
    ),
    (
        run(
            State.DONE,
            *(step("extract flights", interval=each) for each in (DAY, NEXT)),
            step("extract flights", State.UNCHANGED),
        ),
        ["2 done, 1 unchanged", "3,702 rows extracted, 2 intervals."],
    ),
    (run(State.UNCHANGED), ["flights run: everything is up to date in 1 min 15 s."]),
    (
        run(State.REJECTED, step("extract flights", State.REJECTED, report=REPORT)),
        ["a load was rejected", "penstock retry"],
    ),
    (run(State.FAILED, error="The API is down."), ["flights run: failed", "The API is down."]),
    (
        [run(State.FAILED, error="The API is down."), run()],
        ["run                            pipeline  command", "The API is down."],
    ),
    (
        PLAN,
        [
            "flights would do:",
            "extract  flights      2013-01-05",
            "842",
            "load 7",
            "If new data arrives:",
            "… and 8 more.",
            "About 1 min 01 s",
        ],
    ),
    *SAID,
    *SCHEDULES,
    *ALERTS,
    (Plan(pipeline="p", created_at=AT, state=""), ["p: nothing is due."]),
    (
        replace(
            PLAN,
            steps=(
                PlannedStep(
                    action=Action.TRANSFORM,
                    table="gates",
                    why="its code changed",
                    cause=Cause.CODE,
                    changed=("-SELECT 1", "+SELECT 2"),
                    replaces=(7,),
                    replaced_rows=1200,
                ),
            ),
        ),
        ["version 7 (1,200 rows)", "The code of gates changed:", "  -SELECT 1", "  +SELECT 2"],
    ),
    (
        [
            answers.IntervalLedger(
                table="flights",
                kind="source",
                intervals=(
                    answers.IntervalState(interval=DAY, state="missing", why="not read yet"),
                    answers.IntervalState(interval=NEXT, state="done", number=3, rows=12),
                ),
                gaps=(DAY,),
            )
        ],
        ["flights  source     1       0        1      0", "flights  2013-01-05  missing  not read yet (a gap)"],
    ),
    (
        STATUS,
        [
            "release 3 of 2026-11-21 02:30:54 UTC is in production",
            "90 intervals done, 1 missing.",
            "336,776",
            "7, 9",
            "other: has not run yet",
            "Waiting for you:",
            "/srv/lake",
        ],
    ),
    (answers.ProjectStatus(name="p", pipelines=()), ["nothing is in production yet", "Nothing waits for you."]),
    (
        entry(5, EntryKind.VERDICT, load=3, verdict=Verdict.DISCARDED, reason="a test"),
        ["Load 3 of raw_flights is discarded: a test"],
    ),
    (
        [
            entry(5, EntryKind.VERDICT, load=3, verdict=Verdict.ACCEPTED, report=REPORT),
            entry(3, EntryKind.LOAD, rows=7, work=Work(interval=DAY), files=(DataFile(path="a", rows=7, bytes=2000),)),
            entry(2, EntryKind.LOAD, change=CHANGED),
        ],
        [
            *("load 3 accepted", "1 passed, 2 failed, 2 set aside", "2013-01-05", "2.0 kB"),
            "+gate -pier delay DOUBLE left out 3 (freeze/discard/…)",
        ],
    ),
    *REPORTS,
    (
        [answers.QuarantineSummary(table="t", number=9, created_at=AT, rows=3, reasons={"a": 2, "b": 1}, path="p")],
        ["a (2), b (1)"],
    ),
    (
        ROWS,
        [
            "raw_flights 9: 7 rows set aside.",
            "1. a.csv (row 3)",
            "   between(month)\n   in_set(x)",
            "id=1, n=null",
            "5 more",
        ],
    ),
    (
        replace(CANDIDATE, changes=(KEYED,)),
        [
            "~7",
            "Check 'fresh' warned in version 4 of delays: two days old",
            "delays: delay drifted: its mean moved",
            "2 checks passed; compared by origin, hour; 2.0 kB to bring over; made in 1.2 s; made from raw_flights 9",
        ],
    ),
    (
        CANDIDATE,
        [
            "Candidate c0ffee of flights, compared with production's release 2:",
            "3 → 4",
            "+1,000",
            "−100",
            "a column gate appeared",
            "+100.0%",
            "warned: fresh",
            "penstock approve c0ffee",
        ],
    ),
    (
        Candidate(id="c", pipeline="p", created_at=AT, against=0, tables=(), gate=("a check failed",)),
        ["production, which is empty", "It may not be promoted:\n  a check failed"],
    ),
    (
        Candidate(
            id="c",
            pipeline="p",
            created_at=AT,
            against=1,
            tables=(),
            changes=(TableChange(table="t", before=1, after=1, rows_before=1, rows_after=1, added=0, removed=0),),
        ),
        ["Production has all of this already."],
    ),
    (
        Decision(id="d", kind="approve", at=AT, by="ada", subject="c0ffee", reason="fine"),
        ["c0ffee is approved by ada: fine.", "penstock promote"],
    ),
    (
        RELEASE,
        ["Release 3 is in production, by ada", "tables of release 1 again", "Reason: wrong.", "delays        4   900"],
    ),
    (
        DatasetReceipt(
            name="delay",
            version="v1",
            path="delay/v1",
            built=True,
            rows=30,
            splits={"train": 24, "test": 6},
            shards=1,
            bytes=9,
            unlabelled=2,
            notes=("n",),
        ),
        ["delay v1 is built: 30 samples in 1 shard", "80.0%", "2 rows without a label left out.", "In delay/v1"],
    ),
    (DatasetReceipt(name="delay", version="v1", path="p", built=False, rows=0), ["was there already, unchanged"]),
    (
        VerifyReceipt(name="delay", version="v1", rows=30, shards=1, passed=("checksums",)),
        ["passed: checksums", "is sound"],
    ),
    (
        VerifyReceipt(name="delay", version="v1", failures=("shard 0 differs",)),
        ["failed: shard 0 differs", "is not sound"],
    ),
    ([MANIFEST], ["train 24, test 6"]),
    (
        answers.ExportReceipt(table="raw_orders", file="fixed.csv", rows=2),
        ["2 open rows of raw_orders written to fixed.csv."],
    ),
    (
        answers.ReplayPreview(table="raw_orders", loads={"3": 2}, rows=2, failures=(ERROR,)),
        ["2 rows of 1 load of raw_orders would come in.", "id repeats"],
    ),
    (answers.ReplayPreview(table="raw_orders", loads={"3": 1}, rows=1), ["No check would fail."]),
    (
        answers.RebuildReceipt(
            warehouse="w.duckdb",
            replaced=True,
            tables=(answers.RebuiltTable(table="raw_orders", kind="source", rows=1200, entries=3),),
            carried=("main.notes",),
            runs=(run(),),
            notes=("orders has no loads.",),
            seconds=2.0,
        ),
        ["raw_orders  source  1,200", "Carried over as they were: main.notes.", "1 table made anew in"],
    ),
    (answers.RebuildReceipt(warehouse="w.duckdb", replaced=False), ["w.duckdb was not replaced."]),
    (
        answers.VacuumReport(
            before=AT, dry_run=True, removed=(("raw_t/a.parquet", 2000),), freed=2000, kept={"a release": 4}, logs=3
        ),
        ["would go", "raw_t/a.parquet", "a release", "3 files of Delta logs", "1 data file would go, 2.0 kB"],
    ),
    (
        answers.VacuumReport(before=AT, dry_run=False, removed=(("x", 1000),), freed=1000, spills=("s",)),
        ["1 folder left by killed processes removed too", "1 data file removed, 1.0 kB"],
    ),
    (
        [
            answers.CompactionReport(
                table="raw_t", replaced=9, written=1, rows=1200, bytes_before=9000, bytes_after=2000
            )
        ],
        ["raw_t", "1,200", "9 small files became 1 file"],
    ),
    ([answers.CompactionReport(table="raw_t", files=3)], ["No closed window has small files."]),
    (
        [
            answers.StreamLag(
                table="clicks",
                live=True,
                batches=9,
                last=AT,
                age=3.0,
                interval=4.0,
                longest=6.0,
                lag=1.5,
                lag_most=2.5,
                partitions=(answers.PartitionLag(topic="c", partition="0", following=1200, newest=AT),),
            ),
            answers.StreamLag(table="orders", live=False, batches=0),
        ],
        [
            "clicks: committed 3.0 s ago, usually every 4.0 s",
            "at most 2.5 s",
            "1,200",
            "orders has brought nothing yet.",
        ],
    ),
    (
        answers.LiveRollback(table="clicks", to=4, withdrawn=(6, 8), rows_before=1500, rows=900, by="ada"),
        ["The live table clicks stands as after load 4; the rows of loads 6–8 are readable no more.", "900 rows"],
    ),
    (answers.DoctorReport(checked=19), ["19 objects looked at; all is well."]),
    (
        answers.DoctorReport(
            checked=9, orphans=tuple((f"x/{n}", 500) for n in range(30)), finished=("Release 3 was finished.",)
        ),
        ["Release 3 was finished.", "… and 10 more", "30 objects (15.0 kB) can go: penstock doctor --clean"],
    ),
    (
        [answers.DoctorReport(indexed=8), answers.DoctorReport(orphans=(("x", 1000),), removed=1)],
        ["8 objects indexed.", "1 object removed, 1.0 kB."],
    ),
    (answers.DoctorReport(checked=3, unread=("A slot is read by nobody",)), ["A slot is read by nobody"]),
    (answers.Forgotten(sentences=("The slot 'x' was dropped",)), ["The slot 'x' was dropped."]),
    (answers.Forgotten(), ["Nothing of Penstock is there."]),
    (
        [DESCRIPTION],
        [
            "flights: 5 rows, 5.0 kB",
            "id      INTEGER  key",
            "Fits: incremental. It has a time column.",
            "Remark: tailnum looks personal",
            "    sources.sql()",
            '    with nested="tables" it would have the child tables …__items, …__items__lots',
        ],
    ),
    (
        IngestReceipt(table="t", warehouse="w.duckdb", lake="w.lake", run=run(), rows=3),
        ["t in w.duckdb holds 3 rows (1 min 15 s).", "kept in w.lake"],
    ),
    (
        IngestReceipt(table="t", warehouse="w", lake=None, run=run(State.REJECTED), rows=3),
        ["The load was rejected"],
    ),
]
