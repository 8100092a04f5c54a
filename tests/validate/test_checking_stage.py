# ruff: noqa: DTZ001 - moments without a zone are among what is checked
"""The stage as a whole: severities, sentences, examples, misspellings, hostile names and values, the profile."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from penstock import checks
from penstock.errors import ConfigurationError, DataError, TransientError
from penstock.model.entries import Column, DataFile, Origin
from penstock.model.specs import CheckSpec
from penstock.queries import relations

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
FLIGHTS = pa.table(
    {
        "id": [1, 2, 2, 4, 5, 5],
        "month": [1, 13, 3, None, 0, 6],
        "origin": ["JFK", "LGA", "", "EWR", None, "JFK"],
        "at": [datetime(2026, 11, 20, 10), None, datetime(2026, 11, 19), None, None, datetime(2026, 11, 20, 9)],
    }
)
PLANES = {"airports": "(SELECT unnest(['JFK', 'LGA', 'EWR']) AS faa)"}


@pytest.fixture
def flights(bench: Any) -> Any:
    return bench.land(FLIGHTS, [4, 2])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (checks.not_null("month"), "month is missing in 1 of 6 rows (16.7 %)"),
        (checks.not_null("month", "origin"), "month or origin is missing in 2 of 6 rows (33.3 %)"),
        (checks.unique("id"), "id repeats in 2 of 6 rows (33.3 %)"),
        (checks.between("month", 1, 12), "month is outside 1 to 12 in 2 of 6 rows (33.3 %)"),
        (checks.between("month", low=1), "month is below 1 in 1 of 6 rows (16.7 %)"),
        (checks.between("month", high=12), "month is above 12 in 1 of 6 rows (16.7 %)"),
        (checks.in_set("origin", ["JFK"]), "origin is not JFK in 3 of 6 rows (50.0 %)"),
        (
            checks.in_set("month", range(1, 9)),
            "month is not one of 1, 2, 3, 4, 5, 6 and 2 more in 2 of 6 rows (33.3 %)",
        ),
        (checks.matches("origin", "[A-Z]{3}"), "origin does not match [A-Z]{3} in 1 of 6 rows (16.7 %)"),
        (checks.matches("month", r"\d"), r"month does not match \d in 1 of 6 rows (16.7 %)"),
        (checks.references("origin", "airports.faa"), "origin has no match in airports.faa in 1 of 6 rows (16.7 %)"),
        (checks.expression("month > id"), "month > id does not hold in 2 of 6 rows (33.3 %)"),
        (checks.expression("false", where="id = 1"), "false does not hold in 1 of 1 row (100 %)"),
        (checks.row_count(min=1000), "6 rows, expected at least 1,000"),
        (checks.row_count(max=1, where="id > 1"), "5 rows where id > 1, expected at most 1"),
        (checks.row_count(min=7, max=9), "6 rows, expected 7 to 9"),
        (
            checks.fresh("at", "26h", where="id > 1"),
            "the newest at (2026-11-20 09:00:00 UTC) is 1d3h old, expected at most 1d2h",
        ),
        (checks.fresh("at", "1h", where="id = 4"), "at has no value, expected one at most 1h old"),
    ],
)
def test_each_failure_is_one_sentence(flights: Any, spec: CheckSpec, message: str) -> None:
    assert flights.failure(spec, tables=PLANES).message == message


def test_what_holds_is_named(flights: Any) -> None:
    held = [
        checks.fresh("at", "26h"),
        checks.row_count(min=6, max=6),
        checks.not_null("id"),
        checks.expression("id > 0"),
    ]
    receipt = flights.check(*held)
    assert receipt.report.passed == ("fresh(at)", "row_count", "not_null(id)", "id > 0")
    assert not receipt.report.rejects


def test_rows_are_accounted_for(flights: Any) -> None:
    receipt = flights.check(
        checks.between("month", 1, 12, severity="quarantine"),
        checks.unique("id", severity="quarantine"),
        checks.not_null("origin", severity="warn"),
        checks.row_count(min=6, max=6),
    )
    assert flights.set_aside(receipt) == {
        1: ["between(month)"],
        2: ["unique(id)"],
        4: ["between(month)"],
        5: ["unique(id)"],
    }
    report = receipt.report
    assert (report.rows, report.quarantined, report.rejects) == (6, 4, False)
    accepted = flights.connection.execute(
        f"SELECT count(*) FROM {flights.relation} r WHERE NOT EXISTS (SELECT 1 FROM "
        f"read_parquet('{flights.objects.uri(receipt.quarantine)}') q "
        f"WHERE r._penstock_row = q._row AND ends_with(r._penstock_file, q._file))"
    ).fetchall()
    assert accepted == [(2,)]


def test_rejected_rows_are_set_aside_too(flights: Any) -> None:
    receipt = flights.check(checks.not_null("origin"), checks.between("month", 1, 12, severity="quarantine"))
    assert receipt.report.rejects
    assert receipt.report.quarantined == 2


def test_without_a_path_nothing_is_set_aside(flights: Any) -> None:
    spec = checks.between("month", 1, 12, severity="quarantine")
    receipt = flights.check(spec, relation="(SELECT 13 AS month)", quarantine_path=None, files=())
    assert (receipt.report.failures[0].count, receipt.report.quarantined, receipt.quarantine) == (1, 0, None)
    with pytest.raises(ConfigurationError, match="only rows that stand in lake files"):
        flights.check(spec, relation="(SELECT 13 AS month)", files=())


def test_no_rows(bench: Any) -> None:
    flights = bench.land(FLIGHTS.slice(0, 0))
    by_row = [
        *(checks.not_null("id"), checks.unique("id"), checks.between("month", 1, 2), checks.in_set("id", [1])),
        *(checks.matches("origin", "x"), checks.references("origin", "airports.faa"), checks.expression("id > 3")),
    ]
    receipt = flights.check(*by_row, checks.row_count(min=1), checks.fresh("at", "1h"), tables=PLANES)
    assert len(receipt.report.passed) == len(by_row)
    assert [item.message for item in receipt.report.failures] == [
        "0 rows, expected at least 1",
        "at has no value, expected one at most 1h old",
    ]
    assert receipt.profile["month"] == {"type": "BIGINT", "nulls": 0, "distinct": 0}


def test_an_empty_relation_without_files(flights: Any) -> None:
    nothing = relations.empty([("id", "BIGINT")], located=True)
    receipt = flights.check(
        checks.unique("id", severity="quarantine"),
        relation=nothing,
        columns=(Column(name="id", type="BIGINT"),),
        files=(),
        origins=(),
    )
    assert (receipt.report.rows, receipt.report.passed) == (0, ("unique(id)",))


@pytest.mark.parametrize(
    ("spec", "part"),
    [
        (checks.not_null("mont"), "There is no column 'mont'.*Did you mean 'month'?"),
        (checks.expression("mont > 3"), "There is no column 'mont'.*Did you mean 'month'?"),
        (checks.expression("flights.mont > 3"), "There is no column 'mont'"),
        (checks.not_null("id", where="mont > 3"), "There is no column 'mont'.*the where of"),
        (checks.references("origin", "airport.faa"), "There is no table 'airport'.*Did you mean 'airports'?"),
        (checks.references("origin", "airports.fa"), "There is no column 'fa'.*Did you mean 'faa'?"),
        (checks.expression("origin IN (SELECT faa FROM airport)"), "There is no table 'airport'"),
        (checks.expression("origin IN (SELECT fa FROM airports)"), "DuckDB understands.*fa"),
        (checks.expression("month >"), "cannot be read as SQL|syntax error"),
        (checks.expression("month > 3; DROP TABLE t"), "exactly one query"),
        (checks.expression("month > 3, id"), "must be one SQL condition"),
        (checks.expression("*"), "must be one SQL condition"),
        (checks.expression("month > 3 FROM airports"), "must be one SQL condition"),
        (checks.expression("id) OR (1=1"), "cannot be read as SQL|syntax error"),
        (checks.expression("max(month) > 3"), "more than one row"),
        (checks.expression("row_number() OVER () = 1"), "more than one row"),
        (checks.expression("at < now()"), "Write :now"),
        (checks.expression("random() < 2"), "Write :now"),
        (checks.expression("at < :later"), "parameter :later"),
        (checks.expression("at > $1"), "parameter"),
        (checks.expression("origin IN (SELECT * FROM read_csv('/etc/passwd'))"), "table function"),
        (checks.expression("origin IN (SELECT * FROM '/etc/passwd')"), "reads the file"),
        (checks.expression("getenv('HOME') = 'x'"), "reads from outside"),
        (checks.expression("nosuch(id)"), "nosuch"),
        (checks.expression("at + origin"), "DuckDB understands"),
        (checks.between("origin", 1, 2, where="[1"), "cannot be read as SQL"),
        (checks.between("at", 1, 2), "of type TIMESTAMP.*ISO date"),
        (checks.between("at", "yesterday"), "of type TIMESTAMP.*ISO date"),
        (checks.between("month", "a", "b"), "of type BIGINT"),
        (checks.in_set("month", [True]), "of type BIGINT"),
        (checks.in_set("origin", [True]), "of type VARCHAR"),
        (checks.matches("origin", r"(?=a)b"), "RE2"),
        (checks.matches("origin", r"(a)\1"), "RE2"),
        (checks.fresh("id", "1h"), "dates or times"),
        (CheckSpec(kind="uniqe", columns=("id",), name="u"), "There is no kind of check 'uniqe'.*'unique'"),
    ],
)
def test_what_cannot_be_checked_is_refused_before_any_work(flights: Any, spec: CheckSpec, part: str) -> None:
    before = checks.function(lambda _: pytest.fail("work was done"), name="before")
    with pytest.raises(ConfigurationError, match=f"(?s){part}"):
        flights.check(before, spec, tables=PLANES)


def test_two_checks_of_one_name_are_refused(flights: Any) -> None:
    with pytest.raises(ConfigurationError, match="same name"):
        flights.check(checks.between("month", 1, 2), checks.between("month", 1, 12))


def test_a_renamed_source_column_is_pointed_out(flights: Any) -> None:
    columns = (*flights.columns, Column(name="created_at__source", type="DATE", source_name="created_at"))
    with pytest.raises(ConfigurationError, match=r"stored under another name.*created_at__source"):
        flights.check(checks.not_null("created_at"), columns=columns)


def test_a_column_that_the_files_lack_is_null(flights: Any) -> None:
    columns = (*flights.columns, Column(name="gate", type="VARCHAR"))
    assert flights.failure(checks.not_null("gate"), columns=columns).count == 6
    receipt = flights.check(checks.not_null("gate", severity="quarantine"), columns=columns)
    assert len(flights.set_aside(receipt)) == 6


def test_columns_are_found_without_regard_to_case(flights: Any) -> None:
    assert flights.failure(checks.between("Month", 1, 12)).columns == ("month",)


def test_examples_are_five_short_texts_that_hide_what_is_personal(bench: Any) -> None:
    rows = pa.table(
        {"s": ["x" * 10**6] * 40, "secret": [f"name {number}" for number in range(40)], "n": [{"a": [1] * 1000}] * 40}
    )
    flights = bench.land(rows, [20, 20])
    asked = [
        *(
            checks.matches("s", "y"),
            checks.in_set("secret", ["z"]),
            checks.unique("s"),
            checks.expression("len(n.a) = 1"),
        ),
        *(
            checks.unique("secret", where="secret = 'no'"),
            checks.between("secret", "a", "b"),
            checks.references("secret", "t.k"),
        ),
        checks.function(lambda _: [False] * 40, name="all"),
    ]
    receipt = flights.check(*asked, personal=("Secret",), tables={"t": "(SELECT 'q' AS k)"})
    text = json.dumps([[item.examples, item.message] for item in receipt.report.failures]) + json.dumps(receipt.profile)
    assert "name" not in text
    assert len(text) < 12_000
    by_name = {item.check: item for item in receipt.report.failures}
    assert len(by_name) == 7
    assert all(len(item.examples) <= 5 for item in receipt.report.failures)
    assert by_name["matches(s)"].examples[0] == {"s": "x" * 79 + "…", "_origin": "flights.csv, row 1"}
    assert by_name["unique(s)"].examples == ({"s": "x" * 79 + "…", "rows": 40},)
    assert by_name["in_set(secret)"].examples[4] == {"secret": "•••", "_origin": "flights.csv, row 5"}
    assert by_name["all"].examples[0]["secret"] == "•••"
    assert by_name["len(n.a) = 1"].examples[0]["n"].startswith("{'a': [1, 1")
    assert receipt.profile["secret"] == {
        "type": "VARCHAR",
        "nulls": 0,
        "distinct": receipt.profile["secret"]["distinct"],
    }


def test_origins_are_found_by_position(flights: Any) -> None:
    origins = (
        Origin(uri="a.csv", first=0, rows=1),
        Origin(uri="empty.csv", first=1, rows=0),
        Origin(uri="b.csv", first=1, rows=3, detail={"page": 2, "row": "taken"}),
    )
    receipt = flights.check(checks.between("month", 1, 12, severity="quarantine"), origins=origins)
    (failure,) = receipt.report.failures
    assert [item["_origin"] for item in failure.examples] == ["b.csv, row 1", "row 5 of the load"]
    found = flights.connection.execute(
        f"SELECT _origin, _origin_detail FROM read_parquet('{flights.objects.uri(receipt.quarantine)}')"
    ).fetchall()
    assert found == [("b.csv", '{"row":0,"page":2}'), (None, None)]


def test_rows_may_refer_to_each_other(bench: Any) -> None:
    flights = bench.land(pa.table({"id": [3, 4, 5], "boss": [1, 5, 9]}))
    spec = checks.references("boss", "flights.id", severity="quarantine")
    held = {"flights": "(SELECT unnest([1, 2]) AS id)"}
    assert flights.set_aside(flights.check(spec, tables=held)) == {2: ["references(boss)"]}
    assert flights.check(spec).report.failures[0].count == 2


def test_unique_against_the_table(bench: Any) -> None:
    flights = bench.land(pa.table({"id": [3, 4, 4, 5, None]}))
    spec = checks.unique("id", against="table", severity="quarantine")
    receipt = flights.check(spec, tables={"raw_flights": "(SELECT unnest([3, 5, 3, NULL]) AS ID)"})
    assert flights.set_aside(receipt) == {position: ["unique(id)"] for position in (0, 2, 3)}
    assert flights.failure(spec).count == 1


def test_checks_see_original_types_and_the_quarantine_keeps_stored_ones(bench: Any) -> None:
    uid = "6f1c2c1e-6a52-4a55-9d0c-0123456789ab"
    flights = bench.land(
        pa.table(
            {
                "u": [uid, None],
                "t": [3_600_000_000, 0],
                "big": [Decimal(2**64 - 1), Decimal(1)],
                "j": ['{"a": 1}', "[]"],
            }
        ),
        types={"u": "UUID", "t": "TIME", "big": "UBIGINT", "j": "JSON"},
    )
    receipt = flights.check(
        checks.in_set("u", [uid.upper()]),
        checks.between("t", "00:30", "02:00", severity="quarantine"),
        checks.between("big", 2, severity="quarantine"),
        checks.expression("j->>'a' = '1'"),
        checks.expression("t = TIME '01:00' OR hour(t) = 0"),
    )
    assert receipt.report.passed == ("in_set(u)", "j->>'a' = '1'", "t = TIME '01:00' OR hour(t) = 0")
    assert flights.set_aside(receipt) == {1: ["between(t)", "between(big)"]}
    described = flights.connection.execute(
        f"DESCRIBE SELECT * FROM read_parquet('{flights.objects.uri(receipt.quarantine)}')"
    ).fetchall()
    assert [(name, type_) for name, type_, *_ in described] == [
        *(("u", "VARCHAR"), ("t", "BIGINT"), ("big", "DECIMAL(20,0)"), ("j", "VARCHAR")),
        *(("_reasons", "VARCHAR[]"), ("_file", "VARCHAR"), ("_row", "BIGINT"), ("_origin", "VARCHAR")),
        ("_origin_detail", "VARCHAR"),
    ]
    assert receipt.profile["t"]["max"] == "01:00:00"


def test_nan_is_seen_although_arrow_leaves_it_out_of_the_statistics(bench: Any) -> None:
    flights = bench.land(pa.table({"x": [1.0, 1.0, math.nan], "f": pa.array([1.0, 1.0, math.nan], pa.float32())}))
    for spec in (
        *(checks.between("x", 0, 1), checks.between("f", high=5), checks.in_set("x", [1.0]), checks.in_set("f", [1])),
        *(checks.expression("x <= 1"), checks.expression("NOT isnan(f)")),
        checks.references("x", "t.k"),
    ):
        assert flights.failure(spec, tables={"t": "(SELECT 1.0::DOUBLE AS k)"}).count == 1
    assert flights.check(checks.not_null("x")).report.failures == ()


def test_moments_are_compared_as_utc(bench: Any) -> None:
    at = datetime(2013, 1, 1, 12, tzinfo=UTC)
    flights = bench.land(
        pa.table({"z": [at], "n": [at.replace(tzinfo=None)], "d": [date(2013, 1, 1)], "s": ["2013-01-01 14:00:00+02"]})
    )
    for name in ("z", "n"):
        assert flights.check(checks.between(name, "2013-01-01T13:00:00+01:00", at)).report.passed
        assert flights.failure(checks.between(name, "2013-01-01T12:00:01")).count == 1
    assert flights.check(checks.between("d", "2013-01-01", date(2013, 1, 1))).report.passed
    assert flights.failure(checks.between("d", "2013-01-01T00:00:01")).count == 1
    for name in ("z", "n", "s"):
        assert flights.check(checks.fresh(name, "1h"), now=at + timedelta(hours=1)).report.passed
        assert flights.failure(checks.fresh(name, "1h"), now=at + timedelta(minutes=61)).count == 1


def test_endless_dates_do_not_count_as_fresh(flights: Any) -> None:
    relation = "(SELECT unnest([DATE 'infinity', DATE '-infinity', DATE '2026-11-01', DATE '290000-01-01']) AS d)"
    columns = (Column(name="d", type="DATE"),)
    spec = {"relation": relation, "columns": columns, "files": (), "quarantine_path": None}
    assert flights.check(checks.fresh("d", "1h"), **spec).report.passed
    past = {**spec, "relation": f"(SELECT * FROM {relation} WHERE d < DATE '2100-01-01' OR isinf(d))"}
    assert "2026-11-01" in flights.failure(checks.fresh("d", "1h"), **past).message


def test_profile(bench: Any) -> None:
    rows = pa.table(
        {
            "i": [1, 2, None, 5],
            "x": [1.0, math.nan, math.inf, 3.0],
            "d": [Decimal("1.50"), Decimal("2.50"), None, None],
            "s": ["b", "z" * 500, None, "a"],
            "b": [True, False, None, True],
            "at": [datetime(2013, 1, 1), datetime(2013, 6, 1), None, None],
            "n": [{"a": 1}, None, {"a": 2}, {"a": 3}],
            "huge": [1e308, -1e308, 1e308, -1e308],
        }
    )
    profile = bench.land(rows, [2, 2]).check(personal=("d",)).profile
    assert json.loads(json.dumps(profile, allow_nan=False)) == profile
    assert profile["i"] == {
        "type": "BIGINT",
        "nulls": 1,
        "distinct": 3,
        "min": 1,
        "max": 5,
        "mean": pytest.approx(8 / 3),
        "deviation": pytest.approx(1.699673),
    }
    assert profile["x"] == {
        "type": "DOUBLE",
        "nulls": 0,
        "distinct": 4,
        "nans": 1,
        "min": 1.0,
        "max": 3.0,
        "mean": 2.0,
        "deviation": 1.0,
    }
    assert profile["d"] == {"type": "DECIMAL(3,2)", "nulls": 2, "distinct": 2}
    assert profile["s"] == {"type": "VARCHAR", "nulls": 1, "distinct": 3, "min": "a", "max": "z" * 79 + "…"}
    assert profile["b"] == {"type": "BOOLEAN", "nulls": 1, "mean": pytest.approx(2 / 3)}
    assert profile["at"]["max"] == "2013-06-01 00:00:00"
    assert profile["n"] == {"type": "STRUCT(a BIGINT)", "nulls": 1}
    assert profile["huge"]["max"] == 1e308


def test_wide_tables_are_profiled_in_several_queries(bench: Any) -> None:
    flights = bench.land(pa.table({f"c{number}": [number, None] for number in range(150)}))
    receipt = flights.check(*(checks.not_null(f"c{number}", severity="warn") for number in range(150)))
    assert len(receipt.report.failures) == 150
    assert all(receipt.profile[f"c{number}"]["max"] == number for number in range(150))


def test_progress_is_told(flights: Any) -> None:
    from penstock.validate.checking import Checking, CheckPorts, check

    told: list[tuple[int, int]] = []
    spec = Checking(
        table="raw_flights",
        checks=(),
        relation=flights.relation,
        columns=flights.columns,
        now=NOW,
        quarantine_path=None,
    )
    ports = CheckPorts(
        connection=flights.connection, objects=flights.objects, advance=lambda rows, size: told.append((rows, size))
    )
    check(spec, ports)
    assert told == [(6, 0)]


def test_a_missing_or_torn_file_is_a_sentence(flights: Any) -> None:
    path = flights.root / "raw_flights" / flights.files[1].path
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises((DataError, TransientError), match="raw_flights"):
        flights.check(checks.not_null("id"))
    path.unlink()
    with pytest.raises(TransientError, match="raw_flights"):
        flights.check(checks.not_null("id"))


def test_files_of_one_name_in_several_folders_keep_their_order(bench: Any) -> None:
    import pyarrow.parquet as pq

    from penstock.queries.relations import parquet

    folder = bench.root / "raw_flights"
    files = []
    for number, name in enumerate(("created_at=2/part.parquet", "created_at=1/part.parquet", "part.parquet")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"id": [1, number]}), folder / name)
        files.append(DataFile(path=name, rows=2, bytes=1))
    bench.files = tuple(files)
    bench.relation = parquet([str(folder / file.path) for file in files], located=True)
    bench.columns = (Column(name="id", type="BIGINT"),)
    receipt = bench.check(checks.unique("id", severity="quarantine"))
    assert sorted(bench.set_aside(receipt)) == [2, 3, 4]
