"""A stand of Kinesis: a stream of one shard, behind a port that can be cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from botocore.session import get_session
from brokers import connected

from penstock import sources
from penstock.extract.streams.kinesis.source import KinesisSource
from penstock.extract.streams.port import Opening, Reader
from penstock.model.specs import ConnectionSpec
from penstock.model.streams import Positions
from servers.forwarder import Forwarder

PASSWORD = "s3cr3t-of-kinesis"


class KinesisStand:
    """A stream."""

    def __init__(self, url: str, folder: Path) -> None:
        self.folder = folder
        self.name = f"stand-{uuid4().hex[:12]}"
        self.client = get_session().create_client(
            "kinesis",
            region_name="eu-central-1",
            endpoint_url=url,
            aws_access_key_id="penstock",
            aws_secret_access_key=PASSWORD,
        )
        self.forwarder = Forwarder(int(urlsplit(url).port or 0))
        self.make()

    def make(self) -> None:
        """Make the stream."""
        self.client.create_stream(StreamName=self.name, ShardCount=1)
        self.client.get_waiter("stream_exists").wait(StreamName=self.name, WaiterConfig={"Delay": 1})

    def known(self, **given: Any) -> ConnectionSpec:
        """Return the connection."""
        usual = {"access_key_id": "penstock", "secret_access_key": PASSWORD, "endpoint": self._endpoint}
        return connected("kinesis://eu-central-1", **(usual | given))

    def open(self, at: Positions | None = None, **stream: Any) -> Reader:
        source = sources.kinesis("events", stream_name=self.name, table="clicks", stream=stream)
        return KinesisSource().open(Opening(source=source, connection=self.known(), positions=at or {}))

    @property
    def connection(self) -> str:
        return (
            f'[connections.events]\nurl = "kinesis://eu-central-1"\nendpoint = "{self._endpoint}"\n'
            'access_key_id = "penstock"\nsecret_access_key = "${BROKER_PASSWORD}"\n'
        )

    @property
    def source(self) -> str:
        return f'sources.kinesis("events", stream_name="{self.name}", table="clicks", stream={{"every": "200ms"}})'

    @contextmanager
    def away(self) -> Iterator[None]:
        self.forwarder.cut()
        yield
        self.forwarder.start()

    def append(self, values: Sequence[bytes], key: str = "k") -> None:
        for first in range(0, len(values), 400):
            records = [{"Data": value, "PartitionKey": key} for value in values[first : first + 400]]
            assert not self.client.put_records(StreamName=self.name, Records=records)["FailedRecordCount"]

    def lose(self, values: Sequence[bytes]) -> None:
        self.client.delete_stream(StreamName=self.name)
        self.client.get_waiter("stream_not_exists").wait(StreamName=self.name, WaiterConfig={"Delay": 1})
        self.make()
        self.append(values)

    @property
    def _endpoint(self) -> str:
        return f"http://127.0.0.1:{self.forwarder.port}"
