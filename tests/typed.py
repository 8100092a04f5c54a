"""Commands that are typed in this process: one that ends by itself need not import everything anew."""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from penstock.cli.main import main

_LONGEST = 300
"""Seconds after which a command that hangs ends this process, which then says what it was doing."""


@dataclass(frozen=True)
class Said:
    """What a command line said."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


def heard(capsys: pytest.CaptureFixture[str], *arguments: str) -> Said:
    """Type a command; nothing but its exit code, output and errors are seen."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    said = capsys.readouterr()
    code = ended.value.code
    return Said(code if isinstance(code, int) else 0, said.out, said.err)


def typed(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Type a command in a folder; what waits for signals, or begins processes, wants a process of its own.

    Args:
        folder: Where it is typed.
        *arguments: The words after ``penstock``.
        **variables: Of the environment, besides those of this process.
    """
    out, err = io.StringIO(), io.StringIO()
    with _elsewhere(folder, variables), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = _ended(arguments)
    return subprocess.CompletedProcess(["penstock", *arguments], code, out.getvalue(), err.getvalue())


def _ended(arguments: tuple[str, ...]) -> int:
    threshold = gc.get_threshold()
    faulthandler.dump_traceback_later(_LONGEST, exit=True, file=sys.__stderr__)
    try:
        main(arguments)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    finally:
        faulthandler.cancel_dump_traceback_later()
        # A stream has it raised for the rest of its process.
        gc.set_threshold(*threshold)
    raise AssertionError(f"{arguments} did not end with a code")


@contextlib.contextmanager
def _elsewhere(folder: Path, variables: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        with contextlib.chdir(folder):
            yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
