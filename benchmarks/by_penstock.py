"""Penstock at the same work, as a user would write it: ``python -m benchmarks.by_penstock WORK FOLDER [INPUT]``."""

from __future__ import annotations

import sys
from pathlib import Path

import penstock
from penstock.cli.process import main as command

PROJECT = """
[project]
name = "bench"
pipelines = ["bench:bench"]
[environments.staging]
lake = "t.lake"
warehouse = "t.duckdb"
[environments.production]
lake = "p.lake"
warehouse = "p.duckdb"
[connections.server]
url = "{url}"
readers = {readers}
"""
PIPELINE = """
from penstock import Pipeline, sources
bench = Pipeline(name="bench", sources=[sources.sql("server", table="lineitem", name="t", write="replace")])
"""


READERS = {"one_connection": 1, "two_connections": 2}


def _by_connections(folder: Path, url: str, readers: int) -> int:
    """Run a project that reads over some connections."""
    (folder / "penstock.toml").write_text(PROJECT.format(url=url.partition("?")[0], readers=readers))
    (folder / "bench.py").write_text(PIPELINE)
    with penstock.Project(folder) as project:
        return project.run().exit_code


def main() -> None:
    """Do the work that the arguments name."""
    work, folder, *given = sys.argv[1:]
    if work in READERS:
        sys.exit(_by_connections(Path(folder), given[0], READERS[work]))
    if work in ("plan", "run"):
        words = [work, "--project", folder]
    else:
        reading = {"merge": ["--write", "merge", "--key", "id"], "nested": ["--nested", "tables"]}.get(work, [])
        words = ["ingest", given[0], "--to", str(Path(folder) / "t.duckdb"), "--table", "t", *reading]
    sys.argv = ["penstock", *words]
    command()


if __name__ == "__main__":
    main()
