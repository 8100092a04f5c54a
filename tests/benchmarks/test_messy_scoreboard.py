"""The scoreboard of messy CSV, over a part of its files: nothing that is read without a hint today is lost tomorrow."""

from __future__ import annotations

import re

import pytest
from benchmarks.messy.pollutions import POLLUTIONS, pairs, singles
from benchmarks.messy.scoreboard import main


def test_the_suite_hurts_every_table_in_every_way_and_in_pairs() -> None:
    assert len(dict(singles())) == 8 * (len(POLLUTIONS) + 1)
    assert len(dict(pairs())) > 1000


def test_penstock_finds_hurt_tables_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--contestant", "Penstock", "--every", "20"]) == 0
    shares = [float(share) for share in re.findall(r"\| Penstock \| ([\d.]+)%", capsys.readouterr().out)]
    assert len(shares) == 2
    assert min(shares) >= 90
