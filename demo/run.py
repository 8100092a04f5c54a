"""The demo: four source systems, one pipeline, a release, a bad day, a rollback, a training set.

It types the commands that a user would type, and shows what they print. Run again, it says that all is up to date.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
DATA = HERE / "sources" / "data"
PROJECT = HERE / "flights"
PENSTOCK = [sys.executable, "-m", "penstock"]
QUARTER = ["--from", "2013-01-01", "--to", "2013-04-01"]
FINAL_RELEASE = 4
"""The release after the story: the first quarter, the mended day, the wrong correction, the way back."""

sys.path.insert(0, str(HERE / "sources"))


def main() -> int:
    """Run the whole story; returns the exit code."""
    begun = time.monotonic()
    with watched_memory() as peak:
        say("Four source systems, made from the flights of New York in 2013")
        subprocess.run([sys.executable, str(HERE / "sources" / "make_sources.py"), str(DATA)], check=True)
        with weather_api() as url:
            os.environ["WEATHER_URL"] = url
            os.environ["FLIGHTS_SOURCES"] = str(DATA.resolve())
            if not (PROJECT / "penstock.toml").exists():
                say("A project, as a user would write it")
                penstock("init", os.path.relpath(PROJECT), "--template", "flights", anywhere=True)
            story()
    closing(time.monotonic() - begun, peak())
    return 0


def story() -> None:
    """Walk the whole way; what was done before is found up to date."""
    say("What would run, and why; nothing is written")
    penstock("plan", "--interval", "2013-01-01/2013-04-01", "--summary")
    say("The first quarter, day by day")
    penstock("backfill", *QUARTER)
    say("Then a daily run")
    penstock("run", "--interval", "2013-04-01")
    say("Rows that failed a check were set aside, whole, with their reasons")
    penstock("quarantine", "list", "--limit", "5")
    penstock("quarantine", "show", "weather", "--limit", "3")
    if current_release() < 1:
        release("the first quarter")
    if current_release() < FINAL_RELEASE:
        bad_day("2013-04-02")
        wrong_release("2013-04-02")
    else:
        say("The bad day and the wrong release lie behind us")
        penstock("diff")
    say("A training set: will this flight leave over 15 minutes late? Weather as it was known then")
    penstock("dataset", "build", "delay")
    penstock("dataset", "verify", "delay")


def bad_day(day: str) -> None:
    """A day arrives with broken keys and half its rows; production stays as it is."""
    import mend

    say(f"A bad day: {day} arrives with broken keys and half its rows")
    mend.spoil(DATA / "ops.db", day)
    penstock("run", "--interval", day, expect=3)
    say(f"Production still serves release {current_release()}; the source is mended, just that load is read again")
    mend.mend(DATA / "ops.db", day)
    penstock("retry")
    release(f"{day}, mended")


def wrong_release(day: str) -> None:
    """A release that is wrong but valid: no check can know. One command takes it back."""
    import mend

    again = ["--from", day, "--to", f"{day[:-2]}{int(day[-2:]) + 1:02d}", "--again"]
    say(f"A correction of {day} comes in, wrong in a way that no check can know: delays an hour too long")
    mend.wrong(DATA / "ops.db", day)
    penstock("backfill", *again)
    release(f"{day}, wrong without our knowing")
    say("Somebody notices. One command")
    penstock("rollback", "--reason", f"the delays of {day} are off")
    mend.unwrong(DATA / "ops.db", day)
    say(f"The source is corrected, and just {day} is read again: staging equals production once more")
    penstock("backfill", *again)
    penstock("diff")


def release(reason: str) -> None:
    """Show what would change in production, approve it, promote it."""
    say("What a release would change in production")
    penstock("diff")
    penstock("approve", "--reason", reason)
    penstock("promote")


def closing(seconds: float, peak: float) -> None:
    """Say where everything is, what to try next, and what it cost."""
    status = json.loads(penstock("status", "--json", quiet=True))
    say("Where everything is")
    for name, place in status["places"].items():
        print(f"  {name:22} {os.path.relpath(place)}")
    folder = os.path.relpath(PROJECT)
    warehouse = f"{folder}/data/production/warehouse.duckdb"
    question = "SELECT carrier, round(avg(share_late), 3) AS late FROM delays GROUP BY ALL ORDER BY late DESC LIMIT 5"
    say("To try next")
    print(f"  cd {folder} && ../../.venv/bin/penstock status")
    print(f"  cd {folder} && ../../.venv/bin/penstock versions departures")
    code = f"import duckdb; duckdb.connect('{warehouse}', read_only=True).sql('{question}').show()"
    print(f'  .venv/bin/python -c "{code}"')
    print(f"\n{seconds:.0f} s, {peak:.0f} MiB at the most (all processes together)")


def say(sentence: str) -> None:
    """Print a heading."""
    print(f"\n── {sentence} ".ljust(100, "─"), flush=True)


def penstock(*arguments: str, expect: int = 0, anywhere: bool = False, quiet: bool = False) -> str:
    """Type a command, show what it prints, and stop the demo where it ends otherwise than expected."""
    if not quiet:
        print(f"$ penstock {' '.join(repr(a) if ' ' in a else a for a in arguments)}", flush=True)
    where = None if anywhere else PROJECT
    done = subprocess.run(
        [*PENSTOCK, *arguments], cwd=where, stdout=subprocess.PIPE if quiet else None, text=True, check=False
    )
    if done.returncode != expect:
        sys.exit(f"penstock {arguments[0]} ended with {done.returncode} instead of {expect}; the demo stops here")
    return done.stdout or ""


def current_release() -> int:
    """Return the release that production serves, as any reader finds it; 0 for none."""
    pointer = PROJECT / "data" / "production" / "lake" / "releases" / "current"
    return int(json.loads(pointer.read_text())["release"]) if pointer.exists() else 0


@contextmanager
def weather_api() -> Iterator[str]:
    """Serve the weather on a free port of loopback; stopped again by its process id."""
    server = subprocess.Popen(
        [sys.executable, str(HERE / "sources" / "weather_api.py"), "--data", str(DATA), "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        port = server.stdout.readline().split()[-1]
        yield f"http://127.0.0.1:{port.rpartition(':')[2].strip('/')}"
    finally:
        server.terminate()
        server.wait()


@contextmanager
def watched_memory() -> Iterator:
    """Measure the memory of this process and all below it, twice a second; yields a function that gives MiB."""
    peak = [0.0]
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.5):
            peak[0] = max(peak[0], tree_memory(os.getpid()))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield lambda: peak[0]
    finally:
        stop.set()
        watcher.join()


def tree_memory(root: int) -> float:
    """Return the resident memory of a process and its descendants in MiB, shared pages counted once per process."""
    parents, sizes = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
            sizes[int(entry.name)] = int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    return sum(size for pid, size in sizes.items() if _below(pid, root, parents)) / 2**20


def _below(pid: int, root: int, parents: dict[int, int]) -> bool:
    while pid in parents:
        if pid == root:
            return True
        pid = parents[pid]
    return False


if __name__ == "__main__":
    sys.exit(main())
