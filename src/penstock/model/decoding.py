"""Frozen values out of JSON data: dataclasses, tuples, mappings, moments and enumerations, as their annotations say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from penstock.errors import PenstockError

Read = Callable[[Any], Any]


class MisshapenError(Exception):
    """Data that is no such value.

    Attributes:
        problem: What is expected there, without what was found: it may be personal.
        place: The keys and places that lead there, the outermost first.
    """

    def __init__(self, problem: str, *place: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.place = list(place)


@cache
def reader(kind: Any) -> Read:
    """Return the function that makes values of a type from JSON data.

    Keys that a dataclass does not know are left out: a later version may have written them.

    Args:
        kind: A dataclass; or what stands in annotations of one: plain types, ``X | None``, ``tuple``, ``Mapping`` from
            texts, ``datetime``, an ``Enum``, ``Any``. The function raises MisshapenError.
    """
    if kind is Any:
        return lambda data: data
    if kind in _PLAIN:
        return _PLAIN[kind]
    if is_dataclass(kind) and isinstance(kind, type):
        return _of_dataclass(kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _of_enumeration(kind)
    origin, members = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType) and len(members) == 2 and NoneType in members:
        return _or_none(reader(next(member for member in members if member is not NoneType)))
    if origin is tuple:
        return _of_many(members[0]) if members[-1] is Ellipsis else _of_some(members)
    if origin is Mapping and members[0] is str:
        return _of_mapping(members[1])
    raise TypeError(f"{kind} cannot be read from JSON")


def _text(data: Any) -> str:
    if not isinstance(data, str):
        raise MisshapenError("a text is expected")
    return data


def _truth(data: Any) -> bool:
    if data not in (0, 1):
        raise MisshapenError("true or false is expected")
    return bool(data)


def _whole(data: Any) -> int:
    if not isinstance(data, int) and not (isinstance(data, float) and data.is_integer()):
        raise MisshapenError("a whole number is expected")
    return int(data)


def _number(data: Any) -> float:
    if not isinstance(data, int | float):
        raise MisshapenError("a number is expected")
    return float(data)


def _moment(data: Any) -> datetime:
    try:
        return datetime.fromisoformat(data)
    except (TypeError, ValueError):
        raise MisshapenError("a moment of ISO 8601 is expected") from None


_PLAIN: Mapping[Any, Read] = {str: _text, bool: _truth, int: _whole, float: _number, datetime: _moment}


def _or_none(read: Read) -> Read:
    return lambda data: None if data is None else read(data)


def _of_enumeration(kind: type[Enum]) -> Read:
    known = {member.value: member for member in kind}

    def read(data: Any) -> Any:
        if not isinstance(data, str) or data not in known:
            raise MisshapenError(f"one of {', '.join(map(str, known))} is expected")
        return known[data]

    return read


def _of_many(kind: Any) -> Read:
    each = reader(kind)

    def read(data: Any) -> tuple[Any, ...]:
        if not isinstance(data, list):
            raise MisshapenError("a list is expected")
        made: list[Any] = []
        try:
            for item in data:
                made.append(each(item))  # noqa: PERF401 - how many there are says where it failed
        except MisshapenError as error:
            error.place.insert(0, str(len(made)))
            raise
        return tuple(made)

    return read


def _of_some(kinds: tuple[Any, ...]) -> Read:
    readers = [reader(kind) for kind in kinds]

    def read(data: Any) -> tuple[Any, ...]:
        if not isinstance(data, list) or len(data) != len(readers):
            raise MisshapenError(f"a list of {len(readers)} is expected")
        return tuple(each(item) for each, item in zip(readers, data, strict=True))

    return read


def _of_mapping(kind: Any) -> Read:
    each = reader(kind)

    def read(data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise MisshapenError("an object is expected")
        made: dict[str, Any] = {}
        for key, item in data.items():
            made[key] = _within(key, each, item)
        return made

    return read


def _of_dataclass(kind: type[Any]) -> Read:
    hints = get_type_hints(kind)
    readers = {field.name: reader(hints[field.name]) for field in fields(kind)}
    needed = [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]

    def read(data: Any) -> Any:
        if not isinstance(data, dict):
            raise MisshapenError("an object is expected")
        values = {name: _within(name, readers[name], item) for name, item in data.items() if name in readers}
        missing = next((name for name in needed if name not in values), None)
        if missing is not None:
            raise MisshapenError("it is missing", missing)
        try:
            return kind(**values)
        except (ValueError, PenstockError) as error:
            raise MisshapenError(str(error)) from error

    return read


def _within(key: str, read: Read, data: Any) -> Any:
    try:
        return read(data)
    except MisshapenError as error:
        error.place.insert(0, key)
        raise
