"""A small project to spoil, the commands typed in it, and what every refusal must be like."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from penstock.project import Project
from typed import Said, heard

LONGEST = 1200
"""Characters that a refusal may take, paths of the test's folder included."""

TOML = """
[project]
name = "shop"
pipelines = ["pipeline:shop"]
"""
ORDERS = "order_id,country,day,amount\n1,PE,2026-01-01,10.5\n2,NZ,2026-01-02,20\n3,PE,2026-01-03,5\n"
REVENUE = "SELECT country, sum(amount) AS revenue FROM orders GROUP BY country"


@dataclass
class Shop:
    """A project in a folder of its own.

    Attributes:
        folder: Where it is.
        capsys: Takes what is typed in this process.
        kept: What was said, for the report of the tests (``--junitxml``).
    """

    folder: Path
    capsys: pytest.CaptureFixture[str]
    kept: list[tuple[str, object]]
    variables: dict[str, str] = field(default_factory=dict)

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file of the project."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            path.chmod(0o644)  # the file of a release is there to be read only
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def declare(self, **given: str) -> None:
        """Write a pipeline: ``sources``, ``checks``, ``transforms``, ``promote``, ``more`` and ``code`` as Python."""
        self.write("pipeline.py", pipeline(**given))

    def type(self, *arguments: str) -> Said:
        """Type a command in this process."""
        return heard(self.capsys, *arguments)

    def spawn(self, *arguments: str, **given: Any) -> subprocess.Popen[str]:
        """Type a command in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "penstock", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env={**os.environ, **self.variables},
            **given,
        )

    def refused(self, said: Said, code: int, *words: str) -> str:
        """Assert that a command ended as bad input must, and return its sentence."""
        self.kept.append(("refusal", f"{said.code}: {said.err.strip() or said.out.strip()}"))
        assert "Traceback" not in said.out + said.err
        errors = [line for line in said.err.splitlines() if line.startswith("Error: ")]
        assert len(errors) == 1, (said.code, said.err, said.out)
        sentence = errors[0]
        assert said.code == code, sentence
        assert len(sentence) <= LONGEST, sentence
        assert sentence.endswith((".", "?")), sentence
        for word in words:
            assert word in sentence, (word, sentence)
        return sentence

    def unchanged(self, before: Mapping[str, str]) -> None:
        """Assert that lake, warehouse and datasets hold what they held."""
        after = self.tree()
        assert after == before, sorted(set(after.items()) ^ set(before.items()))

    def tree(self) -> dict[str, str]:
        """Return the digest of every file below ``data``; locks are no data."""
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted((self.folder / "data").rglob("*"))
            if path.is_file() and path.suffix != ".lock" and "_runs" not in path.parts
        }

    def whole(self) -> None:
        """Assert that nothing lies about that nothing names."""
        with Project(self.folder) as project:
            assert project.examine().orphans == ()

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        """Return the rows of a table of the staging warehouse without Penstock's columns, sorted."""
        import duckdb

        with duckdb.connect(self.folder / "data/staging/warehouse.duckdb", read_only=True) as connection:
            columns = [name for name, *_ in connection.execute(f"DESCRIBE {table}").fetchall() if name[0] != "_"]
            return sorted(connection.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall())


def pipeline(
    sources: str = 'sources.files("orders.csv", table="orders", write="replace")',
    checks: str = "",
    transforms: str = f'sql("revenue", text="{REVENUE}")',
    promote: str = '"revenue"',
    more: str = "",
    code: str = "",
) -> str:
    """Return the text of a ``pipeline.py``."""
    return f"""
from penstock import Pipeline, checks, feature, sources, split_by, sql, training_set

{code}

shop = Pipeline(
    name="shop",
    sources=[{sources}],
    checks={{{checks}}},
    transforms=[{transforms}],
    promote=[{promote}],
    {more}
)
"""
