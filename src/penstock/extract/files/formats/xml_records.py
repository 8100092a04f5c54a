"""Records of an XML document as a stream: each is a tree of texts, attributes and repeated elements.

A record is a text, None for ``xsi:nil``, or a mapping from the name of an element, of an attribute (``@name``) or of
the text between them (``#text``) to the list of what stands there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from penstock.errors import DataError
from penstock.extract.files.formats import markup
from penstock.extract.files.formats.port import Asked

TEXT = "#text"
Raw = Any
"""None, a text, or a mapping from a name to a list of these."""
DEEPEST = 100
LARGEST = 64 * 2**20
"""The most bytes that a record may take in memory, about."""
_ELEMENT = 150
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_SHOWN = 5


class Records:
    """The records of one file, as often as they are asked for.

    Args:
        asked: The file.
        path: Names from the root to a record, or the last of them; a name may have a prefix of ``namespaces``.
        rooted: Whether the path begins at the root.
        namespaces: Prefix to namespace.
    """

    def __init__(self, asked: Asked, path: Sequence[str], *, rooted: bool, namespaces: Mapping[str, str]) -> None:
        self._asked = asked
        self._path = [_wanted(name, namespaces) for name in path]
        self._rooted = rooted
        self._prefixes = {uri: prefix for prefix, uri in namespaces.items()}
        self.outside: dict[str, None] = {}
        self.mixed: dict[str, None] = {}

    def batches(self, batch_bytes: int) -> Iterator[tuple[list[Raw], list[int]]]:
        """Yield records and the lines that they begin at, about ``batch_bytes`` in memory at a time.

        Raises:
            DataError: The document is not well-formed, declares a document type, or has a record out of proportion.
        """
        key = self._asked.file.key
        made = markup.parser(key)
        made.namespace_prefixes = True
        builder = _Builder(self, made, key)
        made.StartElementHandler = builder.start
        made.EndElementHandler = builder.end
        made.CharacterDataHandler = builder.text
        with self._asked.stream() as stream:
            for _ in markup.parse(stream, made, key):
                if builder.size >= batch_bytes:
                    yield builder.records, builder.lines
                    builder.clear()
        if builder.records:
            yield builder.records, builder.lines

    def is_record(self, above: Sequence[tuple[str, str]]) -> bool:
        """Say whether the last of these elements, each (namespace, name), is a record."""
        if len(above) < len(self._path) or (self._rooted and len(above) != len(self._path)):
            return False
        last = above[-len(self._path) :]
        return all(
            name == local and (uri is None or uri == space)
            for (uri, name), (space, local) in zip(self._path, last, strict=True)
        )

    def named(self, space: str, name: str, prefix: str, home: str) -> str:
        """Return what an element or attribute is called: with a prefix where it is of another namespace."""
        if not space or space == home:
            return name
        prefix = self._prefixes.get(space, prefix)
        return f"{prefix}:{name}" if prefix else name


class _Builder:
    """Turns the events of a document into records."""

    def __init__(self, records: Records, made: Any, key: str) -> None:
        self.records: list[Raw] = []
        self.lines: list[int] = []
        self.size = 0
        self._all = records
        self._parser = made
        self._key = key
        self._above: list[tuple[str, str]] = []
        self._counts: list[int] = []
        self._frames: list[tuple[str, dict[str, list[Raw]] | None, list[str]]] = []
        self._spaces: dict[tuple[str, str], str] = {}
        self._home = ""
        self._begun = self._line = self._count = 0

    def clear(self) -> None:
        """Let go of the whole records; one may be open."""
        self.records, self.lines = [], []
        self.size = self.size - self._begun if self._frames else 0
        self._begun = 0

    def start(self, tag: str, given: dict[str, str]) -> None:
        space, name, prefix = _parts(tag)
        self._above.append((space, name))
        if len(self._above) > DEEPEST:
            raise DataError(f"{self._key} is nested more than {DEEPEST} deep at line {self._parser.CurrentLineNumber}")
        if not self._frames:
            self._counts.append(self._count)
            if not self._all.is_record(self._above):
                return
            self._home, self._begun, self._line = space, self.size, self._parser.CurrentLineNumber
            self._count += 1
        called = self._all.named(space, name, prefix, self._home)
        if self._frames:
            self._same(called, space, name)
        self._frames.append((called, self._attributes(given), []))
        self._grow(_ELEMENT * (1 + len(given)) + sum(map(len, given.values())))

    def text(self, data: str) -> None:
        if self._frames:
            self._frames[-1][2].append(data)
            self._grow(len(data))

    def end(self, _: str) -> None:
        if not self._frames:
            # Elements around the records hold some; others are beside them.
            if self._counts.pop() == self._count and len(self._all.outside) < _SHOWN:
                self._all.outside.setdefault("/".join(local for _, local in self._above))
            self._above.pop()
            return
        self._above.pop()
        called, members, pieces = self._frames.pop()
        text = "".join(pieces)
        value: Raw = text
        if members is not None:
            if members.pop("@xsi:nil", [""])[0] in ("true", "1"):
                value = members or None
            else:
                if text.strip():
                    members[TEXT] = [text]
                    if any(not key.startswith(("@", "#")) for key in members):
                        self._all.mixed.setdefault(called)
                value = members or text
        if not self._frames:
            self._counts.pop()
            self.records.append(value)
            self.lines.append(self._line)
            return
        parent, above, texts = self._frames[-1]
        if above is None:
            above = {}
            self._frames[-1] = (parent, above, texts)
        above.setdefault(called, []).append(value)

    def _attributes(self, given: dict[str, str]) -> dict[str, list[Raw]] | None:
        if not given:
            return None
        found: dict[str, list[Raw]] = {}
        for key, value in given.items():
            space, name, prefix = _parts(key)
            found[f"@xsi:{name}" if space == _XSI else f"@{self._all.named(space, name, prefix, self._home)}"] = [value]
        return found

    def _same(self, called: str, space: str, name: str) -> None:
        """Refuse two elements that would have one name but are of different namespaces."""
        known = self._spaces.setdefault((called, name), space)
        if known != space:
            raise DataError(
                f"{self._key} has elements {name!r} of two namespaces that would be one column "
                f"(line {self._parser.CurrentLineNumber})",
                value=f"{known} and {space}",
                remedy="Name prefixes for them: namespaces={…}",
            )

    def _grow(self, size: int) -> None:
        self.size += size
        if self.size - self._begun > LARGEST:
            raise DataError(
                f"The record at line {self._line} of {self._key} takes over {LARGEST:,} bytes",
                remedy="Name smaller records with records=…",
            )


def _parts(tag: str) -> tuple[str, str, str]:
    """Return namespace, name and prefix."""
    parts = tag.split(markup.SEPARATOR)
    if len(parts) == 1:
        return "", tag, ""
    return parts[0], parts[1], parts[2] if len(parts) > 2 else ""


def _wanted(name: str, namespaces: Mapping[str, str]) -> tuple[str | None, str]:
    prefix, colon, local = name.rpartition(":")
    return (namespaces[prefix], local) if colon and prefix in namespaces else (None, local if colon else name)
