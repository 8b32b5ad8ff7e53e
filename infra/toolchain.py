"""Where the third-party parts that no Python package brings lie: Kafka's jars, a Java runtime, Node.

Set-up (``infra.setup``) fills the folder, everything else only reads it.  Its shape::

    .toolchain/
      bin/java, bin/node   links to the runtimes in use: the machine's own where new enough, else the fetched ones
      kafka/*.jar          the broker and what it needs, each checked against infra/embedded/kafka.sha256
      node/                package.json and node_modules
      stamps/              one file a set-up step, holding the hash of what it was made from
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


class ToolchainError(Exception):
    """A part is missing or does not fit; the message says how to get it."""


@dataclass(frozen=True)
class Toolchain:
    """The folder of third-party parts. ``root`` need not exist yet."""

    root: Path

    @staticmethod
    def default() -> Toolchain:
        """The folder named by ``MILLRACE_TOOLCHAIN``, else ``.toolchain`` beside the code."""
        return Toolchain(Path(os.environ.get("MILLRACE_TOOLCHAIN") or REPOSITORY / ".toolchain").resolve())

    @property
    def kafka(self) -> Path:
        return self.root / "kafka"

    @property
    def node_modules(self) -> Path:
        return self.root / "node" / "node_modules"

    @property
    def stamps(self) -> Path:
        return self.root / "stamps"

    def program(self, name: str) -> Path:
        """The link to a runtime (``java`` or ``node``). Raises ToolchainError where set-up has not run."""
        link = self.root / "bin" / name
        if not link.exists():
            raise ToolchainError(f"no {name} in {link.parent}: run `make setup`")
        return link

    def kafka_classpath(self) -> str:
        """A Java class path of all of Kafka's jars. Raises ToolchainError where there are none."""
        if not any(self.kafka.glob("kafka_*.jar")):
            raise ToolchainError(f"no Kafka in {self.kafka}: run `make setup`")
        return str(self.kafka / "*")
