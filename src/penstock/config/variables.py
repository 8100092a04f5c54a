"""Variables over the file, references within it, and the files of secrets beside it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from penstock.errors import ConfigurationError
from penstock.names import nearest

PREFIX = "PENSTOCK__"

_REFERENCE = re.compile(r"\$(?:(\$)|\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|(\{))")
_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*")


class Veiled(str):
    """A text that came from a variable: it may be a secret, so its ``repr`` says nothing."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def read_toml(file: Path) -> dict[str, Any]:
    """Read a TOML file; raises ConfigurationError with the line that is wrong."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{file} is not valid TOML: {error}") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{file} is not UTF-8: byte {error.start} is not") from None
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}") from error


def override(content: dict[str, Any], variables: Mapping[str, str]) -> None:
    """Put ``PENSTOCK__SECTION__KEY`` variables over the file; names match whatever their case."""
    for variable in sorted(variables):
        if not variable.upper().startswith(PREFIX):
            continue
        path = variable[len(PREFIX) :].split("__")
        if len(path) < 2 or not all(path):
            raise ConfigurationError(
                "This variable names no key of the configuration", value=variable, valid=f"{PREFIX}SECTION__KEY"
            )
        place: MutableMapping[str, Any] = content
        for part in path[:-1]:
            place = place.setdefault(_same(part, place), {})
            if not isinstance(place, dict):
                raise ConfigurationError(f"The variable {variable} goes below a key that holds a value")
        place[_same(path[-1], place)] = _value(variables[variable])


def _same(part: str, known: Mapping[str, Any]) -> str:
    return next((name for name in known if name.lower() == part.lower()), part.lower())


def _value(text: str) -> Any:
    """Lists and tables are written as in TOML; everything else is a text."""
    if text[:1] not in ("[", "{"):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


class Variables:
    """Fills ``${NAME}`` and ``${NAME:-default}`` in; ``$$`` is a dollar sign."""

    def __init__(self, file: Path, variables: Mapping[str, str]) -> None:
        self._file = file
        self._variables = variables
        self._kept: Mapping[str, str] | None = None

    def fill(self, value: Any, path: tuple[str, ...] = ()) -> Any:
        """Return a value of the file with every text in it filled."""
        if isinstance(value, dict):
            return {key: self.fill(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self.fill(item, (*path, str(position))) for position, item in enumerate(value)]
        if not isinstance(value, str) or "$" not in value:
            return value
        filled = []

        def fill(match: re.Match[str]) -> str:
            if match[1]:
                return "$"
            if match[4]:
                raise ConfigurationError(
                    f"{'.'.join(path)} in {self._file} holds a reference that cannot be read",
                    value=value[match.start() : match.start() + 40],
                    valid="${NAME} or ${NAME:-default}; $$ is a dollar sign",
                )
            filled.append(match[2])
            found = self._look_up(match[2], match[3], path)
            return quote(found, safe="") if _names_user(value[: match.start()], value[match.end() :]) else found

        text = _REFERENCE.sub(fill, value)
        return Veiled(text) if filled else text

    def _look_up(self, name: str, default: str | None, path: tuple[str, ...]) -> str:
        if self._kept is None:
            self._kept = {**_secrets_file(self._file.parent / "secrets.toml"), **_env_file(self._file.parent / ".env")}
        for source in (self._variables, self._kept):
            if name in source:
                return source[name]
        if default is not None:
            return default
        guess = nearest(name, [*self._kept, *self._variables])
        raise ConfigurationError(
            f"The variable {name} is not set, which {'.'.join(path)} in {self._file} needs",
            remedy=f"Set it in the environment or in {self._file.parent / '.env'}"
            + (f"; did you mean {guess}?" if guess else ""),
        )


def _names_user(before: str, after: str) -> bool:
    """Say whether a reference stands where a URL has a name or password, which may hold any character."""
    _, scheme_ends, since = before.rpartition("://")
    return bool(scheme_ends) and "/" not in since and "@" in re.split(r"[/?#]", after, maxsplit=1)[0]


def _env_file(path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    if not path.is_file():
        return found
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise ConfigurationError(f"Line {number} of {path} is not NAME=value")
        name, value = match.groups()
        if value[:1] in ("'", '"'):
            quoted, _, rest = value[1:].partition(value[0])
            if rest.strip() and not rest.lstrip().startswith("#"):
                raise ConfigurationError(f"Line {number} of {path} goes on after its closing quote")
            found[name] = quoted
        else:
            found[name] = re.split(r"\s+#", value, maxsplit=1)[0]
    return found


def _secrets_file(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    content = read_toml(path)
    for name, value in content.items():
        if not isinstance(value, str):
            raise ConfigurationError(f"{name} in {path} is not a text", valid='lines as NAME = "value"')
    return content


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read as UTF-8 text") from error
