"""What should not have been sent: a clear error at the door, or a dead letter with its reason; and the stage goes on."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import av
import numpy as np
import pytest
from confluent_kafka import Producer

from schemas import ids
from schemas.avro_codec import encoder, frame
from schemas.records import PromptSubmitted, VideoSubmitted
from streams.objects import put_content
from streams.topics import PROMPT_SUBMITTED, VIDEO_SUBMITTED

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[2]


def video(width: int, height: int, seconds: float = 0.2, *, audio_only: bool = False) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as container:
        if audio_only:
            stream = container.add_stream("pcm_s16le", rate=8000)
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
            sound.sample_rate = 8000
            container.mux(stream.encode(sound))
            container.mux(stream.encode())
        else:
            stream = container.add_stream("ffv1", rate=30)
            stream.width, stream.height, stream.pix_fmt = width, height, "bgr0"
            for _ in range(max(1, int(30 * seconds))):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((height, width, 3), np.uint8), format="bgr24")))
            container.mux(stream.encode())
    return buffer.getvalue()


def test_files_that_are_no_usable_recording_are_rejected_with_the_reason(stack, tmp_path):
    bad = {
        "text.mp4": (b"this is no video " * 100, {"not_a_video"}),
        "sound.mkv": (video(0, 0, audio_only=True), {"no_video_stream"}),
        "dot.mkv": (video(1, 1), {"too_small"}),
        "truncated.mp4": ((ROOT / "samples/sqlite_web.mp4").read_bytes()[:3000], {"not_a_video", "nothing_decodes", "no_video_stream"}),
    }
    for name, (body, _) in bad.items():
        (tmp_path / name).write_bytes(body)
    answers = stack.json("submit", "video", *(str(tmp_path / n) for n in bad), "--wait", expect=1)
    for (name, (_, reasons)), answer in zip(bad.items(), answers, strict=True):
        assert answer["state"] == "rejected" and answer["reason"] in reasons, (name, answer)
        assert answer["message"], name


def test_what_the_door_refuses(stack, tmp_path):
    (tmp_path / "empty.mp4").touch()
    empty, missing = stack.json("submit", "video", str(tmp_path / "empty.mp4"), str(tmp_path / "missing.mp4"), expect=1)
    assert (empty["id"], empty["reason"]) == (None, "empty_file") and (missing["id"], missing["reason"]) == (None, "not_found")
    assert stack.json("submit", "prompt", "  \n", expect=1)["reason"] == "empty_prompt"
    assert stack.json("submit", "prompt", "-", stdin=b"x" * 1_000_000, expect=1)["reason"] == "prompt_too_large"
    assert stack.json("submit", "prompt", "-", stdin=b"\xff\xfe not text", expect=1)["reason"] == "bad_text"
    assert stack.json("submit", "prompt", "an app with books (title)", "--tenant", "a/b", expect=1)["reason"] == "bad_name"


def test_bad_records_become_dead_letters_and_the_stages_go_on(stack, eventually):
    registry = stack.connection.door()._codec.registry
    video_head, prompt_head = frame(registry.id_for(VIDEO_SUBMITTED)), frame(registry.id_for(PROMPT_SUBMITTED))
    encode_video, encode_prompt = encoder(VideoSubmitted), encoder(PromptSubmitted)

    def recording(uri: str, **more) -> tuple[str, bytes, bytes]:
        request = ids.new_id()
        fields = {"request_id": request, "tenant": "bad", "project": "p", "media_uri": uri, "media_size": 5, **more}
        return VIDEO_SUBMITTED.name, request.encode(), video_head + encode_video(VideoSubmitted(**fields))

    def prompt(**more) -> tuple[str, bytes, bytes]:
        request = more.get("request_id", ids.new_id())
        fields = {"request_id": request, "tenant": "bad", "project": "p", "prompt": "an app with books (title)", **more}
        return PROMPT_SUBMITTED.name, request.encode(), prompt_head + encode_prompt(PromptSubmitted(**fields))

    other = put_content(stack.connection.objects(), "other", b"other")
    used = ids.new_id()
    now = int(time.time() * 1000)
    cases = [
        (recording("file:/etc/passwd"), "extract", "bad_name"),
        (recording("http://127.0.0.1:1/x"), "extract", "bad_name"),
        (recording(str(other)), "extract", "foreign_reference"),
        ((VIDEO_SUBMITTED.name, b"k", b"no avro at all"), "extract", "bad_record"),
        ((VIDEO_SUBMITTED.name, b"k", frame(999_999) + b"abc"), "extract", "unknown_schema"),
        ((PROMPT_SUBMITTED.name, b"k", b""), "plan", "bad_record"),
        ((PROMPT_SUBMITTED.name, b"k", None), "plan", "bad_record"),
        ((PROMPT_SUBMITTED.name, b"k", prompt_head + b"\x04ab"), "plan", "bad_record"),
        (prompt(tenant="a/b"), "plan", "bad_name"),
        (prompt(project=".."), "plan", "bad_name"),
        (prompt(tenant="x" * 200), "plan", "bad_name"),
        (prompt(request_id="not-an-id"), "plan", "bad_id"),
        (prompt(request_id=ids.new_id(now + 3_600_000)), "plan", "id_time"),
        (prompt(request_id=ids.new_id(now - 8 * 86_400_000)), "plan", "id_time"),
        (prompt(deadline=now - 1, tenant="late"), None, None),
        (recording("object:late/" + "0" * 64, deadline=now - 1, tenant="late"), None, None),
        (prompt(request_id=used), None, None),
        (prompt(request_id=used, prompt="an app with games (name)"), "plan", "id_reused"),
    ]
    producer = Producer({"bootstrap.servers": stack.ready["bootstrap_servers"], "acks": "all"})
    for (topic, key, value), _, _ in cases:
        producer.produce(topic, value, key)
        producer.flush(10)
    good = stack.json("submit", "prompt", "an app with books (title)", "--wait", "--tenant", "bad", "--project", "good")
    assert good["state"] == "validated"

    expected = sorted((stage, reason) for _, stage, reason in cases if stage)

    def letters():
        rows = stack.sql("SELECT stage, reason, message, topic, tries FROM dead_letters WHERE stage IN ('extract', 'plan')")
        return rows if len(rows) >= len(expected) else None

    rows = eventually(letters, f"{len(expected)} dead letters")
    assert sorted((r["stage"], r["reason"]) for r in rows) == expected
    assert all(r["message"] and r["tries"] == 1 for r in rows)
    # The request whose id was used again goes on undisturbed, whichever of the two was taken first; a request that is known and given up is told so.
    eventually(
        lambda: stack.sql(f"SELECT 1 AS x FROM requests WHERE id = toUUID('{used}') AND state = 'validated'"),
        "the first user of the id to be validated",
    )
    # What comes after its deadline is a verdict: of extract before the recording is fetched, of generate for what plan passed on.
    eventually(
        lambda: len(stack.sql("SELECT 1 AS x FROM requests WHERE tenant = 'late' AND state = 'rejected'")) == 2, "both late requests to end"
    )
    late = stack.sql("SELECT stage, reason FROM verdicts WHERE tenant = 'late' ORDER BY stage")
    assert late == [{"stage": "extract", "reason": "deadline"}, {"stage": "generate", "reason": "deadline"}]
    reasons = {r["reason"] for r in stack.sql("SELECT reason FROM verdicts WHERE tenant = 'bad' AND state = 'rejected'")}
    assert {"dead_letter.bad_name", "dead_letter.foreign_reference", "dead_letter.id_time"} <= reasons


def test_dead_letters_can_be_listed_shown_replayed_and_dropped(stack, eventually):
    producer = Producer({"bootstrap.servers": stack.ready["bootstrap_servers"], "acks": "all"})
    producer.produce(PROMPT_SUBMITTED.name, b"nonsense \x1b[31m", b"k2")
    producer.flush(10)
    listed = eventually(
        lambda: [r for r in stack.json("dead-letters", "list", "--stage", "plan") if "first byte 0" in r["message"]], "a dead letter"
    )
    letter = listed[-1]["event_id"]
    shown = stack.json("dead-letters", "show", letter)
    assert shown["topic"] == PROMPT_SUBMITTED.name and bytes.fromhex(shown["value_hex"]) and "does not decode" in shown["record"]
    [outcome] = stack.json("dead-letters", "replay", letter, expect=1)
    assert not outcome["replayed"] and outcome["message"]
    [dropped] = stack.json("dead-letters", "drop", letter)
    assert dropped["dropped"]
    eventually(lambda: letter not in [r["event_id"] for r in stack.json("dead-letters", "list")], "the letter to be put away")
    for verb in ("drop", "replay"):
        assert stack.cli("dead-letters", verb).returncode == 2
        assert stack.cli("dead-letters", verb, letter, "--stage", "plan").returncode == 2
        assert stack.cli("dead-letters", verb, "--since", "yesterday").returncode == 2


def test_replays_that_cannot_be(stack):
    unknown = str(ids.new_id())
    for arguments, says in (
        ((), "say which"),
        (("--tenant", "a/b"), "tenant"),
        (("--topic", "usage.recorded"), "archive restore"),
        (("--topic", "nonsense"), "no topic"),
        (("--stage", "sink"), "no stage"),
        (("--topic", "prompt.submitted", "--offsets", "0:9-3"), "ends before it begins"),
        (("--topic", "prompt.submitted", "--offsets", "99:0-3"), "not 99"),
        (("--topic", "prompt.submitted", "--offsets", "0:900000-900001"), "not written yet"),
        (("--since", "2026-11-21", "--until", "2026-11-20"), "ends before it begins"),
        (("--tenant", "a", "--mode", "again"), "mode"),
        (("--tenant", "a", "--effects", "off"), "isolated"),
        (("--tenant", "a", "--effects", "recorded", "--mode", "regenerate"), "recorded"),
        (("--tenant", "a", "--mode", "regenerate", "--budget", "lots"), "--budget"),
        (("--tenant", "a", "--code-version", "1"), "not recorded"),
        (("--tenant", "a", "--of-run", unknown), "never opened"),
    ):
        done = stack.cli("replay", "start", *arguments)
        assert done.returncode == 2 and says in done.stderr, (arguments, done.stderr)
    for verb in ("show", "pause", "resume", "cancel", "compare"):
        done = stack.cli("replay", verb, unknown)
        assert done.returncode == 2 and "no replay" in done.stderr


def test_a_replayed_dead_letter_is_a_run_of_its_own(stack, eventually):
    """Its cause is still there, so it ends in the dead letters again: under other ids, with the run's own verdict and count of usage."""
    foreign = put_content(stack.connection.objects(), "somebody", b"else's")
    record = VideoSubmitted(request_id=ids.new_id(), tenant="replayer", project="p", media_uri=str(foreign), media_size=6)
    stack.connection.door().publish(VIDEO_SUBMITTED, record, record.request_id.encode())
    stack.connection.door().flush()
    [letter] = eventually(lambda: stack.json("dead-letters", "list", "--tenant", "replayer"), "the dead letter")
    assert stack.json("dead-letters", "replay", "--tenant", "replayer", "--dry-run")[0]["replayed"] is False
    [outcome] = stack.json("dead-letters", "replay", "--tenant", "replayer")
    assert outcome["replayed"] and outcome["id"] == letter["event_id"]
    [again] = eventually(
        lambda: [r for r in stack.json("dead-letters", "list", "--tenant", "replayer") if r["run"]], "the second dead letter"
    )
    assert again["event_id"] != letter["event_id"] and again["request_id"] == record.request_id
    verdicts = eventually(
        lambda: (
            (rows := stack.sql(f"SELECT run, reason FROM verdicts WHERE request_id = toUUID('{record.request_id}')"))
            and len(rows) == 2
            and rows
        ),
        "both verdicts",
    )
    assert {(bool(v["run"]), v["reason"]) for v in verdicts} == {
        (False, "dead_letter.foreign_reference"),
        (True, "dead_letter.foreign_reference"),
    }
    [row] = stack.sql(f"SELECT usage_events_of_run, usage_events_expected FROM requests WHERE id = toUUID('{record.request_id}')")
    assert int(row["usage_events_of_run"]) == int(row["usage_events_expected"]) == 0


def test_a_run_that_nobody_opened_touches_no_request(stack, eventually):
    mine = stack.json("submit", "prompt", "an app with boats (name, length)", "--wait", "--tenant", "victim")
    for tenant in ("thief", "victim"):
        record = PromptSubmitted(request_id=mine["id"], tenant=tenant, project="p", prompt="an app with loot (name)", run=ids.new_id())
        stack.connection.door().publish(PROMPT_SUBMITTED, record, record.request_id.encode())
    stack.connection.door().flush()
    eventually(lambda: len(stack.json("dead-letters", "list", "--reason", "unknown_run")) == 2, "both refused")
    assert stack.json("status", mine["id"])["artifact_digest"] == mine["artifact_digest"]
    assert len(stack.sql(f"SELECT run FROM verdicts WHERE request_id = toUUID('{mine['id']}')")) == 1


def test_no_stack_and_no_broker(tmp_path, stack):
    import os
    import subprocess
    import sys

    def cli(*arguments: str, **variables: str):
        return subprocess.run(
            [sys.executable, "-m", "millrace.cli", *arguments],
            capture_output=True,
            text=True,
            env={**os.environ, **variables},
            cwd=tmp_path,
        )

    nothing = cli("submit", "prompt", "x", "--data", str(tmp_path / "none"))
    assert nothing.returncode == 3 and "millrace up" in nothing.stderr
    away = {
        "MILLRACE_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "MILLRACE_REGISTRY_URL": stack.ready["registry_url"],
        "MILLRACE_CLICKHOUSE_URL": stack.ready["clickhouse_url"],
        "MILLRACE_OBJECTS_URL": (tmp_path / "o").as_uri(),
    }
    unreachable = cli("submit", "prompt", "x", **away)
    assert unreachable.returncode == 3 and "127.0.0.1:1" in unreachable.stderr
    lonely = cli("worker", "plan", **away)
    assert lonely.returncode == 3 and "127.0.0.1:1" in lonely.stderr and "Traceback" not in lonely.stderr
    wrong = cli("status", "x", MILLRACE_BOOTSTRAP="typo", MILLRACE_LOG_LEVEL="loud")
    assert wrong.returncode == 2 and "MILLRACE_BOOTSTRAP" in wrong.stderr and "MILLRACE_LOG_LEVEL" in wrong.stderr


def test_a_folder_that_another_stack_holds(stack):
    import subprocess
    import sys

    second = subprocess.run(
        [sys.executable, "-m", "millrace.cli", "up", "--data", str(stack.data)], capture_output=True, text=True, timeout=60
    )
    assert second.returncode == 3 and str(json.loads((stack.data / "ready.json").read_text())["pid"]) in second.stderr
