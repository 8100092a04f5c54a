"""The end of a command line's process: quick, but nothing that was to happen is left out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

DECLARED = "from penstock import Pipeline\np = Pipeline(name='p', sources=[])\n"


def _end(pipeline: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "penstock.toml").write_text('[project]\nname = "p"\npipelines = ["ending:p"]\n')
    (folder / "ending.py").write_text(f"{pipeline}\n{DECLARED}")
    command = [sys.executable, "-m", "penstock", "plan"]
    return subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)


@pytest.mark.parametrize(
    "pipeline",
    [
        "import atexit\natexit.register(lambda: open('said', 'a').write('done'))",
        "import threading, time\ndef late():\n    time.sleep(0.5)\n    open('said', 'a').write('done')\n"
        "threading.Thread(target=late).start()",
        "import tempfile, weakref\nclass Held: pass\nheld = Held()\n"
        "weakref.finalize(held, lambda: open('said', 'a').write('done'))",
    ],
    ids=["asked for", "a thread", "a finalizer"],
)
def test_what_was_to_happen_at_the_end_happens_once(tmp_path: Path, pipeline: str) -> None:
    ended = _end(pipeline, tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (tmp_path / "said").read_text() == "done"


def test_all_that_was_said_arrives(tmp_path: Path) -> None:
    ended = _end("import sys\nsys.stdout.write('x' * 3_000_000 + '\\n')\nsys.stderr.write('y' * 300_000)", tmp_path)
    assert ended.returncode == 0
    assert (ended.stdout.count("x" * 1_000_000), len(ended.stderr)) == (3, 300_000)


def test_the_interpreter_is_not_taken_apart(tmp_path: Path) -> None:
    """Objects that live to the end of the process are not deleted one by one."""
    ended = _end("class Held:\n    def __del__(self): open('said', 'a').write('deleted')\nheld = Held()", tmp_path)
    assert ended.returncode == 0
    assert not (tmp_path / "said").exists()
