"""Files of stores: every store is asked the same, and each answers from a real server."""

from __future__ import annotations

import bz2
import io
import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from draining import Read, read

from penstock.errors import ConfigurationError, TransientError
from penstock.extract.files.source import FilesSource
from penstock.extract.port import Request
from penstock.model.specs import ConnectionSpec, SourceSpec, WriteMode
from servers import azurite, buckets
from servers.scripted_http import Answer, Call, scripted
from servers.sftp import PASSWORD, serving


@dataclass
class Store:
    """A store with files: how a test writes to it, and how Penstock enters it."""

    url: str
    put: Callable[[str, bytes], None]
    remove: Callable[[str], None]
    options: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)

    def take(self, path: str, position: Any = None, write: WriteMode = WriteMode.APPEND, **options: Any) -> Read:
        return read(FilesSource(), self.asked(path, position, write, **options))

    def asked(self, path: str, position: Any = None, write: WriteMode = WriteMode.APPEND, **options: Any) -> Request:
        connection = ConnectionSpec(
            name="store", kind="files", url=self.url, options=self.options, secrets=self.secrets
        )
        source = SourceSpec(table="t", kind="files", connection="store", options={"path": path, **options}, write=write)
        return Request(source=source, connection=connection, position=position)


KINDS = ("s3", "gs", "az", "sftp")


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with _OPENERS[request.param](request, tmp_path) as opened:
        yield opened


@contextmanager
def _bucket(kind: str, request: pytest.FixtureRequest) -> Iterator[Store]:
    bucket = buckets.made(kind, request.getfixturevalue(buckets.SERVERS[kind]))
    yield Store(
        f"{bucket.url}/in",
        lambda name, data: bucket.put(f"in/{name}", data),
        lambda name: bucket.remove(f"in/{name}"),
        bucket.options,
        bucket.secrets,
    )


@contextmanager
def _s3(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with _bucket("s3", request) as store:
        yield store


@contextmanager
def _gs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with _bucket("gs", request) as store:
        yield store


@contextmanager
def _az(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with _bucket("az", request) as store:
        yield store


@contextmanager
def _sftp(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    served, scratch = tmp_path / "served", tmp_path / "scratch"
    (served / "in").mkdir(parents=True)
    scratch.mkdir()

    def put(name: str, data: bytes) -> None:
        path = served / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    with serving(served, scratch) as server:
        yield Store(
            server.url("in"),
            put,
            lambda name: (served / "in" / name).unlink(),
            {"known_hosts": str(server.known_hosts)},
            {"password": PASSWORD},
        )


_OPENERS = {"s3": _s3, "gs": _gs, "az": _az, "sftp": _sftp}


def test_globs_folders_and_single_files_of_every_format(store: Store) -> None:
    parquet = io.BytesIO()
    pq.write_table(pa.table({"a": [7], "b": ["p"]}), parquet)
    store.put("2024/x.csv", b"a,b\n1,x\n2,y\n")
    store.put("2024/deep/z.csv.bz2", bz2.compress(b"a,b\n3,z\n"))
    store.put("2025/w.jsonl", b'{"a": 4, "b": "w"}\n')
    store.put("2025/p.parquet", parquet.getvalue())
    store.put("2025/_aside.csv", b"no\n")
    store.put("2025/readme.txt", b"none of ours")
    assert store.take("2024/*.csv").rows == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    assert store.take("**/*.csv.bz2").rows == [{"a": 3, "b": "z"}]
    assert store.take("2025/p.parquet").rows == [{"a": 7, "b": "p"}]
    whole = store.take(".")
    assert sorted(row["a"] for row in whole.rows or []) == [1, 2, 3, 4, 7]
    assert sorted(key.rpartition("/")[2] for key in whole.position["files"]) == [
        "p.parquet", "w.jsonl", "x.csv", "z.csv.bz2",
    ]  # fmt: skip
    assert all(key.partition("://")[0] == store.url.partition("://")[0] for key in whole.position["files"])
    assert store.take(".", position=whole.position).rows is None


def test_new_changed_and_deleted_files_are_found_by_the_listing(store: Store) -> None:
    store.put("a.csv", b"a\n1\n")
    store.put("b.csv", b"a\n2\n")
    first = store.take("*.csv")
    store.put("b.csv", b"a\n22\n")
    store.put("c.csv", b"a\n3\n")
    store.remove("a.csv")
    second = store.take("*.csv", position=first.position)
    assert sorted(row["a"] for row in second.rows or []) == [3, 22]
    assert any("1 files that were read before are gone" in note for note in second.notes)
    assert any("1 files changed since they were read" in note for note in second.notes)
    assert store.take("*.csv", position=second.position).rows is None


def test_a_file_that_was_written_anew_with_the_same_bytes_is_not_read_again(store: Store) -> None:
    store.put("a.csv", b"a\n1\n")
    first = store.take("*.csv")
    state = dict(next(iter(first.position["files"].values())))
    touched = {key: {**state, "mtime_ns": 1, "tag": "other"} for key in first.position["files"]}
    assert store.take("*.csv", position={"files": touched}).rows is None
    changed = {key: {**state, "mtime_ns": 1, "tag": "other", "sha256": "0"} for key in first.position["files"]}
    assert store.take("*.csv", position={"files": changed}).rows == [{"a": 1}]


def test_a_file_rewritten_after_it_was_listed_is_noticed(store: Store) -> None:
    store.put("a.csv", b"a\n1\n")
    extraction = FilesSource().open(store.asked("*.csv"))
    assert extraction is not None
    try:
        store.put("a.csv", b"a\n22\n")
        with pytest.raises(TransientError, match=r"a\.csv changed while it was read"):
            list(extraction.batches())
    finally:
        extraction.close()


def test_a_file_that_vanishes_after_it_was_listed_is_noticed(store: Store) -> None:
    store.put("a.csv", b"a\n1\n")
    extraction = FilesSource().open(store.asked("*.csv"))
    assert extraction is not None
    try:
        store.remove("a.csv")
        with pytest.raises(TransientError, match=r"a\.csv vanished"):
            list(extraction.batches())
    finally:
        extraction.close()


def test_small_files_are_fetched_several_at_a_time_and_come_in_order(store: Store) -> None:
    for number in range(60):
        store.put(f"{number:02d}.csv", b"a\n" + b"%d\n" % number * (1 + number % 3 * 1000))
    found = store.take("*.csv")
    assert [row["a"] for row in found.rows or []] == [n for n in range(60) for _ in range(1 + n % 3 * 1000)]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("penstock-fetch")]


def test_what_is_not_there_is_said_by_name(store: Store) -> None:
    store.put("a.csv", b"a\n1\n")
    for path in ("b.csv", "none/*.csv"):
        with pytest.raises(ConfigurationError, match="names no file"):
            store.take(path)


def test_scope_looks_into_stores(store: Store) -> None:
    store.put("a1.csv", b"a,b\n1,x\n")
    store.put("a2.csv", b"a,b\n2,x\n")
    (described,) = FilesSource().describe(store.asked("*.csv"))
    assert (described.columns, described.rows) == ({"a": "BIGINT", "b": "VARCHAR"}, 2)


def test_a_wrong_password_or_key_is_a_sentence_without_it(tmp_path: Path, azure: str) -> None:
    wrong = "d3JvbmcgYW5kIHNlY3JldA=="
    store = Store("az://none", lambda *_: None, lambda _: None, {"endpoint": azure, "account": azurite.ACCOUNT},
                  {"account_key": wrong})  # fmt: skip
    with pytest.raises(ConfigurationError, match="may not be read with these credentials") as told:
        store.take("a.csv")
    assert wrong not in str(told.value)


def test_sftp_by_key_with_a_server_that_is_known(tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "a.csv").write_text("a\n1\n")
    with serving(tmp_path / "served", tmp_path) as server:
        known = {"known_hosts": str(server.known_hosts)}

        def take(options: Mapping[str, Any], secrets: Mapping[str, str]) -> Read:
            return Store(server.url(), lambda *_: None, lambda _: None, options, secrets).take("a.csv")

        assert take(known, {"private_key": server.private_key}).rows == [{"a": 1}]
        with pytest.raises(ConfigurationError, match="may not be read with these credentials"):
            take(known, {"password": "wrong"})
        (tmp_path / "nobody").write_text("")
        with pytest.raises(ConfigurationError, match=r"key of the server .* is not known"):
            take({"known_hosts": str(tmp_path / "nobody")}, {"password": PASSWORD})
    assert not [thread for thread in threading.enumerate() if thread.name == "penstock-sftp"]


def web(url: str, position: Any = None, **secrets: str) -> Read:
    return Store(url, lambda *_: None, lambda _: None, {}, secrets).take(".", position)


def test_a_file_of_a_web_server() -> None:
    tag = itertools.count()
    now = {"tag": next(tag), "body": b"a\n1\n"}

    def script(call: Call) -> Answer:
        assert call.query == {"signature": "s3cret"}
        assert call.headers["authorization"] == "Bearer t0ken"
        return Answer(now["body"], headers={"ETag": f'"{now["tag"]}"', "Content-Type": "text/csv"})

    with scripted(script) as server:
        url = f"{server.url}/in/a%20b.csv?signature=s3cret"
        first = web(url, token="t0ken")
        assert first.rows == [{"a": 1}]
        assert "s3cret" not in str(first.position)
        assert web(url, first.position, token="t0ken").rows is None
        now.update(tag=next(tag), body=b"a\n2\n")
        assert web(url, first.position, token="t0ken").rows == [{"a": 2}]


def test_a_file_that_a_web_server_writes_anew_meanwhile_is_noticed() -> None:
    calls = itertools.count()
    with (
        scripted(lambda _: Answer(b"a\n1\n", headers={"ETag": f'"{next(calls)}"'})) as server,
        pytest.raises(TransientError, match="changed while it was read"),
    ):
        web(f"{server.url}/a.csv")


def test_a_web_server_without_tags_is_asked_for_the_content() -> None:
    now = [b"a\n1\n"]
    with scripted(lambda _: now[0]) as server:
        first = web(f"{server.url}/a.csv")
        assert web(f"{server.url}/a.csv", first.position).rows is None
        now[0] = b"a\n2\n"
        assert web(f"{server.url}/a.csv", first.position).rows == [{"a": 2}]


@pytest.mark.parametrize("status", [401, 403])
def test_a_web_server_that_wants_another_token(status: int) -> None:
    with (
        scripted(lambda _: Answer(b"", status=status)) as server,
        pytest.raises(ConfigurationError, match="credentials") as told,
    ):
        web(f"{server.url}/a.csv?sig=s3cret", token="t0ken")
    assert "s3cret" not in str(told.value)
    assert "t0ken" not in str(told.value)


def test_credentials_are_not_sent_to_another_place() -> None:
    with pytest.raises(ConfigurationError, match="outside of its connection"):
        Store("s3://mine/in", lambda *_: None, lambda _: None).take("s3://other/a.csv")
