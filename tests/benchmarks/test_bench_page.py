"""The page of benchmarks says what the kept results say."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.measuring import Line, Sample
from benchmarks.sizes import Table

from benchmarks import page, results


def test_the_page_is_written_from_the_kept_results() -> None:
    told = page.PAGE.read_text().partition(page.BEGIN)[2].partition(page.END)[0]
    for path in results.FOLDER.glob("*.json"):
        for table in json.loads(path.read_text())["tables"]:
            assert f"### {table['title']}" in told, "run: .venv/bin/python -m benchmarks.page"
            for line in table["lines"]:
                assert f"| {line['name']} | {line['seconds']:.2f} |" in told, "run: .venv/bin/python -m benchmarks.page"


def test_a_table_is_kept_and_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, folder in ((results, "FOLDER", "kept"), (page, "FOLDER", "kept"), (page, "PLOTS", "plots")):
        monkeypatch.setattr(module, name, tmp_path / folder)
    samples = [Sample(2.0, 1.5, 300_000_000, (3,)), Sample(4.0, 1.7, 250_000_000, (3,))]
    lines = [Line("by hand & alone", samples, [1.0, 1.0]), Line("Penstock", samples, [1.2, 1.4], differs="gives 2")]
    results.save("postgres", [Table("A <case>", 1000, lines, "A note.")], 2, 0.5)
    told = page.results()
    assert "| Penstock | 3.00 | 2.00 to 4.00 | 1.60 | 1.30 | 333 | 300 | gives 2 |" in told
    assert "A note." in told
    drawn = ET.parse(tmp_path / "plots" / "postgres.svg").getroot()
    texts = [each.text for each in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == ["by hand & alone", "3.0 s, 300 MB", "Penstock", "3.0 s, 300 MB"]
