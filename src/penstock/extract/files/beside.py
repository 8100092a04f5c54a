"""A large CSV file is looked through while it is scanned: what its beginning tells is taken for granted until then.

Looking first and scanning then would leave a core idle, and read a file from the disk twice that memory does not hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event
from typing import Any

from penstock.extract.files import archives
from penstock.extract.files.listing import LARGE, Content, File, inspect

_FORMATS = ("csv", "tsv")


class Beside:
    """Looks through a file in a thread of its own; to be closed by who made it."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._ended = Event()

    def begin(self, file: File, compression: str | None, meter: archives.Meter) -> Content | None:
        """Return what the beginning of a file tells, and look through the whole of it from now on.

        None for a file that is to be looked through before it is scanned: a small one, or one whose beginning shows
        that more must be known of it.

        Raises:
            TransientError: It cannot be read.
        """
        if file.format not in _FORMATS or compression is not None or file.bytes <= LARGE:
            return None
        first = inspect(file, meter, most=LARGE)
        if first.encoding != "utf-8":
            return None
        self._pool = self._pool or ThreadPoolExecutor(1, thread_name_prefix="penstock-look")
        whole = self._pool.submit(inspect, file, meter, ended=self._ended)
        return replace(first, sha256="", bytes=file.bytes, whole=whole)

    def close(self) -> None:
        """Stop looking; what was not asked for is not known then."""
        self._ended.set()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def origin(file: File, content: Content) -> tuple[str, Mapping[str, Any]]:
    """Return what manifests say of where rows came from; the checksum is waited for where it is asked for."""
    return file.key, _Detail(file.bytes, content)


class _Detail(Mapping[str, Any]):
    def __init__(self, size: int, content: Content) -> None:
        self._told = {"bytes": lambda: size, "sha256": content.checksum}

    def __getitem__(self, name: str) -> Any:
        return self._told[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._told)

    def __len__(self) -> int:
        return len(self._told)
