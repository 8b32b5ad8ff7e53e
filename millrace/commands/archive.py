"""Commands on the archive of topics: list, verify, restore."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from millrace.commands.common import Connected, Data, Json, connected
from millrace.commands.options import DryRun, Since, Until, actor, moment, told
from millrace.output import OK, REJECTED, USAGE, err, fail, out, print_json, print_table
from sinks.archive import Archive, ArchiveDamaged, Segment
from sinks.archive.reader import gaps
from streams.admin import admin, ensure_topics
from streams.objects import ObjectMissing
from streams.replay.log import LogRecord
from streams.topics import Topic as Declared

app = typer.Typer(
    no_args_is_help=True,
    help="Every topic but the retry tiers, as Avro files in the object store: for replays and readers beyond Kafka's retention.\n\n"
    "The worker 'archive' writes it. 'millrace replay' reads it by itself where a range is no longer in Kafka; 'restore' writes records again "
    "exactly as they were into a topic of any name. Nothing is ever deleted from it: keep it as long as the object store's rules say.",
)
RESTORED = "millrace-restored-from"
"""Header of a restored record: topic/partition@offset."""

Topic = Annotated[str, typer.Option(help="Only this topic.")]
Partition = Annotated[int | None, typer.Option(min=0, help="Only this partition.")]
TopicId = Annotated[
    str | None, typer.Option("--topic-id", help="Of a topic that was deleted and made anew: the one with this id of Kafka's.")
]


@app.command("list")
def list_segments(topic: Topic = "", partition: Partition = None, topic_id: TopicId = None, json: Json = False, data: Data = None) -> None:
    """The archive's index: which offsets of which times lie in which files."""
    with connected(data) as c:
        found = Archive(c.objects()).segments(topic, topic_id, partition)
    if json:
        print_json([_facts(s) for s in found])
    elif found:
        columns = ["topic", "partition", "offsets", "records", "from (UTC)", "to", "schemas"]
        print_table(
            columns, [(s.topic, s.partition, f"{s.first}-{s.last}", s.count, told(s.min_ms), told(s.max_ms), s.schemas) for s in found]
        )
        out.print(f"{len(found):,} files, {sum(s.count for s in found):,} records (what overlaps counts twice here and is read once)")
    else:
        out.print("nothing is archived")


@app.command("verify")
def verify(topic: Topic = "", partition: Partition = None, topic_id: TopicId = None, json: Json = False, data: Data = None) -> None:
    """Read every file: is it what its name says, and is no offset missing between two? Exit code 1 where something is wrong."""
    with connected(data) as c:
        archive = Archive(c.objects())
        found = archive.segments(topic, topic_id, partition)
        damaged = []
        for segment in found:
            try:
                archive.check(segment)
            except (ArchiveDamaged, ObjectMissing) as error:
                damaged.append({"key": segment.key, "message": str(error)})
        missing = [{"topic": s.topic, "partition": s.partition, "first": first, "last": last} for s, first, last in gaps(found)]
    if json:
        print_json({"files": len(found), "records": sum(s.count for s in found), "damaged": damaged, "gaps": missing})
    else:
        for one in damaged:
            out.print(f"damaged: {one['message']}")
        for gap in missing:
            out.print(f"gap: {gap['topic']}/{gap['partition']} offsets {gap['first']} to {gap['last']} are in no file")
        out.print(f"{len(found):,} files, {len(damaged)} damaged, {len(missing)} gaps")
    raise SystemExit(REJECTED if damaged or missing else OK)


@app.command("restore")
def restore(
    topic: Annotated[str, typer.Option(help="Records of this topic.")],
    into: Annotated[str, typer.Option(help="The topic they are written to, as Kafka calls it.")],
    partition: Partition = None,
    first: Annotated[int, typer.Option("--from", min=0, help="The first offset (with --partition).")] = 0,
    last: Annotated[int | None, typer.Option("--to", min=0, help="The last offset (with --partition).")] = None,
    since: Since = None,
    until: Until = None,
    topic_id: TopicId = None,
    create: Annotated[bool, typer.Option("--create", help="Make the topic where it is not there.")] = False,
    dry_run: DryRun = False,
    json: Json = False,
    data: Data = None,
) -> None:
    """Write archived records again, with their keys, bytes and headers as they were. Restored into their own topic they are redeliveries and
    count once."""
    if (first or last is not None) and partition is None:
        fail(USAGE, "offsets count within one partition: name it with --partition")
    start, end = moment(since, "--since"), moment(until, "--until")
    with connected(data) as c:
        archive = Archive(c.objects(), (lambda _: topic_id) if topic_id else None)
        try:
            records = _records(archive, topic, partition, first, last, start, end)
            n = sum(1 for _ in records) if dry_run else _write(c, records, into, create)
        except ArchiveDamaged as error:
            fail(REJECTED, str(error))
        if not dry_run and n:
            c.door().audit(actor(), "archive.restore", target=into, topic=topic, records=str(n), since=since or "", until=until or "")
            c.door().flush()
    if json:
        print_json({"topic": topic, "into": into, "records": n, "dry_run": dry_run})
    else:
        out.print(f"{n:,} records of {topic} {'would be' if dry_run else 'are'} written to {into}")
    if not n:
        err.print(f"nothing of that is in the archive; 'millrace archive list --topic {topic}' says what is")
        raise SystemExit(REJECTED)


def _records(
    archive: Archive, topic: str, partition: int | None, first: int, last: int | None, since: int | None, until: int | None
) -> Iterator[LogRecord]:
    for number in sorted({k.partition for k in archive.kept(topic) if partition in (None, k.partition)}):
        at = first
        for kept in sorted((k for k in archive.kept(topic) if k.partition == number), key=lambda k: (k.first, -k.end)):
            start, end = max(kept.first, at), kept.end if last is None else min(kept.end, last + 1)
            if start >= end or (since is not None and kept.max_ms < since) or (until is not None and kept.min_ms >= until):
                continue
            for record in archive.read(topic, number, start, end):
                if (since is None or record.timestamp >= since) and (until is None or record.timestamp < until):
                    yield record
            at = end


def _write(c: Connected, records: Iterator[LogRecord], into: str, create: bool) -> int:
    settings = c.settings.streams
    if into not in admin(settings).list_topics(timeout=30).topics:
        if not create:
            fail(USAGE, f"there is no topic {into}; --create makes it")
        ensure_topics(settings.model_copy(update={"topic_prefix": ""}), [Declared(into, None, "as the original", "restore", large=True)])
    door, n = c.door(), 0
    for record in records:
        n += 1
        place = f"{record.topic}/{record.partition}@{record.offset}"
        door.republish(into, record.key, record.value, [*record.headers, (RESTORED, place.encode())])
    door.flush()
    return n


def _facts(s: Segment) -> dict[str, object]:
    names = ("topic", "topic_id", "partition", "first", "last", "count", "min_ms", "max_ms", "schemas", "sha256", "key")
    return {name: getattr(s, name) for name in names}
