"""Mistakes of columns and of how their texts are written."""

from __future__ import annotations

from benchmarks.mistakes.mistake import Mistake
from benchmarks.mistakes.site import Site, quoted


def _shifted(site: Site) -> str:
    names = list(site.columns)
    start = site.dice.randrange(len(names) - 1)
    kept = names[:start]
    moved = [
        f"CAST({source} AS VARCHAR) AS {target}"
        for target, source in zip(names[start:], names[start + 1 :], strict=False)
    ]
    return f"SELECT {', '.join([*kept, *moved])}, CAST(NULL AS VARCHAR) AS {names[-1]} FROM batch"


def _rows_shifted(site: Site) -> str:
    names = list(site.columns)
    start, where = site.dice.randrange(len(names) - 1), site.some()
    moved = [
        f"CASE WHEN {where} THEN CAST({source} AS VARCHAR) ELSE CAST({target} AS VARCHAR) END AS {target}"
        for target, source in zip(names[start + 1 :], names[start:], strict=False)
    ]
    first = f"CASE WHEN {where} THEN '' ELSE CAST({names[start]} AS VARCHAR) END AS {names[start]}"
    return f"SELECT {', '.join([*names[:start], first, *moved])} FROM batch"


def _renamed(site: Site) -> str:
    name = site.dice.choice(list(site.columns))
    words = name.strip('"').split("_")
    other = words[0] + "".join(word.title() for word in words[1:]) if len(words) > 1 else f"{words[0]}_1"
    return f"SELECT * RENAME ({name} AS {quoted(other)}) FROM batch"


def _escaped(text: str) -> str:
    for sign, entity in (("&", "&amp;"), ("''", "&#39;"), ("/", "&#x2F;"), (" ", "&nbsp;")):
        text = f"replace({text}, '{sign}', '{entity}')"
    return text


def _truncated(site: Site, text: str) -> str:
    longest = f"(SELECT max(length({text})) FROM batch)"
    return site.setting({text: f"left({text}, greatest(1, CAST({longest} * {site.between(0.2, 0.6)} AS BIGINT)))"})


MISTAKES = (
    Mistake("columns shifted", "From one column on, every value stands one column too far left.", (), _shifted),
    Mistake(
        "rows shifted",
        "An unquoted delimiter: some rows stand one column too far right from there on.",
        (),
        _rows_shifted,
    ),
    Mistake(
        "columns swapped",
        "Two columns of numbers have each other's values.",
        ("number", "number"),
        lambda site, one, other: site.setting({one: other, other: one}),
    ),
    Mistake("column renamed", "A column has another name since the source's last release.", (), _renamed),
    Mistake(
        "column missing",
        "A column is not delivered any more.",
        (),
        lambda site: f"SELECT * EXCLUDE ({site.dice.choice(list(site.columns))}) FROM batch",
    ),
    Mistake(
        "column added",
        "A column that nobody announced: the index of the exporting program.",
        (),
        lambda site: "SELECT rowid AS unnamed_0, * FROM batch",
    ),
    Mistake(
        "numbers written as text",
        "A number comes as text, its thousands set apart.",
        ("number",),
        lambda site, number: site.writing(number, f"format('{{:,}}', {number})"),
    ),
    Mistake(
        "decimals cut by the type",
        "A column of decimals has become one of whole numbers.",
        ("fraction",),
        lambda site, number: f"SELECT * REPLACE (CAST(trunc({number}) AS BIGINT) AS {number}) FROM batch",
    ),
    Mistake("texts truncated", "A text is cut at a length that a column somewhere has.", ("text",), _truncated),
    Mistake(
        "texts in capitals",
        "A text comes in the other case.",
        ("text",),
        lambda site, text: site.setting(
            {text: f"CASE WHEN {text} = upper({text}) THEN lower({text}) ELSE upper({text}) END"}
        ),
    ),
    Mistake(
        "texts padded",
        "A text is filled with blanks to a fixed width.",
        ("wording",),
        lambda site, text: site.setting({text: f"rpad({text}, {site.dice.choice((20, 32, 50, 64))}, ' ')"}),
    ),
    Mistake(
        "mojibake",
        "UTF-8 was read as Latin-1: non-breaking blanks and apostrophes are two or three other signs.",
        ("phrase",),
        lambda site, text: site.setting(
            {text: f"replace(replace({text}, '''', 'â€™'), ' ', 'Â ')"},
            site.some(f"{text} LIKE '% %'"),
        ),
    ),
    Mistake(
        "HTML entities",
        "Texts were escaped for a web page and never unescaped.",
        ("phrase",),
        lambda site, text: site.setting({text: _escaped(text)}),
    ),
    Mistake(
        "quotes left in",
        "The quotes of the CSV file are part of the text.",
        ("wording",),
        lambda site, text: site.setting({text: f"'\"' || {text} || '\"'"}),
    ),
)
