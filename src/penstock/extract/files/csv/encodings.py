"""Which encoding bytes are written in, and files written anew as UTF-8 where DuckDB does not read them by itself."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from penstock.arrow import pa
from penstock.errors import ConfigurationError, DataError
from penstock.extract.files.listing import Content, File, unreadable

NATIVE = ("utf-8", "utf-16", "latin-1")
"""Encodings that DuckDB reads by itself."""
_CHUNK = 2**20
_CONTROLS = re.compile(rb"[\x80-\x9f]")
_NO_TEXT = re.compile("[\x00\x02-\x08\x0e-\x1b\x7f]")
_FEWEST_CONTROLS, _SHARE_OF_CONTROLS = 4, 0.02
_MARKS = ((codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF8, "utf-8"))


def encoding(file: File, content: Content, first: bytes) -> tuple[str, str | None]:
    """Return the encoding of a file, and a sentence for the user where it could only be guessed.

    UTF-8 is told by its validity over the whole file, UTF-16 and UTF-32 by their marks or by their zero bytes; all
    other bytes are Windows-1252, which is Latin-1 where it has no characters of its own.

    Args:
        file: The file.
        content: What its bytes told.
        first: Its first bytes, unpacked: 4096 of them, if it has so many.
    """
    for mark, name in _MARKS:
        if first.startswith(mark) and (name == "utf-32" or content.encoding == "utf-8"):
            return name, None
    if content.encoding == "utf-16":
        return "utf-16", None
    wide = _wide(first)
    if wide is not None:
        return wide, None
    if content.encoding == "utf-8":
        return "utf-8", None
    if any(_CONTROLS.search(chunk) for chunk in pieces(file, content)):
        return "cp1252", f"{file.key} is not UTF-8; it is read as Windows-1252"
    return "latin-1", f"{file.key} is not UTF-8; it is read as Latin-1"


def binary(text: str) -> bool:
    """Say whether what was read as text is none: more control characters stand in it than any text has."""
    return len(_NO_TEXT.findall(text)) > max(_FEWEST_CONTROLS, _SHARE_OF_CONTROLS * len(text))


def known(name: str, file: File) -> str:
    """Return an encoding by the name that the rest of the package uses.

    Raises:
        ConfigurationError: There is none of this name.
    """
    try:
        found = codecs.lookup(name).name
    except LookupError:
        raise ConfigurationError(
            f"The encoding of {file.key} is not known", value=name, valid="utf-8, utf-16, latin-1, cp1252, shift_jis …"
        ) from None
    return {"utf-8-sig": "utf-8", "iso8859-1": "latin-1", "ascii": "utf-8"}.get(found, found)


@contextmanager
def opened(file: File, content: Content) -> Iterator[BinaryIO]:
    """Lend the bytes of a file, unpacked; of a plain file any place can be reached at once."""
    try:
        if content.compression is None:
            with open(file.path, "rb") as plain:
                yield plain
        else:
            with pa.input_stream(file.path, compression=content.compression, buffer_size=_CHUNK) as stream:
                yield stream
    except OSError as error:
        raise unreadable(file, error) from error


def pieces(file: File, content: Content) -> Iterator[bytes]:
    """Yield the bytes of a file, unpacked, in bounded pieces."""
    try:
        with pa.input_stream(file.path, compression=content.compression, buffer_size=_CHUNK) as stream:
            while chunk := stream.read(_CHUNK):
                yield bytes(chunk)
    except OSError as error:
        raise unreadable(file, error) from error


def texts(file: File, content: Content, name: str) -> Iterator[str]:
    """Yield the text of a file in bounded pieces, without a byte order mark.

    Raises:
        DataError: It is not written in this encoding.
    """
    decoder = codecs.getincrementaldecoder(name)("strict")
    first = True
    try:
        for chunk in pieces(file, content):
            text = decoder.decode(chunk)
            yield text.removeprefix("\ufeff") if first else text
            first = first and not text
        yield decoder.decode(b"", True)
    except UnicodeDecodeError:
        if name == "cp1252":
            # Five bytes mean nothing in it; as in Latin-1 they stand for themselves.
            raise _UndefinedByteError from None
        raise DataError(
            f"The file {file.key} is not written in {name}", remedy="Name its encoding with encoding=…"
        ) from None


def rewrite(file: File, content: Content, name: str, target: str) -> None:
    """Write a file anew as UTF-8."""
    try:
        with open(target, "wb") as sink:
            sink.writelines(text.encode("utf-8", "replace") for text in texts(file, content, name))
    except _UndefinedByteError:
        rewrite(file, content, "latin-1", target)


class _UndefinedByteError(Exception):
    """A byte that Windows-1252 leaves open."""


def _wide(first: bytes) -> str | None:
    """Return UTF-16 or UTF-32 without a mark, told by where the zeros of its ASCII characters stand."""
    size = len(first) // 4 * 4
    if size < 8 or 0 not in first:
        return None
    zeros = [first[place:size:4].count(0) * 4 / size for place in range(4)]
    if zeros[0] < 0.1 and min(zeros[1:]) > 0.7:
        return "utf-32-le"
    if zeros[3] < 0.1 and min(zeros[:3]) > 0.7:
        return "utf-32-be"
    if max(zeros[0], zeros[2]) < 0.1 and min(zeros[1], zeros[3]) > 0.5:
        return "utf-16-le"
    if max(zeros[1], zeros[3]) < 0.1 and min(zeros[0], zeros[2]) > 0.5:
        return "utf-16-be"
    return None
