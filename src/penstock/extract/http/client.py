"""The one client for HTTP: bounded, patient, and silent about secrets."""

from __future__ import annotations

import ssl
from dataclasses import field
from functools import cache
from threading import Event
from typing import Any

import httpx

from penstock.errors import ConfigurationError, DataError, PenstockError, TransientError
from penstock.extract.http.address import Veil, parse_url, server, with_parameters
from penstock.extract.http.body import OversizeError, TruncatedError, UnreadableError, excerpt, parse_json, unpack
from penstock.extract.http.budget import Timing, budget_of
from penstock.extract.http.credentials import Credentials
from penstock.extract.http.retry import RETRIED, Backoff, retry_after
from penstock.extract.http.settings import HttpSettings
from penstock.values import dataclass

_MOST_REDIRECTS = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Reply:
    """A successful answer.

    Attributes:
        url: Where it came from, redirects followed, without secrets.
        status: 200 to 299.
        headers: As received.
        body: Unpacked.
    """

    url: str
    status: int
    headers: httpx.Headers = field(repr=False)
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """Return the parsed body; None for an empty one.

        Raises:
            DataError: It is not JSON.
        """
        if not self.body.strip():
            return None
        return parse_json(self.body, self.headers.get("content-type", ""), where=self.url, status=self.status)


@dataclass(frozen=True, slots=True)
class _Setback:
    """A failure after which the call may be tried again."""

    sentence: str
    asked: float | None = None


class HttpClient:
    """Calls one server; may be used from several threads.

    Args:
        name: Name of the connection, for messages.
        url: Address of the server: credentials go to its scheme, host and port only.
        credentials: What to send there.
        settings: Bounds.
        timing: Clock and sleep.
    """

    def __init__(
        self,
        name: str,
        url: str,
        credentials: Credentials | None = None,
        settings: HttpSettings | None = None,
        timing: Timing | None = None,
    ) -> None:
        self.name = name
        self.settings = settings or HttpSettings()
        self._credentials = credentials or Credentials()
        self.veil: Veil = self._credentials.veil
        self._closed = Event()
        self._timing = timing or Timing(sleep=self._rest)
        self._backoff = Backoff(
            first=self.settings.backoff, longest=self.settings.longest_wait, attempts=self.settings.attempts
        )
        self._home = parse_url(url, where=f"The url of connection {name!r}")
        self._budget = budget_of(server(self._home), self.settings.rate)
        self._client = httpx.Client(
            verify=_certificates() if self.settings.ssl_ca is None else _trusting(self.settings.ssl_ca, name),
            timeout=self.settings.timeout,
            follow_redirects=False,
            headers={"User-Agent": "penstock", "Accept": "application/json", "Accept-Encoding": "gzip"},
        )

    def close(self) -> None:
        """Close the connections to the server; calls that wait in other threads are given up."""
        self._closed.set()
        self._client.close()

    def link(self, from_url: str, target: str) -> str:
        """Return the absolute address of a link that a server gave, if pages may lead there.

        A link that spells the own host with ``http`` where the connection says ``https`` is taken as ``https``.

        Raises:
            ConfigurationError: It leads to another host that is not allowed.
            DataError: It is no address.
        """
        try:
            found = httpx.URL(from_url).join(target)
        except (httpx.InvalidURL, UnicodeError) as error:
            raise DataError(
                f"{self.veil.url(from_url)} links to something that is no address", value=self.veil.text(target)
            ) from error
        found = found.copy_with(userinfo=b"", fragment=None)
        if found.scheme == "http" and self._home.scheme == "https" and found.host == self._home.host:
            found = found.copy_with(scheme="https", port=self._home.port)
        if not self.at_home(found) and found.host not in self.settings.allow_hosts:
            raise ConfigurationError(
                f"{self.veil.url(from_url)} says that the next page is on another host",
                value=self.veil.url(found),
                valid=server(self._home),
                remedy=f"If that is right, add allow_hosts = [{found.host!r}] to connection {self.name!r}; "
                "credentials are never sent there",
            )
        hidden = {name: None for name in self._credentials.parameters if name in found.params}
        return with_parameters(str(found), hidden) if hidden else str(found)

    def at_home(self, url: httpx.URL) -> bool:
        """Say whether an address is on the connection's own server."""
        return server(url) == server(self._home)

    def get(self, url: str, *, absent: bool = False) -> Reply:
        """Fetch an address; retries what may pass later.

        Args:
            url: Absolute, without credentials.
            absent: Return the answer "not found" (404) as a reply too, instead of raising.

        Raises:
            TransientError: The server is down, slow or over its limit, and stays so.
            ConfigurationError: The address or the credentials are wrong.
            DataError: The answer is too large or cannot be unpacked.
        """
        shown = self.veil.url(url)
        deadline = self._timing.clock() + self.settings.call_seconds
        for attempt in range(1, self.settings.attempts + 1):
            if self._closed.is_set():
                break
            self._budget.take(self._timing, deadline, shown)
            outcome = self._once(httpx.URL(url), deadline, absent)
            if isinstance(outcome, Reply):
                return outcome
            self._wait(outcome, attempt, deadline, shown)
        raise TransientError(f"The reading of {shown} was given up")

    def _rest(self, seconds: float) -> None:
        if self._closed.wait(seconds):
            raise TransientError(f"A call of connection {self.name!r} was given up while it waited")

    def _wait(self, setback: _Setback, attempt: int, deadline: float, shown: str) -> None:
        """Wait until the next attempt, or raise where there is none."""
        if setback.asked is not None and setback.asked > self.settings.longest_wait:
            raise TransientError(
                f"{setback.sentence}, and asks to wait longer than the longest wait of "
                f"{self.settings.longest_wait:g} s",
                retry_after=setback.asked,
                value=f"{setback.asked:g} s",
                remedy=f"Try again after that, or raise longest_wait of connection {self.name!r}",
            )
        wait = self._backoff.wait(attempt, setback.asked)
        if attempt >= self.settings.attempts:
            raise TransientError(f"{setback.sentence} ({attempt} attempts)", retry_after=setback.asked)
        if self._timing.clock() + wait > deadline:
            raise TransientError(
                f"{setback.sentence}; the {self.settings.call_seconds:g} s for one call are used up",
                retry_after=setback.asked,
                value=shown,
            )
        if setback.asked is not None:
            self._budget.pause(self._timing.clock() + setback.asked)
        self._timing.sleep(wait)

    def _once(self, url: httpx.URL, deadline: float, absent: bool) -> Reply | _Setback:
        """Make one attempt, following redirects."""
        for _ in range(_MOST_REDIRECTS):
            outcome = self._exchange(url, deadline, absent)
            if not isinstance(outcome, httpx.URL):
                return outcome
            url = outcome
        raise DataError(f"{self.veil.url(url)} redirects for ever ({_MOST_REDIRECTS} times)")

    def _exchange(self, url: httpx.URL, deadline: float, absent: bool) -> Reply | _Setback | httpx.URL:
        """Send one request; returns the answer, a failure that may pass, or the address it redirects to."""
        shown = self.veil.url(url)
        home = self.at_home(url)
        keys = self._credentials.parameters if home else {}
        target = with_parameters(str(url), keys) if keys else str(url)
        try:
            headers = dict(self._credentials.headers) if home else {}
            with self._client.stream("GET", target, headers=headers) as response:
                if response.status_code in _REDIRECTS:
                    return self._redirected(url, response)
                body = unpack(
                    _within(response, deadline, self._timing),
                    response.headers.get("content-encoding", ""),
                    self.settings.body_bytes,
                )
        except (httpx.TransportError, TruncatedError, TimeoutError) as error:
            return self._broken(shown, error)
        except OversizeError as error:
            raise DataError(
                f"The answer of {shown} is larger than body_bytes allows",
                valid=f"{self.settings.body_bytes} bytes once unpacked",
                remedy=f"Ask for smaller pages, or raise body_bytes of connection {self.name!r}",
            ) from error
        except UnreadableError as error:
            raise DataError(f"The answer of {shown} cannot be read: {error}") from error
        if response.status_code == 404 and absent:
            return Reply(shown, 404, response.headers, body)
        return self._judged(shown, response, body)

    def _redirected(self, url: httpx.URL, response: httpx.Response) -> httpx.URL:
        location = response.headers.get("location")
        if not location:
            raise DataError(f"{self.veil.url(url)} redirects to nowhere (status {response.status_code})")
        try:
            target = url.join(location)
        except (httpx.InvalidURL, UnicodeError) as error:
            raise DataError(
                f"{self.veil.url(url)} redirects to something that is no address", value=self.veil.text(location)
            ) from error
        return parse_url(str(target.copy_with(userinfo=b"")), where=f"The redirect of {self.veil.url(url)}")

    def _broken(self, shown: str, error: Exception) -> _Setback:
        """Turn a failure of the transport into a setback, or raise where trying again cannot help."""
        if isinstance(error, (httpx.UnsupportedProtocol, httpx.LocalProtocolError)):
            raise ConfigurationError(f"{shown} cannot be asked for: {self.veil.text(str(error))}") from error
        if _refused_certificate(error):
            raise ConfigurationError(
                f"The certificate of {shown} is not trusted",
                value=self.veil.text(str(error)),
                remedy="Set ssl_ca of the connection, or SSL_CERT_FILE, to your authority's certificates",
            ) from error
        if isinstance(error, (httpx.TimeoutException, TimeoutError)):
            return _Setback(f"{shown} did not answer in time ({self.settings.timeout:g} s)")
        if isinstance(error, (TruncatedError, httpx.RemoteProtocolError, httpx.ReadError)):
            return _Setback(f"The answer of {shown} broke off")
        return _Setback(f"{shown} cannot be reached: {self.veil.text(str(error)) or type(error).__name__}")

    def _judged(self, shown: str, response: httpx.Response, body: bytes) -> Reply | _Setback:
        status = response.status_code
        if response.is_success:
            return Reply(shown, status, response.headers, body)
        asked = retry_after(response.headers.get("retry-after"), self._timing.now())
        if status in RETRIED or (status == 403 and asked is not None):
            return _Setback(f"{shown} answers with status {status}", asked)
        if status >= 500:
            raise TransientError(f"{shown} answers with status {status}", retry_after=asked)
        raise self._refused(shown, status, body)

    def _refused(self, shown: str, status: int, body: bytes) -> PenstockError:
        said = self.veil.text(excerpt(body)) or None
        if status in (401, 403):
            return ConfigurationError(
                f"{shown} refuses the credentials of connection {self.name!r} (status {status})",
                remedy=f"Check the secret of connection {self.name!r} and what it may read",
            )
        if status in (404, 410):
            return ConfigurationError(
                f"{shown} does not exist (status {status})", remedy="Check the path of the source"
            )
        return ConfigurationError(f"{shown} does not accept the request (status {status})", value=said)


@cache
def _certificates() -> ssl.SSLContext:
    """Return the trusted certificates; reading them takes tens of milliseconds, so once per process."""
    return httpx.create_ssl_context()


def _trusting(file: str, name: str) -> ssl.SSLContext:
    """Return a context that trusts the certificates of a file alone."""
    try:
        return ssl.create_default_context(cafile=file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"The certificates that connection {name!r} names cannot be read: {type(error).__name__}",
            value=file,
            remedy="Give ssl_ca the path of a file in the form of PEM",
        ) from error


def _within(response: httpx.Response, deadline: float, timing: Timing) -> Any:
    """Yield the raw pieces of a body; a server that only drips is cut off at the deadline."""
    for piece in response.iter_raw():
        if timing.clock() > deadline:
            raise TimeoutError
        yield piece


def _refused_certificate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY_FAILED" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
