"""Files that grow, as a reader sees them: whole lines, rotation, truncation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from penstock import sources
from penstock.errors import ConfigurationError, DataError
from penstock.extract.streams.port import Opening, Polled, Reader
from penstock.extract.streams.tail import TailSource
from penstock.model.streams import Positions, advanced, behind


def opened(folder: Path, at: Positions | None = None, **stream: str) -> Reader:
    source = sources.tail("logs/app*", table="app", stream=stream)
    return TailSource().open(Opening(source=source, connection=None, positions=at or {}, root=str(folder)))


def lines(polled: Polled) -> list[bytes]:
    return [value for run in polled.runs for value in run.data.column("value").to_pylist()]


def after(at: Mapping[str, Mapping[str, int]], polled: Polled) -> Positions:
    return advanced(at, polled.moves)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    path = tmp_path / "logs/app.log"
    path.write_bytes(b"one\ntwo\r\n\nthr")
    return path


def test_whole_lines_are_given_once_with_their_places(tmp_path: Path, log: Path) -> None:
    reader = opened(tmp_path)
    first = reader.poll(2**20, 0)
    assert lines(first) == [b"one", b"two\r"]
    assert first.runs[0].data.column("offset").to_pylist() == [0, 4]
    assert not reader.poll(2**20, 0)
    with log.open("ab") as file:
        file.write(b"ee\nfour\n")
    second = reader.poll(2**20, 0)
    assert lines(second) == [b"three", b"four"]
    assert second.runs[0].data.column("offset").to_pylist() == [10, 16]
    at = after(after({}, first), second)
    assert not behind(at, reader.ends())
    assert lines(opened(tmp_path, after({}, first)).poll(2**20, 0)) == [b"three", b"four"]
    assert not opened(tmp_path, at).poll(2**20, 0)


def test_a_poll_is_bounded_in_bytes_and_a_long_line_is_read_all_the_same(tmp_path: Path, log: Path) -> None:
    log.write_bytes(b"".join(b"%d\n" % n for n in range(1000)) + b"x" * 5000 + b"\nend\n")
    reader, found = opened(tmp_path), []
    for _ in range(200):
        polled = reader.poll(100, 0)
        assert sum(map(len, lines(polled))) <= 5100
        found += lines(polled)
    assert found == [b"%d" % n for n in range(1000)] + [b"x" * 5000, b"end"]


def test_a_file_that_is_rotated_is_read_to_its_end_under_its_new_name(tmp_path: Path, log: Path) -> None:
    reader = opened(tmp_path)
    first = reader.poll(2**20, 0)
    log.rename(tmp_path / "logs/old-1")
    with (tmp_path / "logs/old-1").open("ab") as file:
        file.write(b"ee\n")
    log.write_bytes(b"new\n")
    assert lines(reader.poll(2**20, 0)) == [b"three", b"new"]
    assert lines(opened(tmp_path, after({}, first)).poll(2**20, 0)) == [b"three", b"new"]


def test_a_file_that_was_cut_stops_the_stream_or_is_recorded(tmp_path: Path, log: Path) -> None:
    at = after({}, opened(tmp_path).poll(2**20, 0))
    log.write_bytes(b"one\n")
    with pytest.raises(DataError, match=r"no longer has offset 10: it goes on at 0 .*cut to 4 bytes.*on_gap"):
        opened(tmp_path, at).poll(2**20, 0)
    polled = opened(tmp_path, at, on_gap="record").poll(2**20, 0)
    assert [(gap.wanted, gap.found) for gap in polled.gaps] == [(10, 0)]
    assert lines(polled) == [b"one"]


def test_it_may_begin_with_what_comes(tmp_path: Path, log: Path) -> None:
    reader = opened(tmp_path, start="latest")
    assert not reader.poll(2**20, 0).rows
    with log.open("ab") as file:
        file.write(b"ee\n")
    (tmp_path / "logs/app-2.log").write_bytes(b"later\n")
    assert sorted(lines(reader.poll(2**20, 0))) == [b"later", b"three"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"folder of the stream 'app' is not there.*logs"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("stream", "reading", "sentence"),
    [
        ({"evry": "1s"}, {}, "no argument 'evry'.*Did you mean 'every'"),
        ({"every": "0s"}, {}, "closed at once"),
        ({"rows": 0}, {}, "no number of rows"),
        ({"bytes": "many"}, {}, "is not a size"),
        ({"on_gap": "skip"}, {}, "on_gap of stream 'app' is not known.*stop, record"),
        ({"start": "now"}, {}, "start of stream 'app' is not known"),
        ({}, {"write": "replace"}, "is a stream, which has no end"),
        ({}, {"interval": "at"}, "is a stream, which has no end"),
        ({}, {"cursor": "at", "lag": "2h"}, "is a stream, which has no end"),
    ],
)
def test_what_a_stream_cannot_be_is_refused(stream: dict[str, object], reading: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        sources.tail("logs/app*", table="app", stream=stream, **reading)
