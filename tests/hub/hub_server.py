"""A Hub on 127.0.0.1: the endpoints that the client uses to look up, download, create and upload.

Repositories are dictionaries of bytes. Files of `LARGE` suffixes count as large (LFS): they have a SHA-256 and are
uploaded apart. A test can damage a file or break off its transfer.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

LARGE = (".pth", ".safetensors", ".bin")


@dataclass
class LoopbackHub:
    """State of the server, which the tests set and read."""

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    damaged: dict[str, bytes] = field(default_factory=dict)  # file name -> what is sent instead
    broken_off: dict[str, list[int]] = field(default_factory=dict)  # file name -> bytes sent, one entry per transfer
    trickling: dict[str, float] = field(default_factory=dict)  # file name -> seconds between single bytes
    token: str | None = None  # what uploads need
    private: dict[str, bool] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)  # by SHA-256
    requests: list[str] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    endpoint: str = ""


@contextmanager
def serve() -> Iterator[LoopbackHub]:
    """A running server; it ends with the block."""
    hub = LoopbackHub()
    handler = type("BoundHandler", (Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    hub: LoopbackHub

    def do_GET(self) -> None:
        path = self.note()
        info = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", path)
        file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        if info and info[1] in self.hub.repositories:
            self.send_json(self.info(info[1]))
        elif file:
            self.send_file(file[1], file[3])
        else:
            self.send_missing("RepoNotFound")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        path = self.note()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if path == "/api/validate-yaml":
            self.send_json({"errors": [], "warnings": []})
            return
        if self.hub.token is not None and self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            self.send_json({"error": "Invalid username or password."}, status=401)
            return
        preupload = re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/[^/]+", path)
        commit = re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/[^/]+", path)
        if path == "/api/repos/create":
            self.create(json.loads(body))
        elif preupload:
            self.send_json({"files": [self.upload_mode(file) for file in json.loads(body)["files"]]})
        elif path.endswith(".git/info/lfs/objects/batch"):
            self.send_json(
                {"transfer": "basic", "objects": [self.upload_action(o) for o in json.loads(body)["objects"]]}
            )
        elif commit:
            self.commit(commit[1], [json.loads(line) for line in body.splitlines() if line.strip()])
        else:
            self.send_missing("RepoNotFound")

    def do_PUT(self) -> None:
        oid = self.note().rsplit("/", 1)[-1]
        self.hub.uploads[oid] = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_json({})

    def info(self, repository: str) -> dict:
        """The answer to `model_info`."""
        siblings = []
        for name, content in self.hub.repositories[repository].items():
            entry = {"rfilename": name, "size": len(content), "blobId": hashlib.sha1(content).hexdigest()}
            if name.endswith(LARGE):
                entry["lfs"] = {"sha256": sha256(content), "size": len(content), "pointerSize": 130}
            siblings.append(entry)
        return {
            "id": repository,
            "modelId": repository,
            "sha": self.head(repository),
            "private": False,
            "tags": [],
            "siblings": siblings,
        }

    def send_file(self, repository: str, name: str) -> None:
        """A file, whole or from an offset on; damaged or broken off if a test says so."""
        name = unquote(name)
        content = self.hub.repositories.get(repository, {}).get(name)
        if content is None:
            self.send_missing("EntryNotFound" if repository in self.hub.repositories else "RepoNotFound")
            return
        etag = sha256(content) if name.endswith(LARGE) else hashlib.sha1(content).hexdigest()
        sent = self.hub.damaged.get(name, content)
        start = 0
        wanted = self.headers.get("Range")
        if wanted:
            self.hub.ranges.append(wanted)
            start = int(re.match(r"bytes=(\d+)-", wanted)[1])
        self.send_response(206 if wanted else 200)
        self.send_header("ETag", f'"{etag}"')
        self.send_header("X-Repo-Commit", self.head(repository))
        self.send_header("Accept-Ranges", "bytes")
        if name.endswith(LARGE):
            self.send_header("X-Linked-Etag", f'"{etag}"')
            self.send_header("X-Linked-Size", str(len(content)))
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(sent) - 1}/{len(sent)}")
        self.send_header("Content-Length", str(len(sent) - start))
        self.end_headers()
        if self.command == "HEAD":
            return
        breaks = self.hub.broken_off.get(name)
        if name in self.hub.trickling:
            with suppress(OSError):  # the client has had enough
                for place in range(start, len(sent)):
                    self.wfile.write(sent[place : place + 1])
                    threading.Event().wait(self.hub.trickling[name])  # tests put time.sleep out of action
            self.close_connection = True
        elif breaks:
            self.wfile.write(sent[start : start + breaks.pop(0)])
            self.close_connection = True
        else:
            self.wfile.write(sent[start:])

    def create(self, wanted: dict) -> None:
        """A new repository; 409 if it is there."""
        repository = f"{wanted['organization']}/{wanted['name']}"
        if repository in self.hub.repositories:
            taken = {"error": "You already created this model repo", "url": f"{self.hub.endpoint}/{repository}"}
            self.send_json(taken, status=409)
            return
        self.hub.repositories[repository] = {}
        self.hub.private[repository] = wanted.get("private") is True or wanted.get("visibility") == "private"
        self.send_json({"url": f"{self.hub.endpoint}/{repository}"})

    def upload_mode(self, file: dict) -> dict:
        """How a file is to be uploaded."""
        mode = "lfs" if file["path"].endswith(LARGE) else "regular"
        return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}

    def upload_action(self, wanted: dict) -> dict:
        """Where a large file is to be uploaded."""
        href = f"{self.hub.endpoint}/uploads/{wanted['oid']}"
        return {**wanted, "actions": {"upload": {"href": href, "header": {}}}}

    def commit(self, repository: str, lines: list[dict]) -> None:
        """Put uploaded files into a repository; the checksums of the large ones are compared."""
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                self.hub.repositories[repository][value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                content = self.hub.uploads[value["oid"]]
                assert sha256(content) == value["oid"]
                self.hub.repositories[repository][value["path"]] = content
        head = self.head(repository)
        self.send_json({"commitUrl": f"{self.hub.endpoint}/{repository}/commit/{head}", "commitOid": head})

    def head(self, repository: str) -> str:
        """The commit of a repository: another one when its content is another."""
        return hashlib.sha1(repr(sorted(self.hub.repositories[repository].items())).encode()).hexdigest()

    def note(self) -> str:
        """Log the request and return its path."""
        path = urlsplit(self.path).path
        self.hub.requests.append(f"{self.command} {path}")
        return path

    def send_missing(self, code: str) -> None:
        """404 with the Hub's own error code."""
        self.send_json({"error": code}, status=404, headers={"X-Error-Code": code})

    def send_json(self, content: dict, status: int = 200, headers: dict[str, str] | None = None) -> None:
        """A JSON answer."""
        body = json.dumps(content).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Nothing on the terminal."""


def sha256(content: bytes) -> str:
    """The SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
