"""Tables, views and saved questions: made, and made again, in one call.

``ddl/`` holds migrations: numbered, applied once, never changed afterwards. ``views/`` and ``questions/`` are made anew whenever their
text changed. What was applied stands in the table ``schema_files``.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import PurePosixPath

from sinks.clickhouse.http import ClickHouse

_APPLIED = """
CREATE TABLE IF NOT EXISTS schema_files (
  file String COMMENT 'Below sinks/clickhouse',
  sha256 String COMMENT 'Of its text when it was applied',
  applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
) ENGINE = ReplacingMergeTree(applied_at) ORDER BY file
COMMENT 'Which tables, views and questions there are, and in which version'
"""


class SchemaChanged(RuntimeError):
    """A migration's text is another than the one that was applied. A new migration is what it takes."""


@dataclass(frozen=True)
class SqlFile:
    """One file of statements. ``name`` is relative to this package, e.g. ``ddl/0002_usage.sql``."""

    name: str
    text: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def statements(self) -> list[str]:
        """Split at semicolons that end a line; a comment alone is no statement."""
        parts = re.split(r";[ \t]*(?:\n|\Z)", self.text)
        return [part.strip() for part in parts if re.sub(r"--[^\n]*", "", part).strip()]

    @property
    def is_question(self) -> bool:
        """Then it is a SELECT, and becomes a view of its file's name."""
        return self.name.startswith("questions/")

    @property
    def stem(self) -> str:
        return PurePosixPath(self.name).stem

    @property
    def title(self) -> str:
        """The comment in its first line."""
        return self.text.partition("\n")[0].removeprefix("--").strip()


def sql_files(folder: str) -> list[SqlFile]:
    """The files of ``ddl``, ``views`` or ``questions``, in order of their names."""
    found = files("sinks.clickhouse").joinpath(folder).iterdir()
    return sorted(
        (SqlFile(f"{folder}/{path.name}", path.read_text()) for path in found if path.name.endswith(".sql")), key=lambda f: f.name
    )


def install(clickhouse: ClickHouse) -> list[str]:
    """Bring the database up to date; return the names of the files that were applied.

    Any number of processes may do it at once, and it may die half way: every statement says IF NOT EXISTS or OR REPLACE, and a file is
    noted after its last one. Raises :class:`SchemaChanged`, ``ClickHouseError``, ``ClickHouseUnavailable``.
    """
    clickhouse.command(_APPLIED)
    known = {row["file"]: row["sha256"] for row in clickhouse.rows("SELECT file, sha256 FROM schema_files FINAL")}
    tables, views = sql_files("ddl"), [*sql_files("views"), *sql_files("questions")]
    if changed := [file.name for file in tables if known.get(file.name, file.sha256) != file.sha256]:
        raise SchemaChanged(f"{', '.join(changed)} was changed after it had been applied; add a migration instead")
    pending = [file for file in tables if file.name not in known]
    if pending or any(known.get(file.name) != file.sha256 for file in views):
        pending += views  # all of them: a view keeps the columns that it found when it was made
    for file in pending:
        for statement in file.statements:
            clickhouse.command(f"CREATE OR REPLACE VIEW {file.stem} AS\n{statement}" if file.is_question else statement)
        clickhouse.command(
            "INSERT INTO schema_files (file, sha256) SELECT {file:String}, {sha256:String}",
            parameters={"file": file.name, "sha256": file.sha256},
        )
    return [file.name for file in pending]
