"""Texts of other character sets than Unicode's, as the server itself would write them in Unicode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from penstock.errors import ConfigurationError

_UNICODE = ("utf8", "utf8mb3", "utf8mb4", "ascii")
_OTHER_LETTERS = ("ucs2", "utf16", "utf32", "swe7")
"""Character sets whose bytes below 128 are not those of ASCII."""
_AT_ONCE = 1000


class Charsets:
    """Turns bytes into texts.

    Args:
        ask: Asks the server.
        collations: Asks it for the character sets of collations.
    """

    def __init__(self, ask: Callable[[str], Sequence[Sequence[Any]]], collations: str) -> None:
        self._ask = ask
        self._collations = collations
        self._known: dict[int, str] = {}

    def texts(self, data: pa.Array, collation: int) -> pa.Array:
        """Return the texts of bytes, whose characters are those of a collation."""
        charset = self._charset(collation)
        if charset in _UNICODE:
            return data.cast(pa.string())
        texts = data.view(pa.string())
        if not charset.startswith(_OTHER_LETTERS) and pc.all(pc.string_is_ascii(texts)).as_py() is not False:
            return texts
        encoded = data.dictionary_encode()
        distinct = encoded.dictionary.to_pylist()
        made: list[str] = []
        for first in range(0, len(distinct), _AT_ONCE):
            made += self._converted(distinct[first : first + _AT_ONCE], charset)
        return pa.array(made, pa.string()).take(encoded.indices)

    def _converted(self, values: Sequence[bytes], charset: str) -> list[str]:
        """Return what the server makes of some values."""
        asked = ", ".join(f"CONVERT(CONVERT(X'{value.hex()}' USING {charset}) USING utf8mb4)" for value in values)
        (row,) = self._ask(f"SELECT {asked}")
        return [str(value) for value in row]

    def _charset(self, collation: int) -> str:
        if collation not in self._known:
            rows = self._ask(self._collations)
            self._known.update({int(number): str(name) for number, name in rows if number is not None})
        if collation not in self._known:
            raise ConfigurationError("The server has a text of a collation that it does not know", value=collation)
        return self._known[collation]
