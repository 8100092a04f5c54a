"""Personal columns through a load: marks, refusals, what merges, what is left out of logs."""

from __future__ import annotations

import base64
import json
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from penstock import Project, ingest, sources
from penstock.config.project import load_project
from penstock.errors import BugError, ConfigurationError, DataError, PenstockError, TransientError
from penstock.model.specs import SourceSpec
from penstock.privacy.keys import environment_keys, read_keys
from penstock.privacy.silence import silently
from penstock.privacy.values import decrypt, token_of

KEY = base64.b64encode(b"k" * 32).decode()
KEYS = read_keys(KEY, where="a test")
PEOPLE = [{"id": 1, "email": "ada@example.org", "age": 36}, {"id": 2, "email": None, "age": 41}]
Bring = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def bring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bring:
    """Ingest into one warehouse, whose raw zone stays; returns the rows of the table."""
    monkeypatch.setenv("PENSTOCK_PRIVACY_KEY", KEY)
    monkeypatch.chdir(tmp_path)

    def bring(data: Any, table: str = "people", **reading: Any) -> list[dict[str, Any]]:
        ingest(data, to=str(tmp_path / "w.duckdb"), table=table, **reading)
        with duckdb.connect(str(tmp_path / "w.duckdb"), read_only=True) as database:
            found = database.sql(f"SELECT COLUMNS('^[^_].*') FROM {table} ORDER BY ALL").to_arrow_table()
            return list(found.to_pylist())

    return bring


def manifests(folder: Path, table: str = "raw_people") -> list[dict[str, Any]]:
    found = sorted((folder / "w.lake" / table / "_manifests").glob("*.json"), key=lambda path: int(path.stem))
    return [json.loads(path.read_text()) for path in found]


def test_a_list_tokenises_and_a_mapping_says_how(bring: Bring) -> None:
    assert bring(PEOPLE, personal=["email"])[0]["email"] == token_of("ada@example.org", KEYS)
    (first, second) = bring(PEOPLE, "others", personal={"email": "encrypt", "age": "mask", "id": "null"})
    assert decrypt([first["email"], second["email"]], KEYS) == ["ada@example.org", None]
    assert (first["age"], second["age"], first["id"]) == ("00", "00", None)


def test_marks_stand_in_manifest_and_log_and_statistics_do_not(bring: Bring, tmp_path: Path) -> None:
    bring(PEOPLE, personal={"email": "mask"})
    load, verdict = manifests(tmp_path)
    marks = {column["name"]: column.get("personal") for column in load["schema"]}
    assert marks == {"id": None, "email": "mask", "age": None}
    assert set(load["files"][0]["statistics"]) == {"id", "age"}
    assert set(verdict["profile"]["email"]) == {"type", "nulls", "distinct"}
    assert "max" in verdict["profile"]["age"]
    log = "\n".join(path.read_text() for path in (tmp_path / "w.lake" / "raw_people" / "_delta_log").glob("*.json"))
    actions = [json.loads(line) for line in log.splitlines() if line]
    (schema,) = [json.loads(action["metaData"]["schemaString"]) for action in actions if "metaData" in action]
    assert {field["name"]: field["metadata"].get("penstock.personal") for field in schema["fields"]}["email"] == "mask"
    (added,) = [json.loads(action["add"]["stats"]) for action in actions if "add" in action]
    assert "email" not in {**added["minValues"], **added["maxValues"], **added["nullCount"]}
    assert "age" in added["minValues"]


def test_a_tokenised_key_merges_and_the_boundary_is_known_again(bring: Bring) -> None:
    reading = {"write": "merge", "key": "email", "cursor": "at", "personal": ["email", "name"]}
    one = {"email": "ada@example.org", "name": "Ada", "at": 1}
    two = {"email": "bob@example.org", "name": "Bob", "at": 2}
    assert len(bring([one, two], **reading)) == 2
    assert len(bring([two], **reading)) == 2
    found = bring([{**two, "name": "Rob", "at": 3}], **reading)
    assert {row["name"] for row in found} == {token_of("Ada", KEYS), token_of("Rob", KEYS)}


def test_equal_content_makes_no_second_load(bring: Bring, tmp_path: Path) -> None:
    for _ in range(2):
        bring(PEOPLE, write="replace", personal={"email": "encrypt"})
    assert [entry["kind"] for entry in manifests(tmp_path)] == ["load", "verdict"]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_files_are_protected_by_the_scan_itself(bring: Bring, tmp_path: Path, suffix: str) -> None:
    for number in (1, 2):
        relation = duckdb.sql(
            f"SELECT i AS id, 'user' || i || '@x.org' AS email FROM range({number}, 3000 * {number}) t(i)"
        )
        path = str(tmp_path / f"in{number}.{suffix}")
        if suffix == "parquet":
            relation.write_parquet(path)
        elif suffix == "csv":
            relation.write_csv(path)
        else:
            duckdb.sql(f"COPY ({relation.sql_query()}) TO '{path}' (FORMAT json)")
    rows = bring(str(tmp_path / f"in*.{suffix}"), personal=["email"])
    assert len(rows) == 2999 + 5998
    assert all(row["email"] == token_of(f"user{row['id']}@x.org", KEYS) for row in rows[:50] + rows[-50:])


def test_texts_of_csv_files_keep_their_zeros_before_they_become_tokens(bring: Bring, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("id,phone\n1,007\n2,42\n")
    assert [row["phone"] for row in bring(str(tmp_path / "p.csv"), personal=["Phone"])] == [
        token_of("007", KEYS),
        token_of("42", KEYS),
    ]


def test_wide_and_odd_types_are_protected(bring: Bring) -> None:
    table = pa.table(
        {
            "number": pa.array([7], pa.uint64()),
            "kind": pa.array(["x"]).dictionary_encode(),
            "raw": pa.array([b"\x00"]),
            "within": pa.array([[{"street": "High 1", "no": 2}]]),
        }
    )
    (row,) = bring(
        table, personal={"number": "tokenise", "kind": "tokenise", "raw": "encrypt", "within.street": "mask"}
    )
    assert (row["number"], row["kind"]) == (token_of(7, KEYS), token_of("x", KEYS))
    assert decrypt([row["raw"]], KEYS) == [b"\x00"]
    assert row["within"] == [{"street": "Xxxx 0", "no": 2}]


def test_a_misspelt_column_or_field_is_refused_before_a_row_is_written(bring: Bring, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no column 'emial'.*Did you mean 'email'\?"):
        bring(PEOPLE, personal=["emial"])
    with pytest.raises(ConfigurationError, match=r"no field 'home.stret'"):
        bring([{"home": {"street": "High 1"}}], personal=["home.stret"])
    with pytest.raises(DataError, match="'email' of source 'people' has no fields"):
        bring(PEOPLE, personal=["email.domain"])
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_table_holds_no_mixture_of_ways(bring: Bring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bring(PEOPLE, write="append", personal=["email"])
    bring(PEOPLE, "clear", write="append")
    with pytest.raises(PenstockError, match=r"would now be landed in another way.*in the clear"):
        bring(PEOPLE, write="append")
    with pytest.raises(PenstockError, match="would now be landed in another way"):
        bring(PEOPLE, write="append", personal={"email": "encrypt"})
    with pytest.raises(PenstockError, match="was landed in the clear before"):
        bring(PEOPLE, "clear", write="append", personal=["email"])
    monkeypatch.setenv("PENSTOCK_PRIVACY_KEY", base64.b64encode(b"o" * 32).decode())
    with pytest.raises(PenstockError, match="protected under another key"):
        bring(PEOPLE, write="append", personal=["email"])
    assert len(manifests(tmp_path)) == 2


def test_a_replaced_table_may_change_its_key(bring: Bring, monkeypatch: pytest.MonkeyPatch) -> None:
    bring(PEOPLE, write="replace", personal=["email"])
    monkeypatch.setenv("PENSTOCK_PRIVACY_KEY", base64.b64encode(b"o" * 32).decode())
    assert bring(PEOPLE, write="replace", personal=["email"])[0]["email"] == token_of(
        "ada@example.org", environment_keys()
    )


def test_without_a_key_nothing_is_read(bring: Bring, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PENSTOCK_PRIVACY_KEY")
    asked: list[int] = []

    def rows() -> list[dict[str, Any]]:
        asked.append(1)
        return PEOPLE

    with pytest.raises(PenstockError, match="a key is needed"):
        bring(rows, personal=["email"])
    assert not asked
    assert bring(PEOPLE, personal={"email": "mask"})[0]["email"] == "xxx@xxxxxxx.xxx"


@pytest.mark.parametrize(
    ("reading", "sentence"),
    [
        ({"personal": ["at"], "cursor": "At"}, "The cursor of source 'people' is a personal column"),
        ({"personal": ["at"], "interval": "at"}, "The interval of source 'people' is a personal column"),
        ({"personal": {"id": "mask"}, "key": "id", "write": "merge"}, "would no longer tell rows apart"),
        ({"personal": ["gone"], "deletes": "gone", "key": "id", "write": "merge"}, "says that a row is deleted"),
        ({"personal": {"email": "tokenize"}}, "Did you mean 'tokenise'"),
        ({"personal": ["email", "Email"]}, "named as personal twice"),
        ({"personal": ["home", "home.street"]}, "named as personal twice"),
        ({"personal": ["home..street"]}, "has no name"),
        ({"personal": [""]}, "has no name"),
    ],
)
def test_what_cannot_be_is_refused_where_it_is_declared(reading: Any, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        sources.python([], table="people", **reading)


def test_the_spec_says_how() -> None:
    spec: SourceSpec = sources.python([], table="people", personal="email")
    assert spec.personal == {"email": "tokenise"}


def project(folder: Path, privacy: str, personal: str = "['email']") -> Path:
    (folder / "penstock.toml").write_text(f'[project]\nname = "p"\npipelines = ["flow:flow"]\n{privacy}\n')
    (folder / "flow.py").write_text(
        "from penstock import Pipeline, sources\n"
        f"flow = Pipeline(name='flow', sources=[sources.python([], table='people', personal={personal})])\n"
    )
    return folder


def test_a_project_names_its_key_by_a_variable(tmp_path: Path) -> None:
    folder = project(tmp_path, '[privacy]\nkey = "${NEW}"\nversion = 2\nformer = { "1" = "${OLD}" }')
    (folder / "secrets.toml").write_text(f'NEW = "{base64.b64encode(b"n" * 32).decode()}"\nOLD = "{KEY}"\n')
    config = load_project(folder)
    assert config.keys is not None
    assert config.keys.version == 2
    assert config.keys.token_key(1) == KEYS.token_key()
    assert KEY not in repr(config)


@pytest.mark.parametrize(
    ("privacy", "sentence"),
    [
        (f'[privacy]\nkey = "{KEY}"', "is no reference to a variable"),
        (f'[privacy]\nkey = "${{A}}"\nformer = {{ "2" = "{KEY}" }}', "privacy.former.2 .* is no reference"),
        ('[privacy]\nkey = "${NOT_SET_ANYWHERE}"', "The variable NOT_SET_ANYWHERE is not set"),
        ('[privacy]\nkey = "${A}"\nversion = 0', "privacy.version"),
        ('[privacy]\nkay = "${A}"', "no key 'kay' .*Did you mean 'key'"),
        ("", "To protect the personal columns of source 'people', a key is needed"),
    ],
)
def test_a_key_that_cannot_be_is_told_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, privacy: str, sentence: str
) -> None:
    monkeypatch.setenv("A", KEY)
    with pytest.raises(ConfigurationError, match=sentence) as told, Project(project(tmp_path, privacy)) as opened:
        opened.pipelines()
    assert KEY not in str(told.value)


def test_masks_need_no_key(tmp_path: Path) -> None:
    with Project(project(tmp_path, "", "{'email': 'mask'}")) as opened:
        assert opened.pipeline().sources[0].personal == {"email": "mask"}
        with pytest.raises(ConfigurationError, match="To decrypt, a key is needed"):
            opened.decrypt(["enc1-AAAA"])


def raising(error: Exception) -> None:
    try:
        raise ValueError("ada@example.org")
    except ValueError as cause:
        raise error from cause


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (DataError('invalid input "a"b" for \'x\'', value="ada"), "invalid input \"…\" for 'x'."),
        (DataError('invalid input "ada', value="ada"), 'invalid input "…".'),
        (DataError("Reading raw_x stopped after 3 rows: ValueError: ada"), "its text may hold personal values"),
        (TransientError("x is down", value="ada", retry_after=3), "x is down."),
        (KeyError("ada"), "Reading x stopped with a KeyError (test_personal_columns.py, line "),
    ],
)
def test_errors_lose_what_they_quote(error: Exception, told: str) -> None:
    with pytest.raises(PenstockError) as found:
        silently(lambda: raising(error), "Reading x")
    assert told in str(found.value)
    assert "ada" not in "".join(traceback.format_exception(found.value))
    assert found.value.__cause__ is None
    assert found.value.__context__ is None
    assert isinstance(found.value, BugError if isinstance(error, KeyError) else type(error))
