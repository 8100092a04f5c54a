"""Suggestions about the rows as such: columns, numbers, keys, order."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from penstock.profiles.ranges import Amounts, usual_most, usual_range
from penstock.queries.text import identifier, identifiers
from penstock.schema import MOMENTS
from penstock.suggest.dependencies import referring
from penstock.suggest.recent import LOAD, PLACE, Recent
from penstock.suggest.suggestion import Suggestion, rounded

_BEFORE, _LEAST = 14, 3
"""As ``volume`` looks at the loads before."""
_ROOM = 0.2
"""The least margin where the number of rows varies: holidays are not seen in a month."""
_MOST_GAPS = 0.4
"""What may be missing so often says nothing by its gaps."""
_ALIKE, _PROVEN = 0.002, 1000
"""The share of rows that may be alike in a key of several columns, and how often each of these has told rows apart
then: by the rule of three, so it does in all but 3 of 1,000 cases."""
_PUT_TO_THE_TEST = 60
"""So many steps that could have been falls make an order: it is broken by fewer than 1 in 20 others."""


def columns(recent: Recent) -> Iterator[Suggestion]:
    """Suggest the columns and types, and which columns have a value in every row."""
    yield Suggestion(
        "schema", (dict(recent.columns),), {"extra": bool(recent.hidden)}, f"the columns of {recent.loads} loads"
    )
    full = [name for name in recent.columns if not recent.nulls[name]]
    measured = [name for name in full if name in recent.numbers]
    named = [name for name in full if name not in measured]
    # A text that tells no rows apart, and is no code of another table, may be missing once, too.
    told_by = {*recent.key, *referring(recent)}
    noted = [name for name in named if name in recent.of_type("text") and name not in told_by]
    named = [name for name in named if name not in noted]
    said = f"no gap in {sum(recent.rows):,} rows"
    if named:
        yield Suggestion("not_null", tuple(named), {}, said)
    if noted:
        yield Suggestion("not_null", tuple(noted), {"at_most": recent.rare}, f"{said}; a text may be missing once")
    if measured:
        yield Suggestion(
            "not_null", tuple(measured), {"at_most": recent.tolerated}, f"{said}; what is measured may be missing once"
        )
    # A sensor that fails is missing for hours; what is written is missing row by row.
    written = [name for name in recent.columns if name not in recent.of_type("whole", "real")]
    gapped = [name for name in written if 0 < recent.nulls[name] < sum(recent.rows)]
    shares = recent.by_load({name: f"1 - count({identifier(name)}) / count(*)" for name in gapped})
    for name in gapped:
        most = usual_most(shares[name], step=recent.tolerated, limit=_MOST_GAPS)
        if most is not None:
            said = f"missing in {max(share or 0 for share in shares[name]):.1%} of the rows of a load at most"
            yield Suggestion("not_null", (name,), {"at_most": rounded(most, 3, up=True)}, said)


def volume(recent: Recent) -> Iterator[Suggestion]:
    """Suggest how many rows there are, beside those of the loads before."""
    yield Suggestion("row_count", (), {"min": 1}, f"none of {recent.loads} loads was empty")
    shares = []
    for number, rows in enumerate(recent.rows):
        before = recent.rows[max(0, number - 7 * _BEFORE) : number]
        # Loads of days are compared with those of the same weekday, where there are enough.
        alike = before[::-1][6::7]
        if recent.interval and len(alike) < _LEAST <= recent.loads // 10:
            continue
        chosen = (alike if recent.interval and len(alike) >= _LEAST else before[::-1])[:_BEFORE]
        if len(chosen) >= _LEAST and statistics.median(chosen):
            shares.append(rows / statistics.median(chosen))
    usual = usual_range(
        shares, least=0, step=_ROOM if len(set(shares)) > 1 else max(0.01, recent.tolerated), scale=Amounts()
    )
    if usual is not None:
        low, high = rounded(usual.low, 3, up=False), rounded(usual.high, 3, up=True)
        said = f"{min(shares):.0%} to {max(shares):.0%} of the middle of the loads before"
        yield Suggestion("volume", (), {"low": low, "high": high}, said)


def keys(recent: Recent) -> Iterator[Suggestion]:
    """Suggest which columns tell the rows of a load apart."""
    found = recent.key
    if found:
        # Where several columns are needed, two rows may come to be alike one day.
        times = min(told(recent, [other for other in found if other != name]) for name in found)
        room = recent.seldom(_ALIKE) if times >= _PROVEN else recent.tolerated
        keywords = {"at_most": room} if len(found) > 1 else {}
        yield Suggestion("unique", tuple(found), keywords, f"no two rows of a load were alike in {recent.loads} loads")


def told(recent: Recent, names: list[str]) -> int:
    """Return how many rows of all loads some columns leave to be told apart by others."""
    if not names:
        return sum(recent.rows)
    alike = f"SELECT count(*) - 1 AS more FROM {recent.relation} GROUP BY {LOAD}, {identifiers(names)}"
    return int(recent.ask(f"SELECT coalesce(sum(more), 0) FROM ({alike})")[0][0])


def order(recent: Recent) -> Iterator[Suggestion]:
    """Suggest by which columns the rows are ordered, the second within the first."""
    if not recent.landed:
        return
    candidates = [
        name
        for name in recent.of_type("moment", "date", "text", "whole")
        if recent.distinct[name] > 1 and not recent.nulls[name]
    ]
    steps, falls = _steps(recent, candidates, ())
    varied = recent.by_load({name: f"count(DISTINCT {identifier(name)})" for name in candidates})
    sorted_by = [name for name in candidates if not falls[name] and steps[name] >= _PUT_TO_THE_TEST]
    for name in sorted_by:
        said = f"the rows came in this order in {recent.loads} loads"
        yield Suggestion("increasing", (name,), {"at_most": recent.rare}, said)
    if not sorted_by:
        return
    first = max(sorted_by, key=lambda name: (recent.columns[name] in MOMENTS, statistics.median(varied[name])))
    others = [name for name in candidates if name not in sorted_by]
    steps, falls = _steps(recent, others, (first,))
    for name in others:
        if not falls[name] and steps[name] >= _PUT_TO_THE_TEST:
            said = f"so were the rows of one {first}, in {recent.loads} loads"
            yield Suggestion("increasing", (name,), {"per": first, "at_most": recent.rare}, said)


def _steps(recent: Recent, names: list[str], per: tuple[str, ...]) -> tuple[dict[str, int], dict[str, int]]:
    """Return how often each column changes from one row to the next of a series, and how often it falls."""
    if not names:
        return {}, {}
    series = ", ".join([LOAD, *map(identifier, per)])
    seen = ", ".join(
        f"{identifier(name)} AS v{place}, max({identifier(name)}) OVER (PARTITION BY {series} ORDER BY {PLACE} "
        f"ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS m{place}"
        for place, name in enumerate(names)
    )
    counted = {
        (name, sign): f"count(*) FILTER (v{place} {sign} m{place})"
        for place, name in enumerate(names)
        for sign in ("<>", "<")
    }
    found = recent.whole(counted, f"(SELECT {seen} FROM {recent.relation})")
    return {name: found[name, "<>"] for name in names}, {name: found[name, "<"] for name in names}
