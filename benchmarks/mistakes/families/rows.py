"""Mistakes of rows and keys."""

from __future__ import annotations

from benchmarks.mistakes.mistake import Mistake
from benchmarks.mistakes.site import Site


def _again(site: Site, where: str, times: int = 1) -> str:
    """Return the SELECT that gives the rows of a condition once more, each right after itself."""
    copies = f"range({times + 1}) AS copies(copy)"
    return f"SELECT batch.* FROM batch, {copies} WHERE copy = 0 OR ({where}) ORDER BY batch.rowid, copy"


def _nearly_again(site: Site, number: str) -> str:
    changed = f"CASE WHEN copy = 0 THEN {number} ELSE {number} + greatest(1, abs({number}) * 0.01) END"
    where = site.some(f"{number} IS NOT NULL")
    return (
        f"SELECT batch.* REPLACE (CAST({changed} AS {site.columns[number].type}) AS {number}) "
        f"FROM batch, range(2) AS copies(copy) WHERE copy = 0 OR ({where}) ORDER BY batch.rowid, copy"
    )


def _reused(site: Site, key: tuple[str, ...]) -> str:
    where = site.some("rowid > 0")
    return site.setting({name: f"(SELECT {name} FROM batch WHERE rowid = 0)" for name in key}, where)


def _written_otherwise(site: Site, key: tuple[str, ...]) -> str:
    name = next((name for name in key if site.columns[name].type == "VARCHAR"), key[-1])
    way = site.dice.choice(("'0' || {}", "{} || '.0'", "'id-' || {}", "substr({0}, 1, 2) || '-' || substr({0}, 3)"))
    return site.writing(name, way.format(f"CAST({name} AS VARCHAR)"))


def _header_among(site: Site) -> str:
    names = list(site.columns)
    place = site.dice.randrange(1, max(2, site.rows))
    texts = ", ".join(f"CAST({name} AS VARCHAR) AS {name}" for name in names)
    header = ", ".join("'" + name.strip('"') + "'" for name in names)
    return (
        f"SELECT * EXCLUDE (place) FROM (SELECT {texts}, rowid AS place FROM batch "
        f"UNION ALL SELECT {header}, {place} - 0.5) ORDER BY place"
    )


def _total_among(site: Site, number: str) -> str:
    summed = {name: f"CAST(sum({name}) AS {site.columns[name].type})" for name in map(str, site.candidates("number"))}
    values = ", ".join(f"{summed.get(name, 'NULL')} AS {name}" for name in site.columns)
    return f"(SELECT * FROM batch ORDER BY rowid) UNION ALL SELECT {values} FROM batch"


MISTAKES = (
    Mistake("duplicates", "Some rows came twice.", (), lambda site: _again(site, site.some())),
    Mistake(
        "near duplicates", "Some rows came twice, with a number that differs a little.", ("number",), _nearly_again
    ),
    Mistake(
        "file cut off",
        "The transfer broke off: the last rows are missing.",
        (),
        lambda site: site.only(f"NOT ({site.since(0.3, 0.8)})"),
    ),
    Mistake(
        "half of the rows missing",
        "One of two files did not come.",
        (),
        lambda site: site.only(f"NOT ({site.some(fewest=0.4, most=0.6)})"),
    ),
    Mistake("empty", "The file is there and has no rows.", (), lambda site: site.only("FALSE")),
    Mistake(
        "join that fans out",
        "A lookup has an entry several times, and so have all rows of that group.",
        (),
        lambda site: _again(site, site.group(), site.dice.randint(1, 3)),
    ),
    Mistake("key reused", "Some rows have the key of another one.", ("key",), _reused),
    Mistake(
        "key written in another way", "A part of the key has a prefix, a zero or a dash.", ("key",), _written_otherwise
    ),
    Mistake(
        "key missing",
        "Some rows have no key.",
        ("key",),
        lambda site, key: site.setting(dict.fromkeys(key, "NULL"), site.some()),
    ),
    Mistake(
        "order lost",
        "The rows come in any order.",
        (),
        lambda site: f"SELECT * FROM batch ORDER BY {site.shuffled()}, rowid",
    ),
    Mistake(
        "header among the rows", "Two files were put together, header and all: everything is text.", (), _header_among
    ),
    Mistake("total among the rows", "The last row is the sum of all.", ("number",), _total_among),
)
