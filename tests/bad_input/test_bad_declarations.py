"""A project or a pipeline that says what cannot be: refused before anything is written."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from spoiled import TOML, Shop

BAD_TOML = {
    "section": (TOML + "[enviroments.staging]\nlake='x'\n", ("enviroments", "Did you mean 'environments'?")),
    "environment": (TOML + "[environments.stagin]\nlake='x'\n", ("stagin", "Did you mean 'staging'?")),
    "key": (TOML.replace("pipelines", "pipelnes"), ("pipelnes", "Did you mean 'pipelines'?")),
    "key of an environment": (TOML + "[environments.staging]\nlaek='x'\n", ("laek", "Did you mean 'lake'?")),
    "key of a connection": (TOML + "[connections.api]\nurl='http://h'\nraet=5\n", ("raet", "Did you mean 'rate'?")),
    "scheme": (TOML + "[connections.ops]\nurl='sqlit:///ops.db'\n", ("sqlit", "Did you mean 'sqlite'?")),
    "no url": (TOML + "[connections.ops]\nulr='sqlite:///ops.db'\n", ("connections.ops.url", "'ulr'")),
    "no TOML": (TOML + "lake = data\n", ("penstock.toml", "line ")),
    "variable": (TOML + "[connections.ops]\nurl='sqlite:///${OPS_FOLDR}/ops.db'\n", ("OPS_FOLDR", "connections.ops")),
    "memory": (TOML + "memory='lots'\n", ("project.memory", "lots", "512MiB")),
    "one lake": (TOML + "[environments.production]\nlake='data/staging/lake'\n", ("overlap", "two folders")),
    "module": (TOML.replace("pipeline:shop", "pipelin:shop"), ("pipelin", "Did you mean 'pipeline'?")),
    "attribute": (TOML.replace("pipeline:shop", "pipeline:shoop"), ("shoop", "Did you mean 'shop'?")),
    "no value": (TOML.replace('"shop"', '""', 1), ("project.name", "at least 1")),
    "latin-1": ((TOML + "# caf\xe9\n").encode("latin-1"), ("penstock.toml", "UTF-8")),
    "catalog": (TOML + "catalog='mysql://h/db'\n", ("mysql", "sqlite", "postgresql")),
}


@pytest.mark.parametrize("given", BAD_TOML)
@pytest.mark.parametrize("line", [("run",), ("status", "--json")], ids=" ".join)
def test_a_bad_penstock_toml(shop: Shop, given: str, line: tuple[str, ...]) -> None:
    text, words = BAD_TOML[given]
    shop.write("penstock.toml", text)
    if line[0] == "status":
        said = shop.type(*line)
        assert (said.code, said.out) == (2, "")
        assert '"ConfigurationError"' in said.err
    else:
        shop.refused(shop.type(*line), 2, *words)
    assert sorted(path.name for path in shop.folder.iterdir()) == ["orders.csv", "penstock.toml", "pipeline.py"]


REST = 'sources.rest("api", path="/o", table="orders", options={%s})'
BAD_PIPELINES = {
    "table in checks": ({"checks": '"ordres": [checks.unique("order_id")]'}, ("ordres", "Did you mean 'orders'?")),
    "table to promote": ({"promote": '"revenu"'}, ("revenu", "Did you mean 'revenue'?")),
    "table in SQL": (
        {"transforms": 'sql("revenue", text="SELECT * FROM ordres")'},
        ("ordres", "revenue", "Did you mean 'orders'?"),
    ),
    "table of a parameter": (
        {"transforms": "revenue", "code": "def revenue(ordres):\n    return ordres"},
        ("ordres", "pipeline.py:4", "Did you mean 'orders'?"),
    ),
    "cycle": (
        {
            "transforms": 'sql("revenue", text="SELECT * FROM b"), sql("b", text="SELECT * FROM revenue")',
        },
        ("need each other: revenue → b → revenue", "Take one"),
    ),
    "itself": ({"transforms": 'sql("revenue", text="SELECT * FROM revenue")'}, ("revenue",)),
    "syntax of SQL": ({"transforms": 'sql("revenue", text="SELEC * FORM orders")'}, ("revenue", "SELEC", "one SELECT")),
    "two statements": ({"transforms": 'sql("revenue", text="SELECT 1 AS x; DROP TABLE orders")'}, ("revenue",)),
    "missing file": ({"transforms": 'sql("revenue.sql")'}, ("revenue.sql", "transforms")),
    "connection": (
        {"sources": 'sources.sql("ops", table="orders"), sources.sql("opps", table="people")'},
        ("opps", "ops"),
    ),
    "connection of files": ({"sources": 'sources.files("o.csv", table="orders", connection="fils")'}, ("fils",)),
    "argument of a source": (
        {"sources": 'sources.files("orders.csv", table="orders", wirte="replace")'},
        ("wirte", "Did you mean 'write'?"),
    ),
    "write mode": ({"sources": 'sources.files("orders.csv", table="orders", write="replce")'}, ("replce", "replace")),
    "merge without key": ({"sources": 'sources.files("orders.csv", table="orders", write="merge")'}, ("key", "orders")),
    "option of files": (
        {"sources": 'sources.files("orders.csv", table="orders", options={"formt": "csv"})'},
        ("formt", "Did you mean 'format'?"),
    ),
    "option of CSV": (
        {"sources": 'sources.files("orders.csv", table="orders", options={"csv": {"delimeter": ";"}})'},
        ("delimeter", "Did you mean 'delimiter'?"),
    ),
    "format": ({"sources": 'sources.files("orders.csv", table="orders", format="cvs")'}, ("cvs", "csv")),
    "option of REST": (
        {"sources": REST % '"pagng": "link"'},
        ("pagng", "Did you mean 'paging'?"),
    ),
    "paging": ({"sources": REST % '"paging": "lnk"'}, ("lnk", "Did you mean 'link'?")),
    "severity": (
        {"checks": '"orders": [checks.unique("order_id", severity="eror")]'},
        ("eror", "warn, quarantine, error"),
    ),
    "argument of a check": (
        {"checks": '"orders": [checks.between("amount", 0, 1, severty="warn")]'},
        ("severty", "Did you mean 'severity'?"),
    ),
    "bound of a check": (
        {"checks": '"orders": [checks.between("amount", 5, 1)]'},
        ("between('amount')", "low is above high", "5, 1"),
    ),
    "kind of check": (
        {"checks": '"orders": [checks.uniqe("order_id")]'},
        ("uniqe", "pipeline.py, line 9", "Did you mean 'unique'?"),
    ),
    "name from the package": ({"code": "from penstock import Pipelin"}, ("Pipelin", "Did you mean 'Pipeline'?")),
    "no check": ({"checks": '"orders": ["order_id"]'}, ("not a check", "order_id")),
    "reference to no table": (
        {"checks": '"orders": [checks.references("country", "contries.code")]'},
        ("contries",),
    ),
    "schedule": ({"more": 'schedule="@dayly"'}, ("@dayly", "@daily")),
    "start": ({"more": 'schedule="@daily", start="2026-13-01"'}, ("2026-13-01",)),
    "interval without schedule": (
        {"sources": 'sources.files("orders.csv", table="orders", interval="day")'},
        ("orders", "schedule"),
    ),
    "name twice": (
        {"transforms": 'sql("orders", text="SELECT 1 AS x")', "promote": ""},
        ("orders", "twice"),
    ),
    "name of a table": ({"sources": 'sources.files("orders.csv", table="my orders")'}, ("my orders",)),
    "table of a training set": (
        {"more": 'datasets=[training_set("t", from_="revenu", label="1")]'},
        ("revenu", "Did you mean 'revenue'?"),
    ),
    "argument of a training set": (
        {"more": 'datasets=[training_set("t", from_="revenue", label="1", splt=1)]'},
        ("splt", "Did you mean 'split'?"),
    ),
    "shares": (
        {"more": 'datasets=[training_set("t", from_="revenue", label="1", split=split_by("country", train=2))]'},
        ("sum to 1", "2"),
    ),
    "argument of the pipeline": (
        {"more": "trasforms=[]"},
        ("trasforms", "pipeline.py, line 6", "Did you mean 'transforms'?"),
    ),
    "Python": ({"code": "import pnadas"}, ("pnadas", "pipeline.py, line 4")),
    "syntax of Python": ({"code": "def ("}, ("pipeline.py, line 4",)),
    "exception": ({"code": "1 / 0"}, ("ZeroDivisionError", "pipeline.py, line 4")),
}


@pytest.mark.parametrize("given", BAD_PIPELINES)
def test_a_bad_pipeline(shop: Shop, given: str) -> None:
    declared, words = BAD_PIPELINES[given]
    shop.write(
        "penstock.toml",
        TOML + "[connections.ops]\nurl = 'sqlite:///ops.db'\n[connections.api]\nurl = 'http://127.0.0.1:9'\n",
    )
    with closing(sqlite3.connect(shop.folder / "ops.db")) as ops, ops:
        ops.execute("CREATE TABLE orders (order_id INTEGER, country TEXT, amount REAL)")
    ops.close()
    shop.declare(**declared)
    shop.refused(shop.type("run"), 2, *words)
    assert shop.tree() == {}
    assert shop.type("plan").code in (0, 2)
    assert shop.tree() == {}
