"""A real Apache Kafka for tests: one broker in KRaft mode on loopback, its jars fetched by Maven into the cache."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from servers import certificates
from servers.debian import CACHE, NoServerError, free_port, provided, run
from servers.java import home as java_home
from servers.serving import fetching

_VERSION = "4.1.0"
_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>penstock</groupId><artifactId>kafka-for-tests</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{_VERSION}</version></dependency>
  </dependencies>
</project>
"""
_MAVEN = re.compile(r"maven|lib[-.\w]*-java|default-jre-headless|openjdk-17-jre-headless")
USER, PASSWORD = "penstock", "se:cr@t/1"
_SETTINGS = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},GUARDED://127.0.0.1:{guarded},SECURE://127.0.0.1:{secure},\\
  SCRAM://127.0.0.1:{scram},OUTSIDE://127.0.0.1:{outside},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},GUARDED://127.0.0.1:{guarded},SECURE://127.0.0.1:{secure},\\
  SCRAM://127.0.0.1:{scram},OUTSIDE://127.0.0.1:{forwarded}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,GUARDED:SASL_PLAINTEXT,SECURE:SSL,SCRAM:SASL_SSL,\\
  OUTSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT
listener.name.guarded.sasl.enabled.mechanisms=PLAIN
listener.name.guarded.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \\
  user_{user}="{password}";
ssl.keystore.type=PEM
ssl.keystore.location={folder}/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location={folder}/ca.pem
listener.name.secure.ssl.client.auth=required
listener.name.scram.ssl.client.auth=none
listener.name.scram.sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512,PLAIN
listener.name.scram.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.scram.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.scram.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \\
  user_{user}="{password}";
log.dirs={folder}/logs
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
num.network.threads=1
num.io.threads=2
log.retention.check.interval.ms=500
log.cleaner.dedupe.buffer.size=2097152
log.cleaner.backoff.ms=200
"""


@dataclass
class KafkaServer:
    """A running broker.

    Attributes:
        port: Of the listener without any protection.
        guarded: Of the one that wants a user and a password (PLAIN), without TLS.
        secure: Of the one that wants a certificate, by TLS.
        scram: Of the one that wants a user and a password (SCRAM or PLAIN), by TLS.
        outside: Of the one without protection whose clients are told to come to ``forwarded``.
        forwarded: A port at which nobody listens, unless a test lets a ``Forwarder`` lead from it to ``outside``.
        folder: Where its files are, those of ``servers/certificates`` among them.
    """

    port: int
    guarded: int
    secure: int
    scram: int
    outside: int
    forwarded: int
    command: list[str]
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def hosts(self) -> str:
        """Return the address, as clients want it."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Return the address, as connections want it."""
        return f"kafka://{self.hosts}"

    def admin(self) -> Any:
        """Return a client that makes topics."""
        from confluent_kafka.admin import AdminClient

        return AdminClient({"bootstrap.servers": self.hosts}, logger=_quiet())

    def create(self, topic: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> str:
        """Make a topic, which keeps messages of any age unless ``config`` says otherwise; returns its name."""
        from confluent_kafka.admin import NewTopic

        # The client ends with the variable that holds it, and so would what it was asked for.
        admin = self.admin()
        made = admin.create_topics([NewTopic(topic, partitions, 1, config={"retention.ms": "-1", **(config or {})})])
        made[topic].result(20)
        return topic

    def producer(self, **settings: Any) -> Any:
        """Return a producer."""
        from confluent_kafka import Producer

        return Producer({"bootstrap.servers": self.hosts, "linger.ms": 5, **settings}, logger=_quiet())

    def kill(self) -> None:
        """Kill the broker as if its machine had failed."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def start(self) -> None:
        """Start it again, with what it has on its disk."""
        with open(self.folder / "broker.log", "ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        _wait(self)

    def stop(self) -> None:
        """Stop it."""
        assert self.process is not None
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()


@contextlib.contextmanager
def running() -> Iterator[KafkaServer]:
    """Run a broker; it is stopped by its process id, and its data removed.

    Raises:
        NoServerError: There is no Java or Maven, the jars cannot be had, or it does not come up.
    """
    java = str(java_home() / "bin" / "java")
    jars = _jars()
    with tempfile.TemporaryDirectory(prefix="penstock-kafka-") as made:
        folder = Path(made)
        port, guarded, secure, scram, outside, forwarded, controller = (free_port() for _ in range(7))
        certificates.make(folder)
        settings = folder / "server.properties"
        settings.write_text(
            _SETTINGS.format(
                port=port,
                guarded=guarded,
                secure=secure,
                scram=scram,
                outside=outside,
                forwarded=forwarded,
                controller=controller,
                folder=folder,
                user=USER,
                password=PASSWORD,
            )
        )
        small = ("-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
        base = [java, *small, "-cp", f"{jars}/*"]
        users = [
            part
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
            for part in ("--add-scram", f"{mechanism}=[name={USER},password={PASSWORD}]")
        ]
        identity = ("-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", str(settings))
        run(*base, "kafka.tools.StorageTool", "format", *identity, *users)
        server = KafkaServer(
            port, guarded, secure, scram, outside, forwarded, [*base, "kafka.Kafka", str(settings)], folder
        )
        try:
            server.start()
            yield server
        finally:
            if server.process is not None:
                server.stop()


def _jars() -> Path:
    """Return the folder of Kafka's jars and of all that they need."""
    with fetching(f"kafka-{_VERSION}") as home:
        jars = home / "jars"
        if not jars.exists():
            maven = provided(["maven"], _MAVEN, _maven)
            (home / "pom.xml").write_text(_POM)
            made = home / "fetched"
            shutil.rmtree(made, ignore_errors=True)
            run(
                str(maven),
                "-B",
                "-q",
                "-f",
                str(home / "pom.xml"),
                "dependency:copy-dependencies",
                f"-DoutputDirectory={made}",
            )
            made.rename(jars)
        return jars


def _maven() -> Path | None:
    installed = shutil.which("mvn")
    if installed is not None:
        return Path(installed)
    unpacked = CACHE / "root/usr/share/maven/bin/mvn"
    return unpacked if unpacked.exists() else None


def _wait(server: KafkaServer) -> None:
    from confluent_kafka import KafkaException

    admin = server.admin()
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        if server.process is None or server.process.poll() is not None:
            raise NoServerError(f"the broker ended: {(server.folder / 'broker.log').read_text()[-300:]}")
        with contextlib.suppress(KafkaException):
            if admin.list_topics(timeout=1).brokers:
                return
        time.sleep(0.1)
    raise NoServerError("the broker did not answer within a minute")


def _quiet() -> Any:
    import logging

    logger = logging.Logger("quiet")
    logger.addHandler(logging.NullHandler())
    return logger
