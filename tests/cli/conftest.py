"""Typing commands in this process, and a project to type them in."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from typed import Said, heard

Type = Callable[..., Said]


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Type:
    """Type a command; nothing but its exit code, output and errors are seen."""

    return partial(heard, capsys)


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
