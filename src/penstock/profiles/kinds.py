"""What a column holds, told by its values: the kind by which people and models treat it."""

from __future__ import annotations

from penstock.profiles.profile import ColumnProfile
from penstock.schema import MOMENTS

_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "DECIMAL", "DOUBLE", "FLOAT", "U")
_NESTED = ("STRUCT", "MAP", "UNION", "LIST")
_FEW_LEVELS, _FEW_NUMBERS = 12, 30
_NAMES_SHARE = 0.95
_LATITUDE, _LONGITUDE = ("lat", "latitude"), ("lon", "lng", "long", "longitude")


def kind(name: str, column: ColumnProfile) -> str:
    """Return the kind of a column.

    Returns:
        ``empty``, ``constant``, ``boolean``, ``time series``, ``geospatial``, ``identifier``, ``continuous``,
        ``discrete``, ``ordinal``, ``nominal``, ``text``, ``nested``, ``binary`` or ``personal``.
    """
    if column.personal:
        return "personal"
    if not column.values:
        return "empty"
    if column.type == "BOOLEAN":
        return "boolean"
    if column.type == "BLOB":
        return "binary"
    if column.type.endswith("]") or column.type.startswith(_NESTED) or column.type == "JSON":
        return "nested"
    if column.type in MOMENTS:
        return "time series"
    different = column.distinct.estimate() if column.distinct else 0
    if different <= 1:
        return "constant"
    if column.type.startswith(_NUMBERS) and column.type != "UUID":
        return _number(name, column, different)
    return _text(column, different)


def _number(name: str, column: ColumnProfile, different: int) -> str:
    low, high = (column.moments.least, column.moments.greatest) if column.moments else (0.0, 0.0)
    word = name.lower().rpartition("_")[2]
    if (word in _LATITUDE and low >= -90 and high <= 90) or (word in _LONGITUDE and low >= -180 and high <= 180):
        return "geospatial"
    if column.type in ("DOUBLE", "FLOAT") or column.type.startswith("DECIMAL"):
        return "continuous" if different > _FEW_NUMBERS else "discrete"
    if different >= _NAMES_SHARE * column.values and column.values > _FEW_NUMBERS:
        return "identifier"
    return "ordinal" if different <= _FEW_LEVELS and high - low < 2 * different else "discrete"


def _text(column: ColumnProfile, different: int) -> str:
    if column.type == "UUID":
        return "identifier"
    longest = column.moments.greatest if column.moments else 0.0
    if different >= _NAMES_SHARE * column.values and longest <= 64 and column.values > _FEW_LEVELS:
        even = column.moments is not None and column.moments.deviation < 0.25 * column.moments.mean
        return "identifier" if even else "text"
    if column.frequent is not None and column.frequent.complete and different <= column.values / 2:
        return "nominal"
    return "text" if longest > 64 or different > column.values / 2 else "nominal"
