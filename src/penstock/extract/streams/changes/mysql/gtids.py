"""Global transaction ids: which transactions were read, as each family of servers counts them.

MariaDB gives each domain a sequence, so the newest of each domain says it all. MySQL counts by the server on which a
transaction was committed first, and a replica may have gaps in it, so the ids are sets of intervals
(``dev.mysql.com/doc/refman/8.4/en/replication-gtids-concepts.html``).
"""

from __future__ import annotations

import struct
import uuid
from abc import ABC, abstractmethod
from bisect import bisect_right
from typing import Any, Self

from penstock.errors import ConfigurationError
from penstock.extract.streams.changes.mysql.wire import HEAD

_MARIADB, _MYSQL, _TAGGED = 162, 33, 42
KINDS = (_MARIADB, _MYSQL, _TAGGED)
"""The types of events with which a transaction begins."""
_STANDALONE = 1


class Gtids(ABC):
    """The transactions that were read."""

    @abstractmethod
    def add(self, *gtid: Any) -> None:
        """Put a transaction behind the others; ``gtid`` is what ``begun`` returned."""

    @abstractmethod
    def covers(self, others: Self) -> bool:
        """Say whether all of others are among these."""

    @abstractmethod
    def __str__(self) -> str:
        """Return them as the server writes them."""


class DomainGtids(Gtids):
    """MariaDB's: the newest transaction of each domain.

    Args:
        text: As the server writes it: ``0-1-100,1-2-5``.
    """

    def __init__(self, text: str) -> None:
        self._newest: dict[int, tuple[int, int]] = {}
        for each in _parts(text):
            domain, server, number = map(int, each.split("-"))
            self._newest[domain] = (server, number)

    def add(self, domain: int, server: int, number: int) -> None:
        """See ``Gtids``."""
        self._newest[domain] = (server, number)

    def covers(self, others: DomainGtids) -> bool:
        """See ``Gtids``."""
        return all(
            domain in self._newest and self._newest[domain][1] >= number
            for domain, (_, number) in others._newest.items()
        )

    def agree(self, others: DomainGtids) -> bool:
        """Say whether others have the very same transactions, in every domain that is known here."""
        return all(others._newest.get(domain) == newest for domain, newest in self._newest.items())

    def __str__(self) -> str:
        return ",".join(f"{domain}-{server}-{number}" for domain, (server, number) in sorted(self._newest.items()))


class SourceGtids(Gtids):
    """MySQL's: of each server the intervals of its transactions.

    Args:
        text: As the server writes it: ``3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5:11-18``.

    Raises:
        ConfigurationError: An id has a tag.
    """

    def __init__(self, text: str) -> None:
        self._intervals: dict[uuid.UUID, list[list[int]]] = {}
        for each in _parts(text):
            source, *listed = each.split(":")
            for interval in listed:
                first, _, last = interval.partition("-")
                if not first.isdigit():
                    raise _tagged(f"{source}:{first}")
                self._put(uuid.UUID(source), int(first), int(last or first))

    def add(self, source: uuid.UUID, number: int) -> None:
        """See ``Gtids``."""
        self._put(source, number, number)

    def covers(self, others: SourceGtids) -> bool:
        """See ``Gtids``."""
        return all(
            any(low <= first and last <= high for low, high in self._intervals.get(source, ()))
            for source, intervals in others._intervals.items()
            for first, last in intervals
        )

    def encoded(self) -> bytes:
        """Return them as a replica sends them (``Gtid_set::encode``); the end of an interval is the number behind."""
        found = [struct.pack("<Q", len(self._intervals))]
        for source, intervals in sorted(self._intervals.items()):
            found.append(source.bytes + struct.pack("<Q", len(intervals)))
            found += [struct.pack("<QQ", first, last + 1) for first, last in intervals]
        return b"".join(found)

    def _put(self, source: uuid.UUID, first: int, last: int) -> None:
        intervals = self._intervals.setdefault(source, [])
        at = bisect_right(intervals, [first, last])
        if at and intervals[at - 1][1] >= first - 1:
            at -= 1
            intervals[at][1] = max(intervals[at][1], last)
        else:
            intervals.insert(at, [first, last])
        while at + 1 < len(intervals) and intervals[at + 1][0] <= intervals[at][1] + 1:
            intervals[at][1] = max(intervals[at][1], intervals.pop(at + 1)[1])

    def __str__(self) -> str:
        return ",".join(
            f"{source}:" + ":".join(f"{first}-{last}" if last > first else str(first) for first, last in intervals)
            for source, intervals in sorted(self._intervals.items())
        )


def begun(frame: bytes) -> tuple[tuple[Any, ...], bool]:
    """Return the id of a transaction that begins, and whether it is one statement without an end of its own.

    In MySQL only the statement behind it says so: ``BEGIN`` opens a transaction that has an end.

    Raises:
        ConfigurationError: The id has a tag.
    """
    if frame[4] == _TAGGED:
        raise _tagged("a transaction with a tag")
    if frame[4] == _MYSQL:
        source = uuid.UUID(bytes=frame[HEAD + 1 : HEAD + 17])
        return (source, int.from_bytes(frame[HEAD + 17 : HEAD + 25], "little")), True
    number = int.from_bytes(frame[HEAD : HEAD + 8], "little")
    domain = int.from_bytes(frame[HEAD + 8 : HEAD + 12], "little")
    server = int.from_bytes(frame[5:9], "little")
    return (domain, server, number), bool(frame[HEAD + 12] & _STANDALONE)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _tagged(value: str) -> ConfigurationError:
    return ConfigurationError(
        "The binary log has transaction ids with tags, which cannot be followed",
        value=value,
        valid="ids without a tag: GTID_NEXT = 'AUTOMATIC'",
        remedy="Let the programs that write give no tags; or read the tables by sources.sql",
    )
