"""Groups whose commands are imported when they are called, so that help and completion cost nothing."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple

import click

from penstock.errors import ConfigurationError


class CommandEntry(NamedTuple):
    """One line of a group's table.

    Attributes:
        name: What the user types.
        place: ``module:function`` of the command.
        help: One sentence.
        section: The heading it stands under.
    """

    name: str
    place: str
    help: str
    section: str = "Commands"


class LazyGroup(click.Group):
    """A group with a table instead of imported commands.

    Args:
        entries: The table, in the order of help.
        default: The command that is meant where none is named, but something else is.
        alone: Whether it is meant as well where nothing is said.
        **settings: As for ``click.Group``.
    """

    def __init__(
        self,
        *arguments: Any,
        entries: Sequence[CommandEntry] = (),
        default: str | None = None,
        alone: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(*arguments, **settings)
        self.alone = alone
        self.entries = {entry.name: entry for entry in entries}
        self.default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Name the default command where an option of its stands first."""
        if (args and args[0].startswith("-") and args[0] not in ctx.help_option_names) or (not args and self.alone):
            args = self._named(args)
        return super().parse_args(ctx, args)

    def _named(self, args: list[str]) -> list[str]:
        return args if self.default is None or (args and args[0] in self.entries) else [self.default, *args]

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of the table."""
        return [*self.entries, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in self.entries:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = self.entries[cmd_name].place.partition(":")
        found = getattr(import_module(module), attribute)
        assert isinstance(found, click.Command)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that was typed; one that is not there gets the nearest that is."""
        known = self.list_commands(ctx)
        args = self._named(args) if args or self.alone else args
        if args and args[0] not in known and not args[0].startswith("-"):
            from penstock.names import unknown

            error = unknown("command", args[0], known, where=ctx.command_path)
            raise ConfigurationError(
                error.what, valid=error.valid, remedy=error.remedy or f"See: {ctx.command_path} --help"
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table by sections, without importing any command."""
        width = max((len(name) for name in self.list_commands(ctx)), default=0)
        sections: dict[str, list[tuple[str, str]]] = {}
        for entry in self.entries.values():
            sections.setdefault(entry.section, []).append((entry.name.ljust(width), entry.help))
        for name in super().list_commands(ctx):
            command = super().get_command(ctx, name)
            if command is not None:
                sections.setdefault("Commands", []).append((name.ljust(width), command.get_short_help_str(80)))
        for section, rows in sections.items():
            with formatter.section(section):
                formatter.write_dl(rows)
