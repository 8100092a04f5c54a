"""Writes the tables of ``docs/reference/types.md`` from the cases: ``python tests/types/types_page.py``."""

from __future__ import annotations

import re
from pathlib import Path

import access_cases
import arrow_cases
import file_cases
import mariadb_cases
import postgres_cases
import sqlite_cases
from types_way import page_table

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "types.md"
TABLES = {
    "postgresql": postgres_cases.CASES,
    "mysql": [*mariadb_cases.MARIADB, *mariadb_cases.MYSQL[-2:]],
    "sqlite": [*sqlite_cases.CASES, *sqlite_cases.NOT_UTF8],
    "access": access_cases.CASES,
    "arrow": arrow_cases.CASES,
    "duckdb": file_cases.CASES,
}
_TABLE = re.compile(r"(<!-- table: (\w+) -->\n).*?(\n<!-- end -->)", re.DOTALL)


def written(page: str) -> str:
    """Return the page with every table as the cases have it."""
    return _TABLE.sub(lambda found: f"{found[1]}{page_table(TABLES[found[2]])}{found[3]}", page)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
