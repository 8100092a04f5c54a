"""Where a command works: the project, where there is one; an interval, as options spell it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from penstock.errors import ConfigurationError

if TYPE_CHECKING:
    from penstock.cli.command import Session
    from penstock.model.interval import Interval
    from penstock.project import Project


@contextmanager
def project_or_none(session: Session) -> Iterator[Project | None]:
    """Open the project if the folder has one or one is named."""
    from penstock.config.project import find_project

    if session.folder is None:
        try:
            find_project()
        except ConfigurationError:
            yield None
            return
    with session.project() as project:
        yield project


def interval_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--interval``, ``--from`` and ``--to``, which the function gets as ``covered``: an interval, or None."""

    @functools.wraps(function)
    def chosen(*arguments: Any, interval: str | None, start: str | None, end: str | None, **given: Any) -> Any:
        return function(*arguments, covered=chosen_interval(interval, start, end), **given)

    for option in (
        click.option("--to", "end", metavar="TIME", help="The end; the moment itself is not in."),
        click.option("--from", "start", metavar="TIME", help="The beginning, as 2013-01-05 or 2013-01-05T06:00."),
        click.option(
            "--interval", metavar="DAY|FROM/TO", help="The time to cover, as 2013-01-05 or 2013-01-05/2013-02-01."
        ),
    ):
        chosen = option(chosen)
    return chosen


def chosen_interval(interval: str | None, start: str | None, end: str | None) -> Interval | None:
    """Return the interval that the options name; None for none.

    Raises:
        ConfigurationError: They contradict each other, or one of the ends is missing.
    """
    from penstock.model.interval import Interval, parse_moment

    if interval is not None:
        if start is not None or end is not None:
            raise ConfigurationError("--interval and --from or --to say the same twice", remedy="Give one of them")
        return Interval.parse(interval)
    if start is None and end is None:
        return None
    if start is None or end is None:
        raise ConfigurationError(
            f"{'--from' if start is None else '--to'} is missing",
            remedy="Give both ends: --from 2013-01-01 --to 2013-02-01",
        )
    return Interval(parse_moment(start), parse_moment(end))
