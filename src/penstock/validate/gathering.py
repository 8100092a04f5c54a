"""Questions about all rows at once: asked of DuckDB as they are, or of another engine in portions of the rows."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from penstock.queries.text import identifier
from penstock.stores.port import PORTION, Partial
from penstock.validate.rows import Rows

Answer = list[tuple[Any, ...]]
Inquiry = Generator[Partial, Answer, dict[str, Any]]
"""What asks one question after the other, each by what it learned from the one before, and returns what it found."""


class Gathering:
    """Asks about the rows.

    Attributes:
        rows: The rows.
        here: The rows as DuckDB of this machine reads them, for questions about few of them.
        spread: Whether another engine is asked.
        looked: A table of some of the rows, where they were read once for all who look at some; see ``glancing``.
    """

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.here = replace(rows, asked=None)
        self.spread = rows.asked is not None
        self.looked = ""
        self._named = replace(rows, relation=PORTION) if self.spread else rows

    def sql(self, columns: Collection[str]) -> str:
        """Return the rows as the FROM clause of a question."""
        return self._named.sql(columns)

    def values(self, column: str) -> str:
        """Return a relation of the values of one column, called ``v``."""
        return f"(SELECT {identifier(column)} AS v FROM {self.sql([column])})"

    def ask(self, questions: Sequence[Partial]) -> list[Answer]:
        """Return the answers to questions that do not depend on each other."""
        if not questions:
            return []
        if self.rows.asked is None:
            return [self.rows.engine.execute(question.part).fetchall() for question in questions]
        return self.rows.asked.gathered(self.rows.relation, questions)

    def follow(self, inquiries: Mapping[str, Inquiry]) -> dict[str, dict[str, Any]]:
        """Return what each inquiry finds; where another engine is asked, all are asked together."""
        found: dict[str, dict[str, Any]] = {}
        answers: dict[str, Answer | None] = dict.fromkeys(inquiries)
        while answers:
            asked: dict[str, Partial] = {}
            for name, answer in answers.items():
                try:
                    asked[name] = inquiries[name].send(answer) if answer is not None else next(inquiries[name])
                except StopIteration as end:
                    found[name] = end.value
            answers = dict(zip(asked, self.ask(list(asked.values())), strict=True))
        return found
