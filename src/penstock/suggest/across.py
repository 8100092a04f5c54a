"""Suggestions about columns of one row together: which is greater, what is a total, what follows from what."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, permutations
from statistics import median
from typing import Any

from penstock.profiles.ranges import Amounts, usual_most, usual_range
from penstock.queries.text import identifier
from penstock.suggest.recent import LOAD, PLACE, Recent, finite, kind_of
from penstock.suggest.suggestion import Suggestion, rounded

_MOST_COLUMNS = 24
_LOOKED = 300
"""Rows by which totals are guessed, before all rows are asked."""
_OFTEN = 0.2
"""An order that more rows break is none."""
_MOST_OFTEN = 0.4
"""What may break it at most, to say anything."""
_TOUCHED, _NEAR = 0.2, 0.05
"""In so many loads two columns come so close, beside how far apart they ever are, if one is the limit of the other."""
_UNTOUCHED = 0.05
"""So many rows may break an order that was kept by chance, perhaps."""
_ALIKE, _MUCH_ALIKE = 0.1, 0.4
"""The least correlation of columns that are in an order, in all rows and in nearly all."""
_ROOM = 0.15
"""The least margin of a mean, in deviations of what is expected."""
_FEWEST = 8
"""Rows of a load that have all the values."""
_STRONG = 0.8


def ordered(recent: Recent) -> Iterator[Suggestion]:
    """Suggest which of two numbers or moments is not below the other, in all rows or in nearly all."""
    names = [*recent.numbers[:_MOST_COLUMNS], *(name for name in recent.of_type("moment") if recent.distinct[name] > 1)]
    pairs = [
        (low, high)
        for low, high in permutations(names, 2)
        if (kind_of(recent.columns[low]) == "moment") == (kind_of(recent.columns[high]) == "moment")
    ]
    share = "count_if({0} > {1}) / nullif(count_if({0} IS NOT NULL AND {1} IS NOT NULL), 0)"
    found = recent.by_load({pair: share.format(*map(identifier, pair)) for pair in pairs})
    overlapping = _overlapping(recent, pairs)
    alike = _alike(recent, [pair for pair in pairs if pair in overlapping])
    for low, high in pairs:
        shares = [value for value in found[low, high] if value is not None]
        reverse = [value for value in found[high, low] if value is not None]
        if not shares or max(shares) > _OFTEN or (low, high) not in overlapping or max(reverse) == 0:
            continue
        condition = f"{identifier(low)} <= {identifier(high)}"
        if (alike[low, high] or 0.0) < (_ALIKE if max(shares) == 0 else _MUCH_ALIKE):
            continue
        # What is broken in most loads is broken by a kind of rows; what was only now and then may be no order at all.
        touched = _touched(recent, low, high)
        if not touched and median(shares) == 0 and not _apart(recent, low, high):
            continue
        if max(shares) == 0:
            keywords = {"at_most": recent.tolerated if touched else max(_UNTOUCHED, recent.tolerated)}
            yield Suggestion("expression", (condition,), keywords, f"in every row of {recent.loads} loads")
            continue
        most = usual_most(found[low, high], step=recent.tolerated, limit=_MOST_OFTEN)
        if most is not None:
            allowed = float(rounded(most, 3, up=True))
            said = f"in all but {max(shares):.1%} of the rows of a load"
            yield Suggestion("expression", (condition,), {"at_most": allowed}, said)


def _touched(recent: Recent, low: str, high: str) -> bool:
    """Say whether two columns are often equal, or close: one is the limit of the other, not only greater so far."""
    apart = f"{_number(recent, high)} - {_number(recent, low)}"
    found = recent.by_load({"least": f"min({apart})", "most": f"max({apart})"})
    known = [value for value in found["least"] if value is not None]
    near = _NEAR * max((value for value in found["most"] if value is not None), default=0.0)
    return bool(sum(0 <= value <= near for value in known) >= _TOUCHED * len(known))


def _apart(recent: Recent, low: str, high: str) -> bool:
    """Say whether two columns stay so far apart that hardly more rows than may would break their order one day."""
    apart = f"{_number(recent, high)} - {_number(recent, low)}"
    found = recent.by_load({"near": f"quantile_cont(CAST({apart} AS DOUBLE), {_UNTOUCHED})"})["near"]
    usual = usual_range(found)
    return usual is not None and usual.low >= 0


def _alike(recent: Recent, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], float | None]:
    """Return how closely the two of each pair go together: what has nothing to do with each other is in no order."""
    return recent.whole({pair: "corr({}, {})".format(*(_number(recent, name) for name in pair)) for pair in pairs})


def _number(recent: Recent, name: str) -> str:
    return f"epoch({identifier(name)})" if kind_of(recent.columns[name]) == "moment" else finite(recent, name)


def _overlapping(recent: Recent, pairs: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return the pairs whose values are of one kind: their ranges share some of the greater one."""
    names = sorted({name for pair in pairs for name in pair})
    number = {
        name: f"epoch({identifier(name)})" if kind_of(recent.columns[name]) == "moment" else identifier(name)
        for name in names
    }
    ends = recent.whole(
        {
            (name, side): f"quantile_cont(CAST({number[name]} AS DOUBLE), {share}) FILTER (isfinite({number[name]}))"
            for name in names
            for side, share in (("low", 0.02), ("high", 0.98))
        }
    )
    kept = set()
    for low, high in pairs:
        if None not in (ends[low, "high"], ends[high, "low"]) and ends[low, "high"] >= ends[high, "low"]:
            kept.add((low, high))
    return kept


def totals(recent: Recent) -> Iterator[Suggestion]:
    """Suggest that a number is the sum, difference or product of two others."""
    names = recent.numbers[:14]
    listed = ", ".join(f"CAST({identifier(name)} AS DOUBLE)" for name in names)
    if len(names) < 3:
        return
    sample = recent.ask(f"SELECT {listed} FROM {recent.relation} ORDER BY hash({PLACE}, {LOAD}) LIMIT {_LOOKED}")
    rows = [dict(zip(names, row, strict=True)) for row in sample]
    done: set[frozenset[str]] = set()
    for total in names:
        for one, other in combinations([name for name in names if name != total], 2):
            if frozenset((total, one, other)) in done:
                continue
            for sign, formula in (("+", _plus), ("-", _minus), ("*", _times)):
                if not all(_near(row[total], formula(row[one], row[other])) for row in rows):
                    continue
                written = f"{identifier(one)} {sign} {identifier(other)}"
                condition = f"abs({identifier(total)} - ({written})) <= 0.011"
                asked = {
                    "wrong": f"count(*) FILTER (NOT ({condition})) / count(*)",
                    "right": f"count(*) FILTER ({condition}) / count(*)",
                }
                found = recent.by_load(asked)
                if max(found["wrong"]) == 0 and min(found["right"]) > 0:
                    done.add(frozenset((total, one, other)))
                    yield Suggestion("expression", (condition,), {}, f"in every row of {recent.loads} loads")


def _near(value: float | None, other: float | None) -> bool:
    return value is None or other is None or abs(value - other) <= 0.011


def _plus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def _minus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _times(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one * other


def linear(recent: Recent) -> Iterator[Suggestion]:
    """Suggest how far a number may lie from what one or two others make expect of it."""
    names = recent.spread[:_MOST_COLUMNS]
    number = {name: finite(recent, name) for name in names}
    correlations = recent.whole(
        {frozenset(pair): f"corr({number[pair[0]]}, {number[pair[1]]})" for pair in combinations(names, 2)}
    )
    known = {pair: value for pair, value in correlations.items() if value is not None and math.isfinite(value)}
    for target in names:
        for predictors in _best(target, names, known):
            yield from _expected(recent, target, predictors, number)


def _best(target: str, names: Sequence[str], known: Mapping[frozenset[str], float]) -> Iterator[tuple[str, ...]]:
    """Return the best one and the best two predictors of a number."""
    others = [name for name in names if name != target and frozenset((target, name)) in known]
    single = sorted(others, key=lambda name: -abs(known[frozenset((target, name))]))[:2]
    for name in single:
        if abs(known[frozenset((target, name))]) > _STRONG:
            yield (name,)
    best, most = None, 0.0
    for one, other in combinations(others, 2):
        between = known.get(frozenset((one, other)))
        if between is None or between**2 > 0.999:
            continue
        first, second = known[frozenset((target, one))], known[frozenset((target, other))]
        explained = (first**2 + second**2 - 2 * first * second * between) / (1 - between**2)
        if most < explained <= 1.001:
            best, most = (one, other), explained
    if best is not None and most > max(_STRONG**2, known[frozenset((target, single[0]))] ** 2 + 0.02):
        yield best


def _expected(
    recent: Recent, target: str, predictors: tuple[str, ...], number: Mapping[str, str]
) -> Iterator[Suggestion]:
    weights = _fitted(recent, target, predictors, number)
    if weights is None:
        return
    terms = [f"{_real(weight)} * {identifier(name)}" for weight, name in zip(weights[1:], predictors, strict=True)]
    formula = " + ".join([_real(weights[0]), *terms])
    rest = f"{identifier(target)} - ({formula})"
    aggregates = {
        "most": f"max(abs({rest})) FILTER (isfinite({rest}))",
        "mean": f"avg({rest}) FILTER (isfinite({rest}))",
        "spread": f"stddev_pop({rest}) FILTER (isfinite({rest}))",
        "own": f"stddev_pop({number[target]})",
        "rows": f"count({rest})",
    }
    found = recent.by_load(aggregates)
    if min(value or 0 for value in found["rows"]) < _FEWEST:
        return
    own = [value for value in found["own"] if value]
    spread = [value for value in found["spread"] if value is not None]
    if not own or not spread or sum(spread) / len(spread) > 0.75 * sum(own) / len(own):
        return
    others = " and ".join(predictors)
    far = usual_range(found["most"], least=0, scale=Amounts())
    typical = sum(own) / len(own)
    if far is not None and far.high < 3 * typical:
        allowed = rounded(far.high, 4, up=True)
        said = f"{target} follows from {others}; it was {rounded(max(v or 0 for v in found['most']), 3)} off at most"
        yield Suggestion("expression", (f"abs({rest}) <= {allowed!r}",), {"name": f"{target} by {others}"}, said)
    for figure, sql in (("mean", f"avg({rest})"),):
        usual = usual_range(found[figure], varied=True, step=_ROOM * typical)
        if usual is not None and usual.width < 2 * typical:
            bounds = {"min": rounded(usual.low, 4, up=False), "max": rounded(usual.high, 4, up=True)}
            called = f"{figure} of {target} beside {others}"
            yield Suggestion(
                "aggregate", (sql,), {**bounds, "name": called, "severity": "warn"}, f"as in {recent.loads} loads"
            )


def _real(value: float) -> str:
    """Return a number that the engine takes as a double, not as a decimal."""
    shown = repr(rounded(value, 6))
    return shown if "e" in shown else shown + "e0"


def _fitted(
    recent: Recent, target: str, predictors: tuple[str, ...], number: Mapping[str, str]
) -> tuple[float, ...] | None:
    """Return the constant and the weights of least squares over all rows that have a value in each column."""
    columns = (target, *predictors)
    given = " AND ".join(f"({number[name]}) IS NOT NULL" for name in columns)
    asked: dict[Any, str] = {name: f"avg({number[name]}) FILTER (WHERE {given})" for name in columns}
    for one in predictors:
        for other in columns:
            asked[one, other] = f"covar_pop({number[one]}, {number[other]}) FILTER (WHERE {given})"
    found = recent.whole(asked)
    if any(value is None or not math.isfinite(value) for value in found.values()):
        return None
    one = predictors[0]
    if len(predictors) == 1:
        slopes = [found[one, target] / found[one, one]] if found[one, one] else None
    else:
        other = predictors[1]
        determinant = found[one, one] * found[other, other] - found[one, other] ** 2
        slopes = determinant and [
            (found[one, target] * found[other, other] - found[other, target] * found[one, other]) / determinant,
            (found[other, target] * found[one, one] - found[one, target] * found[one, other]) / determinant,
        ]
    if not slopes:
        return None
    constant = found[target] - sum(slope * found[name] for slope, name in zip(slopes, predictors, strict=True))
    return (constant, *slopes)
