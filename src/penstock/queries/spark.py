"""Queries of DuckDB as queries of Spark, with the same rows.

The text is taken apart by sqlglot and written anew for Spark. Nothing is passed on as it is: what is not on a list of
things that both engines mean alike is either evaluated by DuckDB itself inside Spark's workers (expressions over one
row, see ``spark_scope.Call``) or refused (``UntranslatableError``).
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlglot
from sqlglot import exp

from penstock.queries.spark_aggregates import Aggregates, ordered
from penstock.queries.spark_scope import Call, Scope, Typing, UntranslatableError, shown
from penstock.queries.spark_types import FAITHFUL, name, spark_type
from penstock.queries.spark_values import Value, Values
from penstock.values import dataclass

_KNOWN = ("with_", "expressions", "from_", "joins", "where", "group", "having", "order", "limit", "offset", "distinct")
_OPERATORS = {exp.Union: "UNION", exp.Except: "EXCEPT", exp.Intersect: "INTERSECT"}
_JOINS = {
    ("", ""): "JOIN",
    ("", "INNER"): "JOIN",
    ("", "CROSS"): "CROSS JOIN",
    ("LEFT", ""): "LEFT JOIN",
    ("LEFT", "OUTER"): "LEFT JOIN",
    ("", "SEMI"): "LEFT SEMI JOIN",
    ("", "ANTI"): "LEFT ANTI JOIN",
}


@dataclass(frozen=True, slots=True)
class Translated:
    """A query of Spark, what DuckDB evaluates in it, and the names and DuckDB types of its columns."""

    sql: str
    calls: tuple[Call, ...]
    columns: tuple[tuple[str, str], ...]


def translate(query: exp.Expr, typing: Typing, *, native: bool = True) -> Translated:
    """Translate a query.

    Args:
        query: Of DuckDB, parsed. Tables are bare names, known to ``typing`` and to Spark, where types that Spark lacks
            stand in their stored form.
        typing: Who tells types.
        native: False leaves as much as can be to DuckDB inside of Spark, which then also gives its own errors.

    Raises:
        UntranslatableError: It holds what has no form in Spark that would surely mean the same.
        duckdb.Error: It does not bind.
    """
    translation = _Translation(typing, native)
    columns = tuple(typing.described(query.sql(dialect="duckdb")))
    sql = translation.query(query, "", 0, [label for label, _ in columns])
    return Translated(sql, tuple(translation.calls.values()), columns)


class _Translation:
    def __init__(self, typing: Typing, native: bool) -> None:
        self.typing = typing
        self.native = native
        self.calls: dict[str, Call] = {}
        self.tables = 0

    def query(self, node: exp.Expr, ctes: str, flat: int, labels: Sequence[str] | None = None) -> str:
        """Return a query.

        Args:
            node: The query.
            ctes: WITH clauses above it, in DuckDB's SQL.
            flat: More than 1: its one column is a row of so many values, which become columns.
            labels: Names of its columns; None: its own.
        """
        inner = node.unnest() if isinstance(node, exp.Subquery) and not node.alias else node
        clause, head = inner.args.get("with_"), ""
        if clause is not None:
            if clause.recursive:
                raise UntranslatableError("a recursive WITH")
            for cte in clause.expressions:
                if cte.args.get("alias") is not None and cte.args["alias"].args.get("columns"):
                    raise UntranslatableError(f"names of columns after {cte.alias}")
                head += f"{', ' if head else 'WITH '}{name(cte.alias)} AS ({self.query(cte.this, ctes, 0)})"
                ctes = (f"{ctes.rstrip()}, " if ctes else "WITH ") + f"{cte.sql(dialect='duckdb')} "
            head += " "
        if isinstance(inner, exp.SetOperation):
            return head + self._united(inner, ctes, flat, labels)
        if isinstance(inner, exp.Select):
            return head + self._select(inner, ctes, flat, labels)
        raise UntranslatableError(shown(inner))

    def _united(self, node: exp.SetOperation, ctes: str, flat: int, labels: Sequence[str] | None) -> str:
        if node.args.get("by_name"):
            sides = self._by_name(node, ctes)
            listed = [f"SELECT {', '.join(columns)} FROM ({sql})" for sql, columns in sides]
        else:
            listed = [self.query(side, ctes, flat, labels) for side in (node.left, node.right)]
        rest = self._tail(node, Scope(self.typing))
        every = "" if node.args.get("distinct") else " ALL"
        operator = next(word for kind, word in _OPERATORS.items() if isinstance(node, kind))
        return f"({listed[0]}) {operator}{every} ({listed[1]}){rest}"

    def _by_name(self, node: exp.SetOperation, ctes: str) -> list[tuple[str, list[str]]]:
        """Return both sides of a union by name, each with the columns of both in one order."""
        whole = self.typing.described(ctes + node.sql(dialect="duckdb"))
        sides = []
        for side in (node.left, node.right):
            own = {
                label.lower(): (label, type_)
                for label, type_ in self.typing.described(ctes + side.sql(dialect="duckdb"))
            }
            columns = []
            for label, type_ in whole:
                known, carried = own.get(label.lower()), _carried(type_)
                if (
                    known is not None
                    and known[1] != type_
                    and (spark_type(type_) is None or spark_type(known[1]) is None)
                ):
                    raise UntranslatableError(f"column {label}, whose types differ: {known[1]} and {type_}")
                value = "NULL" if known is None else name(known[0])
                same = known is not None and known[1] == type_
                columns.append(f"{value if same else f'CAST({value} AS {carried})'} AS {name(label)}")
            sides.append((self.query(side, ctes, 0), columns))
        return sides

    def _select(self, node: exp.Select, ctes: str, flat: int, labels: Sequence[str] | None) -> str:
        unknown = [key for key, value in node.args.items() if value and key not in _KNOWN]
        if unknown or (node.args.get("distinct") is not None and node.args["distinct"].args.get("on")):
            raise UntranslatableError(f"{(unknown or ['DISTINCT ON'])[0].rstrip('_').upper()} in {shown(node)}")
        source, spark = self._source(node, ctes)
        alias = _alias(node)
        scope = Scope(self.typing, source, ctes, spark, alias=alias)
        where = node.args.get("where")
        if where is not None:
            kept = self.values(scope).condition(where.this)
            spark += f" WHERE {kept}"
            filtered = f"{source} {where.sql(dialect='duckdb')}"
            scope = Scope(self.typing, filtered, ctes, spark, filtered=True, alias=alias)
        told = self._listed(node, scope, flat, labels)
        outputs = {label.lower(): value.type for label, value in told}
        scope = Scope(self.typing, scope.source, ctes, spark, where is not None, outputs, alias)
        distinct = "DISTINCT " if node.args.get("distinct") is not None else ""
        listed = ", ".join(f"{value.sql} AS {name(label)}" for label, value in told)
        return f"SELECT {distinct}{listed} {spark}{self._grouped(node, scope)}{self._tail(node, scope)}"

    def _listed(
        self, node: exp.Select, scope: Scope, flat: int, labels: Sequence[str] | None
    ) -> list[tuple[str, Value]]:
        values = self.values(scope)
        if flat > 1:
            row = node.expressions[0].unnest()
            return [(f"f{place}", values.carried(part)) for place, part in enumerate(row.expressions)]
        items = [part for item in node.expressions for part in self._expanded(item, scope)]
        own = [label for label, _ in items]
        if len({label.lower() for label in own}) < len(own) and labels is None:
            raise UntranslatableError(f"two columns of the same name in {shown(node)}")
        return [
            (label, values.carried(item))
            for label, (_, item) in zip(labels if labels and len(labels) == len(items) else own, items, strict=True)
        ]

    def _expanded(self, item: exp.Expr, scope: Scope) -> list[tuple[str, exp.Expr]]:
        """Return what an item of a select list stands for: a star becomes columns."""
        star = item if isinstance(item, exp.Star) else item.this if isinstance(item, exp.Column) else None
        if not isinstance(star, exp.Star):
            if isinstance(item, exp.Alias):
                return [(item.alias, item.this)]
            found = self.typing.described(f"{scope.ctes}SELECT {item.sql(dialect='duckdb')} {scope.source}")
            return [(found[0][0], item)]
        table = item.table if isinstance(item, exp.Column) else None
        replaced = {each.alias.lower(): each.this for each in star.args.get("replace") or ()}
        found = self.typing.described(f"{scope.ctes}SELECT {item.sql(dialect='duckdb')} {scope.source}")
        return [
            (label, replaced.get(label.lower(), exp.column(label, table=table or None, quoted=True)))
            for label, _ in found
        ]

    def _grouped(self, node: exp.Select, scope: Scope) -> str:
        group, having, made = node.args.get("group"), node.args.get("having"), ""
        if group is not None:
            if [key for key, value in group.args.items() if value and key != "expressions"] or not group.expressions:
                raise UntranslatableError(shown(group))
            made = f" GROUP BY {', '.join(self._key(each, scope) for each in group.expressions)}"
        return made if having is None else f"{made} HAVING {self.values(scope).condition(having.this)}"

    def _key(self, node: exp.Expr, scope: Scope) -> str:
        if isinstance(node, exp.Literal) and node.is_int:
            return str(node.this)
        if isinstance(node, exp.Column) and not node.table and node.name.lower() in scope.outputs:
            try:
                scope.type(node)
            except UntranslatableError:
                return name(node.name)
        return self.values(scope).carried(node).sql

    def _tail(self, node: exp.Expr, scope: Scope) -> str:
        """Return order and limit."""
        made, order = "", node.args.get("order")
        if order is not None:
            made = " ORDER BY " + ", ".join(
                ordered(each, lambda key: self._sorted(key, scope)) for each in order.expressions
            )
        for clause in ("limit", "offset"):
            found = node.args.get(clause)
            if found is not None:
                if not isinstance(found.expression, exp.Literal) or not found.expression.is_int:
                    raise UntranslatableError(shown(found))
                made += f" {clause.upper()} {found.expression.this}"
        return made

    def _sorted(self, node: exp.Expr, scope: Scope) -> str:
        known = scope.outputs.get(node.name.lower()) if isinstance(node, exp.Column) and not node.table else None
        type_ = known if known is not None else scope.type(node)
        if spark_type(type_) is None and type_ not in FAITHFUL:
            raise UntranslatableError(f"an order of {shown(node)}, which is of type {type_}")
        return self._key(node, scope) if known is None else name(node.name)

    def _source(self, node: exp.Select, ctes: str) -> tuple[str, str]:
        """Return FROM and joins, in DuckDB's SQL and in Spark's."""
        start = node.args.get("from_")
        if start is None:
            return "", ""
        duck, spark = start.sql(dialect="duckdb"), f"FROM {self._table(start.this, ctes)}"
        seen = duck
        for join in node.args.get("joins") or ():
            kind = _JOINS.get((join.side.upper(), join.kind.upper()))
            if kind is None or join.method or join.args.get("match_condition"):
                raise UntranslatableError(f"the join {shown(join)}")
            spark += f" {kind} {self._table(join.this, ctes)}"
            # The condition also sees the table whose rows the join does not give.
            beside = f"{seen} CROSS JOIN {join.this.sql(dialect='duckdb')}"
            if join.args.get("on") is not None:
                spark += f" ON {self.values(Scope(self.typing, beside, ctes)).condition(join.args['on'])}"
            if join.args.get("using"):
                spark += f" USING ({', '.join(name(each.name) for each in join.args['using'])})"
            duck += (
                f" {join.sql(dialect='duckdb').lstrip(', ')}"
                if kind != "JOIN" or join.args.get("on")
                else f", {join.this.sql(dialect='duckdb')}"
            )
            seen = duck if kind.endswith(("SEMI JOIN", "ANTI JOIN")) else beside
        return duck, spark

    def _table(self, node: exp.Expr, ctes: str) -> str:
        if isinstance(node, exp.Values):
            return self._rows(node)
        alias = node.args.get("alias")
        if alias is not None and alias.args.get("columns"):
            raise UntranslatableError(f"names of columns after {alias.name}")
        if isinstance(node, exp.Subquery):
            inner = node.this
            if isinstance(inner, exp.Values):
                return self._rows(inner, node)
            if not isinstance(inner, exp.Query) or isinstance(inner, exp.Table) or node.args.get("joins"):
                raise UntranslatableError(shown(node))
            made = f"({self.query(inner, ctes, 0)})"
        elif isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier) and not node.args.get("db"):
            extra = [key for key, value in node.args.items() if value and key not in ("this", "alias")]
            if extra:
                raise UntranslatableError(shown(node))
            made = name(node.name)
        else:
            raise UntranslatableError(f"the table {shown(node)}")
        # Without a name, what follows may be one: Spark reads ``(SELECT …) WHERE (x)`` as a table "where".
        self.tables += 1
        called = alias.name if alias is not None else node.name if isinstance(node, exp.Table) else f"_{self.tables}"
        return f"{made} AS {name(called)}"

    def _rows(self, node: exp.Values, around: exp.Expr | None = None) -> str:
        """Return rows that are written out."""
        values = self.values(Scope(self.typing))
        alias = node.args.get("alias") or (around.args.get("alias") if around is not None else None)
        if alias is None or not alias.args.get("columns"):
            raise UntranslatableError(shown(node))
        rows = (f"({', '.join(values.scalar(each).sql for each in row.expressions)})" for row in node.expressions)
        columns = ", ".join(name(each.name) for each in alias.args["columns"])
        return f"(VALUES {', '.join(rows)}) AS {name(alias.name)}({columns})"

    def values(self, scope: Scope) -> Values:
        aggregates = Aggregates(scope)
        aggregates.values = Values(
            scope,
            self.calls,
            native=self.native,
            query=lambda node, within, flat: self.query(node, within.ctes, flat),
            leaf=aggregates.leaf,
        )
        return aggregates.values


def _alias(node: exp.Select) -> str:
    """Return what the only relation of a SELECT is called, or nothing where there are several."""
    start = node.args.get("from_")
    if start is None or node.args.get("joins"):
        return ""
    alias = start.this.args.get("alias")
    return alias.this.sql(dialect="duckdb") if alias is not None else "anything"


def _carried(type_: str) -> str:
    from penstock.queries.spark_types import carried

    found = carried(type_) if type_ != '"NULL"' else "VOID"
    if found is None:
        raise UntranslatableError(f"a value of type {type_}")
    return found


def parsed(query: str) -> exp.Expr:
    """Take a query of DuckDB apart."""
    return sqlglot.parse_one(query, dialect="duckdb")
