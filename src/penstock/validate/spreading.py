"""The profile of rows that another engine reads in portions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

from penstock.profiles.distinct import DistinctSketch
from penstock.profiles.profile import TableProfile
from penstock.queries.text import identifier
from penstock.stores.port import ANSWERS, Partial
from penstock.validate.gathering import Gathering
from penstock.validate.profile import Figure, completed, figures, profile
from penstock.validate.rows import Rows
from penstock.validate.sketching import UNITED_BITS, bitmap, sketch


def spread_profile(rows: Rows, personal: Sequence[str]) -> tuple[dict[str, dict[str, Any]], TableProfile]:
    """Return the figures of the profile, and the whole profile with its sketches, which tell most of them.

    Args:
        rows: The rows, with who is asked about them.
        personal: Columns of which no value may be kept.
    """
    source = Gathering(rows.long_json_as_text())
    wanted = [list(each) for _, each in groupby(_wanted(source.rows, personal), attrgetter("column"))]
    counted = Partial(f"SELECT count(*) AS c FROM {source.sql(())}", f"SELECT CAST(sum(c) AS BIGINT) FROM {ANSWERS}")
    ((total,),), *answers = source.ask([counted, *(_question(source, each) for each in wanted)])
    measured = {
        (figure.column, figure.name): _value(figure, value)
        for each, (values,) in zip(wanted, answers, strict=True)
        for figure, value in zip(each, values, strict=True)
    }
    shown = profile(rows.columns, measured)
    sketches = sketch(rows, source, personal, total, shown)
    return completed(shown, sketches), sketches


def _wanted(rows: Rows, personal: Sequence[str]) -> Sequence[Figure]:
    return tuple(figures(rows.columns, personal, sketched=True))


def _question(source: Gathering, asked: Sequence[Figure]) -> Partial:
    """Return the question for all figures of one column."""
    parts, wholes = [], []
    for place, figure in enumerate(asked):
        c = f"c{place}"
        if figure.name == "distinct":
            parts.append(f"CAST({bitmap(identifier(figure.column))} AS VARCHAR) AS {c}")
            wholes.append(UNITED_BITS.format(bits=c))
        else:
            parts.append(f"{figure.part or figure.sql} AS {c}")
            wholes.append(figure.whole.format(c=c))
    column = asked[0].column
    return Partial(
        f"SELECT {', '.join(parts)} FROM {source.sql([column])}", f"SELECT {', '.join(wholes)} FROM {ANSWERS}"
    )


def _value(figure: Figure, value: Any) -> Any:
    # Engines count a personal column approximately, each in its way; what they count by can be neither kept nor united.
    return DistinctSketch.of_bits(value or "", "").estimate() if figure.name == "distinct" else value
