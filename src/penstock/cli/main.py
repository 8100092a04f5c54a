"""The command ``penstock``: its table of commands, and the one place where errors become sentences and exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from penstock.cli.groups import CommandEntry, LazyGroup
from penstock.cli.stopping import told_to_stop
from penstock.errors import BugError, ConfigurationError, PenstockError

BROKEN_PIPE = 141

COMMANDS = (
    CommandEntry("init", "penstock.cli.beginning:init", "Make a project.", "Begin"),
    CommandEntry("scope", "penstock.cli.beginning:scope", "Say what is there to read, and how.", "Begin"),
    CommandEntry(
        "ingest", "penstock.cli.beginning:ingest", "Bring one thing into one table; no project needed.", "Begin"
    ),
    CommandEntry("plan", "penstock.cli.running:plan", "Say what a run would do, and why.", "Run"),
    CommandEntry("run", "penstock.cli.running:run", "Extract, check, load and transform what is due.", "Run"),
    CommandEntry("backfill", "penstock.cli.running:backfill", "Run over a range of time, interval by interval.", "Run"),
    CommandEntry("intervals", "penstock.cli.running:intervals", "List what is done, failed, missing or stale.", "Look"),
    CommandEntry("retry", "penstock.cli.running:retry", "Read rejected loads again, and nothing else.", "Run"),
    CommandEntry("stream", "penstock.cli.streaming:stream", "Consume streams in micro-batches, without end.", "Run"),
    CommandEntry("lag", "penstock.cli.streaming:lag", "Say how fresh streams are, partition by partition.", "Run"),
    CommandEntry("serve", "penstock.cli.serving:serve", "Carry out the schedules of all pipelines.", "Run"),
    CommandEntry(
        "schedule", "penstock.cli.serving:schedule", "Say what is due when; pause, resume, ask for a run.", "Run"
    ),
    CommandEntry("test", "penstock.cli.testing:test_", "Test transforms on small rows.", "Run"),
    CommandEntry("status", "penstock.cli.looking:status", "Say how things stand and what waits for you.", "Look"),
    CommandEntry("alerts", "penstock.cli.alerts:alerts", "Say what went wrong; look now; test channels.", "Look"),
    CommandEntry("runs", "penstock.cli.looking:runs", "List runs, or show one.", "Look"),
    CommandEntry("versions", "penstock.cli.looking:versions", "List the loads or versions of a table.", "Look"),
    CommandEntry("lineage", "penstock.cli.looking:lineage", "Say what made a table, back to what was read.", "Look"),
    CommandEntry("check", "penstock.cli.checking:check", "Run the checks of a table, or suggest some.", "Look"),
    CommandEntry("report", "penstock.cli.checking:report", "Report on the checks of a load, also as HTML.", "Look"),
    CommandEntry("profile", "penstock.cli.looking:profile", "Say what the values of a table look like.", "Look"),
    CommandEntry("drift", "penstock.cli.looking:drift", "Compare a table's newest rows with those before.", "Look"),
    CommandEntry(
        "quarantine", "penstock.cli.quarantine:quarantine", "Look at, replay or discard rows set aside.", "Look"
    ),
    CommandEntry("accept", "penstock.cli.judging:accept", "Accept a rejected load as it is.", "Decide"),
    CommandEntry("discard", "penstock.cli.judging:discard", "End a rejected load without its rows.", "Decide"),
    CommandEntry("diff", "penstock.cli.releasing:diff", "Say what a release would change in production.", "Release"),
    CommandEntry("approve", "penstock.cli.releasing:approve", "Approve a candidate.", "Release"),
    CommandEntry("reject", "penstock.cli.releasing:reject", "Reject a candidate.", "Release"),
    CommandEntry("promote", "penstock.cli.releasing:promote", "Make a candidate the production release.", "Release"),
    CommandEntry("rollback", "penstock.cli.releasing:rollback", "Serve an earlier release again.", "Release"),
    CommandEntry("dataset", "penstock.cli.datasets:dataset", "Build, verify and list training sets.", "Hand off"),
    CommandEntry("compact", "penstock.cli.care:compact", "Write small files of raw tables together.", "Care"),
    CommandEntry("vacuum", "penstock.cli.care:vacuum", "Delete data files that no longer count.", "Care"),
    CommandEntry("rebuild", "penstock.cli.care:rebuild", "Make the staging warehouse anew from the lake.", "Care"),
    CommandEntry("doctor", "penstock.cli.care:doctor", "Examine the project; clean up; rebuild the catalog.", "Care"),
)


@click.group(
    cls=LazyGroup,
    entries=COMMANDS,
    epilog="Example:\n\n\b\n  penstock init flights --template flights\n  cd flights && penstock plan",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="penstock", message="penstock %(version)s")
@click.option("--project", metavar="DIR", help="The project's folder; default: the nearest penstock.toml upward.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.pass_context
def penstock(context: click.Context, project: str | None, debug: bool) -> None:
    """Bring data from its sources, through checks, to promoted releases and training sets."""
    context.obj = {"project": project, "debug": debug}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command line and exit.

    Exit codes: 0 fine; 1 failed; 2 configuration; 3 data, or a rejected load; 4 try again later; 5 conflict;
    6 not found; 70 a bug; 130 interrupted; 143 terminated.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _run(given)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has gone (``penstock runs | head``); nobody is left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = BROKEN_PIPE
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    with told_to_stop() as stopping:
        try:
            return _answer(arguments)
        except (KeyboardInterrupt, click.Abort):
            stopping.hint.cancel()
            click.echo(stopping.word, err=True)
            return stopping.code


def _answer(arguments: list[str]) -> int:
    debug, as_json = "--debug" in arguments, "--json" in arguments
    try:
        # Not penstock.main(): it swallows broken pipes and prints a line of its own when it is interrupted.
        with penstock.make_context("penstock", arguments) as context:
            code = penstock.invoke(context)
    except (BrokenPipeError, click.Abort):
        raise
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except click.ClickException as error:
        return _report(_usage(error), as_json=as_json)
    except PenstockError as error:
        if debug:
            _traceback()
        return _report(error, as_json=as_json)
    except Exception as error:
        if debug:
            _traceback()
        return _report(_bug(error), as_json=as_json)
    return int(code or 0)


def _report(error: PenstockError, *, as_json: bool) -> int:
    if as_json:
        import json

        click.echo(json.dumps({"error": described(error)}), err=True)
    else:
        click.echo(f"Error: {error.sentence()}", err=True)
    return error.exit_code


def described(error: PenstockError) -> dict[str, object]:
    """Return an error as the data that ``--json`` prints."""
    value = error.value if error.value is None or isinstance(error.value, str | int | float) else repr(error.value)
    return {
        "kind": type(error).__name__,
        "message": error.sentence(),
        "what": error.what,
        "value": value if not isinstance(value, str) else value[:200],
        "valid": error.valid,
        "remedy": error.remedy,
        "exit_code": error.exit_code,
    }


def _usage(error: click.ClickException) -> ConfigurationError:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "penstock"
    return ConfigurationError(error.format_message().replace("\n", " "), remedy=f"See: {path} --help")


def _bug(error: Exception) -> BugError:
    said = " ".join(str(error).split())[:300]
    return BugError(
        f"Something happened that should not: {type(error).__name__}: {said}",
        remedy="Please report it, with what --debug shows",
    )


def _traceback() -> None:
    import traceback

    traceback.print_exc()
