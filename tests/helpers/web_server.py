"""A small web server of files, which can also lie, break off and send elsewhere."""

from __future__ import annotations

import hashlib
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Site:
    """What the server has: content by path, and how it answers for some of them.

    `odd` maps a path to a function that is called with the request handler in place of the usual answer.
    """

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.odd = {}
        self.with_ranges = True
        self.with_tags = True
        self.asked: list[tuple[str, str]] = []
        self.authorizations: set[str | None] = set()
        self.url = ""


@contextmanager
def serving():
    """A site that is served on this machine while the block runs."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self):
            self._answer(body=False)

        def do_GET(self):
            self._answer(body=True)

        def log_message(self, *_):
            return

        def _answer(self, body):
            path = self.path.partition("?")[0]
            site.asked.append((self.command, path))
            site.authorizations.add(self.headers.get("Authorization"))
            if path in site.odd:
                site.odd[path](self)
                return
            if path.endswith("/"):
                names = sorted({name[len(path) :] for name in site.files if name.startswith(path)})
                below = sorted({name.partition("/")[0] + "/" if "/" in name else name for name in names})
                page = "".join(f'<a href="{name}">{name}</a>\n' for name in ["../", "?C=N;O=D", *below])
                self.send(200 if names else 404, page.encode(), body=body)
                return
            content = site.files.get(path)
            if content is None:
                self.send(404, b"none", body=body)
                return
            headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()[:8]}"'} if site.with_tags else {}
            wanted = self.headers.get("Range")
            if site.with_ranges:
                headers["Accept-Ranges"] = "bytes"
                if wanted:
                    first, last = wanted.removeprefix("bytes=").split("-")
                    end = int(last) + 1 if last else len(content)
                    headers["Content-Range"] = f"bytes {first}-{end - 1}/{len(content)}"
                    self.send(206, content[int(first) : end], headers, body=body)
                    return
            self.send(200, content, headers, body=body)

        def send(self, status, content, headers=None, *, body=True):
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            if body:
                self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # a reader that goes away is no news
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
