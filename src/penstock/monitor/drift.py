"""Drift: what differs between two profiles of a table by more than chance and enough to matter. Nothing is reread."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import field
from functools import reduce
from itertools import pairwise

from penstock.monitor import distances
from penstock.monitor.classifying import DomainDrift
from penstock.monitor.picturing import Part, parts
from penstock.profiles.histogram import Histogram, common_edges
from penstock.profiles.profile import ColumnProfile, TableProfile
from penstock.schema import MOMENTS
from penstock.values import dataclass

_WHOLE = ("SMALLINT", "INTEGER", "BIGINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT", "UHUGEINT")
_NAMES_SHARE, _FEW = 0.9, 50
"""Of so few rows all may differ without any of them being a name."""
_CATEGORY_SHARE = 0.25
"""Of the rows: so many different values are still categories."""
MOST_GROUPS = 20
"""Bins are joined into so many parts of about equal weight, so that each holds enough values to be compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """From when on a difference counts. Each needs both: little chance, and size.

    Attributes:
        chance: The chance of a false alarm in the whole table; each column gets its share of it.
        stability: The least population stability index that matters (0.1 is a common choice, 0.25 a great shift).
        distance: The least Kolmogorov-Smirnov distance that matters: this share of the rows lies elsewhere. (0.1 is
            that of a normal distribution moved by a quarter of its deviation.)
        nulls: The least difference of the shares of nulls that matters.
        unseen: The least share of values that the reference does not have.
        growth: The least factor by which rows, or their inverse, may differ; None: rows are not compared.
    """

    chance: float = 0.001
    stability: float = 0.1
    distance: float = 0.1
    nulls: float = 0.02
    unseen: float = 0.01
    growth: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnDrift:
    """How a column differs.

    Attributes:
        column: The column.
        drifted: Whether that is more than chance and enough to matter.
        reasons: Sentences, one for each way in which it differs.
        stability: Population stability index; None where the values cannot be compared.
        stability_limit: From which on it counts, given the numbers of rows.
        jensen_shannon: Distance, 0 to 1.
        kolmogorov_smirnov: Statistic, for columns with a histogram; ``kolmogorov_smirnov_p`` its chance.
        chi_squared: Statistic; ``chi_squared_p`` its chance.
        wasserstein: Distance in the unit of the values; also as ``wasserstein_deviations`` of the reference.
        nulls: Shares of nulls in the reference and now.
        means: Means in the reference and now.
        parts: Shares of the values by range or category, to be drawn.
    """

    column: str
    drifted: bool
    reasons: tuple[str, ...] = ()
    stability: float | None = None
    stability_limit: float | None = None
    jensen_shannon: float | None = None
    kolmogorov_smirnov: float | None = None
    kolmogorov_smirnov_p: float | None = None
    chi_squared: float | None = None
    chi_squared_p: float | None = None
    wasserstein: float | None = None
    wasserstein_deviations: float | None = None
    nulls: tuple[float, float] = (0.0, 0.0)
    means: tuple[float, float] | None = None
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftReport:
    """What differs between two profiles of a table.

    Attributes:
        table: The table.
        reference: What it is compared with, in words.
        current: What is compared.
        rows: Rows of the reference and of what is compared.
        schema: Sentences about columns that came, went or changed their type.
        volume: A sentence about the number of rows, if it differs too much.
        columns: The columns that both have.
        together: Whether a classifier can tell the rows apart, if it was asked.
        unusual: Sentences about figures outside of where they lay in the loads before; only against ``usual``.
    """

    table: str
    reference: str
    current: str
    rows: tuple[int, int]
    schema: tuple[str, ...] = ()
    volume: str = ""
    columns: tuple[ColumnDrift, ...] = field(default=())
    together: DomainDrift | None = None
    unusual: tuple[str, ...] = ()

    @property
    def drifted(self) -> bool:
        """Say whether anything differs."""
        together = self.together is not None and self.together.drifted
        return bool(
            self.schema or self.volume or self.unusual or together or any(column.drifted for column in self.columns)
        )


def compare(
    reference: TableProfile, current: TableProfile, limits: Limits, *, table: str, names: tuple[str, str]
) -> DriftReport:
    """Return what differs.

    Args:
        reference: The profile that is trusted.
        current: The profile that is compared with it.
        limits: From when on a difference counts.
        table: The table.
        names: What the two are, in words.
    """
    both = [name for name in reference.columns if name in current.columns]
    alike = [name for name in both if reference.columns[name].type == current.columns[name].type]
    chance = limits.chance / max(1, len(alike))
    return DriftReport(
        table=table,
        reference=names[0],
        current=names[1],
        rows=(reference.rows, current.rows),
        schema=tuple(schema_changes(reference, current)),
        volume=_volume(reference.rows, current.rows, limits),
        columns=tuple(_column(name, reference.columns[name], current.columns[name], limits, chance) for name in alike),
    )


def schema_changes(reference: TableProfile, current: TableProfile) -> Iterator[str]:
    """Say which columns are gone, are new, or have another type."""
    for name, column in reference.columns.items():
        if name not in current.columns:
            yield f"{name} is gone"
        elif current.columns[name].type != column.type:
            yield f"{name} is {current.columns[name].type}, it was {column.type}"
    for name in current.columns:
        if name not in reference.columns:
            yield f"{name} is new"


def _volume(before: int, now: int, limits: Limits) -> str:
    if limits.growth is None or before / limits.growth <= now <= before * limits.growth:
        return ""
    return f"{now:,} rows, where the reference has {before:,}"


def _column(name: str, before: ColumnProfile, now: ColumnProfile, limits: Limits, chance: float) -> ColumnDrift:
    nulls = (before.null_share, now.null_share)
    reasons = list(_null_reasons(before, now, limits, chance))
    means = (before.moments.mean, now.moments.mean) if before.moments and now.moments else None
    cut = _counts(before, now)
    if cut is None:
        return ColumnDrift(column=name, drifted=bool(reasons), reasons=tuple(reasons), nulls=nulls, means=means)
    reference, current, centres = cut
    stability = distances.stability_index(reference, current)
    at_least = _stability_limit(reference, current, limits.stability, chance)
    chi, _, chi_chance = distances.chi_squared(reference, current)
    smirnov = distances.kolmogorov_smirnov(reference, current) if centres else None
    distance = distances.wasserstein(reference, current, centres) if centres else None
    deviation = before.moments.deviation if before.moments else math.nan
    unseen = _unseen(before, now)
    said = "" if means is None else f", mean {means[1]:.6g} after {means[0]:.6g}"
    if stability > at_least and chi_chance < chance:
        reasons.append(f"its values are distributed otherwise (PSI {stability:.3f}, limit {at_least:.3f}{said})")
    elif smirnov is not None and smirnov[0] > limits.distance and smirnov[1] < chance:
        reasons.append(
            f"{100 * smirnov[0]:.1f} % of its values lie elsewhere (limit {100 * limits.distance:g} %{said})"
        )
    if unseen and unseen[0] > max(limits.unseen * now.values, 3):
        reasons.append(f"{unseen[0]:,} values are new, as {unseen[1]!r}")
    return ColumnDrift(
        column=name,
        drifted=bool(reasons),
        reasons=tuple(reasons),
        stability=stability,
        stability_limit=at_least,
        jensen_shannon=distances.jensen_shannon(reference, current),
        kolmogorov_smirnov=smirnov[0] if smirnov else None,
        kolmogorov_smirnov_p=smirnov[1] if smirnov else None,
        chi_squared=chi,
        chi_squared_p=chi_chance,
        wasserstein=distance,
        wasserstein_deviations=distance / deviation if distance is not None and deviation > 0 else None,
        nulls=nulls,
        means=means,
        parts=parts(before, now),
    )


def _null_reasons(before: ColumnProfile, now: ColumnProfile, limits: Limits, chance: float) -> Iterator[str]:
    for called, mine, theirs in (("nulls", before.nulls, now.nulls), ("NaN", before.nans, now.nans)):
        if not before.rows or not now.rows:
            continue
        shares = mine / before.rows, theirs / now.rows
        likely = distances.proportions(mine, before.rows, theirs, now.rows)
        if abs(shares[0] - shares[1]) >= limits.nulls and likely < chance:
            yield f"{100 * shares[1]:.1f} % {called}, it had {100 * shares[0]:.1f} %"


def _stability_limit(reference: Sequence[float], current: Sequence[float], least: float, chance: float) -> float:
    """Return the index from which on it counts: samples of one distribution differ by chance as well.

    The index of two samples over B bins is about chi-squared with B - 1 degrees of freedom times (1/n + 1/m)
    (Yurdakul, Statistical Properties of Population Stability Index, 2018).
    """
    n, m = sum(reference), sum(current)
    freedom = sum(1 for p, q in zip(reference, current, strict=True) if p or q) - 1
    if not n or not m or freedom < 1:
        return math.inf
    return max(least, distances.chi_squared_limit(chance, freedom) * (1 / n + 1 / m))


def _counts(before: ColumnProfile, now: ColumnProfile) -> tuple[list[float], list[float], list[float]] | None:
    """Return counts over common bins and what each bin stands for (nothing for categories), or None."""
    if not _comparable(before) or not _comparable(now):
        return None
    if before.frequent and now.frequent and before.frequent.complete and now.frequent.complete:
        values = list(dict.fromkeys((*before.frequent.counts, *now.frequent.counts)))
        if before.histogram is None or len(values) <= MOST_GROUPS:
            reference = [float(before.frequent.counts.get(value, 0)) for value in values]
            return _rare_together(reference, [float(now.frequent.counts.get(value, 0)) for value in values])
    shape, other = before.histogram, now.histogram
    if shape is None or other is None or not shape.total or not other.total:
        return None
    edges = _grouped_edges(shape, common_edges([shape, other]))
    centres = [edges[0], *((left + right) / 2 for left, right in pairwise(edges)), edges[-1]]
    return shape.onto(edges), other.onto(edges), centres


def _comparable(column: ColumnProfile) -> bool:
    """Say whether the values of a column are to be compared: not moments, nor numbers that name a row."""
    return column.type not in MOMENTS and not names_rows([column])


def names_rows(loads: Sequence[ColumnProfile]) -> bool:
    """Say whether a column of some loads is of whole numbers that name a row: hardly any of them came twice."""
    values = sum(column.values for column in loads)
    if values <= _FEW or any(column.type not in _WHOLE for column in loads):
        return False
    sketches = [column.distinct for column in loads if column.values]
    different = reduce(lambda one, other: one and other and one.merge(other), sketches)
    return different is not None and different.estimate() > _NAMES_SHARE * values


def _rare_together(reference: list[float], current: list[float]) -> tuple[list[float], list[float], list[float]]:
    """Join rare categories into one, so that chance does not speak through them."""
    n, m = max(1.0, sum(reference)), max(1.0, sum(current))
    rare = [p < 5 and q < 5 and p / n < 0.01 and q / m < 0.01 for p, q in zip(reference, current, strict=True)]
    kept = [
        [count for count, each in zip(counts, rare, strict=True) if not each]
        + [sum(count for count, each in zip(counts, rare, strict=True) if each)]
        for counts in (reference, current)
    ]
    return kept[0], kept[1], []


def _grouped_edges(reference: Histogram, edges: Sequence[float]) -> list[float]:
    """Return some of the edges, between which about equal parts of the reference lie."""
    chosen: list[float] = []
    reached = 0.0
    for edge in edges:
        below = reference.share_below(edge)
        if not chosen or below - reached >= 1 / MOST_GROUPS:
            chosen.append(edge)
            reached = below
    if chosen[-1] != edges[-1]:
        chosen.append(edges[-1])
    return chosen


def _unseen(before: ColumnProfile, now: ColumnProfile) -> tuple[int, str] | None:
    """Return how many rows have a value that the reference does not have, and one of these; None: not known."""
    if not before.frequent or not now.frequent or not before.frequent.complete:
        return None
    if len(before.frequent.counts) > _CATEGORY_SHARE * before.values:
        # Values that hardly repeat are no categories: others come all the time.
        return None
    new = {value: count for value, count in now.frequent.counts.items() if value not in before.frequent.counts}
    return (sum(new.values()), max(new, key=lambda value: new[value])) if new else None
