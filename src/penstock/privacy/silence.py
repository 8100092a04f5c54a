"""Errors about rows with personal values: what a source or a library said of a value is left out, cause and all."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from traceback import walk_tb
from typing import TypeVar

from penstock.errors import BugError, DataError, PenstockError

T = TypeVar("T")

_FOREIGN = re.compile(r"(?<=stopped after )(\d+ rows: \w+): .*", re.DOTALL)
_QUOTED = re.compile(r'".*"|".*$', re.DOTALL)
"""Servers quote values so; names in sentences of ours stand in single quotes."""


def silently(call: Callable[[], T], what: str) -> T:
    """Return what ``call`` returns, and let errors out without the values that they quote.

    A sentence of ours keeps what it says of names, lines and types, and loses ``value``, what it quotes of a server,
    and the errors that it came from; any other error is named by its kind and its place in the code alone.

    Args:
        call: The work.
        what: What was done, for the sentence about a foreign error.
    """
    told: PenstockError
    try:
        return call()
    except PenstockError as error:
        told = _bare(error)
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except Exception as error:
        told = BugError(f"{what} stopped with a {type(error).__name__} ({_place(error)}); its text may hold values")
    # Raised outside of the handlers, so that the error has no context that a traceback could show.
    raise told


def _bare(error: PenstockError) -> PenstockError:
    if isinstance(error, DataError) and (told := _FOREIGN.search(error.what)):
        error.what = f"{error.what[: told.start()]}{told[1]}; its text may hold personal values and is not shown"
    error.what = _QUOTED.sub('"…"', error.what)
    error.value = None
    error.args = (error.sentence(),)
    error.__cause__ = None
    error.__context__ = None
    return error


def _place(error: BaseException) -> str:
    *_, (frame, line) = walk_tb(error.__traceback__)
    return f"{Path(frame.f_code.co_filename).name}, line {line}"
