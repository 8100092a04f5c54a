from __future__ import annotations

import gzip
import tracemalloc
import xml.etree.ElementTree as ET
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

import penstock
from penstock.errors import ConfigurationError, DataError
from penstock.extract.files import archives
from penstock.extract.files.formats.port import Asked
from penstock.extract.files.formats.xml_records import Records
from penstock.extract.files.listing import File, inspect

Take = Callable[..., Any]
BOOKS = """<?xml version="1.0" encoding="{encoding}"?>
<!-- a comment --><catalog xmlns="urn:c" xmlns:x="urn:x" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
 <title>Bücher</title>
 <book id="1" x:kind="a"><name>Größe &amp; <![CDATA[<raw>]]></name><author><n>A</n></author>
  <author><n>B</n><born>1900-01-01</born></author><price cur="EUR">1.50</price><x:name>other</x:name><e/></book>
 <book id="2"><name> 2 </name><price>3</price><e>7</e><gone xsi:nil="true"/><at>2020-01-02T03:04:05</at></book>
 <book/>
</catalog>
"""


def put(path: Path, text: str, encoding: str = "utf-8") -> None:
    path.write_bytes(text.replace("{encoding}", encoding).encode(encoding))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1", "windows-1252", "cp437"])
def test_records_with_nested_values(tmp_path: Path, take: Take, encoding: str) -> None:
    put(tmp_path / "t.xml", BOOKS, encoding)
    found = take("t.xml")
    assert found.types == {
        "@id": "int64", "@x:kind": "string", "name": "string",
        "author": "list<item: struct<n: string, born: date32[day]>>", "price": "struct<@cur: string, #text: double>",
        "x:name": "string", "e": "int64", "gone": "string", "at": "timestamp[us]",
    }  # fmt: skip
    one, two, three = found.rows
    assert one == {
        "@id": 1, "@x:kind": "a", "name": "Größe & <raw>", "x:name": "other", "e": None, "gone": None, "at": None,
        "author": [{"n": "A", "born": None}, {"n": "B", "born": date(1900, 1, 1)}],
        "price": {"@cur": "EUR", "#text": 1.5},
    }  # fmt: skip
    assert (two["name"], two["price"], two["e"]) == (" 2 ", {"@cur": None, "#text": 3.0}, 7)
    assert two["at"] == datetime(2020, 1, 2, 3, 4, 5)  # noqa: DTZ001
    assert set(three.values()) == {None}
    assert found.notes == (
        "t.xml is read by records='/catalog/book'",
        "t.xml: what stands beside its records is not read, as catalog/title",
    )
    (tmp_path / "t.xml.gz").write_bytes(gzip.compress((tmp_path / "t.xml").read_bytes()))
    assert take("t.xml.gz").rows == found.rows


def test_records_by_a_path(tmp_path: Path, take: Take) -> None:
    put(tmp_path / "t.xml", BOOKS)
    authors = [{"n": "A", "born": None}, {"n": "B", "born": date(1900, 1, 1)}]
    for path in ("author", "book/author", "/catalog/book/author"):
        assert take("t.xml", records=path).rows == authors
    assert take("t.xml", records="n").rows == [{"value": "A"}, {"value": "B"}]
    assert [row["value"] for row in take("t.xml", records="name").rows] == ["Größe & <raw>", "other", " 2 "]
    other = {"namespaces": {"y": "urn:x"}}
    assert take("t.xml", records="y:name", **other).rows == [{"value": "other"}]
    assert take("t.xml", records="book", **other).rows[0]["y:name"] == "other"
    assert take("t.xml", records="book", lists=["name"]).rows[1]["name"] == [" 2 "]
    with pytest.raises(ConfigurationError, match=r"t\.xml has no element at records='book/bok'"):
        take("t.xml", records="book/bok")
    with pytest.raises(ConfigurationError, match="no element at"):
        take("t.xml", records="/book")


def test_types_that_are_said_by_path(tmp_path: Path, take: Take) -> None:
    put(tmp_path / "t.xml", BOOKS)
    types = {"price/#text": "DECIMAL(9,2)", "@id": "VARCHAR", "author/born": "VARCHAR"}
    row = take("t.xml", records="book", types=types).rows[0]
    assert (row["@id"], row["price"]["#text"], row["author"][1]["born"]) == ("1", Decimal("1.50"), "1900-01-01")
    with pytest.raises(
        DataError, match=r"The record at line 4 of t\.xml holds a value at 'author/n' that is not of type DATE"
    ):
        take("t.xml", records="book", types={"author/n": "DATE"})
    with pytest.raises(ConfigurationError, match="no element 'autor/n'"):
        take("t.xml", records="book", types={"autor/n": "DATE"})
    with pytest.raises(DataError, match="not in the form %Y"):
        take("t.xml", records="book", times={"author/born": "%Y"})


def test_an_element_with_members_in_one_record_and_none_in_another(tmp_path: Path, take: Take) -> None:
    put(tmp_path / "t.xml", "<r><i><a k='1'>5</a></i><i><a>x</a></i><i><a><b>1</b></a></i><i><a/></i></r>")
    found = take("t.xml")
    assert found.types == {"a": "struct<@k: int64, #text: string, b: int64>"}
    assert [row["a"] for row in found.rows] == [
        {"@k": 1, "b": None, "#text": "5"}, {"@k": None, "b": None, "#text": "x"},
        {"@k": None, "b": 1, "#text": None}, {"@k": None, "b": None, "#text": None},
    ]  # fmt: skip


def test_texts_between_elements_are_joined_and_told(tmp_path: Path, take: Take) -> None:
    put(tmp_path / "t.xml", "<r><p>Hello <b>w</b> tail</p><p>plain</p></r>")
    found = take("t.xml")
    assert found.rows == [{"b": "w", "#text": "Hello  tail"}, {"b": None, "#text": "plain"}]
    assert found.notes[-1] == "t.xml: p has texts between elements; they are joined in #text"


def test_a_record_where_none_was_named(tmp_path: Path, take: Take) -> None:
    for text, path, rows in (
        ("<r><i>1</i></r>", "/r/i", 1), ("<r><m/><l><i>1</i><i>2</i></l></r>", "/r/l/i", 2), ("<r a='1'/>", "/r", 1),
        ("<r><a>1</a><b>2</b></r>", "/r", 1), ("<r><i><a/><a/></i></r>", "/r/i", 1),
    ):  # fmt: skip
        put(tmp_path / "t.xml", text)
        found = take("t.xml")
        assert found.notes[0] == f"t.xml is read by records={path!r}"
        assert len(found.rows) == rows


def test_what_another_writer_wrote_comes_back(tmp_path: Path, take: Take) -> None:
    root = ET.Element("root")
    for number in range(3000):
        item = ET.SubElement(root, "item", {"n": str(number)})
        ET.SubElement(item, "text").text = f"<&\"'{number}\t🐟"
        for part in range(number % 4):
            ET.SubElement(ET.SubElement(item, "part"), "size").text = str(part / 2)
    ET.ElementTree(root).write(tmp_path / "t.xml", encoding="utf-8", xml_declaration=True)
    found = take("t.xml", batch_bytes=100_000)
    assert found.rows == [
        {"@n": number, "text": f"<&\"'{number}\t🐟",
         "part": [{"size": part / 2} for part in range(number % 4)] or None}
        for number in range(3000)
    ]  # fmt: skip
    assert found.batches > 3
    assert found.largest < 100_000


LAUGHS = '<!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><r><i>&b;</i></r>'


@pytest.mark.parametrize("document", [
    LAUGHS, '<!DOCTYPE r SYSTEM "http://127.0.0.1:9/x.dtd"><r><i>1</i></r>', "<!DOCTYPE r><r><i>1</i></r>",
    '<!DOCTYPE r [<!ENTITY e SYSTEM "secret.txt">]><r><i>&e;</i></r>',
    '<!DOCTYPE r [<!ENTITY % p SYSTEM "secret.txt"> %p;]><r><i>1</i></r>',
])  # fmt: skip
def test_a_document_type_is_refused_before_anything_of_it_is_read(tmp_path: Path, take: Take, document: str) -> None:
    put(tmp_path / "secret.txt", "secret")
    put(tmp_path / "t.xml", document)
    for options in ({}, {"records": "i"}):
        with pytest.raises(DataError, match=r"t\.xml declares a document type \(line 1\)") as met:
            take("t.xml", **options)
        assert "secret" not in str(met.value)


@pytest.mark.parametrize(("document", "told"), [
    ("<r>\n<i>1</i>\n<i>2</j></r>", "at line 3: mismatched tag"), ("<r><i>1</i>", "at line 1: no element found"),
    ("<r><i>&nosuch;</i></r>", "undefined entity"), ("{}", "no well-formed XML at line 1"),
    ("<r><i>1</i></r><r/>", "junk after"),
    ('<?xml version="1.0" encoding="klingon"?><r/>', "not known"), ("<r>" + "<i>" * 200, "more than 100 deep"),
    ('<?xml version="1.0" encoding="utf-8"?><r><i>\udcff</i></r>', "not well-formed"),
    ("<r><i xmlns:p='u:1'><p:a/></i><i xmlns:p='u:2'><p:a/></i></r>", "of two namespaces"),
])  # fmt: skip
def test_what_is_no_xml_is_refused_with_its_line(tmp_path: Path, take: Take, document: str, told: str) -> None:
    (tmp_path / "t.xml").write_bytes(document.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=told):
        take("t.xml", records="i") if "200" in told or "deep" in told else take("t.xml")


def test_what_is_out_of_proportion_is_refused(tmp_path: Path, take: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.extract.files.formats.xml_records.LARGEST", 100_000)
    monkeypatch.setattr("penstock.extract.files.formats.markup.LARGEST", 300_000)
    put(tmp_path / "t.xml", "<r><i>1</i>\n<i>" + "x" * 200_000 + "</i></r>")
    with pytest.raises(DataError, match=r"The record at line 2 of t\.xml takes over 100,000 bytes"):
        take("t.xml")
    put(tmp_path / "t.xml", "<r><i/><i a='" + "x" * 1_000_000 + "'/></r>")
    with pytest.raises(DataError, match=r"t\.xml holds a tag of over 300,000 bytes"):
        take("t.xml", records="i")
    monkeypatch.setattr("penstock.extract.files.formats.xml_shape._MOST", 50)
    put(tmp_path / "t.xml", "<r>" + "".join(f"<i><n{number}/></i>" for number in range(60)) + "</r>")
    with pytest.raises(DataError, match="over 50 names at different places"):
        take("t.xml")


def test_memory_does_not_grow_with_the_document(tmp_path: Path) -> None:
    with open(tmp_path / "t.xml", "w", encoding="utf-8") as file:
        file.write("<r>")
        file.writelines(
            f"<i><n>{number}</n><t>{'text ' * 20}</t></i><beside><x>{'text ' * 20}</x></beside>"
            for number in range(30_000)
        )
        file.write("</r>")
    path = tmp_path / "t.xml"
    state = path.stat()
    file_ = File("t.xml", str(path), "xml", state.st_size, state.st_mtime_ns, state.st_ctime_ns)
    asked = Asked(file_, inspect(file_, archives.Meter("t.xml", state.st_size, archives.Limits())), {}, 500_000, [])
    assert state.st_size > 7_000_000
    tracemalloc.start()
    try:
        read = sum(len(found) for found, _ in Records(asked, ["i"], rooted=False, namespaces={}).batches(500_000))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert read == 30_000
    assert peak < 3_000_000


def test_options_that_cannot_be(tmp_path: Path, take: Take) -> None:
    put(tmp_path / "t.xml", "<r><i>1</i><i>2</i></r>")
    for options, told in (
        ({"records": "a//b"}, "no path"), ({"records": ""}, "no path"), ({"records": "p:i"}, "prefix 'p'"),
        ({"namespaces": ["a"]}, "namespaces of t.xml are none"), ({"record": "i"}, "no option 'record'"),
        ({"lists": ["x"]}, "no element 'x'"), ({"types": {"value": "BIGNIT"}}, "type or time format"),
    ):  # fmt: skip
        with pytest.raises(ConfigurationError, match=told.replace(".", r"\.")):
            take("t.xml", **options)


def test_a_document_reaches_the_warehouse(tmp_path: Path) -> None:
    put(tmp_path / "t.xml", BOOKS)
    penstock.ingest(str(tmp_path / "t.xml"), to=str(tmp_path / "w.duckdb"), table="books")
    with duckdb.connect(str(tmp_path / "w.duckdb"), read_only=True) as warehouse:
        found = warehouse.sql('SELECT "@id", author[2].born, price."#text", "x:name" FROM books ORDER BY 1').fetchall()
    assert found == [(1, date(1900, 1, 1), 1.5, "other"), (2, None, 3.0, None), (None, None, None, None)]
