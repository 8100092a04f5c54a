"""Bodies of answers: read within bounds, unpacked, and parsed as JSON."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable
from typing import Any

from penstock.errors import DataError

_PIECE = 2**20
_EXCERPT = 80
_CHARSET = re.compile(r"charset\s*=\s*\"?([\w.-]+)", re.IGNORECASE)


class TruncatedError(Exception):
    """The body ended before its compressed stream did."""


class OversizeError(Exception):
    """The body is larger than its bound."""


class UnreadableError(Exception):
    """The body is packed in a way that it does not say, or that we did not ask for."""


def unpack(pieces: Iterable[bytes], encoding: str, limit: int) -> bytes:
    """Join the pieces of a body and undo its content encoding, never holding more than ``limit`` bytes of it.

    Args:
        pieces: The bytes as they come from the network.
        encoding: The header ``Content-Encoding``; ``gzip``, ``deflate`` or none.
        limit: Bytes that the unpacked body may have.

    Raises:
        TruncatedError: The compressed stream has no end.
        OversizeError: More than ``limit`` bytes come out.
        UnreadableError: Another encoding, or bytes that are not what the header says.
    """
    name = encoding.strip().lower()
    if name not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise UnreadableError(f"it is packed as {encoding!r}, which was not asked for")
    found = bytearray()
    packed = name not in ("", "identity")
    decoder = zlib.decompressobj(wbits=47)
    seen = False
    for piece in pieces:
        if not packed:
            found += piece
        elif piece:
            seen = True
            decoder = _inflate(decoder, piece, found, limit)
        if len(found) > limit:
            raise OversizeError
    if packed and seen and not decoder.eof:
        raise TruncatedError
    return bytes(found)


def _inflate(decoder: Any, piece: bytes, found: bytearray, limit: int) -> Any:
    try:
        while piece:
            if decoder.eof:
                decoder = zlib.decompressobj(wbits=47)
            found += decoder.decompress(piece, _PIECE)
            if len(found) > limit:
                raise OversizeError
            piece = decoder.unconsumed_tail or decoder.unused_data
    except zlib.error as error:
        raise UnreadableError(f"it does not unpack: {error}") from error
    return decoder


def parse_json(body: bytes, content_type: str, *, where: str, status: int) -> Any:
    """Parse a body as JSON.

    Args:
        body: The unpacked bytes.
        content_type: The header, for its charset and for the message.
        where: Address of the body, without secrets.
        status: Status of the answer, for the message.

    Raises:
        DataError: It is a page of HTML, is cut off, or is not JSON; says where.
    """
    stripped = body.lstrip(b"\xef\xbb\xbf \t\r\n")
    if "html" in content_type.lower() or stripped[:1] == b"<":
        raise DataError(
            f"{where} answers with a page instead of JSON "
            f"(status {status}, content type {content_type or 'not given'!r})",
            value=excerpt(body),
            valid="JSON",
            remedy="Is this the address of the API, and not of its web site or its login page?",
        )
    charset = _CHARSET.search(content_type)
    try:
        text = body.decode(charset.group(1) if charset else json.detect_encoding(body)).removeprefix("\ufeff")
    except (UnicodeDecodeError, LookupError) as error:
        at = f" at byte {error.start}" if isinstance(error, UnicodeDecodeError) else ""
        raise DataError(f"The text of {where} cannot be decoded{at}", value=str(error)[:_EXCERPT]) from error
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{where} does not hold valid JSON: {error.msg} at character {error.pos} of {len(text)} (status {status})",
            value=text[max(0, error.pos - 40) : error.pos + 40],
        ) from error
    except (RecursionError, ValueError) as error:
        raise DataError(f"The JSON of {where} is nested too deep or holds a number too long to read") from error


def excerpt(body: bytes) -> str:
    """Return the first 80 characters on one line."""
    return " ".join(body[: _EXCERPT * 4].decode("utf-8", "replace").split())[:_EXCERPT]
