"""Tests of transforms, as TOML files in a folder of the project: ``tests/{table}.toml``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from penstock.config.variables import read_toml
from penstock.errors import ConfigurationError
from penstock.model.interval import Interval
from penstock.model.testing import TransformCase
from penstock.names import unknown

FOLDER = "tests"
_KEYS = ("name", "table", "interval", "digits", "given", "expected")


def read_cases(root: Path) -> tuple[TransformCase, ...]:
    """Return the tests of a project, file by file.

    Args:
        root: The folder of ``penstock.toml``.

    Raises:
        ConfigurationError: A file is no TOML, a key is not known, or something is missing.
    """
    files = sorted((root / FOLDER).glob("**/*.toml"))
    return tuple(case for file in files for case in _cases(file, root))


def _cases(file: Path, root: Path) -> Iterator[TransformCase]:
    shown = file.relative_to(root).as_posix()
    content = read_toml(file)
    for key in content:
        if key != "case":
            raise unknown("key", key, ("case",), where=shown)
    listed = content.get("case")
    if not isinstance(listed, list) or not listed:
        raise ConfigurationError(f"{shown} holds no tests", valid="[[case]] with name, given and expected")
    for number, case in enumerate(listed, 1):
        yield _case(case, f"case {number} of {shown}", shown, file.stem)


def _case(case: Mapping[str, Any], where: str, file: str, stem: str) -> TransformCase:
    for key in case:
        if key not in _KEYS:
            raise unknown("key", key, _KEYS, where=where)
    given, expected = case.get("given"), case.get("expected")
    if not isinstance(given, Mapping) or not all(isinstance(rows, str) for rows in given.values()):
        raise ConfigurationError(
            f"given of {where} must be tables of CSV text", valid="[case.given] with orders = '''…'''"
        )
    if not isinstance(expected, str):
        raise ConfigurationError(f"expected of {where} must be CSV text", value=expected)
    interval, digits = case.get("interval"), case.get("digits", 9)
    if not isinstance(digits, int) or isinstance(digits, bool) or not 0 <= digits <= 15:
        raise ConfigurationError(f"digits of {where} is no number of digits", value=digits, valid="0 to 15")
    return TransformCase(
        table=str(case.get("table", stem)),
        name=str(case.get("name", where)),
        file=file,
        given=dict(given),
        expected=expected,
        interval=Interval.parse(str(interval)) if interval is not None else None,
        digits=digits,
    )
