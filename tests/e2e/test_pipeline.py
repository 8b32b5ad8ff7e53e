"""The main job, end to end on the real stack: prompts and recordings become validated applications, counted exactly once."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[2]
INVENTORY = "an inventory app with products (name, price, stock) and suppliers (name, country)"


def test_a_prompt_becomes_a_validated_application(stack, tmp_path):
    answer = stack.json("submit", "prompt", INVENTORY, "--wait", "--tenant", "shop", "--project", "inventory")
    assert answer["state"] == "validated" and answer["reason"] == "" and answer["version"] == 1 and answer["tenant"] == "shop"

    out = tmp_path / "app"
    done = stack.cli("artifact", answer["id"], "--out", str(out))
    assert done.returncode == 0, done.stderr
    for name in ("dist/index.html", "package.json", "src/main.tsx", "validation-report.html"):
        assert (out / name).is_file(), name
    migration = "".join(p.read_text() for p in (out / "supabase/migrations").glob("*.sql"))
    assert "products" in migration and "suppliers" in migration and "row level security" in migration.lower()

    status = stack.json("status", answer["id"])
    assert {u["kind"] for u in status["usage"]} == {"compose", "validate"} and status["state"] == "validated"
    assert {t["what"] for t in status["timeline"]} >= {"submitted", "artifact", "usage"}
    [row] = stack.sql(f"SELECT state, toFloat64(cost_usd) AS cost FROM requests WHERE id = toUUID('{answer['id']}')")
    [usage] = stack.sql(
        f"SELECT count() AS events, toFloat64(sum(cost_usd)) AS cost FROM usage WHERE request_id = toUUID('{answer['id']}')"
    )
    assert row["state"] == "validated" and int(usage["events"]) == 2 and row["cost"] == usage["cost"] > 0


def test_a_written_spec_and_standard_input(stack):
    spec = b"entities:\n- {name: book, fields: [title, 'pages: integer', 'read: boolean']}\n"
    assert stack.json("submit", "prompt", "-", "--wait", stdin=spec)["state"] == "validated"


@pytest.mark.timeout(900)
def test_a_recording_becomes_a_validated_application(stack):
    answer = stack.json("submit", "video", str(ROOT / "samples/sqlite_web.mp4"), "--wait", "--tenant", "recorder")
    assert answer["state"] == "validated", answer["message"]
    assert answer["scores"]["first_screen_words_f1"] >= 0.8
    [usage] = stack.sql(f"SELECT quantity, unit FROM usage WHERE request_id = toUUID('{answer['id']}') AND kind = 'extract'")
    assert usage["unit"] == "video_second" and 40 < float(usage["quantity"]) < 43


def test_what_needs_a_model_is_rejected_with_that_reason(stack):
    answer = stack.json("submit", "prompt", "Make something beautiful that users will love.", "--wait", expect=1)
    assert answer["state"] == "rejected" and answer["reason"] == "needs_model" and answer["message"]
    done = stack.cli("artifact", answer["id"], "--out", "/nowhere/app")
    assert done.returncode == 1 and "needs_model" in done.stderr


def test_the_same_idempotency_key_is_the_same_request(stack):
    first = stack.json("submit", "prompt", INVENTORY, "--idempotency-key", "order-17", "--tenant", "keyed")
    again = stack.json("submit", "prompt", INVENTORY, "--idempotency-key", "order-17", "--tenant", "keyed", "--wait")
    assert again["id"] == first["id"] and again["state"] == "validated"
    other = stack.json("submit", "prompt", "an app with books (title)", "--idempotency-key", "order-17", "--tenant", "keyed", expect=1)
    assert other["id"] is None and other["reason"] == "idempotency_conflict"
    elsewhere = stack.json("submit", "prompt", INVENTORY, "--idempotency-key", "order-17", "--tenant", "another")
    assert elsewhere["id"] != first["id"]
    [row] = stack.sql(f"SELECT count() AS n, uniqExact(event_id) AS ids FROM usage WHERE request_id = toUUID('{first['id']}')")
    assert int(row["n"]) == int(row["ids"]) == 2


def test_a_replay_reuses_what_was_recorded_and_bills_nothing(stack, eventually):
    done = stack.json("submit", "prompt", "an app with songs (title, artist)", "--wait", "--tenant", "again")
    before = stack.sql(f"SELECT count() AS n, sum(cost_usd) AS usd FROM usage WHERE request_id = toUUID('{done['id']}')")
    dry = stack.json("replay", "start", "--tenant", "again", "--dry-run")
    assert dry["requests"] == 1 and dry["run"] is None and dry["estimated_usd"] == "0" and dry["not_recorded"] == 0
    run = stack.json("replay", "start", "--tenant", "again")["run"]
    replayed = eventually(
        lambda: stack.sql(f"SELECT state, artifact_digest FROM verdicts WHERE run = '{run}'"), "a verdict in the replay's run"
    )
    assert replayed == [{"state": "validated", "artifact_digest": done["artifact_digest"]}]
    assert stack.sql(f"SELECT count() AS n, sum(cost_usd) AS usd FROM usage WHERE request_id = toUUID('{done['id']}')") == before
    refused = stack.cli("replay", "start", "--tenant", "again", "--mode", "regenerate")
    assert refused.returncode == 2 and "--budget" in refused.stderr
    eventually(lambda: stack.json("replay", "compare", run, expect=0)["same"] == 1, "the comparison")
    shown = stack.json("replay", "show", run)
    assert (shown["state"], shown["fed"], shown["ended"]) == ("done", 1, 1)


def test_an_isolated_replay_brings_its_own_workers_and_leaves_nothing_behind(stack, eventually):
    done = stack.json("submit", "prompt", "an app with trains (name, line)", "--wait", "--tenant", "aside")
    before = stack.sql("SELECT count() AS n, sum(cost_usd) AS usd FROM usage WHERE tenant = 'aside'")
    ended = stack.json("replay", "start", done["id"], "--isolated")
    assert ended["state"] == "done" and ended["fed"] == ended["ended"] == 1 and ended["isolated"]
    assert stack.json("replay", "compare", ended["run"])["same"] == 1
    assert stack.sql("SELECT count() AS n, sum(cost_usd) AS usd FROM usage WHERE tenant = 'aside'") == before
    assert stack.sql("SELECT run FROM requests WHERE tenant = 'aside'") == [{"run": ""}]
    assert [r["state"] for r in stack.json("replay", "list") if r["run"] == ended["run"]] == ["done"]
    assert stack.cli("replay", "pause", ended["run"]).returncode == 2
    topics = AdminClient({"bootstrap.servers": stack.ready["bootstrap_servers"]}).list_topics(timeout=10).topics
    assert not [name for name in topics if name.startswith("replay-")]


def test_the_archive_holds_what_was_submitted_and_gives_it_back(stack, eventually):
    done = stack.json("submit", "prompt", "an app with shelves (name, width)", "--tenant", "kept")

    def archived() -> bool:
        dry = stack.cli("archive", "restore", "--topic", "prompt.submitted", "--into", "copy", "--dry-run", "--json")
        return dry.returncode == 0 and json.loads(dry.stdout)["records"] >= 1

    eventually(archived, "a file in the archive")
    verified = stack.json("archive", "verify", "--topic", "prompt.submitted")
    assert verified["files"] >= 1 and not verified["damaged"] and not verified["gaps"]
    assert stack.cli("archive", "restore", "--topic", "prompt.submitted", "--into", "copy").returncode == 2
    restored = stack.json("archive", "restore", "--topic", "prompt.submitted", "--into", "copy", "--create")
    topics = AdminClient({"bootstrap.servers": stack.ready["bootstrap_servers"]}).list_topics(timeout=10).topics
    assert restored["records"] >= 1 and "copy" in topics
    assert stack.cli("archive", "restore", "--topic", "no.such", "--into", "copy").returncode == 1
    assert done["state"] == "accepted"


def test_workers_killed_in_the_middle_lose_nothing_and_double_nothing(stack):
    """Twelve requests; the generating and validating workers are killed with SIGKILL while they work."""
    prompts = [f"an app number {i} with plants (name, height) and gardens (name, city)" for i in range(12)]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(stack.json, "submit", "prompt", *prompts, "--wait", "--tenant", "killed", "--timeout", "400")
        for name, sign in (("worker-plan-generate", "artifact_generated"), ("worker-validate", "verdict_given")):
            while not waiting.done() and not int(stack.sql(f"SELECT count() AS n FROM {sign} WHERE tenant = 'killed'")[0]["n"]):
                time.sleep(0.05)  # until it is in the middle of its work
            os.kill(json.loads((stack.data / "ready.json").read_text())["processes"][name], signal.SIGKILL)
        answers = waiting.result()
    assert [a["state"] for a in answers] == ["validated"] * 12
    [row] = stack.sql(
        "SELECT (SELECT count() FROM requests WHERE tenant = 'killed') AS requests, count() AS usage_events, uniqExact(request_id, kind) AS steps, "
        "(SELECT uniqExact(version) FROM requests WHERE tenant = 'killed') AS versions FROM usage WHERE tenant = 'killed'"
    )
    assert {k: int(v) for k, v in row.items()} == {"requests": 12, "usage_events": 24, "steps": 24, "versions": 12}


def test_the_example_in_the_events_page_works_as_printed(stack, eventually):
    page = (ROOT / "docs/EVENTS.md").read_text()
    code = re.search(r"```python\n(.*?)```", page, re.S)[1]
    environment = {
        **os.environ,
        "MILLRACE_REGISTRY_URL": stack.ready["registry_url"],
        "MILLRACE_BOOTSTRAP_SERVERS": stack.ready["bootstrap_servers"],
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = eventually(
        lambda: stack.sql("SELECT state FROM requests WHERE tenant = 'acme' AND state = 'validated'"),
        "the example's request to be validated",
    )
    assert len(rows) == 1


def test_the_status_of_an_id_that_never_was(stack):
    done = stack.cli("status", "01932f10-0000-7000-8000-000000000001")
    assert done.returncode == 2 and "ever accepted" in done.stderr
    assert stack.cli("status", "nonsense").returncode == 2


def test_a_query_in_every_format(stack):
    assert stack.cli("query", "SELECT 1 AS one", "--format", "csv").stdout == "one\n1\n"
    assert json.loads(stack.cli("query", "SELECT 1 AS one", "--format", "json").stdout) == [{"one": 1}]
    assert "one" in stack.cli("query", "SELECT 1 AS one").stdout
    assert stack.cli("query", "SELECT 1 AS one WHERE 0", "--format", "csv").stdout == "one\n"
    for bad in ("SELECT FROM nothing", "DROP TABLE usage_recorded", "SELECT 1 FORMAT CSV"):
        broken = stack.cli("query", bad)
        assert broken.returncode == 2 and "ClickHouse" in broken.stderr, bad
    assert stack.sql("SELECT count() > 0 AS there FROM usage_recorded")
