"""Moments that come as texts of ISO 8601, as JSON has them, in a column that is to hold moments."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from penstock.queries.widening import fitting
from streams.stream_project import append, drained, made, served

ZONED, PLAIN = "TIMESTAMP WITH TIME ZONE", "TIMESTAMP"


@pytest.mark.parametrize(
    ("text", "type_", "expected"),
    [
        ("2026-11-22T05:00:00Z", ZONED, "2026-11-22 05:00:00+00"),
        ("2026-11-22T05:00:00+02:00", ZONED, "2026-11-22 03:00:00+00"),
        ("2026-11-22 05:00:00.250+02", ZONED, "2026-11-22 03:00:00.25+00"),
        ("2026-11-22T05:00Z", ZONED, "2026-11-22 05:00:00+00"),
        ("2026-11-22 05:00:00+00", ZONED, "2026-11-22 05:00:00+00"),
        ("2026-11-22T05:00:00.123456000Z", ZONED, "2026-11-22 05:00:00.123456+00"),
        ("2026-11-22T05:00:00", PLAIN, "2026-11-22 05:00:00"),
        # A part of the value would be lost or made up: a digit, a zone, a time of day.
        ("2026-11-22T05:00:00.1234567Z", ZONED, None),
        ("2026-11-22T05:00:00", ZONED, None),
        ("2026-11-22T05:00:00Z", PLAIN, None),
        ("2026-11-22", PLAIN, None),
        ("2026-13-22T05:00:00Z", ZONED, None),
        ("yesterday", ZONED, None),
    ],
)
def test_a_text_is_the_moment_that_it_spells(text: str, type_: str, expected: str | None) -> None:
    value, changes = fitting("text", "VARCHAR", type_)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.execute(f"SELECT ({value})::VARCHAR, {changes} FROM (SELECT ? AS text)", [text]).fetchall()
    assert found == [(expected, expected is None)]


def test_moments_of_a_stream_are_moments_by_its_contract(tmp_path: Path) -> None:
    pipeline = """
from penstock import Pipeline, sources
clicks = Pipeline(
    name="clicks",
    sources=[
        sources.tail(
            "logs/clicks*",
            table="clicks",
            stream={"every": "200ms"},
            contract={"each": {"at": "TIMESTAMP WITH TIME ZONE"}},
        )
    ],
)
"""
    folder = made(tmp_path, pipeline)
    append(folder / "logs/clicks.jsonl", [{"at": "2026-11-22T05:00:00Z"}, {"at": None}])
    drained(folder)
    append(folder / "logs/clicks.jsonl", [{"at": "2026-11-22T08:00:01.5+02:00"}])
    drained(folder)
    found = served(folder, 'SELECT "at" FROM raw_clicks WHERE "at" IS NOT NULL ORDER BY 1')
    moments = [datetime(2026, 11, 22, 5, tzinfo=UTC), datetime(2026, 11, 22, 6, 0, 1, 500_000, tzinfo=UTC)]
    assert [at.astimezone(UTC) for (at,) in found] == moments
