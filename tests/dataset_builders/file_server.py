"""A file server on the loopback interface that breaks off when told to."""

import threading
import time
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote


class FileServer:
    """Serves a folder; knows no listings.

    Args:
        folder: what is served.
        has_ranges: whether byte ranges are honoured.

    Attributes:
        url: prefix of the files.
        breaks: file name -> how many more times its body is cut in the middle.
        requests: (file name, Range header) of every GET.
        trickles: file name -> seconds between the single bytes of its body.
    """

    def __init__(self, folder, has_ranges=True):
        self.breaks, self.requests, self.trickles = {}, [], {}
        handler = partial(_Handler, self, Path(folder), has_ranges)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, server, folder, has_ranges, *arguments):
        self.owner, self.folder, self.has_ranges = server, folder, has_ranges
        super().__init__(*arguments)

    def do_GET(self):
        name = unquote(self.path.lstrip("/"))
        path = self.folder / name
        asked = self.headers.get("Range")
        self.owner.requests.append((name, asked))
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        size = len(content)
        if asked and self.has_ranges:
            first, last = asked.removeprefix("bytes=").split("-")
            content = content[int(first) : int(last) + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{int(first) + len(content) - 1}/{size}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if len(content) > 1 and self.owner.breaks.get(name, 0) > 0:
            self.owner.breaks[name] -= 1
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
            return
        if len(content) > 1 and name in self.owner.trickles:
            with suppress(OSError):  # the client has had enough
                for place in range(len(content)):
                    self.wfile.write(content[place : place + 1])
                    time.sleep(self.owner.trickles[name])
            self.close_connection = True
            return
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass
