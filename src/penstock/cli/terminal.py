"""Text on a terminal, with rich; imported only where there is one."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from penstock.cli.blocks import Block, Table

STYLES = {
    "plain": "",
    "strong": "bold",
    "good": "green",
    "bad": "bold red",
    "warn": "yellow",
    "faint": "dim",
}


def print_blocks(blocks: Sequence[Block], console: Console | None = None) -> None:
    """Print blocks; what they hold is taken as it is, never as markup."""
    console = console or Console(highlight=False, emoji=False, markup=False)
    for block in blocks:
        if isinstance(block, Table):
            console.print(_rich(block))
        else:
            console.print(Text(block.text, style=STYLES[block.style]))


def _rich(block: Table) -> RichTable:
    made = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name in block.columns:
        made.add_column(
            Text(name.removeprefix(">")), justify="right" if name.startswith(">") else "left", overflow="fold"
        )
    for row in block.rows:
        made.add_row(*(Text(cell) for cell in row))
    return made
