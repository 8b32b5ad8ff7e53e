"""A whole validation: what is good passes with the same report every time, what is bad is rejected for its reason."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from processors.validate.policy import ValidationPolicy
from processors.validate.verdict import Verdict

pytestmark = pytest.mark.browser
Run = Callable[..., Verdict]

QUICK = ValidationPolicy(load_timeout_s=2, browser_timeout_s=6)


def changed(app: dict[str, bytes], body: str) -> dict[str, bytes]:
    """The application with more code at the end of its component file."""
    return {**app, "src/App.tsx": app["src/App.tsx"] + body.encode()}


def test_a_good_application_is_validated(app: dict[str, bytes], validated: Run) -> None:
    verdict = validated(app)
    assert (verdict.state, verdict.reason) == ("validated", None), verdict
    assert verdict.findings == ()
    assert [g.gate for g in verdict.gates] == ["static", "typecheck", "build", "render", "links"]
    assert b"data:image/jpeg" in verdict.report_html


def test_the_same_artifact_has_the_same_verdict(app: dict[str, bytes], validated: Run) -> None:
    first, second = validated(app), validated(app)
    assert first == second  # times do not compare
    assert first.report_html == second.report_html
    assert json.dumps(first.report()) == json.dumps(second.report())


def test_progress_names_the_gates(app: dict[str, bytes], validated: Run) -> None:
    seen: list[tuple[float, str]] = []
    validated(app, progress=lambda fraction, gate: seen.append((fraction, gate)))
    assert {"static", "typecheck", "render"} <= {gate for _, gate in seen}
    assert [fraction for fraction, _ in seen] == sorted(fraction for fraction, _ in seen)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("import 'left-pad';", "static.import"),
        ("eval('1');", "static.forbidden"),
        ("export const n: number = 'x';", "typecheck"),
        ("console.error('bad');", "render.console"),
        ("throw new Error('bad');", "render.exception"),
        ("queueMicrotask(() => { throw new Error('bad'); });", "render.exception"),
        ("new Image().src = ['https:', '', 'evil.example', 'x.png'].join('/');", "render.blocked"),
        ("Reflect.get(globalThis, ['fe', 'tch'].join(''))(['https:', '', 'evil.example'].join('/'));", "render.exception"),
        ("Reflect.get(globalThis, ['ev', 'al'].join(''))('1');", "render.exception"),
        ("new Image().src = '/missing.png';", "render.failed"),
        ("while (Date.now() > 0);", "render.load"),
        ("document.getElementById('root')!.remove();", "render.exception"),
        ("document.createTreeWalker = () => { throw new Error('no'); };", "render.script"),
    ],
)
def test_a_bad_application_is_rejected_for_its_reason(body: str, reason: str, app: dict[str, bytes], validated: Run) -> None:
    verdict = validated(changed(app, body), policy=QUICK)
    assert (verdict.state, verdict.reason) == ("rejected", reason), verdict.message
    assert verdict.message and verdict.findings
    assert reason.split(".")[0] == next(g.gate for g in verdict.gates if not g.ok)


def test_an_application_that_closes_its_window_is_rejected_at_once(app: dict[str, bytes], validated: Run) -> None:
    verdict = validated(changed(app, "setTimeout(() => window.close(), 30);"))
    assert verdict.state == "rejected" and "closed its own window" in verdict.message


ROUTED = b"""import { useSyncExternalStore } from 'react';

const listen = (again: () => void) => { window.addEventListener('popstate', again); return () => window.removeEventListener('popstate', again); };

export function App() {
  const path = useSyncExternalStore(listen, () => window.location.pathname);
  if (path === '/') return <main><h1>Home</h1><a href="/parts">Parts</a> <a href="#top">Top</a></main>;
  if (path === '/parts') return <main><h1>Parts</h1><a href="/">Home</a> <a href="/parts/old">Old parts</a></main>;
  return <main><h1>No page {path}</h1></main>;
}
"""


def test_a_link_that_leads_nowhere_is_found_two_steps_from_the_first_screen(app: dict[str, bytes], validated: Run) -> None:
    app["src/App.tsx"] = ROUTED
    verdict = validated(app)
    assert (verdict.state, verdict.reason) == ("rejected", "links.dead"), verdict.message
    assert [f.message for f in verdict.findings if f.rule == "links.dead"] == [
        "the link to '/parts/old' on '/parts' leads to no page of the application"
    ]


def test_links_that_lead_somewhere_pass(app: dict[str, bytes], validated: Run) -> None:
    app["src/App.tsx"] = ROUTED.replace(b' <a href="/parts/old">Old parts</a>', b"")
    assert validated(app).state == "validated"


def test_a_page_behind_a_link_that_fails_is_found(app: dict[str, bytes], validated: Run) -> None:
    app["src/App.tsx"] = ROUTED.replace(b' <a href="/parts/old">Old parts</a>', b"{String(JSON.parse('{'))}")
    verdict = validated(app)
    assert (verdict.state, verdict.reason) == ("rejected", "links"), (verdict.reason, verdict.findings)


def test_an_empty_screen_is_rejected(app: dict[str, bytes], validated: Run) -> None:
    app["src/App.tsx"] = b"export function App() { return null; }\n"
    assert validated(app).reason == "render.empty"


def test_a_control_without_a_name_is_rejected(app: dict[str, bytes], validated: Run) -> None:
    app["src/App.tsx"] = app["src/App.tsx"].replace(b'<label htmlFor="name">Name of the part</label>', b"")
    assert validated(app).reason == "render.axe.label"


def test_a_built_form_that_is_not_the_sources_is_rejected(app: dict[str, bytes], validated: Run) -> None:
    honest = validated(app)
    assert honest.state == "validated"
    from processors.toolchain.build import build_sync
    from processors.toolchain.node import Toolchain

    dist = build_sync(app, Toolchain()).dist
    assert validated({**app, **dist, "dist/assets/app.js": b"alert(1)"}).reason == "build.differs"
    assert validated({**app, **dist, "dist/assets/more.js": b"alert(1)"}).reason == "build.surplus"
    assert validated({**app, "dist/index.html": dist["dist/index.html"]}).reason == "build.missing"


def test_sources_alone_are_judged_where_the_policy_says_so(app: dict[str, bytes], validated: Run) -> None:
    bare = {**app, "dist/index.html": b""}
    assert validated(bare).reason == "build.missing"


@pytest.mark.parametrize("name", ["../../evil", "/etc/cron.d/evil", "src/../../x.ts"])
def test_a_path_outside_is_rejected(name: str, app: dict[str, bytes], validated: Run) -> None:
    verdict = validated({**app, "dist/index.html": b"", name: b"x"})
    assert verdict.reason == "static.files"


def test_fifty_megabytes_are_rejected(app: dict[str, bytes], validated: Run) -> None:
    verdict = validated({**app, "dist/index.html": b"", "src/big.json": bytes(50 << 20)})
    assert verdict.reason == "static.files" and len(verdict.gates) == 1


def features(texts: list[tuple[str, list[float]]]) -> dict[str, Any]:
    entries = [{"id": f"t{i}", "text": text, "box": box, "confidence": 1.0} for i, (text, box) in enumerate(texts)]
    field = {"id": "e0", "kind": "input", "text": "", "box": [20, 80, 200, 30], "confidence": 1.0}
    button = {"id": "e1", "kind": "button", "text": "Add part", "box": [20, 110, 90, 30], "confidence": 1.0}
    first = {"id": "s0", "screen": "A", "t_start": 0.0, "t_end": 1.0, "keyframe": "0000.png", "texts": entries, "elements": [field, button]}
    second = {
        **first,
        "id": "s1",
        "t_start": 3.0,
        "t_end": 4.0,
        "texts": [*entries, {"id": "n", "text": "Washer", "box": [60, 196, 60, 20]}],
    }
    actions = [
        {"t": 1.2, "kind": "type", "text": "Washer", "target": "e0", "before": "s0", "after": "s1"},
        {"t": 2.5, "kind": "click", "x": 60, "y": 125, "target": "e1", "before": "s0", "after": "s1"},
    ]
    return {"schema": "millrace.features/1", "video": {"width": 640, "height": 480}, "screens": [first, second], "actions": actions}


TEXTS: list[tuple[str, list[float]]] = [("Spare parts", [20, 20, 200, 40]), ("Name of the part", [20, 60, 130, 20]), ("Add part", [27, 115, 75, 20]), ("Bolt", [60, 156, 40, 20]), ("Nut", [60, 176, 40, 20])]  # fmt: skip


def test_a_recording_that_it_matches(app: dict[str, bytes], validated: Run) -> None:
    verdict = validated(app, features=features(TEXTS), policy=ValidationPolicy(behaviour=1.0))
    assert verdict.state == "validated", verdict.findings
    assert verdict.scores["first_screen_words_f1"] == 1.0
    assert (verdict.scores["screens_reached"], verdict.scores["actions_work"]) == (1.0, 1.0)
    assert [g.gate for g in verdict.gates] == ["static", "typecheck", "build", "render", "texts", "behaviour", "visual", "links"]


def test_a_recording_that_it_does_not_read_like(app: dict[str, bytes], validated: Run) -> None:
    verdict = validated(app, features=features([("Quarterly report", [0, 0, 10, 10]), ("Revenue and losses", [0, 20, 10, 10])]))
    assert verdict.reason == "texts.differ"
    (finding,) = [f for f in verdict.findings if f.gate == "texts"]
    assert "quarterly" in finding.evidence["missing"] and "bolt" in finding.evidence["surplus"]


def test_an_action_without_effect_is_found(app: dict[str, bytes], validated: Run) -> None:
    app["src/App.tsx"] = app["src/App.tsx"].replace(b"setNames([...names, name]);", b"")
    app["src/App.tsx"] = app["src/App.tsx"].replace(b"[names, setNames]", b"[names]")
    lenient = validated(app, features=features(TEXTS), policy=ValidationPolicy(reached=0.95, behaviour=0.0))
    assert lenient.state == "validated" and lenient.scores["actions_work"] == 0.0
    assert {f.rule for f in lenient.findings} == {"behaviour.screen"}
    strict = validated(app, features=features(TEXTS), policy=ValidationPolicy(reached=0.95, behaviour=0.5))
    assert strict.reason == "behaviour.actions"


def test_features_without_screens_are_a_verdict(app: dict[str, bytes], validated: Run) -> None:
    verdict = validated(app, features={"video": {"width": 640, "height": 480}, "screens": [], "actions": []})
    assert verdict.reason == "texts.no_screens"


def test_the_report_holds_hostile_text_as_text(app: dict[str, bytes], validated: Run) -> None:
    hostile = "</td><script>alert(1)</script><img src=x onerror=alert(1)>"
    verdict = validated(app, features=features([*TEXTS, (hostile, [0, 0, 300, 20])] * 3))
    html = verdict.report_html.decode()
    assert "script" in html  # the finding quotes the missing words
    assert not re.search(r"<script|<img(?! alt=\"(?:Recording|Application)\" src=\"data:image/)|\sonerror=", html)
    assert "default-src 'none'" in html


CONFIGURED = b"""import { createClient } from '@supabase/supabase-js';
import { useEffect, useState } from 'react';

const setting = (name: string) => document.querySelector<HTMLMetaElement>(`meta[name="${name}"]`)?.content.trim() ?? '';
const client = setting('supabase-url') === '' ? null : createClient(setting('supabase-url'), setting('supabase-anon-key'));

export function App() {
  const [state, setState] = useState(client === null ? 'Rows of the seed' : 'Asking');
  useEffect(() => { void client?.from('parts').select('id').then(({ error }) => setState(error === null ? 'Rows' : 'No answer')); }, []);
  return <main><h1>{state}</h1></main>;
}
"""


def _configured(app: dict[str, bytes], url: bytes) -> dict[str, bytes]:
    metas = b'<META content="%s"\n name=\'supabase-url\' />\n<meta name="supabase-anon-key" content="anon">\n<title>' % url
    dependencies = app["package.json"].replace(b'"react":', b'"@supabase/supabase-js": "2.119.1", "react":')
    table = (
        b"create table parts (id uuid primary key, owner uuid not null default auth.uid());\nalter table parts enable row level security;\n"
    )
    table += b"create policy own on parts using (owner = auth.uid()) with check (owner = auth.uid());\n"
    page = app["index.html"].replace(b"<title>", metas)
    return {**app, "index.html": page, "package.json": dependencies, "src/App.tsx": CONFIGURED, "supabase/migrations/1.sql": table}


def test_an_application_that_names_its_server_is_proven_without_it(app: dict[str, bytes], validated: Run) -> None:
    verdict = validated(_configured(app, b"https://abcdefgh.supabase.co"))
    assert verdict.state == "validated", verdict.message


def test_a_server_that_the_policy_does_not_name_is_refused(app: dict[str, bytes], validated: Run) -> None:
    verdict = validated(_configured(app, b"https://supabase.co.evil.example"))
    assert (verdict.state, verdict.reason) == ("rejected", "static.address"), verdict.message


def test_what_asks_a_server_written_into_its_code_is_still_stopped(app: dict[str, bytes], validated: Run) -> None:
    files = _configured(app, b"https://abcdefgh.supabase.co")
    there = CONFIGURED.replace(b"setting('supabase-url') === ''", b"Date.now() === 0")
    files["src/App.tsx"] = there.replace(b"createClient(setting('supabase-url')", b"createClient('https://abcdefgh.supabase.co'").replace(
        b"setting('supabase-anon-key')", b"'anon'"
    )
    verdict = validated(files)
    assert (verdict.state, verdict.reason) == ("rejected", "render.blocked"), verdict.message


def test_pages_that_differ_only_in_what_shows_are_pages(app: dict[str, bytes], validated: Run) -> None:
    """All pages stand in the document, as tabs do; the address says which one shows."""
    app["src/App.tsx"] = ROUTED[: ROUTED.index(b"  if (path")] + (
        b"  const shown = (at: string) => ({ display: path === at ? 'block' : 'none' });\n"
        b"  return <main><div style={shown('/')}><h1>Home</h1><a href=\"/parts\">Parts</a></div><div style={shown('/parts')}><h2>All parts</h2></div></main>;\n}\n"
    )
    verdict = validated(app)
    assert verdict.state == "validated", verdict.message
