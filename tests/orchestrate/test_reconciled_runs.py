"""Runs over a source of an installed package that loses rows: rejected, named, accepted or read again."""

import textwrap

import pytest
from shop_runs import SETTINGS

from penstock.model.entries import EntryKind, Verdict
from penstock.model.receipts import State
from penstock.project import Project

PIPELINE = """
from penstock import Pipeline
from penstock.model.specs import SourceSpec
shop = Pipeline(name="shop", sources=[SourceSpec(table="orders", kind="leaky", key=("id",))])
"""
LEAKY = """
import pathlib
import pyarrow as pa
from penstock.extract.port import ArrowBatch, SourceFigures
from penstock.model.figures import Figures

class Leaky:
    schema = None
    def open(self, request):
        self.read = int(pathlib.Path(request.root, "reads").read_text())
        return self
    def batches(self):
        yield ArrowBatch(pa.RecordBatch.from_pydict({"id": list(range(self.read))}), ("leaky", {}))
    def figures(self):
        found = {"id": {"values": "5", "least": "0", "greatest": "4"}}
        return SourceFigures(Figures(rows=5, columns=found, families={"id": "number"}), snapshot=True)
    def position(self): return None
    def notes(self): return ()
    def commit(self): pass
    def close(self): pass
    def describe(self, request): return ()
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    packages = tmp_path / "packages"
    (packages / "leaky-1.dist-info").mkdir(parents=True)
    (packages / "leaky-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: leaky\nVersion: 1\n")
    (packages / "leaky-1.dist-info" / "entry_points.txt").write_text("[penstock.source]\nleaky = leaky:Leaky\n")
    (packages / "leaky.py").write_text(LEAKY)
    monkeypatch.syspath_prepend(str(packages))
    (tmp_path / "penstock.toml").write_text(SETTINGS)
    (tmp_path / "pipeline.py").write_text(textwrap.dedent(PIPELINE))
    made = Project(tmp_path)
    yield made
    made.close()


def test_a_load_that_lacks_a_row_of_its_source_is_rejected_until_it_is_read_whole(project, tmp_path):
    (tmp_path / "reads").write_text("4")
    run = project.run()
    assert run.state is State.REJECTED
    (extracted,) = [step for step in run.steps if step.step == "extract orders"]
    assert extracted.reconciled == "differs"
    sentence = "raw_orders does not hold what the source gave: rows: the source says 5, the files hold 4"
    assert extracted.notes[0].startswith(sentence)
    verdict = next(entry for entry in project.versions("orders") if entry.kind is EntryKind.VERDICT)
    assert (verdict.verdict, verdict.reason.startswith(sentence)) == (Verdict.REJECTED, True)
    assert [each.measure for each in verdict.reconciliation.differences] == ["rows", "values", "greatest"]
    (tmp_path / "reads").write_text("5")
    again = project.retry()
    assert again.state is State.DONE
    words = {step.step: step.reconciled for step in again.steps}
    assert words == {"extract orders": "reconciled", "load raw_orders": "reconciled"}


def test_a_person_may_accept_it_as_it_is(project, tmp_path):
    (tmp_path / "reads").write_text("4")
    project.run()
    load = next(entry for entry in project.versions("orders") if entry.kind is EntryKind.LOAD)
    project.accept("orders", load.number, reason="The fifth is known to be broken")
    run = project.run()
    assert {step.step: step.reconciled for step in run.steps}["load raw_orders"] == "reconciled"
