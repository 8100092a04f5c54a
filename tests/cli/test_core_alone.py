"""The package alone, without extras and without what the tests bring, goes the whole way on one machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
PARTS = ("cli/test_cli_whole_way.py", "streams/test_stream_of_files.py::test_what_is_there_lands_once_and_is_loaded")


def test_nothing_is_needed_but_the_package() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "core_alone", "-p", "no:cacheprovider", *PARTS]
    # Plugins that happen to be installed would need more.
    surroundings = {**os.environ, "PYTHONPATH": str(TESTS), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    told = subprocess.run(command, cwd=TESTS, env=surroundings, check=False, capture_output=True, text=True)
    assert told.returncode == 0, told.stdout
    assert " passed" in told.stdout
    assert "skipped" not in told.stdout
