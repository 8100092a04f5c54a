"""Texts that are nearly the same, found among those that share their beginning or their end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.errors import DataError
from penstock.queries.text import identifier
from penstock.validate.bound import Bound
from penstock.validate.rows import POSITION, Rows

if TYPE_CHECKING:
    import pyarrow as pa

_MOST_TEXTS = 100_000
_MOST_PAIRS = 100_000_000
_TEXTS, _DIFFERENT = "_penstock_texts", "_penstock_different"
_NORMAL = r"trim(regexp_replace(lower(strip_accents({text})), '[^\p{{L}}\p{{N}}]+', ' ', 'g'))"
_ENDS = ("left(normal, 3)", "right(normal, 3)")


def alike(rows: Rows, check: Bound) -> pa.Table:
    """Return the texts that are nearly the same as one before them, and that one: ``text``, ``other``.

    The places of the rows are registered where they have any.

    Raises:
        DataError: There are too many texts to compare.
    """
    connection = rows.engine
    name = f"CAST({identifier(check.columns[0])} AS VARCHAR)"
    source = rows.positioned(check.reads) if rows.located else rows.sql(check.reads)
    first = f"min({POSITION})" if rows.located else "row_number() OVER (ORDER BY text)"
    texts = f"SELECT {name} AS text{f', {POSITION}' if rows.located else ''} FROM {source} WHERE {check.looked}"
    if rows.asked is not None:
        # The different texts are few, or too many; they are compared here.
        placed = f", min({POSITION}) AS {POSITION}" if rows.located else ""
        different = f"SELECT text{placed} FROM ({texts}) GROUP BY text LIMIT {_MOST_TEXTS + 1}"
        connection.register(_DIFFERENT, rows.asked.sql(different).to_arrow_table())
        texts = f"FROM {_DIFFERENT}"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {_TEXTS} AS "
        f"SELECT text, {first} AS first, {_NORMAL.format(text='text')} AS normal "
        f"FROM ({texts}) GROUP BY text LIMIT {_MOST_TEXTS + 1}"
    )
    try:
        _refuse_many(rows, check)
        pairs = " UNION ".join(
            f"SELECT later.text AS text, earlier.text AS other FROM {_TEXTS} AS earlier JOIN {_TEXTS} AS later "
            f"ON {end.replace('normal', 'earlier.normal')} = {end.replace('normal', 'later.normal')} "
            f"AND earlier.first < later.first "
            f"WHERE jaro_winkler_similarity(earlier.normal, later.normal) >= {float(check.says('similarity'))!r}"
            for end in _ENDS
        )
        query = f"SELECT text, min(other) AS other FROM ({pairs}) GROUP BY text ORDER BY text"
        return connection.sql(query).to_arrow_table()
    finally:
        connection.execute(f"DROP TABLE IF EXISTS {_TEXTS}")
        connection.unregister(_DIFFERENT)


def _refuse_many(rows: Rows, check: Bound) -> None:
    sizes = [f"SELECT count(*) AS n FROM {_TEXTS} GROUP BY {end}" for end in _ENDS]
    groups = " + ".join(f"(SELECT sum(n * n) FROM ({size}))" for size in sizes)
    query = f"SELECT count(*), coalesce({groups}, 0) FROM {_TEXTS}"
    ((texts, pairs),) = rows.engine.execute(query).fetchall()
    if texts > _MOST_TEXTS or pairs > _MOST_PAIRS:
        many = f"over {_MOST_TEXTS:,} different texts" if texts > _MOST_TEXTS else f"{int(pairs):,} pairs of texts"
        raise DataError(
            f"{check.columns[0]} has {many} to compare, which would take too long",
            remedy="Look at fewer rows by where=, or at a column that is more to the point",
        )
