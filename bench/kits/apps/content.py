"""Made-up content for applications that are visited for their looks: a database, an API and pages of prose, the same for the same seed.

python content.py OUT        writes things.db, openapi.json, and docs/ (Markdown) and rst/ (reStructuredText)
"""

from __future__ import annotations

import json
import random
import sqlite3
import sys
from pathlib import Path

NOUNS = [
    "harbour",
    "ticket",
    "vessel",
    "invoice",
    "parcel",
    "route",
    "crane",
    "permit",
    "supplier",
    "shift",
    "gate",
    "warehouse",
    "carrier",
    "pallet",
    "customs",
    "driver",
]
VERBS = ["load", "assign", "close", "reopen", "transfer", "weigh", "inspect", "release", "hold", "archive", "confirm", "split"]
PLACES = ["Oslo", "Port Louis", "Valparaíso", "Busan", "Gdynia", "Santos", "Tema", "Halifax", "Ushuaia", "Brest"]
PROSE = [
    "Every {a} belongs to one {b}",
    "Use `{v} {a}` to {v} it, or see [{b}s]({b}.md) for what happens next",
    "A **{a}** that waits for a {b} is shown in the list of open {a}s until somebody {v}s it",
    "Limits are set for each {b} by its owner, and are checked before a {a} is sent.",
]


def database(path: Path, choose: random.Random) -> None:
    path.unlink(missing_ok=True)
    db = sqlite3.connect(path)
    for noun in NOUNS[:8]:
        other = choose.choice([n for n in NOUNS[:8] if n != noun])
        db.execute(
            f"create table {noun} (id integer primary key, name text, {other}_id integer references {other}(id), city text, price real, note text, open integer)"
        )
        for n in range(choose.choice([7, 40, 160])):
            row = (
                n + 1,
                f"{noun.title()} {choose.randint(100, 999)}",
                choose.randint(1, 7),
                choose.choice(PLACES),
                round(choose.uniform(1, 900), 2),
            )
            db.execute(f"insert into {noun} values (?,?,?,?,?,?,?)", (*row, choose.choice(["", "fragile", sentence(choose)]), n % 2))
    db.commit()


def sentence(choose: random.Random) -> str:
    return choose.choice(PROSE).format(a=choose.choice(NOUNS), b=choose.choice(NOUNS), v=choose.choice(VERBS)).rstrip(".") + "."


def api(path: Path, choose: random.Random) -> None:
    paths: dict[str, dict[str, object]] = {}
    schemas = {
        n.title(): {
            "type": "object",
            "required": ["id"],
            "properties": {"id": {"type": "integer"}, "name": {"type": "string"}, "city": {"type": "string"}},
        }
        for n in NOUNS[:6]
    }
    for noun in NOUNS[:6]:
        body = {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{noun.title()}"}}}}
        said = {"200": {"description": "Done", **body}, "404": {"description": f"No such {noun}"}}
        one = [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}, "description": f"Which {noun}"}]
        some = [
            {"name": k, "in": "query", "schema": {"type": "string"}, "description": sentence(choose)}
            for k in choose.sample(["city", "open", "limit", "sort"], 2)
        ]
        tag = {"tags": [noun]}
        paths[f"/{noun}s"] = {
            "get": {**tag, "summary": f"List the {noun}s", "description": sentence(choose), "parameters": some, "responses": said},
            "post": {**tag, "summary": f"Add a {noun}", "requestBody": body, "responses": said},
        }
        paths[f"/{noun}s/{{id}}"] = {
            "get": {**tag, "summary": f"One {noun}", "parameters": one, "responses": said},
            "put": {**tag, "summary": f"Change a {noun}", "parameters": one, "requestBody": body, "responses": said},
            "delete": {**tag, "summary": f"Remove a {noun}", "parameters": one, "responses": said},
        }
    info = {"title": "Harbour office", "version": "4.2.0", "description": sentence(choose), "contact": {"email": "office@harbour.example"}}
    tags = [{"name": n, "description": sentence(choose)} for n in NOUNS[:6]]
    path.write_text(
        json.dumps(
            {
                "openapi": "3.0.3",
                "info": info,
                "tags": tags,
                "servers": [{"url": "https://harbour.example/v4"}],
                "paths": paths,
                "components": {"schemas": schemas},
            }
        )
    )


def prose(folder: Path, choose: random.Random, rst: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = ["index", *NOUNS]
    for name in names:
        out: list[str] = []

        def head(text: str, level: int, out: list[str] = out) -> None:
            out.append(f"{text}\n{'=-~'[level - 1] * len(text)}\n" if rst else f"{'#' * level} {text}\n")

        head("Harbour handbook" if name == "index" else f"{name.title()}s", 1)
        if rst and name == "index":
            out.append(".. toctree::\n   :maxdepth: 2\n\n" + "".join(f"   {n}\n" for n in NOUNS))
        for _ in range(choose.randint(3, 6)):
            head(f"{choose.choice(VERBS).title()} a {choose.choice(NOUNS)}", choose.choice([2, 2, 3]) if rst is False else 2)
            for _ in range(choose.randint(1, 4)):
                text = " ".join(sentence(choose) for _ in range(choose.randint(1, 3)))
                out.append(
                    (text.replace("`", "``").replace("[", "`").replace("](", " <").replace(".md)", ".html>`_") if rst else text) + "\n"
                )
            part = choose.randrange(4)
            rows = [(choose.choice(NOUNS), choose.choice(PLACES), str(choose.randint(1, 99))) for _ in range(choose.randint(3, 7))]
            if part == 0:
                out.append("\n".join(f"* {choose.choice(VERBS)} the {choose.choice(NOUNS)}" for _ in range(4)) + "\n")
            elif part == 1 and rst:
                out.append(
                    ".. list-table::\n   :header-rows: 1\n\n"
                    + "".join(f"   * - {a}\n     - {b}\n     - {c}\n" for a, b, c in [("Thing", "Place", "Count"), *rows])
                )
            elif part == 1:
                out.append("| Thing | Place | Count |\n|---|---|---|\n" + "".join(f"| [{a}]({a}.md) | {b} | {c} |\n" for a, b, c in rows))
            elif part == 2:
                code = f"harbour {choose.choice(VERBS)} --{choose.choice(NOUNS)} {choose.randint(1, 99)}\nharbour list --all\n"
                out.append("::\n\n" + "".join(f"   {c}\n" for c in code.splitlines()) if rst else f"```sh\n{code}```\n")
            else:
                text = sentence(choose)
                out.append(
                    f".. note::\n\n   {text.replace('`', '').replace('[', '').split('](')[0]}\n" if rst else f"!!! note\n    {text}\n"
                )
        (folder / f"{name}.{'rst' if rst else 'md'}").write_text("\n".join(out))


if __name__ == "__main__":
    made = Path(sys.argv[1])
    made.mkdir(parents=True, exist_ok=True)
    seeded = random.Random(11)
    database(made / "things.db", seeded)
    api(made / "openapi.json", seeded)
    prose(made / "docs", seeded, rst=False)
    prose(made / "rst", seeded, rst=True)
