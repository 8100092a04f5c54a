"""Suggestions about how texts are written: lengths, shapes, signs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from penstock.profiles.ranges import usual_most
from penstock.queries.text import identifier, literal
from penstock.suggest.recent import LOAD, Recent
from penstock.suggest.suggestion import Suggestion, rounded

_NOTHING = ("", "-", "N/A", "NA", "NAN", "NIL", "NONE", "NULL", "UNDEFINED", "TEST")
_MISREAD = "Ã[^ -~]|Â[^!-~]|â€|&(amp|lt|gt|quot|apos|nbsp|#x?[0-9A-Fa-f]+);"
"""UTF-8 read as Latin-1, and what a page of the web writes for signs: no language has these next to each other."""
_MOST_SHAPES = 8
_MOST_LISTED = 60


def texts(recent: Recent) -> Iterator[Suggestion]:
    """Suggest what the texts of each column have in common."""
    for name in recent.of_type("text"):
        if recent.distinct[name]:
            yield from _lengths(recent, name)
            yield from _signs(recent, name)
            yield from _shapes(recent, name)
            yield from _usual_case(recent, name)


def _lengths(recent: Recent, name: str) -> Iterator[Suggestion]:
    column = identifier(name)
    found = recent.by_load({"low": f"min(length({column}))", "high": f"max(length({column}))"})
    lows, highs = ([int(value) for value in found[side] if value is not None] for side in ("low", "high"))
    if not lows:
        return
    low, high = min(lows), max(highs)
    if low != high:
        low, high = max(min(low, 1), low - max(1, low // 4)), high + max(2, high // 4)
    said = f"{min(lows)} to {max(highs)} letters"
    yield Suggestion("length", (name,), {"min": low, "max": high, **_tolerance(recent, name, recent.rare)}, said)


def _signs(recent: Recent, name: str) -> Iterator[Suggestion]:
    """Suggest no blanks around, no word for nothing, and no sign that never was."""
    column = identifier(name)
    nothing = ", ".join(map(literal, _NOTHING))
    found = recent.whole(
        {
            "blanks": f"count_if({column} <> trim({column}))",
            "nothing": f"count_if(upper(trim({column})) IN ({nothing}))",
            "misread": f"count_if({_misread(column)})",
            "upper": f"count_if({column} <> upper({column}))",
            "lower": f"count_if({column} <> lower({column}))",
            "signs": f"string_agg(DISTINCT regexp_replace({column}, '[A-Za-z0-9]', '', 'g'), '')",
        }
    )
    room = {"at_most": recent.tolerated} if name in recent.open else {}
    if not found["blanks"]:
        yield Suggestion("expression", (f"{column} = trim({column})",), room, "no blank before or after the text")
    if not found["nothing"]:
        said = "none of the words for nothing"
        yield Suggestion("expression", (f"upper(trim({column})) NOT IN ({nothing})",), room, said)
    if not found["misread"]:
        said = "no UTF-8 that was read as Latin-1, no signs as a page of the web writes them"
        yield Suggestion("expression", (f"NOT {_misread(column)}",), {"name": f"letters of {name}"}, said)
    for case in ("upper", "lower"):
        if not found[case] and found[{"upper": "lower", "lower": "upper"}[case]]:
            said = f"all letters are {case}-case"
            yield Suggestion("expression", (f"{column} = {case}({column})",), _tolerance(recent, name), said)
    others = sorted(set(found["signs"] or ""))
    if len(others) <= 30 and _signs_settled(recent, column, others):
        listed = "".join("\\" + sign if sign in "\\]^-[&~|" else sign for sign in others)
        seen = " ".join(others) if others else "no others"
        keywords = _tolerance(recent, name)
        yield Suggestion(
            "matches", (name, f"[A-Za-z0-9{listed}]*"), keywords, f"letters, digits and these signs: {seen}"
        )


def _misread(column: str) -> str:
    """Return the condition for letters that only a wrong way to read or to write texts puts next to each other."""
    return f"regexp_matches({column}, {literal(_MISREAD)})"


def _tolerance(recent: Recent, name: str, rare: int = 0) -> dict[str, float]:
    """Return what may be otherwise: where a list is not closed, other texts come, longer ones or with other signs.

    Where it is, so many rows may be: a value that never was is as long as it is, but written as the others are.
    """
    listed = recent.distinct[name] <= _MOST_LISTED and recent.closed(name)
    if not listed:
        return {"at_most": recent.tolerated}
    return {"at_most": rare} if rare else {}


def _signs_settled(recent: Recent, column: str, others: list[str]) -> bool:
    """Say whether each of the signs came in the earlier half of the loads already."""
    if not others:
        return True
    counted = {sign: f"min({LOAD}) FILTER (contains({column}, {literal(sign)}))" for sign in others}
    first = recent.whole(counted)
    return all(load is not None and load < recent.loads // 2 for load in first.values())


def _shapes(recent: Recent, name: str) -> Iterator[Suggestion]:
    """Suggest the shapes of codes: runs of letters and digits, and how long each is."""
    column = identifier(name)
    shape = column
    for runs, sign in (("[0-9]+", "9"), ("[A-Z]+", "A"), ("[a-z]+", "a")):
        shape = f"regexp_replace({shape}, '{runs}', '{sign}', 'g')"
    query = (
        f"SELECT {shape} AS shape, min({LOAD}), count(*), list(DISTINCT {column})[:2000] FROM {recent.relation} "
        f"WHERE {column} IS NOT NULL GROUP BY 1 ORDER BY 3 DESC LIMIT {_MOST_SHAPES + 1}"
    )
    found = recent.ask(query)
    if len(found) > _MOST_SHAPES or any(first >= recent.loads // 2 for _, first, _, _ in found):
        return
    if any(len(shape) > 12 for shape, _, _, _ in found):
        return
    pattern = "|".join(_pattern(shape, values) for shape, _, _, values in found)
    examples = ", ".join(str(values[0]) for _, _, _, values in found[:3])
    keywords = {"name": f"shape of {name}", **_tolerance(recent, name, recent.rare)}
    yield Suggestion("matches", (name, pattern), keywords, f"written as {examples}")


def _pattern(shape: str, values: list[str]) -> str:
    """Return the regular expression of a shape, each run as long as it was."""
    runs = [re.findall(r"[0-9]+|[A-Z]+|[a-z]+|.", value, re.DOTALL) for value in values]
    parts = []
    for place, sign in enumerate(shape):
        lengths = [len(run[place]) for run in runs if place < len(run)]
        kind = {"9": "[0-9]", "A": "[A-Z]", "a": "[a-z]"}.get(sign)
        if kind is None:
            parts.append(re.escape(sign))
        else:
            low, high = min(lengths), max(lengths)
            parts.append(kind + (f"{{{low}}}" if low == high else f"{{{low},{high}}}"))
    return "".join(parts)


def _usual_case(recent: Recent, name: str) -> Iterator[Suggestion]:
    """Suggest how many texts may be all in capitals or all in small letters, where some are mixed."""
    column = identifier(name)
    for case in ("upper", "lower"):
        condition = f"{column} = {case}({column}) AND {column} <> {'lower' if case == 'upper' else 'upper'}({column})"
        shares = recent.by_load({"share": f"count_if({condition}) / nullif(count({column}), 0)"})["share"]
        most = usual_most(shares, step=recent.tolerated, limit=0.75)
        if most is not None and recent.distinct[name] > 1:
            allowed = float(rounded(most, 3, up=True))
            said = f"texts all in {case} case: {max(share or 0 for share in shares):.1%} at most"
            yield Suggestion("expression", (f"NOT ({condition})",), {"at_most": allowed}, said)
