"""How results read: as text for people, whole as JSON for programs."""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from penstock.cli import figures
from penstock.cli.blocks import Line, Table, plain_table, shortened, table
from penstock.cli.output import data_of, output_for
from penstock.cli.texts import dispatch
from penstock.dataset.manifest import Manifest, Shard, SplitFigures
from penstock.dataset.receipts import DatasetReceipt, VerifyReceipt
from penstock.extract.port import TableDescription
from penstock.model import answers
from penstock.model.codec import decode
from penstock.model.entries import CheckFailure, CheckReport, DataFile, Entry, EntryKind, Verdict, Work
from penstock.model.interval import Interval
from penstock.model.plan import Action, Plan, PlannedStep
from penstock.model.receipts import CheckReceipt, RunReceipt, State, StepReceipt
from penstock.model.releases import Candidate, Decision, Release, TableChange, TableVersion

AT = datetime(2026, 11, 21, 2, 30, 54, 123000, tzinfo=UTC)
DAY = Interval(datetime(2013, 1, 5, tzinfo=UTC), datetime(2013, 1, 6, tzinfo=UTC))
NEXT = Interval(DAY.end, DAY.end + timedelta(days=1))
ERROR = CheckFailure(
    check="unique(id)",
    severity="error",
    columns=("id",),
    count=4,
    message="id repeats",
    examples=({"id": "7", "x": None},),
)
WARNING = CheckFailure(check="fresh", severity="warn", columns=(), count=1, message="too old")
REPORT = CheckReport(rows=10, passed=("not_null(id)",), failures=(WARNING, ERROR), quarantined=2)


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
    (Plan(pipeline="p", created_at=AT, state=""), ["p: nothing is due."]),
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
        ],
        ["load 3 accepted", "1 passed, 2 failed, 2 set aside", "2013-01-05", "2.0 kB"],
    ),
    (
        CheckReceipt(table="raw_flights", report=REPORT),
        ["10 rows looked at", "passed  not_null(id)", "error   unique(id)       4", "unique(id): id=7, x=null"],
    ),
    (CheckReceipt(table="t", report=CheckReport()), ["t: 0 rows looked at.", "It has no checks."]),
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
    (
        [DESCRIPTION],
        [
            "flights: 5 rows, 5.0 kB",
            "id      INTEGER  key",
            "Fits: incremental. It has a time column.",
            "Remark: tailnum looks personal",
            "    sources.sql()",
        ],
    ),
    (
        answers.IngestReceipt(table="t", warehouse="w.duckdb", lake="w.lake", run=run(), rows=3),
        ["t in w.duckdb holds 3 rows (1 min 15 s).", "kept in w.lake"],
    ),
    (
        answers.IngestReceipt(table="t", warehouse="w", lake=None, run=run(State.REJECTED), rows=3),
        ["The load was rejected"],
    ),
]


@pytest.mark.parametrize(
    ("value", "said"),
    VALUES,
    ids=lambda value: (
        type(value[0] if isinstance(value, list) and value and not isinstance(value[0], str) else value).__name__
    ),
)
def test_each_value_reads_well(value: Any, said: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    output_for(False).show(value)
    text = capsys.readouterr().out
    for part in said:
        assert part in text
    assert "\x1b" not in text
    assert all(len(line) < 420 for line in text.splitlines())
    assert not any(line != line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize("value", [value for value, _ in VALUES], ids=lambda value: type(value).__name__)
def test_each_value_is_whole_in_json(value: Any, capsys: pytest.CaptureFixture[str]) -> None:
    output_for(True).show(value)
    data = json.loads(capsys.readouterr().out)
    kept = value if isinstance(value, Sequence) else [value]
    for item, made in zip(kept, data if isinstance(value, Sequence) else [data], strict=True):
        assert set(made) == {field for field, spec in type(item).__dataclass_fields__.items() if spec.compare}


def test_json_of_the_model_can_be_read_back() -> None:
    for value in (PLAN, CANDIDATE, RELEASE, run(State.DONE, step("extract flights", interval=DAY, report=REPORT))):
        assert decode(type(value), json.dumps(data_of(value)).encode(), where="it") == value


def test_each_wording_is_there_and_tried() -> None:
    tried = {
        (type(value[0] if isinstance(value, list) else value).__name__, isinstance(value, list)) for value, _ in VALUES
    }
    for names, several in ((dispatch._ONE, False), (dispatch._SEVERAL, True)):
        for name, place in names.items():
            module, _, function = place.partition(":")
            assert inspect.isfunction(getattr(import_module(f"penstock.cli.texts.{module}"), function))
            assert (name, several) in tried or name == "TemplateReceipt"


def test_a_plan_in_summary(capsys: pytest.CaptureFixture[str]) -> None:
    output_for(False).show(PLAN, summary=True)
    text = capsys.readouterr().out
    assert "extract  flights      2 intervals  2013-01-05 … 2013-01-06  not read yet" in text


def test_an_empty_sequence_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    output_for(False).show((), empty="Nothing has run yet.")
    output_for(True).show(())
    assert capsys.readouterr().out == "Nothing has run yet.\n[]\n"


def test_on_a_terminal_the_same_words_stand_in_tables() -> None:
    from rich.console import Console

    from penstock.cli.terminal import print_blocks

    console = Console(width=200, force_terminal=True, record=True, file=open("/dev/null", "w"), highlight=False)  # noqa: SIM115
    print_blocks([Line("[bold]not markup[/bold] :smile:", "bad"), table(("a", ">b"), [("[x]", "1")])], console)
    text = console.export_text()
    console.file.close()
    assert "[bold]not markup[/bold] :smile:" in text
    assert "[x]" in text


def test_data_of_what_json_lacks() -> None:
    given = {
        1: Decimal("1.50"),
        "a": float("nan"),
        "b": timedelta(minutes=1),
        "c": Path("x"),
        "d": {3},
        "e": State.DONE,
    }
    assert data_of(given) == {"1": "1.50", "a": None, "b": 60.0, "c": "x", "d": [3], "e": "done"}
    assert data_of(AT.date()) == "2026-11-21"


def test_plain_tables_are_aligned_whatever_the_letters() -> None:
    made = table(("name", ">n", "empty"), [("东京", "1", ""), ("é", "1,000", "")])
    assert isinstance(made, Table)
    assert plain_table(made) == "name      n\n东京      1\né     1,000"


def test_nothing_in_a_cell_moves_the_cursor() -> None:
    assert shortened("a\tb\nc\x1b[2J\u202e") == "a b c [2J "
    assert shortened("x" * 100, 10) == "x" * 9 + "…"


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (figures.size(0), "0 B"),
        (figures.size(999), "999 B"),
        (figures.size(999.6), "1.0 kB"),
        (figures.size(123_456), "123 kB"),
        (figures.size(99_949), "99.9 kB"),
        (figures.size(5 * 10**15), "5000.0 TB"),
        (figures.size(None), "–"),
        (figures.rate(5, 1), ""),
        (figures.rate(10**6, 0.01), ""),
        (figures.rate(1000, 2), "500 rows/s"),
        (figures.rate(352_000, 10), "35.2k rows/s"),
        (figures.rate(5 * 10**6, 1), "5.0M rows/s"),
        (figures.duration(0.04), "0.0 s"),
        (figures.duration(9.96), "10 s"),
        (figures.duration(59.6), "1 min 00 s"),
        (figures.duration(7800), "2 h 10 min"),
        (figures.count(1234567), "1,234,567"),
        (figures.plural(1, "row"), "1 row"),
        (figures.plural(0, "row"), "0 rows"),
        (figures.moment(None), "–"),
    ],
)
def test_figures(made: str, said: str) -> None:
    assert made == said
