"""Text files in lines, in bounded pieces; lines keep their numbers."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from penstock.errors import ConfigurationError, DataError
from penstock.extract.files.formats.port import Asked
from penstock.values import dataclass

LONGEST = 16 * 2**20
"""The most characters of a line."""
_CHUNK = 2**20
_OURS = {"utf-8": "utf-8-sig", "utf8": "utf-8-sig"}


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines that follow each other: the number of the first, from 1, and their texts without their ends."""

    first: int
    texts: pa.Array


def lines(asked: Asked) -> Iterator[Lines]:
    """Yield the lines of a file.

    Raises:
        ConfigurationError: The encoding is not known.
        DataError: The file is not written in it, or a line is too long; names the line.
    """
    key = asked.file.key
    encoding = str(asked.options.get("encoding") or asked.content.encoding)
    if "encoding" not in asked.options and encoding == "latin-1":
        asked.notes.append(f"{key} is not UTF-8; it is read as Latin-1")
    decode = _decoder(encoding, key).decode
    number, rest = 1, ""
    with asked.stream() as file:
        while True:
            chunk = file.read(_CHUNK)
            try:
                text = rest + decode(chunk, final=not chunk)
            except UnicodeDecodeError:
                raise DataError(
                    f"{key} is not written in {encoding} at line {number} or some lines below it",
                    remedy="Name its encoding with encoding=…",
                ) from None
            found = text.split("\n")
            rest = found.pop() if chunk else ""
            if not chunk and found[-1] == "":
                found.pop()
            if len(rest) > LONGEST:
                raise DataError(f"Line {number + len(found)} of {key} has over {LONGEST:,} characters")
            if found:
                if "\r" in text:
                    found = [line.removesuffix("\r") for line in found]
                yield Lines(number, pa.array(found, pa.string()))
                number += len(found)
            if not chunk:
                return


def _decoder(encoding: str, key: str) -> Any:
    try:
        return codecs.lookup(_OURS.get(encoding.lower(), encoding)).incrementaldecoder("strict")
    except (LookupError, TypeError):
        raise ConfigurationError(
            f"The encoding of {key} is not known", value=encoding, valid="utf-8, utf-16, latin-1, cp1252, shift_jis …"
        ) from None


def nulls(asked: Asked) -> list[str]:
    """Return how null is spelt, besides an empty text."""
    given = asked.options.get("nulls", ())
    return [given] if isinstance(given, str) else [str(each) for each in given]
