"""Rules of the house that no linter knows: what importing costs, what is public, how long things may be."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

import penstock
from benchmarks import promoting
from penstock import plugins

ROOT = Path(__file__).parents[1]
SOURCE = Path(penstock.__file__).parent
MODULES = sorted(path for path in SOURCE.rglob("*.py") if "templates" not in path.parts)
LAYER_OF_KIND = {
    "file_format": "penstock.extract.files.formats.",
    "source": "penstock.extract.",
    "capture": "penstock.extract.streams.changes.",
    "stream": "penstock.extract.streams.",
    "catalog": "penstock.catalog.",
}
HEAVY = ("duckdb", "pyarrow", "deltalake", "pandas", "polars", "sqlglot", "httpx", "msgspec", "rich", "click")


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(' '.join(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def test_importing_penstock_loads_nothing_heavy() -> None:
    assert not loaded_by("import penstock") & set(HEAVY)


def test_importing_the_model_loads_no_engine() -> None:
    heavy = {"duckdb", "pyarrow", "deltalake", "pandas", "polars", "sqlglot", "httpx"}
    assert (
        not loaded_by("import penstock.model.specs, penstock.model.entries, penstock.errors, penstock.plugins") & heavy
    )


def test_an_ingest_loads_only_what_it_needs(tmp_path: Path) -> None:
    file = tmp_path / "t.parquet"
    duckdb.sql("SELECT 1 AS id, 'x' AS name").write_parquet(str(file))
    target = str(tmp_path / "t.duckdb")
    loaded = loaded_by(f"import penstock; penstock.ingest({str(file)!r}, to={target!r}, write='merge', key='id')")
    not_needed = {"pyarrow", "numpy", "pandas", "polars", "sqlglot", "httpx", "msgspec", "rich", "click"}
    assert "penstock.load.merge" in loaded
    assert not loaded & not_needed
    parts = ("penstock.promote", "penstock.dataset", "penstock.transform.", "penstock.orchestrate.asking")
    assert not [name for name in loaded if name.startswith(parts) and name != "penstock.transform.fingerprints"]


def new_project(folder: Path) -> Path:
    (folder / "seed.csv").write_text("x\n0\n")
    (folder / "more.sql").write_text("SELECT x + 1 AS x FROM seed\n")
    (folder / "penstock.toml").write_text(
        '[project]\nname = "small"\npipelines = ["small:small"]\n'
        '[environments.staging]\nlake = "s/lake"\nwarehouse = "s/w.duckdb"\n'
        '[environments.production]\nlake = "p/lake"\nwarehouse = "p/w.duckdb"\n'
    )
    (folder / "small.py").write_text(
        "from penstock import Pipeline, sources, sql\n"
        'seed = sources.files("seed.csv", table="seed", write="replace")\n'
        'small = Pipeline(name="small", sources=[seed], transforms=[sql("more.sql")])\n'
    )
    return folder


def small_project(folder: Path) -> Path:
    with penstock.Project(new_project(folder)) as project:
        assert project.run().exit_code == 0
    return folder


def test_a_first_run_over_a_small_file_loads_neither_arrow_nor_numpy(tmp_path: Path) -> None:
    loaded = loaded_by(f"import penstock; penstock.Project({str(new_project(tmp_path))!r}).run()")
    assert {"penstock.land.landing", "penstock.validate.checking", "penstock.transform.publishing"} <= loaded
    assert not loaded & {"pyarrow", "numpy", "pandas", "polars", "httpx", "rich", "click"}


@pytest.mark.parametrize("work", ["run", "plan"])
def test_what_finds_nothing_to_do_loads_nothing_that_would_do_it(tmp_path: Path, work: str) -> None:
    loaded = loaded_by(f"import penstock; penstock.Project({str(small_project(tmp_path))!r}).{work}()")
    assert "penstock.orchestrate.preparing" in loaded
    libraries = {"pyarrow", "numpy", "pandas", "polars", "sqlglot", "httpx", "rich", "click"}
    parts = ("penstock.land", "penstock.validate", "penstock.load.loading", "penstock.extract.files.csv")
    assert not loaded & libraries
    assert not [name for name in loaded if name.startswith(parts)]


def test_promoting_a_staged_candidate_loads_neither_arrow_nor_numpy(tmp_path: Path) -> None:
    folder = str(tmp_path)
    promoting.make(tmp_path, 1, 10)
    loaded = loaded_by(f"from benchmarks import promoting as p; p.penstock(p.Path({folder!r}))")
    assert "penstock.promote.promoting" in loaded
    assert not loaded & {"pyarrow", "numpy", "pandas", "polars", "sqlglot", "httpx", "msgspec", "rich", "click"}


def test_public_names_are_sorted_and_there() -> None:
    assert list(penstock.__all__) == sorted(penstock.__all__)
    for name in penstock.__all__:
        assert getattr(penstock, name) is not None


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="pipelines"):
        _ = penstock.pipelines


@pytest.mark.parametrize(
    ("kind", "name", "place"),
    [(kind, name, place) for kind, known in plugins.BUILT_IN.items() for name, place in known.items()],
)
def test_every_plugin_is_where_its_string_says_and_in_its_layer(kind: str, name: str, place: str) -> None:
    assert place.startswith(LAYER_OF_KIND[kind])
    found = plugins.find(kind, name)
    assert f"{found.__module__}:{found.__name__}" == place


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_file_can_be_read_in_one_sitting(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 500
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            body = (node.end_lineno or node.lineno) - node.body[0].lineno
            documented = ast.get_docstring(node, clean=False)
            assert body - (documented or "").count("\n") <= 60, f"{path.name}: {node.name} is too long"


def test_classes_are_made_by_the_dataclass_that_is_cheap_to_import() -> None:
    standard = re.compile(r"from dataclasses import .*\bdataclass\b")
    found = [path for path in MODULES if path.name != "values.py" and standard.search(path.read_text(encoding="utf-8"))]
    assert not found, "take it from penstock.values"


def test_no_package_has_code_in_its_init() -> None:
    for path in SOURCE.rglob("__init__.py"):
        if path.parent == SOURCE:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        kinds = {type(node) for node in tree.body}
        assert kinds <= {ast.Expr, ast.ImportFrom, ast.Import, ast.Assign}, f"{path} holds code"
        assert ast.get_docstring(tree), f"{path} does not say what the package is"
