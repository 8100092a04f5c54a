from __future__ import annotations

import gzip
import threading
import time
import zlib
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest

from penstock.errors import ConfigurationError, DataError, PenstockError, TransientError
from penstock.extract.http.budget import CallBudget, Timing
from penstock.extract.http.client import HttpClient
from penstock.extract.http.credentials import Credentials, credentials_of
from penstock.extract.http.retry import Backoff, retry_after
from penstock.extract.http.settings import HttpSettings, settings_from
from penstock.model.specs import ConnectionSpec
from servers.scripted_http import Answer, Call, Scripted, scripted

TOKEN = "s3cr3t-token-never-shown"


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.at = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds

    @property
    def timing(self) -> Timing:
        return Timing(sleep=self.sleep, clock=lambda: self.at, now=lambda: 1_000_000_000 + self.at)


def client(server: Scripted, timing: Timing | None = None, **settings: Any) -> HttpClient:
    connection = ConnectionSpec(name="api", kind="rest", url=server.url, secrets={"token": TOKEN})
    settings = {"backoff": 0.001, "timeout": 5.0, **settings}
    return HttpClient("api", server.url, credentials_of(connection), HttpSettings(**settings), timing)


def fetch(script: Callable[[Call], Any], timing: Timing | None = None, path: str = "/x", **settings: Any) -> Any:
    with scripted(script) as server:
        calls = client(server, timing, **settings)
        try:
            return calls.get(server.url + path), server.calls
        except PenstockError as error:
            if TOKEN in str(error):
                pytest.fail("the token stands in an error")
            raise
        finally:
            calls.close()


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_may_pass_later_is_tried_again(status: int) -> None:
    reply, calls = fetch(lambda call: Answer([1], status if call.number < 3 else 200))
    assert reply.json() == [1]
    assert len(calls) == 3


def test_the_waits_double_up_to_the_longest_and_end() -> None:
    ceilings: list[float] = []
    backoff = Backoff(first=1, longest=5, jitter=lambda ceiling: ceilings.append(ceiling) or ceiling)
    for attempt in range(1, 6):
        backoff.wait(attempt, None)
    assert ceilings == [1, 2, 4, 5, 5]
    with pytest.raises(TransientError, match=r"status 503 \(4 attempts\)"):
        fetch(lambda _: Answer(b"", 503), attempts=4)


def test_jitter_is_full() -> None:
    waits = [Backoff(first=8).wait(1, None) for _ in range(200)]
    assert 0 <= min(waits) < 1.5
    assert 6.5 < max(waits) <= 8


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [("7", 7, 7.01), (formatdate(1_000_000_009, usegmt=True), 9, 9.01), ("0.25", 0.25, 0.26)],
)
def test_the_server_is_waited_for_as_long_as_it_asks(header: str, least: float, most: float) -> None:
    clock = Clock()
    fetch(lambda call: Answer(b"", 429, {"Retry-After": header}) if call.number == 1 else [1], clock.timing)
    assert least <= sum(clock.slept) <= most


@pytest.mark.parametrize("header", ["-5", formatdate(10, usegmt=True), "soon", "nan", "0", "inf", "1e999", ""])
def test_a_past_or_absurd_date_falls_back_to_the_backoff(header: str) -> None:
    assert retry_after(header, 1_000_000_000) is None
    clock = Clock()
    reply, _ = fetch(lambda call: Answer([1], 200 if call.number > 1 else 503, {"Retry-After": header}), clock.timing)
    assert reply.json() == [1]
    assert sum(clock.slept) <= 0.001


def test_a_wait_beyond_the_longest_ends_at_once_with_its_value() -> None:
    clock = Clock()
    with pytest.raises(TransientError, match="86400 s") as caught:
        fetch(lambda _: Answer(b"", 429, {"Retry-After": "86400"}), clock.timing)
    assert caught.value.retry_after == 86400
    assert clock.slept == []


def test_a_limit_that_is_sent_as_403_is_waited_for() -> None:
    clock = Clock()
    script = lambda call: Answer(b"", 403, {"Retry-After": "2"}) if call.number == 1 else [1]  # noqa: E731
    reply, _ = fetch(script, clock.timing)
    assert reply.json() == [1]
    assert sum(clock.slept) >= 2


def test_all_time_for_one_call_is_bounded() -> None:
    clock = Clock()
    with pytest.raises(TransientError, match="30 s for one call are used up"):
        fetch(lambda _: Answer(b"", 429, {"Retry-After": "20"}), clock.timing, call_seconds=30.0, attempts=99)
    assert sum(clock.slept) <= 30


def test_a_server_that_hangs_is_left() -> None:
    gone = threading.Event()
    begun = time.monotonic()
    with pytest.raises(TransientError, match=r"did not answer in time \(0.1 s\)"):
        fetch(lambda _: gone.wait(1) or [], timeout=0.1, attempts=2)
    gone.set()
    assert time.monotonic() - begun < 3


def test_a_server_that_drips_is_left_at_the_deadline() -> None:
    def drip() -> Any:
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
        for _ in range(200):
            time.sleep(0.02)
            yield b" "

    begun = time.monotonic()
    with pytest.raises(TransientError, match="did not answer in time"):
        fetch(lambda _: Answer(pieces=drip()), call_seconds=0.3, attempts=9)
    assert time.monotonic() - begun < 2


def test_nobody_listens() -> None:
    with scripted(lambda _: []) as server:
        url = server.url
    calls = HttpClient("api", url, settings=HttpSettings(backoff=0.001, attempts=2))
    with pytest.raises(TransientError, match=r"cannot be reached: .*refused"):
        calls.get(url + "/x")
    calls.close()


def truncated(call: Call) -> Any:
    whole = gzip.compress(b"[1, 2, 3]" * 100)
    if call.number == 1:
        return Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n[1, 2")
    if call.number == 2:
        return Answer(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[1, 2\r\n")
    if call.number == 3:
        return Answer(whole[:-12], headers={"Content-Encoding": "gzip"})
    if call.number == 4:
        return Answer(raw=b"HTP/9 what\r\n\r\n")
    return [1, 2, 3]


def test_a_body_that_breaks_off_is_fetched_again() -> None:
    reply, calls = fetch(truncated)
    assert reply.json() == [1, 2, 3]
    assert len(calls) == 5


def test_a_body_that_always_breaks_off_is_no_success() -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n[1, 2]"
    with pytest.raises(TransientError, match="broke off"):
        fetch(lambda _: Answer(raw=raw), attempts=2)


@pytest.mark.parametrize(
    "pack", [gzip.compress, zlib.compress, lambda body: gzip.compress(body[:4]) + gzip.compress(body[4:])]
)
def test_packed_bodies_are_unpacked(pack: Callable[[bytes], bytes]) -> None:
    name = "deflate" if pack is zlib.compress else "gzip"
    reply, _ = fetch(lambda _: Answer(pack(b"[1, 2, 3]"), headers={"Content-Encoding": name}))
    assert reply.json() == [1, 2, 3]


def test_a_gzip_bomb_is_refused_before_it_is_unpacked() -> None:
    bomb = gzip.compress(b" " * 30_000_000)
    with pytest.raises(DataError, match="larger than body_bytes"):
        fetch(lambda _: Answer(bomb, headers={"Content-Encoding": "gzip"}), body_bytes=1_000_000)


def test_a_large_body_is_refused() -> None:
    with pytest.raises(DataError, match="larger than body_bytes"):
        fetch(lambda _: Answer(b" " * 2000), body_bytes=1000)


@pytest.mark.parametrize("encoding", ["br", "gzip"])
def test_a_body_that_is_not_what_its_header_says(encoding: str) -> None:
    with pytest.raises(DataError, match="cannot be read: it"):
        fetch(lambda _: Answer(b"[1, 2]", headers={"Content-Encoding": encoding}))


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_name_the_connection(status: int) -> None:
    with pytest.raises(ConfigurationError, match=r"refuses the credentials of connection 'api'") as caught:
        fetch(lambda _: Answer({"error": f"{TOKEN} is bad"}, status))
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("status", "said"), [(404, "does not exist"), (410, "does not exist"), (422, "does not accept")]
)
def test_a_wrong_address_is_a_configuration_error(status: int, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        fetch(lambda _: Answer(f"no: {TOKEN}".encode(), status))


def test_a_page_instead_of_json() -> None:
    page = b"<!doctype html>\n<title>Please log in</title>" + b"x" * 500
    reply, _ = fetch(lambda _: Answer(page, headers={"Content-Type": "text/html"}))
    with pytest.raises(DataError) as caught:
        reply.json()
    said = str(caught.value)
    assert "/x answers with a page" in said
    assert "status 200" in said
    assert "text/html" in said
    assert "Please log in" in said
    assert len(said) < 400


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"a": 1,, }', "at character 8"),
        (b"[1, 2", "at character 5 of 5"),
        (b"[" * 100_000, "nested too deep"),
        (b'["\xff"]', "byte 2"),
    ],
)
def test_invalid_json_says_where(body: bytes, said: str) -> None:
    reply, _ = fetch(lambda _: Answer(body))
    with pytest.raises(DataError, match=said):
        reply.json()


def test_encodings_of_text() -> None:
    for body, header in [
        ('["é"]'.encode("latin-1"), "application/json; charset=latin-1"),
        (b'\xef\xbb\xbf["\xc3\xa9"]', "text/plain"),
        ('["é"]'.encode("utf-16"), "application/json"),
    ]:
        reply, _ = fetch(lambda _, body=body, header=header: Answer(body, headers={"Content-Type": header}))
        assert reply.json() == ["é"]


@pytest.mark.parametrize("answer", [Answer(b"", 204, {"Content-Length": "0"}), Answer(b" \n")])
def test_an_empty_body_is_nothing(answer: Answer) -> None:
    reply, _ = fetch(lambda _: answer)
    assert reply.json() is None


def test_a_redirect_keeps_credentials_at_home_and_leaks_them_nowhere() -> None:
    with scripted(lambda _: {"away": True}) as away:

        def script(call: Call) -> Any:
            if call.path == "/x":
                return Answer(b"", 307, {"Location": "/moved?a=1"})
            return Answer(b"", 302, {"Location": away.url.replace("127.0.0.1", "localhost") + "/y"})

        _, calls = fetch(script)
        assert [call.headers.get("authorization") for call in calls] == [f"Bearer {TOKEN}"] * 2
        assert away.calls[0].path == "/y"
        assert "authorization" not in away.calls[0].headers
        assert TOKEN not in str(away.calls)


def test_a_redirect_to_another_port_leaks_no_key() -> None:
    with scripted(lambda _: [1]) as away, scripted(lambda _: Answer(b"", 301, {"Location": away.url})) as home:
        connection = ConnectionSpec(
            name="api",
            kind="rest",
            url=home.url,
            secrets={"key": TOKEN},
            options={"auth": {"kind": "query", "name": "appkey"}, "headers": {"X-Team": "secret-team"}},
        )
        calls = HttpClient("api", home.url, credentials_of(connection))
        reply = calls.get(home.url + "/x")
        calls.close()
        assert home.calls[0].query == {"appkey": TOKEN}
        assert away.calls[0].query == {}
        assert "x-team" not in away.calls[0].headers
        assert TOKEN not in repr(reply) + repr(connection) + repr(credentials_of(connection))


def test_redirects_that_never_end_or_lead_nowhere() -> None:
    with pytest.raises(DataError, match="redirects for ever"):
        fetch(lambda _: Answer(b"", 302, {"Location": "/x"}))
    with pytest.raises(DataError, match="redirects to nowhere"):
        fetch(lambda _: Answer(b"", 302))
    with pytest.raises(ConfigurationError, match="not an HTTP address"):
        fetch(lambda _: Answer(b"", 302, {"Location": "file:///etc/passwd"}))


@pytest.mark.parametrize(
    ("secrets", "options", "name", "value"),
    [
        ({"token": "abcd"}, {}, "authorization", "Bearer abcd"),
        ({"key": "abcd"}, {}, "x-api-key", "abcd"),
        ({"key": "abcd"}, {"auth": {"kind": "header", "name": "X-Key"}}, "x-key", "abcd"),
        ({"password": "pw"}, {"user": "me"}, "authorization", "Basic bWU6cHc="),
        ({"api_token": "abcd"}, {}, "authorization", "Bearer abcd"),
        ({"api_key": "abcd"}, {}, "x-api-key", "abcd"),
        ({"token": "a", "other": "b"}, {"auth": {"kind": "header", "name": "K", "secret": "other"}}, "k", "b"),
        ({}, {"headers": {"X-Team": "one"}}, "x-team", "one"),
    ],
)
def test_kinds_of_credentials(secrets: dict[str, str], options: dict[str, Any], name: str, value: str) -> None:
    with scripted(lambda _: []) as server:
        connection = ConnectionSpec(name="api", kind="rest", url=server.url, secrets=secrets, options=options)
        calls = HttpClient("api", server.url, credentials_of(connection))
        calls.get(server.url)
        calls.close()
        assert server.calls[0].headers[name] == value


def test_a_password_in_the_address_is_used_and_hidden() -> None:
    connection = ConnectionSpec(name="api", kind="rest", url="http://me:hidden-pw@h/x?api_key=abc&a=1#f")
    credentials = credentials_of(connection)
    assert credentials.headers["Authorization"].startswith("Basic ")
    assert credentials.veil.url(connection.url) == "http://h/x?a=1"
    assert "hidden-pw" not in repr(credentials)
    assert credentials.veil.text("got hidden-pw") == "got ***"


def test_a_secret_with_a_line_break_is_refused_without_being_shown() -> None:
    connection = ConnectionSpec(name="api", kind="rest", url="http://h", secrets={"token": TOKEN + "\n"})
    with pytest.raises(ConfigurationError, match="no header can carry") as caught:
        credentials_of(connection)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"auth": "beerer"}, "Did you mean 'bearer'"),
        ({"auth": {"kin": 1}}, "Did you mean 'kind'"),
        ({"auth": "bearer"}, "needs a secret 'token'"),
    ],
)
def test_misspelt_auth(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        credentials_of(ConnectionSpec(name="api", kind="rest", url="http://h", options=options))


def test_a_secret_without_a_way_to_send_it_is_not_left_at_home_silently() -> None:
    connection = ConnectionSpec(name="api", kind="rest", url="http://h", secrets={"pass": TOKEN})
    with pytest.raises(ConfigurationError, match="does not say how it is sent") as caught:
        credentials_of(connection)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    "options", [{"rate": 0}, {"rate": -1.0}, {"timeout": "fast"}, {"attempts": 1.5}, {"attempts": True}]
)
def test_settings_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="of connection 'api' is not usable"):
        settings_from(options, where="connection 'api'")


@pytest.mark.parametrize("url", ["ftp://h", "h/x", "http://", "http://h:port", "file:///x"])
def test_addresses_that_cannot_be(url: str) -> None:
    with pytest.raises(ConfigurationError, match="connection 'api' is not"):
        credentials_of(ConnectionSpec(name="api", kind="rest", url=url))


def test_a_budget_spaces_the_calls_of_all_threads() -> None:
    budget, timing = CallBudget(200), Timing()
    starts: list[float] = []

    def work() -> None:
        for _ in range(10):
            budget.take(timing, time.monotonic() + 60, "x")
            starts.append(time.monotonic())

    threads = [threading.Thread(target=work) for _ in range(4)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(starts) == 40
    assert 39 / 200 <= max(starts) - begun < 2


def test_one_server_has_one_budget_and_its_pause_holds_for_all() -> None:
    clock = Clock()
    with scripted(lambda call: Answer(b"", 429, {"Retry-After": "5"}) if call.number == 1 else [1]) as server:
        first, second = client(server, clock.timing, rate=10.0), client(server, clock.timing, rate=40.0)
        first.get(server.url)
        assert clock.at >= 5
        before = clock.at
        for _ in range(10):
            second.get(server.url)
        assert clock.at - before >= 0.9
        first.close()
        second.close()


def test_a_call_that_would_wait_too_long_for_its_turn_says_so() -> None:
    budget, clock = CallBudget(0.01), Clock()
    budget.take(clock.timing, 1, "x")
    with pytest.raises(TransientError, match="longer than its time"):
        budget.take(clock.timing, 10, "x")


def test_links_to_other_hosts() -> None:
    own = HttpClient(
        "api",
        "https://api.example.com/v1",
        Credentials(parameters={"key": "abcd"}),
        HttpSettings(allow_hosts=("pages.example.com",)),
    )
    here = "https://api.example.com/v1/x?page=1"
    assert own.link(here, "?page=2") == "https://api.example.com/v1/x?page=2"
    assert own.link(here, "/v1/x?page=2&key=abcd") == "https://api.example.com/v1/x?page=2"
    assert own.link(here, "http://api.example.com/v1/x?page=2") == "https://api.example.com/v1/x?page=2"
    assert own.link(here, "https://u:p@pages.example.com/x") == "https://pages.example.com/x"
    for target in ("https://evil.example.com/x", "https://api.example.com:8443/x", "ftp://api.example.com/x"):
        with pytest.raises(ConfigurationError, match="on another host"):
            own.link(here, target)
    own.close()
