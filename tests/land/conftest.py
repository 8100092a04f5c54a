"""A place to land in."""

import pytest
from landing_place import Place


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path / "lake")
    yield made
    made.engine.close()
