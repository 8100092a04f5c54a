"""Where results go: text for people, JSON for programs. Commands hand over values and never print."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, timedelta
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

import click

from penstock.cli.blocks import Line, Table, plain_table
from penstock.cli.texts.dispatch import blocks_of


class Output(Protocol):
    """Takes results."""

    def show(self, value: Any, *, empty: str = "", summary: bool = False) -> None:
        """Show a value of the model, or a sequence of them.

        Args:
            value: The value.
            empty: What to say where a sequence is empty.
            summary: Fewer lines, where the value has such a form.
        """
        ...

    def say(self, sentence: str) -> None:
        """Say something beside the result."""
        ...

    def fail(self, sentence: str, exit_code: int) -> None:
        """Say why what was shown failed, on standard error."""
        ...


def output_for(as_json: bool) -> Output:
    """Return the output that the user asked for."""
    return JsonOutput() if as_json else TextOutput()


class JsonOutput:
    """One JSON document on standard output."""

    def show(self, value: Any, *, empty: str = "", summary: bool = False) -> None:  # noqa: ARG002 - the port's names
        """Print the whole value: every field, times in ISO 8601, durations in seconds."""
        click.echo(json.dumps(data_of(value), indent=2, allow_nan=False))

    def say(self, sentence: str) -> None:
        """Say it beside the document."""
        click.echo(sentence, err=True)

    def fail(self, sentence: str, exit_code: int) -> None:
        """Say it as errors are said that end a command."""
        click.echo(json.dumps({"error": {"message": sentence, "exit_code": exit_code}}), err=True)


class TextOutput:
    """Sentences and tables; tables with lines and colours on a terminal only."""

    def show(self, value: Any, *, empty: str = "", summary: bool = False) -> None:
        """Print the value's text."""
        if isinstance(value, Sequence) and not value:
            click.echo(empty)
            return
        blocks = blocks_of(value, summary=summary)
        if sys.stdout.isatty():
            from penstock.cli.terminal import print_blocks

            print_blocks(blocks)
            return
        for block in blocks:
            click.echo(plain_table(block) if isinstance(block, Table) else _plain(block))

    def say(self, sentence: str) -> None:
        """Print a sentence."""
        click.echo(sentence)

    def fail(self, sentence: str, exit_code: int) -> None:  # noqa: ARG002 - the port's names
        """Print it as errors are printed that end a command."""
        click.echo(f"Error: {sentence}", err=True)


def _plain(line: Line) -> str:
    return line.text


def data_of(value: Any) -> Any:
    """Return a value as JSON data, with every field; what JSON lacks becomes text, and not-a-number null."""
    if value is None or isinstance(value, bool | int | str):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: data_of(getattr(value, field.name)) for field in fields(value) if field.compare}
    if isinstance(value, Mapping):
        return {str(key): data_of(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [data_of(item) for item in value]
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Path):
        return str(value)
    return value.value if isinstance(value, Enum) else str(value)
