"""Statements in the binary log: which of them end a table, and which change rows without telling them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum

from penstock.extract.streams.changes.mysql.wire import HEAD
from penstock.values import dataclass

LOAD = 18
"""The type of a statement that loads a file."""
_OF_FILE = 13
_COMMENT = re.compile(r"/\*!\d*|/\*M!\d*|\*/|--[ \t][^\n]*|#[^\n]*")
_ASIDE = re.compile(r"/\*(?!M?!).*?\*/", re.DOTALL)
_TEXT = re.compile(r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\"", re.DOTALL)
_NAME = r"(?:`(?:[^`]|``)+`|[\w$]+)"
_TABLE = rf"{_NAME}(?:\s*\.\s*{_NAME})?"
_TABLES = re.compile(_TABLE)
_TRUNCATE = re.compile(rf"TRUNCATE\s+(?:TABLE\s+)?({_TABLE})", re.IGNORECASE)
_DROP = re.compile(rf"DROP\s+TABLES?\s+(?:IF\s+EXISTS\s+)?({_TABLE}(?:\s*,\s*{_TABLE})*)", re.IGNORECASE)
_DROP_DATABASE = re.compile(rf"DROP\s+(?:DATABASE|SCHEMA)\s+(?:IF\s+EXISTS\s+)?({_NAME})", re.IGNORECASE)
_CREATE = re.compile(rf"CREATE\s+OR\s+REPLACE\s+TABLE\s+({_TABLE})", re.IGNORECASE)
_RENAME = re.compile(r"RENAME\s+TABLES?\s+(?:IF\s+EXISTS\s+)?(.*)", re.IGNORECASE | re.DOTALL)
_ALTER = re.compile(
    rf"ALTER\s+(?:ONLINE\s+)?(?:IGNORE\s+)?TABLE\s+(?:IF\s+EXISTS\s+)?({_TABLE})(.*)", re.IGNORECASE | re.DOTALL
)
_ENDED_BY = re.compile(
    rf"\bRENAME\s+(?!COLUMN\b|INDEX\b|KEY\b)|\b(?:DROP|TRUNCATE|CONVERT)\s+(?:TABLE\s+.*)?PARTITION\b"
    rf"|\bEXCHANGE\s+PARTITION\b.*\bWITH\s+TABLE\s+({_TABLE})",
    re.IGNORECASE | re.DOTALL,
)
_ROWS = re.compile(r"(?:INSERT|REPLACE|UPDATE|DELETE|LOAD|WITH|MERGE)\b", re.IGNORECASE)


class Deed(StrEnum):
    """What a statement did to a table: emptied it, took it away, or changed rows without telling which."""

    EMPTIED = "was truncated"
    REPLACED = "was dropped, renamed, or got another content"
    UNTOLD = "was changed by a statement that was logged without its rows"


@dataclass(frozen=True, slots=True)
class Done:
    """A deed, and the table as ``database.table`` in lower case; ``database.*`` for all of one, ``*`` for any.

    Attributes:
        deed: The deed.
        table: The table.
        text: The statement, where any table may be meant that it names.
    """

    deed: Deed
    table: str
    text: str = ""

    def concerns(self, table: str) -> bool:
        """Say whether it was done to a table, as ``database.table``."""
        wanted = table.lower()
        database, _, name = wanted.partition(".")
        if self.table == "*":
            return re.search(rf"(?<![\w$]){re.escape(name)}(?![\w$])", self.text.lower()) is not None
        return self.table in (wanted, f"{database}.*")


def statement(frame: bytes) -> tuple[str, str]:
    """Return the database that was the session's, and the text of a statement's event."""
    size, variables = frame[HEAD + 8], int.from_bytes(frame[HEAD + 11 : HEAD + 13], "little")
    at = HEAD + 13 + _OF_FILE * (frame[4] == LOAD) + variables
    return frame[at : at + size].decode(errors="replace"), frame[at + size + 1 :].decode(errors="replace")


def done(database: str, text: str) -> Iterator[Done]:
    """Yield what a statement did to tables."""
    bare = _COMMENT.sub(" ", _ASIDE.sub(" ", text)).strip()
    if found := _TRUNCATE.match(bare):
        yield Done(Deed.EMPTIED, _full(found[1], database))
    elif found := _DROP.match(bare):
        yield from (Done(Deed.REPLACED, _full(each, database)) for each in _TABLES.findall(found[1]))
    elif found := _DROP_DATABASE.match(bare):
        yield Done(Deed.REPLACED, f"{_bare(found[1])}.*")
    elif found := _CREATE.match(bare):
        yield Done(Deed.REPLACED, _full(found[1], database))
    elif found := _RENAME.match(bare):
        yield from (Done(Deed.REPLACED, each) for each in _renamed(found[1], database))
    elif found := _ALTER.match(bare):
        ended = _ENDED_BY.search(_TEXT.sub("''", found[2]))
        if ended:
            names = [found[1], *_TABLES.findall(ended[1] or "")]
            yield from (Done(Deed.REPLACED, _full(each, database)) for each in names)
    elif _ROWS.match(bare):
        yield Done(Deed.UNTOLD, "*", bare)


def _renamed(listed: str, database: str) -> Iterator[str]:
    for pair in listed.split(","):
        names = [each for each in _TABLES.findall(pair) if each.upper() not in ("TO", "WAIT", "NOWAIT")]
        yield from (_full(each, database) for each in names)


def _full(name: str, database: str) -> str:
    parts = re.findall(_NAME, name)
    return ".".join(_bare(part) for part in (parts if len(parts) > 1 else (database, *parts)))


def _bare(name: str) -> str:
    return (name[1:-1].replace("``", "`") if name.startswith("`") else name).lower()
