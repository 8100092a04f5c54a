"""Files of stores are brought to this disk, small ones several at a time: each costs a round trip, however small."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from penstock.extract.files import archives
from penstock.extract.files.listing import File

AT_ONCE = 16
"""How many files are fetched at a time."""
AHEAD = 32 * 2**20
"""About how many bytes are fetched before they are asked for."""


class Fetcher:
    """Fetches files; to be closed by who made it.

    Args:
        new: Gives the path for the next one.
    """

    def __init__(self, new: Callable[[], str]) -> None:
        self._new = new
        self._pool: ThreadPoolExecutor | None = None

    def run(self, files: Sequence[File]) -> Iterator[tuple[File, File]]:
        """Yield each file with what stands for it on this disk: itself, or what was fetched, in their order.

        Raises:
            TransientError: A file vanished or changed since it was listed.
        """
        waiting: deque[tuple[File, Future[File]]] = deque()
        flying = 0
        for file in files:
            if file.place is None:
                yield file, file
                continue
            while waiting and (len(waiting) >= AT_ONCE or flying + file.bytes > AHEAD):
                flying -= waiting[0][0].bytes
                yield self._first(waiting)
            self._pool = self._pool or ThreadPoolExecutor(AT_ONCE, thread_name_prefix="penstock-fetch")
            waiting.append((file, self._pool.submit(_fetch, file, self._new())))
            flying += file.bytes
        while waiting:
            yield self._first(waiting)

    def close(self) -> None:
        """Wait for what is being fetched and begin nothing more."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _first(self, waiting: deque[tuple[File, Future[File]]]) -> tuple[File, File]:
        file, future = waiting.popleft()
        return file, future.result()


def _fetch(file: File, target: str) -> File:
    assert file.place is not None
    assert file.listed is not None
    return replace(file, path=target, bytes=archives.pour(file.place.read(file.listed), target))
