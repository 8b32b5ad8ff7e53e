"""A real Kafka, one node in KRaft mode, on loopback.

The data folder can be taken up again by a later broker on other ports: the quorum's only voter is named in the configuration, which
is written anew at every start, not in the log.
"""

from __future__ import annotations

import base64
import subprocess
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from pydantic import BaseModel, ConfigDict

from infra.embedded.ports import free_port
from infra.embedded.process import Child, ProcessError, tail
from infra.toolchain import Toolchain

# A retry or dead letter carries its whole original (at most 8 MB of record, by the topics' own limits) and its provenance.
LARGEST_RECORD = 12 * 1024 * 1024

_PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": 1,
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,CLIENTS:PLAINTEXT",
    "inter.broker.listener.name": "CLIENTS",
    # One node: every internal topic has one copy, and nobody else is waited for.
    "default.replication.factor": 1,
    "min.insync.replicas": 1,
    "offsets.topic.replication.factor": 1,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    # After a crash the restarted broker may register only when the session of the one before has run out: 9 s by default.
    "broker.session.timeout.ms": 5000,
    "broker.heartbeat.interval.ms": 500,
    # Internal topics of 50 partitions each would cost seconds at every start, and memory for ever.
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.num.partitions": 4,
    "share.coordinator.state.topic.num.partitions": 4,
    # Topics are declared in code; a misspelt one is an error.
    "auto.create.topics.enable": "false",
    "message.max.bytes": LARGEST_RECORD,
    "replica.fetch.max.bytes": LARGEST_RECORD,
    "socket.request.max.bytes": 4 * LARGEST_RECORD,
    # A group that rests for a long holiday finds its place again.
    "offsets.retention.minutes": 10 * 365 * 24 * 60,
    # Rebalances: a killed consumer is missed after 6 s instead of 45, a clean leave takes half a second instead of 5.
    "group.initial.rebalance.delay.ms": 0,
    "group.consumer.min.session.timeout.ms": 3000,
    "group.consumer.session.timeout.ms": 6000,
    "group.consumer.min.heartbeat.interval.ms": 300,
    "group.consumer.heartbeat.interval.ms": 500,
    "group.consumer.assignment.interval.ms": 100,
    # Two cores and a folder of its own, not a rack.
    "num.network.threads": 2,
    "num.io.threads": 4,
    "background.threads": 2,
    "num.recovery.threads.per.data.dir": 2,
    "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
    "log.segment.bytes": 256 * 1024 * 1024,
    "log.index.size.max.bytes": 1024 * 1024,
}

_LOG4J = """\
Configuration:
  status: error
  Appenders:
    Console:
      name: stdout
      PatternLayout: {pattern: "%d{ISO8601} %-5p %c{1} %m%n"}
  Loggers:
    Root: {level: warn, AppenderRef: {ref: stdout}}
    Logger:
      # Dumps every setting, at every start and stop.
      - {name: org.apache.kafka.common.config.AbstractConfig, level: error}
      - {name: kafka.server.KafkaConfig, level: error}
"""

# Serial collector and a small heap: 350 MB in all where the defaults take a gigabyte. The first compiler only: it halves the CPU time of a
# start (2.3 s for 4.3) and takes a third off that of the first million records; the second would pay after hours, which no laptop's stack runs.
_JAVA = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")


class KafkaSettings(BaseModel):
    """Where the broker keeps its data and listens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path
    """Folder of its own; made if it is not there."""
    log: Path
    """File for the broker's output."""
    port: int | None = None
    """For clients; None: a free one is chosen."""
    controller_port: int | None = None
    """For the broker's own quorum of one; None: a free one is chosen."""
    properties: Mapping[str, str] = {}
    """Server properties over those of this module."""


class Kafka:
    """A broker being started, running or stopped. ``start`` returns at once; ``ready`` waits."""

    def __init__(self, settings: KafkaSettings, toolchain: Toolchain | None = None):
        self._settings = settings
        self._toolchain = toolchain or Toolchain.default()
        self.port = settings.port or free_port()
        self.controller_port = settings.controller_port or free_port(taken=frozenset({self.port}))
        self.bootstrap_servers = f"127.0.0.1:{self.port}"
        self._child: Child | None = None

    def start(self) -> Child:
        """Formats the folder if it is new, and starts the broker. Raises ToolchainError, ProcessError."""
        data = self._settings.data
        data.mkdir(parents=True, exist_ok=True)
        properties = data / "server.properties"
        properties.write_text("".join(f"{k}={v}\n" for k, v in self._configuration().items()))
        (data / "log4j2.yaml").write_text(_LOG4J)
        if not (data / "log" / "meta.properties").exists():
            self._format(properties)
        self._child = Child("kafka", self._java("kafka.Kafka", str(properties)), self._settings.log)
        return self._child

    def ready(self, timeout: float = 60.0) -> None:
        """Returns when the broker answers a client. Raises ProcessError if it ends before, or after ``timeout`` seconds."""
        assert self._child, "start() first"
        until = time.monotonic() + timeout
        # Its own attempts would log every refused connection.
        admin = AdminClient(
            {"bootstrap.servers": self.bootstrap_servers, "log_level": 0, "reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 100}
        )
        while True:
            self._child.require_running()
            try:
                if admin.list_topics(timeout=1).brokers:
                    return
            except KafkaException as error:
                if time.monotonic() > until:
                    raise ProcessError(f"Kafka does not answer within {timeout:.0f} s: {error}; see {self._settings.log}") from error

    def stop(self, within: float = 10.0) -> bool:
        """SIGTERM, which closes the logs cleanly; SIGKILL after ``within`` seconds. True if it ended by itself."""
        return self._child.stop(within) if self._child else True

    def _configuration(self) -> dict[str, object]:
        return {
            **_PROPERTIES,
            **self._settings.properties,
            "log.dirs": self._settings.data / "log",
            "controller.quorum.voters": f"1@127.0.0.1:{self.controller_port}",
            "listeners": f"CLIENTS://{self.bootstrap_servers},CONTROLLER://127.0.0.1:{self.controller_port}",
            "advertised.listeners": f"CLIENTS://{self.bootstrap_servers}",
        }

    def _java(self, main: str, *arguments: str) -> list[str]:
        log4j = self._settings.data / "log4j2.yaml"
        return [
            str(self._toolchain.program("java")),
            *_JAVA,
            f"-Dlog4j2.configurationFile={log4j}",
            "-cp",
            self._toolchain.kafka_classpath(),
            main,
            *arguments,
        ]

    def _format(self, properties: Path) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # --cluster-id=...: one in 64 ids begins with a hyphen, and would be taken for an option of its own.
        command = self._java("kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", str(properties))
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            output = (done.stdout + done.stderr).strip() or tail(self._settings.log)
            raise ProcessError(f"Kafka's data folder {self._settings.data} could not be formatted: {output}")
