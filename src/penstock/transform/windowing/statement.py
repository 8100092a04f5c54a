"""Windows as one query over all events: what a run computes, and what a stream computes of a few of them.

A query reads bare names, as every transform does. Moments are UTC; windows of fixed lengths are counted from Monday,
1970-01-05, so that those of a day begin at midnight and those of a week on Monday.
"""

from __future__ import annotations

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from penstock.errors import ConfigurationError
from penstock.model.event_time import microseconds
from penstock.model.windows import Emit, WindowKind, WindowSpec
from penstock.names import LOAD, VALID_FROM, VALID_TO
from penstock.queries import edges
from penstock.queries.moments import EVER, moment, span
from penstock.queries.text import identifier, identifiers

START, END = "window_start", "window_end"
"""The columns that say of which time a window is."""
ORIGIN = "make_timestamptz(345600000000)"
_AT, _FRAME, _NUMBER, _BEGINS = "_penstock_start", "_penstock_frame", "_penstock_session", "_penstock_begins"
_SINCE, _UNTIL = "_penstock_since", "_penstock_until"
_AGGREGATES = frozenset(
    (
        *("arbitrary", "arg_max_null", "arg_max_nulls_last", "arg_min_null", "arg_min_nulls_last", "bitstring_agg"),
        *("entropy", "favg", "fsum", "histogram", "histogram_exact", "kahan_sum", "kurtosis_pop", "mad", "mean"),
        *("product", "reservoir_quantile", "sem", "sum_no_overflow", "sumkahan"),
    )
)
"""DuckDB's aggregates that the parser does not know as such."""


def bucket(at: str, size: int) -> str:
    """Return the SQL of the beginning of the window of a length (in microseconds) in which a moment lies."""
    return f"time_bucket({span(size)}, {at}, {ORIGIN})"


def result_time(window: WindowSpec, event_time: str) -> str:
    """Return the column of the result that says of which time a row is."""
    return event_time if window.kind in (WindowKind.RUNNING, WindowKind.JOIN) else START


def statement(window: WindowSpec, event_time: str, *, history: bool = False, landed: bool = False) -> str:
    """Return the query that computes all windows.

    Args:
        window: The windows.
        event_time: The column of events that says when they happened.
        history: The table that a join reads keeps every state of a key, with the time it was valid.
        landed: The table that a join reads is a source, whose newest load decides between rows of one moment.

    Raises:
        ConfigurationError: The columns of the result cannot be what they are said to be.
    """
    listed = columns(window, event_time)
    match window.kind:
        case WindowKind.RUNNING:
            return _running(window, event_time, listed)
        case WindowKind.JOIN:
            return _joined(window, event_time, listed, history=history, landed=landed)
        case WindowKind.SESSION:
            query = _sessions(window, event_time, listed)
        case _:
            query = _fixed(window, event_time, listed)
    return query if window.emit is Emit.GROWING else f"SELECT * FROM ({query}) WHERE {END} <= {EVER}"


def columns(window: WindowSpec, event_time: str) -> dict[str, str]:
    """Return the columns of the result that its declaration lists: name to SQL.

    Raises:
        ConfigurationError: It is no list of named columns, or of something else than the events of a window.
    """
    what = f"The sql of window {window.table!r}"
    found = _parsed(window.sql, what)
    own = (*window.key, *((event_time,) if window.kind is WindowKind.RUNNING else (START, END)))
    taken = {name.lower() for name in own} if window.kind is not WindowKind.JOIN else set[str]()
    listed: dict[str, str] = {}
    for item in found:
        text = item.sql(dialect="duckdb")
        name = item.alias_or_name if isinstance(item, exp.Alias | exp.Column) else ""
        if not name or isinstance(item, exp.Star) or item.is_star:
            raise ConfigurationError(f"{what} has a column without a name", value=text, valid="as count(*) AS views")
        if name.lower() in taken:
            raise ConfigurationError(
                f"{what} makes the column {name!r}, which the table has already",
                valid=f"other names than {', '.join(own)}",
            )
        taken.add(name.lower())
        inner = item.this if isinstance(item, exp.Alias) else item
        _verify(inner, window, what, text)
        made = _framed(inner) if window.kind is WindowKind.RUNNING else inner
        listed[name] = made.sql(dialect="duckdb")
    return listed


def _parsed(sql: str, what: str) -> list[exp.Expr]:
    try:
        query = sqlglot.parse_one(f"SELECT {sql}", read="duckdb")
    except SqlglotError as error:
        raise ConfigurationError(
            f"{what} cannot be read as SQL", value=sql, valid="columns with names, as count(*) AS views, sum(ms) AS ms"
        ) from error
    rest = {key for key, value in query.args.items() if value and key not in ("expressions", "kind")}
    if not isinstance(query, exp.Select) or rest or not query.expressions:
        raise ConfigurationError(
            f"{what} is more than a list of columns", value=sql, valid="as count(*) AS views, sum(ms) AS ms"
        )
    return list(query.expressions)


def _verify(item: exp.Expr, window: WindowSpec, what: str, text: str) -> None:
    if item.find(exp.Query, exp.Subquery, exp.Window) is not None:
        raise ConfigurationError(f"{what} holds a query or a window function", value=text, valid="aggregates of events")
    if edges.volatile(f"SELECT {text}", origin=what):
        raise ConfigurationError(f"{what} depends on the clock, on chance or on the session", value=text)
    if edges.parameters(f"SELECT {text}", origin=what):
        raise ConfigurationError(f"{what} has a parameter, which has no value there", value=text)
    aggregated = any(_is_aggregate(node) for node in item.walk())
    if aggregated and window.kind is WindowKind.JOIN:
        raise ConfigurationError(f"{what} holds an aggregate", value=text, valid=f"columns of {window.to}")
    if not aggregated and window.kind is not WindowKind.JOIN:
        raise ConfigurationError(
            f"{what} has a column that is none of all the events of a window",
            value=text,
            valid="aggregates, as count(*), sum(ms), count(DISTINCT video), max_by(video, at)",
        )


def _is_aggregate(node: exp.Expr) -> bool:
    return isinstance(node, exp.AggFunc) or (isinstance(node, exp.Anonymous) and node.name.lower() in _AGGREGATES)


def _framed(item: exp.Expr) -> exp.Expr:
    """Return an expression whose aggregates are taken over the frame of a row."""
    item = item.copy()
    for node in [node for node in item.walk() if _is_aggregate(node)]:
        while isinstance(node.parent, exp.Filter | exp.IgnoreNulls):
            node = node.parent  # noqa: PLW2901 - what belongs to the aggregate goes with it
        over = exp.Paren(this=exp.Window(this=node.copy(), alias=exp.to_identifier(_FRAME), over="OVER"))
        if node is item:
            return over
        node.replace(over)
    return item


def _events(window: WindowSpec, event_time: str) -> str:
    """Return the events, their event time as a moment; for a FROM clause."""
    name = identifier(event_time)
    return f"(SELECT * REPLACE ({moment(event_time)} AS {name}) FROM {identifier(window.of)})"


def _list(listed: dict[str, str]) -> str:
    return ", ".join(f"{text} AS {identifier(name)}" for name, text in listed.items())


def _keys(window: WindowSpec, after: str = ", ") -> str:
    return identifiers(window.key) + after if window.key else ""


def _partition(window: WindowSpec) -> str:
    return f"PARTITION BY {identifiers(window.key)} " if window.key else ""


def _fixed(window: WindowSpec, event_time: str, listed: dict[str, str]) -> str:
    at, size = identifier(event_time), microseconds(window.size)
    if window.kind is WindowKind.TUMBLING:
        begun = f"SELECT *, {bucket(at, size)} AS {_AT} FROM {_events(window, event_time)}"
        within = f"{_AT} IS NOT NULL"
    else:
        every = microseconds(window.every)
        begun = (
            f"SELECT e.*, {bucket(f'e.{at}', every)} - to_microseconds({every} * h.n) AS {_AT} "
            f"FROM {_events(window, event_time)} e, range({-(-size // every)}) h(n)"
        )
        within = f"{_AT} + {span(size)} > {at}"
    return (
        f"SELECT {_keys(window)}{_AT} AS {START}, {_AT} + {span(size)} AS {END}, {_list(listed)} "
        f"FROM ({begun}) WHERE {within} GROUP BY {_keys(window)}{_AT}"
    )


def _sessions(window: WindowSpec, event_time: str, listed: dict[str, str]) -> str:
    at, gap = identifier(event_time), microseconds(window.size)
    order = f"({_partition(window)}ORDER BY {at})"
    begins = f"CASE WHEN epoch_us({at}) - epoch_us(lag({at}) OVER {order}) < {gap} THEN 0 ELSE 1 END"
    marked = f"SELECT *, {begins} AS {_BEGINS} FROM {_events(window, event_time)} WHERE {at} IS NOT NULL"
    # Events of one moment have one number: the frame takes in all of them.
    numbered = f"SELECT *, sum({_BEGINS}) OVER {order} AS {_NUMBER} FROM ({marked})"
    return (
        f"SELECT {_keys(window)}min({at}) AS {START}, max({at}) + {span(gap)} AS {END}, {_list(listed)} "
        f"FROM ({numbered}) GROUP BY {_keys(window)}{_NUMBER}"
    )


def _running(window: WindowSpec, event_time: str, listed: dict[str, str]) -> str:
    at, back = identifier(event_time), span(microseconds(window.size) - 1)
    return (
        f"SELECT {_keys(window)}{at}, {_list(listed)} FROM {_events(window, event_time)} WHERE {at} IS NOT NULL "
        f"WINDOW {_FRAME} AS ({_partition(window)}ORDER BY {at} RANGE BETWEEN {back} PRECEDING AND CURRENT ROW) "
        f"QUALIFY row_number() OVER (PARTITION BY {_keys(window)}{at}) = 1"
    )


def _joined(window: WindowSpec, event_time: str, listed: dict[str, str], *, history: bool, landed: bool) -> str:
    at, keys = identifier(event_time), identifiers(window.key)
    since = moment(window.since or VALID_FROM)
    until = moment(VALID_TO) if history else "NULL::TIMESTAMP WITH TIME ZONE"
    newest = [*([f"{LOAD} DESC"] if landed else []), *(f"{text} DESC" for text in listed.values())]
    known = (
        f"SELECT {keys}, {since} AS {_SINCE}, {until} AS {_UNTIL}, {_list(listed)} FROM {identifier(window.to)} "
        f"WHERE {since} IS NOT NULL "
        f"QUALIFY row_number() OVER (PARTITION BY {keys}, {_SINCE} ORDER BY {', '.join(newest)}) = 1"
    )
    taken = ", ".join(
        f"CASE WHEN p.{_UNTIL} IS NULL OR e.{at} < p.{_UNTIL} THEN p.{identifier(name)} END AS {identifier(name)}"
        for name in listed
    )
    same = " AND ".join(f"e.{identifier(name)} = p.{identifier(name)}" for name in window.key)
    return (
        f"SELECT e.*, {taken} FROM {_events(window, event_time)} e "
        f"ASOF LEFT JOIN ({known}) p ON {same} AND e.{at} >= p.{_SINCE}"
    )
