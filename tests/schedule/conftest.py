"""The yard that schedules are carried out in."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from yard import Yard

_schemas = itertools.count(1)


@pytest.fixture(autouse=True)
def hang_up() -> Iterator[None]:
    """Have children heed SIGHUP: whoever runs the tests may have us ignore it, as nohup does, and they inherit that."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    made = Yard(tmp_path / "yard")
    yield made
    made.end()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def any_yard(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Yard]:
    """A yard with each kind of catalog."""
    catalog = ""
    if request.param == "postgres":
        catalog = f"{request.getfixturevalue('postgres').url()}?schema=schedule_{next(_schemas)}"
    made = Yard(tmp_path / "yard", catalog)
    yield made
    made.end()
