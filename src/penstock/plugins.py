"""Kind and name to class: built-ins as dotted strings, then the entry points of other packages.

A package adds a source with the entry point group ``penstock.source``: the name is the kind, the value a class with the
port ``penstock.extract.port.Source``. Nothing is imported before it is asked for.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from penstock.names import unknown

BUILT_IN: dict[str, dict[str, str]] = {
    "source": {
        "sqlite": "penstock.extract.database.sqlite.source:SqliteSource",
        "postgres": "penstock.extract.database.postgres.source:PostgresSource",
        "duckdb": "penstock.extract.database.duckdb_file:DuckDbSource",
        "access": "penstock.extract.database.access.source:AccessSource",
        "mssql": "penstock.extract.database.mssql.source:SqlServerSource",
        "oracle": "penstock.extract.database.oracle.source:OracleSource",
        "mysql": "penstock.extract.database.mysql.source:MySqlSource",
        "files": "penstock.extract.files.source:FilesSource",
        "rest": "penstock.extract.rest.source:RestSource",
        "python": "penstock.extract.python.source:PythonSource",
    },
    "stream": {
        "kafka": "penstock.extract.streams.kafka:KafkaSource",
        "kinesis": "penstock.extract.streams.kinesis.source:KinesisSource",
        "mqtt": "penstock.extract.streams.mqtt.source:MqttSource",
        "nats": "penstock.extract.streams.nats_streams:NatsSource",
        "pubsub": "penstock.extract.streams.pubsub.source:PubSubSource",
        "rabbitmq": "penstock.extract.streams.rabbitmq.source:RabbitSource",
        "redis": "penstock.extract.streams.redis_streams:RedisSource",
        "sse": "penstock.extract.streams.web_feeds.sse:SseSource",
        "tail": "penstock.extract.streams.tail:TailSource",
        "webhook": "penstock.extract.streams.webhooks.source:WebhookSource",
        "websocket": "penstock.extract.streams.web_feeds.websocket:WebSocketSource",
    },
    "capture": {
        "postgres_changes": "penstock.extract.streams.changes.postgres.source:PostgresChanges",
        "mysql_changes": "penstock.extract.streams.changes.mysql.source:MySqlChanges",
    },
    "file_format": {
        "avro": "penstock.extract.files.formats.avro:read",
        "orc": "penstock.extract.files.formats.orc:read",
        "arrow": "penstock.extract.files.formats.arrow:read",
        "fixed": "penstock.extract.files.formats.fixed:read",
        "log": "penstock.extract.files.formats.logs:read",
        "xlsx": "penstock.extract.files.formats.spreadsheets.reading:read",
        "xlsb": "penstock.extract.files.formats.spreadsheets.reading:read",
        "xls": "penstock.extract.files.formats.spreadsheets.reading:read",
        "xml": "penstock.extract.files.formats.xml_files:read",
        "ods": "penstock.extract.files.formats.spreadsheets.reading:read",
    },
    "catalog": {
        "sqlite": "penstock.catalog.sqlite:SqliteCatalog",
        "postgres": "penstock.catalog.postgres:PostgresCatalog",
    },
}


@cache
def find(kind: str, name: str) -> Any:
    """Return the class of that kind and name.

    Raises:
        ConfigurationError: If there is none; says which there are.
    """
    built_in = BUILT_IN.get(kind, {})
    if name in built_in:
        module, _, attribute = built_in[name].partition(":")
        return getattr(import_module(module), attribute)
    from importlib.metadata import entry_points

    others = {point.name: point for point in entry_points(group=f"penstock.{kind}")}
    if name not in others:
        raise unknown(kind, name, [*built_in, *others], where="built in or given by an installed package")
    return others[name].load()
