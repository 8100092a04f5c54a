"""Suggestions about the numbers of one column: ranges, decimals, steps between them, signs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import Any, TypeAlias

from penstock.profiles.ranges import Amounts, Range, Shares, by_factors, usual_most, usual_range
from penstock.queries.text import identifier
from penstock.suggest.recent import AHEAD, LEVELS, LOAD, Recent, finite, kind_of
from penstock.suggest.suggestion import Suggestion, rounded

_MOST_DECIMALS = 6
_MOST_ON_A_GRID, _FEWEST_ON_A_GRID, _OFF = 2000, 12, 0.02
"""How many different values may lie on a grid, and how far beside it, in its steps."""
_ROOM = 0.05
"""The least margin of a share; of few rows it is the error of a sample, 1 / sqrt(rows)."""
_BEYOND = 0.25
"""The least margin of a range, in its widths."""
_PROVEN, _MUCH_PROVEN = 300, 3000
"""Of so many values none was zero: by the rule of three, fewer than 1 in 100 others are, and in 1,000."""
_WALL, _NEAR = 0.2, 0.05
"""Where a column ends at zero, the least value is the same in so many loads, or so small beside the greatest one."""
_CLOSE = 0.02
"""Where a column ends above, so close to the greatest value come those of so many loads."""
_MOSTLY = 0.5
_FILLED = 0.9
"""Of a column that has no value in more of the loads, the ends are those of a few rows."""
_SAME = 1e-6
"""Ends of loads that differ by less, beside how large they are, are one."""
_FINER = 2
"""So many times as finely a sensor may resolve one day, by one bit more."""
_DIVISORS = (2, 3, 5, 7)
_MOST_AT_AN_END = 0.5
"""Where more may stand at the greatest value, it says nothing."""

_Ends: TypeAlias = Mapping[str, Sequence[float | None]]


def numbers(recent: Recent) -> Iterator[Suggestion]:
    """Suggest what the numbers of each column have in common."""
    lows, highs = _ends_of_loads(recent)
    yield from ranges(recent, lows, highs)
    for name in recent.numbers:
        if kind_of(recent.columns[name]) == "real":
            yield from _decimals(recent, name)
        else:
            yield from _divisors(recent, name)
        yield from _grid(recent, name)
        yield from _signs(recent, name)
        yield from _never_zero(recent, name, lows[name], highs[name])
    for name in recent.spread:
        yield from _ends(recent, name)


def ranges(recent: Recent, lows: _Ends, highs: _Ends) -> Iterator[Suggestion]:
    """Suggest the least and the greatest value, with room for what may come.

    Args:
        recent: The loads.
        lows: The least number of each load, by column.
        highs: The greatest.
    """
    for name in recent.numbers:
        least = min((value for value in lows[name] if value is not None), default=0.0)
        greatest = max((value for value in highs[name] if value is not None), default=0.0)
        low = usual_range(lows[name], ahead=AHEAD)
        # What can be below zero, as a temperature, is no amount that grows by factors.
        # Nor is what ends at a wall, as a direction at 360 degrees.
        free = recent.distinct[name] <= LEVELS or not _ceiled(highs[name], greatest)
        scale = Amounts() if least >= 0 and free and by_factors(highs[name]) else None
        high = usual_range(highs[name], scale=scale, ahead=AHEAD)
        # A range whose ends vary little is not narrower than the values themselves.
        room = _BEYOND * (greatest - least)
        bounds, level = {}, _level(recent, name)
        if low is not None:
            # What is counted begins with one.
            one = 0.0 if least == 1 and level == round(level) else level
            same = low.width < _SAME * max(1.0, abs(least))
            bottom = least - one if same else min(low.low, least - room)
            bounds["low"] = rounded(0 if least >= 0 > bottom and _walled(lows[name], greatest) else bottom, 4, up=False)
        if high is not None:
            same = high.width < _SAME * max(1.0, abs(greatest))
            top = greatest + level if same else max(high.high, greatest + room)
            below = [None if value is None else -value for value in highs[name]]
            bounds["high"] = rounded(0 if greatest <= 0 < top and _walled(below, -least) else top, 4, up=True)
        if bounds:
            yield Suggestion(
                "between", (name,), bounds, f"{rounded(least)} to {rounded(greatest)} in {recent.loads} loads"
            )


def _level(recent: Recent, name: str) -> float:
    """Return by how much the levels of a column are apart at most, by which there may be one more; 0 where it has none.

    An end that is the same in all loads is a wall if many values come near it. Of a few, each comes in every load.
    """
    values = sorted(value for value in recent.values.get(name, ()) if math.isfinite(value))
    if not 2 <= len(values) <= LEVELS:
        return 0.0
    return float(max(right - left for left, right in pairwise(values)))


def _ends_of_loads(recent: Recent) -> tuple[dict[str, list[float | None]], dict[str, list[float | None]]]:
    """Return the least and the greatest number of each load, by column."""
    lows, highs = (
        recent.by_load({name: f"{end}({finite(recent, name)})" for name in recent.numbers}) for end in ("min", "max")
    )
    return _floats(lows), _floats(highs)


def _floats(ends: Mapping[str, Sequence[Any]]) -> dict[str, list[float | None]]:
    return {name: [None if value is None else float(value) for value in values] for name, values in ends.items()}


def _walled(lows: Sequence[float | None], greatest: float) -> bool:
    """Say whether values that never were below zero end there: often at one least value, or close to zero."""
    known = [value for value in lows if value is not None]
    return bool(known) and (min(known) <= _NEAR * greatest or known.count(min(known)) >= _WALL * len(known))


def _ceiled(highs: Sequence[float | None], greatest: float) -> bool:
    """Say whether values end at one greatest value, which many loads nearly reach."""
    known = [value for value in highs if value is not None]
    return sum(value >= (1 - _CLOSE) * greatest for value in known) >= _WALL * len(known)


def _decimals(recent: Recent, name: str) -> Iterator[Suggestion]:
    """Suggest how many decimals a column has, where the engine's numbers have more."""
    column = identifier(name)
    counted = {
        digits: f"count_if({column} <> round({column}, {digits}) AND isfinite({column}))"
        for digits in range(_MOST_DECIMALS + 1)
    }
    found = recent.whole(counted)
    for digits in range(_MOST_DECIMALS + 1):
        if not found[digits]:
            said = f"no value has more than {digits} decimals; one more may come" if digits else "all values are whole"
            # A finer sensor writes one more; what was never measured in parts is counted.
            shown = f"round({column}, {digits + 1 if digits else 0})"
            yield Suggestion("expression", (f"{column} = {shown}",), {"at_most": recent.tolerated}, said)
            return


def _grid(recent: Recent, name: str) -> Iterator[Suggestion]:
    """Suggest that all values lie so many steps apart, where the step is more than the last decimal."""
    if not _FEWEST_ON_A_GRID <= recent.distinct[name] <= _MOST_ON_A_GRID:
        return
    column = identifier(name)
    listed = recent.ask(
        f"SELECT DISTINCT CAST({column} AS DOUBLE) FROM {recent.relation} "
        f"WHERE {column} IS NOT NULL AND isfinite({column}) ORDER BY 1"
    )
    values = [value for (value,) in listed]
    step = _step(values)
    if step is None or step < 1.5 * _FINER * _last_decimal(values):
        return
    step /= _FINER
    apart = f"({column} - {rounded(values[0], 12)!r}) / {rounded(step, 12)!r}"
    said = f"{rounded(values[0], 4)} and all others lie a multiple of {rounded(step * _FINER, 4)} apart, or half of it"
    yield Suggestion(
        "expression",
        (f"abs({apart} - round({apart})) <= {_OFF}",),
        {"at_most": recent.tolerated, "name": f"steps between values of {name}"},
        said,
    )


def _step(values: Sequence[float]) -> float | None:
    """Return by how much values on a grid lie apart, or None where they lie on none."""
    whole = values[-1] - values[0]
    least = min(right - left for left, right in pairwise(values))
    if least <= 1e-9 * max(abs(values[0]), abs(values[-1])):
        return None
    step = whole / round(whole / least)
    off = max(abs((value - values[0]) / step - round((value - values[0]) / step)) for value in values)
    return step if off <= _OFF / 2 else None


def _last_decimal(values: Sequence[float]) -> float:
    for digits in range(_MOST_DECIMALS + 1):
        if all(abs(value - round(value, digits)) <= 1e-9 * max(1.0, abs(value)) for value in values):
            return float(10.0**-digits)
    return 0.0


def _filled(recent: Recent, name: str) -> float:
    """Return how many values a load has of a column, in the middle; 1 at least."""
    return max(1.0, recent.typical * (1 - recent.nulls[name] / sum(recent.rows)))


def _divisors(recent: Recent, name: str) -> Iterator[Suggestion]:
    """Suggest which numbers do not divide all values of a load: what is rounded has one that does."""
    column = identifier(name)
    asked = {number: f"count_if({column} % {number} <> 0) / nullif(count({column}), 0)" for number in _DIVISORS}
    found = recent.by_load(asked)
    filled = _filled(recent, name)
    ranges = {
        number: usual_range(found[number], least=0, greatest=1, step=_ROOM, scale=Shares(filled)) for number in asked
    }
    never = [number for number, usual in ranges.items() if usual is not None and usual.low > 0]
    if never:
        listed = ", ".join(f"{asked[number]} AS by_{number}" for number in never)
        limits = " OR ".join(f"{asked[number]} = 0" for number in never)
        query = f"SELECT {listed} FROM {identifier(recent.table)} HAVING {limits}"
        said = f"in no load of {recent.loads} could all values be divided by {' or '.join(map(str, never))}"
        yield Suggestion("query", (query,), {"name": f"divisors of {name}", "severity": "warn"}, said)


def _signs(recent: Recent, name: str) -> Iterator[Suggestion]:
    """Suggest how many values are below zero, and how many are zero."""
    column = identifier(name)
    asked = {sign: f"count({column}) FILTER ({column} {sign} 0) / nullif(count({column}), 0)" for sign in ("<", "=")}
    found = recent.by_load(asked)
    filled = _filled(recent, name)
    step = max(_ROOM, filled**-0.5)
    for sign, sql in asked.items():
        shares = [share for share in found[sign] if share is not None]
        usual = usual_range(found[sign], least=0, greatest=1, step=step, scale=Shares(filled))
        if usual is not None and sign == "=" and median(shares) > _MOSTLY:
            # Where most values are zero anyway, all of them are on a day when nothing happens.
            usual = Range(usual.low, 1.0)
        if usual is not None and max(shares) > 0 and max(usual.low, 1 - usual.high) * filled >= 1:
            bounds = {"min": rounded(usual.low, 4, up=False), "max": rounded(usual.high, 4, up=True)}
            said = f"{min(shares):.1%} to {max(shares):.1%} of the values of a load"
            yield Suggestion("aggregate", (sql,), {**bounds, "severity": "warn"}, said)


def _never_zero(
    recent: Recent, name: str, lows: Sequence[float | None], highs: Sequence[float | None]
) -> Iterator[Suggestion]:
    """Suggest that no value is zero, where zero lies among others or behind where they end: it is written for a gap.

    What comes down towards zero, as a temperature in autumn, may reach it.
    """
    column = identifier(name)
    found = recent.whole({"values": f"count({column})", "zero": f"count_if({column} = 0)"})
    known = [(low, high) for low, high in zip(lows, highs, strict=True) if low is not None and high is not None]
    if found["zero"] or found["values"] < _PROVEN or not known:
        return
    least, greatest = min(low for low, _ in known), max(high for _, high in known)
    room = _BEYOND * (greatest - least)
    behind = 0 < least <= room and _walled(lows, greatest)
    before = 0 > greatest >= -room and _walled([-high for _, high in known], -least)
    if least < 0 < greatest or behind or before:
        said = f"none of {found['values']:,} values was zero"
        room = recent.rare if found["values"] >= _MUCH_PROVEN else recent.tolerated
        yield Suggestion("expression", (f"{column} <> 0",), {"at_most": room}, said)


def _ends(recent: Recent, name: str) -> Iterator[Suggestion]:
    """Suggest how many values stand at the greatest and at the least of a load: more do where a limit cuts them."""
    value = finite(recent, name)
    given = f"WHERE ({value}) IS NOT NULL"

    def ended(relation: str, *more: str) -> str:
        of = f"OVER (PARTITION BY {', '.join(more)})" if more else "OVER ()"
        listed = "".join(f"{each}, " for each in more)
        ends = f"max({value}) {of} AS top, min({value}) {of} AS bottom"
        return f"(SELECT {listed}{value} AS value, {ends} FROM {relation} {given})"

    # Where all are alike, both ends are one; that is no limit.
    share = "count_if(value = {} AND top > bottom) / count(*)"
    found = recent.by_load({end: share.format(end) for end in ("top", "bottom")}, ended(recent.relation, LOAD))
    limits, seen = [], []
    for end, word in (("top", "greatest"), ("bottom", "least")):
        known = sum(value is not None for value in found[end])
        most = usual_most(found[end], step=recent.tolerated, limit=_MOST_AT_AN_END)
        if most is not None and known >= _FILLED * recent.loads:
            limits.append(f"{share.format(end)} > {rounded(most, 3, up=True)!r}")
            seen.append(f"{max(value or 0 for value in found[end]):.1%} stood at the {word}")
    if limits:
        listed = ", ".join(f"{share.format(end)} AS at_{end}" for end in ("top", "bottom"))
        query = f"SELECT {listed} FROM {ended(identifier(recent.table))} HAVING {' OR '.join(limits)}"
        said = f"of the values of a load at most {' and '.join(seen)}"
        yield Suggestion("query", (query,), {"name": f"ends of {name}", "severity": "warn"}, said)
