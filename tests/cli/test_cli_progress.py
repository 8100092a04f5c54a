"""Progress: few calm lines in a file, live on a terminal."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from penstock.cli.progress import PlainProgress
from penstock.model.entries import CheckFailure, CheckReport
from penstock.model.events import Observer, Phase, StepAdvanced, StepFinished, StepRetried, StepStarted, Waiting
from penstock.model.interval import Interval
from penstock.model.receipts import State, StepReceipt

FIRST = datetime(2013, 1, 1, tzinfo=UTC)
FAILURE = CheckFailure(check="unique(id)", severity="error", columns=("id",), count=4, message="id repeats in 4 rows")


def day(number: int) -> Interval:
    return Interval(FIRST + timedelta(days=number), FIRST + timedelta(days=number + 1))


def step(name: str, interval: Interval | None = None, *, state: State = State.DONE, aside: int = 0) -> StepFinished:
    report = CheckReport(rows=9, passed=("a", "b"), failures=(FAILURE,) if state is State.REJECTED else ())
    table = f"raw_{name.rsplit(maxsplit=1)[-1]}"
    return StepFinished(
        receipt=StepReceipt(
            step=name, table=table, interval=interval, state=state, rows=2000, bytes=10_500, seconds=2.0,
            quarantined=aside, report=report,
        )
    )  # fmt: skip


def story(see: Observer, days: int = 3) -> None:
    """A source without intervals, then days of two steps each; day 1 is rejected, day 2 finds nothing new."""
    see(Phase(title="sources without intervals", interval=None, done=0, total=days))
    see(StepStarted(step="extract planes", table="raw_planes"))
    see(step("extract planes"))
    see(Waiting(sentence="The warehouse is held by process 7; waiting."))
    for number in range(days):
        see(Phase(title=day(number).label, interval=day(number), done=number, total=days))
        for table in ("flights", "weather"):
            see(StepStarted(step=f"extract {table}", table=table))
            see(StepAdvanced(step=f"extract {table}", rows=1000, bytes=5000))
            state = State.REJECTED if number == 1 and table == "flights" else State.DONE
            see(
                step(
                    f"extract {table}", day(number), state=State.UNCHANGED if number == 2 else state, aside=number == 0
                )
            )
    see(step("transform delays"))


def lines(text: str) -> list[str]:
    return text.splitlines()


def test_a_file_gets_one_line_per_interval_and_per_step_without_one() -> None:
    stream = io.StringIO()
    with PlainProgress(stream) as see:
        story(see)
    text = stream.getvalue()
    assert "\x1b" not in text
    assert "\r" not in text
    found = lines(text)
    assert found[0] == "extract planes  2,000 rows  10.5 kB  1.0k rows/s  2 checks passed  2.0 s"
    assert found[1] == "The warehouse is held by process 7; waiting."
    assert found[2].startswith("2013-01-01  1/3  4,000 rows  21.0 kB  ")
    assert "4 checks passed  2 set aside" in found[2]
    assert found[3] == "rejected: raw_flights 2013-01-02: unique(id): id repeats in 4 rows"
    assert found[4].startswith("2013-01-02  2/3")
    assert "4 of 5 checks passed" in found[4]
    assert found[4].endswith("rejected")
    assert found[5].startswith("transform delays  2,000 rows")
    assert found[6] == "2013-01-03  3/3  unchanged"
    assert len(found) == 7


def test_an_interval_read_ahead_is_counted_where_it_belongs() -> None:
    stream = io.StringIO()
    with PlainProgress(stream) as see:
        see(Phase(title="a", interval=day(0), done=0, total=2))
        see(step("extract flights", day(0)))
        see(step("extract flights", day(1)))
        see(step("load raw_flights", day(0)))
        see(Phase(title="b", interval=day(1), done=1, total=2))
    found = lines(stream.getvalue())
    assert [line[:36] for line in found] == [
        "2013-01-01  1/2  2,000 rows  21.0 kB",
        "2013-01-02  2/2  2,000 rows  10.5 kB",
    ]


def test_steps_that_found_nothing_say_nothing() -> None:
    stream = io.StringIO()
    with PlainProgress(stream) as see:
        see(step("extract planes", state=State.UNCHANGED))
        see(step("transform delays", state=State.SKIPPED))
        see(step("transform routes", state=State.FAILED))
    assert [line.split("  ")[0] for line in lines(stream.getvalue())] == ["transform routes"]
    assert stream.getvalue().endswith("failed\n")


def test_a_retry_says_why_and_when() -> None:
    stream = io.StringIO()
    with PlainProgress(stream) as see:
        see(StepRetried(step="extract weather", error="The API answers 503.", attempt=2, wait=1.5))
    assert stream.getvalue() == "extract weather: The API answers 503. Trying again in 1.5 s (attempt 2).\n"


def test_a_long_step_gets_a_line_now_and_then() -> None:
    stream = io.StringIO()
    with PlainProgress(stream, quiet=0.2) as see:
        see(StepStarted(step="extract flights", table="raw_flights"))
        see(StepStarted(step="extract weather", table="raw_weather"))
        for _ in range(11):
            time.sleep(0.1)
            see(StepAdvanced(step="extract flights", rows=10_000, bytes=10**6))
        see(step("extract flights"))
    found = lines(stream.getvalue())
    assert 2 <= len(found) - 1 <= 6
    assert found[0].startswith("… extract flights  ")
    assert " rows/s  " in found[0]
    assert found[0].endswith("(and 1 other step)")
    assert found[-1].startswith("extract flights  2,000 rows")


def test_events_from_several_threads_keep_lines_whole() -> None:
    stream = io.StringIO()
    with PlainProgress(stream) as see, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: see(step(f"extract t{number}")), range(200)))
    assert len(lines(stream.getvalue())) == 200
    assert all(line.startswith("extract t") and line.endswith("2.0 s") for line in lines(stream.getvalue()))


def test_a_reader_that_goes_away_does_not_end_the_run() -> None:
    class Gone(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    with PlainProgress(Gone()) as see:
        story(see)


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
from test_cli_progress import story
from penstock.cli.progress import progress_to
with progress_to("stdout") as see:
    story(see)
    import time
    time.sleep(0.6)
print("loaded" if "rich" in sys.modules else "light")
"""


def test_into_a_pipe_rich_is_not_even_loaded() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, os.path.dirname(__file__)], capture_output=True, text=True, check=True
    )
    assert lines(done.stdout)[-1] == "light"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_on_a_terminal_what_goes_on_is_redrawn_and_what_ended_stays() -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, os.path.dirname(__file__)], stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        seen += part
    os.close(ours)
    assert child.wait() == 0
    text = seen.decode()
    assert "\x1b[2K" in text
    assert "2013-01-03  3/3" in text
    assert text.rstrip().endswith("loaded")
    for line in ("2013-01-01  1/3  4,000 rows", "rejected: raw_flights 2013-01-02", "extract planes  2,000 rows"):
        assert text.count(line) == 1, line
