"""XML as a stream of events, in bounded memory: no tree, no document type, no entity beyond the five of XML itself."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from typing import IO, Any
from xml.parsers import expat

from penstock.errors import DataError

SEPARATOR = "}"
"""Stands between a namespace and a name."""
CHUNK = 2**16
LARGEST = 16 * 2**20
"""The most bytes that one tag, and the most characters that one text, may have."""
_BY_EXPAT = {"utf-8", "utf-16", "iso8859-1", "ascii"}
_DECLARED = re.compile(rb"^(?:\xef\xbb\xbf)?\s*<\?xml[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9._:-]+)[\"']")


def parser(what: str) -> expat.XMLParserType:
    """Return a parser that refuses a document type; ``what`` names the document."""
    made = expat.ParserCreate(namespace_separator=SEPARATOR)
    made.buffer_text = True

    def refuse(*_: Any) -> None:
        raise DataError(
            f"{what} declares a document type (line {made.CurrentLineNumber}), which could name other files or grow "
            "without bound",
            valid="XML without <!DOCTYPE …>",
            remedy="Write it anew without one",
        )

    made.StartDoctypeDeclHandler = refuse
    made.EntityDeclHandler = refuse
    return made


def parse(stream: IO[bytes], made: expat.XMLParserType, what: str, *, size: int = CHUNK) -> Iterator[None]:
    """Feed a parser; after each piece its handlers have run, and the caller takes what they gathered.

    Raises:
        DataError: It is no well-formed XML; names the line.
    """
    first = stream.read(size)
    decode = _decoder(first, what)
    chunk, fed = first, 0
    try:
        while chunk:
            # A text overrides what the document says of its encoding.
            data = decode(chunk) if decode else chunk
            made.Parse(data, False)
            fed += len(data) if isinstance(data, bytes) else len(data.encode())
            if fed - made.CurrentByteIndex > LARGEST:
                raise DataError(f"{what} holds a tag of over {LARGEST:,} bytes: it is damaged, or made to harm")
            yield
            chunk = stream.read(size)
        made.Parse(decode(b"", True) if decode else b"", True)
    except expat.ExpatError as error:
        said = expat.ErrorString(error.code) or "no well-formed XML"
        raise DataError(f"{what} is no well-formed XML at line {error.lineno}: {said}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{what} is not written in {error.encoding}, as it says") from None
    yield


def _decoder(first: bytes, what: str) -> Callable[..., str] | None:
    """Return what decodes an encoding that the parser does not know by itself."""
    declared = _DECLARED.match(first[:1024])
    if declared is None:
        return None
    name = declared[1].decode()
    try:
        found = codecs.lookup(name)
    except LookupError:
        raise DataError(f"{what} names an encoding that is not known", value=name) from None
    if found.name in _BY_EXPAT:
        return None
    return found.incrementaldecoder("strict").decode
