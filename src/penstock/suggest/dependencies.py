"""Suggestions about what refers to another table, and what follows from a code by what was accepted before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from penstock.profiles.ranges import usual_most
from penstock.queries.text import identifier, identifiers
from penstock.suggest.recent import LOAD, Recent, kind_of
from penstock.suggest.suggestion import Suggestion, rounded

_REPEATS = 2.0
"""So many rows must a code have, in the middle, that something can follow from it."""
_ROUGHLY = 0.8
"""What a rough count of different values may be off by at most."""
_MOST_COLUMNS = 6
_MOST = 10
"""So many are suggested: each reads what was accepted before."""


def references(recent: Recent) -> Iterator[Suggestion]:
    """Suggest which codes, and what beside them, stand in another table."""
    if "references" not in recent.learned:
        recent.learned["references"] = tuple(_references(recent))
    yield from recent.learned["references"]


def _references(recent: Recent) -> Iterator[Suggestion]:
    for table, relation in recent.related.items():
        types = dict(recent.ask(f"SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM {relation})"))
        keys = _names_a_row(
            recent, relation, [name for name, type_ in types.items() if kind_of(type_) in ("text", "whole")]
        )
        for column in recent.of_type("text", "whole"):
            for key in keys:
                if recent.columns[column] == types[key] and recent.distinct[column] > 1:
                    yield from _refers(recent, table, relation, column, key, types)


def referring(recent: Recent) -> set[str]:
    """Return the columns of which each value stands in another table."""
    listed = (suggestion for suggestion in references(recent) if "at_most" not in suggestion.keywords)
    return {each.arguments[0] for each in listed if isinstance(each.arguments[0], str)}


def _names_a_row(recent: Recent, relation: str, names: Sequence[str]) -> list[str]:
    # An exact count holds all values: of one column at a time, and of those alone that may tell rows apart.
    rough = recent.whole(
        {name: f"approx_count_distinct({identifier(name)}) >= {_ROUGHLY} * count(*)" for name in names}, relation
    )
    asked = {name: f"count(DISTINCT {identifier(name)}) = count(*)" for name in names if rough[name]}
    return [name for name, sql in asked.items() if recent.whole({name: sql}, relation)[name]]


def _refers(
    recent: Recent, table: str, relation: str, column: str, key: str, types: dict[str, str]
) -> Iterator[Suggestion]:
    own, other = identifier(column), identifier(key)
    unknown = f"{own} IS NOT NULL AND {own} NOT IN (SELECT {other} FROM {relation} WHERE {other} IS NOT NULL)"
    shares = recent.by_load({"unknown": f"count_if({unknown}) / nullif(count({own}), 0)"})["unknown"]
    most, usual = max(value or 0 for value in shares), usual_most(shares, step=recent.tolerated, limit=0.75)
    if most == 0:
        # A number is found among others by chance, unless it is called the same.
        if kind_of(recent.columns[column]) == "whole" and column != key:
            return
        yield Suggestion("references", (column, f"{table}.{key}"), {}, f"each one is there, in {recent.loads} loads")
        for name, type_ in types.items():
            if name in (key, column) or recent.columns.get(name) != type_:
                continue
            listed, wanted = identifiers((column, name)), identifiers((key, name))
            given = f"{own} IS NOT NULL AND {identifier(name)} IS NOT NULL"
            there = f"{other} IS NOT NULL AND {identifier(name)} IS NOT NULL"
            known = f"SELECT ({wanted}) FROM {relation} WHERE {there}"
            wrong = f"count_if({given} AND ({listed}) NOT IN ({known}))"
            if recent.whole({"wrong": wrong})["wrong"] == 0:
                yield Suggestion(
                    "references",
                    ((column, name), (f"{table}.{key}", f"{table}.{name}")),
                    {},
                    f"{name} is that of the same {key}, in {recent.loads} loads",
                )
    elif usual is not None:
        allowed = float(rounded(usual, 3, up=True))
        said = f"all but {most:.1%} of a load are there"
        yield Suggestion("references", (column, f"{table}.{key}"), {"at_most": allowed}, said)


def dependencies(recent: Recent) -> Iterator[Suggestion]:
    """Suggest what follows from a code: rows of a known code have a value that it had before."""
    many = sum(recent.rows) / _REPEATS
    codes = [name for name in recent.of_type("text") if 1 < recent.distinct[name] <= many]
    kinds = ("text", "whole", "real")
    follow = [name for name in recent.of_type(*kinds) if recent.distinct[name] > 1 and name not in recent.calendar]
    referred = {column for column, *_ in _pairs_elsewhere(recent)}
    found = 0
    for several in ([(code,) for code in codes[:_MOST_COLUMNS]], combinations(codes[:4], 2)):
        for listed in several:
            for name in follow:
                if name in listed or found >= _MOST or (len(listed) == 1 and listed[0] in referred):
                    continue
                for suggestion in _follows(recent, listed, name):
                    found += 1
                    yield suggestion


def _pairs_elsewhere(recent: Recent) -> Iterator[tuple[str, ...]]:
    """Return what refers to another table together with what stands there beside it: it needs no second check."""
    for suggestion in references(recent):
        columns = suggestion.arguments[0]
        if not isinstance(columns, str):
            yield tuple(columns)


def _follows(recent: Recent, codes: tuple[str, ...], name: str) -> Iterator[Suggestion]:
    key, value = identifiers(codes), identifier(name)
    given = " AND ".join(f"{identifier(each)} IS NOT NULL" for each in (*codes, name))
    # In how many pairs of code and value each code stands: without a need to follow, it is one by chance.
    counted = f"SELECT {key}, {value}, count(*) AS times, min({LOAD}) AS first"
    pairs = f"{counted} FROM {recent.relation} WHERE {given} GROUP BY ALL"
    ((several, all_codes, rows, repeating),) = recent.ask(
        f"SELECT count_if(many > 1), count(*), sum(times), count_if(times > 1) FROM "
        f"(SELECT count(*) AS many, sum(times) AS times FROM ({pairs}) GROUP BY {key})"
    )
    if not all_codes or several > 0.1 * all_codes or repeating < 0.3 * all_codes or rows < 3 * all_codes:
        return
    firsts = f"SELECT {key}, min(first) AS came FROM ({pairs}) GROUP BY {key}"
    joined = (
        f"(SELECT rows.{LOAD}, p.first = rows.{LOAD} AND c.came < rows.{LOAD} AS wrong FROM {recent.relation} AS rows "
        f"JOIN ({pairs}) AS p USING ({key}, {value}) JOIN ({firsts}) AS c USING ({key}))"
    )
    shares = recent.by_load({"wrong": "count_if(wrong) / count(*)"}, joined)["wrong"]
    usual = usual_most(shares[recent.loads // 4 :], step=recent.tolerated, limit=0.3)
    if usual is None:
        return
    spread = recent.ask(f"SELECT count(DISTINCT {value}) FROM {recent.relation}")[0][0]
    if spread < 2:
        return
    own = identifier(recent.table)
    known = " AND ".join(f"{identifier(each)} IS NOT NULL" for each in codes)
    condition = (
        f"({key}, {value}) IN (SELECT ({key}, {value}) FROM {own} WHERE {given}) "
        f"OR ({key}) NOT IN (SELECT ({key}) FROM {own} WHERE {known}) OR NOT ({given})"
        if len(codes) > 1
        else f"({key}, {value}) IN (SELECT ({key}, {value}) FROM {own} WHERE {given}) "
        f"OR {key} NOT IN (SELECT {key} FROM {own} WHERE {known}) OR NOT ({given})"
    )
    most = max(share or 0 for share in shares[recent.loads // 4 :])
    allowed = float(rounded(usual, 3, up=True))
    keywords = {"name": f"{name} by {', '.join(codes)}", "at_most": allowed}
    said = f"a known {' and '.join(codes)} has a {name} that it had before, in all but {most:.1%} of the rows"
    yield Suggestion("expression", (condition,), keywords, said)
