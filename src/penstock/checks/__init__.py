"""Checks: what a table is expected to be. Every function here returns a ``CheckSpec``; nothing is run.

    checks={"flights": [checks.unique("flight_id"), checks.between("month", 1, 12, severity="quarantine")]}

Severity ``error`` (the default) rejects the load, ``quarantine`` sets the failing rows aside, ``warn`` only tells.
A null passes every check but ``not_null``; NaN is a value, and is in no range and no set. Columns are named as in the
lake. How a check is run is no matter of this package.
"""

from penstock.checks.by_row import (
    between,
    expression,
    in_set,
    length,
    matches,
    no_outliers,
    not_null,
    parses,
    references,
)
from penstock.checks.making import About
from penstock.checks.python import as_check, function, pandera, validator
from penstock.checks.together import increasing, no_gaps, no_near_duplicates, unique
from penstock.checks.whole import (
    aggregate,
    arrives,
    correlation,
    fresh,
    quarantined,
    query,
    reconciles,
    row_count,
    schema,
    statistic,
    volume,
)
from penstock.model.specs import CheckSpec

__all__ = [
    "About",
    "CheckSpec",
    "aggregate",
    "arrives",
    "as_check",
    "between",
    "correlation",
    "expression",
    "fresh",
    "function",
    "in_set",
    "increasing",
    "length",
    "matches",
    "no_gaps",
    "no_near_duplicates",
    "no_outliers",
    "not_null",
    "pandera",
    "parses",
    "quarantined",
    "query",
    "reconciles",
    "references",
    "row_count",
    "schema",
    "statistic",
    "unique",
    "validator",
    "volume",
]
