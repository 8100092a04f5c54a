"""A peer that consumes Kafka, run by an interpreter that has it: ``python by_dlt_kafka.py FOLDER HOSTS TOPIC SOURCES``.

``SOURCES`` is the folder in which ``dlt init kafka filesystem`` has put dlt's source of Kafka.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def main() -> None:
    """Let dlt write a topic's messages to Parquet files, each decoded as a row."""
    folder, hosts, topic, sources = sys.argv[1:5]
    os.environ.update(RUNTIME__LOG_LEVEL="ERROR", RUNTIME__DLTHUB_TELEMETRY="false")
    sys.path.insert(0, sources)
    import dlt
    from confluent_kafka import Consumer
    from kafka import kafka_consumer

    def row(message: Any) -> dict[str, Any]:
        place = {"topic": message.topic(), "partition": message.partition(), "offset": message.offset()}
        return {**json.loads(message.value()), "_kafka": place}

    pipeline = dlt.pipeline(
        "bench",
        destination=dlt.destinations.filesystem(f"file://{folder}/lake"),
        dataset_name="raw",
        pipelines_dir=f"{folder}/state",
    )
    consumer = Consumer({"bootstrap.servers": hosts, "group.id": "dlt", "auto.offset.reset": "earliest"})
    read = kafka_consumer([topic], credentials=consumer, msg_processor=row, batch_size=10_000)
    pipeline.run(read, loader_file_format="parquet")


if __name__ == "__main__":
    main()
