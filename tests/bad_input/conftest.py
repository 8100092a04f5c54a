"""A project that works, to be spoilt by each test."""

from __future__ import annotations

from pathlib import Path

import pytest
from spoiled import ORDERS, TOML, Shop

from penstock.orchestrate import retrying


@pytest.fixture
def shop(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> Shop:
    """A project with one CSV file, one transform and one table to promote; nothing has run yet."""
    folder = tmp_path / "shop"
    folder.mkdir()
    made = Shop(folder, capsys, request.node.user_properties)
    made.write("penstock.toml", TOML)
    made.write("orders.csv", ORDERS)
    made.declare()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PENSTOCK_USER", "ada")
    # The waits between attempts are not what these tests are about.
    monkeypatch.setattr(retrying, "FIRST_WAIT", 0.01)
    return made
