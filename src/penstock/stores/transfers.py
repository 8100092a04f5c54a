"""Files going up into a bucket and down from it: several at once, large ones in parts, in a bounded number of bytes.

The client's errors pass as they are.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import obstore

Item = TypeVar("Item")

_PART = 5 * 2**20
"""Bytes of a part of a large file: the least that S3 takes."""
_MOST_PARTS = 9000
_PARTS = 2
"""Parts of one file that are under way at once."""
_HANDS = 6
"""Files that are under way at once."""
_LARGE = 3
"""Files of more than 1 MiB that are under way at once."""
_FEW_BYTES = 2**20


class Transfers:
    """Moves files between this machine and a bucket; safe for threads, which share its bounds.

    Args:
        store: The client of the bucket.
    """

    def __init__(self, store: Any) -> None:
        self._store = store
        self._large = threading.BoundedSemaphore(_LARGE)

    def upload(self, source: str, key: str) -> None:
        """Make a file an object; it is there whole, or not at all."""
        size = os.path.getsize(source)
        if size <= _FEW_BYTES:
            self._put(source, key, size)
            return
        with self._large:
            self._put(source, key, size)

    def download(self, key: str, size: int, target: str) -> bool:
        """Write the first bytes of an object into a file that is there.

        Args:
            key: The object.
            size: How many bytes it has.
            target: The file.

        Returns:
            Whether it has so many.
        """
        with open(target, "r+b") as file:

            def part(first: int) -> None:
                length = min(_PART, size - first)
                data = obstore.get_range(self._store, key, start=first, length=length)
                wrong.extend([first] * (os.pwrite(file.fileno(), data, first) != length))

            wrong: list[int] = []
            if size <= _FEW_BYTES:
                together(part, range(0, size, _PART))
            else:
                with self._large:
                    together(part, range(0, size, _PART), _PARTS)
        return not wrong

    def _put(self, source: str, key: str, size: int) -> None:
        if size <= _PART:
            # Given a file, the client holds several times its bytes.
            obstore.put(self._store, key, Path(source).read_bytes(), use_multipart=False)
            return
        part = max(_PART, -(-size // _MOST_PARTS))
        obstore.put(self._store, key, Path(source), chunk_size=part, max_concurrency=_PARTS)


def together(work: Callable[[Item], None], items: Iterable[Item], hands: int = _HANDS) -> None:
    """Do the same for each item, several at a time; the first error is raised once those under way have ended."""
    listed = list(items)
    if len(listed) <= 1:
        for item in listed:
            work(item)
        return
    with ThreadPoolExecutor(min(hands, len(listed)), thread_name_prefix="penstock-bucket") as pool:
        futures = [pool.submit(work, item) for item in listed]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
