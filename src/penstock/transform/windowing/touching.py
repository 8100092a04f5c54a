"""Which windows new events touch, and from which events these are computed: scopes of a key and a time, as SQL.

A scope says: the rows of this key whose time lies here are to be computed anew. Scopes may overlap.
"""

from __future__ import annotations

from penstock.model.event_time import microseconds
from penstock.model.windows import WindowedSpec, WindowKind
from penstock.queries.moments import span
from penstock.queries.text import alike, identifier
from penstock.transform.windowing.statement import END, START, bucket, result_time
from penstock.values import dataclass

MOMENTS = "_penstock_moments"
"""Keys and moments (``m``) of events that came or went."""
SCOPES = "_penstock_scopes"
"""Keys, and from when (``lo``) until before when (``hi``)."""
_MOMENT = 1
"""Microseconds after which the next moment comes."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How far before and after a scope the events lie from which its rows are computed, in microseconds."""

    before: int = 0
    after: int = 0


def reach(spec: WindowedSpec) -> Reach:
    """Return how far the events of a scope reach beyond it."""
    size = microseconds(spec.window.size)
    match spec.window.kind:
        case WindowKind.HOPPING:
            return Reach(after=size)
        case WindowKind.RUNNING:
            return Reach(before=size)
        case _:
            return Reach()


def scopes(spec: WindowedSpec, standing: str) -> str:
    """Return the query of the scopes that the events in ``MOMENTS`` touch.

    Args:
        spec: The windows.
        standing: The rows as they stand, for a FROM clause.
    """
    window, size = spec.window, microseconds(spec.window.size)
    keys = "".join(f"m.{identifier(name)}, " for name in window.key)
    match window.kind:
        case WindowKind.TUMBLING:
            start = bucket("m.m", size)
            return f"SELECT DISTINCT {keys}{start} AS lo, {start} + {span(size)} AS hi FROM {MOMENTS} m"
        case WindowKind.HOPPING:
            apart = microseconds(window.every)
            start = bucket("m.m", apart)
            return (
                f"SELECT DISTINCT {keys}{start} - {span(size - _MOMENT)} AS lo, {start} + {span(apart)} AS hi "
                f"FROM {MOMENTS} m"
            )
        case WindowKind.SESSION:
            # An event joins the sessions that it is less than the gap away from, so it reaches as far as they do.
            same = " AND ".join(filter(None, (alike(window.key, "w", "m"), f"m.m > w.{START} - {span(size)}")))
            return (
                f"SELECT DISTINCT {keys}least(m.m, w.{START}) AS lo, "
                f"greatest(m.m, w.{END} - {span(size)}) + {span(_MOMENT)} AS hi "
                f"FROM {MOMENTS} m LEFT JOIN {standing} w ON {same} AND m.m < w.{END}"
            )
        case _:
            every = bucket("m.m", size)
            return f"SELECT {keys}min(m.m) AS lo, max(m.m) + {span(size)} AS hi FROM {MOMENTS} m GROUP BY {keys}{every}"


def within(spec: WindowedSpec, row: str) -> str:
    """Return the condition that a row of the result, under its alias, lies in a scope ``s``."""
    time = f"{row}.{identifier(result_time(spec.window, spec.event_time))}"
    return " AND ".join(filter(None, (alike(spec.window.key, row, "s"), f"{time} >= s.lo", f"{time} < s.hi")))
