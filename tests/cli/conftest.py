"""Typing commands in this process, and a project to type them in."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from penstock.cli.main import main


@dataclass(frozen=True)
class Said:
    """What a command line said."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


Type = Callable[..., Said]


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Type:
    """Type a command; nothing but its exit code, output and errors are seen."""

    def typed(*arguments: str) -> Said:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        said = capsys.readouterr()
        code = ended.value.code
        return Said(code if isinstance(code, int) else 0, said.out, said.err)

    return typed


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: Type) -> Path:
    """A project from the empty template, which is the current folder."""
    folder = tmp_path / "shop"
    assert typed("init", str(folder)).code == 0
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PENSTOCK_USER", "ada")
    for name in [name for name in sys.modules if name == "pipeline"]:
        del sys.modules[name]
    return folder
