"""The bytes of a value that a token is made of, as SQL: the same value gives the same bytes, whatever its type.

======================  ==============================================================================================
text, enumerations      the text itself in UTF-8; case, spaces and zeros in front are not touched
whole numbers           decimal digits: ``7``, ``-12``
decimals                no zeros at the end: ``7`` for 7.00, ``7.5`` for 7.50
floating numbers        as whole numbers where they are one of at most 2⁵³, else the shortest text that reads back
truth values            ``true``, ``false``
dates and times         ``2026-11-20``, ``15:04:05``, ``2026-11-20 15:04:05.5``; with a time zone in UTC: ``…+00``
UUID                    lower case with hyphens
bytes                   the bytes
JSON                    its text as it came
lists, structures       their JSON without spaces
======================  ==============================================================================================

So the number 7, the decimal 7.0 and the text ``7`` have one token; the texts ``07`` and ``7`` have two.
"""

from __future__ import annotations

from penstock.schema import parse

_EXACT = 2**53
_NESTED = frozenset({"LIST", "ARRAY", "STRUCT", "MAP"})


def text_of(expression: str, type_: str) -> str:
    """Return SQL that gives the canonical text of an expression of a DuckDB type; of bytes there is none."""
    try:
        name = parse(type_).name
    except ValueError:
        return f"CAST({expression} AS VARCHAR)"
    text = f"CAST({expression} AS VARCHAR)"
    if name == "DECIMAL":
        return f"CASE WHEN contains({text}, '.') THEN rtrim(rtrim({text}, '0'), '.') ELSE {text} END"
    if name in ("FLOAT", "DOUBLE"):
        whole = f"isfinite({expression}) AND {expression} = trunc({expression}) AND abs({expression}) <= {_EXACT}"
        return f"CASE WHEN {whole} THEN CAST(TRY_CAST({expression} AS BIGINT) AS VARCHAR) ELSE {text} END"
    return f"CAST(to_json({expression}) AS VARCHAR)" if name in _NESTED else text


def bytes_of(expression: str, type_: str) -> str:
    """Return SQL that gives the canonical bytes of an expression of a DuckDB type."""
    return expression if type_ == "BLOB" else f"encode({text_of(expression, type_)})"


def mask_of(expression: str, type_: str) -> str:
    """Return SQL that keeps of a value no more than its shape: ``Xxx 00`` for ``Bob 42``."""
    text = f"to_base64({expression})" if type_ == "BLOB" else text_of(expression, type_)
    letters = f"regexp_replace({text}, '\\p{{Lu}}', 'X', 'g')"
    letters = f"regexp_replace({letters}, '[\\p{{Ll}}\\p{{Lt}}\\p{{Lm}}\\p{{Lo}}\\p{{M}}]', 'x', 'g')"
    return f"regexp_replace({letters}, '\\p{{N}}', '0', 'g')"
