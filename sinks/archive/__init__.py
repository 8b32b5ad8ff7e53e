"""Topics in the object store, as Avro files with an index, so that a replay reaches beyond Kafka's retention."""

from sinks.archive.files import ArchiveDamaged, Segment
from sinks.archive.reader import Archive
from sinks.archive.writer import Archiver, ArchiveSettings

__all__ = ["Archive", "ArchiveDamaged", "ArchiveSettings", "Archiver", "Segment"]
