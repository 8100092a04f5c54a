"""The values that are frequent in columns of many values: seen among some rows, counted over all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from penstock.model.entries import Column
from penstock.profiles.frequent import MOST_KEPT, FrequentValues
from penstock.queries.text import identifier
from penstock.stores.port import ANSWERS, Partial
from penstock.validate.gathering import Gathering
from penstock.validate.glancing import LOOKED, parts, sampled, sampled_of_all, shown_here, some
from penstock.validate.values import family

_SEEN, _SHARE = 20, 1_000
"""Of columns with many values: how often, and in what part of some rows, a frequent value is seen."""
_LONGEST = 200


def written(column: Column, value: str) -> str:
    """Return SQL of a value as a text, as it is shown."""
    shown = f"left(CAST({value} AS VARCHAR), {_LONGEST})"
    # Both zeros are one value, whichever of them comes first.
    return f"CASE WHEN {value} = 0 THEN '0.0' ELSE {shown} END" if family(column.type) == "real" else shown


def frequent_values(source: Gathering, columns: Sequence[Column], total: int) -> Iterator[tuple[str, FrequentValues]]:
    """Yield the values that are frequent among some rows, counted over all rows."""
    for part in parts(columns):
        hashes = dict(zip((column.name for column in part), _candidates(source, part, total), strict=True))
        there = [column for column in part if hashes[column.name]]
        counted = source.ask([_counted(source, column, hashes[column.name]) for column in there])
        found = {column.name: answer for column, answer in zip(there, counted, strict=True)}
        for column in part:
            counts = sorted(found.get(column.name, ()), key=lambda one: (-one[1], one[0]))
            yield column.name, FrequentValues({str(value): int(count) for value, count in counts}, False)


def _candidates(source: Gathering, columns: Sequence[Column], total: int) -> list[list[int]]:
    """Return of each column the hashes of its most frequent values among some rows."""
    least = max(_SEEN, min(total, LOOKED) // _SHARE)
    frequent = f"HAVING count(*) >= {least} ORDER BY count(*) DESC"
    if not shown_here(source, total):
        united = f"SELECT hashed FROM {sampled_of_all()} GROUP BY hashed {frequent}, hashed LIMIT {MOST_KEPT}"
        asked = [Partial(f"SELECT * FROM {sampled(source, column)}", united) for column in columns]
        return [[hashed for (hashed,) in answer] for answer in source.ask(asked)]
    found: list[list[int]] = [[] for _ in columns]
    branches = []
    for place, column in enumerate(columns):
        seen = f"SELECT {identifier(column.name)} AS v FROM {some(source, [column.name], total)}"
        branches.append(
            f"(SELECT {place}, hash(v) FROM ({seen}) WHERE v IS NOT NULL GROUP BY v {frequent}, v LIMIT {MOST_KEPT})"
        )
    for place, hashed in source.here.connection.execute(" UNION ALL ".join(branches)).fetchall():
        found[place].append(hashed)
    return found


def _counted(source: Gathering, column: Column, hashes: Sequence[int]) -> Partial:
    # Values that share a hash by chance are told apart by how they are written.
    listed = ", ".join(map(str, hashes))
    return Partial(
        f"SELECT {written(column, 'v')} AS shown, count(*) AS n FROM {source.values(column.name)} "
        f"WHERE hash(v) IN ({listed}) GROUP BY 1",
        f"SELECT shown, CAST(sum(n) AS BIGINT) FROM {ANSWERS} GROUP BY 1",
    )
