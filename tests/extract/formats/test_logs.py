from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

import penstock
from penstock.errors import ConfigurationError, DataError
from penstock.extract.files.source import FilesSource
from penstock.extract.port import Request
from penstock.model.specs import SourceSpec

Take = Callable[..., Any]
ACCESS = (
    '127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /pb.gif?a=1 HTTP/1.0" 200 2326 '
    '"http://www.example.com/start.html" "Mozilla/4.08 [en] (Win98; I)"\n'
    '::1 - - [11/Oct/2000:00:00:00 +0000] "-" 408 - "-" "-"\n'
    '1.2.3.4 - - [11/Oct/2000:00:00:01 +0000] "\\x16\\x03\\"" 400 0 "-" "say \\"hi\\""\n'
)


def put(path: Path, text: str) -> None:
    path.write_bytes(text.encode())


def test_the_combined_log_of_a_web_server(tmp_path: Path, take: Take) -> None:
    put(tmp_path / "t.log", ACCESS)
    found = take("t.log")
    assert found.notes == ("t.log is read by the pattern combined",)
    assert found.rows[0] == {
        "host": "127.0.0.1", "identity": None, "user": "frank", "time": datetime(2000, 10, 10, 20, 55, 36, tzinfo=UTC),
        "request": "GET /pb.gif?a=1 HTTP/1.0", "method": "GET", "path": "/pb.gif?a=1", "protocol": "HTTP/1.0",
        "status": 200, "bytes": 2326, "referer": "http://www.example.com/start.html",
        "agent": "Mozilla/4.08 [en] (Win98; I)", "line_number": 1, "unmatched": None,
    }  # fmt: skip
    one, two = found.rows[1:]
    assert (one["request"], one["status"], one["bytes"], one["agent"]) == (None, 408, None, None)
    assert (two["request"], two["method"], two["bytes"], two["agent"]) == (r"\x16\x03\"", None, 0, r"say \"hi\"")
    assert (found.types["time"], found.types["status"]) == ("timestamp[us, tz=UTC]", "int16")


@pytest.mark.parametrize(("name", "line", "expected"), [
    ("common", '::1 - bob [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 304 -',
     {"user": "bob", "path": "/", "status": 304, "bytes": None}),
    ("syslog", "<34>Oct  1 22:14:15 my-host su[230]: 'su root' failed",
     {"priority": 34, "time": "Oct  1 22:14:15", "host": "my-host", "program": "su", "process": 230,
      "message": "'su root' failed"}),
    ("syslog", "Oct 11 22:14:15 h kernel: eth0 up", {"priority": None, "program": "kernel", "process": None}),
    ("syslog5424", '<165>1 2003-10-11T22:14:15.003+02:00 h app - ID47 [x@1 a="b\\"]" c="d"][y@2] done',
     {"priority": 165, "version": 1, "time": datetime(2003, 10, 11, 20, 14, 15, 3000, tzinfo=UTC), "process": None,
      "data": '[x@1 a="b\\"]" c="d"][y@2]', "message": "done"}),
    ("syslog5424", "<1>1 - h app 77 - -", {"time": None, "process": "77", "data": None, "message": None}),
    ("nginx_error", "2020/01/02 03:04:05 [error] 12#0: *3 open() failed",
     {"level": "error", "process": 12, "connection": 3, "message": "open() failed"}),
])  # fmt: skip
def test_well_known_lines(tmp_path: Path, take: Take, name: str, line: str, expected: dict[str, Any]) -> None:
    put(tmp_path / "t.log", f"{line}\n{line}\n")
    for found in (take("t.log", pattern=name), take("t.log")):
        assert {key: found.rows[1][key] for key in expected} == expected
        assert found.rows[1]["unmatched"] is None


def test_what_python_itself_logs_with_its_tracebacks(tmp_path: Path, take: Take) -> None:
    handler = logging.FileHandler(tmp_path / "t.log", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s - %(name)s - %(levelname)s - %(message)s"))
    logger = logging.getLogger("shop.orders")
    logger.addHandler(handler)
    logger.propagate = False
    try:
        for number in range(3):
            try:
                raise ValueError(f"bad\n\nline {number}")
            except ValueError:
                logger.exception("order %s failed", number)
        logger.warning("done")
    finally:
        logger.removeHandler(handler)
        handler.close()
    found = take("t.log")
    assert [row["level"] for row in found.rows] == ["ERROR", "ERROR", "ERROR", "WARNING"]
    assert found.rows[1]["message"].startswith("order 1 failed\nTraceback")
    assert found.rows[1]["message"].endswith("ValueError: bad\n\nline 1")
    assert [row["line_number"] for row in found.rows] == [1, 8, 15, 22]
    assert found.types["time"] == "timestamp[us]"


def test_a_pattern_of_ones_own_with_lines_that_do_not_match(tmp_path: Path, take: Take) -> None:
    put(tmp_path / "t.log", "1 a 2020-01-02\nnonsense\n\n2  2020-01-03\n03 c 2020-01-04\n")
    found = take("t.log", pattern=r"(?P<n>\d+) (?P<t>\w*) (?P<day>\S+)")
    assert found.rows == [
        {"n": "1", "t": "a", "day": datetime(2020, 1, 2).date(), "line_number": 1, "unmatched": None},  # noqa: DTZ001
        {"n": None, "t": None, "day": None, "line_number": 2, "unmatched": "nonsense"},
        {"n": "2", "t": None, "day": datetime(2020, 1, 3).date(), "line_number": 4, "unmatched": None},  # noqa: DTZ001
        {"n": "03", "t": "c", "day": datetime(2020, 1, 4).date(), "line_number": 5, "unmatched": None},  # noqa: DTZ001
    ]
    assert found.notes == ("t.log: 1 records do not match the pattern, as in line 2; kept in unmatched",)
    found = take("t.log", pattern=r"(?P<n>\d+) .*", types={"n": "INTEGER"})
    assert [row["n"] for row in found.rows] == [1, None, 2, 3]
    with pytest.raises(DataError, match=r"Line 2 of t\.log does not match the pattern"):
        take("t.log", pattern=r"(?P<n>\d+) .*", unmatched="refuse")


def test_a_value_that_is_none_keeps_its_line(tmp_path: Path, take: Take) -> None:
    bad = ACCESS.replace("11/Oct/2000:00:00:01", "31/Feb/2000:00:00:01")
    put(tmp_path / "t.log", bad)
    found = take("t.log", pattern="combined")
    last = found.rows[2]
    assert last.pop("unmatched") == bad.splitlines()[2]
    assert last.pop("line_number") == 3
    assert set(last.values()) == {None}


def test_lines_that_do_not_match_are_set_aside_if_that_is_wished(tmp_path: Path, take: Take) -> None:
    put(tmp_path / "t.log", ACCESS + "broken\n" + ACCESS.replace("10/Oct", "99/Oct"))
    found = take("t.log", pattern="combined", unmatched="quarantine")
    assert [row["line_number"] for row in found.rows] == [1, 2, 3, 6, 7]
    assert "unmatched" not in found.types
    assert [(one["_reasons"], one["_line"][:9], one["_origin_detail"]) for one in found.misfits] == [
        (["no_match"], "broken", '{"line":4}'), (["no_match"], "127.0.0.1", '{"line":5}'),
    ]  # fmt: skip
    with pytest.raises(DataError, match=r"Line 4 of t\.log does not match the pattern"):
        take("t.log", pattern="combined", unmatched="quarantine", misfit_limit=0)


def test_personal_lines_are_not_kept_as_they_are(tmp_path: Path) -> None:
    put(tmp_path / "t.log", ACCESS + "secret\n")
    options = {"path": "t.log", "pattern": "combined"}
    source = SourceSpec(table="t", kind="files", options=options, personal={"host": "mask"})
    extraction = FilesSource().open(Request(source=source, root=str(tmp_path)))
    assert extraction is not None
    try:
        rows = [row for batch in extraction.batches() for row in batch.data.to_pylist()]
        assert (rows[3]["line_number"], rows[3]["unmatched"]) == (4, None)
        assert "their texts are left out" in extraction.notes()[-1]
    finally:
        extraction.close()
    source = SourceSpec(
        table="t", kind="files", options={**options, "unmatched": "quarantine"}, personal={"host": "mask"}
    )
    extraction = FilesSource().open(Request(source=source, root=str(tmp_path)))
    assert extraction is not None
    try:
        aside = [batch.misfits.to_pylist() for batch in extraction.batches() if batch.misfits is not None]
        assert [(one["_line"], one["_origin_detail"]) for one in aside[0]] == [(None, '{"line":4}')]
    finally:
        extraction.close()


def test_records_of_many_lines_across_pieces(tmp_path: Path, take: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.extract.files.formats.lines._CHUNK", 1000)
    records = [f"# {number}" + "".join(f"\r\n  part {part}" for part in range(number % 7)) for number in range(2000)]
    put(tmp_path / "t.log", "before\r\n" + "\r\n".join(records))
    found = take("t.log", pattern=r"# (?P<n>\d+)(?P<rest>(?s:.*))", start="#", batch_bytes=20_000)
    assert [row["n"] for row in found.rows] == [None, *range(2000)]
    assert found.rows[0]["unmatched"] == "before"
    assert [row["rest"] for row in found.rows[1:4]] == [None, "\n  part 0", "\n  part 0\n  part 1"]
    lines = [1]
    for number in range(2000):
        lines.append(lines[-1] + (1 if not number else 1 + (number - 1) % 7))
    assert [row["line_number"] for row in found.rows] == lines
    assert found.largest < 40_000


def test_what_cannot_be_is_told(tmp_path: Path, take: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "t.log", "a b\nc d\n")
    for options, told in (
        ({}, "match none of the well-known patterns"), ({"pattern": "combind"}, "pattern of t.log is not known"),
        ({"pattern": "(?P<a>"}, "no regular expression"), ({"pattern": "(.) (.)"}, "cannot name columns"),
        ({"pattern": "(?P<a>.) (?P<a>.)"}, "cannot name columns"),
        ({"pattern": "(?P<line_number>.*)"}, "cannot name"),
        ({"pattern": "(?P<a>.).*", "start": "("}, "start of t.log is no regular"),
        ({"pattern": "(?P<a>.).*", "unmatched": "drop"}, "Valid: keep, quarantine, refuse"),
        ({"pattern": "(?P<a>.).*", "types": {"b": "BIGINT"}}, "no column 'b'"),
        ({"pattern": "(?P<a>.).*", "patern": 1}, "no option 'patern'"),
    ):  # fmt: skip
        with pytest.raises(ConfigurationError, match=told.replace(".", r"\.")):
            take("t.log", **options)
    with pytest.raises(DataError, match=r"No line of t\.log matches its pattern"):
        take("t.log", pattern="common")
    monkeypatch.setattr("penstock.extract.files.formats.lines.LONGEST", 10_000)
    put(tmp_path / "t.log", "x\n" * 20_000)
    with pytest.raises(DataError, match=r"The record at line 1 of t\.log has over 10,000 characters"):
        take("t.log", pattern="(?P<a>.)", start="never")
    put(tmp_path / "t.log", "a\n" + "x" * 3_000_000)
    with pytest.raises(DataError, match=r"Line 2 of t\.log has over 10,000 characters"):
        take("t.log", pattern="(?P<a>.*)")


def test_a_log_reaches_the_warehouse(tmp_path: Path) -> None:
    put(tmp_path / "access.log", ACCESS)
    penstock.ingest(str(tmp_path / "access.log"), to=str(tmp_path / "w.duckdb"), table="access")
    with duckdb.connect(str(tmp_path / "w.duckdb"), read_only=True) as warehouse:
        assert warehouse.sql("SELECT sum(status), max(epoch(time)) FROM access").fetchall() == [(1008, 971222401.0)]
