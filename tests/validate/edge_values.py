# ruff: noqa: DTZ001 - moments without a zone are among the values
"""Values at the edges of their types, as the lake stores them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

MOMENTS = [datetime(2026, 11, 20, 10), datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999_999), None]
MOMENTS += [datetime(1582, 10, 10), datetime(1970, 1, 1), datetime(2026, 11, 19, 9, 30), datetime(1899, 12, 31, 23, 59)]
ZONED = [None if at is None else at.replace(tzinfo=UTC) for at in MOMENTS]
DAYS = [date(1, 1, 1), date(9999, 12, 31), date(1582, 10, 4), date(2026, 1, 3), None, date(2024, 2, 29)]
TEXTS = ["", "a", "A", "é\n", None, "😀😀", "7", " 3 ", "nan", "a\0b", "1e3", "it's \\ $x ${y} %d", "2024-02-30", "ab"]
REALS = [0.0, 1.5, math.nan, math.inf, -math.inf, 1e300, None, 0.1, 7.0, 5e-324]
EXACT = [Decimal("0.10"), Decimal("0.20"), Decimal("-5.00"), Decimal("9999999999.99"), None, Decimal("0.00")]
LISTS = [[1, 2], [], None, [None], [2, 3, 4]]
STRUCTS = [{"a": 1, "b": "x"}, {"a": None, "b": ""}, None, {"a": 3, "b": None}]
BYTES = [b"", b"\xff\x00", None, b"abc"]
TYPES = {"key": "UUID", "big": "UBIGINT", "clock": "TIME"}
SCHEMA = pa.schema(
    [
        *[("id", pa.int64()), ("month", pa.int32()), ("small", pa.int8()), ("x", pa.float64()), ("f", pa.float32())],
        *[("s", pa.string()), ("origin", pa.string()), ("at", pa.timestamp("us")), ("tz", pa.timestamp("us", "UTC"))],
        *[("day", pa.date32()), ("d", pa.decimal128(12, 2)), ("b", pa.bool_()), ("l", pa.list_(pa.int32()))],
        ("st", pa.struct([("a", pa.int64()), ("b", pa.string())])),
        *[("raw", pa.binary()), ("key", pa.string()), ("big", pa.decimal128(20, 0)), ("clock", pa.int64())],
    ]
)


def table(rows: int, pick: Any) -> pa.Table:
    """Return a table in the lake's stored types; ``pick`` chooses each value of those there are."""
    keys = [f"6b1a3f0e-0000-0000-0000-0000000000{n:02x}" for n in range(5)]
    pools: dict[str, Sequence[Any]] = {
        "id": [1, 2, 2, 4, 5, None, 2**53 + 1, -(2**63), 2**63 - 1],
        "month": [1, 13, 3, None, 0, 6, 7, 12, -(2**31), 2**31 - 1],
        "small": [0, 1, -128, 127, None],
        "x": REALS,
        "f": [0.5, None, math.nan, math.inf, 0.1, 3.0],
        "s": TEXTS,
        "origin": ["JFK", "LGA", "", "EWR", None, "jfk", "JFK "],
        "at": MOMENTS,
        "tz": ZONED,
        "day": DAYS,
        "d": EXACT,
        "b": [True, False, None],
        "l": LISTS,
        "st": STRUCTS,
        "raw": BYTES,
        "key": [*keys, None],
        "big": [Decimal(0), Decimal(2**64 - 1), None, Decimal(7)],
        "clock": [0, 86_399_999_999, None, 36_000_000_000],
    }
    return pa.table({name: [pick(pool, row) for row in range(rows)] for name, pool in pools.items()}, SCHEMA)
