"""The list: a hundred mistakes of a hundred kinds. It is older than anything that suggests checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from benchmarks.mistakes.families import (
    categories,
    columns,
    deliveries,
    distributions,
    moments,
    numbers,
    references,
    rows,
)
from benchmarks.mistakes.mistake import Mistake

_FAMILIES: Mapping[str, tuple[Mistake, ...]] = {
    "columns": columns.MISTAKES,
    "numbers": numbers.MISTAKES,
    "time": moments.MISTAKES,
    "rows and keys": rows.MISTAKES,
    "references": references.MISTAKES,
    "categories": categories.CATEGORIES,
    "gaps": categories.GAPS,
    "distributions": distributions.DISTRIBUTIONS,
    "meaning across columns": distributions.MEANINGS,
    "delivery": deliveries.MISTAKES,
}

MISTAKES = tuple(replace(mistake, family=family) for family, listed in _FAMILIES.items() for mistake in listed)
