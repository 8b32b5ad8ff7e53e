"""Reconstructed applications with the real compiler, bundler and browser."""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from processors.generate.reconstruct import reconstruct
from processors.toolchain import project
from processors.toolchain.build import build_sync
from processors.toolchain.node import Toolchain

pytestmark = pytest.mark.browser

HOSTILE = "</script>{alert(1)}`${x}` \" onload='a' &lt; \u202e\u2028 */"


def line(text: str, x: float, y: float) -> dict[str, Any]:
    return {"text": text, "box": [x, y, 8 * len(text), 16], "font_size": 14, "family": "sans", "weight": 400}


def features() -> dict[str, Any]:
    """A search page whose field leads on by Enter, a result with a button back, and hostile text everywhere."""
    field = {"id": "f", "kind": "input", "text": "", "placeholder": HOSTILE, "box": [40, 100, 300, 32]}
    button = {"id": "b", "kind": "button", "text": HOSTILE, "box": [40, 200, 300, 32]}
    choice = {"id": "c", "kind": "select", "text": HOSTILE, "box": [40, 300, 300, 32]}
    box = {"id": "k", "kind": "checkbox", "text": "", "box": [40, 260, 16, 16], "checked": True}
    search = [line("Tea search", 40, 30), line("Name", 40, 80), line(HOSTILE, 60, 208)]
    found = [line("Found one tea", 40, 30), line("Earl Grey", 40, 80), line("Back", 60, 208)]
    back = {**button, "text": "Back"}
    typed = [*search, line("earl", 52, 108)]
    screens: list[tuple[list[dict[str, Any]], list[dict[str, Any]]]] = [
        (search, [field, button, choice, box]),
        (typed, [{**field, "text": "earl", "placeholder": None}, button, choice, box]),
        (found, [back]),
        (typed, [{**field, "text": "earl", "placeholder": None}, button, choice, box]),
    ]
    return {
        "video": {"width": 640, "height": 400},
        "screens": [
            {"id": f"s{n}", "t_start": n, "t_end": n + 0.95, "texts": texts, "elements": elements}
            for n, (texts, elements) in enumerate(screens)
        ],
        "actions": [
            {"t": 0.5, "kind": "click", "x": 100, "y": 116},
            {"t": 0.9, "kind": "type", "x": 100, "y": 116, "text": "earl"},
            {"t": 1.9, "kind": "type", "x": 100, "y": 116, "text": "earl"},
            {"t": 2.9, "kind": "click", "x": 100, "y": 216},
        ],
    }


class Site(http.server.SimpleHTTPRequestHandler):
    def translate_path(self, path: str) -> str:
        found = super().translate_path(path)
        return found if Path(found).is_file() else str(Path(self.directory) / "index.html")

    def log_message(self, format: str, *args: Any) -> None:
        pass


def contact() -> dict[str, Any]:
    """A form whose button leads to another page, so that it is gone when the browser would submit it.

    One of its fields is called as a property that every object has.
    """
    labels = [
        line("Contact us", 40, 20),
        line("Your name", 40, 66),
        line("Constructor", 40, 126),
        line("Ayrton", 52, 151),
        line("Urgent", 64, 190),
        line("Send", 60, 228),
    ]
    fields = [
        {"id": "f1", "kind": "input", "text": "", "placeholder": "Ada", "box": [40, 84, 300, 30]},
        {"id": "f2", "kind": "input", "text": "Ayrton", "box": [40, 144, 300, 30]},
        {"id": "f3", "kind": "checkbox", "text": "", "box": [40, 190, 16, 16]},
        {"id": "b", "kind": "button", "text": "Send", "box": [40, 220, 90, 32]},
    ]
    return {
        "video": {"width": 640, "height": 400},
        "screens": [
            {"id": "s0", "t_start": 0, "t_end": 0.9, "texts": labels, "elements": fields},
            {"id": "s1", "t_start": 1, "t_end": 1.9, "texts": [line("Thank you", 40, 30)], "elements": []},
        ],
        "actions": [{"t": 0.5, "kind": "click", "x": 80, "y": 236}],
    }


@pytest.fixture
def served(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    files = reconstruct(getattr(request, "param", features)(), {})
    if "src/data/entries.tsx" in files:  # what is entered is seen from outside
        files["src/data/entries.tsx"] += b"\nObject.assign(window, { kept });\n"
    result = build_sync(files, Toolchain())
    assert result.ok, result.findings
    project.write({**files, **result.dist}, tmp_path)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Site, directory=str(tmp_path / "dist")))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_the_recorded_actions_work_in_the_browser(served: str) -> None:
    from playwright.sync_api import expect, sync_playwright

    errors: list[str] = []
    with sync_playwright() as p:
        browser = p.chromium.launch(
            executable_path=shutil.which("chromium-headless-shell") or shutil.which("chromium"), args=["--no-sandbox"]
        )
        try:
            page = browser.new_page(viewport={"width": 640, "height": 400})
            page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
            page.on("pageerror", lambda e: errors.append(str(e)))
            page.goto(served)
            expect(page.get_by_text("Tea search")).to_be_visible()
            expect(page.locator("input[type=checkbox]")).to_be_checked()
            page.locator("input[type=text], input:not([type])").first.click()
            page.keyboard.type("earl")
            page.keyboard.press("Enter")
            expect(page.get_by_text("Found one tea")).to_be_visible()
            page.get_by_role("button", name="Back").click()
            expect(page.get_by_text("Tea search")).to_be_visible()
            assert page.locator("input").first.input_value() == "earl"
            page.go_back()
            expect(page.get_by_text("Found one tea")).to_be_visible()
            assert page.evaluate("document.querySelectorAll('script').length") == 1
        finally:
            browser.close()
    assert errors == []


@pytest.mark.parametrize("served", [contact], indirect=True)
def test_what_is_entered_in_a_form_is_kept_although_its_button_leads_away(served: str) -> None:
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as p:
        browser = p.chromium.launch(
            executable_path=shutil.which("chromium-headless-shell") or shutil.which("chromium"), args=["--no-sandbox"]
        )
        try:
            page = browser.new_page(viewport={"width": 640, "height": 400})
            page.goto(served)
            page.get_by_label("Your name").fill("Ada")
            page.get_by_label("Urgent").check()
            page.get_by_role("button", name="Send").click()
            expect(page.get_by_text("Thank you")).to_be_visible()
            kept = page.evaluate("[...window.kept.entries()]")
        finally:
            browser.close()
    assert kept == [["contact_us_entries", [{"your_name": "Ada", "constructor": "Ayrton", "urgent": True}]]]
