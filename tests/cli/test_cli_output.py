"""How results read: as text for people, whole as JSON for programs."""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from worded import AT, CANDIDATE, DAY, PLAN, RELEASE, REPORT, VALUES, run, step

from penstock.cli import figures
from penstock.cli.blocks import Line, Table, plain_table, shortened, table
from penstock.cli.output import data_of, output_for
from penstock.cli.texts import dispatch
from penstock.model.codec import decode
from penstock.model.receipts import State


@pytest.mark.parametrize(
    ("value", "said"),
    VALUES,
    ids=lambda value: (
        type(value[0] if isinstance(value, list) and value and not isinstance(value[0], str) else value).__name__
    ),
)
def test_each_value_reads_well(value: Any, said: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    output_for(False).show(value)
    text = capsys.readouterr().out
    for part in said:
        assert part in text
    assert "\x1b" not in text
    assert all(len(line) < 420 for line in text.splitlines())
    assert not any(line != line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize("value", [value for value, _ in VALUES], ids=lambda value: type(value).__name__)
def test_each_value_is_whole_in_json(value: Any, capsys: pytest.CaptureFixture[str]) -> None:
    output_for(True).show(value)
    data = json.loads(capsys.readouterr().out)
    kept = value if isinstance(value, Sequence) else [value]
    for item, made in zip(kept, data if isinstance(value, Sequence) else [data], strict=True):
        assert set(made) == {field for field, spec in type(item).__dataclass_fields__.items() if spec.compare}


def test_json_of_the_model_can_be_read_back() -> None:
    for value in (PLAN, CANDIDATE, RELEASE, run(State.DONE, step("extract flights", interval=DAY, report=REPORT))):
        assert decode(type(value), json.dumps(data_of(value)).encode(), where="it") == value


def test_each_wording_is_there_and_tried() -> None:
    tried = {
        (type(value[0] if isinstance(value, list) else value).__name__, isinstance(value, list)) for value, _ in VALUES
    }
    for names, several in ((dispatch._ONE, False), (dispatch._SEVERAL, True)):
        for name, place in names.items():
            module, _, function = place.partition(":")
            assert inspect.isfunction(getattr(import_module(f"penstock.cli.texts.{module}"), function))
            assert (name, several) in tried or name == "TemplateReceipt"


def test_a_plan_in_summary(capsys: pytest.CaptureFixture[str]) -> None:
    output_for(False).show(PLAN, summary=True)
    text = capsys.readouterr().out
    assert "extract  flights      2 intervals  2013-01-05 … 2013-01-06  not read yet" in text


def test_an_empty_sequence_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    output_for(False).show((), empty="Nothing has run yet.")
    output_for(True).show(())
    assert capsys.readouterr().out == "Nothing has run yet.\n[]\n"


def test_on_a_terminal_the_same_words_stand_in_tables() -> None:
    from rich.console import Console

    from penstock.cli.terminal import print_blocks

    console = Console(width=200, force_terminal=True, record=True, file=open("/dev/null", "w"), highlight=False)  # noqa: SIM115
    print_blocks([Line("[bold]not markup[/bold] :smile:", "bad"), table(("a", ">b"), [("[x]", "1")])], console)
    text = console.export_text()
    console.file.close()
    assert "[bold]not markup[/bold] :smile:" in text
    assert "[x]" in text


def test_data_of_what_json_lacks() -> None:
    given = {
        1: Decimal("1.50"),
        "a": float("nan"),
        "b": timedelta(minutes=1),
        "c": Path("x"),
        "d": {3},
        "e": State.DONE,
    }
    assert data_of(given) == {"1": "1.50", "a": None, "b": 60.0, "c": "x", "d": [3], "e": "done"}
    assert data_of(AT.date()) == "2026-11-21"


def test_plain_tables_are_aligned_whatever_the_letters() -> None:
    made = table(("name", ">n", "empty"), [("东京", "1", ""), ("é", "1,000", "")])
    assert isinstance(made, Table)
    assert plain_table(made) == "name      n\n东京      1\né     1,000"


def test_nothing_in_a_cell_moves_the_cursor() -> None:
    assert shortened("a\tb\nc\x1b[2J\u202e") == "a b c [2J "
    assert shortened("x" * 100, 10) == "x" * 9 + "…"


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (figures.size(0), "0 B"),
        (figures.size(999), "999 B"),
        (figures.size(999.6), "1.0 kB"),
        (figures.size(123_456), "123 kB"),
        (figures.size(99_949), "99.9 kB"),
        (figures.size(5 * 10**15), "5000.0 TB"),
        (figures.size(None), "–"),
        (figures.rate(5, 1), ""),
        (figures.rate(10**6, 0.01), ""),
        (figures.rate(1000, 2), "500 rows/s"),
        (figures.rate(352_000, 10), "35.2k rows/s"),
        (figures.rate(5 * 10**6, 1), "5.0M rows/s"),
        (figures.duration(0.04), "0.0 s"),
        (figures.duration(9.96), "10 s"),
        (figures.duration(59.6), "1 min 00 s"),
        (figures.duration(7800), "2 h 10 min"),
        (figures.count(1234567), "1,234,567"),
        (figures.plural(1, "row"), "1 row"),
        (figures.plural(0, "row"), "0 rows"),
        (figures.moment(None), "–"),
    ],
)
def test_figures(made: str, said: str) -> None:
    assert made == said
