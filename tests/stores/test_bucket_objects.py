"""Objects in buckets: what is promised of objects on a disk holds there, and what a store refuses is one sentence."""

from __future__ import annotations

import http.server
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from deltalake import Field, Schema
from deltalake.schema import PrimitiveType

from penstock.errors import (
    AlreadyExistsError,
    ConfigurationError,
    ConflictError,
    DataError,
    NotFoundError,
    TransientError,
)
from penstock.model.buckets import Bucket, account_of, address
from penstock.model.entries import DataFile
from penstock.model.specs import ConnectionSpec
from penstock.stores.bucket_objects import BucketObjects
from penstock.stores.copies import Copies
from penstock.stores.delta import DeltaLog
from penstock.stores.delta_actions import DeltaCommit
from penstock.stores.objects import LocalObjects
from penstock.stores.places import open_objects
from penstock.stores.port import CONDITION, Objects
from servers import buckets
from servers.buckets import MadeBucket


@pytest.fixture(params=["s3", "gs", "az"])
def bucket(request: pytest.FixtureRequest) -> MadeBucket:
    return buckets.made(request.param, request.getfixturevalue(buckets.SERVERS[request.param]))


@pytest.fixture
def objects(bucket: MadeBucket, tmp_path: Path) -> BucketObjects:
    return entered(bucket, tmp_path / "copies")


def entered(bucket: MadeBucket, copies: Path, prefix: str = "a/lake", limit: int = 2**30) -> BucketObjects:
    scheme, name, _ = address(bucket.url)
    return BucketObjects(Bucket(scheme, name, bucket.options, bucket.secrets), prefix, Copies(str(copies), limit))


def test_an_object_is_created_once(objects: BucketObjects, bucket: MadeBucket) -> None:
    objects.create("t/_manifests/1.json", b"one")
    with pytest.raises(AlreadyExistsError, match=r"never overwritten. Got: t/_manifests/1.json"):
        objects.create("t/_manifests/1.json", b"one")
    assert objects.get("t/_manifests/1.json") == bucket.get("a/lake/t/_manifests/1.json") == b"one"
    assert objects.exists("t/_manifests/1.json")
    assert not objects.exists("t/_manifests")
    objects.replace("t/_manifests/1.json", b"two")
    assert objects.get("t/_manifests/1.json") == b"two"


def test_of_many_creators_one_wins(bucket: MadeBucket, tmp_path: Path) -> None:
    racers = [entered(bucket, tmp_path / str(number)) for number in range(6)]

    def create(number: int) -> bool:
        try:
            racers[number].create("releases/1.json", str(number).encode())
        except AlreadyExistsError:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        won = list(pool.map(create, range(6)))
    assert won.count(True) == 1
    assert racers[0].get("releases/1.json") == str(won.index(True)).encode()


def test_of_many_writers_of_a_log_one_wins(bucket: MadeBucket, tmp_path: Path) -> None:
    logs = [DeltaLog(entered(bucket, tmp_path / str(number)), "raw_t") for number in range(4)]

    def commit(number: int) -> bool:
        file = DataFile(path=f"{number}.parquet", rows=1, bytes=10)
        made = DeltaCommit(
            number=number + 1,
            at=datetime.now(UTC),
            added=[file],
            removed=(),
            schema=Schema([Field("a", PrimitiveType("long"))]),
            partition_by=(),
        )
        log = logs[number % 4]
        try:
            log.create(made, {}) if number < 4 else log.append(made)
        except ConflictError:
            return False
        return True

    for _ in range(2):
        for log in logs:
            log.refresh()
        with ThreadPoolExecutor(4) as pool:
            numbers = range(4, 8) if logs[0].version >= 0 else range(4)
            assert list(pool.map(commit, numbers)).count(True) == 1
    logs[0].refresh()
    assert logs[0].version == 1
    assert len(logs[0].files()) == 2


def test_listing_is_in_order_and_by_any_prefix(objects: BucketObjects) -> None:
    assert not objects.holds()
    assert objects.folders() == ()
    for path in ("b/1", "a/c/2", "a/cd/3", "ab/4"):
        objects.replace(path, b"x" * int(path[-1]))
    assert [(info.path, info.bytes) for info in objects.list()] == [
        ("a/c/2", 2),
        ("a/cd/3", 3),
        ("ab/4", 4),
        ("b/1", 1),
    ]
    assert [info.path for info in objects.list("a/c")] == ["a/c/2", "a/cd/3"]
    assert [info.path for info in objects.list("a/c/")] == ["a/c/2"]
    assert [info.path for info in objects.list("none/")] == []
    assert abs(next(objects.list()).modified - time.time()) < 60
    assert objects.folders() == ("a", "ab", "b")
    assert objects.holds()
    assert objects.holds("a")
    assert not objects.holds("a/c/2/x")
    objects.remove("b/1")
    objects.remove("b/1")
    objects.discard(["ab/4", "none/at/all"])
    assert [info.path for info in objects.list()] == ["a/c/2", "a/cd/3"]


def test_files_go_up_and_come_down_in_parts(objects: BucketObjects, bucket: MadeBucket, tmp_path: Path) -> None:
    large, small = os.urandom(23 * 2**20 + 17), os.urandom(1000)
    for path, data in (("t/large.parquet", large), ("t/small.parquet", small)):
        Path(objects.uri(path)).write_bytes(data)
    assert bucket.paths() == []
    objects.publish(["t/large.parquet", "t/small.parquet"])
    assert bucket.get("a/lake/t/large.parquet") == large
    # Nothing is uploaded twice, and what is not there at all is told.
    bucket.put("a/lake/t/small.parquet", b"other")
    objects.publish(["t/large.parquet", "t/small.parquet"])
    assert bucket.get("a/lake/t/small.parquet") == b"other"
    bucket.put("a/lake/t/small.parquet", small)
    with pytest.raises(NotFoundError, match=r"none.parquet was not written"):
        objects.publish(["t/none.parquet"])
    other = entered(bucket, tmp_path / "elsewhere")
    places = other.reading(["t/large.parquet", "t/small.parquet"], [len(large), len(small)])
    assert [Path(place).read_bytes() for place in places] == [large, small]
    assert places == other.reading(["t/large.parquet", "t/small.parquet"])
    with pytest.raises(NotFoundError, match=r"t/none.parquet does not exist"):
        other.reading(["t/none.parquet"], [5])
    with pytest.raises((DataError, TransientError)):
        other.reading(["t/small.parquet"], [len(small) + 5])
    assert sorted(path.name for path in (tmp_path / "elsewhere").rglob("*") if path.is_file()) == [
        "large.parquet", "small.parquet",
    ]  # fmt: skip


def test_a_copy_is_read_only_as_long_as_it_is_the_object(objects: BucketObjects, bucket: MadeBucket) -> None:
    objects.replace("q/1.parquet", b"first")
    (place,) = objects.reading(["q/1.parquet"])
    assert Path(place).read_bytes() == b"first"
    objects.replace("q/1.parquet", b"other")
    assert Path(objects.reading(["q/1.parquet"])[0]).read_bytes() == b"other"
    objects.forget(["q/1.parquet"])
    assert not Path(place).exists()
    assert Path(objects.reading(["q/1.parquet"])[0]).read_bytes() == b"other"


def test_files_are_adopted_and_taken_over(bucket: MadeBucket, tmp_path: Path) -> None:
    staging = entered(bucket, tmp_path / "copies", "staging")
    production = entered(bucket, tmp_path / "copies", "production")
    disk = LocalObjects(tmp_path / "disk")
    file = tmp_path / "file"
    file.write_bytes(b"rows")
    staging.adopt(str(file), "t/f.parquet")
    staging.adopt(str(file), "t/f.parquet")
    production.take(staging, "t/f.parquet", "t/g.parquet")
    disk.take(production, "t/g.parquet", "t/h.parquet")
    staging.take(disk, "t/h.parquet", "t/i.parquet")
    assert bucket.paths() == ["production/t/g.parquet", "staging/t/f.parquet", "staging/t/i.parquet"]
    assert {bucket.get(path) for path in bucket.paths()} == {b"rows"}
    assert Path(disk.place("t/h.parquet")).read_bytes() == b"rows"
    with pytest.raises(NotFoundError, match="staging/none does not exist"):
        production.take(staging, "none", "x")


MOVING = """
import resource, sys
from pathlib import Path
from penstock.model.buckets import Bucket
from penstock.stores.bucket_objects import BucketObjects
from penstock.stores.copies import Copies

bucket, folder = Bucket(*eval(sys.argv[1])), sys.argv[2]
objects = BucketObjects(bucket, "memory", Copies(folder))
files = {"t/large": 120, **{f"t/{number}": 4 for number in range(30)}}
for path, size in files.items():
    with open(objects.uri(path), "wb") as file:
        for _ in range(size):
            file.write(bytes(2**20))
objects.replace("warm", b"")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
objects.publish(list(files))
objects.forget(list(files))
objects.reading(list(files), [size * 2**20 for size in files.values()])
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_what_goes_up_and_down_takes_bounded_memory(s3: str, tmp_path: Path) -> None:
    bucket = buckets.made("s3", s3)
    entered_by = repr(("s3", address(bucket.url)[1], dict(bucket.options), dict(bucket.secrets)))
    command = [sys.executable, "-c", MOVING, entered_by, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100, "MiB, of 240 that were moved"


def test_copies_are_bounded(bucket: MadeBucket, tmp_path: Path) -> None:
    folder = tmp_path / "copies"
    objects = entered(bucket, folder, limit=10_000)
    for number in range(20):
        Path(objects.uri(f"t/{number}")).write_bytes(bytes(1000))
        objects.publish([f"t/{number}"])
    # What was asked for within the hour may be in a query, and stays.
    assert len(list(folder.rglob("t/*"))) == 20
    for path in folder.rglob("t/*"):
        os.utime(path, (time.time() - 7200 + int(path.name), path.stat().st_mtime))
    abandoned = Path(objects.uri("t/abandoned"))
    abandoned.write_bytes(b"a crash left it")
    os.utime(abandoned, (time.time() - 30 * 86_400,) * 2)
    pending = Path(objects.uri("t/pending"))
    pending.write_bytes(b"not published")
    os.utime(pending, (time.time() - 7200, time.time() - 7200))
    assert Path(objects.reading(["t/0"], [1000])[0]).exists()
    again = entered(bucket, folder, limit=10_000)
    again.replace("t/more", bytes(500))
    again.reading(["t/more"], [500])
    left = {path.name for path in folder.rglob("t/*")}
    assert {"0", "more", "pending", "19"} <= left
    assert "abandoned" not in left
    assert sum(path.stat().st_size for path in folder.rglob("t/*")) <= 10_000
    assert Path(again.reading(["t/5"], [1000])[0]).read_bytes() == bytes(1000)


def test_paths_that_lead_out_are_refused(objects: BucketObjects) -> None:
    for path in ("../x", "/x", "", "a/../../x"):
        with pytest.raises(ConfigurationError, match="leaves"):
            objects.get(path)


def test_a_bucket_that_is_not_there_is_named(bucket: MadeBucket, tmp_path: Path) -> None:
    scheme, _, _ = address(bucket.url)
    objects = BucketObjects(
        Bucket(scheme, "no-such-bucket", bucket.options, bucket.secrets), "lake", Copies(str(tmp_path))
    )
    for work in (objects.holds, objects.folders, lambda: objects.create("x", b""), lambda: objects.replace("x", b"")):
        with pytest.raises(ConfigurationError, match=rf"There is no bucket {scheme}://no-such-bucket, as far as"):
            work()


@contextmanager
def between(
    endpoint: str, change: Callable[[http.server.BaseHTTPRequestHandler, dict[str, str]], int]
) -> Iterator[str]:
    """Serve what passes requests on; ``change`` may edit the headers, and answers by a status other than 0."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items() if name.lower() != "host"}
            status = change(self, headers)
            if status:
                found = httpx.Response(
                    status, content=b"<Error><Code>x</Code><Message>secret-of-tests</Message></Error>"
                )
            else:
                found = httpx.request(self.command, endpoint + self.path, headers=headers, content=data)
            self.send_response(found.status_code)
            for name in ("etag", "last-modified"):
                if name in found.headers:
                    self.send_header(name, found.headers[name])
            self.send_header("Content-Length", str(len(found.content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(found.content)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def through(bucket: MadeBucket, endpoint: str, copies: Path) -> BucketObjects:
    options = {**bucket.options, "endpoint": endpoint}
    return BucketObjects(Bucket("s3", address(bucket.url)[1], options, bucket.secrets), "lake", Copies(str(copies)))


def test_a_store_without_conditional_puts_is_refused(s3: str, tmp_path: Path) -> None:
    bucket = buckets.made("s3", s3)

    def strip(_: object, headers: dict[str, str]) -> int:
        headers.pop("if-none-match", None)
        return 0

    with between(s3, strip) as endpoint:
        objects = through(bucket, endpoint, tmp_path)
        with pytest.raises(ConfigurationError, match=r"overwrites objects that were to be created only once"):
            objects.create("t/_manifests/1.json", b"{}")
    assert bucket.paths() == [f"lake/{CONDITION}"]


def test_an_answer_that_was_lost_is_not_taken_for_somebody_else(s3: str, tmp_path: Path) -> None:
    bucket = buckets.made("s3", s3)
    lost = []

    def lose(handler: http.server.BaseHTTPRequestHandler, headers: dict[str, str]) -> int:
        if handler.command == "PUT" and handler.path.endswith("1.json") and not lost:
            lost.append(httpx.put(s3 + handler.path, headers=headers, content=b"mine").status_code)
            return 503
        return 0

    with between(s3, lose) as endpoint:
        objects = through(bucket, endpoint, tmp_path)
        objects.create("t/1.json", b"mine")
        assert lost == [200]
        with pytest.raises(AlreadyExistsError):
            objects.create("t/1.json", b"another's")
    assert bucket.get("lake/t/1.json") == b"mine"


def test_wrong_credentials_are_a_sentence_without_them(s3: str, tmp_path: Path) -> None:
    bucket = buckets.made("s3", s3)
    with between(s3, lambda *_: 403) as endpoint:
        objects = through(bucket, endpoint, tmp_path)
        for work in (lambda: objects.get("x"), lambda: objects.create("x", b""), objects.holds):
            with pytest.raises(ConfigurationError, match=r"may not be (read|written) with these credentials") as told:
                work()
            assert "of-tests" not in str(told.value)
            assert told.value.__cause__ is None


_NOWHERE = {"endpoint": "http://127.0.0.1:9", "region": "r", "access_key_id": "k"}


def test_a_store_that_cannot_be_reached_is_a_sentence(tmp_path: Path) -> None:
    bucket = Bucket("s3", "b", _NOWHERE, {"secret": "s"})
    objects = BucketObjects(bucket, "lake", Copies(str(tmp_path)))
    for work in (objects.holds, lambda: objects.create("x", b"")):
        with pytest.raises(TransientError, match=r"The store of s3://b/lake.* does not answer as it should"):
            work()


def test_the_connection_whose_url_the_place_begins_with_says_how_it_is_entered(tmp_path: Path) -> None:
    copies = Copies(str(tmp_path))

    def connection(name: str, url: str) -> ConnectionSpec:
        options = {"region": "r", "access_key_id": "k"}
        return ConnectionSpec(name=name, kind="files", url=url, options=options, secrets={"secret_access_key": name})

    def secret(place: str, *connections: ConnectionSpec) -> object:
        found: Objects = open_objects(place, connections, copies)
        assert isinstance(found, BucketObjects)
        return found.bucket.secrets.get("secret_access_key")

    whole, part = connection("whole", "s3://b"), connection("part", "s3://b/lake/")
    other = connection("other", "s3://b/lak")
    assert secret("s3://b/lake", whole, part, other) == "part"
    assert secret("s3a://b/lake/deep", whole, part, other) == "part"
    assert secret("s3://b/lakes", whole, part, other) == "whole"
    assert secret("s3://c/lake", whole, part, other) is None
    with pytest.raises(ConfigurationError, match=r"Two connections say how s3://b/x is entered. Got: more and whole"):
        secret("s3://b/x", whole, connection("more", "s3://b"))
    assert isinstance(open_objects(str(tmp_path), [whole], copies), LocalObjects)
    assert address("abfss://c@acc.dfs.core.windows.net/a/b/") == ("az", "c", "a/b")
    assert account_of("abfss://c@acc.dfs.core.windows.net/a/b/") == {"account": "acc"}
