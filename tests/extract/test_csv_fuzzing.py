"""Any bytes at all: a table and its misfits, or a sentence; never a crash, and never a row less."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from draining import Read, read
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from penstock.errors import ConfigurationError, DataError
from penstock.extract.files.source import FilesSource
from penstock.extract.port import Request
from penstock.model.specs import SourceSpec, WriteMode

SIGNS = [
    b",",
    b";",
    b"\t",
    b"|",
    b'"',
    b"'",
    b"\\",
    b"\n",
    b"\r\n",
    b"\r",
    b" ",
    b"#",
    b"\x00",
    b"\xff",
    b"\xef\xbb\xbf",
]
PIECES = st.one_of(
    st.sampled_from(SIGNS),
    st.sampled_from(
        [b"a", b"id", b"007", b"1.5", b"-", b"NA", b"2020-01-01", b"$5.00", "größe".encode(), b"12345678901"]
    ),
    st.binary(max_size=4),
)
BYTES = st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=60).map(b"".join))


def take(content: bytes, **options: Any) -> Read:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "t.csv").write_bytes(content)
        source = SourceSpec(table="t", kind="files", options={"path": "t.csv", **options}, write=WriteMode.APPEND)
        return read(FilesSource(), Request(source=source, root=folder, position=None))


def tried(content: bytes, **options: Any) -> Read | None:
    """Read, or be refused by a sentence."""
    try:
        return take(content, **options)
    except (ConfigurationError, DataError):
        return None


@given(BYTES)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(b"PK\x03\x04" + bytes(range(256)) * 40)
@example(b"a\x00b,c\n1,2\n")
@example(b'"')
@example(b"\xff\xfe")
@example(b"a,b\r1,2\n3,4\r\n")
@example(b'a,b\n"1,2\n')
def test_no_bytes_crash(content: bytes) -> None:
    found = tried(content)
    for misfit in found.misfits if found else ():
        assert misfit["_reasons"]
        assert json.loads(misfit["_origin_detail"])["line"] >= 1


CELLS = st.sampled_from(["1", "007", "x", "zwei drei", "2020-01-01", "", "1.5", "NA", "ÄÖ"])
FIT = st.tuples(CELLS, CELLS, CELLS).map(",".join)
MISFIT = st.one_of(
    st.tuples(CELLS, CELLS).map(",".join),
    # A delimiter at the end of a line adds no field: nothing stands behind it.
    st.tuples(CELLS, CELLS, CELLS, CELLS.filter(bool)).map(",".join),
    st.sampled_from(['1,"x"y,3', "Total of all"]),
)


@given(st.lists(FIT, min_size=6, max_size=30), st.lists(st.tuples(st.integers(0, 30), MISFIT), max_size=2), st.data())
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_line_is_dropped_or_filled(rows: list[str], misfits: list[tuple[int, str]], data: st.DataObject) -> None:
    end = data.draw(st.sampled_from(["\n", "\r\n", "\r"]))
    lines = list(rows)
    for place, line in misfits:
        lines.insert(min(place, len(lines)), line)
    content = end.join(["id,name,worth", *lines]) + end
    found = take(content.encode(), delimiter=",", quote='"', header=True, nulls=[])
    kept = [(json.loads(misfit["_origin_detail"])["line"], misfit["_line"]) for misfit in found.misfits]
    assert sorted(line for _, line in kept) == sorted(line for _, line in misfits)
    for number, line in kept:
        assert (["id,name,worth", *lines])[number - 1] == line
    assert found.rows is not None
    assert len(found.rows) == len(rows)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16", "shift_jis", "cp1252"])
@given(content=BYTES)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_bytes_crash_in_a_named_encoding(encoding: str, content: bytes) -> None:
    tried(content, encoding=encoding)
