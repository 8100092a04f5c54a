"""Long values of rows that got another key: no message tells them, and no row before has that key.

They are asked for at the server. It may know newer ones by then, whose changes come later and set them again, or have
the row no more, whose deletion comes later; so the table is the same in the end. Such rows are few.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from penstock.extract.database.postgres.connection import snapshot
from penstock.extract.port import Request
from penstock.extract.streams.changes.postgres.relations import Described
from penstock.queries.text import identifier
from penstock.schema import SOURCE_TYPE

Flags = npt.NDArray[np.bool_]


def look_up(
    found: Described, request: Request, texts: list[pa.StringArray], untold: Sequence[Flags], moved: Flags
) -> None:
    """Fill in what the server says of rows that got another key; what it said is untold no more.

    Args:
        found: The table.
        request: Its connection.
        texts: The values, column by column; changed.
        untold: Column by column which values were not told; changed.
        moved: Which rows got another key.
    """
    import psycopg

    columns = [place for place, flags in enumerate(untold) if (flags & moved).any()]
    rows = np.flatnonzero(np.logical_or.reduce([untold[column] & moved for column in columns]))
    keys = [texts[place].take(pa.array(rows)).to_pylist() for place in found.key]
    try:
        with snapshot(request) as connection:
            told = connection.execute(_question(found, columns).encode(), keys).fetchall()
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
        # Nobody can say it any more; the change that took it away comes later.
        return
    for number, column in enumerate(columns, 1):
        values = {int(rows[row[0] - 1]): row[number] for row in told}
        mask = np.zeros(len(moved), np.bool_)
        mask[[place for place in values if untold[column][place]]] = True
        given = pa.array([values[place] for place in np.flatnonzero(mask).tolist()], pa.string())
        texts[column] = pc.replace_with_mask(texts[column], pa.array(mask), given)
        untold[column][mask] = False


def _question(found: Described, columns: Sequence[int]) -> str:
    def named(place: int) -> str:
        return f"t.{identifier(found.fields[place].name)}"

    listed = ", ".join(f"{named(place)}::text" for place in columns)
    types = [(found.fields[place].metadata or {})[SOURCE_TYPE.encode()].decode() for place in found.key]
    pairs = enumerate(zip(found.key, types, strict=True))
    same = " AND ".join(f"{named(place)} = k.k{number}::{type_}" for number, (place, type_) in pairs)
    keys = ", ".join(f"k{number}" for number in range(len(types)))
    relation = found.relation
    table = f"{identifier(relation.schema)}.{identifier(relation.name)}"
    asked = f"SELECT k.place, {listed} FROM unnest(KEYS) WITH ORDINALITY AS k({keys}, place) JOIN {table} t ON {same}"
    return asked.replace("%", "%%").replace("KEYS", ", ".join("%s::text[]" for _ in types), 1)
