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
        gtid: The global transaction ids up to there, one of each domain.
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


class Gtids:
    """The newest transaction of each domain.

    Args:
        text: As the server writes it: ``0-1-100,1-2-5``.
    """

    def __init__(self, text: str) -> None:
        self._newest: dict[int, tuple[int, int]] = {}
        for each in filter(None, (part.strip() for part in text.split(","))):
            domain, server, number = map(int, each.split("-"))
            self._newest[domain] = (server, number)

    def add(self, domain: int, server: int, number: int) -> None:
        """Put a transaction behind those of its domain."""
        self._newest[domain] = (server, number)

    def covers(self, others: Gtids) -> bool:
        """Say whether these are as far as others in every domain."""
        return all(
            domain in self._newest and self._newest[domain][1] >= number
            for domain, (_, number) in others._newest.items()
        )

    def agree(self, others: Gtids) -> bool:
        """Say whether others have the very same transactions, in every domain that is known here."""
        return all(others._newest.get(domain) == newest for domain, newest in self._newest.items())

    def __str__(self) -> str:
        return ",".join(f"{domain}-{server}-{number}" for domain, (server, number) in sorted(self._newest.items()))
