"""What translating to Spark goes by: what stands in FROM, what types things have, what DuckDB evaluates there."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import field
from functools import cached_property
from typing import Any, Protocol

from sqlglot import exp

from penstock.queries.spark_types import carried, spark_type
from penstock.queries.text import identifier
from penstock.schema import TRUSTED_JSON, restore, store
from penstock.values import dataclass

QUOTED = "duckdb"


class UntranslatableError(Exception):
    """Something has no form in Spark that would surely mean the same; the text says what."""


class UnsafeError(Exception):
    """A part of a row's expression is not known to mean the same in Spark's own SQL; DuckDB evaluates it there."""


class Typing(Protocol):
    """Asks DuckDB, over relations of the same shape without rows."""

    def described(self, query: str) -> list[tuple[str, str]]:
        """Return names and DuckDB types of a query's columns; raises ``duckdb.Error`` where it does not bind."""
        ...

    def value(self, expression: str) -> tuple[Any, str]:
        """Return value and DuckDB type of an expression without columns."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """An expression over the values of a row, which DuckDB evaluates in Spark's workers, over Arrow batches.

    Attributes:
        name: By which Spark's SQL calls it.
        query: A query of DuckDB over ``batch``, whose columns are ``a0``, ``a1`` and so on, with one column.
        output: Spark's type of that.
    """

    name: str
    query: str
    output: str


@dataclass(frozen=True)
class Scope:
    """What an expression sees.

    Attributes:
        typing: Who tells types.
        source: FROM and joins in DuckDB's SQL, empty where nothing is read; ``ctes`` stand before.
        alias: What the only relation in it is called, in DuckDB's SQL; empty where there are several.
        ctes: WITH clauses above, in DuckDB's SQL.
        spark: FROM, joins and WHERE in Spark's SQL.
        filtered: Whether it ends with a WHERE.
        outputs: Names of the select list in lower case, with their types, for GROUP BY, HAVING and ORDER BY.
    """

    typing: Typing
    source: str = ""
    ctes: str = ""
    spark: str = ""
    filtered: bool = False
    outputs: dict[str, str] = field(default_factory=dict)
    alias: str = ""
    _types: dict[str, str] = field(default_factory=dict)

    def type(self, node: exp.Expr) -> str:
        """Return the DuckDB type of an expression.

        Raises:
            UntranslatableError: It does not bind by itself, as where it names what stands outside of a subquery.
        """
        import duckdb

        sql = node.sql(dialect=QUOTED)
        if sql not in self._types:
            try:
                found = self.typing.described(f"{self._ctes(node)}SELECT {sql} AS it {self._from(node)}")
            except duckdb.Error as error:
                raise UntranslatableError(
                    f"{shown(node)} (does it name what stands outside of its subquery?)"
                ) from error
            self._types[sql] = found[0][1]
        return self._types[sql]

    def _ctes(self, node: exp.Expr) -> str:
        return self.ctes if self._bare(node) is None else ""

    def _from(self, node: exp.Expr) -> str:
        bare = self._bare(node)
        return self.source if bare is None else bare

    def _bare(self, node: exp.Expr) -> str | None:
        """Return a relation of just the columns that an expression reads, which binds sooner than all there is."""
        if node.find(exp.Query, exp.Star) is not None or not self.alias:
            return None
        known = self._columns
        read = {part.name.lower() for part in node.find_all(exp.Column)}
        paths = any(len(part.parts) > 1 for part in node.find_all(exp.Column))
        if paths or not read or not read <= set(known):
            return None
        listed = ", ".join(f"CAST(NULL AS {known[each][1]}) AS {identifier(known[each][0])}" for each in sorted(read))
        return f"FROM (SELECT {listed} WHERE false) AS {self.alias}"

    @cached_property
    def _columns(self) -> dict[str, tuple[str, str]]:
        found = self.typing.described(f"{self.ctes}SELECT * {self.source}")
        return {label.lower(): (label, type_) for label, type_ in found}


def shown(node: exp.Expr) -> str:
    """Return the SQL of a node for a message."""
    sql = " ".join(node.sql(dialect=QUOTED).split())
    return sql if len(sql) <= 80 else sql[:79] + "…"


def call(sql: str, inputs: Mapping[str, str], type_: str) -> Call:
    """Return how an expression is evaluated by DuckDB.

    Args:
        sql: The expression.
        inputs: The columns that it reads, with their DuckDB types, in which they are restored from what carries them.
        type_: The DuckDB type of the expression.

    Raises:
        UntranslatableError: Spark can carry no values of such a type.
    """
    for each in (*inputs.values(), type_):
        if carried(each) is None:
            raise UntranslatableError(f"a value of type {each}")
    columns = [
        f"{f'a{place}' if spark_type(each) else restore(f'a{place}', each)} AS {identifier(label)}"
        for place, (label, each) in enumerate(inputs.items())
    ]
    value = sql if spark_type(type_) else store(sql, type_)
    query = f"SELECT {value} FROM (SELECT {', '.join(columns)} FROM batch)"
    # The engine's own function is not there; it spares the parsing of long texts, no more.
    query = query.replace(f"{TRUSTED_JSON}(", "json(")
    output = carried(type_) or ""
    digest = hashlib.sha256(f"{query}\n{output}".encode()).hexdigest()[:20]
    return Call(f"penstock_{digest}", query, output)
