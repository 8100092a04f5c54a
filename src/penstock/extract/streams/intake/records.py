"""Messages as lines of segments: when they came, their id, key, headers and body, with tabs between.

ESC stands before a letter for what divides: e for ESC itself, n for a line break, t for a tab, r and u for the bytes
between headers and within one. ESC 0 alone is a key that is none.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from penstock.extract.streams.intake.feed import Received
from penstock.extract.streams.lines import whole
from penstock.extract.streams.port import HEADERS, MOMENT
from penstock.extract.streams.webhooks import segments

_BETWEEN, _WITHIN = b"\x1e", b"\x1f"
_ESCAPED = ((b"\x1b", b"\x1be"), (b"\n", b"\x1bn"), (b"\t", b"\x1bt"), (_BETWEEN, b"\x1br"), (_WITHIN, b"\x1bu"))
_BLOCK = 2**16
_NONE = b"\x1b0"


def identity(id_: str) -> str:
    """Return an id as it stands in a line: ASCII without tabs and line breaks."""
    return json.dumps(id_)[1:-1]


def line(at: int, message: Received) -> bytes:
    """Return a message as a line; ``at`` is when it came, in microseconds since 1970."""
    headers = _BETWEEN.join(_escaped(name.encode()) + _WITHIN + _escaped(value) for name, value in message.headers)
    key = _NONE if message.key is None else _escaped(message.key)
    id_ = identity(message.id).encode("ascii")
    return b"%d\t%b\t%b\t%b\t%b\n" % (at, id_, key, headers, _escaped(message.value))


def parsed(lines: Sequence[bytes]) -> dict[str, pa.Array]:
    """Return the columns of lines, which stand without their breaks, but for the offset."""
    parts = pc.split_pattern(pa.array(lines, pa.binary()), pattern=b"\t", max_splits=4)
    moment, _, key, headers, body = (pc.list_element(parts, place) for place in range(5))
    none = pc.equal(key, pa.scalar(_NONE, pa.binary()))
    return {
        "timestamp": moment.cast(pa.string()).cast(pa.int64()).cast(MOMENT),
        "key": pc.if_else(none, pa.scalar(None, pa.binary()), _plain(key)),
        "value": _plain(body),
        "headers": _headers(headers),
    }


def _headers(fields: pa.Array) -> pa.Array:
    empty = pc.equal(pc.binary_length(fields), 0)
    groups = pc.split_pattern(fields, pattern=_BETWEEN)
    pairs = pc.split_pattern(groups.flatten(), pattern=_WITHIN)
    # A message without headers is one group without a pair.
    pairs = pc.if_else(pc.less(pc.list_value_length(pairs), 2), pa.scalar([b"", b""], pairs.type), pairs)
    names, values = (_plain(pc.list_element(pairs, place)) for place in range(2))
    struct = pa.StructArray.from_arrays([names.cast(pa.string()), values], fields=list(HEADERS.value_type))
    return pa.ListArray.from_arrays(groups.offsets, struct, type=HEADERS, mask=empty)


def _escaped(value: bytes) -> bytes:
    for plain, escaped in _ESCAPED:
        value = value.replace(plain, escaped)
    return value


def _plain(values: pa.Array) -> pa.Array:
    # Each replacement is a copy of all of them, and most need none.
    if not pc.any(pc.match_substring(values, pattern=b"\x1b")).as_py():
        return values
    for plain, escaped in reversed(_ESCAPED):
        values = pc.replace_substring(values, pattern=escaped, replacement=plain)
    return values


def last_key(folder: Path) -> bytes | None:
    """Return the key of the last message of segments; None where there is none, or it has none."""
    for segment in reversed(segments.listed(folder)):
        end = whole(segment.path)
        if end:
            key: bytes | None = parsed([_last_line(segment.path, end)])["key"][0].as_py()
            return key
    return None


def _last_line(path: Path, end: int) -> bytes:
    """Return the line, without its break, that ends at a byte."""
    with path.open("rb") as file:
        size = _BLOCK
        while True:
            begin = max(0, end - size)
            file.seek(begin)
            data = file.read(end - 1 - begin)
            found = data.rfind(b"\n")
            if found >= 0 or not begin:
                return data[found + 1 :]
            size *= 2
