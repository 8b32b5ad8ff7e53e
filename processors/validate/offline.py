"""An application that is configured with a server is opened without one: the browser has no network, and nobody's rows are touched.

The server stands in the page's meta elements (``supabase-url``, ``supabase-anon-key``); emptied, the application runs on its seed, as its
producer saw it before. Files and verdict are those of the artifact as it is: only what the browser is served differs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

SERVER = frozenset({"supabase-url", "supabase-anon-key"})
"""Names of the meta elements that say which server an application asks."""

_META = re.compile(rb"<meta\b[^>]*>", re.I)
_NAME = re.compile(rb"""\bname\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.I)


def offline(dist: Mapping[str, bytes]) -> dict[str, bytes]:
    """``dist`` with a page that names no server."""

    def emptied(element: re.Match[bytes]) -> bytes:
        name = _NAME.search(element[0])
        said = next((part for part in name.groups() if part is not None), b"") if name else b""
        return b'<meta name="%s" content="">' % said if said.decode(errors="replace").lower() in SERVER else element[0]

    return {path: _META.sub(emptied, content) if path.endswith(".html") else content for path, content in dist.items()}
