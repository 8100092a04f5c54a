"""Reading a user's query: which tables it names, whether it is one plain SELECT, what it means.

The text that DuckDB runs stays the user's own: names are replaced and values bound at their places in the text, never
by printing a parsed tree, so that no construct changes its meaning on the way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import TokenType

from penstock.errors import BugError, ConfigurationError
from penstock.queries.text import identifier, literal

_DIALECT = "duckdb"
_MARK = "\u01c3"
_TABLE_FUNCTIONS = frozenset(
    ("range", "generate_series", "unnest", "explode", "json_each", "json_tree", "repeat", "repeat_row")
)
_VOLATILE_NODES = (
    exp.CurrentDate,
    exp.CurrentTime,
    exp.CurrentTimestamp,
    exp.CurrentDatetime,
    exp.Localtime,
    exp.Localtimestamp,
    exp.Rand,
    exp.Randn,
    exp.Uuid,
    exp.TableSample,
)
_VOLATILE_NAMES = frozenset(
    (
        "now",
        "today",
        "random",
        "rand",
        "setseed",
        "uuid",
        "uuidv4",
        "uuidv7",
        "gen_random_uuid",
        "nextval",
        "currval",
        "get_current_time",
        "get_current_timestamp",
        "current_localtime",
        "current_localtimestamp",
        "transaction_timestamp",
        "statement_timestamp",
        "clock_timestamp",
        "current_setting",
        "getvariable",
        "txid_current",
        "current_user",
        "session_user",
        "version",
    )
)
_OUTSIDE_NAMES = frozenset({"getenv", "read_text", "read_blob", "glob", "query", "query_table", "which_secret"})
_VALUE_ENDS = frozenset(
    (
        *(TokenType.VAR, TokenType.IDENTIFIER, TokenType.NUMBER, TokenType.STRING),
        *(TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE),
    )
)
_VALUE_WORDS = frozenset(("true", "false", "null", "end"))
_FORBIDDEN = (exp.DML, exp.DDL, exp.Command, exp.Copy, exp.Attach, exp.Detach, exp.Pragma, exp.Set, exp.Into)


def edges(sql: str, *, origin: str) -> tuple[str, ...]:
    """Return the tables that a query reads, as first written, in order of appearance, each once.

    CTE names, subqueries, lateral joins and table functions are no tables. Names are compared without case.

    Args:
        sql: One SELECT statement, with or without WITH.
        origin: The file it stands in, for messages.

    Raises:
        ConfigurationError: It cannot be parsed (says file, line and column), is not exactly one query, or reads files
            or other databases by itself.
    """
    found: dict[str, str] = {}
    for table in _tables(_query(sql, origin), sql, origin):
        found.setdefault(table.name.lower(), table.name)
    return tuple(found.values())


def rename(sql: str, mapping: Mapping[str, str], *, origin: str = "query") -> str:
    """Return the query with tables read under other names; the old name stays as the alias.

    Args:
        sql: One query.
        mapping: Table name (without regard to case) to the name to read instead.
        origin: The file it stands in, for messages.
    """
    return substitute(sql, {name: identifier(other) for name, other in mapping.items()}, origin=origin)


def substitute(sql: str, relations: Mapping[str, str], *, origin: str = "query") -> str:
    """Return the query with tables replaced by relations; the table's name stays as the alias.

    Args:
        sql: One query.
        relations: Table name (without regard to case) to SQL that stands in a FROM clause.
        origin: The file it stands in, for messages.
    """
    wanted = {name.lower(): relation for name, relation in relations.items()}
    changes = []
    for table in _tables(_query(sql, origin), sql, origin):
        relation = wanted.get(table.name.lower())
        if relation is None:
            continue
        start, end = _span(table, sql)
        alias = "" if table.args.get("alias") else f" AS {sql[start:end]}"
        changes.append((start, end, relation + alias))
    return _replaced(sql, changes)


def bind(sql: str, values: Mapping[str, datetime | date | str | int | float | bool], *, origin: str = "query") -> str:
    """Return the query with each ``:name`` replaced by its value as a typed literal.

    Args:
        sql: One query.
        values: Name to value; a moment must have a time zone and becomes a TIMESTAMPTZ.
        origin: The file it stands in, for messages.

    Raises:
        ConfigurationError: The query has a parameter that has no value, or one that is not written ``:name``.
    """
    parameters(sql, origin=origin)
    changes = []
    for start, end, name in _places(sql):
        if name not in values:
            raise ConfigurationError(
                f"{origin} has a parameter :{name} that has no value",
                valid=[f":{known}" for known in values] or "no parameters here",
            )
        changes.append((start, end, _literal(values[name])))
    return _replaced(sql, changes)


def parameters(sql: str, *, origin: str = "query") -> tuple[str, ...]:
    """Return the names of the query's ``:name`` parameters, sorted.

    Raises:
        ConfigurationError: A parameter is written another way (``?``, ``$name``).
    """
    strange = _query(sql, origin).find(exp.Placeholder, exp.Parameter)
    if strange is not None:
        raise ConfigurationError(
            f"{origin} has a parameter that is not written as :name", value=strange.name or "?", valid=":interval_start"
        )
    return tuple(sorted({name for _, _, name in _places(sql)}))


def meaning(sql: str, *, origin: str = "query") -> str:
    """Return one text for all spellings of a query that differ in comments, white space or keyword case."""
    return _query(sql, origin).sql(dialect=_DIALECT, comments=False).replace(_MARK, ":")


def volatile(sql: str, *, origin: str = "query") -> bool:
    """Say whether clock, chance or the session take part in a query, so that a second run may give other rows."""
    return _volatile(_query(sql, origin))


def statement(sql: str) -> str:
    """Return the text of a query without the comments and semicolons after it, so that it can stand in brackets."""
    tokens = [token for token in sqlglot.tokenize(sql, read=_DIALECT) if token.token_type is not TokenType.SEMICOLON]
    return sql[: tokens[-1].end + 1]


def named_columns(sql: str, *, origin: str = "query") -> frozenset[str]:
    """Return the column names that stand in the query itself (not those that a star brings), in lower case."""
    return frozenset(node.name.lower() for node in _query(sql, origin).find_all(exp.Column, exp.Identifier))


def starred(sql: str, *, origin: str = "query") -> bool:
    """Say whether a query selects columns without naming them: by a star, or by FROM alone."""
    return any(not isinstance(node.parent, exp.Count) for node in _query(sql, origin).find_all(exp.Star, exp.Columns))


def expression(text: str, *, origin: str, table: str = "") -> tuple[str, ...]:
    """Check that a text is one scalar SQL expression over the columns of one row.

    Args:
        text: The expression, as ``dep_delay > 15``.
        origin: What it belongs to, for messages.
        table: The table whose columns it reads, which may stand before their names.

    Returns:
        The names of the columns it reads, as first written.

    Raises:
        ConfigurationError: It cannot be parsed, or holds a subquery, aggregate, window, parameter, clock or chance.
    """
    node = _expression(text, origin)
    for kind, called in (
        ((exp.Query, exp.Table), "a subquery"),
        (exp.Window, "a window function"),
        (exp.AggFunc, "an aggregate"),
        ((exp.Placeholder, exp.Parameter), "a parameter"),
        (exp.Star, "a star"),
    ):
        if node.find(*(kind if isinstance(kind, tuple) else (kind,))) is not None:
            raise ConfigurationError(
                f"{origin} must be computed from the columns of one row, but holds {called}",
                value=text,
                remedy="Compute it in a transform and name its column here",
            )
    if _places(text):
        raise ConfigurationError(f"{origin} has a parameter, which has no value there", value=text)
    if _volatile(node):
        raise ConfigurationError(f"{origin} depends on the clock, on chance or on the session", value=text)
    found: dict[str, str] = {}
    for column in node.find_all(exp.Column):
        path = [part.name for part in column.parts]
        name = path[1] if len(path) > 1 and path[0].lower() == table.lower() else path[0]
        found.setdefault(name.lower(), name)
    return tuple(found.values())


def expression_meaning(text: str, *, origin: str) -> str:
    """Return one text for all spellings of an expression that differ in comments, white space or keyword case."""
    return _expression(text, origin).sql(dialect=_DIALECT, comments=False)


@lru_cache(maxsize=512)
def _query(sql: str, origin: str) -> exp.Expr:
    statements = _guarded(lambda: sqlglot.parse(_marked(sql), dialect=_DIALECT), sql, origin)
    found = [one for one in statements if one is not None and not isinstance(one, exp.Semicolon)]
    if len(found) != 1:
        raise ConfigurationError(
            f"{origin} must hold exactly one query, but holds {len(found) or 'none'}",
            valid="one SELECT, with or without WITH",
        )
    query = found[0]
    if not isinstance(query, exp.Query) or isinstance(query, exp.Table):
        # Words that are no SQL may still be parsed, as an expression with an alias.
        words = isinstance(query, exp.Alias | exp.Condition)
        found_out = f"begins with {sql.split(maxsplit=1)[0][:40]!r}" if words else f"a {query.key.upper()} statement"
        raise _refused(origin, f"is not a query but {found_out}")
    forbidden = query.find(*_FORBIDDEN)
    if forbidden is not None:
        raise _refused(origin, f"holds {forbidden.key.upper()}, which changes something")
    outside = next((name for name in _function_names(query) if name in _OUTSIDE_NAMES), None)
    if outside is not None:
        raise _refused(origin, f"calls {outside}(), which reads from outside the warehouse")
    return query


def _expression(text: str, origin: str) -> exp.Expr:
    query = _query(f"SELECT {text}\n", origin)
    parts = query.expressions if isinstance(query, exp.Select) else []
    rest = {key for key, value in query.args.items() if value and key not in ("expressions", "kind")}
    if len(parts) != 1 or rest or isinstance(parts[0], exp.Alias):
        raise ConfigurationError(f"{origin} must be one SQL expression", value=text, valid="as dep_delay > 15")
    found: exp.Expr = parts[0]
    return found


def _guarded(parse: Callable[[], list[exp.Expr | None]], sql: str, origin: str) -> list[exp.Expr | None]:
    try:
        return parse()
    except SqlglotError as error:
        details = getattr(error, "errors", None) or [{}]
        first = details[0]
        if "line" in first:
            place = f"{origin}:{first['line']}:{max(1, (first['col'] or 1) - len(first.get('highlight') or '') + 1)}"
            near = " ".join(f"{first.get('start_context') or ''}{first.get('highlight') or ''}".split())[-60:]
            why = first["description"].rstrip(".")
            why = "something is missing here" if why.startswith("Required keyword") else why
            what = f"{place} cannot be read as SQL: {why}"
            raise ConfigurationError(what, value=f"… {near}" if near else None) from error
        raise ConfigurationError(f"{origin} cannot be read as SQL: {str(error).splitlines()[0]}") from error
    except RecursionError as error:
        what = f"{origin} is nested too deeply to be read as SQL"
        raise ConfigurationError(what, value=f"{len(sql)} characters") from error


def _refused(origin: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{origin} {why}",
        valid="one SELECT, with or without WITH, over tables of the pipeline by their bare names",
        remedy="Declare what it reads as a source, or write a Python transform",
    )


def _tables(query: exp.Expr, sql: str, origin: str) -> list[exp.Table]:
    tables = []
    for table in query.find_all(exp.Table, bfs=False):
        if not isinstance(table.this, exp.Identifier):
            name = _function_name(table.this)
            if name not in _TABLE_FUNCTIONS:
                raise _refused(origin, f"calls the table function {name}()")
            continue
        if table.args.get("db"):
            name = ".".join(part.name for part in table.parts)
            raise _refused(origin, f"reads {name}, a table with a schema or database before its name")
        if sql[table.this.meta.get("start", 0)] == "'":
            raise _refused(origin, f"reads the file {table.name!r} by itself")
        if re.search(r"\btable\s*$", sql[: table.this.meta["start"]], re.IGNORECASE):
            raise _refused(
                origin, f"says TABLE {table.name}, which has no place for another name: say FROM {table.name}"
            )
        if table.name.lower() not in _visible(table):
            tables.append(table)
    return sorted(tables, key=lambda table: int(table.this.meta.get("start", 0)))


def _visible(table: exp.Table) -> set[str]:
    """Return the CTE names that a table's place in the query sees, in lower case."""
    names: set[str] = set()
    node: exp.Expr = table
    while node.parent is not None:
        parent = node.parent
        if isinstance(parent, exp.With):
            within = parent.expressions.index(node)
            seen = within + 1 if parent.recursive else within
            names.update(cte.alias.lower() for cte in parent.expressions[:seen])
        else:
            clause = parent.args.get("with_")
            if clause is not None and clause is not node:
                names.update(cte.alias.lower() for cte in clause.expressions)
        node = parent
    return names


def _span(table: exp.Table, sql: str) -> tuple[int, int]:
    start, end = table.this.meta["start"], table.this.meta["end"] + 1
    if sql[start:end].strip('"').replace('""', '"') != table.name:
        raise BugError(f"The place of table {table.name!r} in a query was read wrongly", value=sql[start:end])
    return start, end


def _places(sql: str) -> list[tuple[int, int, str]]:
    """Return start, end and name of each ``:name`` that stands where a value begins.

    After a value a colon is something else: a slice, a key, the head of a lambda, an alias put first.
    """
    if ":" not in sql:
        return []
    tokens = sqlglot.tokenize(sql, read=_DIALECT)
    places = []
    for before, colon, name in zip([None, *tokens], tokens, tokens[1:], strict=False):
        if colon.token_type is not TokenType.COLON or colon.end + 1 != name.start:
            continue
        if before is not None and (before.token_type in _VALUE_ENDS or before.text.lower() in _VALUE_WORDS):
            continue
        if name.text.isidentifier() and sql[name.start] not in "\"'":
            places.append((colon.start, name.end + 1, name.text))
    return places


def _marked(sql: str) -> str:
    """Return the query with a letter for the colon of ``:name``, all else in its place.

    The parser would take the colon for that of an alias put first, and ``$a,$b`` for a text in dollar quotes.
    """
    return _replaced(sql, [(start, start + 1, _MARK) for start, _, _ in _places(sql)])


def _replaced(sql: str, changes: list[tuple[int, int, str]]) -> str:
    for start, end, text in sorted(changes, reverse=True):
        sql = sql[:start] + text + sql[end:]
    return sql


def _literal(value: datetime | date | str | float) -> str:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ConfigurationError("A moment bound to a query needs a time zone", value=str(value))
        return f"TIMESTAMPTZ {literal(value.isoformat())}"
    if isinstance(value, date):
        return f"DATE {literal(value.isoformat())}"
    if isinstance(value, str):
        return literal(value)
    return str(value).upper() if isinstance(value, bool) else repr(value)


def _volatile(node: exp.Expr) -> bool:
    if node.find(*_VOLATILE_NODES) is not None:
        return True
    # age() of one moment counts from today; of two it does not
    since_today = any(
        function.name.lower() == "age" and len(function.expressions) == 1 for function in _anonymous(node)
    )
    return since_today or any(name in _VOLATILE_NAMES for name in _function_names(node))


def _anonymous(node: exp.Expr) -> Iterator[exp.Anonymous]:
    return node.find_all(exp.Anonymous)


def _function_names(node: exp.Expr) -> list[str]:
    return [_function_name(function) for function in node.find_all(exp.Func)]


def _function_name(node: exp.Expr) -> str:
    if isinstance(node, exp.Anonymous):
        return str(node.name).lower()
    return node.sql_name().lower() if isinstance(node, exp.Func) else node.key
