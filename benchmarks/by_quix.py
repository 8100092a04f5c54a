"""A peer that consumes Kafka, run by an interpreter that has it: ``python by_quix.py FOLDER HOSTS TOPIC COUNT``."""

from __future__ import annotations

import os
import sys

TOGETHER = 200_000
"""Messages that are written together, as by hand."""


def main() -> None:
    """Let Quix Streams write a topic's messages to Parquet files: at least once, as it is by default."""
    from quixstreams import Application
    from quixstreams.sinks.community.file.formats.parquet import ParquetFormat
    from quixstreams.sinks.community.file.local import LocalFileSink

    folder, hosts, topic, count = sys.argv[1:5]
    application = Application(
        broker_address=hosts,
        # Each run reads from the beginning, and keeps its state in its own folder.
        consumer_group=f"quix-{abs(hash(folder))}",
        auto_offset_reset="earliest",
        state_dir=f"{folder}/state",
        commit_every=TOGETHER,
        commit_interval=10.0,
        loglevel="ERROR",
    )
    rows = application.dataframe(application.topic(topic, value_deserializer="json"))
    # It takes only some characters in a path, and a temporary folder's name may have others.
    os.chdir(folder)
    rows.sink(LocalFileSink(directory="lake", format=ParquetFormat(compression="zstd")))
    application.run(count=int(count), timeout=60.0, collect=False)


if __name__ == "__main__":
    main()
