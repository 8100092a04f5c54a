"""Conditions that users write in SQL: made safe to stand inside our own query, and bound before anything is read."""

from __future__ import annotations

import duckdb
import sqlglot
from sqlglot import exp

from penstock.errors import ConfigurationError
from penstock.names import RAW_PREFIX, unknown
from penstock.queries import edges
from penstock.validate.rows import Rows, Scope
from penstock.values import dataclass

_SELECT = "SELECT\n"


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition over one row.

    Attributes:
        sql: In brackets, tables replaced by their relations.
        columns: The columns of the rows that it reads outside of subqueries.
        complete: Whether these are all.
    """

    sql: str
    columns: tuple[str, ...]
    complete: bool


def condition(text: str, scope: Scope, *, where: str) -> Condition:
    """Return a user's condition as SQL that can stand in our query.

    Args:
        text: As the user wrote it.
        scope: What it may name.
        where: The check, for messages.

    Raises:
        ConfigurationError: It is not one condition over one row, names what is not there, or does not bind.
    """
    query = _SELECT + text
    named = edges.edges(query, origin=where)
    one_row(query, where)
    for table in named:
        if table.lower() not in {known.lower() for known in scope.tables}:
            raise unknown("table", table, scope.tables, where=where)
    _refuse_volatile(query, text, where)
    columns, complete = _columns(query, scope.rows, where)
    query = edges.bind(edges.substitute(query, scope.tables, origin=where), scope.values, origin=where)
    inner = f"({edges.statement(query)[len(_SELECT) :]}\n)"
    bound = f"SELECT CAST({inner} AS BOOLEAN) FROM {scope.rows.bare()}"
    _run(bound, text, scope, f"{where} is no condition that DuckDB understands")
    return Condition(inner, columns, complete)


def aggregate(text: str, scope: Scope, source: str, *, where: str) -> str:
    """Return a user's aggregate as SQL that can stand in our query.

    Args:
        text: As the user wrote it: one expression over all rows, as ``sum(amount)``.
        scope: The clock and the connection.
        source: What it is bound against, as a FROM clause.
        where: The check, for messages.

    Raises:
        ConfigurationError: It is not one expression, or does not bind.
    """
    query = _SELECT + text
    only = _only(edges.statement(query))
    if only is None or only.find(exp.AggFunc) is None:
        raise ConfigurationError(f"{where} must be one SQL aggregate over all rows", value=text, valid="as sum(amount)")
    _refuse_volatile(query, text, where)
    query = edges.bind(query, scope.values, origin=where)
    inner = f"({edges.statement(query)[len(_SELECT) :]}\n)"
    _run(f"SELECT {inner} FROM {source} LIMIT 0", text, scope, f"{where} is no aggregate that DuckDB understands")
    return inner


def selection(text: str, scope: Scope, *, where: str) -> str:
    """Return a user's query with the tables replaced: the table's own name means the new rows.

    Args:
        text: As the user wrote it.
        scope: What it may name.
        where: The check, for messages.

    Raises:
        ConfigurationError: It is no query, names what is not there, or does not bind.
    """
    own = scope.rows.table.removeprefix(RAW_PREFIX)
    others = {name: sql for name, sql in scope.tables.items() if name.removeprefix(RAW_PREFIX).lower() != own.lower()}
    relations = {**others, own: scope.rows.unnamed(), RAW_PREFIX + own: scope.rows.unnamed()}
    for table in edges.edges(text, origin=where):
        if table.lower() not in {known.lower() for known in relations}:
            raise unknown("table", table, relations, where=where)
    _refuse_volatile(text, text, where)
    query = edges.bind(edges.substitute(text, relations, origin=where), scope.values, origin=where)
    query = edges.statement(query)
    _run(f"DESCRIBE {query}", text, scope, f"{where} is no query that DuckDB understands")
    return query


def _refuse_volatile(query: str, text: str, where: str) -> None:
    if edges.volatile(query, origin=where):
        raise ConfigurationError(
            f"{where} reads the clock or chance, so that it could judge the same rows differently",
            value=text,
            remedy="Write :now for the moment of the check",
        )


def _run(query: str, text: str, scope: Scope, sentence: str) -> None:
    try:
        scope.connection.execute(query).fetchall()
    except duckdb.Error as error:
        raise ConfigurationError(f"{sentence}: {_first(error)}", value=text) from error


def one_row(query: str, where: str, *, what: str = "condition") -> None:
    """Refuse what is more than one condition, and what looks at more than one row outside of a subquery."""
    inner = _only(query)
    if inner is None or isinstance(inner, exp.Alias | exp.Star):
        raise ConfigurationError(f"{where} must be one SQL {what}", value=query[len(_SELECT) :])
    for node in inner.walk(prune=lambda found: isinstance(found, exp.Query)):
        if isinstance(node, exp.AggFunc | exp.Window):
            raise ConfigurationError(
                f"{where} looks at more than one row",
                value=node.sql(dialect="duckdb"),
                valid=f"a {what} over the columns of one row",
                remedy="Use checks.function, or compute it in a transform",
            )


def _only(query: str) -> exp.Expr | None:
    """Return the one expression that a query selects from nothing; None where it is anything else."""
    tree = sqlglot.parse_one(query, dialect="duckdb")
    rest = {key for key, value in tree.args.items() if value and key not in ("expressions", "kind")}
    return None if not isinstance(tree, exp.Select) or rest or len(tree.expressions) != 1 else tree.expressions[0]


def _columns(query: str, rows: Rows, where: str) -> tuple[tuple[str, ...], bool]:
    """Return the columns that stand outside of subqueries, and whether there is no subquery; each must exist."""
    tree = sqlglot.parse_one(query, dialect="duckdb")
    bound = {name.lower() for node in tree.find_all(exp.Lambda) for name in _parameters(node)}
    found: dict[str, None] = {}
    for node in tree.expressions[0].walk(prune=lambda found: isinstance(found, exp.Query)):
        if not isinstance(node, exp.Column):
            continue
        parts = [part.name for part in node.parts]
        if len(parts) > 1 and parts[0].lower() == rows.alias.strip('"').lower():
            parts = parts[1:]
        if parts[0].lower() not in bound:
            found[rows.column(parts[0], where=where).name] = None
    return tuple(found), tree.expressions[0].find(exp.Query) is None


def _parameters(node: exp.Expression) -> list[str]:
    return [parameter.name for parameter in node.expressions]


def _first(error: Exception) -> str:
    line = str(error).strip().partition("\n")[0]
    return line if len(line) <= 200 else line[:199] + "…"
