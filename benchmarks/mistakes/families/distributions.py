"""Mistakes that no single row shows: distributions, and what columns mean together."""

from __future__ import annotations

from benchmarks.mistakes.families.references import neighbour
from benchmarks.mistakes.mistake import Mistake
from benchmarks.mistakes.site import Site


def _mean(number: str) -> str:
    return f"(SELECT avg({number}) FROM batch)"


def _swapped(site: Site, category: str) -> str:
    one = site.value(category, 0.05, 0.9)
    other = (
        f"(SELECT {category} FROM batch WHERE {category} <> {one} GROUP BY {category} "
        f"ORDER BY count(*) DESC, {category} LIMIT 1)"
    )
    return site.setting(
        {category: f"CASE WHEN {category} = {one} THEN {other} ELSE {one} END"}, f"{category} IN ({one}, {other})"
    )


def _biased(site: Site, number: str) -> str:
    middle = f"(SELECT median({number}) FROM batch)"
    return site.only(f"NOT ({site.some(f'coalesce({number} <= {middle}, FALSE)', 0.6, 0.9)})")


def _hours_shifted(site: Site, number: str, moment: str) -> str:
    # The day in the order of its moments, turned round by a quarter to a half.
    by = round(site.between(0.25, 0.5) * site.rows)
    return (
        f"SELECT batch.* EXCLUDE (place, spot) REPLACE (other.number AS {number}) FROM (SELECT *, rowid AS spot, "
        f"row_number() OVER (ORDER BY {moment}, rowid) - 1 AS place FROM batch) AS batch "
        f"JOIN (SELECT {number} AS number, (row_number() OVER (ORDER BY {moment}, rowid) "
        f"- 1 + {by}) % {site.rows} AS place "
        "FROM batch) AS other USING (place) ORDER BY spot"
    )


def _exceeding(site: Site, pair: tuple[str, ...]) -> str:
    low, high = pair
    return site.setting(
        {low: f"{high} + greatest(1, abs({high}) * {site.between(0.1, 0.5)})"}, site.some(f"{low} <= {high}")
    )


DISTRIBUTIONS = (
    Mistake(
        "mean shifted",
        "All values are higher by half to one and a half spreads.",
        ("number",),
        lambda site, number: site.setting({number: f"{number} + {site.step(number, site.between(0.5, 1.5))}"}),
    ),
    Mistake(
        "spread changed",
        "The mean is as ever, the values lie twice or half as far from it.",
        ("number",),
        lambda site, number: site.setting(
            {number: f"{_mean(number)} + ({number} - {_mean(number)}) * {site.dice.choice((0.4, 2, 2.5))}"}
        ),
    ),
    Mistake(
        "group lost",
        "All rows of one value of a category are missing.",
        ("category",),
        lambda site, category: site.only(f"{category} IS DISTINCT FROM {site.value(category, 0.03, 0.7)}"),
    ),
    Mistake("groups swapped", "Two values of a category have each other's rows.", ("category",), _swapped),
    Mistake("biased sample", "Most of the rows below the median are missing.", ("number",), _biased),
    Mistake(
        "column shuffled",
        "Each row has another row's value: as ever by itself, and wrong beside the others.",
        ("number",),
        lambda site, number: site.moved(number, site.shuffled()),
    ),
    Mistake("hours shifted", "The values of the morning stand in the evening.", ("number", "moment"), _hours_shifted),
)

MEANINGS = (
    Mistake(
        "end before start",
        "Of two numbers in order, the greater stands first in some rows.",
        ("bounded",),
        lambda site, pair: site.setting({pair[0]: pair[1], pair[1]: pair[0]}, site.some(f"{pair[0]} < {pair[1]}")),
    ),
    Mistake(
        "more than the whole", "A part is greater than what it is a part of, in some rows.", ("bounded",), _exceeding
    ),
    Mistake(
        "sum of parts differs",
        "A total does not follow from its parts, in some rows.",
        ("total",),
        lambda site, total: site.setting(
            {total: f"{total} + greatest(1, abs({total}) * 0.05)"}, site.some(f"{total} IS NOT NULL")
        ),
    ),
    Mistake(
        "redundant columns disagree",
        "What stands in two columns is not the same in some rows.",
        ("redundant",),
        lambda site, column: site.setting({column: f"{column} + 1"}, site.some(f"{column} IS NOT NULL")),
    ),
    Mistake(
        "code and name disagree",
        "A name that follows from a code is that of the next one.",
        ("dependent",),
        lambda site, pair: neighbour(site, pair[1]),
    ),
    Mistake(
        "latitude and longitude swapped",
        "Places are at the other side of the world.",
        ("place",),
        lambda site, place: site.setting({place[0]: place[1], place[1]: place[0]}),
    ),
)
