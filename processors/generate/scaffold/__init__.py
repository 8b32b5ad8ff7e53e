"""The frame every generated application stands in: package.json, tsconfig, index.html, entry point, router.

The files beside this module are the frame itself, as plain TypeScript, CSS and HTML; `scaffold` fills in a name, a title
and a description. `src/App.tsx` (exporting `App`) and, over the small default, `src/styles.css` come from the generator.
"""

from __future__ import annotations

import json
import re
import unicodedata
from importlib import resources
from urllib.parse import urlsplit

DEPENDENCIES = {"@supabase/supabase-js": "2.119.1", "react": "19.3.1", "react-dom": "19.3.1"}
DEV_DEPENDENCIES = {
    "@playwright/test": "1.65.1",
    "@types/react": "19.3.0",
    "@types/react-dom": "19.3.0",
    "esbuild": "0.28.2",
    "typescript": "7.0.2",
}

_PATHS = {
    "ErrorBoundary.tsx": "src/ErrorBoundary.tsx",
    "build.mjs": "build.mjs",
    "env.d.ts": "src/env.d.ts",
    "main.tsx": "src/main.tsx",
    "playwright.config.ts": "playwright.config.ts",
    "router.tsx": "src/router.tsx",
    "styles.css": "src/styles.css",
    "tsconfig.json": "tsconfig.json",
}


def scaffold(
    name: str,
    title: str,
    description: str = "",
    *,
    lang: str = "en",
    color_scheme: str = "light",
    supabase_url: str = "",
    supabase_key: str = "",
) -> dict[str, bytes]:
    """Return the files of the frame, POSIX relative path -> content; the same arguments give the same bytes.

    `name` may be any text: it becomes a valid package name. `title` and `description` are escaped. `color_scheme` is the
    value of the meta element of that name ("light", "dark", "light dark"). The page may talk to itself and, if one is
    given, to `supabase_url`; raises ValueError where that is no http(s) URL.
    """
    files = {path: _template(source) for source, path in _PATHS.items()}
    files["package.json"] = _package_json(name, description)
    files["index.html"] = _index_html(title, description, lang, color_scheme, supabase_url, supabase_key)
    return files


def package_name(name: str) -> str:
    """A valid npm package name made from any text: lower case ASCII words joined by hyphens, at most 60 characters."""
    ascii_text = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_text)[:60].strip("-") or "app"


def content_security_policy(supabase_url: str = "") -> str:
    """The page's policy: itself, and the configured Supabase server for data.

    Inline style elements are allowed because browsers' own tooling (screenshots without carets or animations) adds them;
    inline scripts are not.
    """
    connect = ["'self'"]
    if supabase_url:
        parts = urlsplit(supabase_url)
        if parts.scheme not in ("http", "https") or not re.fullmatch(r"[A-Za-z0-9.-]+(:\d+)?", parts.netloc):
            raise ValueError(f"not an http(s) URL of a Supabase server: {supabase_url!r}")
        socket = "wss" if parts.scheme == "https" else "ws"
        connect += [f"{parts.scheme}://{parts.netloc}", f"{socket}://{parts.netloc}"]
    policy = {
        "default-src": "'self'",
        "base-uri": "'none'",
        "connect-src": " ".join(connect),
        "font-src": "'self' data:",
        "form-action": "'self'",
        "img-src": "'self' data: blob:",
        "object-src": "'none'",
        "style-src": "'self' 'unsafe-inline'",
    }
    return "; ".join(f"{directive} {sources}" for directive, sources in policy.items())


def _template(source: str) -> bytes:
    return resources.files(__package__).joinpath(source).read_bytes()


def _package_json(name: str, description: str) -> bytes:
    document = {
        "name": package_name(name),
        "version": "1.0.0",
        "private": True,
        "description": description,
        "type": "module",
        "scripts": {
            "check": "tsc --noEmit",
            "build": "npm run check && node build.mjs",
            "preview": "esbuild --servedir=dist --serve-fallback=dist/index.html --serve=127.0.0.1:4173",
            "test": "playwright test",
        },
        "dependencies": DEPENDENCIES,
        "devDependencies": DEV_DEPENDENCIES,
    }
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def _index_html(title: str, description: str, lang: str, color_scheme: str, supabase_url: str, supabase_key: str) -> bytes:
    values = {
        "LANG": lang,
        "CSP": content_security_policy(supabase_url),
        "SCHEME": color_scheme,
        "DESCRIPTION": description,
        "SUPABASE_URL": supabase_url,
        "SUPABASE_KEY": supabase_key,
        "TITLE": title,
    }
    # One pass, so that a title that reads like a placeholder stays a title.
    page = re.sub(r"@@([A-Z_]+)@@", lambda match: _escape(values[match[1]]), _template("index.html").decode())
    return page.encode()


def _escape(text: str) -> str:
    """Text for an element or a double-quoted attribute; single quotes stay, as the policy is full of them."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
