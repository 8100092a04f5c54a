"""XML: each record is a row, what is nested in it a nested value; one pass finds the shape, another gives rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import pyarrow as pa

from penstock.errors import ConfigurationError, DataError
from penstock.extract.files.formats import markup, texts
from penstock.extract.files.formats.port import Asked
from penstock.extract.files.formats.xml_records import Raw, Records
from penstock.extract.files.formats.xml_shape import Shape
from penstock.names import unknown
from penstock.values import dataclass

_LOOKED_AT = 2**20


def read(asked: Asked) -> Iterator[pa.RecordBatch]:
    """Yield the records of a document.

    Raises:
        ConfigurationError: An option is not what it may be, or there is no record at ``records``.
        DataError: The document is not well-formed, declares a document type, or is out of proportion.
    """
    options = _options(asked)
    records = Records(asked, options.path, rooted=options.rooted, namespaces=options.namespaces)
    said = texts.wishes(asked)
    with texts.session() as session:
        shape = Shape(session, said, options.lists, asked.file.key)
        held: list[tuple[list[Raw], list[int]]] | None = []
        batches = 0
        for found, lines in records.batches(asked.batch_bytes):
            shape.look(found)
            batches += 1
            if held is not None:
                held.append((found, lines))
                held = held if batches == 1 else None
        if not batches:
            raise ConfigurationError(
                f"{asked.file.key} has no element at records={'/'.join(options.path)!r}",
                valid=list(records.outside) or None,
            )
        for path in (*said.types, *said.times, *options.lists):
            if path not in shape.paths:
                raise unknown("element", path, shape.paths, where=f"options of {asked.file.key}")
        _tell(asked, records)
        for found, lines in held if held is not None else records.batches(asked.batch_bytes):
            yield shape.batch(found, lines)


def _tell(asked: Asked, records: Records) -> None:
    key = asked.file.key
    if records.outside:
        asked.notes.append(f"{key}: what stands beside its records is not read, as {', '.join(records.outside)}")
    if records.mixed:
        asked.notes.append(f"{key}: {', '.join(records.mixed)} has texts between elements; they are joined in #text")


@dataclass(frozen=True, slots=True)
class _Options:
    path: tuple[str, ...]
    rooted: bool
    namespaces: Mapping[str, str]
    lists: tuple[str, ...]


def _options(asked: Asked) -> _Options:
    key, given = asked.file.key, asked.options
    namespaces = given.get("namespaces") or {}
    if not isinstance(namespaces, Mapping) or not all(isinstance(uri, str) for uri in namespaces.values()):
        raise ConfigurationError(
            f"The namespaces of {key} are none", value=namespaces, valid="a table of prefixes, as {a: 'http://…'}"
        )
    lists = given.get("lists", ())
    lists = (lists,) if isinstance(lists, str) else tuple(lists)
    path = given.get("records")
    if path is None:
        found = _detected(asked)
        asked.notes.append(f"{key} is read by records='/{'/'.join(found)}'")
        return _Options(found, True, namespaces, lists)
    # A slash within braces would be one of a namespace, which prefixes stand for.
    names = tuple(str(path).strip("/").split("/"))
    if not isinstance(path, str) or not all(names):
        raise ConfigurationError(
            f"The option records of {key} is no path",
            value=path,
            valid="names as 'book', 'shelf/book' or '/catalog/book'",
        )
    for name in names:
        prefix, colon, _ = name.rpartition(":")
        if colon and prefix not in namespaces:
            raise ConfigurationError(
                f"The prefix {prefix!r} in records of {key} is not known",
                valid=list(namespaces) or "prefixes of namespaces={…}",
                remedy="Name its namespace, or leave the prefix out: a name alone is of any namespace",
            )
    return _Options(names, path.startswith("/"), namespaces, lists)


def _detected(asked: Asked) -> tuple[str, ...]:
    """Return the path of what is repeated nearest to the root; the root itself where nothing is."""
    key = asked.file.key
    made = markup.parser(key)
    above: list[str] = []
    parents: list[int] = []
    counts: Counter[tuple[int, tuple[str, ...]]] = Counter()
    opened = 0

    def start(tag: str, _: Mapping[str, str]) -> None:
        nonlocal opened
        above.append(tag.rpartition(markup.SEPARATOR)[2])
        counts[parents[-1] if parents else -1, tuple(above)] += 1
        opened += 1
        parents.append(opened)

    def end(_: str) -> None:
        above.pop()
        parents.pop()

    made.StartElementHandler, made.EndElementHandler = start, end
    with asked.stream() as stream:
        # What is wrong in it is said with its line.
        next(markup.parse(stream, made, key, size=_LOOKED_AT), None)
    if not counts:
        raise DataError(f"{key} is no XML: it has no element in its first {_LOOKED_AT:,} bytes")
    below = {path for _, path in counts if len(path) == 2}
    repeated = [path for (_, path), count in counts.items() if count > 1]
    if len(below) == 1:
        return below.pop()
    return min(repeated, key=len, default=next(iter(counts))[1])
