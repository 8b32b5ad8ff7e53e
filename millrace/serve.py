"""Open a generated application: a static server on loopback that falls back to index.html.

python -m millrace.serve DIR [PORT]
"""

from __future__ import annotations

import functools
import http.server
import sys
from pathlib import Path


class Site(http.server.SimpleHTTPRequestHandler):
    """Files of ``dist``; any other path is the application's own."""

    def translate_path(self, path: str) -> str:
        found = super().translate_path(path)
        return found if Path(found).is_file() else str(Path(self.directory) / "index.html")

    def log_message(self, *_: object) -> None:
        pass


def server(folder: Path, port: int = 0) -> http.server.ThreadingHTTPServer:
    """A server for the project in ``folder`` (its ``dist``, or the folder itself where it holds an index.html). Raises ``FileNotFoundError``."""
    dist = folder / "dist" if (folder / "dist" / "index.html").is_file() else folder
    if not (dist / "index.html").is_file():
        raise FileNotFoundError(f"{folder} holds no dist/index.html")
    return http.server.ThreadingHTTPServer(("127.0.0.1", port), functools.partial(Site, directory=str(dist)))


def main() -> None:
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    try:
        site = server(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) == 3 else 0)
    except (FileNotFoundError, ValueError, OSError) as error:
        sys.exit(f"cannot serve: {error}")
    print(f"http://127.0.0.1:{site.server_port}/  (Ctrl-C stops)", flush=True)
    try:
        site.serve_forever()
    except KeyboardInterrupt:
        print()


if __name__ == "__main__":
    main()
