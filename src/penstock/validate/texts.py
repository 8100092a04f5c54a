"""Texts that are sketched in the pass of the checks: to decode them once more takes as long as the rest of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from penstock.model.entries import Column
from penstock.queries.text import identifier
from penstock.validate.gathering import Gathering
from penstock.validate.glancing import Glance, glance
from penstock.validate.sketching import SHORT, bitmap, full, limit_of
from penstock.validate.values import family

BITS, LENGTHS = "bits", "lengths"
"""The two aggregates of a text: the registers of its values, and how often each length is there."""
_MARGIN = 2
"""Lengths that are counted beyond the least and the greatest that were seen among some rows."""
_MOST_LENGTHS = 64
_MOST_TEXTS = 12


class Texts:
    """The texts that are taken along.

    Args:
        source: The rows, some of which were read.
        columns: The columns that are sketched.
        read: Names of those that the pass reads.
        total: About how many rows there are.
    """

    def __init__(self, source: Gathering, columns: Sequence[Column], read: Collection[str], total: int) -> None:
        texts = [each for each in columns if each.name in read and family(each.type) == "text"][:_MOST_TEXTS]
        glances = glance(source, texts, total, again=False) if source.looked and texts else {}
        self._asked = {each.name: glances[each.name] for each in texts if _regular(glances.get(each.name))}

    def aggregates(self) -> list[tuple[str, str, str]]:
        """Return column, name and SQL of what is asked."""
        found = []
        for name, glanced in self._asked.items():
            value = identifier(name)
            counts = ", ".join(f"count_if(length(CAST({value} AS VARCHAR)) = {each})" for each in _lengths(glanced))
            bits = f"CAST({bitmap(value, limit_of(glanced))} AS VARCHAR)"
            found += [(name, BITS, bits), (name, LENGTHS, f"[{counts}]")]
        return found

    def taken(self, answers: Mapping[tuple[Any, str], Any]) -> dict[str, dict[str, Any]]:
        """Return what was found of each text; without those of which the pass saw too little.

        Args:
            answers: (column, name) to the answer.
        """
        found = {}
        for name, glanced in self._asked.items():
            bits, counts = answers.get((name, BITS)), answers.get((name, LENGTHS))
            if bits is not None and counts is not None and (limit_of(glanced) == 2**64 or full(bits)):
                # DuckDB's count_if of nulls alone is null.
                found[name] = {BITS: bits, LENGTHS: {x: n or 0 for x, n in zip(_lengths(glanced), counts, strict=True)}}
        return found


def _regular(glanced: Glance | None) -> bool:
    """Say whether a text has many values, of few lengths."""
    if glanced is None or glanced.few or glanced.scale is None or glanced.scale.greatest > SHORT:
        return False
    return len(_lengths(glanced)) <= _MOST_LENGTHS


def _lengths(glanced: Glance) -> range:
    assert glanced.scale is not None
    assert glanced.least is not None
    return range(max(0, int(glanced.least) - _MARGIN), int(glanced.scale.greatest) + _MARGIN + 1)
