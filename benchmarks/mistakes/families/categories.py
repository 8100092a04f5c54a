"""Mistakes of categories and of gaps."""

from __future__ import annotations

from benchmarks.mistakes.mistake import Mistake
from benchmarks.mistakes.site import Site


def _commonest(category: str, *, but: str = "NULL") -> str:
    return f"(SELECT mode({category} ORDER BY {category}) FROM batch WHERE {category} IS DISTINCT FROM {but})"


def _vanished(site: Site, category: str) -> str:
    gone = site.value(category, 0.03, 0.7)
    return site.setting({category: _commonest(category, but=gone)}, f"{category} = {gone}")


def _two_spellings(site: Site, category: str) -> str:
    value = site.value(category, 0.05)
    return site.setting({category: f"left({category}, 3) || '.'"}, site.some(f"{category} = {value}", 0.3, 0.6))


def _gaps_doubled(site: Site, number: str) -> str:
    column = site.columns[number]
    share = (site.rows - column.values) / column.values
    return site.setting(
        {number: "NULL"}, site.some(f"{number} IS NOT NULL", max(0.1, min(share, 0.5)), max(0.3, min(share, 0.9)))
    )


CATEGORIES = (
    Mistake(
        "category renamed",
        "One value has a new name.",
        ("category",),
        lambda site, category: site.setting(
            {category: f"{category} || '{site.dice.choice((' 2', '_new', '-A', ' (old)'))}'"},
            f"{category} = {site.value(category)}",
        ),
    ),
    Mistake(
        "new category",
        "Some rows have a value that never was before.",
        ("category",),
        lambda site, category: site.setting({category: "'pending review'"}, site.some()),
    ),
    Mistake("category vanished", "One value is counted under another one.", ("category",), _vanished),
    Mistake(
        "collapsed to other",
        "All but the commonest value are called other.",
        ("category",),
        lambda site, category: site.setting({category: "'other'"}, f"{category} <> {_commonest(category)}"),
    ),
    Mistake(
        "category as a number",
        "The codes of the source's enumeration instead of their names.",
        ("category",),
        lambda site, category: site.setting(
            {category: f"dense_rank() OVER (ORDER BY {category})"},
            f"{category} IS NOT NULL",
        ),
    ),
    Mistake(
        "category in the other case",
        "Some rows write the value small.",
        ("category",),
        lambda site, category: site.setting(
            {category: f"CASE WHEN {category} = lower({category}) THEN upper({category}) ELSE lower({category}) END"},
            site.some(f"{category} IS NOT NULL AND upper({category}) <> lower({category})"),
        ),
    ),
    Mistake(
        "trailing blanks",
        "Some rows have a blank after the value.",
        ("category",),
        lambda site, category: site.setting({category: f"{category} || ' '"}, site.some(f"{category} IS NOT NULL")),
    ),
    Mistake("two spellings", "One value is written in full and abbreviated.", ("category",), _two_spellings),
)

GAPS = (
    Mistake(
        "gap as the text NULL",
        "Some rows have the four letters.",
        ("wording",),
        lambda site, text: site.setting({text: "'NULL'"}, site.some()),
    ),
    Mistake(
        "N/A among numbers",
        "Gaps are written out, so that the column is text.",
        ("number",),
        lambda site, number: site.writing(number, "'N/A'", site.some()),
    ),
    Mistake(
        "gap as an empty text",
        "Some rows have a text of no length.",
        ("wording",),
        lambda site, text: site.setting({text: "''"}, site.some()),
    ),
    Mistake(
        "gap as zero",
        "All gaps were filled with 0.",
        ("gapped",),
        lambda site, number: site.setting({number: "0"}, f"{number} IS NULL"),
    ),
    Mistake("more gaps", "A column has twice as many gaps, or a third.", ("gapped",), _gaps_doubled),
    Mistake(
        "nothing but gaps",
        "A column has no value at all.",
        ("number",),
        lambda site, number: site.setting({number: "NULL"}),
    ),
    Mistake(
        "gaps in one group",
        "One group has no values in a column.",
        ("number",),
        lambda site, number: site.setting({number: "NULL"}, site.group(f"{number} IS NOT NULL")),
    ),
)
