"""Places in a binary log as numbers that grow, and as global transaction ids, which every server understands.

The number of a place is that of its file and its offset there, beside a base: a server that takes over counts its own
files, so it gets a base by which its places follow upon those of the one before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penstock.model.capture import LEVEL, Landed, own
from penstock.values import dataclass

_OFFSET = 36
"""Bits of an offset in a file: a transaction is never divided between files, whatever its size."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What is known of a place beside its number.

    Attributes:
        gtid: The global transaction ids up to there, as the server writes them.
        server: The ``server_id`` whose files are counted.
        base: What is added to file and offset.
        moment: That of the newest commit before it, in microseconds since 1970.
    """

    gtid: str
    server: int
    base: int
    moment: int

    def told(self) -> dict[str, Any]:
        """Return it as it stands in a load."""
        return {"gtid": self.gtid, "server": self.server, "base": self.base, "moment": self.moment}


def mark(told: Mapping[str, Any]) -> Mark:
    """Return what a load says."""
    return Mark(str(told["gtid"]), int(told["server"]), int(told["base"]), int(told["moment"]))


def marks(positions: Landed) -> Iterator[tuple[int, Mark]]:
    """Yield what loads say of places."""
    for position in positions.values():
        if position is not None:
            yield own(position), mark(position)
            if LEVEL in position:
                yield int(position[LEVEL]["at"]), mark(position[LEVEL])


def counted(number: int, offset: int) -> int:
    """Return the number of a place by that of its file."""
    return (number << _OFFSET) + offset


def apart(place: int) -> tuple[int, int]:
    """Return the number of the file, and the offset, of a place without its base."""
    return place >> _OFFSET, place & ((1 << _OFFSET) - 1)


def file_number(file: str) -> int:
    """Return the number of a file, as 3 for ``binlog.000003``."""
    return int(file.rpartition(".")[2])
