"""Sources that lose, double or change something on the way: caught before the rows count."""

from dataclasses import replace

import pytest
from landing_place import DAY, Batches, batch

from penstock.errors import DataError
from penstock.extract.port import SourceFigures
from penstock.model.codec import decode, encode
from penstock.model.entries import Entry
from penstock.model.figures import Aggregate, Figures, compare, figures
from penstock.model.specs import Reconcile, WriteMode


class Told(Batches):
    """A source that tells what it holds, whatever it hands over."""

    def __init__(self, batches, rows, columns, *, snapshot=True, families=None):
        super().__init__(batches)
        kinds = {"id": "number", "name": "text", **(families or {})}
        self.told = SourceFigures(Figures(rows=rows, columns=columns, families=kinds), snapshot)

    def figures(self):
        return self.told


WHOLE = [batch({"id": [1, 2, 3], "name": ["a", "b", None]}), batch({"id": [4, 5], "name": ["d", "e"]})]
TRUTH = {
    "id": {"values": "5", "least": "1", "greatest": "5", "sum": "15"},
    "name": {"values": "4", "bytes": "4"},
}


def land(place, batches, reconcile="sums", *, snapshot=True, families=None, **more):
    told = Told(batches, 5, TRUTH, snapshot=snapshot, families=families)
    return place.land([], extraction=told, key=("id",), reconcile=Reconcile(reconcile), **more)


def test_a_whole_reading_is_reconciled_and_its_manifest_says_so(place):
    receipt = land(place, WHOLE)
    found = receipt.entry.reconciliation
    assert (found.word, found.rejects, found.differences, found.compared) == ("reconciled", False, (), 7)
    assert (found.read, found.known) == (5, 0)
    assert found.landed.columns == TRUTH
    kept = place.table().entry(receipt.entry.number)
    assert kept.reconciliation == found
    assert decode(Entry, encode(kept), where="it").reconciliation == found


@pytest.mark.parametrize(
    ("batches", "measure", "column"),
    [
        pytest.param(WHOLE[:1], "rows", "", id="the last batch is lost"),
        pytest.param([*WHOLE, WHOLE[1]], "rows", "", id="a batch comes twice"),
        pytest.param(
            [batch({"id": [1, 2, 3, 4, 6], "name": ["a", "b", None, "d", "e"]})], "greatest", "id", id="value"
        ),
        pytest.param([batch({"id": [1, 2, 2, 4, 5], "name": ["a", "b", None, "d", "e"]})], "sum", "id", id="inside"),
        pytest.param([batch({"id": [1, 2, 3, 4, 5], "name": ["a", "b", None, "d", ""]})], "bytes", "name", id="cut"),
        pytest.param(
            [batch({"id": [1, 2, 3, 4, 5], "name": ["a", "b", None, "d", None]})], "values", "name", id="null"
        ),
    ],
)
def test_what_is_lost_doubled_or_changed_on_the_way_rejects_the_load_and_is_named(place, batches, measure, column):
    receipt = land(place, batches)
    found = receipt.entry.reconciliation
    assert (found.word, found.rejects) == ("differs", True)
    assert (found.differences[0].measure, found.differences[0].column) == (measure, column)
    first = found.differences[0]
    assert f"the source says {first.expected}, the files hold {first.found}" in found.sentence("raw_t")


def test_rows_that_a_source_without_figures_handed_over_must_lie_in_the_files(place):
    receipt = place.land(WHOLE)
    found = receipt.entry.reconciliation
    assert (found.word, found.source, found.compared, found.landed.rows) == ("counted", False, 1, 5)


def test_a_source_that_changed_while_it_was_read_is_a_note_and_no_alarm(place):
    receipt = land(place, WHOLE[:1], snapshot=False)
    found = receipt.entry.reconciliation
    assert (found.word, found.rejects) == ("source changed", False)
    assert any(
        "may have changed while it was read: rows: the source says 5, the files hold 3" in n for n in receipt.notes
    )


def test_a_column_that_the_table_keeps_as_another_type_is_compared_by_its_values_alone(place):
    place.land([batch({"id": ["x"], "name": ["a"]})])
    receipt = land(place, WHOLE)
    found = receipt.entry.reconciliation
    assert (found.word, found.differences) == ("reconciled", ())
    assert found.landed.families["id"] == "text"


def test_nothing_is_measured_where_it_is_off(place):
    assert land(place, WHOLE[:1], "off").entry.reconciliation is None


def test_counts_leave_sums_out(place):
    found = land(place, WHOLE, "counts").entry.reconciliation
    assert found.landed.columns == {"id": {"values": "5", "least": "1", "greatest": "5"}, "name": {"values": "4"}}


def test_a_reading_that_brings_nothing_new_and_lacks_rows_of_its_source_fails(place):
    first = land(place, WHOLE[:1], "counts", write=WriteMode.REPLACE)
    current = replace(first.entry, reconciliation=None)
    with pytest.raises(
        DataError, match="does not hold what the source gave: rows: the source says 5, the files hold 3"
    ):
        land(place, WHOLE[:1], "counts", write=WriteMode.REPLACE, current=current)
    # Somebody has seen this very difference and accepted it.
    assert land(place, WHOLE[:1], "counts", write=WriteMode.REPLACE, current=first.entry).entry is None
    assert len(place.files()) == 1


def test_an_empty_reading_is_reconciled(place):
    told = Told([], 0, {"id": {"values": "0", "sum": "0"}})
    entry = place.land([], extraction=told, schema=None, interval=DAY, reconcile=Reconcile.SUMS).entry
    assert entry.reconciliation.word == "reconciled"


def test_figures_are_exact_and_canonical():
    asked = [
        Aggregate("n", "sum", "number", "", weight=2**32),
        Aggregate("n", "sum", "number", ""),
        Aggregate("f", "least", "float", ""),
        Aggregate("day", "greatest", "date", "", "day"),
        Aggregate("at", "greatest", "moment", "", "moment"),
        Aggregate("text", "greatest", "text", "", "text"),
        Aggregate("nothing", "least", "number", ""),
    ]
    found = figures(asked, (3, 2**40, 5, -0.0, 15706, -1, "x" * 100, None)).columns
    assert found["n"] == {"sum": str(2**72 + 5)}
    assert found["f"] == {"least": "0.0"}
    assert (found["day"]["greatest"], found["at"]["greatest"]) == ("2013-01-01", "1969-12-31T23:59:59.999999")
    assert found["text"]["greatest"].startswith("x" * 32 + "… (sha256 ")
    assert "nothing" not in found


def test_differences_are_few_however_many_columns_there_are():
    one = Figures(rows=1, columns={f"c{n}": {"values": "1"} for n in range(600)})
    two = Figures(rows=1, columns={f"c{n}": {"values": "2"} for n in range(600)})
    compared, differences = compare(one, two)
    assert (compared, len(differences)) == (601, 20)
