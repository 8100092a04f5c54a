"""What tests of alerts begin with."""

from __future__ import annotations

import pytest
from alerted import MONDAY, Clock


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine takes its time to load what sends."""
    monkeypatch.setenv("PENSTOCK__ALERTS__WAIT", "60")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch, MONDAY)
