from __future__ import annotations

import hashlib
from typing import Any

import pytest

from penstock.errors import ConfigurationError
from penstock.model.specs import DatasetSpec, SplitSpec

SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}


def spec(**fields: Any) -> DatasetSpec:
    split = fields.pop("split", SplitSpec(by=("tailnum",), shares=SHARES))
    return DatasetSpec(name="delay", table="departures", label="dep_delay > 15", event_time="at", split=split, **fields)


def test_a_group_is_in_one_split_and_shares_are_met(flights: Any) -> None:
    flights.table(
        "departures", "select i as flight_id, i % 2000 as tailnum, now() as at, 20 as dep_delay from range(20000) t(i)"
    )
    receipt = flights.build(spec())
    places: dict[int, set[str]] = {}
    for row in flights.rows(receipt):
        places.setdefault(row["tailnum"], set()).add(row["_split"])
    assert len(places) == 2000
    assert all(len(splits) == 1 for splits in places.values())
    for name, share in SHARES.items():
        assert abs(receipt.splits[name] / 20000 - share) < 0.03


def test_the_split_is_the_one_that_is_written_down(flights: Any) -> None:
    """First 13 hex digits of md5("seed:" + group) below the running sum of the shares, in the order of their names."""
    seen = set()
    for row in flights.rows(flights.build(spec(split=SplitSpec(by=("tailnum",), shares=SHARES, seed=42)))):
        if row["tailnum"] is None:
            continue
        digits = hashlib.md5(f"42:{row['tailnum']}".encode()).hexdigest()
        part = int(digits[:13], 16) / 16**13
        expected = "test" if part < 0.2 else "train" if part < 0.2 + 0.7 else "validation"
        assert (row["_split"], row["_group"]) == (expected, digits[:16])
        seen.add(expected)
    assert seen == set(SHARES)


def test_adding_rows_moves_none(flights: Any) -> None:
    before = {row["flight_id"]: row["_split"] for row in flights.rows(flights.build(spec()))}
    flights.table(
        "departures",
        f"""select * from {flights.relations["departures"]}
            union all select 9000 + i, 'N' || i, 'JFK', timestamptz '2013-05-01', 3 from range(500) t(i)""",
    )
    after = {row["flight_id"]: row["_split"] for row in flights.rows(flights.build(spec()))}
    assert len(after) == len(before) + 500
    assert {key: after[key] for key in before} == before


def test_rows_without_a_group_go_each_by_its_own(flights: Any) -> None:
    rows = [row for row in flights.rows(flights.build(spec())) if row["tailnum"] is None]
    assert len(rows) > 50
    assert {row["_group"] for row in rows} == {None}
    assert len({row["_split"] for row in rows}) > 1


def test_groups_of_several_columns_are_told_apart(flights: Any) -> None:
    flights.table(
        "departures",
        """select a, b, timestamp '2013-01-05' as "at", 20 as dep_delay
           from (values ('x', 'yz'), ('xy', 'z'), ('x', null), (null, null)) t(a, b)""",
    )
    rows = flights.rows(flights.build(spec(split=SplitSpec(by=("a", "b"), shares={"train": 1.0}))))
    groups = {(row["a"], row["b"]): row["_group"] for row in rows}
    assert len(set(groups.values())) == 4
    assert groups[None, None] is None


def test_the_seed_moves_rows_and_the_order_of_shares_does_not(flights: Any) -> None:
    def where(split: SplitSpec) -> dict[int, str]:
        return {row["flight_id"]: row["_split"] for row in flights.rows(flights.build(spec(split=split)))}

    plain = where(SplitSpec(by=("tailnum",), shares=SHARES))
    assert where(SplitSpec(by=("tailnum",), shares=dict(reversed(SHARES.items())))) == plain
    assert where(SplitSpec(by=("tailnum",), shares=SHARES, seed=1)) != plain


def test_a_group_is_the_same_as_text_or_as_wider_number(flights: Any) -> None:
    groups = []
    for type_ in ("integer", "bigint", "varchar"):
        flights.table("departures", f"select i::{type_} as tailnum, now() as at, 20 as dep_delay from range(50) t(i)")
        groups.append({str(row["tailnum"]): row["_group"] for row in flights.rows(flights.build(spec()))})
    assert groups[0] == groups[1] == groups[2]


@pytest.mark.parametrize(
    ("split", "said"),
    [
        (SplitSpec(by=("tailnum",), shares={"train": 0.8, "test": 0.1}), "sum to 1"),
        (SplitSpec(by=("tailnum",), shares={"train": 1.2, "test": -0.2}), "must be positive"),
        (SplitSpec(by=("tailnum",), shares={}), "sum to 1"),
        (SplitSpec(by=(), shares={"train": 1.0}), "at least one column"),
        (SplitSpec(by=("tailnumber",), shares={"train": 1.0}), "Did you mean 'tailnum'"),
        (SplitSpec(by=("tailnum",), shares={"../train": 1.0}), "split's name"),
    ],
)
def test_a_split_that_cannot_be_is_refused(flights: Any, split: SplitSpec, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        flights.build(spec(split=split))
    assert said in str(caught.value)
    assert not list((flights.root / "datasets").rglob("*.parquet"))
