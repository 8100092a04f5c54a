"""Well-known patterns of log lines, and the time formats in them."""

from __future__ import annotations

from dataclasses import field

from penstock.values import dataclass

_CLF = r"(?P<host>\S+) (?P<identity>\S+) (?P<user>\S+) \[(?P<time>[^\]]+)\] "
_REQUEST = r'"(?P<request>(?P<method>[A-Z]+) (?P<path>[^\s"]+)(?: (?P<protocol>HTTP/[\d.]+))?|(?:[^"\\]|\\.)*)"'
_ANSWER = r" (?P<status>\d{3}|-) (?P<bytes>\d+|-)"
_AGENT = r' "(?P<referer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)"'
_CLF_TIME = "%d/%b/%Y:%H:%M:%S %z"


@dataclass(frozen=True, slots=True)
class Pattern:
    """How a line of a log is made.

    Attributes:
        expression: A regular expression with named groups, which become columns.
        types: Column to DuckDB type.
        times: Column to time format.
        start: A regular expression that the first line of a record matches; None where a record is one line.
        null: How null is spelt; empty for no other way than an empty text.
    """

    expression: str
    types: dict[str, str] = field(default_factory=dict)
    times: dict[str, str] = field(default_factory=dict)
    start: str | None = None
    null: str = ""


_HTTP = {"status": "SMALLINT", "bytes": "BIGINT"}

PATTERNS = {
    "common": Pattern(f"{_CLF}{_REQUEST}{_ANSWER}", _HTTP, {"time": _CLF_TIME}, null="-"),
    "combined": Pattern(f"{_CLF}{_REQUEST}{_ANSWER}{_AGENT}", _HTTP, {"time": _CLF_TIME}, null="-"),
    "nginx": Pattern(f"{_CLF}{_REQUEST}{_ANSWER}{_AGENT}", _HTTP, {"time": _CLF_TIME}, null="-"),
    "nginx_error": Pattern(
        r"(?P<time>\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[(?P<level>\w+)\] (?P<process>\d+)#(?P<thread>\d+): "
        r"(?:\*(?P<connection>\d+) )?(?P<message>(?s:.*))",
        {"process": "BIGINT", "thread": "BIGINT", "connection": "BIGINT"},
        {"time": "%Y/%m/%d %H:%M:%S"},
        r"\d{4}/\d\d/\d\d ",
    ),
    "syslog": Pattern(
        r"(?:<(?P<priority>\d{1,3})>)?(?P<time>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) (?P<host>\S+) "
        r"(?P<program>[^\s:\[]+)(?:\[(?P<process>\d+)\])?: ?(?P<message>.*)",
        {"priority": "SMALLINT", "time": "VARCHAR", "process": "BIGINT"},
    ),
    "syslog5424": Pattern(
        r"<(?P<priority>\d{1,3})>(?P<version>\d{1,3}) (?P<time>\S+) (?P<host>\S+) (?P<program>\S+) (?P<process>\S+) "
        r'(?P<message_id>\S+) (?P<data>-|(?:\[(?:[^"\]]|"(?:[^"\\]|\\.)*")*\])+)(?: \x{FEFF}?(?P<message>(?s:.*)))?',
        {"priority": "SMALLINT", "version": "SMALLINT", "time": "TIMESTAMP WITH TIME ZONE", "process": "VARCHAR"},
        null="-",
    ),
    "python": Pattern(
        r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) - (?P<logger>\S+) - (?P<level>[A-Z]+) - "
        r"(?P<message>(?s:.*))",
        {},
        {"time": "%Y-%m-%d %H:%M:%S,%g"},
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d",
    ),
}
"""Name to pattern. The time of ``syslog`` has no year and stays a text."""
