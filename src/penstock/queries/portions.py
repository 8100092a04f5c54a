"""Relations over Parquet files in portions: the same rows as the whole relation has, each in one of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlglot import exp

from penstock.queries.text import file_literals, file_named, identifier
from penstock.values import dataclass

_NUMBER = "file_row_number"
_BY_ROW = {"with_", "expressions", "from_", "joins", "where"}
"""What a SELECT may have whose rows are made of one row of its scan each."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows of a Parquet file.

    Attributes:
        scan: The scan that reads it, by its place among those of the relation.
        file: Its path.
        rows: The first and the last of its rows, from 0; None: all.
    """

    scan: int
    file: str
    rows: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Scan:
    """A scan of Parquet files whose files may be read apart.

    Attributes:
        view: The name that stands for it.
        sql: The scan.
        files: Its files.
        options: Its options, as SQL.
    """

    view: str
    sql: str
    files: tuple[str, ...]
    options: tuple[str, ...]

    def of(self, stretches: Sequence[Stretch], columns: Sequence[tuple[str, str]]) -> str:
        """Return a relation of some of its rows, with all of its columns and their types.

        Args:
            stretches: Which rows.
            columns: Name and type of the columns of the whole scan: some of its files may lack one, or have a
                narrower type.
        """
        listed = ", ".join(f"CAST(NULL AS {type_}) AS {identifier(label)}" for label, type_ in columns)
        return " UNION ALL BY NAME ".join([f"SELECT {listed} WHERE false", *self._read(stretches)])

    def _read(self, stretches: Sequence[Stretch]) -> Iterator[str]:
        whole = [stretch.file for stretch in stretches if stretch.rows is None]
        if whole:
            yield f"SELECT * FROM {_scan(whole, self.options)}"
        own = any(option.startswith(_NUMBER) for option in self.options)
        options = self.options if own else (*self.options, f"{_NUMBER} = true")
        shown = "*" if own else f"* EXCLUDE ({_NUMBER})"
        for stretch in stretches:
            if stretch.rows is not None:
                first, last = stretch.rows
                yield f"SELECT {shown} FROM {_scan([stretch.file], options)} WHERE {_NUMBER} BETWEEN {first} AND {last}"


def portioned(query: exp.Expr, prefix: str) -> tuple[str, tuple[Scan, ...]]:
    """Return a query over names in the place of scans, and the scans.

    Rows of the query are each made of one row of one of these scans; where that cannot be told there are none, and the
    query is as it was. What rows are only compared with, as those that were set aside, is read whole.

    Args:
        query: ``SELECT * FROM`` a relation; it is changed.
        prefix: How names of scans begin.
    """
    tables = [table for table in query.find_all(exp.Table) if isinstance(table.this, exp.ReadParquet)]
    apart = [table for table in tables if _alone(table)]
    if not apart:
        return query.sql(dialect="duckdb"), ()
    scans = []
    for place, table in enumerate(apart):
        scan = table.this
        view = f"{prefix}{place}"
        files = tuple(file_named(each.this) for each in scan.expressions[0].expressions)
        options = tuple(f"{each.this.name} = {each.expression.sql(dialect='duckdb')}" for each in scan.expressions[1:])
        scans.append(Scan(view, scan.sql(dialect="duckdb"), files, options))
        table.set("this", exp.to_identifier(view, quoted=True))
    return query.sql(dialect="duckdb"), tuple(scans)


def _scan(files: Sequence[str], options: Sequence[str]) -> str:
    return f"read_parquet([{file_literals(files)}], {', '.join(options)})"


def _alone(table: exp.Expr) -> bool:
    """Say whether each row of the whole query comes from one row of this table, if from any."""
    node: exp.Expr | None = table.parent
    while node is not None:
        if isinstance(node, exp.Select):
            if any(value and key not in _BY_ROW for key, value in node.args.items()) or node.find(exp.AggFunc):
                return False
            if any((join.side or join.kind).upper() not in ("", "INNER", "ANTI", "SEMI") for join in _joins(node)):
                return False
        elif isinstance(node, exp.Union):
            if node.args.get("distinct") or node.args.get("order") or node.args.get("limit"):
                return False
        elif not isinstance(node, exp.From | exp.Subquery | exp.Table):
            return False
        node = node.parent
    return True


def _joins(select: exp.Select) -> Sequence[exp.Join]:
    return select.args.get("joins") or ()
