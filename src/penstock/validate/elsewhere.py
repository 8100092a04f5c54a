"""Checks that another engine is to judge: whether it can, before it is asked to read anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from penstock.errors import ConfigurationError
from penstock.stores.port import Answerer
from penstock.validate.bound import Bound
from penstock.validate.rows import Rows


def answerable(rows: Rows, checks: Sequence[Bound], asked: Answerer) -> None:
    """See to it that another engine can judge each check as DuckDB would.

    Raises:
        ConfigurationError: It cannot; names the first check with the part that it has no form of.
    """
    for check in checks:
        for query in _queries(rows, check):
            try:
                asked.translatable(query)
            except ConfigurationError as error:
                raise ConfigurationError(
                    f"Check {check.spec.name!r} of {rows.table} cannot be judged on Spark: it holds what has no form "
                    "there that would surely give what DuckDB gives",
                    value=error.value,
                    remedy="Write it another way, or leave the table out of tables below [checks] in penstock.toml",
                ) from error


def _queries(rows: Rows, check: Bound) -> Iterator[str]:
    source = rows.sql(check.reads)
    for condition in (check.fails, check.where, check.known):
        if condition:
            yield f"SELECT ({condition}) AS it FROM {source}"
    for aggregate in ("" if check.query else check.figure, check.when):
        if aggregate:
            yield f"SELECT ({aggregate}) AS it FROM {rows.sql()}"
    if check.query and check.figure:
        where = "" if check.where is None else f" WHERE {check.where}"
        yield f"SELECT (SELECT {check.figure} FROM {rows.sql()}{where}) AS ours, ({check.query}) AS theirs"
    elif check.query:
        yield check.query
