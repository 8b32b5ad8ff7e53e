"""A small application, and one warm validator for all tests of a module."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from processors.toolchain.build import build
from processors.toolchain.compilers import Compilers
from processors.toolchain.node import Toolchain
from processors.validate.policy import ValidationPolicy
from processors.validate.validator import Validator
from processors.validate.verdict import Verdict

APP: dict[str, bytes] = {
    "package.json": b'{"name": "app", "private": true, "type": "module", "dependencies": {"react": "19.3.1", "react-dom": "19.3.1"}}',
    "index.html": b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Parts</title>
</head>
<body>
<div id="root"></div>
<script type="module" src="/src/main.tsx"></script>
</body>
</html>
""",
    "src/main.tsx": b"""import { createRoot } from 'react-dom/client';
import { App } from './App';
import './app.css';

createRoot(document.getElementById('root')!).render(<App />);
""",
    "src/App.tsx": b"""import { useState } from 'react';

export function App() {
  const [names, setNames] = useState<string[]>(['Bolt', 'Nut']);
  const [name, setName] = useState('');
  return (
    <main>
      <h1>Spare parts</h1>
      <form onSubmit={(event) => { event.preventDefault(); setNames([...names, name]); setName(''); }}>
        <label htmlFor="name">Name of the part</label>
        <input id="name" value={name} onChange={(event) => setName(event.target.value)} />
        <button type="submit">Add part</button>
      </form>
      <ul>{names.map((n) => <li key={n}>{n}</li>)}</ul>
    </main>
  );
}
""",
    "src/app.css": b"""body { margin: 0; padding: 20px; font: 16px/20px sans-serif }
h1 { margin: 0; font-size: 28px; line-height: 40px }
label, input, button { display: block; box-sizing: border-box; margin: 0 }
input { width: 200px; height: 30px }
button { height: 30px }
""",
}

Run = Callable[..., Verdict]


@pytest.fixture
def app() -> dict[str, bytes]:
    return dict(APP)


@pytest.fixture(scope="module")
def validated() -> Iterator[Run]:
    """``validated(files, policy=..., features=..., ...)``: builds the files where they have no ``dist`` and validates them."""
    toolchain = Toolchain()
    compilers = Compilers(toolchain)
    validators: dict[ValidationPolicy, Validator] = {}
    with asyncio.Runner() as runner:

        async def one(files: Mapping[str, bytes], policy: ValidationPolicy | None = None, **options: Any) -> Verdict:
            policy = policy or ValidationPolicy()
            if policy not in validators:
                validators[policy] = await Validator(toolchain, policy).__aenter__()
            if not any(name.startswith("dist/") for name in files):
                files = {**files, **(await build(files, compilers)).dist}
            return await validators[policy].validate(files, **options)

        yield lambda *args, **kwargs: runner.run(one(*args, **kwargs))
        for validator in validators.values():
            runner.run(validator.__aexit__(None, None, None))
        runner.run(compilers.close())
