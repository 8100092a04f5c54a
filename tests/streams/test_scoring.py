"""Functions that score the rows of each micro-batch: what they add, what loads say of them, and what stops a stream."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from stream_project import append, drained, events, in_lake, in_warehouse, made, served

from penstock import scoring, sources
from penstock.errors import ConfigurationError, DataError
from penstock.extract.streams.decoding import decoder
from penstock.model.receipts import State
from penstock.project import Project
from typed import typed

PIPELINE = """
import pyarrow as pa
import pyarrow.compute as pc
from penstock import Pipeline, scoring, sources

calls = []

def odd(rows):
    calls.append(rows.num_rows)
    n = rows.column("n")
    flags = pc.equal(pc.bit_wise_and(n, 1), 1)
    return pa.RecordBatch.from_arrays([flags, pc.divide(n.cast("double"), 2.0)], names=["odd", "half"])

clicks = Pipeline(
    name="clicks",
    sources=[
        sources.tail(
            "logs/clicks*",
            table="clicks",
            stream={
                "every": "200ms",
                "score": scoring(odd, model="parity", version="VERSION", columns=["odd", "half"]),
            },
        )
    ],
)
"""


def project(folder: Path, version: str = "1", pipeline: str = PIPELINE) -> Path:
    return made(folder, pipeline.replace("VERSION", version))


def test_columns_are_added_by_one_call_and_the_load_names_the_model(tmp_path: Path) -> None:
    folder = project(tmp_path)
    log = folder / "logs/clicks.jsonl"
    append(log, [*events(0, 5), "{no json", *events(5, 5)])
    assert drained(folder).state is State.DONE
    assert in_warehouse(folder, "(n, odd, half)") == Counter((n, n % 2 == 1, n / 2) for n in range(10))
    assert in_lake(folder, "(n, odd)") == Counter((n, n % 2 == 1) for n in range(10))
    project(folder, "2")
    append(log, events(10, 2))
    drained(folder)
    assert served(folder, "SELECT count(*) FROM raw_clicks WHERE half = n / 2") == [(12,)]
    with Project(folder) as opened:
        steps = opened.lineage("clicks").steps
    assert [step.scored.partition(" (")[0] for step in steps] == ["parity 1", "parity 2"]
    assert all("pc.bit_wise_and(n, 1)" in step.code for step in steps)
    words = typed(folder, "lineage", "clicks").stdout
    assert "raw_clicks was scored by:" in words
    assert "parity 2 (pipeline.odd, code " in words


def test_replayed_rows_keep_the_model_that_scored_them(tmp_path: Path) -> None:
    def checked(most: int) -> str:
        limits = f'    checks={{"clicks": [checks.between("n", 0, {most}, severity="quarantine")]}},\n)\n'
        return PIPELINE.replace("import Pipeline", "import Pipeline, checks").removesuffix(")\n") + limits

    folder = project(tmp_path, "1", checked(5))
    append(folder / "logs/clicks.jsonl", events(0, 8))
    drained(folder)
    project(folder, "2", checked(100))
    done = typed(folder, "quarantine", "replay", "clicks")
    assert done.returncode == 0, done.stdout + done.stderr
    append(folder / "logs/clicks.jsonl", events(8, 2))
    drained(folder)
    assert in_warehouse(folder, "(n, odd)") == Counter((n, n % 2 == 1) for n in range(10))
    with Project(folder) as opened:
        steps = opened.lineage("clicks").steps
    assert [step.scored.partition(" (")[0] for step in steps] == ["parity 1", "parity 1", "parity 2"]


def test_all_rows_of_a_micro_batch_come_in_one_call() -> None:
    calls = []

    def length(rows: pa.RecordBatch) -> pa.RecordBatch:
        calls.append(rows.num_rows)
        return pa.record_batch({"length": pc.utf8_length(rows.column("line"))})

    scored = decoder("text", scoring=scoring(length, model="m", version="1", columns=["length"]))
    (piece,) = scored.decode(pa.array([b"a", b"bb", b"\xff", b"dddd"])).pieces
    assert piece.rows.column("length").to_pylist() == [1, 2, 4]
    assert piece.places.to_pylist() == [0, 1, 3]
    assert calls == [3]
    assert set(scored.known) == {"line", "length"}


def test_a_function_that_fails_stops_the_stream_and_nothing_is_lost(tmp_path: Path) -> None:
    failing = PIPELINE.replace("    calls.append", "    raise ValueError('the model is not there')\n    calls.append")
    folder = project(tmp_path, pipeline=failing)
    append(folder / "logs/clicks.jsonl", events(0, 3))
    ended = typed(folder, "stream", "--until-end")
    assert ended.returncode == 3
    said = ended.stdout + ended.stderr
    assert "The scoring function pipeline.odd raised ValueError at pipeline.py:9" in said
    assert "the model is not there" in said
    project(folder)
    drained(folder)
    assert in_warehouse(folder) == Counter(range(3))


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (lambda _: 7, "gave no batch of Arrow"),
        (lambda _: pa.record_batch({"odd": [True]}), r"gave 1 rows for 3"),
        (lambda _: pa.record_batch({"even": [True] * 3}), r"gave other columns than it adds.*even.*odd"),
    ],
)
def test_what_a_function_must_give(given: Callable[..., Any], why: str) -> None:
    scored = decoder("json", scoring=scoring(given, model="m", version="1", columns=["odd"]))
    values = pa.array([json.dumps(row).encode() for row in events(0, 3)])
    with pytest.raises(DataError, match=why):
        scored.decode(values)


def test_a_name_that_messages_have_is_refused() -> None:
    scored = decoder("json", scoring=scoring(lambda rows: rows, model="m", version="1", columns=["n"]))
    with pytest.raises(DataError, match=r"adds the column 'n', and messages have one of that name"):
        scored.decode(pa.array([b'{"n": 1}']))


def test_scorings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="A scoring has a function, a model, a version, and columns"):
        scoring(len, model="m", version="", columns=["n"])
    good = scoring(len, model="m", version="1", columns=["n"])
    with pytest.raises(ConfigurationError, match="is no scoring"):
        sources.tail("logs/*", table="t", stream={"score": len})
    with pytest.raises(ConfigurationError, match=r"cannot be scored.*personal columns"):
        sources.tail("logs/*", table="t", stream={"score": good}, personal={"user": "mask"})
    with pytest.raises(ConfigurationError, match=r"cannot be scored.*files"):
        sources.files("in/*.csv", table="t", stream={"score": good})
