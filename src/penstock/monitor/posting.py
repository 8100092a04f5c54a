"""Posting a document to a URL, and waiting for what may take long no longer than is wanted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from urllib.parse import urlsplit


def post(url: str, content: bytes, *, token: str = "", key: str = "", timeout: float) -> str:
    """Post JSON once; return what hindered it, or nothing. It names the host alone.

    Args:
        url: Where to; redirections are not followed.
        content: The document.
        token: Sent as a bearer token.
        key: Sent as ``Idempotency-Key``, so that a receiver knows a document that comes twice.
        timeout: Seconds to wait for each step of the answer; ``within`` bounds all together.
    """
    import httpx

    headers = {"Content-Type": "application/json"}
    headers |= {"Idempotency-Key": key} if key else {}
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with httpx.stream(
            "POST", url, content=content, headers=headers, timeout=timeout, follow_redirects=False
        ) as answer:
            # The body is not read: it could be endless.
            problem = "" if answer.is_success else f"it answered {answer.status_code}"
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        # The library's sentence may hold the URL, whose query may hold a secret.
        problem = type(error).__name__
    return f"{urlsplit(url).hostname}: {problem}" if problem else ""


def within(seconds: float, work: Callable[[], str], name: str) -> str:
    """Do work in a thread of its own; return what it returns, or that it takes longer: it goes on, and nobody waits.

    Args:
        seconds: How long to wait.
        work: Returns what hindered it, or nothing.
        name: What is waited for, for the message.
    """
    answered: list[str] = []
    thread = threading.Thread(target=lambda: answered.append(work()), name=name, daemon=True)
    thread.start()
    thread.join(seconds)
    return answered[0] if answered else f"{name}: no answer within {seconds:g} seconds"
