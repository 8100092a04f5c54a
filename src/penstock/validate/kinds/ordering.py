"""Kinds that look at rows in an order: values that must not fall, moments that must not leave a gap."""

from __future__ import annotations

from typing import Any

from penstock.queries.text import identifier, identifiers
from penstock.validate.bound import Bound
from penstock.validate.kinds.figures import moment
from penstock.validate.rows import POSITION, Rows
from penstock.validate.values import family

_BEFORE = "_penstock_before"
_SERIES = "_penstock_series"


def falling(rows: Rows, check: Bound) -> int:
    """Return how many rows fail ``increasing``; the places of the rows are registered."""
    return int(rows.connection.execute(f"SELECT count(*) FROM ({_falling(rows, check)})").fetchall()[0][0])


def falling_positions(rows: Rows, check: Bound) -> str:
    """Return a query for the positions of these rows; only while the places are registered."""
    return f"SELECT {POSITION} FROM ({_falling(rows, check)})"


def falling_examples(rows: Rows, check: Bound, limit: int) -> list[tuple[Any, ...]]:
    """Return value, greatest value before and position (null where there is none) of the first of these rows."""
    name = identifier(check.columns[0])
    query = f"SELECT {name}, {_BEFORE}, {POSITION} FROM ({_falling(rows, check)}) ORDER BY {POSITION} LIMIT {limit}"
    return rows.connection.execute(query).fetchall()


def _falling(rows: Rows, check: Bound) -> str:
    column = rows.column(check.columns[0], where=check.spec.name)
    name, order_by = identifier(column.name), check.says("order_by")
    nan = f"isnan({name})" if family(column.type) == "real" else "false"
    order = [identifier(rows.column(order_by, where=check.spec.name).name)] if order_by else []
    order += [POSITION] if rows.located else []
    series = _series(rows, check)
    unplaced = f"(SELECT *, NULL AS {POSITION} FROM {rows.sql(check.reads)})"
    source = rows.positioned(check.reads) if rows.located else unplaced
    window = (
        f"({f'PARTITION BY {series} ' if series else ''}ORDER BY {', '.join(order)} "
        f"ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
    )
    steps = (
        f"SELECT {name}, {POSITION}, {nan} AS _penstock_nan, max({name}) FILTER (WHERE NOT {nan}) OVER {window} "
        f"AS {_BEFORE} FROM {source} WHERE {check.looked}"
    )
    falls = f"{name} {'<=' if check.says('strictly') else '<'} {_BEFORE}"
    return f"SELECT {name}, {_BEFORE}, {POSITION} FROM ({steps}) WHERE _penstock_nan OR {falls}"


def gaps(rows: Rows, check: Bound, limit: int) -> tuple[int, list[tuple[Any, ...]]]:
    """Return how many gaps there are, and of the longest: the last moment before, the first after, the seconds."""
    column = rows.column(check.columns[0], where=check.spec.name)
    at = moment(column, f"check {check.spec.name!r} of {rows.table}")
    series = _series(rows, check)
    kept = f"isfinite({at})" + ("" if check.where is None else f" AND {check.where}")
    listed = f"{at} AS {_SERIES}_at" + (f", {series}" if series else "")
    moments = f"SELECT DISTINCT {listed} FROM {rows.sql(check.reads)} WHERE {kept}"
    window = f"({f'PARTITION BY {series} ' if series else ''}ORDER BY {_SERIES}_at)"
    steps = f"SELECT {_SERIES}_at AS after, lag({_SERIES}_at) OVER {window} AS before FROM ({moments})"
    seconds = "(epoch_us(after) - epoch_us(before)) / 1e6"
    query = (
        f"SELECT CAST(before AS VARCHAR), CAST(after AS VARCHAR), {seconds} AS seconds, count(*) OVER () "
        f"FROM ({steps}) WHERE {seconds} > {float(check.says('every'))!r} ORDER BY seconds DESC, before LIMIT {limit}"
    )
    found = rows.connection.execute(query).fetchall()
    return (int(found[0][3]) if found else 0), [row[:3] for row in found]


def _series(rows: Rows, check: Bound) -> str:
    return identifiers(rows.column(name, where=check.spec.name).name for name in check.says("per", ()))
