"""Values that occur nowhere else are planted in personal columns of every kind of source; afterwards nothing holds one.

Every command is a process of its own with ``--debug``; its output, every file that it left, every value of every
Parquet and DuckDB file, and every file that stood in the folder of spilled data meanwhile are searched.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from tests.servers.postgres import PostgresServer
from tests.servers.scripted_http import Answer, Call, scripted

from penstock import Project

MARK = "qzxcanary"
KEY = base64.b64encode(b"0123456789abcdef-secret-of-tests").decode()
KINDS = ("sqlite", "postgres", "csv", "json", "rest", "python")

PIPELINE = """
from penstock import Pipeline, checks, feature, sources, split_by, sql, training_set

MARK = "qzx" + "canary"


def rows():
    for number in range(40):
        email = f"{MARK}.python.{number}@example.org"
        yield {"id": number, "email": email, "note": f"{MARK} python note {number}", "age": number}


def failing():
    yield {"id": 1, "email": f"{MARK}.failing@example.org"}
    raise ValueError(f"what is {MARK}.raised@example.org?")


def quoting(frame):
    raise ValueError(f"saw {frame.column('email').to_pylist()}")


PERSONAL = {"email": "tokenise", "note": "encrypt"}
good = Pipeline(
    name="good",
    sources=[
        sources.sql("ops", table="people", name="sqlite_people", cursor="updated_at", lag="1d", key="email",
                    write="merge", personal=PERSONAL),
        sources.sql("shop", table="people", name="postgres_people", write="replace",
                    personal={**PERSONAL, "ssn": "mask", "balance": "tokenise"}),
        sources.files("../sources/people*.csv", table="csv_people", personal=PERSONAL),
        sources.files("../sources/people.jsonl", table="json_people", write="replace",
                      personal={"person.email": "tokenise", "person.homes.street": "encrypt", "note": "null"}),
        sources.rest("api", path="/people", table="rest_people", write="replace", personal=PERSONAL),
        sources.python(rows, table="python_people", write="replace", personal=PERSONAL),
    ],
    checks={
        "sqlite_people": [checks.matches("email", "never", severity="warn"),
                          checks.matches("email", ".*[0-7]$", severity="quarantine", name="odd")],
        "csv_people": [checks.expression("age < 30", severity="quarantine"), checks.unique("email", severity="warn")],
        "contacts": [checks.matches("email", "never", severity="warn")],
    },
    transforms=[sql("contacts.sql")],
    datasets=[training_set("ages", from_="contacts", label="age > 20",
                           split=split_by("email", train=0.5, test=0.5))],
    promote=["contacts"],
)
bad = Pipeline(
    name="bad",
    sources=[
        sources.python(failing, table="raising", personal=["email"]),
        sources.files("../sources/malformed.csv", table="malformed", personal=["email"]),
        sources.files("../sources/unconverted.csv", table="unconverted", personal=["email"],
                      options={"types": {"email": "BIGINT"}}),
        sources.files("../sources/broken.jsonl", table="broken", personal=["email"]),
        sources.sql("shop", query="SELECT id, email, CAST(email AS integer) AS wrong FROM people", name="asked",
                    personal=["email", "wrong"]),
        sources.rest("api", path="/refused", table="refused", personal=["email"]),
        sources.rest("api", path="/page", table="paged", personal=["email"]),
        sources.rest("api", path="/people", table="declared", personal=["email"],
                     options={"types": {"email": "int64"}}),
        sources.files("../sources/people1.csv", table="rejected", personal=["email", "note"]),
    ],
    checks={"rejected": [checks.matches("email", "never"), checks.function(quoting, "email"), checks.unique("id")]},
)
"""

CONTACTS = """
SELECT email, note, age, 'csv' AS kind FROM csv_people
UNION ALL SELECT email, note, age, 'python' FROM python_people
UNION ALL SELECT email, note, age, 'rest' FROM rest_people
"""


def planted(kind: str, what: str, number: int) -> str:
    return f"{MARK}.{kind}.{what}.{number}@example.org"


@pytest.fixture
def project(tmp_path: Path, postgres: PostgresServer) -> Iterator[Path]:
    sources, folder = tmp_path / "sources", tmp_path / "project"
    sources.mkdir()
    folder.mkdir()
    (tmp_path / "spill").mkdir()
    people = [
        (number, planted("{}", "email", number), planted("{}", "note", number), number, f"2026-01-01 00:00:{number:02}")
        for number in range(40)
    ]

    def of(kind: str) -> list[tuple[Any, ...]]:
        return [tuple(v.format(kind) if isinstance(v, str) else v for v in person) for person in people]

    with contextlib.closing(sqlite3.connect(sources / "ops.db")) as database, database:
        database.execute("CREATE TABLE people (id INTEGER, email TEXT, note TEXT, age INTEGER, updated_at TIMESTAMP)")
        database.executemany("INSERT INTO people VALUES (?, ?, ?, ?, ?)", of("sqlite"))
    postgres.execute("DROP TABLE IF EXISTS people")
    postgres.execute("CREATE TABLE people (id int, email text, note text, age int, ssn text, balance numeric(30,6))")
    for number, email, note, age, _ in of("postgres"):
        postgres.execute(
            "INSERT INTO people VALUES (%s, %s, %s, %s, %s, %s)",
            (number, email, note, age, planted("postgres", "ssn", number), f"{7700000000000 + number}.25"),
        )
    lines = [f"{number},{email},{note},{age}" for number, email, note, age, _ in of("csv")]
    (sources / "people1.csv").write_text("\n".join(["id,email,note,age", *lines[:20], ""]))
    (sources / "people2.csv").write_text("\n".join(["id,email,note,age", *lines[20:], ""]))
    (sources / "malformed.csv").write_text(
        "\n".join(["id,email", *(f"{n},{planted('malformed', 'email', n)}" for n in range(9)), f"9,a,{MARK}.third", ""])
    )
    (sources / "unconverted.csv").write_text(f"id,email\n1,12\n2,{MARK}.unconverted\n")
    (sources / "broken.jsonl").write_text(f'{{"id": 1, "email": "{MARK}.broken"}}\n{{"id": 2, "email": "{MARK}.bro\n')
    (sources / "people.jsonl").write_text(
        "".join(
            json.dumps(
                {
                    "id": number,
                    "note": note,
                    "person": {
                        "email": email,
                        "homes": [{"street": planted("json", "street", number), "city": "York"}],
                    },
                }
            )
            + "\n"
            for number, email, note, _, _ in of("json")
        )
    )

    def answer(call: Call) -> Any:
        if call.path.endswith("/people"):
            return [{"id": n, "email": email, "note": note, "age": age} for n, email, note, age, _ in of("rest")]
        if call.path.endswith("/refused"):
            return Answer(json.dumps({"error": f"no {MARK}.refused here"}).encode(), status=400)
        return Answer(f"<html>{MARK}.page</html>".encode(), headers={"Content-Type": "text/html"})

    (folder / "pipeline.py").write_text(PIPELINE)
    (folder / "contacts.sql").write_text(CONTACTS)
    (folder / ".env").write_text(f"TEST_PRIVACY_KEY={KEY}\n")
    with scripted(answer) as server:
        (folder / "penstock.toml").write_text(
            f"""
[project]
name = "canaries"
pipelines = ["pipeline:good", "pipeline:bad"]
memory = "512MiB"
[privacy]
key = "${{TEST_PRIVACY_KEY}}"
[connections.ops]
url = "sqlite:///{sources / "ops.db"}"
[connections.shop]
url = "{postgres.url()}"
[connections.api]
url = "{server.url}"
attempts = 1
"""
        )
        yield folder
    postgres.execute("DROP TABLE people")


class Spill:
    """Watches the folder of temporary files while commands run, since they take away what they put there."""

    def __init__(self, folder: Path) -> None:
        self.found: set[str] = set()
        self.looks = 0
        self._folder = folder
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Spill:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.005):
            self.looks += 1
            # Folders and files vanish while they are looked at.
            for folder, _, names in os.walk(self._folder):
                for name in names:
                    with contextlib.suppress(OSError):
                        if MARK.encode() in Path(folder, name).read_bytes():
                            self.found.add(name)


def command(project: Path, *arguments: str, fine: bool = True) -> str:
    environment = {**os.environ, "TMPDIR": str(project.parent / "spill"), "PENSTOCK_USER": "ada"}
    done = subprocess.run(
        [sys.executable, "-m", "penstock", "--debug", *arguments],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = done.stdout + done.stderr
    assert not fine or done.returncode == 0, said
    assert MARK not in said, said
    assert KEY not in said
    return said


def contents(project: Path) -> Iterator[tuple[str, str]]:
    """Yield (place, text): the bytes of every file, and every value of every Parquet and DuckDB file."""
    for path in sorted(project.rglob("*")):
        if not path.is_file() or path.name in ("pipeline.py", ".env") or "__pycache__" in path.parts:
            continue
        yield str(path), path.read_bytes().decode("latin-1")
        if path.suffix == ".parquet":
            file = pq.ParquetFile(path)
            yield f"{path} rows", str(file.read().to_pylist())
            yield f"{path} footer", str(file.metadata.to_dict())
        if path.suffix == ".duckdb":
            with duckdb.connect(str(path), read_only=True) as database:
                for schema, table in database.execute(
                    "SELECT table_schema, table_name FROM information_schema.tables"
                ).fetchall():
                    rows = database.execute(f'SELECT * FROM "{schema}"."{table}"').fetchall()
                    yield f"{path} {table}", str(rows)


def test_no_planted_value_is_found_anywhere(project: Path) -> None:
    began = time.monotonic()
    with Spill(project.parent / "spill") as spill:
        command(project, "plan", "good")
        command(project, "run", "good", "--json")
        command(project, "run", "good")
        failed = command(project, "run", "bad", "--json", fine=False)
        command(project, "run", "bad", fine=False)
        for table in ("sqlite_people", "csv_people", "contacts"):
            command(project, "check", table, "--json", fine=False)
        for table in ("sqlite_people", "csv_people"):
            command(project, "quarantine", "show", table)
        command(project, "status", "--json", fine=False)
        command(project, "runs", "--json")
        candidate = json.loads(command(project, "diff", "good", "--json"))
        command(project, "approve", candidate["id"], "--reason", "right")
        command(project, "promote")
        command(project, "dataset", "build", "ages", "--pipeline", "good")
        command(project, "doctor")
    assert spill.looks > 10
    assert not spill.found
    for table in ("raising", "malformed", "unconverted", "broken", "asked", "refused", "paged", "declared", "rejected"):
        assert table in failed
    searched = dict(contents(project))
    assert not [place for place, text in searched.items() if MARK in text]
    assert not [place for place, text in searched.items() if KEY in text]
    # What was searched would have been found: the tokens of the planted values stand where the values would.
    with Project(project) as opened:
        for kind in KINDS:
            token = opened.token(planted(kind, "email", 3) if kind != "python" else f"{MARK}.python.3@example.org")
            places = [place for place, text in searched.items() if token in text]
            assert any(place.endswith("rows") and f"raw_{kind}_people" in place for place in places), kind
            assert any(place.endswith(f" raw_{kind}_people") for place in places), kind
    assert any("_quarantine" in place and "tok1-" in text for place, text in searched.items())
    assert any("datasets" in place and "tok1-" in text for place, text in searched.items())
    for place, text in searched.items():
        if "_manifests" in place or "_delta_log" in place or "_runs" in place or "_candidates" in place:
            assert "tok1-" not in text, place
            assert "enc1-" not in text, place
    assert time.monotonic() - began < 300
