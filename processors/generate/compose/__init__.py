"""Compose: from a specification to a React and TypeScript project with list, detail and form pages and a Supabase migration.

What is the same in every application lies beside this module as plain TypeScript and CSS; what differs is written by
`typescript`, `sql` and `theme`. The emitter is pure: the same specification gives the same bytes.
"""

from __future__ import annotations

import re
from importlib import resources

from processors.generate.compose import sql, theme, typescript
from processors.generate.compose.naming import Names, names
from processors.generate.scaffold import scaffold
from processors.spec import Spec

_PATHS = {
    "App.tsx": "src/App.tsx",
    "ConfirmDialog.tsx": "src/components/ConfirmDialog.tsx",
    "DeleteButton.tsx": "src/components/DeleteButton.tsx",
    "DetailPage.tsx": "src/pages/DetailPage.tsx",
    "FieldControl.tsx": "src/components/FieldControl.tsx",
    "FieldValue.tsx": "src/components/FieldValue.tsx",
    "FormPage.tsx": "src/pages/FormPage.tsx",
    "HomePage.tsx": "src/pages/HomePage.tsx",
    "Layout.tsx": "src/components/Layout.tsx",
    "ListPage.tsx": "src/pages/ListPage.tsx",
    "NotFoundPage.tsx": "src/pages/NotFoundPage.tsx",
    "Pagination.tsx": "src/components/Pagination.tsx",
    "api.ts": "src/api/index.ts",
    "client.ts": "src/data/client.ts",
    "format.ts": "src/format.ts",
    "hooks.ts": "src/hooks.ts",
    "memory.ts": "src/data/memory.ts",
    "model.ts": "src/model.ts",
    "repository.ts": "src/data/repository.ts",
    "search.ts": "src/data/search.ts",
    "supabase.ts": "src/data/supabase.ts",
    "useChoices.ts": "src/components/useChoices.ts",
    "validation.ts": "src/validation.ts",
}


def compose(spec: Spec) -> dict[str, bytes]:
    """Return the project's files, POSIX relative path -> content, without `dist`."""
    named = names(spec)
    texts = {path: _template(source) for source, path in _PATHS.items()}
    texts["src/styles.css"] = theme.stylesheet(spec, _template("styles.css"))
    texts["src/entities/index.ts"] = typescript.entities_index(spec, named)
    texts["src/data/index.ts"] = typescript.tables_index(spec, named)
    for entity in spec.entities:
        texts[f"src/entities/{named[entity.key].file}.ts"] = typescript.entity_module(entity, named[entity.key])
        texts[f"src/data/tables/{named[entity.key].file}.ts"] = typescript.table_module(entity, named)
    texts["supabase/migrations/0000_platform.sql"] = sql.PLATFORM
    texts["supabase/migrations/0001_init.sql"] = sql.migration(spec, named)
    texts["tests/app.spec.ts"] = typescript.browser_test(spec, named)
    texts["README.md"] = _readme(spec, named)
    files = scaffold(spec.title, spec.title, spec.description, color_scheme=theme.color_scheme(spec))
    files.update({path: text.encode() for path, text in texts.items()})
    return dict(sorted(files.items()))


def _template(source: str) -> str:
    return resources.files(__package__).joinpath(source).read_text(encoding="utf-8")


def _readme(spec: Spec, named: dict[str, Names]) -> str:
    rows = []
    for entity in spec.entities:
        fields = ", ".join(f"{_markdown(f.label)} ({f.type}{', required' if f.required else ''})" for f in entity.fields)
        rows.append(f"| {_markdown(entity.plural)} | `{named[entity.key].path}` | `{named[entity.key].table}` | {fields} |")
    assumed = "\n## What was assumed\n\n" + "".join(f"- {_markdown(note)}\n" for note in spec.notes) if spec.notes else ""
    return f"""# {_markdown(spec.title)}

A React and TypeScript application over a Supabase database.

| what | page | table | fields |
|---|---|---|---|
{chr(10).join(rows)}
{assumed}
## Run it

`dist/` is the built application: serve it with any static server that answers unknown paths with `index.html`, for example
`npm ci && npm run build && npm run preview`. Without a database it starts from a few sample rows and keeps changes until the
page is loaded again.

## With Supabase

1. Run `supabase/migrations/*.sql` (`supabase db push`). Every row belongs to the user who made it; row level security keeps
   users apart.
2. Allow anonymous sign-ins, or put a sign-in of your own into `src/data/client.ts`.
3. Put the project's URL and its anonymous key into the meta elements `supabase-url` and `supabase-anon-key` of `index.html`,
   and the URL into `connect-src` of its content security policy.

## Where things are

- `src/entities/`: what each entity is called and which fields it has; `src/pages/` and `src/components/` follow from that.
- `src/api/`: what the pages may do; rules on values hold here. `src/data/`: the tables, in Supabase or in memory.
- `src/styles.css`: the design tokens stand at its top. `tests/`: a browser test (`npm test`).
"""


def _markdown(text: str) -> str:
    """Text that means itself in Markdown, also in a table."""
    return re.sub(r"([\\`*_{}\[\]()#+!|<>&~-])", r"\\\1", text)
