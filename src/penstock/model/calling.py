"""Calling functions of users: what they raise becomes a sentence that names their file and line."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from penstock.errors import DataError, PenstockError


@contextmanager
def blamed(function: Callable[..., Any], what: str) -> Iterator[None]:
    """Turn what a user's function raises into a DataError that names its file and line.

    Args:
        function: The function that is called within.
        what: How the sentence begins: "The transform 'x'".

    Raises:
        DataError: It raised.
    """
    try:
        yield
    except PenstockError:
        raise
    # A user's code may raise anything.
    except Exception as error:
        raise DataError(
            f"{what} raised {type(error).__name__}{_place(function, error)}", value=str(error) or None
        ) from error


def _place(function: Callable[..., Any], error: Exception) -> str:
    code = getattr(inspect.unwrap(function), "__code__", None)
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if code is not None and frame.filename == code.co_filename]
    frame = own[-1] if own else frames[-1]
    return f" at {Path(frame.filename).name}:{frame.lineno}"
