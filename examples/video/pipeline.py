"""A video app: clicks are checked, moderated and readable seconds after they happened; features of users follow."""

from __future__ import annotations

import os
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from penstock import Pipeline, checks, scoring, sources, windows

_BAD = r"(?i)\b(scam|idiots?|free money)\b"


def moderate(clicks: pa.RecordBatch) -> pa.RecordBatch:
    """Score the comments of a micro-batch; a model that is loaded once beside this function takes its place."""
    words = pc.count_substring_regex(pc.fill_null(clicks["comment"].cast(pa.string()), ""), _BAD)
    score = pc.min_element_wise(pc.divide(words.cast(pa.float64()), 2.0), 1.0)
    return pa.record_batch({"toxicity": score, "flagged": pc.greater_equal(score, 0.5)})


reading: dict[str, Any] = {
    "event_time": "clicked_at",
    "contract": {"each": {"clicked_at": "TIMESTAMP WITH TIME ZONE", "comment": "VARCHAR"}},
    "stream": {
        "every": "2s",
        "live": True,
        "score": scoring(moderate, model="word-list", version="2026-11", columns=["toxicity", "flagged"]),
    },
}
clicks = (
    sources.kafka("events", topics="clicks", table="clicks", **reading)
    if "VIDEO_EVENTS" in os.environ
    else sources.tail("clicks/*.jsonl", table="clicks", **reading)
)

video = Pipeline(
    name="video",
    sources=[clicks],
    checks={
        "clicks": [
            checks.not_null("user", "video", "clicked_at", severity="quarantine"),
            checks.between("seconds", 0, 86_400, severity="quarantine"),
        ],
        "user_features": [checks.between("flagged_share", 0, 1)],
    },
    transforms=[
        # What was known of a user at each click, in the warehouse with the micro-batch that brought it.
        windows.running(
            "user_features",
            of="clicks",
            key="user",
            over="30d",
            sql="count(*) AS clicks, sum(seconds) AS seconds, count(DISTINCT video) AS videos, "
            "avg(flagged::INTEGER) AS flagged_share",
        ),
        windows.tumbling("views_per_minute", of="clicks", key="video", size="1m", sql="count(*) AS views"),
    ],
    promote=["user_features"],
)
