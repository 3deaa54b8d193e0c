"""A small Hugging Face Hub on this machine: repositories with commits, uploads, downloads and faults."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


@dataclass
class Repository:
    """Commits by hash, in order; branches and tags by name."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes]) -> str:
        before = self.commits.get(self.refs.get("main", ""), {})
        oid = hashlib.sha1(f"commit {len(self.commits)} of {id(self)}".encode()).hexdigest()  # noqa: S324
        self.commits[oid] = {**before, **files}
        self.refs["main"] = oid
        return oid

    def find(self, revision: str) -> str | None:
        return revision if revision in self.commits else self.refs.get(revision)


@dataclass
class Hub:
    """The contents of the server, the faults to produce, and a record of its requests.

    Attributes:
        repositories: By OWNER/NAME.
        closed: Names of gated repositories.
        private: The token of a private repository, by its name.
        requests: "METHOD path" of every request.
        declared: Sizes that HEAD and GET claim instead of the real one, by file name.
        replaced: Contents that GET sends instead of the real ones, by file name.
        statuses: Status instead of a file, by file name; "HEAD name" for HEAD, "rest of name" for a GET
            with a Range.
        cut: How many bytes of a file are sent before the connection ends, by file name; one number for each
            request, later requests are served completely.
        resumed: The files that were requested with a Range.
        etags: ETags instead of the real ones, by file name.
        commit: The commit that every answer states, instead of the real one.
        redirects: Where GET of a file leads instead, by file name.
        dripping: Files of which a byte comes every tenth of a second; "HEAD name" for the headers of HEAD.
        listing: The answer to a question for the list of files, instead of the real one.
        endless: Files whose GET goes on with zeros until the client leaves.
        sent: Bytes of all bodies.
        tokens: The `Authorization` of every request that has one.
        broken: The status of every response, such as 500; 0 for none.
        silent: Seconds before every response.
    """

    url: str
    repositories: dict[str, Repository] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    private: dict[str, str] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    declared: dict[str, int] = field(default_factory=dict)
    replaced: dict[str, bytes] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    cut: dict[str, list[int]] = field(default_factory=dict)
    resumed: list[str] = field(default_factory=list)
    etags: dict[str, str] = field(default_factory=dict)
    commit: str = ""
    redirects: dict[str, str] = field(default_factory=dict)
    dripping: set[str] = field(default_factory=set)
    listing: Iterator[bytes] | None = None
    endless: set[str] = field(default_factory=set)
    sent: int = 0
    tokens: list[str] = field(default_factory=list)
    broken: int = 0
    silent: float = 0


@contextmanager
def hub_server() -> Iterator[Hub]:
    """Run a Hub until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.hub = Hub(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self._serve()

    def do_GET(self):
        self._serve()

    def do_POST(self):
        self._serve()

    def do_PUT(self):
        self._serve()

    def log_message(self, *_):
        pass

    def _serve(self):
        hub = self.server.hub
        path = unquote(urlsplit(self.path).path)
        hub.requests.append(f"{self.command} {path}")
        if "Authorization" in self.headers:
            hub.tokens.append(self.headers["Authorization"])
        body = self._body()
        time.sleep(hub.silent)
        if hub.broken:
            self._send(hub.broken, b"{}")
        elif "/resolve/" in path:
            self._resolve(*urlsplit(self.path).path.strip("/").split("/resolve/"))
        elif self.command == "PUT" and path.startswith("/objects/"):
            hub.objects[path.removeprefix("/objects/")] = body
            self._send(200)
        elif self.command == "POST":
            self._post(path, body)
        else:
            self._inform(path)

    def _body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _resolve(self, name, rest):
        hub = self.server.hub
        revision, file = map(unquote, rest.split("/", 1))
        repository = hub.repositories.get(name)
        wanted = hub.private.get(name)
        if wanted is not None and self.headers.get("Authorization") != f"Bearer {wanted}":
            known = "Authorization" in self.headers
            said = {"X-Error-Message": "Invalid credentials in Authorization header"} if known else {}
            self._send(401, headers=said or {"X-Error-Code": "RepoNotFound"})
            return
        kind = "HEAD " if self.command == "HEAD" else "rest of " if "Range" in self.headers else ""
        status = hub.statuses.get(kind + file)
        if status is not None:
            self._send(status)
            return
        if name in hub.closed:
            self._send(403, headers={"X-Error-Code": "GatedRepo"})
            return
        if repository is None:
            self._send(401, headers={"X-Error-Code": "RepoNotFound"})
            return
        oid = repository.find(revision)
        if oid is None:
            self._send(404, headers={"X-Error-Code": "RevisionNotFound"})
            return
        headers = {"X-Repo-Commit": hub.commit or oid}
        if file in hub.redirects and self.command == "GET":
            self._send(302, b"moved", {"Location": hub.redirects[file]})
            return
        stored = repository.commits[oid].get(file)
        if stored is None:
            self._send(404, headers={**headers, "X-Error-Code": "EntryNotFound"})
            return
        etag = _git_hash(stored)
        if _is_large(file):
            etag = headers["X-Linked-Etag"] = hashlib.sha256(stored).hexdigest()
        if file in hub.etags:
            etag = hub.etags[file]
            headers.pop("X-Linked-Etag", None)
        sent = hub.replaced.get(file, stored)
        headers["ETag"] = f'"{etag}"'
        if kind + file in hub.dripping:
            self._drip(sent, headers)
            return
        if file in hub.endless and self.command == "GET":
            self._go_on(sent, headers)
            return
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        if start >= len(sent) > 0:
            self._send(416, headers={**headers, "Content-Range": f"bytes */{len(sent)}"})
        elif start:
            self.server.hub.resumed.append(file)
            headers["Content-Range"] = f"bytes {start}-{len(sent) - 1}/{len(sent)}"
            self._send(206, sent[start:], headers, cut=self._cut(file))
        else:
            self._send(200, sent, headers, hub.declared.get(file), self._cut(file))

    def _cut(self, file):
        left = self.server.hub.cut.get(file)
        return left.pop(0) if left and self.command == "GET" else None

    def _inform(self, path):
        """The model information of the API."""
        parts = path.strip("/").split("/")
        repository = self.server.hub.repositories.get("/".join(parts[2:4]))
        if parts[:2] != ["api", "models"] or repository is None:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            return
        oid = repository.find(parts[5] if len(parts) > 5 else "main")
        names = repository.commits.get(oid, {})
        if self.server.hub.listing is not None:
            self._stream(self.server.hub.listing)
            return
        siblings = [
            {
                "rfilename": name,
                "size": len(content),
                "blobId": _git_hash(content),
                **({"lfs": {"sha256": hashlib.sha256(content).hexdigest()}} if _is_large(name) else {}),
            }
            for name, content in names.items()
        ]
        self._json({"id": "/".join(parts[2:4]), "sha": oid, "siblings": siblings})

    def _drip(self, content, headers):
        """Send an answer byte by byte: of HEAD the headers, of GET the body."""
        self.close_connection = True
        head = f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(content)}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
        if self.command == "GET":
            self.wfile.write(head.encode())
        with suppress(OSError):
            for byte in content if self.command == "GET" else head.encode():
                self.wfile.write(bytes([byte]))
                time.sleep(0.1)

    def _go_on(self, content, headers):
        self._stream(itertools.chain([content], itertools.repeat(bytes(1 << 16))), headers)

    def _stream(self, pieces, headers=None):
        """Send pieces until the client leaves."""
        self.close_connection = True
        self.send_response(200)
        for name, value in {"Connection": "close", **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(OSError):
            for piece in pieces:
                self.wfile.write(piece)
                self.server.hub.sent += len(piece)

    def _post(self, path, body):
        hub = self.server.hub
        parts = path.strip("/").split("/")
        name = "/".join(parts[2:4])
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'me'}/{asked['name']}"
            known = name in hub.repositories
            hub.repositories.setdefault(name, Repository())
            self._json({"url": f"{hub.url}/{name}", "id": name}, 409 if known else 200)
        elif path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif "/preupload/" in path:
            files = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                    "shouldIgnore": False,
                }
                for file in json.loads(body)["files"]
            ]
            self._json({"files": files})
        elif path.endswith("/objects/batch"):
            objects = [
                {**item, "actions": {"upload": {"href": f"{hub.url}/objects/{item['oid']}"}}}
                for item in json.loads(body)["objects"]
            ]
            self._json({"transfer": "basic", "objects": objects})
        elif "/commit/" in path:
            files = {}
            for line in body.splitlines():
                item = json.loads(line)
                if item["key"] == "file":
                    files[item["value"]["path"]] = base64.b64decode(item["value"]["content"])
                elif item["key"] == "lfsFile":
                    files[item["value"]["path"]] = hub.objects[item["value"]["oid"]]
            oid = hub.repositories[name].commit(files)
            self._json({"commitUrl": f"{hub.url}/{name}/commit/{oid}", "commitOid": oid})
        elif "/tag/" in path:
            repository = hub.repositories[name]
            repository.refs[json.loads(body)["tag"]] = repository.find(parts[5])
            self._json({})
        else:
            self._send(404, b"{}")

    def _json(self, value, status=200):
        self._send(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, status, content=b"", headers=None, declared=None, cut=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content) if declared is None else declared))
        if declared is not None or cut is not None:
            self.close_connection = True
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[:cut])


def _is_large(name: str) -> bool:
    return name.endswith(".safetensors")


def _git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()  # noqa: S324
