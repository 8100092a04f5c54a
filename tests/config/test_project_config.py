"""Reading penstock.toml: values, places, variables, secrets, and what is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from penstock.config.connections import KEYS, connection_from_url
from penstock.config.project import ProjectConfig, find_project, load_project
from penstock.errors import ConfigurationError

Write = Callable[[str], Path]

WHOLE = """
[project]
name = "flights"
catalog = "sqlite:///.penstock/catalog.db"
pipelines = ["flights.pipeline:flights"]
memory = "512MiB"
datasets = "data/datasets"
approvers = ["ada"]
[environments.staging]
lake = "data/staging/lake"
warehouse = "data/staging/warehouse.duckdb"
[environments.production]
lake = "/srv/lake"
warehouse = "data/production/warehouse.duckdb"
keep_releases = 7
[connections.ops]
url = "sqlite:///sources/ops.db"
[connections.weather_api]
url = "http://127.0.0.1:8123"
token = "${WEATHER_TOKEN}"
rate = 20
headers = { X-Team = "${TEAM:-none}" }
[connections.crm]
url = "postgresql://reader:p%40ss@db.example:5433/crm?sslmode=require"
[connections.planes]
url = "planes"
"""
LEAST = '[project]\nname = "p"\n'


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "penstock.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def load(path: Path, **variables: str) -> ProjectConfig:
    return load_project(path, variables)


def test_a_whole_file(write: Write, tmp_path: Path) -> None:
    config = load(write(WHOLE), WEATHER_TOKEN="s3cret")
    assert (config.name, config.root, config.memory) == ("flights", tmp_path, 512 * 2**20)
    assert config.catalog == f"sqlite:///{tmp_path}/.penstock/catalog.db"
    assert config.pipelines == ("flights.pipeline:flights",)
    assert config.datasets == f"{tmp_path}/data/datasets"
    assert config.approvers == ("ada",)
    assert config.environments["staging"].lake == f"{tmp_path}/data/staging/lake"
    assert config.environments["production"].lake == "/srv/lake"
    assert config.environments["production"].keep_releases == 7
    ops, api, crm, planes = (config.connections[name] for name in ("ops", "weather_api", "crm", "planes"))
    assert (ops.kind, ops.url, ops.name) == ("sqlite", f"sqlite:///{tmp_path}/sources/ops.db", "ops")
    assert (api.kind, api.secrets["token"]) == ("rest", "s3cret")
    assert api.options == {"rate": 20, "headers": {"X-Team": "none"}}
    assert (crm.kind, crm.url) == ("postgres", "postgresql://reader@db.example:5433/crm?sslmode=require")
    assert crm.secrets == {"password": "p@ss"}
    assert (planes.kind, planes.url) == ("files", f"{tmp_path}/planes")


def test_the_least_file_has_defaults(write: Write, tmp_path: Path) -> None:
    config = load(write(LEAST))
    assert config.catalog == f"sqlite:///{tmp_path}/.penstock/catalog.db"
    assert set(config.environments) == {"staging", "production"}
    assert config.environments["production"].warehouse == f"{tmp_path}/data/production/warehouse.duckdb"
    assert config.connections == {}
    assert config.pipelines == config.approvers == ()


def test_it_is_frozen(write: Write) -> None:
    config = load(write(WHOLE), WEATHER_TOKEN="x")
    with pytest.raises(FrozenInstanceError):
        config.name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        config.environments["staging"] = config.environments["production"]  # type: ignore[index]
    with pytest.raises(TypeError):
        config.connections["ops"].secrets["password"] = ""  # type: ignore[index]


def test_no_secret_is_shown(write: Write) -> None:
    text = WHOLE.replace('"${TEAM:-none}"', '"Bearer ${HIDDEN}"') + 'password = "in-the-file"\n'
    text = text.replace("sqlite:///.penstock/catalog.db", "postgresql://u:catalogpass@h/d")
    config = load(write(text), WEATHER_TOKEN="s3cret", HIDDEN="hidden-header")
    assert config.connections["weather_api"].options["headers"]["X-Team"] == "Bearer hidden-header"
    assert "catalogpass" in config.catalog
    for shown in (repr(config), str(config), repr(dict(config.connections))):
        for secret in ("s3cret", "p@ss", "p%40ss", "in-the-file", "hidden-header", "catalogpass"):
            assert secret not in shown


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            LEAST + '[conections.ops]\nurl = "x"',
            r"section 'conections' \(conections in .*penstock\.toml\).*mean 'connections'",
        ),
        (LEAST + '[environments.prod]\nlake = "x"', "section 'prod'.*environments.prod in.*mean 'production'"),
        (LEAST + '[environments.staging]\nlaek = "x"', "key 'laek'.*environments.staging.laek in.*mean 'lake'"),
        ('[project]\nname = "p"\ncatalogue = "x"', "key 'catalogue'.*project.catalogue.*mean 'catalog'"),
        (LEAST + '[connections.a]\nurll = "x"', "connections.a.url is missing in .*misspell it as 'urll'"),
        (
            LEAST + '[connections.a]\nurl = "sqlite:///x"\npasword = "y"',
            "key 'pasword' .*connections.a in.*mean 'password'",
        ),
        (LEAST + '[connections.a]\nurl = "https://x"\ntokn = "y"', "key 'tokn'.*mean 'token'"),
        (LEAST + '[connections.a]\nurl = "https://x"\nraet = 3', "key 'raet'.*mean 'rate'"),
        (LEAST + '[connections.a]\nurl = "postgre://x/y"', "'postgre' .*connections.a.*mean 'postgres'"),
        (LEAST + '[connections.a]\nurl = "x"\nkind = "sqlit"', "kind of connection 'sqlit'.*mean 'sqlite'"),
        (LEAST + '[connections.a]\nurl = "https://x"\ntoken = 5', "token of connections.a .*is not a text"),
        (LEAST + '[connections.a]\nurl = "sqlite:///"', "names no file"),
        (LEAST + '[connections.a]\nurl = "http://[::1:x@y:1"', "not a URL"),
        (LEAST + '[connections]\na = "sqlite:///x"', "connections.a in .* is not usable"),
        ('[project]\nmemory = "1GiB"', "project.name is missing in .*penstock.toml"),
        ("", "project is missing"),
        ('[project]\nname = ""', "project.name in .* is not usable"),
        ('[project]\nname = "p"\nmemory = "lots"', "project.memory in .* is not a size. Got: lots"),
        ('[project]\nname = "p"\nmemory = "511MiB"', "project.memory in .* too small.*Got: 511MiB.*512MiB or more"),
        ('[project]\nname = "p"\nmemory = "-1GiB"', "project.memory in .* is not a size. Got: -1GiB"),
        ('[project]\nname = "p"\nmemory = true', "project.memory"),
        ('[project]\nname = "p"\npipelines = "a:b"', "project.pipelines in .* is not usable"),
        (LEAST + "[environments.production]\nkeep_releases = 0", "keep_releases in .* is not usable"),
        (LEAST + "[serve]\nparallel = 99", "serve.parallel in .* is not usable. Valid: integer of at most 64"),
        (LEAST + '[serve]\nparallel = "all"', "serve.parallel in .* is not usable. Got: string. Valid: integer"),
        (LEAST + "[automatic]\nadded = nan", "automatic.added in .* is not usable. Valid: float of at least 0"),
        (LEAST + '[compaction]\nwindow = "week"', "compaction.window in .* is none .* Valid: hour, day"),
        (LEAST + "[project.x]\ny = 1", "key 'x' .project.x in "),
        (LEAST + "[alerts]\nchannels = 3", "alerts.channels in .* is not usable. Got: integer. Valid: table"),
        (LEAST + "[alerts.channels]\nops = 3", "alerts.channels.ops in .* is not usable. Got: integer. Valid: table"),
        (LEAST + '[alerts.channels.ops]\nurrl = "x"', "key 'urrl' .alerts.channels.ops.urrl in .*mean 'url'"),
        (LEAST + '[privacy]\nkeyy = "x"', "key 'keyy' .privacy.keyy in .*mean 'key'"),
        (LEAST + '[environments.staging]\nlake = "data/production/lake/in"', "overlap"),
        (LEAST + '[environments.staging]\nlake = "./data/x/../production/lake"', "overlap"),
        (
            LEAST + '[environments.staging]\nlake = "https://host/lake"',
            "environments.staging.lake .* must be a folder or the URL of a bucket. Got: https://host/lake",
        ),
        (
            LEAST + '[environments.production]\nlake = "sftp://u@host/lake"',
            "lake .* must be a folder or .* Got: host/lake",
        ),
        ('[project]\nname = "p"\ndatasets = "gs://"', "names no bucket"),
        ('[project]\nname = "p"\ndatasets = "gs://bucket/"', "names a whole bucket.*Got: gs://bucket/"),
        ('[project]\nname = "p"\ndatasets = "gs://bucket/a/../b"', "project.datasets in .* upward part"),
        ('[project]\nname = "p"\ndatasets = "s3://key:word@bucket/a"', "may say nothing but a bucket and a path"),
        (LEAST + '[environments.staging]\nlake = "az://c/lake?sig=word"', "may say nothing but a bucket and a path"),
        (
            LEAST + '[environments.staging]\nlake = "s3://b/x"\n[environments.production]\nlake = "s3a://b/x/y/"',
            "overlap in .* Got: .*s3/b/x and .*s3/b/x/y",
        ),
        (LEAST + '[copies]\nlimit = "1MiB"', "copies.limit in .* too small.*64MiB or more"),
        (LEAST + '[environments.staging]\nwarehouse = "data/production/warehouse.duckdb"', "same warehouse"),
        ("[project\nname = 1", "not valid TOML.*line 1"),
        (LEAST + LEAST, "not valid TOML"),
        (
            LEAST + '[connections.a]\nurl = "${NOT_THERE}"',
            "variable NOT_THERE is not set, which connections.a.url in .*\\.env",
        ),
        (LEAST + '[connections.a]\nurl = "${NOT-A-NAME}"', "cannot be read. Got: \\$\\{NOT-A-NAME\\}"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(write: Write, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=f"(?s){said}") as caught:
        load(write(text))
    assert "msgspec" not in str(caught.value)
    assert "$." not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_secret_is_not_in_the_sentence_about_it(write: Write) -> None:
    text = LEAST + '[connections.a]\nurl = "postgre://u:hunter2@h/d"\ntoken = "hunter2"'
    with pytest.raises(ConfigurationError) as caught:
        load(write(text))
    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "penstock.toml").write_bytes(b'[project]\nname = "caf\xe9"')
    with pytest.raises(ConfigurationError, match="is not UTF-8: byte 21"):
        load(tmp_path)


def test_a_byte_order_mark_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "penstock.toml").write_bytes(b"\xef\xbb\xbf" + LEAST.encode())
    assert load(tmp_path).name == "p"


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ('"512MiB"', 512 * 2**20),
        ('"2GB"', 2 * 10**9),
        ('"1.5 gib"', 3 * 2**29),
        ("1073741824", 2**30),
        ('"600M"', 6 * 10**8),
    ],
)
def test_sizes(write: Write, given: str, size: int) -> None:
    assert load(write(LEAST + f"memory = {given}")).memory == size


def test_variables_come_from_the_environment_then_from_files(write: Write, tmp_path: Path) -> None:
    path = write(LEAST + '[connections.a]\nurl = "https://x"\ntoken = "${A}-${B}-${C}-${D:-d}$$"\n')
    (tmp_path / ".env").write_text(
        "# secrets\nA=env-file\nexport B = 'quoted # not a comment' # one\n\nC=c # comment\n"
    )
    (tmp_path / "secrets.toml").write_text('B = "other"\nC = "other"\nD = "toml"\n')
    assert load(path, A="process").connections["a"].secrets["token"] == "process-quoted # not a comment-c-toml$"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (".env", "A b", r"Line 1 of .*\.env is not NAME=value"),
        (".env", "X=1\nA='b' c", r"Line 2 of .*\.env goes on"),
        ("secrets.toml", "A = 1", r"A in .*secrets\.toml is not a text"),
        ("secrets.toml", "A = ", r"secrets\.toml is not valid TOML"),
    ],
)
def test_a_broken_file_of_secrets(write: Write, tmp_path: Path, name: str, content: str, said: str) -> None:
    path = write(LEAST + '[connections.a]\nurl = "${A}"\n')
    (tmp_path / name).write_text(content)
    with pytest.raises(ConfigurationError, match=said):
        load(path)


def test_a_password_with_any_character_can_be_filled_into_a_url(write: Write) -> None:
    path = write(LEAST + '[connections.a]\nurl = "postgresql://u:${PW}@h:1/d"\n')
    connection = load(path, PW="p:a/s@s wör%d#?").connections["a"]
    assert connection.secrets["password"] == "p:a/s@s wör%d#?"
    assert connection.url == "postgresql://u@h:1/d"


def test_a_place_filled_into_a_url_stays_a_place(write: Write, tmp_path: Path) -> None:
    path = write(LEAST + '[connections.a]\nurl = "sqlite:///${FOLDER}/team@home.db"\n')
    assert load(path, FOLDER="a/b").connections["a"].url == f"sqlite:///{tmp_path}/a/b/team%40home.db"
    assert load(path, FOLDER="/srv").connections["a"].url == "sqlite:////srv/team%40home.db"


def test_variables_override_the_file(write: Write, tmp_path: Path) -> None:
    config = load(
        write(WHOLE),
        WEATHER_TOKEN="x",
        PENSTOCK__PROJECT__MEMORY="1GiB",
        PENSTOCK__PROJECT__APPROVERS='["bob", "eve"]',
        PENSTOCK__ENVIRONMENTS__PRODUCTION__KEEP_RELEASES="3",
        PENSTOCK__CONNECTIONS__OPS__URL="postgresql://u:secret@h/ops",
        PENSTOCK__CONNECTIONS__NEW__URL="https://new.example",
        PENSTOCK_USER="somebody",
    )
    assert config.memory == 2**30
    assert config.approvers == ("bob", "eve")
    assert config.environments["production"].keep_releases == 3
    assert config.connections["ops"].secrets == {"password": "secret"}
    assert config.connections["new"].kind == "rest"


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("PENSTOCK__PROJECT", "names no key"),
        ("PENSTOCK__PROJECT__NAME__X", "goes below a key that holds a value"),
        ("PENSTOCK__PROJEKT__NAME", "section 'projekt'.*mean 'project'"),
        ("PENSTOCK__PROJECT__MEMRY", "key 'memry'.*mean 'memory'"),
    ],
)
def test_a_bad_override(write: Write, variable: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        load(write(LEAST), **{variable: "x"})


def test_the_project_is_found_upward(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(LEAST)
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert find_project(below) == find_project(path) == find_project(tmp_path) == path
    monkeypatch.chdir(below)
    assert find_project() == path
    with pytest.raises(ConfigurationError, match="no such folder"):
        find_project(tmp_path / "nowhere")
    path.unlink()
    with pytest.raises(ConfigurationError, match=r"no penstock\.toml in .* or above it.*penstock init"):
        find_project(below)


def test_the_process_environment_is_the_default(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK__PROJECT__NAME", "renamed")
    assert load_project(write(LEAST)).name == "renamed"
    assert os.environ["PENSTOCK__PROJECT__NAME"] == "renamed"


@pytest.mark.parametrize(
    ("url", "kind", "shown"),
    [
        ("sqlite:///ops.db", "sqlite", "sqlite:///ops.db"),
        ("planes/*.csv", "files", "planes/*.csv"),
        ("C:\\planes.csv", "files", "C:\\planes.csv"),
        ("file:///data/x.csv", "files", "file:///data/x.csv"),
        ("postgresql+psycopg://u:p@h/d", "postgres", "postgresql+psycopg://u@h/d"),
        ("HTTPS://h/x", "rest", "HTTPS://h/x"),
        ("odd:name.csv", None, ""),
    ],
)
def test_a_connection_from_a_url_alone(url: str, kind: str | None, shown: str) -> None:
    if kind is None:
        with pytest.raises(ConfigurationError, match="scheme"):
            connection_from_url("c", url)
    else:
        connection = connection_from_url("c", url)
        assert (connection.kind, connection.url) == (kind, shown)


def test_sqlite_places_may_hold_any_character(write: Write, tmp_path: Path) -> None:
    config = load(write(LEAST + '[connections.a]\nurl = "sqlite:///my%20data/100%25 ü.db"\n'))
    assert config.connections["a"].url == f"sqlite:///{tmp_path}/my%20data/100%25%20%C3%BC.db"
    absolute = load(write(LEAST + '[connections.a]\nurl = "sqlite:////srv/x.db"\n'))
    assert absolute.connections["a"].url == "sqlite:////srv/x.db"


def test_the_keys_of_rest_are_those_that_its_source_reads() -> None:
    from penstock.extract.http.settings import SETTINGS
    from penstock.extract.rest import options

    assert set(KEYS["rest"]) == {*SETTINGS, *options._CONNECTION}


def production(write: Write, *lines: str, more: str = "") -> Path:
    return write(LEAST + "[environments.production]\n" + "\n".join(lines) + "\n" + more)


def test_production_may_be_a_database_by_its_url_or_by_the_name_of_a_connection(write: Write) -> None:
    url = 'warehouse = "postgresql://me:${PG}@db.example:5433/ware"'
    spec = load(production(write, url, 'postgres_schema = "marts"', "lock_timeout = 0.2"), PG="s3cret")
    found = spec.environments["production"].postgres
    assert found is not None
    assert found.connection.secrets["password"] == "s3cret"
    assert (found.schema, found.versions, found.lock_timeout, found.lock_wait) == ("marts", "penstock_marts", 0.2, 120)
    assert spec.environments["production"].warehouse == "PostgreSQL db.example:5433/ware, schema marts"
    assert "s3cret" not in repr(spec)
    named = '[connections.ware]\nurl = "postgresql://me@db.example/ware"\npassword = "${PG}"\n'
    spec = load(production(write, 'warehouse = "ware"', more=named), PG="s3cret")
    found = spec.environments["production"].postgres
    assert found is not None
    assert found.connection is spec.connections["ware"]
    assert load(production(write, 'warehouse = "ware.duckdb"')).environments["production"].postgres is None


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (['warehouse = "postgresql://me:s3cret@db/ware"'], "holds a password. Valid: postgresql://user:\\${NAME}@host"),
        (['warehouse = "mysql://db/ware"'], "is of no kind that serves production. Got: mysql."),
        (['warehouse = "ops"'], "names a connection that is no PostgreSQL database. Got: sqlite."),
        (['warehouse = "postgresql://db/ware"', 'postgres_schema = "pg_mine"'], "no name for a schema of releases"),
        (['warehouse = "postgresql://db/ware"', "lock_timeout = 0"], "production.lock_timeout .* is not usable"),
    ],
)
def test_a_database_that_cannot_serve_production(write: Write, lines: list[str], sentence: str) -> None:
    file = production(write, *lines, more='[connections.ops]\nurl = "sqlite:///ops.db"\n')
    with pytest.raises(ConfigurationError, match=sentence) as refused:
        load(file)
    assert "s3cret" not in str(refused.value)


def test_a_spark_that_judges_rows(write: Write) -> None:
    assert load(write(LEAST)).checking is None
    found = load(
        write(LEAST + '[checks]\nengine = "spark"\nurl = "sc://h:1/;token=${T}"\ntables = ["a"]\n'), T="hidden"
    )
    assert found.checking is not None
    assert (found.checking.url, found.checking.tables) == ("sc://h:1/;token=hidden", ("a",))
    assert "hidden" not in repr(found)
    with pytest.raises(ConfigurationError, match=r"checks.url in .* is no address of Spark. Got: spark://h:7077"):
        load(write(LEAST + '[checks]\nengine = "spark"\nurl = "spark://h:7077/;token=hidden"\n'))
    with pytest.raises(ConfigurationError, match='Add engine = "spark"'):
        load(write(LEAST + '[checks]\nurl = "local[2]"\n'))
