"""Objects in a bucket: written whole or not at all, created once by a conditional put, read through copies here.

Data files are written and read on this machine's disk, where DuckDB and Arrow are fastest; ``publish`` uploads them,
in parts where they are large, and ``reading`` downloads what is not here yet. Both hold a bounded number of parts.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import PurePosixPath
from typing import Any
from zlib import crc32

import obstore

from penstock.errors import AlreadyExistsError, ConfigurationError, DataError, NotFoundError, TransientError
from penstock.model.buckets import Bucket
from penstock.stores.buckets import delta_options, opened, sentences
from penstock.stores.copies import Copies
from penstock.stores.manifests import FOLDER as MANIFESTS
from penstock.stores.objects import file_error
from penstock.stores.port import CONDITION, ObjectInfo, Objects
from penstock.stores.transfers import Transfers, together

_ATTEMPTS = 4
_KNOWN = 500
_SMALL = 64 * 2**10
_PAGE = 1000


class BucketObjects:
    """Named bytes below a prefix of a bucket; safe for threads.

    Args:
        bucket: The bucket.
        prefix: The path that stands before every name; empty for the whole bucket.
        copies: The copies on this machine.
    """

    def __init__(self, bucket: Bucket, prefix: str, copies: Copies) -> None:
        self.bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self.root = (bucket.url + prefix).rstrip("/")
        self._copies = copies
        with sentences(self.root):
            self._store = opened(bucket)
            self._once = opened(bucket, once=True)
        self._transfers = Transfers(self._store)
        # Stores at different addresses may have buckets of the same name.
        where = f"{bucket.options.get('endpoint') or ''} {bucket.options.get('account') or ''}"
        self._folder = os.path.join(copies.folder, f"{bucket.scheme}-{bucket.name}-{crc32(where.encode()):08x}", prefix)
        self._conditional = False
        self._there: set[str] = set()
        self._known: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, path: str) -> bytes:
        """Return the bytes; raises NotFoundError. What is created once is asked for once."""
        with self._lock:
            if path in self._known:
                self._known.move_to_end(path)
                return self._known[path]
        with sentences(self.url(path)):
            data = bytes(obstore.get(self._store, self._key(path)).bytes())
        if f"/{MANIFESTS}/" in path and len(data) <= _SMALL:
            with self._lock:
                self._known[path] = data
                while len(self._known) > _KNOWN:
                    self._known.popitem(last=False)
        return data

    def expect(self, paths: Sequence[str]) -> None:
        """Ask for small objects that are never replaced, several at a time; what is not there is passed over."""
        with self._lock:
            lacking = [path for path in paths if path not in self._known]

        def ask(path: str) -> None:
            with suppress(NotFoundError):
                self.get(path)

        together(ask, lacking)

    def create(self, path: str, data: bytes) -> None:
        """Write a new object by a conditional put; raises AlreadyExistsError if it is there.

        Raises:
            AlreadyExistsError: There is such an object.
            ConfigurationError: The store knows no conditional puts, or lets this user not write.
            TransientError: The store does not answer.
        """
        self._refuse_unconditional()
        self._put_new(path, data)

    def replace(self, path: str, data: bytes) -> None:
        """Write an object over whatever is there."""
        self._forget(path)
        with self._written(path):
            obstore.put(self._store, self._key(path), data)

    def exists(self, path: str) -> bool:
        """Say whether the object is there."""
        return self.info(path) is not None

    def info(self, path: str) -> ObjectInfo | None:
        """Return size and time of an object; None if it is not there."""
        found = self._head(path)
        return None if found is None else ObjectInfo(path, int(found["size"]), found["last_modified"].timestamp())

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield all objects whose path begins with ``prefix``, in the order of their paths, a page at a time."""
        folder = prefix.rpartition("/")[0]
        with self._within():
            below = self._key(folder) if folder else self._prefix.rstrip("/")
            for page in obstore.list(self._store, prefix=below or None, chunk_size=_PAGE):
                for meta in page:
                    path = meta["path"][len(self._prefix) :]
                    if path.startswith(prefix):
                        yield ObjectInfo(path, int(meta["size"]), meta["last_modified"].timestamp())

    def remove(self, path: str) -> None:
        """Delete an object and its copy; quiet if it is not there."""
        self._copies.drop(self.place(path))
        self._forget(path)
        try:
            with sentences(self.url(path), written=True):
                obstore.delete(self._store, self._key(path))
        except NotFoundError:
            return

    def adopt(self, source: str, path: str) -> None:
        """Upload a file of this machine as ``path``; it may become the copy.

        Quiet if an object of the same size is there already; any other is replaced.
        """
        try:
            size = os.stat(source).st_size
        except OSError as error:
            raise file_error(error, source, "read") from error
        found = self._head(path)
        if found is None or int(found["size"]) != size:
            self._upload(source, path)
            found = self._head(path)
        place = self.place(path)
        self._copies.link(source, place)
        self._copies.settle(place, _version(found))

    def take(self, source: Objects, name: str, path: str) -> None:
        """Bring an object of another root under ``path``; within the bucket the store copies by itself."""
        if not isinstance(source, BucketObjects) or source.bucket != self.bucket:
            self.adopt(source.reading([name])[0], path)
            return
        found = source.info(name)
        if found is None:
            raise NotFoundError(f"{source.url(name)} does not exist")
        there = self.info(path)
        if there is None or there.bytes != found.bytes:
            with sentences(self.url(path), written=True):
                obstore.copy(self._store, source._key(name), self._key(path))  # noqa: SLF001 - one of us
        if self._copies.valid(source.place(name), found.bytes):
            self._copies.link(source.place(name), self.place(path))

    def holds(self, folder: str = "") -> bool:
        """Say whether there is anything below a folder; without a name: below the root."""
        prefix = folder if not folder or folder.endswith("/") else folder + "/"
        if prefix not in self._there and next(self.list(prefix), None) is not None:
            # Roots and tables come to be, and do not go away.
            self._there.add(prefix)
        return prefix in self._there

    def folders(self) -> tuple[str, ...]:
        """Return the names of the folders right below the root, sorted."""
        with self._within():
            found = obstore.list_with_delimiter(self._store, prefix=self._prefix.rstrip("/") or None)
        return tuple(sorted(each.rstrip("/").rpartition("/")[2] for each in found["common_prefixes"]))

    def uri(self, path: str) -> str:
        """Return the path on this machine at which an object is written before it is published; makes the folder."""
        place = self.place(path)
        try:
            os.makedirs(os.path.dirname(place), exist_ok=True)
        except OSError as error:
            raise file_error(error, os.path.dirname(place), "made") from error
        return place

    def place(self, path: str) -> str:
        """Return the path on this machine at which the copy of an object lies, if there is one."""
        return os.path.join(self._folder, *self._parts(path))

    def reading(self, paths: Sequence[str], sizes: Sequence[int] = ()) -> tuple[str, ...]:
        """Return the paths of copies; several are downloaded at a time, in parts where they are large.

        Raises:
            NotFoundError: One is not there.
            DataError: One has not the size it should have.
        """
        places = tuple(self.place(path) for path in paths)
        lacking = [
            (path, size)
            for path, place, size in zip(paths, places, sizes or [0] * len(paths), strict=True)
            if not size or not self._copies.valid(place, size)
        ]
        if lacking:
            together(lambda each: self._bring(*each), dict.fromkeys(lacking))
        return places

    def forget(self, paths: Sequence[str]) -> None:
        """Delete copies, and files that were never published."""
        for path in paths:
            self._copies.drop(self.place(path))

    def discard(self, paths: Sequence[str]) -> None:
        """Delete objects and their copies, several at a time; quiet about what is not there."""
        together(self.remove, dict.fromkeys(paths))

    def publish(self, paths: Sequence[str]) -> None:
        """Upload what was written at ``uri``; several at a time, large files in parts. Published ones are passed over.

        Raises:
            NotFoundError: One is neither here nor in the bucket.
        """
        together(self._publish, dict.fromkeys(paths))

    def seal(self, path: str) -> None:
        """Nothing is left to do: a store answers when an object is durable."""

    def url(self, path: str) -> str:
        """Return the URL of an object."""
        return f"{self.bucket.url}{self._key(path)}"

    def delta(self, table: str) -> tuple[str, dict[str, str] | None]:
        """Return the URL of a table, and the credentials."""
        return self.url(table), delta_options(self.bucket)

    def _parts(self, path: str) -> tuple[str, ...]:
        parts = PurePosixPath(path).parts
        if not parts or path.startswith("/") or ".." in parts or "\0" in path:
            raise ConfigurationError(
                f"This path leaves {self.root}, or names nothing in it",
                value=path,
                valid="a relative path with forward slashes, without '..'",
            )
        return parts

    def _key(self, path: str) -> str:
        return self._prefix + "/".join(self._parts(path))

    def _forget(self, path: str) -> None:
        with self._lock:
            self._known.pop(path, None)

    @contextmanager
    def _within(self) -> Iterator[None]:
        """Say what a listing did not give: it is never the object that is missing, but the bucket."""
        try:
            with sentences(self.root):
                yield
        except NotFoundError:
            raise self._no_bucket() from None

    @contextmanager
    def _written(self, path: str) -> Iterator[None]:
        """Say why an object was not written: it is never the object that is missing, but the bucket."""
        try:
            with sentences(self.url(path), written=True):
                yield
        except NotFoundError:
            raise self._no_bucket() from None

    def _no_bucket(self) -> ConfigurationError:
        return ConfigurationError(
            f"There is no bucket {self.bucket.url.rstrip('/')}, as far as these credentials see",
            remedy="Make it first, or mend the URL in penstock.toml; a connection of the same URL says its endpoint",
        )

    def _head(self, path: str) -> Any:
        try:
            with sentences(self.url(path)):
                return obstore.head(self._store, self._key(path))
        except NotFoundError:
            return None

    def _refuse_unconditional(self) -> None:
        """Learn once whether the store refuses to create an object twice; all that is exactly once rests on it."""
        if self._conditional:
            return
        for _ in range(2):
            try:
                self._put_new(CONDITION, b"{}\n")
            except AlreadyExistsError:
                self._conditional = True
                return
        raise ConfigurationError(
            f"The store of {self.root} overwrites objects that were to be created only once (If-None-Match)",
            remedy="Two runs could commit the same number there. Use a store or gateway that knows conditional writes",
        )

    def _put_new(self, path: str, data: bytes) -> None:
        """Create an object; an attempt without an answer may have succeeded: then it is there, with our data."""
        for attempt in range(_ATTEMPTS):
            try:
                with self._written(path):
                    obstore.put(self._once, self._key(path), data, mode="create", use_multipart=False)
            except AlreadyExistsError:
                if attempt and self.get(path) == data:
                    return
                raise AlreadyExistsError(
                    "An object of this name exists already, and is never overwritten", value=path
                ) from None
            except TransientError:
                if attempt == _ATTEMPTS - 1:
                    raise
                time.sleep(0.2 * 3**attempt)
            else:
                return

    def _publish(self, path: str) -> None:
        place = self.place(path)
        published = self._copies.published(place)
        if published is None and self._head(path) is None:
            raise NotFoundError(f"{self.url(path)} was not written: {place} is gone")
        if published is False:
            self._upload(place, path)
            self._copies.settle(place)

    def _upload(self, source: str, path: str) -> None:
        with self._written(path):
            self._transfers.upload(source, self._key(path))

    def _bring(self, path: str, size: int) -> None:
        """Download an object, unless its copy is right."""
        version = None
        place = self.place(path)
        if not size:
            found = self._head(path)
            if found is None:
                raise NotFoundError(f"{self.url(path)} does not exist")
            size, version = int(found["size"]), _version(found)
            if self._copies.valid(place, size, version):
                return
        with self._copies.fresh(place, size) as temporary:
            with sentences(self.url(path)):
                whole = self._transfers.download(self._key(path), size, temporary)
            if not whole:
                raise DataError(f"{self.url(path)} is shorter than it should be", valid=f"{size} bytes")
            if version is not None:
                self._copies.stamp(temporary, version)


def _version(found: Any) -> tuple[float, str] | None:
    if found is None:
        return None
    return found["last_modified"].timestamp(), (found.get("e_tag") or "").strip('"')
