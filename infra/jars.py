"""Kafka's jars: fetched by jgo from Maven's central repository, each checked against the committed list.

The list (``infra/embedded/kafka.sha256``) names every jar of the broker's class path as ``SHA-256  group:artifact:version``, so
set-up resolves nothing: it fetches what the list says and refuses anything else (``python -m infra.jars FOLDER``).  ``python -m
infra.jars`` alone writes the list anew, after a change of ``ENDPOINTS``.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

# Resolved one by one: together, jgo lets the dependency management of log4j's parent choose an older kafka-clients. The binding is
# of the version that Kafka itself asks of log4j.
ENDPOINTS = ("org.apache.kafka:kafka_2.13:4.3.1", "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4")
LIST = Path(__file__).parent / "embedded" / "kafka.sha256"


class JarError(Exception):
    """A jar is not what the committed list says."""


def listed(path: Path = LIST) -> dict[str, str]:
    """The committed list: Maven coordinate ``group:artifact:version`` -> SHA-256 in hex."""
    pairs = (line.split() for line in path.read_text().splitlines() if line and not line.startswith("#"))
    return {coordinate: digest for digest, coordinate in pairs}


def file_name(coordinate: str) -> str:
    """``group:artifact:version`` -> ``artifact-version.jar``."""
    _, artifact, version = coordinate.split(":")
    return f"{artifact}-{version}.jar"


def missing(folder: Path, wanted: dict[str, str]) -> list[str]:
    """The coordinates whose jar is not in ``folder`` with the listed digest."""
    return [c for c, digest in wanted.items() if not (folder / file_name(c)).is_file() or sha256(folder / file_name(c)) != digest]


def fetch(folder: Path, wanted: dict[str, str] | None = None, workers: int = 16) -> int:
    """Brings ``folder`` to exactly the listed jars; returns how many had to be fetched.

    A jar is moved into place only after its digest fits, so a folder never holds one that was not checked.
    Raises JarError naming every jar that is not what the list says.
    """
    from jgo.maven import MavenContext

    wanted = listed() if wanted is None else wanted
    folder.mkdir(parents=True, exist_ok=True)
    names = {file_name(c) for c in wanted}
    for stray in folder.glob("*.jar"):
        if stray.name not in names:
            stray.unlink()
    todo = missing(folder, wanted)

    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as cache:
        # A cache of our own: what lies in the user's ~/.m2 was checked by nobody.
        context = MavenContext(repo_cache=Path(cache), local_repos=[], timeout=120)

        def one(coordinate: str) -> str | None:
            group, artifact, version = coordinate.split(":")
            jar = context.project(group, artifact).at_version(version).artifact().resolve()
            found = sha256(jar)
            if found != wanted[coordinate]:
                return f"{coordinate}: SHA-256 is {found}, the list says {wanted[coordinate]}"
            jar.replace(folder / file_name(coordinate))
            return None

        with ThreadPoolExecutor(workers) as pool:
            wrong = [complaint for complaint in pool.map(one, todo) if complaint]
    if wrong:
        raise JarError("; ".join(wrong))
    return len(todo)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_list(path: Path = LIST) -> None:
    """Resolves ENDPOINTS and writes the list of what they need with the digests found now: a maintainer's step, never set-up's."""
    import jgo

    artifacts: dict[tuple[str, str], Any] = {}
    for endpoint in ENDPOINTS:
        for artifact in jgo.resolve(endpoint):
            artifacts.setdefault((artifact.groupId, artifact.artifactId), artifact)
    with ThreadPoolExecutor(16) as pool:
        digests = list(pool.map(lambda a: sha256(a.resolve()), artifacts.values()))
    lines = sorted((f"{a.groupId}:{a.artifactId}:{a.version}", digest) for a, digest in zip(artifacts.values(), digests, strict=True))
    head = f"# The class path of {' and '.join(ENDPOINTS)}; written by `python -m infra.jars`.\n"
    path.write_text(head + "".join(f"{digest}  {coordinate}\n" for coordinate, digest in lines))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        fetch(Path(sys.argv[1]))
    else:
        write_list()
