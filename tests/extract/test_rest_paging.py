from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from penstock.errors import ConfigurationError, DataError, PenstockError, TransientError
from penstock.extract.port import Request
from penstock.extract.rest.source import RestSource
from penstock.model.specs import ConnectionSpec, SourceSpec
from servers.scripted_http import Answer, Call, Scripted, scripted

TOKEN = "s3cr3t-token-never-shown"
Script = Callable[[Call], Any]


class Read:
    """What one reading of an endpoint gave."""

    def __init__(self, server: Scripted, options: dict[str, Any], key: tuple[str, ...] = ("id",)) -> None:
        connection = ConnectionSpec(
            name="api",
            kind="rest",
            url=f"{server.url}/v1",
            secrets={"token": TOKEN},
            options={"backoff": 0.001, "timeout": 5.0},
        )
        source = SourceSpec(table="things", kind="rest", connection="api", options={"path": "/x", **options}, key=key)
        extraction = RestSource().open(Request(source=source, connection=connection))
        try:
            batches = list(extraction.batches())
            self.ids = [value for batch in batches for value in batch.data.column("id").to_pylist()]
            self.origins = [batch.origin for batch in batches]
            self.notes = extraction.notes()
        except PenstockError as error:
            if TOKEN in str(error):
                pytest.fail("the token stands in an error")
            raise
        finally:
            extraction.close()


def read(script: Script, key: tuple[str, ...] = ("id",), **options: Any) -> Read:
    with scripted(script) as server:
        return Read(server, options, key)


def rows(first: int, last: int) -> list[dict[str, int]]:
    return [{"id": number} for number in range(first, last)]


def link_header(call: Call) -> Any:
    page = int(call.query.get("page", "1"))
    links = '<https://elsewhere.example/spec>; rel="describedby", '
    links += f'</v1/x?page={page + 1}&sort=a,b>; title="a, b; rel=next?"; rel="next last"' if page < 3 else ""
    return Answer(rows(page * 10, page * 10 + 10), headers={"Link": links})


def next_in_body(call: Call) -> Any:
    page = int(call.query.get("page", "1"))
    following = [f"?page={page + 1}", f"/v1/x?page={page + 1}"][page % 2] if page < 3 else None
    return {"meta": {"next": following, "total": 30}, "things": rows(page * 10, page * 10 + 10), "warnings": []}


def token_in_body(call: Call) -> Any:
    page = int(call.query.get("cursor", "t1")[1:])
    return {"next_cursor": f"t{page + 1}" if page < 3 else "", "data": rows(page * 10, page * 10 + 10)}


def last_record(call: Call) -> Any:
    after = int(call.query.get("after", "9"))
    return {"data": rows(after + 1, min(after + 11, 40)), "has_more": after < 29}


def by_page(call: Call) -> Any:
    page = int(call.query["page"])
    return {"total": 30, "results": rows(page * 10, page * 10 + 10) if page < 4 else []}


def by_page_404(call: Call) -> Any:
    page = int(call.query["p"])
    return rows(page * 10 + 10, page * 10 + 20) if page < 3 else Answer({"detail": "Invalid page."}, 404)


def by_offset(call: Call) -> Any:
    offset, limit = int(call.query["offset"]), int(call.query.get("limit", "7"))
    return {"items": rows(10, 40)[offset : offset + limit]}


def by_offset_with_total(call: Call) -> Any:
    offset = int(call.query["skip"])
    return {"n": "30", "items": rows(10, 40)[offset : offset + min(int(call.query["take"]), 4)]}


@pytest.mark.parametrize(
    ("script", "paging"),
    [
        (link_header, "auto"),
        (link_header, {"kind": "link"}),
        (next_in_body, "auto"),
        (next_in_body, {"kind": "next", "next": "meta.next"}),
        (token_in_body, "auto"),
        (token_in_body, {"kind": "cursor", "cursor": "next_cursor", "param": "cursor"}),
        (last_record, {"kind": "cursor", "last": "id", "param": "after", "more": "has_more"}),
        (by_page, {"kind": "page"}),
        (by_page, {"kind": "page", "total": "total"}),
        (by_page_404, {"kind": "page", "param": "p", "start": 0}),
        (by_offset, {"kind": "offset"}),
        (by_offset, {"kind": "offset", "size": 11}),
        (by_offset_with_total, {"kind": "offset", "param": "skip", "size": 9, "size_param": "take", "total": "n"}),
    ],
)
def test_every_pager_reads_everything_once_and_in_order(script: Script, paging: Any) -> None:
    found = read(script, paging=paging)
    assert found.ids == list(range(10, 40))
    assert found.notes == ()


def test_origins_name_the_pages_and_no_secret() -> None:
    found = read(next_in_body, params={"api_key": "abc", "a": [1, 2], "gone": None})
    ((url, detail),) = found.origins
    assert url.startswith("http://127.0.0.1:")
    assert url.endswith("/v1/x?a=1&a=2")
    assert detail == {"page": 1, "last_page": 3}


def test_large_pages_become_batches_of_their_own() -> None:
    def script(call: Call) -> Any:
        page = int(call.query["page"])
        return rows(page * 5000, page * 5000 + 5000) if page < 5 else []

    found = read(script, paging={"kind": "page"})
    assert found.ids == list(range(5000, 25_000))
    assert [origin[1] for origin in found.origins] == [{"page": 1, "last_page": 2}, {"page": 3, "last_page": 4}]


def test_pages_with_a_known_total_are_fetched_side_by_side_and_stay_in_order() -> None:
    together = threading.Barrier(3, timeout=5)

    def script(call: Call) -> Any:
        page = int(call.query["page"])
        if 2 <= page <= 4:
            together.wait()
        return {"total": 35, "data": rows(page * 10, min(page * 10 + 10, 45))}

    found = read(script, paging={"kind": "page", "total": "total"}, concurrency=3)
    assert found.ids == list(range(10, 45))


@pytest.mark.parametrize(
    ("body", "sign"),
    [
        ({"total": 35, "data": rows(0, 10)}, "announces 35 records"),
        ({"has_more": True, "data": rows(0, 10)}, "has_more is true"),
        ({"meta": {"pages": 3}, "data": rows(0, 10)}, "meta.pages is 3"),
        ({"next_thing": "abc", "data": rows(0, 10)}, "next_thing is 'abc'"),
    ],
)
def test_the_first_page_is_never_taken_for_everything(body: Any, sign: str) -> None:
    with pytest.raises(ConfigurationError, match=sign):
        read(lambda _: body)
    with pytest.raises(ConfigurationError, match=sign):
        read(lambda _: body, paging={"kind": "next", "next": "meta.nxt"})
    found = read(lambda _: body, paging="none")
    assert found.ids == list(range(10))
    assert sign in found.notes[0]


def test_a_header_that_announces_more_is_seen_too() -> None:
    with pytest.raises(ConfigurationError, match="X-Total-Count is 35"):
        read(lambda _: Answer(rows(0, 10), headers={"X-Total-Count": "35"}))


@pytest.mark.parametrize("total", ["abc", 0, -1, None, True, [], 3.5, "٣"])
def test_a_total_that_is_none_is_not_believed(total: Any) -> None:
    def script(call: Call) -> Any:
        page = int(call.query["page"])
        return {"total": total, "data": rows(page * 10, page * 10 + 10) if page < 4 else []}

    found = read(script, paging={"kind": "page", "total": "total"})
    assert found.ids == list(range(10, 40))
    assert (total == 0) or "holds no number of records" in found.notes[0]


@pytest.mark.parametrize("kind", ["page", "offset"])
def test_a_total_that_is_too_small_loses_nothing(kind: str) -> None:
    def script(call: Call) -> Any:
        offset = (int(call.query["page"]) - 1) * 10 if kind == "page" else int(call.query["offset"])
        return {"total": 20, "data": rows(0, 43)[offset : offset + 10]}

    found = read(script, paging={"kind": kind, "total": "total"})
    assert found.ids == list(range(43))
    assert "announced 20 records and sent 43" in found.notes[0]


@pytest.mark.parametrize("kind", ["page", "offset"])
def test_a_total_that_is_too_great_ends_and_is_told(kind: str) -> None:
    def script(call: Call) -> Any:
        offset = (int(call.query["page"]) - 1) * 10 if kind == "page" else int(call.query["offset"])
        return {"total": 45, "data": rows(0, 38)[offset : offset + 10]}

    found = read(script, paging={"kind": kind, "total": "total"})
    assert found.ids == list(range(38))
    assert "announced 45 records and sent 38" in found.notes[0]


def test_a_short_page_is_not_the_last() -> None:
    def script(call: Call) -> Any:
        page = int(call.query["page"])
        return {1: rows(0, 10), 2: rows(10, 13), 3: rows(13, 23)}.get(page, [])

    assert read(script, paging={"kind": "page", "size": 10}).ids == list(range(23))


@pytest.mark.parametrize("concurrency", [1, 4])
def test_short_pages_by_offset_leave_no_gap(concurrency: int) -> None:
    def script(call: Call) -> Any:
        offset, limit = int(call.query["offset"]), int(call.query["limit"])
        most = 3 if offset in (10, 30) else limit
        return {"total": 60, "data": rows(0, 60)[offset : offset + min(most, limit)]}

    found = read(script, paging={"kind": "offset", "size": 10, "total": "total"}, concurrency=concurrency)
    assert sorted(found.ids) == list(range(60))
    assert found.notes == ()


@pytest.mark.parametrize("kind", ["page", "offset"])
def test_an_empty_page_in_the_middle_is_stepped_over(kind: str) -> None:
    def script(call: Call) -> Any:
        offset = (int(call.query["page"]) - 1) * 10 if kind == "page" else int(call.query["offset"])
        return {"total": 50, "data": [] if offset == 20 else rows(0, 50)[offset : offset + 10]}

    found = read(script, paging={"kind": kind, "total": "total"}, concurrency=1)
    assert found.ids == [*range(20), *range(30, 50)]
    assert "announced 50 records and sent 40" in found.notes[0]


def test_rows_inserted_while_paging_are_told() -> None:
    def script(call: Call) -> Any:
        page = int(call.query["page"])
        shift = 2 if page > 1 else 0
        return {"total": 30 + shift, "data": rows(0, 32)[(page - 1) * 10 - shift :][:10] if page < 5 else []}

    found = read(script, paging={"kind": "page", "total": "total"}, concurrency=1)
    assert "changed from 30 to 32" in found.notes[0]
    assert any("2 keys of 'things' came on two pages in a row" in note for note in found.notes)


def circle(call: Call) -> Any:
    return {
        "next": {"a": "/v1/x?at=b", "b": "/v1/x?at=a"}.get(call.query.get("at", "a")),
        "data": rows(call.number, call.number + 2),
    }


def itself(call: Call) -> Any:
    return {"next": call.target, "data": rows(call.number, call.number + 2)}


def token_circle(call: Call) -> Any:
    token = {"": "A", "A": "B", "B": "A"}[call.query.get("cursor", "")]
    return {"next_cursor": token, "data": rows(call.number * 10, call.number * 10 + 5)}


def same_page(call: Call) -> Any:
    return {"next_cursor": f"t{call.number}", "data": rows(0, 10)}


def same_pages(call: Call) -> Any:
    return {"next_cursor": f"t{call.number}", "data": rows(call.number % 3 * 10, call.number % 3 * 10 + 10)}


def same_single(call: Call) -> Any:
    return {"next_cursor": f"t{call.number}", "data": rows(0, 1)}


def always_more(call: Call) -> Any:
    return {"next_cursor": f"t{call.number}", "data": rows(0, 10) if call.number == 1 else []}


def for_ever(call: Call) -> Any:
    return {"next_cursor": f"t{call.number}", "data": rows(call.number * 2, call.number * 2 + 2)}


def page_ignored(call: Call) -> Any:
    return rows(0, 10)


@pytest.mark.parametrize(
    ("script", "paging", "said"),
    [
        (circle, "auto", "in a circle: after 3 pages"),
        (itself, "auto", "in a circle: after 1 pages"),
        (token_circle, "auto", "in a circle"),
        (same_page, "auto", "Page 2 .* holds the same records as page 1"),
        (same_pages, "auto", "Page 4 .* holds the same records as page 1"),
        (same_single, "auto", "holds the same records as page 1"),
        (always_more, "auto", "the 11th empty page in a row"),
        (for_ever, "auto", "past the 50 pages that max_pages allows"),
        (page_ignored, {"kind": "page"}, "holds the same records as page 1"),
        (page_ignored, {"kind": "offset"}, "holds the same records as page 1"),
    ],
)
def test_pages_without_end_are_refused(script: Script, paging: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read(script, paging=paging, max_pages=50)


def test_the_next_page_on_another_host_is_refused_or_read_without_credentials() -> None:
    with scripted(lambda _: {"next": None, "data": rows(10, 20)}) as away:
        script = lambda _: {"next": away.url + "/more", "data": rows(0, 10)}  # noqa: E731
        with pytest.raises(ConfigurationError, match="next page is on another host"):
            read(script)
        assert away.calls == []
        found = read(script, allow_hosts=["127.0.0.1"])
        assert found.ids == list(range(20))
        assert "authorization" not in away.calls[0].headers


@pytest.mark.parametrize(
    ("body", "error", "said"),
    [
        ({"error": {"code": 7}, "data": []}, DataError, "answers with an error"),
        ({"errors": ["no such field"], "data": None}, DataError, "answers with an error"),
        ({"message": "hello"}, ConfigurationError, "holds no list of records; its keys are message"),
        ({"a": rows(0, 2), "b": rows(2, 4)}, ConfigurationError, "more than one list of records.*a, b"),
        (3, DataError, "a single int"),
        ([1, 2], DataError, "Record 0 .* is not an object"),
        ([{"id": 1}, None], DataError, "Record 1 .* is not an object"),
        ([{}, {}], DataError, "have no fields"),
    ],
)
def test_answers_without_records(body: Any, error: type[PenstockError], said: str) -> None:
    with pytest.raises(error, match=said):
        read(lambda _: body)


def test_a_path_of_records_that_is_misspelt() -> None:
    with pytest.raises(DataError, match=r"no records at 'dat'.*Got: data"):
        read(lambda _: {"data": rows(0, 3)}, records="dat")


@pytest.mark.parametrize(
    ("body", "options"),
    [
        (rows(0, 3), {}),
        ({"a": {"b": rows(0, 3)}}, {}),
        ({"a.b": rows(0, 3), "c": rows(5, 6)}, {"records": "a.b"}),
        ({"a": [{"b": rows(0, 3)}], "c": rows(5, 6)}, {"records": "a.0.b"}),
        ({"tags": [{"x": 1}], "data": rows(0, 3)}, {}),
    ],
)
def test_where_records_are_found(body: Any, options: dict[str, Any]) -> None:
    assert read(lambda _: body, **options).ids == [0, 1, 2]


def test_one_document_is_one_record() -> None:
    assert read(lambda _: {"id": 5, "parts": [1, 2]}, records=".").ids == [5]


@pytest.mark.parametrize("body", [[], {"data": []}, {"data": None}, None])
def test_nothing_is_no_rows(body: Any) -> None:
    options = {} if body != {"data": None} else {"records": "data"}
    answer = Answer(b"", 204) if body is None else body
    assert read(lambda _: answer, **options).ids == []


def test_an_error_in_the_middle_ends_the_reading() -> None:
    def script(call: Call) -> Any:
        page = int(call.query["page"])
        return Answer(b"", 503) if page == 3 else {"total": 90, "data": rows(page * 10, page * 10 + 10)}

    with pytest.raises(TransientError, match="status 503"):
        read(script, paging={"kind": "page"}, attempts=2)


def test_a_failure_waits_for_nobody() -> None:
    def script(call: Call) -> Any:
        page = int(call.query["page"])
        if page == 2:
            time.sleep(0.2)
            return Answer(b"", 401)
        return Answer(b"", 503, {"Retry-After": "50"}) if page == 3 else {"total": 90, "data": rows(0, 10)}

    begun = time.monotonic()
    with pytest.raises(ConfigurationError, match="refuses the credentials"):
        read(script, paging={"kind": "page", "total": "total"})
    assert time.monotonic() - begun < 5


def test_a_secret_that_the_server_echoes_is_not_shown() -> None:
    for body in ({"error": f"{TOKEN} is no good", "data": []}, f"<p>{TOKEN}</p>".encode(), f'["{TOKEN}", }}'.encode()):
        with pytest.raises(DataError, match=r"\*\*\*"):
            read(lambda _, body=body: Answer(body))


def test_large_batches_are_cut_to_size() -> None:
    records = [{"id": number, "text": "x" * 1000} for number in range(500)]
    with scripted(lambda _: records) as server:
        source = SourceSpec(table="things", kind="rest", options={"url": server.url})
        extraction = RestSource().open(Request(source=source, batch_bytes=100_000))
        sizes = [batch.data.nbytes for batch in extraction.batches()]
        extraction.close()
    assert len(sizes) >= 5
    assert max(sizes) <= 110_000


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pagin": {}}, "Did you mean 'paging'"),
        ({"paging": "nxt"}, "Did you mean 'next'"),
        ({"paging": {"kind": "page", "parm": "p"}}, "Did you mean 'param'"),
        ({"paging": {"kind": "next"}}, "needs 'next'"),
        ({"paging": {"kind": "cursor", "param": "c"}}, "needs 'cursor'"),
        ({"paging": 3}, "paging of source 'things' is not usable"),
        ({"paging": {"kind": "page", "size": 0}}, "a whole number from 1"),
        ({"concurrency": 0}, "a whole number from 1"),
        ({"records": ""}, "is not usable"),
        ({"params": [1]}, "is not usable"),
        ({"since": {"format": "iso"}}, "names no parameter"),
        ({"since": {"start": "s", "format": "unix"}}, "no format 'unix'"),
        ({"types": {"id": "BIGIN"}}, "Did you mean 'BIGINT'"),
        ({"path": "http://elsewhere.example/x"}, "on another server than connection 'api'"),
    ],
)
def test_misspelt_options(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        read(lambda _: [], **options)


def test_a_source_without_a_connection_and_its_description() -> None:
    with scripted(next_in_body) as server:
        source = SourceSpec(table="things", kind="rest", options={"url": f"{server.url}/v1/x"})
        (described,) = RestSource().describe(Request(source=source))
        assert len(server.calls) == 1
    assert described.columns == {"id": "int64"}
    assert described.rows == 30
    assert described.key == ("id",)
    assert described.pattern == "api"
    assert "meta.next" in described.reason
    assert described.suggestion.startswith("sources.rest(")


def test_a_description_names_the_times() -> None:
    with scripted(lambda _: [{"at": "2013-01-01T00:00:00Z", "name": "a"}]) as server:
        connection = ConnectionSpec(name="api", kind="rest", url=server.url)
        source = SourceSpec(table="things", kind="rest", connection="api", options={"path": "/x"})
        (described,) = RestSource().describe(Request(source=source, connection=connection))
    assert described.cursors == ("at",)
    assert described.rows == 1
    assert described.suggestion == "sources.rest('api', path='/x', table='things')"
