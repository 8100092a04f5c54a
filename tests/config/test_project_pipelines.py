"""Importing the pipelines that a project names."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.config.pipelines import choose_pipeline, load_pipelines
from penstock.config.project import ProjectConfig, load_project
from penstock.errors import ConfigurationError
from penstock.model.specs import PipelineSpec

SPEC = "from penstock.model.specs import PipelineSpec\n"


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    before, path = set(sys.modules), list(sys.path)
    yield
    assert sys.path == path
    for name in set(sys.modules) - before:
        if hasattr(sys.modules[name], "__penstock_pipeline_module__"):
            del sys.modules[name]


def project(folder: Path, *places: str, **files: str) -> ProjectConfig:
    folder.mkdir(exist_ok=True)
    (folder / "penstock.toml").write_text(f'[project]\nname = "p"\npipelines = {list(places)}\n')
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return load_project(folder, {})


def test_specs_and_what_holds_one(tmp_path: Path) -> None:
    config = project(
        tmp_path,
        "pipeline_one:first",
        "pkg.two:second",
        pipeline_one=SPEC + "first = PipelineSpec(name='one')\n",
        pkg__two=SPEC
        + "from pkg.steps import name\nclass Like:\n    spec = PipelineSpec(name=name)\nsecond = Like()\n",
        pkg__steps="name = 'two'\n",
    )
    assert load_pipelines(config) == {"one": PipelineSpec(name="one"), "two": PipelineSpec(name="two")}
    assert str(tmp_path) not in sys.path


def test_penstock_pipelines(tmp_path: Path) -> None:
    text = "from penstock.declare import Pipeline\nflights = Pipeline(name='flights')\n"
    config = project(tmp_path, "pipeline_three:flights", pipeline_three=text)
    assert list(load_pipelines(config)) == ["flights"]


def test_an_edit_is_seen_by_the_same_process(tmp_path: Path) -> None:
    for name in ("aa", "bb", "cc"):
        config = project(
            tmp_path,
            "pipeline_four:p",
            pipeline_four=SPEC + "import steps_four\np = PipelineSpec(name=steps_four.name)\n",
            steps_four=f"name = '{name}'\n",
        )
        assert list(load_pipelines(config)) == [name]


def test_two_projects_may_use_the_same_module_names(tmp_path: Path) -> None:
    for name in ("one", "two"):
        text = (
            SPEC + f"import steps_five\np = PipelineSpec(name=steps_five.name)\nassert {str(tmp_path)!r} in __file__\n"
        )
        config = project(tmp_path / name, "pipeline_five:p", pipeline_five=text, steps_five=f"name = '{name}'\n")
        assert list(load_pipelines(config)) == [name]


@pytest.mark.parametrize(
    ("place", "text", "said"),
    [
        ("pipeline_bad:p", "x = 1\ny = x / 0\n", r"ZeroDivisionError: division by zero \(pipeline_bad\.py, line 2\)"),
        ("pipeline_bad:p", "def f(:\n", r"SyntaxError.*\(pipeline_bad\.py, line 1\)"),
        (
            "pipeline_bad:p",
            "import not_there_at_all\n",
            r"No module named 'not_there_at_all' \(pipeline_bad\.py, line 1\)",
        ),
        ("pipeline_bad:p", "from penstock.declare import no_such\n", r"ImportError.*pipeline_bad\.py, line 1"),
        ("pipeline_bad:p", "raise SystemExit(3)\n", r"SystemExit: 3 \(pipeline_bad\.py, line 1\)"),
        ("pipeline_bad:p", "p = 5\n", "is a int, no pipeline"),
        ("pipeline_bad:flihgts", SPEC + "flights = PipelineSpec(name='f')\n", "'flihgts'.*mean 'flights'"),
        ("pipelin_bad:p", "", "no module 'pipelin_bad'.*mean 'pipeline_bad'"),
        ("pipeline_bad.x:p", "", "no module 'pipeline_bad.x'"),
        ("pipeline_bad", "", "is not named.*Valid: module:attribute"),
        ("pipeline-bad:p", "", "is not named"),
        ("../pipeline_bad:p", "", "is not named"),
        (
            "pipeline_bad:p",
            "from penstock.declare import Pipeline\n\np = Pipeline(name='f', schedule='@dayly')\n",
            r"schedule.*\(pipeline_bad\.py, line 3\)\. Got: @dayly",
        ),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(tmp_path: Path, place: str, text: str, said: str) -> None:
    config = project(tmp_path, place, pipeline_bad=text)
    with pytest.raises(ConfigurationError, match=said) as caught:
        load_pipelines(config)
    assert "\n" not in str(caught.value)


def test_a_name_that_is_taken_by_another_module(tmp_path: Path) -> None:
    for name in ("json", "pytest"):
        config = project(tmp_path, f"{name}:p", **{name: SPEC + "p = PipelineSpec(name='x')\n"})
        with pytest.raises(ConfigurationError, match=f"has the name of another.*Rename .*{name}"):
            load_pipelines(config)


def test_two_pipelines_of_one_name(tmp_path: Path) -> None:
    text = SPEC + "a = PipelineSpec(name='x')\nb = PipelineSpec(name='x')\n"
    config = project(tmp_path, "pipeline_six:a", "pipeline_six:b", pipeline_six=text)
    with pytest.raises(ConfigurationError, match=r"same name\. Got: x"):
        load_pipelines(config)


def test_choosing() -> None:
    one, two = PipelineSpec(name="one"), PipelineSpec(name="two")
    assert choose_pipeline({"one": one}) is one
    assert choose_pipeline({"one": one, "two": two}, "two") is two
    with pytest.raises(ConfigurationError, match=r"several pipelines\. Valid: one, two"):
        choose_pipeline({"one": one, "two": two})
    with pytest.raises(ConfigurationError, match=r"'tow'.*mean 'two'"):
        choose_pipeline({"one": one, "two": two}, "tow")
    with pytest.raises(ConfigurationError, match="names no pipeline"):
        choose_pipeline({})
