"""Every file, command and example of the documentation is run, in the order of the page, in an empty folder."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from servers import buckets
from streams.capturing import emptied
from typed import typed

ROOT = Path(__file__).parents[2]
PAGES = [
    "tutorial.md",
    "how-to.md",
    "how-to/alerts.md",
    "how-to/file-formats.md",
    "how-to/changes.md",
    "how-to/checks.md",
    "how-to/databases.md",
    "how-to/drift.md",
    "how-to/incremental.md",
    "how-to/keep-the-lake-small.md",
    "how-to/lake-in-a-bucket.md",
    "how-to/lineage.md",
    "how-to/memory.md",
    "how-to/messy-csv.md",
    "how-to/nested-json.md",
    "how-to/personal-data.md",
    "how-to/plans-and-late-data.md",
    "how-to/postgres-production.md",
    "how-to/quarantine.md",
    "how-to/rebuild.md",
    "how-to/releases.md",
    "how-to/schedule.md",
    "how-to/reconciliation.md",
    "how-to/history-and-deletes.md",
    "how-to/files-from-anywhere.md",
    "how-to/schema-contracts.md",
    "how-to/streams.md",
    "how-to/test-transforms.md",
    "how-to/windows.md",
]

_BLOCK = re.compile(r"^```(?P<info>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its options (``file``, ``exit``, ``run``), its text, the line it begins at."""

    language: str
    options: dict[str, str]
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(text):
        language, *words = match["info"].split() or [""]
        options = dict(word.partition("=")[::2] for word in words)
        found.append(Block(language, options, match["body"], text.count("\n", 0, match.start()) + 1))
    return found


def run(command: list[str], folder: Path, expected: int, where: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == expected, f"{where}: {' '.join(command)}\n{done.stdout}\n{done.stderr}"


def _prepare(name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bring up the servers that a page is about."""
    if name == "how-to/lake-in-a-bucket.md":
        endpoint = request.getfixturevalue("s3")
        buckets.named("s3", endpoint, "company-lake")
        for variable, value in {"ENDPOINT": endpoint, "KEY_ID": "key", "SECRET": "secret"}.items():
            monkeypatch.setenv(f"LAKE_{variable}", value)
    if name == "how-to/postgres-production.md":
        server = request.getfixturevalue("postgres")
        server.execute("DROP SCHEMA IF EXISTS marts, penstock_marts CASCADE")
        monkeypatch.setenv("REPORTING_URL", server.url())
        monkeypatch.setenv("REPORTING_PASSWORD", "any")
    if name == "how-to/changes.md":
        server = emptied(request.getfixturevalue("postgres"))
        server.execute(
            "CREATE TABLE orders (id int PRIMARY KEY, customer int, amount numeric(10, 2)); "
            "CREATE TABLE customers (id int PRIMARY KEY, name text); CREATE TABLE payments (id int PRIMARY KEY)"
        )
        monkeypatch.setenv("SHOP_URL", server.url())
        monkeypatch.setenv("SHOP_PASSWORD", "any")


@pytest.mark.parametrize("name", PAGES)
def test_the_page_does_what_it_says(
    name: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tutorial's commands are processes of their own, as a reader's are, and so is what begins processes itself."""
    page = ROOT / "docs" / name
    _prepare(name, request, monkeypatch)
    ran = 0
    for block in blocks(page):
        where = f"{name}:{block.line}"
        if "file" in block.options:
            target = tmp_path / block.options["file"]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text, encoding="utf-8")
        elif block.language == "console":
            for line in block.text.splitlines():
                if line.startswith("$ penstock "):
                    arguments = shlex.split(line.removeprefix("$ penstock "))
                    expected = int(block.options.get("exit", "0"))
                    if name == "tutorial.md" or arguments[0] == "serve":
                        run([sys.executable, "-m", "penstock", *arguments], tmp_path, expected, where)
                    else:
                        done = typed(tmp_path, *arguments)
                        assert done.returncode == expected, f"{where}: {line}\n{done.stdout}\n{done.stderr}"
                    ran += 1
        elif block.language == "python" and "run" in block.options:
            run([sys.executable, "-c", block.text], tmp_path, 0, where)
            ran += 1
    assert ran > 0


LINKING = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", [page.relative_to(ROOT) for page in LINKING], ids=str)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (ROOT / page.parent / target).exists(), f"{page} links to {target}, which is not there"


def test_the_page_of_commands_is_that_of_the_code() -> None:
    written = subprocess.run(
        [sys.executable, "-c", "import write_commands; print(write_commands.page(), end='')"],
        cwd=ROOT / "scripts",
        capture_output=True,
        text=True,
        check=True,
    )
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert page == written.stdout, "run: .venv/bin/python scripts/write_commands.py"
