"""penstock test: transforms on small rows, by the real engine; what differs is shown row by row."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.cli.main import main

SETTINGS = """
[project]
name = "shop"
pipelines = ["pipeline:shop"]
[connections.ops]
url = "sqlite:///no.db"
"""

SHOP = """
from penstock import Pipeline, sources, sql, transform

@transform(interval="day")
def daily(orders, interval_start, interval_end):
    return orders.filter(f"placed >= '{interval_start}' AND placed < '{interval_end}'").aggregate(
        "placed::DATE AS day, sum(price) AS price")

shop = Pipeline(
    name="shop", schedule="@daily", start="2024-01-01",
    sources=[sources.sql("ops", table="orders", interval="placed"), sources.sql("ops", table="rates")],
    transforms=[
        sql("euros", text="SELECT o.id, o.name, o.price * r.rate AS euro FROM orders o LEFT JOIN rates r USING (id)"),
        daily,
        sql("total", text="SELECT sum(euro) AS total FROM euros"),
    ],
)
"""

EUROS = """
[[case]]
name = "prices are in euros"
expected = '''
id,euro
1,5
2,0.3
2,
'''
[case.given]
orders = '''
id:BIGINT,name,price:DOUBLE
1,a,10
2,,0.6
3,"",7
'''
rates = '''
id:BIGINT,rate:DOUBLE
1,0.5
2,0.5
'''

[[case]]
name = "no rows"
expected = "id,name,euro"
given.orders = "id:BIGINT,name,price:DOUBLE"
given.rates = "id:BIGINT,rate:DOUBLE"

[[case]]
name = "empty is not null"
expected = '''
name,euro
a,1
"",
,
'''
[case.given]
rates = '''
id,rate
1,1
'''
orders = '''
id,name,price:DOUBLE
1,a,1
2,"",1
3,,1
'''
"""

DAILY = """
[[case]]
name = "a day is half open"
interval = "2024-01-02"
expected = '''
day,price
2024-01-02,0.3
'''
[case.given]
orders = '''
placed:TIMESTAMP,price:DOUBLE
2024-01-01 23:59:59,9
2024-01-02 00:00:00,0.1
2024-01-02 23:59:59,0.2
2024-01-03 00:00:00,9
'''
"""

Say = Callable[..., tuple[int, str]]


@pytest.fixture
def say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Say:
    (tmp_path / "penstock.toml").write_text(
        '[project]\nname = "shop"\npipelines = ["pipeline:shop"]\n[connections.ops]\nurl = "sqlite:///no.db"\n'
    )
    (tmp_path / "pipeline.py").write_text(SHOP)
    (tmp_path / "tests").mkdir()

    def run(*arguments: str, **files: str) -> tuple[int, str]:
        for name, text in files.items():
            (tmp_path / f"tests/{name}.toml").write_text(text)
        with pytest.raises(SystemExit) as ended:
            main(["test", *arguments, "--project", str(tmp_path)])
        out = capsys.readouterr()
        return int(ended.value.code or 0), out.out + out.err

    return run


def test_rows_that_differ_are_shown_side_by_side(say: Say, tmp_path: Path) -> None:
    code, said = say(euros=EUROS, daily=DAILY)
    assert code == 1
    lines = [" ".join(line.split()) for line in said.splitlines()]
    assert "ok daily: a day is half open" in lines
    assert "ok euros: no rows" in lines
    assert "ok euros: empty is not null" in lines
    assert "failed euros: prices are in euros (tests/euros.toml)" in lines
    place = lines.index("id euro")
    assert lines[place + 1 : place + 4] == ["- expected 2 NULL", "+ came 3 NULL", "1 row missing, 1 row not expected"]
    assert "3 passed, 1 failed." in lines
    assert "Without a test: total." in lines
    assert not (tmp_path / "data").exists()


def test_tests_that_pass_end_with_0_and_json_holds_all(say: Say) -> None:
    code, said = say("daily", "--json", euros=EUROS, daily=DAILY)
    report = json.loads(said)
    assert (code, [case["passed"] for case in report["cases"]]) == (0, [True])
    assert report["untested"] == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("price:DOUBLE", "prices:DOUBLE"), "price"),
        (("2024-01-02,0.3", "soon,0.3"), "is of no type that 'daily' gives"),
        (("day,price\n2024-01-02,0.3", "dday,price\n2024-01-02,0.3"), "dday"),
        (("orders = ", "order = "), "gives no rows for 'orders'"),
        (('interval = "2024-01-02"\n', ""), "interval"),
    ],
)
def test_what_goes_wrong_in_a_test_is_a_test_that_fails(say: Say, change: tuple[str, str], said: str) -> None:
    assert change[0] in DAILY
    code, text = say(daily=DAILY.replace(*change))
    assert code == 1, text
    assert "failed  daily" in text
    assert said in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[case]]\nexpect = ''", "expect"),
        ("[[case]]\ngiven.orders = 1\nexpected = ''", "must be tables of CSV text"),
        ("[[cases]]\nname = 'x'", "cases"),
        ("[[case]]\ntable = 'nope'\ngiven.orders = ''\nexpected = ''", "nope"),
        ("not toml", "is not valid TOML"),
    ],
)
def test_a_file_that_is_no_test_is_refused(say: Say, text: str, said: str) -> None:
    code, printed = say(euros=text)
    assert code == 2
    assert said in printed


def test_a_project_without_tests_is_told_how_to_write_one(say: Say) -> None:
    code, said = say()
    assert code == 2
    assert "tests/TABLE.toml" in said
