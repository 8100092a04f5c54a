"""Values out of JSON: the same that pydantic makes of it, and a sentence with the place where it is none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import TypeAdapter

from penstock.dataset.manifest import Manifest
from penstock.errors import DataError
from penstock.model.codec import decode, encode
from penstock.model.contracts import Retyped, SchemaChange
from penstock.model.decoding import reader
from penstock.model.entries import (
    CheckFailure,
    CheckReport,
    Column,
    DataFile,
    Entry,
    EntryKind,
    InputVersion,
    Misfits,
    Origin,
    Slice,
    TakenRows,
    Verdict,
    Work,
)
from penstock.model.interval import Interval
from penstock.model.plan import Plan
from penstock.model.receipts import RunReceipt, State, StepReceipt
from penstock.model.releases import Candidate, Decision, Release

AT = datetime(2026, 3, 1, 12, 30, 0, 123000, tzinfo=UTC)
DAY = Interval(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC))
FULL = Entry(
    table="raw_t",
    number=7,
    previous=None,
    kind=EntryKind.LOAD,
    created_at=AT,
    files=(
        DataFile(
            path="a/b.parquet", rows=3, bytes=10, partition={"created_at": "x"}, statistics={"n": (1, [2.5, None], 0)}
        ),
    ),
    schema=(Column(name="ü\udce9", type="STRUCT(a INTEGER)", personal="mask"), Column(name="b", type="DATE")),
    rows=3,
    work=Work(interval=DAY, since={"cursor": {"deep": [1, None, "x"]}}, snapshot=True),
    change=SchemaChange(retyped=(Retyped(column="n", before="INTEGER", after="BIGINT"),)),
    origins=(Origin(uri="file", first=0, rows=3, detail={"bytes": 10, "share": 0.5}),),
    supersedes=(1, 2),
    verdict=Verdict.ACCEPTED,
    report=CheckReport(
        rows=3,
        passed=("a",),
        failures=(CheckFailure(check="c", severity="warn", columns=(), count=1, message="m", examples=({"a": None},)),),
    ),
    inputs=(InputVersion(table="x", number=1),),
    taken=TakenRows(load=1, extracted=1, rows=2, path="p"),
    slices=(Slice(file="f", into=0, first=0, rows=1),),
    misfits=Misfits(path="m", rows=1, reasons={"r": 1}),
)
RUN = RunReceipt(
    id="r",
    pipeline="p",
    command="run",
    started=AT,
    finished=None,
    steps=(StepReceipt(step="s", table="t", state=State.DONE, interval=DAY, seconds=1),),
    state=State.DONE,
)


@pytest.mark.parametrize("value", [FULL, RUN], ids=["entry", "run"])
def test_what_was_written_is_read_back(value: Any) -> None:
    assert decode(type(value), encode(value), where="it") == value


@pytest.mark.parametrize("value", [FULL, RUN], ids=["entry", "run"])
def test_it_is_what_pydantic_makes_of_it(value: Any) -> None:
    data = json.loads(encode(value).decode(errors="surrogatepass"))
    ours, theirs = reader(type(value))(data), TypeAdapter(type(value)).validate_python(data)
    assert ours == theirs
    assert repr(ours).replace("datetime.timezone.utc", "UTC") == repr(theirs).replace("TzInfo(0)", "UTC").replace(
        "TzInfo(UTC)", "UTC"
    )


@pytest.mark.parametrize("kind", [Entry, RunReceipt, StepReceipt, Plan, Candidate, Decision, Release, Manifest])
def test_all_that_is_kept_can_be_read(kind: type[Any]) -> None:
    with pytest.raises(DataError, match=r"is not a valid .*: it is missing"):
        decode(kind, b"{}", where="it")


def test_keys_of_a_later_version_are_left_out() -> None:
    data = {**json.loads(encode(InputVersion(table="t", number=1))), "later": [1]}
    assert decode(InputVersion, json.dumps(data).encode(), where="it") == InputVersion(table="t", number=1)


WRONG: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "kind": ({"kind": "lode"}, "kind: one of load, verdict, version, compaction, discard is expected"),
    "moment": ({"created_at": "yesterday"}, "created_at: a moment of ISO 8601 is expected"),
    "number": ({"number": "7"}, "number: a whole number is expected"),
    "part": ({"number": 7.5}, "number: a whole number is expected"),
    "text": ({"table": None}, "table: a text is expected"),
    "list": ({"files": {}}, "files: a list is expected"),
    "deep": ({"origins": [{"uri": "a", "first": 0, "rows": 1}, {"uri": "a"}]}, "origins.1.first: it is missing"),
    "pair": (
        {"files": [{"path": "p", "rows": 1, "bytes": 1, "statistics": {"n": [1]}}]},
        "files.0.statistics.n: a list",
    ),
    "object": ({"work": []}, "work: an object is expected"),
    "truth": ({"work": {"snapshot": "no"}}, "work.snapshot: true or false is expected"),
    "span": ({"interval": {"start": "2026-03-02T00:00:00+00:00", "end": "2026-03-01"}}, "interval: "),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_with_its_place(name: str) -> None:
    changed, expected = WRONG[name]
    least = json.loads(encode(Entry(table="t", number=1, previous=None, kind=EntryKind.LOAD, created_at=AT)))
    with pytest.raises(DataError) as caught:
        decode(Entry, json.dumps({**least, **changed}).encode(), where="The manifest 1.json")
    assert f"The manifest 1.json is not a valid entry: {expected}" in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff{}", b"[" * 100_000, b"null", b"3"])
def test_what_is_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(DataError, match="is not a valid entry: the whole: "):
        decode(Entry, data, where="it")
