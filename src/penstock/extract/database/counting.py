"""Figures that every database can give in one dialect: its rows, and the values of each column that are not null."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from penstock.errors import ConfigurationError
from penstock.extract.database.dialect import DatabaseColumn
from penstock.extract.port import Request
from penstock.model.figures import Figures
from penstock.model.specs import Reconcile

_AT_ONCE = 500


def refuse_more(request: Request, database: str) -> None:
    """Say before anything is read that a database gives counts and no more.

    Raises:
        ConfigurationError: Sums or hashes are asked for.
    """
    if request.source.reconcile in (Reconcile.SUMS, Reconcile.HASHES):
        raise ConfigurationError(
            f"Of {database} only rows and values are counted, so that {request.source.table} cannot be reconciled so",
            value=request.source.reconcile.value,
            valid=[Reconcile.COUNTS.value, Reconcile.OFF.value],
        )


def counted(
    ask: Callable[[str], Sequence[Sequence[Any]]],
    request: Request,
    relation: str,
    columns: Sequence[DatabaseColumn],
    count: Callable[[str], str],
) -> Figures:
    """Return rows and values.

    Args:
        ask: Runs a query in the transaction of the reading.
        request: The reading.
        relation: All that follows FROM.
        columns: The columns as they are read; of personal ones nothing is told.
        count: Returns the aggregate of the dialect that counts ``*`` or the values of a named column.
    """
    told = [column.name for column in columns if not request.source.is_personal(column.name)]
    values: dict[str, dict[str, str]] = {}
    rows = 0
    for first in range(0, max(1, len(told)), _AT_ONCE):
        some = told[first : first + _AT_ONCE]
        listed = ", ".join([count("*"), *(count(name) for name in some)])
        ((rows, *found),) = ask(f"SELECT {listed} FROM {relation}")
        values |= {name: {"values": str(int(number))} for name, number in zip(some, found, strict=True)}
    return Figures(rows=int(rows), columns=values)
