"""Large CSV files are not looked through before they are scanned: what the scan then meets is read in another way."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from land.landing_place import Place, types
from penstock.errors import TransientError
from penstock.extract.files.listing import LARGE
from penstock.extract.files.scope import describe
from penstock.extract.files.source import FilesSource
from penstock.extract.port import Request
from penstock.model.entries import Entry
from penstock.model.specs import SourceSpec, WriteMode

LONG = "12345678901234567890"


def source(path: Path, **options: object) -> Request:
    spec = SourceSpec(table="t", kind="files", write=WriteMode.REPLACE, options={"path": str(path), **options})
    return Request(source=spec)


def write(path: Path, last: str) -> int:
    """Write a file that is larger than what is looked through, with a short row and ``last`` at its end."""
    padding = "x" * 1000
    rows = LARGE // 1000 + 1000
    with open(path, "w") as out:
        out.write("id,amount,rate,text\n")
        out.writelines(f"{i},{i}.5,{i}.25,{padding}\n" for i in range(rows))
        out.write(f"7\n{last}\n")
    assert path.stat().st_size > LARGE
    return rows + 1


@pytest.mark.parametrize("several", [False, True])
def test_a_number_of_more_digits_than_a_double_carries_makes_its_column_text(
    place: Place, tmp_path: Path, several: bool
) -> None:
    rows = write(tmp_path / "big.csv", f"1,{LONG},-1.5,y")
    if several:
        (tmp_path / "more.csv").write_text("id,amount,rate,text\n2,0.5,0.5,z\n")
        rows += 1
    request = source(tmp_path / ("*.csv" if several else "big.csv"))
    extraction = FilesSource().open(request)
    assert extraction is not None
    receipt = place.land((), source=request.source, extraction=extraction)
    assert receipt.entry is not None
    assert receipt.entry.rows == rows
    assert {name: type_ for name, type_ in types(receipt.entry).items() if name in ("id", "amount", "rate")} == {
        "id": "BIGINT",
        "amount": "VARCHAR",
        "rate": "DOUBLE",
    }
    found = place.rows(receipt.entry, "amount, rate")
    assert (LONG, -1.5) in found[-2:]
    assert ("0.5", 0.25) in found[:1]
    assert any("amount holds numbers with more digits" in note for note in receipt.notes)
    # The short row was met by both scans, and is kept once.
    assert receipt.entry.misfits is not None
    assert receipt.entry.misfits.rows == 1
    assert len([path for path in place.files() if "raw_t" in path]) == len(receipt.entry.files) + 1


def test_a_great_number_that_a_double_carries_leaves_the_types_as_they_are(place: Place, tmp_path: Path) -> None:
    rows = write(tmp_path / "big.csv", "1,6.02e23,inf,y")
    request = source(tmp_path / "big.csv")
    extraction = FilesSource().open(request)
    assert extraction is not None
    receipt = place.land((), source=request.source, extraction=extraction)
    assert receipt.entry is not None
    assert types(receipt.entry)["amount"] == types(receipt.entry)["rate"] == "DOUBLE"
    assert receipt.entry.rows == rows
    assert place.rows(receipt.entry, "amount, rate")[-1] == (6.02e23, float("inf"))


def test_a_type_that_was_named_is_taken_as_it_is(place: Place, tmp_path: Path) -> None:
    write(tmp_path / "big.csv", f"1,{LONG},1.5,y")
    request = source(tmp_path / "big.csv", types={"amount": "DOUBLE"})
    extraction = FilesSource().open(request)
    assert extraction is not None
    receipt = place.land((), source=request.source, extraction=extraction)
    assert receipt.entry is not None
    assert types(receipt.entry)["amount"] == "DOUBLE"
    assert place.rows(receipt.entry, "amount")[-1] == (float(LONG),)


def test_scope_looks_at_the_beginning_of_such_a_file(tmp_path: Path) -> None:
    path = tmp_path / "big.csv"
    write(path, "1,2.5,1.5,y")
    text = path.read_text().replace("0,0.5,", f"0,{LONG},", 1)
    path.write_text(text)
    (described,) = describe(source(path))
    assert described.columns["amount"] == "VARCHAR"
    assert described.columns["rate"] == "DOUBLE"


def test_files_that_are_streamed_widen_the_table_as_one_file_does(place: Place, tmp_path: Path) -> None:
    def land(pattern: str) -> Entry:
        request = source(tmp_path / pattern)
        extraction = FilesSource().open(request)
        assert extraction is not None
        receipt = place.land((), source=request.source, extraction=extraction)
        assert receipt.entry is not None
        return receipt.entry

    (tmp_path / "a.csv").write_text("id,n\n1,5\n")
    assert types(land("a.csv"))["n"] == "BIGINT"
    for name in ("b.csv", "c.csv"):
        # The value that does not fit comes when some rows were written.
        (tmp_path / name).write_text("id,n\n" + "1,5\n" * 300_000 + "2,5.5\n")
    entry = land("[bc].csv")
    assert types(entry)["n"] == "DOUBLE"
    assert entry.rows == 600_002
    assert place.rows(entry, "n")[299_999:300_002] == [(5.0,), (5.5,), (5.0,)]


def test_an_encoding_that_shows_late_is_found_beside_the_scan(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "big.csv"
    rows = write(path, "1,2.5,1.5,y")
    with open(path, "ab") as out:
        out.write("2,3.5,2.5,café\n".encode("latin-1"))
    request = source(path)
    extraction = FilesSource().open(request)
    assert extraction is not None
    receipt = place.land((), source=request.source, extraction=extraction)
    assert receipt.entry is not None
    assert receipt.entry.rows == rows + 1
    assert place.rows(receipt.entry, "text")[-1] == ("café",)
    assert "big.csv is not UTF-8; it is read as Latin-1" in " ".join(receipt.notes)
    assert receipt.entry.misfits is not None
    assert receipt.entry.misfits.rows == 1


def test_the_checksum_of_the_whole_file_stands_in_the_manifest(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "big.csv"
    write(path, "1,2.5,1.5,y")
    request = source(path)
    extraction = FilesSource().open(request)
    assert extraction is not None
    receipt = place.land((), source=request.source, extraction=extraction)
    assert receipt.entry is not None
    assert receipt.entry.work is not None
    assert receipt.entry.work.position is not None
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    (origin,) = receipt.entry.origins
    assert dict(origin.detail) == {"bytes": path.stat().st_size, "sha256": found}
    assert [state["sha256"] for state in receipt.entry.work.position["files"].values()] == [found]


def test_a_file_that_grows_while_it_is_scanned_is_noticed(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "big.csv"
    write(path, "1,2.5,1.5,y")
    request = source(path)
    extraction = FilesSource().open(request)
    assert extraction is not None

    def advance(rows: int, size: int) -> None:
        with open(path, "a") as out:
            out.write("9,9.5,9.5,z\n")

    place.advance = advance
    with pytest.raises(TransientError, match="changed while it was read"):
        place.land((), source=request.source, extraction=extraction)
    assert place.files() == []
