from __future__ import annotations

import json

import pytest

from processors.generate.scaffold import content_security_policy, package_name, scaffold


def test_files() -> None:
    files = scaffold("Shop", "My shop")
    assert {"package.json", "tsconfig.json", "index.html", "src/main.tsx", "src/router.tsx", "src/ErrorBoundary.tsx"} <= set(files)
    assert files == scaffold("Shop", "My shop")
    assert all(version[0].isdigit() for version in json.loads(files["package.json"])["dependencies"].values())


def test_text_stays_text() -> None:
    page = scaffold("x", '</title><script>alert("1")</script>@@CSP@@', '"><img src=x>')["index.html"].decode()
    assert "<script>alert" not in page and "<img" not in page
    assert "@@CSP@@" in page  # a title that reads like a placeholder is a title
    assert "default-src 'self'" in page


def test_names() -> None:
    assert package_name("Café & Bar!") == "cafe-bar"
    assert package_name("名前") == "app"
    assert len(package_name("a" * 300)) <= 60


def test_policy_allows_the_configured_server_alone() -> None:
    assert "connect-src 'self';" in content_security_policy()
    assert "connect-src 'self' https://x.supabase.co wss://x.supabase.co;" in content_security_policy("https://x.supabase.co/rest")
    for address in ("javascript:alert(1)", "https://a b.example", "https://x; script-src *", "ftp://x"):
        with pytest.raises(ValueError, match="Supabase"):
            content_security_policy(address)
