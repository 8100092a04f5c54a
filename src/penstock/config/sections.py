"""Sections of ``penstock.toml`` as values: what each key holds, and a sentence where it holds something else."""

from __future__ import annotations

import re
from pathlib import Path
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from penstock.errors import ConfigurationError
from penstock.names import nearest, unknown

_FOUND = re.compile(r"(?s)(.*?)(?: - at `\$\.?(.*)`)?")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")
_MISSING = re.compile(r"Object missing required field `(.*)`")
_TOML = {"str": "string", "int": "integer", "bool": "boolean", "object": "table"}
"""What TOML calls a type of msgspec, where its name is another."""
_LIMITS = {"length >= ": "at least ", ">= ": "of at least ", "<= ": "of at most ", "> ": "above ", "< ": "below "}
"""Limits as msgspec says them, and in words."""


class Section(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A table of the file: its keys, their types, limits and defaults."""


Read = TypeVar("Read", bound=Section)


def read_section(kind: type[Read], given: Any, file: Path, place: str = "") -> Read:
    """Return a table of the file as a value.

    Args:
        kind: What it is.
        given: What the file and the variables say. A text stands for a number or a truth, too: variables hold texts.
        file: The file, for messages.
        place: Where the table stands in it, as ``alerts.channels.ops``; empty: it is the whole file.

    Raises:
        ConfigurationError: A key that is not known (with the nearest that is), is missing, or holds no such value.
    """
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _sentence(kind, given, file, place, str(error)) from None


def _sentence(kind: type[Section], given: Any, file: Path, place: str, found: str) -> ConfigurationError:
    """Turn what msgspec found into a sentence with file, path of the key and nearest match."""
    match = _FOUND.fullmatch(found)
    problem, within = (match[1], match[2] or "") if match else (found, "")
    inner = within.split(".") if within else []
    path = ".".join(filter(None, (place, within)))
    named = f"{path}." if path else ""
    if name := _UNKNOWN.fullmatch(problem):
        what = "section" if path in ("", "environments") else "key"
        return unknown(what, name[1], _keys(kind, inner), where=f"{named}{name[1]} in {file}")
    if name := _MISSING.fullmatch(problem):
        for part in inner:
            given = given[part]
        guess = nearest(name[1], given)
        return ConfigurationError(
            f"{named}{name[1]} is missing in {file}", remedy=f"Did you misspell it as {guess!r}?" if guess else None
        )
    if problem.startswith("Invalid enum value"):
        return ConfigurationError(f"{path} in {file} is none of what it may be", valid=", ".join(_words(kind, inner)))
    said = re.sub(r"`(.*?)`", lambda types: " or ".join(_named(types[1])), problem)
    for limit, words in _LIMITS.items():
        said = said.replace(f" {limit}", f" {words}")
    valid, _, value = said.removeprefix("Expected ").partition(", got ")
    return ConfigurationError(f"{path} in {file} is not usable", value=value or None, valid=valid)


def _named(types: str) -> list[str]:
    """Return the names of types in the words of TOML; it has no null."""
    return [_TOML.get(each, each) for each in types.split(" | ") if each != "null"]


def _within(kind: Any, path: list[str]) -> Any:
    """Return the type of a key of sections in sections."""
    for part in path:
        kind = get_type_hints(kind)[part]
        kind = next((each for each in get_args(kind) if _is_section(each)), kind)
    return kind


def _keys(kind: type[Section], path: list[str]) -> list[str]:
    found = _within(kind, path)
    return list(found.__struct_fields__) if _is_section(found) else []


def _words(kind: type[Section], path: list[str]) -> list[str]:
    found = _within(kind, path)
    return [str(each) for each in get_args(found) if each is not NoneType] if get_origin(found) is Literal else []


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Section)
