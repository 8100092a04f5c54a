"""Aggregates and windows as Spark's SQL: those whose figures are the same, by definition or by a formula."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from penstock.queries.spark_scope import Scope, UntranslatableError, shown
from penstock.queries.spark_types import FAITHFUL, INTEGERS, spark_type
from penstock.queries.spark_values import Value, Values

_RELATIVE_ERROR = 0.01
"""Of an approximate number of different values; DuckDB's is of the same order."""
_OF_DOUBLES: dict[type[exp.Expr], str] = {
    exp.StddevPop: "stddev_pop",
    exp.StddevSamp: "stddev_samp",
    exp.Stddev: "stddev_samp",
    exp.VariancePop: "var_pop",
    exp.Variance: "var_samp",
    exp.Median: "median",
}
_WINDOWS = (exp.RowNumber, exp.Rank, exp.DenseRank, exp.Lag, exp.Lead, exp.FirstValue, exp.LastValue)
_COMMON = (exp.Count, exp.CountIf, exp.Sum, exp.Avg, exp.Min, exp.Max, exp.LogicalAnd, exp.LogicalOr)
_NAMED = ("entropy", "mad")


class Aggregates:
    """Translates the aggregates and windows of one SELECT.

    Args:
        scope: What their arguments see.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self.values: Values

    def leaf(self, node: exp.Expr) -> Value | None:
        """Return an aggregate or a window, or None if a node is neither.

        Raises:
            UntranslatableError: It is one whose figure may differ.
        """
        if isinstance(node, exp.Window):
            return Value(self._window(node), self._scope.type(node))
        if isinstance(node, exp.Filter):
            kept = self.values.condition(node.expression.this)
            return Value(self._made(node.this, f" FILTER (WHERE {kept})", kept), self._scope.type(node))
        named = isinstance(node, exp.Anonymous) and node.name.lower() in _NAMED
        if isinstance(node, exp.AggFunc) or named:
            return Value(self._made(node, "", ""), self._scope.type(node))
        return None

    def _made(self, node: exp.Expr, filtered: str, kept: str) -> str:
        if isinstance(node, exp.Anonymous):
            return self._of_groups(node, kept)
        made = self._common(node, filtered) or self._of_doubles(node, filtered)
        if made is not None:
            return made
        match node:
            case exp.ApproxDistinct():
                return f"approx_count_distinct({self._hashed(node.this)}, {_RELATIVE_ERROR}){filtered}"
            case exp.ArgMin() | exp.ArgMax():
                return self._first(node, filtered)
        raise UntranslatableError(f"the aggregate {shown(node)}")

    def _common(self, node: exp.Expr, filtered: str) -> str | None:
        if not isinstance(node, _COMMON):
            return None
        if isinstance(node, exp.Count):
            return f"count({self._counted(node)}){filtered}"
        if isinstance(node.this, exp.Distinct):
            raise UntranslatableError(f"the aggregate {shown(node)}")
        if isinstance(node, exp.Min | exp.Max):
            return f"{'min' if isinstance(node, exp.Min) else 'max'}({self._ordered(node.this)}){filtered}"
        inner = self.values.scalar(node.this)
        match node:
            case exp.CountIf():
                return f"count_if({inner.sql}){filtered}"
            case exp.LogicalAnd() | exp.LogicalOr():
                return f"{'bool_and' if isinstance(node, exp.LogicalAnd) else 'bool_or'}({inner.sql}){filtered}"
            case exp.Avg():
                return f"avg({_double(inner, node)}){filtered}"
        if inner.type in INTEGERS:
            return f"sum(CAST({inner.sql} AS DECIMAL(38,0))){filtered}"
        if inner.type == "DOUBLE" or inner.type.startswith("DECIMAL("):
            return f"CAST(sum({inner.sql}){filtered} AS {spark_type(self._scope.type(node))})"
        raise UntranslatableError(f"the aggregate {shown(node)} of {inner.type}")

    def _counted(self, node: exp.Count) -> str:
        if isinstance(node.this, exp.Star) or node.this is None:
            return "*"
        if isinstance(node.this, exp.Distinct):
            if len(node.this.expressions) != 1:
                raise UntranslatableError(f"the aggregate {shown(node)}")
            return f"DISTINCT {self.values.carried(node.this.expressions[0]).sql}"
        return self.values.carried(node.this).sql

    def _ordered(self, node: exp.Expr) -> str:
        found = self.values.carried(node)
        if found.type not in FAITHFUL and spark_type(found.type) is None:
            raise UntranslatableError(f"an order of {shown(node)}, which is of type {found.type}")
        return found.sql

    def _of_doubles(self, node: exp.Expr, filtered: str) -> str | None:
        """Return a figure of numbers, which both take of doubles; only the last digits may differ."""
        match node:
            case exp.Corr():
                sides = (_double(self.values.scalar(each), node) for each in (node.this, node.expression))
                return f"corr({', '.join(sides)}){filtered}"
            case exp.PercentileCont():
                return f"percentile({self._number(node)}, {self._shares(node)}){filtered}"
            case exp.Skewness():
                n, raw = (f"{call}({self._number(node)}){filtered}" for call in ("count", "skewness"))
                # Spark's is that of the rows; DuckDB's allows for the rows being a sample.
                return f"(CASE WHEN {n} > 2 THEN {raw} * sqrt(CAST({n} AS DOUBLE) * ({n} - 1)) / ({n} - 2) END)"
            case exp.Kurtosis():
                n, raw = (f"{call}({self._number(node)}){filtered}" for call in ("count", "kurtosis"))
                share = f"CAST({n} - 1 AS DOUBLE) / ((CAST({n} AS DOUBLE) - 2) * ({n} - 3))"
                return f"(CASE WHEN {n} > 3 THEN {share} * (({n} + 1) * {raw} + 6) END)"
        called = _OF_DOUBLES.get(type(node))
        return None if called is None else f"{called}({self._number(node)}){filtered}"

    def _number(self, node: exp.Expr) -> str:
        return _double(self.values.scalar(node.this), node)

    def _shares(self, node: exp.PercentileCont) -> str:
        shares = node.expression
        listed = [shares] if isinstance(shares, exp.Literal) else shares.expressions
        if not all(isinstance(each, exp.Literal) and each.is_number for each in listed):
            raise UntranslatableError(f"the aggregate {shown(node)}")
        told = [f"CAST({each.this} AS DOUBLE)" for each in listed]
        return told[0] if shares is listed[0] else f"array({', '.join(told)})"

    def _hashed(self, node: exp.Expr) -> str:
        """Return what is counted approximately: of several columns, a hash of them all."""
        called = isinstance(node, exp.Anonymous) and node.name.lower() == "hash"
        parts = node.expressions if called else [node]
        listed = ", ".join(self.values.carried(part).sql for part in parts)
        return f"xxhash64({listed})" if called else listed

    def _first(self, node: exp.Expr, filtered: str) -> str:
        """Return the values beside the least or greatest ones, in their order."""
        parts = node.this.expressions if isinstance(node.this, exp.Struct | exp.Array) else None
        if parts is None:
            value = self.values.carried(node.this).sql
        elif isinstance(node.this, exp.Array):
            value = f"array({', '.join(self.values.scalar(part).sql for part in parts)})"
        else:
            listed = (f"'{part.this.name}', {self.values.carried(part.expression).sql}" for part in parts)
            value = f"named_struct({', '.join(listed)})"
        many = node.args.get("count")
        called = "min_by" if isinstance(node, exp.ArgMin) else "max_by"
        limit = "" if many is None else f", {int(many.name)}"
        return f"{called}({value}, {self._ordered(node.expression)}{limit}){filtered}"

    def _of_groups(self, node: exp.Anonymous, kept: str) -> str:
        """Return a figure that Spark has not: a query of its own over the same rows."""
        where = f" {'AND' if self._scope.filtered else 'WHERE'} {kept}" if kept else ""
        if node.name.lower() == "entropy":
            value = self.values.carried(node.expressions[0]).sql
            groups = f"SELECT {value} AS v, count({value}) AS n {self._scope.spark}{where} GROUP BY 1"
            total = "CAST(sum(n) AS DOUBLE)"
            told = f"coalesce(log2({total}) - sum(n * log2(n)) / {total}, 0)"
            return f"(SELECT {told} FROM ({groups}) WHERE v IS NOT NULL)"
        value = _double(self.values.scalar(node.expressions[0]), node)
        rows = f"SELECT {value} AS v {self._scope.spark}{where}"
        return f"(SELECT median(abs(v - m)) FROM ({rows}) CROSS JOIN (SELECT median(v) AS m FROM ({rows})))"

    def _window(self, node: exp.Window) -> str:
        inner = node.this
        if isinstance(inner, _WINDOWS):
            arguments = [self.values.carried(inner.this).sql] if inner.this is not None else []
            if any(inner.args.get(key) is not None for key in ("offset", "default")):
                raise UntranslatableError(f"the window {shown(node)}")
            called = f"{inner.sql_name().lower()}({', '.join(arguments)})"
        else:
            found = self.leaf(inner)
            if found is None:
                raise UntranslatableError(f"the window {shown(node)}")
            called = found.sql
        parts = []
        if node.args.get("partition_by"):
            parts.append(
                "PARTITION BY " + ", ".join(self.values.carried(each).sql for each in node.args["partition_by"])
            )
        if node.args.get("order") is not None:
            parts.append(
                "ORDER BY " + ", ".join(ordered(each, self._ordered) for each in node.args["order"].expressions)
            )
        parts += [_frame(node.args["spec"])] if node.args.get("spec") is not None else []
        return f"{called} OVER ({' '.join(parts)})"


def ordered(node: exp.Expr, value: Callable[[exp.Expr], str]) -> str:
    """Return one part of an ORDER BY, with the place of nulls as DuckDB has it: last."""
    if not isinstance(node, exp.Ordered):
        return f"{value(node)} ASC NULLS LAST"
    way, nulls = "DESC" if node.args.get("desc") else "ASC", "FIRST" if node.args.get("nulls_first") else "LAST"
    return f"{value(node.this)} {way} NULLS {nulls}"


def _frame(spec: exp.WindowSpec) -> str:
    if spec.args.get("exclude") or spec.args["kind"] != "ROWS":
        raise UntranslatableError(f"the frame {shown(spec)}")
    ends = []
    for end in ("start", "end"):
        edge, side = spec.args.get(end), spec.args.get(f"{end}_side") or ""
        shape = edge if isinstance(edge, str) else edge.name if isinstance(edge, exp.Literal) else ""
        if not shape:
            raise UntranslatableError(f"the frame {shown(spec)}")
        ends.append(f"{shape} {side}".strip())
    return f"ROWS BETWEEN {' AND '.join(ends)}"


def _double(value: Value, node: exp.Expr) -> str:
    if value.type == "DOUBLE":
        return value.sql
    if value.type not in INTEGERS and value.type != "FLOAT" and not value.type.startswith("DECIMAL("):
        raise UntranslatableError(f"the aggregate {shown(node)} of {value.type}")
    return f"CAST({value.sql} AS DOUBLE)"
