"""Writes docs/commands.md from the command line's own help; a test holds the page to it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from penstock.cli.main import penstock

PAGE = Path(__file__).parents[1] / "docs" / "commands.md"
HEAD = """# Commands

Written by `python scripts/write_commands.py` from the help of each command. Every command takes `--json`. Exit codes: 0
done, 2 the project or the call is wrong, 3 the data is (a load was rejected), 4 try again later, 5 somebody else acted
first, 6 not found, 70 a bug of ours, 130 interrupted, 143 terminated.
"""


def page() -> str:
    """Return the whole page."""
    root = click.Context(penstock, info_name="penstock", max_content_width=100, terminal_width=100)
    commands = sorted(_commands(root), key=lambda found: found.command_path)
    parts = [f"## {found.command_path}\n\n```text\n{found.get_help().strip()}\n```\n" for found in commands]
    return "\n".join([HEAD, *parts])


def _commands(context: click.Context) -> list[click.Context]:
    command = context.command
    if not isinstance(command, click.Group):
        return [context]
    names = command.list_commands(context)
    return [found for name in names for found in _commands(_child(context, command, name))]


def _child(parent: click.Context, group: click.Group, name: str) -> click.Context:
    command = group.get_command(parent, name)
    assert command is not None
    return click.Context(command, parent=parent, info_name=name, max_content_width=100, terminal_width=100)


if __name__ == "__main__":
    sys.stdout.write(f"{PAGE.name}\n")
    PAGE.write_text(page(), encoding="utf-8")
