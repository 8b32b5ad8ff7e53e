"""Prices, versions, logs, terminal output and the static server."""

from __future__ import annotations

import json
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from millrace import logs, output, serve
from processors import pricing
from sinks.objects import FolderStore
from streams.versions import claim_version

DAY = 86_400_000
BOOK = pricing.PriceBook.read(
    "- {kind: extract, unit: video_second, valid_from: 2026-03-01, usd: '0.3'}\n- {kind: extract, unit: video_second, valid_from: 2026-01-01, usd: '0.1'}"
)
JANUARY, APRIL, BEFORE = 1_768_000_000_000, 1_776_000_000_000, 1_700_000_000_000


def test_the_price_of_the_day_counts_and_an_unknown_price_is_not_zero():
    assert pricing.priced("extract", "video_second", 2, JANUARY, BOOK)["cost_usd"] == Decimal("0.2")
    assert pricing.priced("extract", "video_second", 2, APRIL, BOOK)["cost_usd"] == Decimal("0.6")
    for kind, at in (("extract", BEFORE), ("llm.call", APRIL)):
        assert pricing.priced(kind, "video_second", 2, at, BOOK) == {
            "quantity": 2,
            "unit": "video_second",
            "cost_usd": None,
            "price_version": "",
        }
    assert all(
        pricing.default_book().at(kind, unit, APRIL)
        for kind, unit in (("extract", "video_second"), ("compose", "project"), ("reconstruct", "project"), ("validate", "artifact"))
    )


@pytest.mark.parametrize(
    "bad", ["- {kind: x}", "- {kind: x, unit: y, valid_from: 2026-01-01, usd: '-1'}", "- {kind: x, unit: y, valid_from: soon, usd: '1'}"]
)
def test_a_bad_price_book_names_the_entry(bad):
    with pytest.raises(ValueError, match="price 1"):
        pricing.PriceBook.read(bad)


def test_versions_are_given_once_and_without_gaps_under_a_race(tmp_path):
    store = FolderStore(tmp_path, durable=False)
    with ThreadPoolExecutor(8) as pool:
        given = list(pool.map(lambda i: claim_version(store, "t", "p", f"request-{i % 20}"), range(60)))
    assert sorted(set(given)) == list(range(1, 21))
    assert [claim_version(store, "t", "p", f"request-{i}") for i in range(20)] == given[:20]
    assert claim_version(store, "t", "other", "request-1") == 1


def test_an_artifact_whose_pointer_was_not_written_finds_its_number_again(tmp_path):
    store = FolderStore(tmp_path, durable=False)
    for name in ("a", "b", "c"):
        claim_version(store, "t", "p", name)
    store.delete("claims/version-of/t/p/b")
    assert claim_version(store, "t", "p", "b") == 2 and claim_version(store, "t", "p", "d") == 4


@pytest.mark.parametrize(
    "event",
    [
        {"password": "hunter2"},
        {"url": "http://user:hunter2@host/"},
        {"x": "Bearer hunter2"},
        {"x": "key sk-hunter2hunter2hunter2"},
        {"api_key": "hunter2"},
        {"MILLRACE_OBJECTS_SECRET_KEY": "hunter2"},
    ],
)
def test_secrets_do_not_reach_logs(event):
    assert "hunter2" not in str(logs.redact(None, "info", dict(event)))


def test_text_from_a_video_cannot_steer_a_terminal():
    assert output.plain("a\x1b[31mb\x07\u202ec") == "a�[31mb��c"


def test_json_has_money_as_exact_text(capsys):
    output.print_json({"cost": Decimal("0.0020000000")})
    assert json.loads(capsys.readouterr().out) == {"cost": "0.0020000000"}


def test_a_served_application_answers_every_path(tmp_path):
    (tmp_path / "dist/assets").mkdir(parents=True)
    (tmp_path / "dist/index.html").write_text("<p>home")
    (tmp_path / "dist/assets/app.js").write_text("1")
    site = serve.server(tmp_path)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    try:
        get = lambda path: urllib.request.urlopen(f"http://127.0.0.1:{site.server_port}{path}").read()  # noqa: E731
        assert get("/") == get("/products/7") == b"<p>home" and get("/assets/app.js") == b"1"
    finally:
        site.shutdown()
    with pytest.raises(FileNotFoundError):
        serve.server(tmp_path / "dist/assets")
