"""Server-Sent Events as their text has them: fields of lines, and an empty line after each event."""

from __future__ import annotations

import re
from collections.abc import Iterator

from penstock.values import dataclass

_END = re.compile(rb"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    Attributes:
        id: That of the event, or of the last one before it that has one.
        type: Its type.
        data: Its data, lines with line breaks between.
        named: It has an id of its own.
    """

    id: str
    type: str
    data: bytes
    named: bool


class Events:
    """Makes events of bytes as they come.

    Args:
        last: The id of the last event before them.
    """

    def __init__(self, last: str = "") -> None:
        self.last = last
        self._rest = b""
        self._begun = False
        self._named = False
        self._type = "message"
        self._data: list[bytes] = []

    def fed(self, data: bytes) -> Iterator[Event]:
        """Yield the events that end within the next bytes."""
        lines = _END.split(self._rest + data)
        self._rest = lines.pop()
        if data.endswith(b"\r"):
            # A line feed that belongs to it may come next.
            self._rest = (lines.pop() if lines else b"") + b"\r"
        for line in lines:
            if not self._begun:
                self._begun, line = True, line.removeprefix(b"\xef\xbb\xbf")  # noqa: PLW2901 - a mark of the encoding
            if line:
                self._field(line)
            elif self._data:
                yield Event(self.last, self._type, b"\n".join(self._data), self._named)
                self._type, self._data, self._named = "message", [], False
            else:
                self._type, self._named = "message", False

    @property
    def held(self) -> int:
        """Return how many bytes of an event that has not ended are held."""
        return len(self._rest) + sum(map(len, self._data))

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._type = value.decode(errors="replace")
        elif name == b"id" and b"\0" not in value:
            self.last, self._named = value.decode(errors="replace"), True
