"""Expressions over the values of one row as Spark's SQL: what surely means the same, and all else by a call of DuckDB.

Types are asked of DuckDB, so that nothing is guessed: a comparison, a cast or a sum is only left to Spark's own SQL
where both engines go by the same rule for exactly these types.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from penstock.queries.spark_patterns import same_in_java
from penstock.queries.spark_scope import Call, Scope, UnsafeError, UntranslatableError, call, shown
from penstock.queries.spark_types import (
    FAITHFUL,
    INTEGERS,
    ZONED,
    constant,
    decimal_places,
    name,
    names,
    spark_type,
)
from penstock.schema import restore
from penstock.values import dataclass

_WIDEST = 38
_COMPARED: dict[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}
_DISTINCT: dict[type[exp.Expr], str] = {exp.NullSafeEQ: "", exp.NullSafeNEQ: "NOT "}
_ALIKE = ("VARCHAR", "DATE", "TIMESTAMP", ZONED, "BOOLEAN", "BLOB", "DOUBLE", "FLOAT")
_BINARY: dict[type[exp.Expr], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*"}
_WITHOUT_TIME = {"DATE", "TIMESTAMP"}
LEAVES = (exp.Column, exp.AggFunc, exp.Filter, exp.Window, exp.Subquery, exp.Anonymous)


@dataclass(frozen=True, slots=True)
class Value:
    """An expression in Spark's SQL and the DuckDB type of its values."""

    sql: str
    type: str


class Values:
    """Translates expressions of one SELECT.

    Args:
        scope: What they see.
        calls: Where what DuckDB evaluates is put, by its name.
        native: Whether anything is left to Spark's own SQL; without, only columns, NULL tests and subqueries are.
        query: Translates a query that stands within an expression.
        leaf: Translates what is no expression over one row (an aggregate, a window), or returns None if it is one.
    """

    def __init__(
        self,
        scope: Scope,
        calls: dict[str, Call],
        *,
        native: bool,
        query: Callable[[exp.Expr, Scope, int], str],
        leaf: Callable[[exp.Expr], Value | None],
    ) -> None:
        self._scope = scope
        self._calls = calls
        self._native = native
        self._query = query
        self._leaf = leaf

    def scalar(self, node: exp.Expr) -> Value:
        """Return an expression, by a call of DuckDB if Spark's SQL will not do.

        Raises:
            UntranslatableError: Neither will do.
        """
        try:
            return self.native(node)
        except UnsafeError:
            return self._called(node)

    def carried(self, node: exp.Expr) -> Value:
        """Return an expression that stands in a select list: of a type that Spark lacks, the stored form."""
        inner = node.this if isinstance(node, exp.Alias) else node
        type_ = self._scope.type(inner)
        if spark_type(type_) is not None or type_ == '"NULL"':
            return self.scalar(inner)
        columns = list(inner.find_all(exp.Column))
        if inner in columns:
            return Value(self._column(inner), type_)
        if columns and all(each == columns[0] for each in columns):
            # What was stored is restored: it goes on in its stored form.
            import sqlglot

            stored = columns[0].sql(dialect="duckdb")
            if sqlglot.parse_one(restore(stored, type_), dialect="duckdb") == inner:
                return Value(self._column(columns[0]), type_)
        return self._called(inner)

    def condition(self, node: exp.Expr) -> str:
        """Return a condition, each part that AND joins by itself."""
        parts = list(node.flatten()) if isinstance(node, exp.And) else [node]
        return " AND ".join(f"({self._conjunct(part)})" for part in parts)

    def _conjunct(self, node: exp.Expr) -> str:
        try:
            return self.native(node).sql
        except UnsafeError:
            types = (
                {self._scope.type(side) for side in (node.this, node.expression)} if isinstance(node, exp.EQ) else set()
            )
            if len(types) == 1 and types <= {"VARCHAR", "BIGINT", "VARCHAR[]"}:
                # Spark takes a call in the condition of a join only if it is of one side.
                return f"{self.scalar(node.this).sql} = {self.scalar(node.expression).sql}"
            return self._called(node).sql

    def native(self, node: exp.Expr) -> Value:  # noqa: C901 - one case for each kind of node
        """Return an expression in Spark's own SQL.

        Raises:
            UnsafeError: It is not known to mean the same.
        """
        found = self._leaf(node)
        if found is not None:
            return found
        if not any(True for _ in node.find_all(*LEAVES[:-1], exp.Query)):
            return self._folded(node)
        match node:
            case exp.Paren():
                inner = self.native(node.this)
                return Value(f"({inner.sql})", inner.type)
            case exp.Column():
                return self._plain_column(node)
            case exp.Subquery():
                return Value(self._query(node.this, self._scope, 0).join("()"), self._scope.type(node))
            case exp.Is():
                return self._is(node)
            case exp.In() if node.args.get("query") is not None:
                return self._in_query(node)
            case exp.Exists():
                return Value(f"EXISTS ({self._query(node.this, self._scope, 0)})", "BOOLEAN")
            case exp.And() | exp.Or():
                sides = [self._side(each) for each in (node.left, node.right)]
                return Value(f"({sides[0]} {'AND' if isinstance(node, exp.And) else 'OR'} {sides[1]})", "BOOLEAN")
            case exp.Not():
                return Value(f"(NOT {self._side(node.this)})", "BOOLEAN")
            case exp.Case() if node.this is None:
                return self._case(node)
        if not self._native:
            raise UnsafeError(shown(node))
        return self._computed(node)

    def _side(self, node: exp.Expr) -> str:
        """Return one side of a connective; where a query stands in it, the other may still be a call."""
        mixed = node.parent is not None and node.parent.find(exp.Query) is not None
        found = self.scalar(node) if mixed else self.native(node)
        if found.type not in ("BOOLEAN", '"NULL"'):
            raise UnsafeError(shown(node))
        return found.sql if found.type == "BOOLEAN" else "CAST(NULL AS BOOLEAN)"

    def _computed(self, node: exp.Expr) -> Value:
        for kinds, translate in (
            ((*_COMPARED, *_DISTINCT), self._compared),
            ((exp.Between,), self._between),
            ((exp.In,), self._in_list),
            ((exp.Cast, exp.TryCast), self._cast),
            (tuple(_BINARY), self._arithmetic),
            ((exp.Div,), self._divided),
            ((exp.IsNan, exp.IsInf, exp.Anonymous, exp.Abs, exp.Length, exp.Left, exp.EndsWith), self._function),
            ((exp.Like,), self._like),
            ((exp.RegexpFullMatch,), self._matches),
        ):
            if type(node) in kinds:
                return translate(node)
        raise UnsafeError(shown(node))

    def _called(self, node: exp.Expr) -> Value:
        """Return a call by which DuckDB evaluates an expression over columns, aggregates and subqueries."""
        leaves: dict[exp.Expr, tuple[str, Value]] = {}

        def replaced(part: exp.Expr) -> exp.Expr:
            found = None if part is node else self._leaf(part)
            if found is None and isinstance(part, exp.Column) and not _bound(part, node):
                found = Value(self._column(part), self._scope.type(part))
            elif found is None and isinstance(part, exp.Query):
                if not isinstance(part, exp.Subquery):
                    raise UntranslatableError(f"a subquery within {shown(node)}")
                found = self.native(part)
            if found is None:
                return part
            taken = {label.lower() for label, _ in leaves.values()}
            # Its errors name the column as the user knows it.
            known = part.name if isinstance(part, exp.Column) and part.name.lower() not in taken else f"c{len(leaves)}"
            label, _ = leaves.setdefault(part, (known, found))
            return exp.column(label, quoted=True)

        type_ = self._scope.type(node)
        node = node.copy()
        sql = node.transform(replaced, copy=False).sql(dialect="duckdb")
        made = call(sql, {label: each.type for label, each in leaves.values()}, type_)
        self._calls[made.name] = made
        listed = ", ".join(each.sql for _, each in leaves.values())
        return Value(f"{made.name}({listed})", type_)

    def _folded(self, node: exp.Expr) -> Value:
        """Return the value of what reads nothing, as DuckDB computes it."""
        value, type_ = self._scope.typing.value(node.sql(dialect="duckdb"))
        found = constant(value, type_)
        if found is None:
            raise UnsafeError(shown(node))
        return Value(found, type_)

    def _column(self, node: exp.Expr) -> str:
        return names([part.name for part in node.parts]) if isinstance(node, exp.Column) else ""

    def _plain_column(self, node: exp.Column) -> Value:
        try:
            type_ = self._scope.type(node)
        except UntranslatableError:
            # GROUP BY, HAVING and ORDER BY may name what the select list makes.
            known = self._scope.outputs.get(node.name.lower())
            if known is None or node.table:
                raise
            return Value(name(node.name), known)
        if spark_type(type_) is None:
            raise UnsafeError(shown(node))
        return Value(self._column(node), type_)

    def _is(self, node: exp.Is) -> Value:
        said = node.expression
        if isinstance(said, exp.Null):
            inner = node.this.unnest()
            operand = self._column(inner) if isinstance(inner, exp.Column) else self.native(inner).sql
            return Value(f"({operand} IS NULL)", "BOOLEAN")
        if isinstance(said, exp.Boolean):
            return Value(f"({self._side(node.this)} IS {'TRUE' if said.this else 'FALSE'})", "BOOLEAN")
        raise UnsafeError(shown(node))

    def _case(self, node: exp.Case) -> Value:
        default = node.args.get("default")
        results = [branch.args["true"] for branch in node.args["ifs"]] + ([default] if default is not None else [])
        type_ = self._scope.type(node)
        if spark_type(type_) is None:
            raise UnsafeError(shown(node))
        told = [self._as(each, type_) for each in results]
        branches = [
            f"WHEN {self._side(branch.this)} THEN {result}"
            for branch, result in zip(node.args["ifs"], told, strict=False)
        ]
        rest = f" ELSE {told[-1]}" if default is not None else ""
        return Value(f"(CASE {' '.join(branches)}{rest} END)", type_)

    def _as(self, node: exp.Expr, type_: str) -> str:
        found = self.scalar(node) if node.find(exp.Query) else self.native(node)
        if found.type == type_:
            return found.sql
        if found.type == '"NULL"':
            return f"CAST(NULL AS {spark_type(type_)})"
        if found.type in INTEGERS and type_ in INTEGERS:
            return f"CAST({found.sql} AS {spark_type(type_)})"
        raise UnsafeError(shown(node))

    def _compared(self, node: exp.Expr) -> Value:
        left, right = self._comparable(node.this, node.expression)
        if type(node) in _DISTINCT:
            return Value(f"({_DISTINCT[type(node)]}({left} <=> {right}))", "BOOLEAN")
        return Value(f"({left} {_COMPARED[type(node)]} {right})", "BOOLEAN")

    def _comparable(self, left: exp.Expr, right: exp.Expr) -> tuple[str, str]:
        """Return two sides that both engines compare by the same rule."""
        sides = (left.unnest(), right.unnest())
        if all(isinstance(side, exp.Column) for side in sides):
            types = {self._scope.type(side) for side in sides}
            if len(types) == 1 and types <= FAITHFUL:
                return self._column(sides[0]), self._column(sides[1])
        mine, other = self.native(left), self.native(right)
        for one, two, node in ((mine, other, right), (other, mine, left)):
            if one.type != two.type and not _reads(node) and (folded := self._fitted(node, one.type)):
                return (one.sql, folded) if one is mine else (folded, one.sql)
        if not _alike(mine.type, other.type):
            raise UnsafeError(shown(left))
        return mine.sql, other.sql

    def _fitted(self, node: exp.Expr, type_: str) -> str | None:
        """Return a constant as the type that DuckDB casts it to beside a value of that type, or None."""
        inner = node.unnest()
        texts = isinstance(inner, exp.Literal) and inner.is_string and type_ in ("DATE", "TIMESTAMP", ZONED)
        if not texts and type_ != "DOUBLE":
            return None
        return self._folded(exp.cast(inner.copy(), type_, dialect="duckdb")).sql

    def _between(self, node: exp.Expr) -> Value:
        low = self._comparable(node.this, node.args["low"])
        high = self._comparable(node.this, node.args["high"])
        return Value(f"({low[0]} >= {low[1]} AND {high[0]} <= {high[1]})", "BOOLEAN")

    def _in_list(self, node: exp.Expr) -> Value:
        if not node.expressions:
            raise UnsafeError(shown(node))
        pairs = [self._comparable(node.this, each) for each in node.expressions]
        return Value(f"({pairs[0][0]} IN ({', '.join(right for _, right in pairs)}))", "BOOLEAN")

    def _in_query(self, node: exp.In) -> Value:
        """Return a search among the rows of a query, keys of several columns one beside the other."""
        inner = node.args["query"].unnest()
        key = node.this.unnest() if isinstance(node.this, exp.Paren) else node.this
        parts = key.expressions if isinstance(key, exp.Tuple) else [key]
        sides = [self.carried(part) for part in parts]
        theirs = self._scope.typing.described(f"{self._scope.ctes}{inner.sql(dialect='duckdb')}")
        if isinstance(key, exp.Tuple):
            selected = inner.find(exp.Select)
            given = selected.expressions[0].unnest() if selected is not None else key
            wanted = [self._scope.type(part) for part in parts]
            if not isinstance(given, exp.Tuple) or theirs[0][1] != self._scope.type(key):
                raise UntranslatableError(f"{shown(key)} beside rows of another type")
            theirs = [("", each) for each in wanted]
        for side, (_, type_) in zip(sides, theirs, strict=True):
            same = side.type == type_ and (spark_type(type_) is not None or type_ in FAITHFUL)
            if not same and not _alike(side.type, type_):
                raise UntranslatableError(f"{shown(key)} IN a query of another type, {type_}")
        rows = self._query(inner, self._scope, len(parts))
        listed = ", ".join(side.sql for side in sides)
        return Value(f"({listed if len(sides) == 1 else f'({listed})'} IN ({rows}))", "BOOLEAN")

    def _cast(self, node: exp.Expr) -> Value:
        inner, type_ = self.native(node.this), self._scope.type(node)
        if inner.type == type_:
            return Value(inner.sql, type_)
        known, attempt = spark_type(type_), "TRY_CAST" if isinstance(node, exp.TryCast) else "CAST"
        whole = inner.type in INTEGERS or inner.type == "BOOLEAN"
        fits = (
            (whole and (type_ in INTEGERS or type_ == "DOUBLE"))
            or (inner.type in _WITHOUT_TIME and type_ in _WITHOUT_TIME and type_ == "TIMESTAMP")
            or (inner.type == "FLOAT" and type_ == "DOUBLE")
            or (inner.type in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT") and type_ == "VARCHAR")
        )
        if known is None or not fits or (type_ == "BOOLEAN"):
            raise UnsafeError(shown(node))
        return Value(f"{attempt}({inner.sql} AS {known})", type_)

    def _arithmetic(self, node: exp.Expr) -> Value:
        left, right, type_ = self.native(node.this), self.native(node.expression), self._scope.type(node)
        exact = all(decimal_places(each) is not None for each in (left.type, right.type, type_))
        narrow = (
            exact and "HUGEINT" not in (left.type, right.type, type_) and sum(decimal_places(type_) or ()) < _WIDEST
        )
        if not narrow and not (type_ == "DOUBLE" and {left.type, right.type} <= {"DOUBLE", *INTEGERS}):
            raise UnsafeError(shown(node))
        known = spark_type(type_)
        # Each side as the result is, so that the sum overflows where DuckDB's does.
        sides = [
            f"CAST({each.sql} AS {known})" if type_ in INTEGERS or type_ == "DOUBLE" else each.sql
            for each in (left, right)
        ]
        return Value(f"CAST({sides[0]} {_BINARY[type(node)]} {sides[1]} AS {known})", type_)

    def _divided(self, node: exp.Expr) -> Value:
        left, right, type_ = self.native(node.this), self.native(node.expression), self._scope.type(node)
        if type_ != "DOUBLE" or not {left.type, right.type} <= {"DOUBLE", *INTEGERS} - {"HUGEINT"}:
            raise UnsafeError(shown(node))
        constant_ = not _reads(node.expression) and isinstance(node.expression.unnest(), exp.Literal)
        if not constant_ or float(node.expression.unnest().this) == 0:
            # Spark gives up where DuckDB's quotient by zero is infinite.
            raise UnsafeError(shown(node))
        return Value(f"(CAST({left.sql} AS DOUBLE) / CAST({right.sql} AS DOUBLE))", type_)

    def _function(self, node: exp.Expr) -> Value:
        called = node.name.lower() if isinstance(node, exp.Anonymous) else node.key
        arguments = node.expressions if isinstance(node, exp.Anonymous) else [node.this]
        if isinstance(node, exp.EndsWith):
            sides = [self.native(each) for each in (node.this, node.expression)]
            if {side.type for side in sides} == {"VARCHAR"}:
                return Value(f"endswith({sides[0].sql}, {sides[1].sql})", "BOOLEAN")
        if len(arguments) != 1:
            raise UnsafeError(shown(node))
        inner = self.native(arguments[0])
        real = inner.type in ("DOUBLE", "FLOAT")
        x, absent = inner.sql, "IS NOT NULL THEN"
        if called in ("isnan", "isinf", "isfinite") and real:
            endless = f"abs({x}) = CAST('Infinity' AS DOUBLE)"
            told = {"isnan": f"isnan({x})", "isinf": endless, "isfinite": f"(NOT isnan({x}) AND NOT {endless})"}
            return Value(f"(CASE WHEN {x} {absent} {told[called]} END)", "BOOLEAN")
        if called == "abs" and real:
            return Value(f"abs({x})", inner.type)
        if called == "length" and (inner.type == "VARCHAR" or inner.type.endswith("[]")):
            size = f"char_length({x})" if inner.type == "VARCHAR" else f"size({x})"
            return Value(f"CAST(CASE WHEN {x} {absent} {size} END AS BIGINT)", "BIGINT")
        if called == "octet_length" and inner.type == "BLOB":
            return Value(f"CAST(octet_length({x}) AS BIGINT)", "BIGINT")
        if called == "left" and inner.type == "VARCHAR":
            many = node.expression
            if isinstance(many, exp.Literal) and many.is_int:
                return Value(f"left({x}, {many.this})", "VARCHAR")
        raise UnsafeError(shown(node))

    def _like(self, node: exp.Expr) -> Value:
        pattern, inner = node.expression.unnest(), self.native(node.this)
        if inner.type != "VARCHAR" or not isinstance(pattern, exp.Literal) or "\\" in pattern.this:
            raise UnsafeError(shown(node))
        return Value(f"({inner.sql} LIKE {self._folded(pattern).sql})", "BOOLEAN")

    def _matches(self, node: exp.Expr) -> Value:
        pattern, inner = node.expression.unnest(), self.native(node.this)
        known = same_in_java(pattern.this) if isinstance(pattern, exp.Literal) else None
        if inner.type != "VARCHAR" or known is None or node.args.get("options") is not None:
            raise UnsafeError(shown(node))
        return Value(f"({inner.sql} RLIKE {self._folded(exp.Literal.string(known)).sql})", "BOOLEAN")


def _reads(node: exp.Expr) -> bool:
    return node.find(*LEAVES[:-1], exp.Query) is not None


def _alike(left: str, right: str) -> bool:
    """Say whether values of two types are compared by both engines as what they are."""
    if left == right and (left in _ALIKE or left in INTEGERS):
        return True
    exact = decimal_places(left), decimal_places(right)
    if exact[0] is not None and exact[1] is not None:
        return max(exact[0][0], exact[1][0]) + max(exact[0][1], exact[1][1]) <= _WIDEST or (
            exact[0][1] == exact[1][1] == 0 and "HUGEINT" not in (left, right)
        )
    if {left, right} == _WITHOUT_TIME:
        return True
    return "DOUBLE" in (left, right) and {left, right} <= {"DOUBLE", "TINYINT", "SMALLINT", "INTEGER", "BIGINT"}


def _bound(column: exp.Column, within: exp.Expr) -> bool:
    """Say whether a name is the parameter of a lambda around it."""
    first, node = column.parts[0].name.lower(), column.parent
    while node is not None:
        if isinstance(node, exp.Lambda) and first in {each.name.lower() for each in node.expressions}:
            return True
        if node is within:
            return False
        node = node.parent
    return False
