"""Personal columns of a load: each is protected by the SQL that reads it; a table holds no mixture of ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from penstock.errors import ConfigurationError
from penstock.land.columns import Incoming
from penstock.model.entries import Column
from penstock.model.specs import SourceSpec, WriteMode
from penstock.names import raw, unknown
from penstock.privacy.shield import Shield


class Personal:
    """What is personal of one load.

    Args:
        source: The source.
        shield: Its shield.
        prior: The columns of the table so far.
        landed: Whether the rows were landed before, so that they are protected already.

    Raises:
        ConfigurationError: A column was landed in another way before; the table would hold both.
    """

    def __init__(self, source: SourceSpec, shield: Shield, prior: Sequence[Column], *, landed: bool = False) -> None:
        self._source = source
        self._shield = shield
        self._known = {column.at_source.lower(): column for column in prior}
        self._landed = landed
        for column in prior if not landed else ():
            self._verify_mark(column)
        self._met = False

    def shielded(self, incoming: Sequence[Incoming]) -> list[Incoming]:
        """Return columns as they may be written.

        Raises:
            ConfigurationError: A column that was named is not there, so that another may be meant.
            DataError: A path leads into a value without fields.
        """
        if not self._source.personal or self._landed:
            return list(incoming)
        self._verify_names([column.name for column in incoming])
        made = []
        for column in incoming:
            found = self._shield.shielded(column.name, column.expression, column.type)
            if found.missing and column.name.lower() not in self._known and not self._met:
                raise ConfigurationError(
                    f"There is no field {found.missing[0]!r} (personal of source {self._source.table!r})",
                    value=column.type[:120],
                )
            mark = self._shield.mark(column.name)
            made.append(replace(column, type=found.type, expression=found.expression, personal=mark))
        self._met = True
        return made

    def _verify_names(self, names: Sequence[str]) -> None:
        """Refuse a name without a column, before the first row is written: a misspelt one would land in the clear."""
        there = {name.lower() for name in names} | set(self._known)
        for column in self._shield.columns if not self._met else ():
            if column.lower() not in there:
                raise unknown("column", column, names, where=f"personal of source {self._source.table!r}")

    def _verify_mark(self, column: Column) -> None:
        mark = self._shield.mark(column.at_source)
        if mark == column.personal:
            return
        table = raw(self._source.table)
        if _without_keys(mark) == _without_keys(column.personal):
            if self._source.write is WriteMode.REPLACE:
                return
            raise ConfigurationError(
                f"The column {column.name!r} of {table} was protected under another key; equal values would no longer "
                "be equal within the table",
                value=mark,
                valid=column.personal,
                remedy="Name the former key again, or read the source into a table of another name",
            )
        if column.personal is None:
            raise ConfigurationError(
                f"The column {column.name!r} of {table} was landed in the clear before it was named as personal",
                value=mark,
                remedy="Read the source into a table of another name, and take the old one away",
            )
        raise ConfigurationError(
            f"The column {column.name!r} of {table} is personal and would now be landed in another way",
            value=mark or "in the clear",
            valid=column.personal,
            remedy="Name it in personal as before, or read the source into a table of another name",
        )


def _without_keys(mark: str | None) -> str | None:
    return None if mark is None else ", ".join(part.partition(" (key ")[0] for part in mark.split(", "))
