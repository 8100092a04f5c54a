"""The page of types says what the cases prove."""

from __future__ import annotations

from types_page import PAGE, TABLES, written


def test_the_page_of_types_is_that_of_the_cases() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert all(f"<!-- table: {name} -->" in page for name in TABLES)
    assert page == written(page), "run: .venv/bin/python tests/types/types_page.py"
