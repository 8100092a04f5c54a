"""Dialects by Python's csv.Sniffer or by CleverCSV, run by an interpreter that has it.

Paths with their encodings come as JSON lines on standard input, dialects go as JSON lines to standard output.
"""

from __future__ import annotations

import contextlib
import csv
import json
import signal
import sys
from typing import Any

SECONDS = 20
csv.field_size_limit(2**30)


def main(name: str) -> None:
    """Answer line by line."""
    detect = {"sniffer": _sniffer, "clevercsv": _clevercsv}[name]
    signal.signal(signal.SIGALRM, _late)
    for line in sys.stdin:
        asked = json.loads(line)
        answer: dict[str, Any] = {"error": "no answer"}
        signal.alarm(SECONDS)
        with contextlib.suppress(Exception), open(asked["path"], encoding=asked["encoding"], newline="") as file:
            answer = detect(file.read())
        signal.alarm(0)
        print(json.dumps(answer), flush=True)


def _late(*_: object) -> None:
    raise TimeoutError


def _sniffer(text: str) -> dict[str, Any]:
    found = csv.Sniffer().sniff(text)
    answer = {"delimiter": found.delimiter, "quote": found.quotechar or "", "escape": found.escapechar or ""}
    header = True
    with contextlib.suppress(csv.Error):
        header = csv.Sniffer().has_header(text)
    return {**answer, "header": header}


def _clevercsv(text: str) -> dict[str, Any]:
    import clevercsv

    found = clevercsv.Detector().detect(text)
    answer = {"delimiter": found.delimiter, "quote": found.quotechar or "", "escape": found.escapechar or ""}
    header = True
    with contextlib.suppress(Exception):
        header = bool(clevercsv.Detector().has_header(text))
    return {**answer, "header": header}


if __name__ == "__main__":
    main(sys.argv[1])
