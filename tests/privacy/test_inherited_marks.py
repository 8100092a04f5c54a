"""A result inherits the marks of nested personal values, under the names that they have once they are taken apart."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock import Project
from penstock.model.entries import Column
from penstock.privacy.inheritance import inherited

KEY = base64.b64encode(b"k" * 32).decode()
PEOPLE = [
    {
        "id": 1,
        "customer": {"email": "ada@example.org", "name": "Ada", "home": {"street": "Elm 1", "city": "Oslo"}},
        "guests": [{"email": "bo@example.org", "age": 7}],
        "card": {"number": "4711", "owner": "Ada"},
    }
]
CONTACTS = """
SELECT p.id, p.customer__email, p.customer__name, p.customer__home__street, p.customer__home__city,
       g.email, g.age, p.card, p.guests__length
FROM people p JOIN people__guests g ON g._parent = p._row
"""

SETTINGS = """
[project]
name = "p"
pipelines = ["marking_pipeline:p"]

[privacy]
key = "${PENSTOCK_PRIVACY_KEY}"
"""
PIPELINE = f"""
from penstock import Pipeline, sources, sql

personal = {{"customer.email": "tokenise", "customer.home.street": "mask", "guests.email": "tokenise", "card": "mask"}}
people = sources.files("people.jsonl", table="people", nested="tables", personal=personal)
p = Pipeline(name="p", sources=[people], transforms=[sql("contacts", table="contacts", text='''{CONTACTS}''')])
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.setenv("PENSTOCK_PRIVACY_KEY", KEY)
    (tmp_path / "people.jsonl").write_text("\n".join(map(json.dumps, PEOPLE)))
    (tmp_path / "penstock.toml").write_text(SETTINGS)
    (tmp_path / "marking_pipeline.py").write_text(PIPELINE)
    with Project(tmp_path) as opened:
        yield opened


def test_a_result_is_personal_where_a_nested_value_was(project: Project) -> None:
    project.run()
    (version,) = project.versions("contacts")
    marked = {column.name for column in version.schema if column.personal}
    assert marked == {"customer__email", "customer__home__street", "email", "card"}
    shown = {name for name, figures in version.profile.items() if {"min", "max"} & figures.keys()}
    assert shown == {"id", "customer__name", "customer__home__city", "age", "guests__length"}


def test_a_column_that_is_personal_as_a_whole_marks_what_lies_within() -> None:
    marks = inherited([Column(name="Customer", type="VARCHAR", personal="mask"), Column(name="id", type="BIGINT")],
                      children=False)  # fmt: skip
    assert [marks.of(name) for name in ("customer", "CUSTOMER__email", "customers", "id")] == [
        "mask",
        "mask",
        None,
        None,
    ]


def test_fields_of_child_tables_are_looked_for_only_where_such_are_read() -> None:
    column = Column(name="guests", type="VARCHAR", personal="email: tokenise (key 1), home.street: mask")
    names = ("guests__email", "email", "home__street", "street", "guests__home__street", "home__city")
    assert [inherited([column], children=True).of(name) for name in names] == [
        "tokenise (key 1)", "tokenise (key 1)", "mask", "mask", "mask", None,
    ]  # fmt: skip
    assert [inherited([column], children=False).of(name) for name in names] == [
        "tokenise (key 1)", None, None, None, "mask", None,
    ]  # fmt: skip
