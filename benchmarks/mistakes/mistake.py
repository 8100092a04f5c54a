"""What a mistake is: a name, what it needs of a table, and the SQL that makes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from benchmarks.mistakes.site import Drawn, Site

Hurt: TypeAlias = Callable[..., str]


@dataclass(frozen=True, slots=True)
class Mistake:
    """One way in which a day's batch goes wrong.

    Attributes:
        name: What it is called, also where it is listed as missed.
        about: What happened, in words of whoever finds it later.
        needs: What it changes: a kind of column each, of which one is drawn; the kinds are those of ``Site``.
        hurt: Given the site and what was drawn for each need, a SELECT over ``batch`` (today's rows) and ``yesterday``
            (those of the batch before) that gives today's rows with the mistake in them.
        family: What it is listed under; set by ``family``.
    """

    name: str
    about: str
    needs: tuple[str, ...]
    hurt: Hurt
    family: str = field(default="")

    def applies(self, site: Site) -> bool:
        """Say whether the batch has all that the mistake needs."""
        return all(len(site.candidates(need)) >= self.needs.count(need) for need in self.needs)

    def made(self, site: Site) -> str:
        """Return the SELECT that makes the mistake; what it draws follows from the site's seed.

        Raises:
            LookupError: The batch lacks what the mistake needs; ``applies`` tells.
        """
        drawn: list[Drawn] = []
        for need in self.needs:
            drawn.append(site.draw(need, other_than=drawn))
        return self.hurt(site, *drawn)
