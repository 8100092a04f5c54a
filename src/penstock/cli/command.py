"""What every command has: an example in its help, ``--json``, ``--project``, ``--debug``, and a session."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from penstock.cli.groups import CommandEntry, LazyGroup
from penstock.values import dataclass

if TYPE_CHECKING:
    from penstock.cli.output import Output
    from penstock.project import Project


@dataclass(frozen=True, slots=True)
class Session:
    """What a command works with.

    Attributes:
        folder: The project's folder as given; None: found upward.
        as_json: Whether results are printed as JSON.
        output: Where results go.
    """

    folder: str | None
    as_json: bool
    output: Output

    @contextmanager
    def project(self, *, progress: bool = False) -> Iterator[Project]:
        """Open the project; ``progress`` shows what goes on in it."""
        from penstock.project import Project

        if not progress:
            with Project(self.folder) as project:
                yield project
            return
        with self.progress() as observer, Project(self.folder, observer=observer) as project:
            yield project

    def progress(self) -> Any:
        """Return the observer that shows progress: live on a terminal, plain lines elsewhere; a context manager."""
        from penstock.cli.progress import progress_to

        return progress_to("stderr" if self.as_json else "stdout")


def command(*, example: str, name: str | None = None) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a function a command; it gets a ``Session`` first and may return an exit code.

    Args:
        example: What to type, shown at the end of the help.
        name: The name, where it differs from the function's.
    """

    def decorate(function: Callable[..., Any]) -> click.Command:
        @functools.wraps(function)
        @click.pass_context
        def run(context: click.Context, /, **given: Any) -> Any:
            from penstock.cli.output import output_for

            above = context.find_root().obj or {}
            as_json = given.pop("json")
            given.pop("debug")
            folder = given.pop("project") or above.get("project")
            return function(Session(folder, as_json, output_for(as_json)), **given)

        for option in _COMMON:
            run = option(run)
        return click.command(name or function.__name__, epilog=epilog(example))(run)

    return decorate


def group(
    *, entries: tuple[CommandEntry, ...], example: str, default: str | None = None, alone: bool = False
) -> Callable[[Callable[..., Any]], click.Group]:
    """Make a function a group of commands with a table; ``default`` is meant where none of them is named.

    ``alone``: also where nothing is said at all, which shows the help otherwise.
    """

    def decorate(function: Callable[..., Any]) -> click.Group:
        return click.group(cls=LazyGroup, entries=entries, default=default, alone=alone, epilog=epilog(example))(
            function
        )

    return decorate


def epilog(example: str) -> str:
    """Return the end of a help page."""
    lines = "\n".join(f"  {line.strip()}" for line in example.strip().splitlines())
    return f"Example:\n\n\b\n{lines}"


_COMMON = (
    click.option("--debug", is_flag=True, help="Show tracebacks."),
    click.option("--json", is_flag=True, help="Print the result as JSON; errors too."),
    click.option("--project", metavar="DIR", help="The project's folder; default: the nearest penstock.toml upward."),
)
