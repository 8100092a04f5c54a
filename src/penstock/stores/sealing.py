"""Making files durable beside other work: a disk is waited for several times for each version."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager


class Sealing:
    """Makes durable what an entry is going to name, in order, while the rest goes on.

    Args:
        thread: The one thread that does it.
    """

    def __init__(self, thread: ThreadPoolExecutor) -> None:
        self._thread = thread
        self._begun: list[Future[None]] = []

    def begin(self, work: Callable[[], None]) -> None:
        """Have something done; ``wait`` tells of its failure."""
        self._begun.append(self._thread.submit(work))

    def wait(self) -> None:
        """Wait until all that was begun is done; raises what it raised."""
        begun, self._begun = self._begun, []
        for each in begun:
            each.result()


@contextmanager
def sealing() -> Iterator[Sealing]:
    """Lend the thread; it starts with the first work, and has ended after the block."""
    with ThreadPoolExecutor(1, thread_name_prefix="penstock-sealing") as thread:
        yield Sealing(thread)
