"""Changes of a table as they are committed: what the rows of a load mean beside the values they have.

Two things are no row of the table. A truncation, and the mark that it was read from the start again, empty it: what was
in it and what came before them in the same loads no longer counts. And an update may leave a long value untold because
it left it as it was (``_unchanged`` names the column): it is that of the row before, in the same loads or in the table.

Both are settled before the rows are merged, so that a merge meets whole rows alone, and any number of loads may be
taken at once.
"""

from __future__ import annotations

from penstock.errors import DataError
from penstock.load.change import OLDER, Change, Prepared, gather, rows_of, standing
from penstock.load.merge import ROW_ALIAS, ROWS, TOUCHED, Merging
from penstock.load.rows import ORDER_LOAD, POSITION
from penstock.model.capture import EMPTYING, OP, UNCHANGED, Op, captured
from penstock.model.specs import WriteMode
from penstock.names import ORDER, VALID_TO
from penstock.queries.text import identifier, identifiers, literal

_SETTLED = "penstock_load_settled"
_NEEDED = "penstock_load_needed"
_MARKS = ", ".join(literal(op.value) for op in EMPTYING)


def settle(change: Change, prepared: Prepared, merging: Merging) -> bool:
    """Make whole rows of the table out of ``ROWS``, and take out of the table what an emptying ends.

    Returns:
        Whether the table was emptied, and has but rows that came since.
    """
    if not captured(change.spec.source) or change.spec.prepare is not None:
        return False
    emptied = False
    if change.spec.source.write is WriteMode.SCD2:
        _end(change, merging)
    else:
        emptied = _empty(change, prepared)
    fill(change, prepared, merging)
    return emptied


def look_again(change: Change, prepared: Prepared) -> int:
    """Put all that is known of keys into ``OLDER`` that have rows which come back from the quarantine.

    What came after such a row was told without it: values that it had, and that an update left as they were.

    Returns:
        How many rows they are; the table has none of these keys any more.
    """
    if not change.replayed or not captured(change.spec.source) or change.spec.prepare is not None:
        return 0
    merging = prepared.merging.with_nulls(True)
    execute, rows = change.ports.transaction.execute, rows_of(change, prepared, change.replayed)
    execute(f"CREATE OR REPLACE TEMP TABLE {TOUCHED} AS SELECT DISTINCT {identifiers(merging.key)} FROM ({rows})")
    execute(
        f"DELETE FROM {change.table} AS {ROW_ALIAS} WHERE EXISTS "
        f"(SELECT 1 FROM {TOUCHED} t WHERE {merging.same_key(ROW_ALIAS, 't')})"
    )
    return gather(change, prepared)


def end_again(change: Change, prepared: Prepared) -> None:
    """Put a deletion of each key in ``TOUCHED`` into ``OLDER`` for each emptying there ever was."""
    ended = _deletions(prepared.merging, f"({standing(change, prepared, new=True)})", TOUCHED)
    change.ports.transaction.execute(f"INSERT INTO {OLDER} BY NAME {ended}")


def recall(change: Change, prepared: Prepared, merging: Merging, rows: str) -> None:
    """Put rows that stand elsewhere into the table: those of keys whose updates in ``ROWS`` left values as they were.

    Args:
        change: The change.
        prepared: Its table, which is empty.
        merging: How its rows are told apart.
        rows: A SELECT of them, ``_order`` among their columns; there may be older ones of a key.
    """
    if not _untold(prepared, merging, ROWS):
        return
    execute, transaction = change.ports.transaction.execute, change.ports.transaction
    known = {str(row[0]).lower() for row in execute(f"DESCRIBE {rows}")}
    columns = [column.name for column in transaction.columns(change.spec.table) or () if column.name.lower() in known]
    execute(
        f"INSERT INTO {change.table} BY NAME SELECT {', '.join(f's.{identifier(name)}' for name in columns)} "
        f"FROM ({rows}) s SEMI JOIN {_NEEDED} n ON {merging.same_key('s', 'n')}"
    )


def _end(change: Change, merging: Merging) -> None:
    """Put a deletion of each key in the place of each emptying, for a history to end its versions."""
    execute, keys = change.ports.transaction.execute, identifiers(merging.key)
    if execute(f"SELECT count(*) FROM {ROWS} WHERE {OP} IN ({_MARKS})") == [(0,)]:
        return
    known = (
        f"(SELECT {keys} FROM {change.table} WHERE {VALID_TO} IS NULL "
        f"UNION SELECT {keys} FROM {ROWS} WHERE {OP} NOT IN ({_MARKS}))"
    )
    execute(
        f"CREATE OR REPLACE TEMP TABLE {_SETTLED} AS SELECT * FROM {ROWS} WHERE {OP} NOT IN ({_MARKS}) "
        f"UNION ALL BY NAME {_deletions(merging, ROWS, known)}"
    )
    execute(f"CREATE OR REPLACE TEMP VIEW {ROWS} AS SELECT * FROM {_SETTLED}")


def _deletions(merging: Merging, rows: str, keys: str) -> str:
    """Return a query for a deletion of each of some keys in the place of each emptying among rows."""
    taken = ", ".join(f"k.{identifier(name)} AS {identifier(name)}" for name in merging.key)
    return (
        f"SELECT m.* REPLACE ({literal(Op.DELETE.value)} AS {OP}, {taken}) "
        f"FROM {rows} m, {keys} k WHERE m.{OP} IN ({_MARKS})"
    )


def _empty(change: Change, prepared: Prepared) -> bool:
    """Carry out the last emptying: take out of table and rows what was before it, and the marks themselves.

    Returns:
        Whether there was one.
    """
    execute, rows = change.ports.transaction.execute, ROWS
    if change.replayed:
        # What comes back from the quarantine may be older than an emptying that came in its own load.
        rows = f"({standing(change, prepared, new=True)})"
    ((last,),) = execute(f"SELECT max({_place('r')}) FROM {rows} r WHERE r.{OP} IN ({_MARKS})")
    if last is None:
        return False
    values = [last["load"], last["position"]]
    behind = f"{_place('r')} > {{'load': ?::BIGINT, 'position': ?::BIGINT}}"
    execute(f"CREATE OR REPLACE TEMP TABLE {_SETTLED} AS SELECT r.* FROM {ROWS} r WHERE {behind}", values)
    execute(f"CREATE OR REPLACE TEMP VIEW {ROWS} AS SELECT * FROM {_SETTLED}")
    order = f"{ROW_ALIAS}.{ORDER}"
    stood = f"{{'load': {order}.\"load\", 'position': {order}.\"position\"}}"
    execute(
        f"DELETE FROM {change.table} AS {ROW_ALIAS} WHERE {stood} < {{'load': ?::BIGINT, 'position': ?::BIGINT}}",
        values,
    )
    return True


def fill(change: Change, prepared: Prepared, merging: Merging, older: str = "") -> None:
    """Give rows the values that their updates left as they were.

    Args:
        change: The change.
        prepared: Its table.
        merging: How its rows are told apart.
        older: A table of rows in the place of ``ROWS``, which has all that is known of their keys.
    """
    execute = change.ports.transaction.execute
    rows_ = older or ROWS
    columns = [_served(name, prepared) for name in _untold(prepared, merging, rows_)]
    if not columns:
        return
    pieces = []
    for source_name, column in columns:
        name = identifier(column)
        known = f"CASE WHEN coalesce(list_contains({UNCHANGED}, {literal(source_name)}), false) THEN NULL "
        known += f"ELSE {{'value': {name}}} END"
        pieces.append(
            f"last_value({known} IGNORE NULLS) OVER (PARTITION BY {identifiers(merging.key)} "
            f"ORDER BY _place ROWS UNBOUNDED PRECEDING).value AS {name}"
        )
    filled = [identifier(column) for _, column in columns]
    data = [identifier(name) for name in merging.key]
    # The row that the table has is whole: it was filled when it came.
    table = (
        f"SELECT {', '.join(f't.{each}' for each in (*data, *filled))}, NULL::VARCHAR[] AS {UNCHANGED}, "
        f"{{'load': t.{ORDER}.\"load\", 'position': t.{ORDER}.\"position\"}} AS _place, false AS _new "
        f"FROM {change.table} t SEMI JOIN {_NEEDED} n ON {merging.same_key('t', 'n')}{_current(change)}"
    )
    rows = (
        f"SELECT {', '.join(f'r.{each}' for each in (*data, *filled))}, r.{UNCHANGED}, {_place('r')} AS _place, "
        f"true AS _new FROM {rows_} r SEMI JOIN {_NEEDED} n ON {merging.same_key('r', 'n')}"
    )
    values = f"{_NEEDED}_values"
    execute(
        f"CREATE OR REPLACE TEMP TABLE {values} AS SELECT _place, {', '.join(pieces)}, {UNCHANGED} "
        f"FROM ({rows if older else f'{table} UNION ALL BY NAME {rows}'}) QUALIFY _new AND len({UNCHANGED}) > 0"
    )
    replaced = ", ".join(f"CASE WHEN v._place IS NULL THEN r.{each} ELSE v.{each} END AS {each}" for each in filled)
    execute(
        f"CREATE OR REPLACE TEMP TABLE {_SETTLED}_whole AS SELECT r.* REPLACE ({replaced}) "
        f"FROM {rows_} r LEFT JOIN {values} v ON v._place = {_place('r')}"
    )
    kind = "TABLE" if older else "VIEW"
    execute(f"CREATE OR REPLACE TEMP {kind} {rows_} AS SELECT * FROM {_SETTLED}_whole")


def _untold(prepared: Prepared, merging: Merging, rows: str) -> list[str]:
    """Return the columns that updates left as they were, and put the keys of these updates into ``_NEEDED``."""
    if UNCHANGED not in {column.lower() for column in prepared.types}:
        return []
    execute = merging.transaction.execute
    told = [str(name) for (name,) in execute(f"SELECT DISTINCT unnest({UNCHANGED}) FROM {rows}")]
    if told:
        keys = identifiers(merging.key)
        execute(
            f"CREATE OR REPLACE TEMP TABLE {_NEEDED} AS SELECT DISTINCT {keys} FROM {rows} WHERE len({UNCHANGED}) > 0"
        )
    return told


def _served(source_name: str, prepared: Prepared) -> tuple[str, str]:
    """Return a column's name at the source and in the warehouse."""
    for part in prepared.found:
        name = part.column(source_name)
        if name is not None:
            return source_name, name
    raise DataError(f"A change names a column that its table has not: {source_name!r}")


def _current(change: Change) -> str:
    """Return the condition of rows that are the current ones of their keys, in a history."""
    return f" WHERE t.{VALID_TO} IS NULL" if change.spec.source.write is WriteMode.SCD2 else ""


def _place(row: str) -> str:
    return f"{{'load': {row}.{ORDER_LOAD}, 'position': {row}.{POSITION}}}"
