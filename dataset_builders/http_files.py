"""Single requests to http(s) servers: each gives exactly the bytes that were asked for, or raises an OSError.

Why not `fsspec.implementations.http`: see `storage`.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from .credentials import without_credentials
from .errors import ShardReadError
from .pace import Pace

if TYPE_CHECKING:
    import requests

_TIMEOUT_SECONDS = 30
_CHUNK_BYTES = 1 << 20
_connections = threading.local()


def probe(location: str) -> tuple[int, bool]:
    """Size of a file (-1 where the server does not tell) and whether the server sends byte ranges."""
    with _get(location, {"Range": "bytes=0-0"}) as response:
        if response.status_code == 206:
            return int(response.headers["Content-Range"].rpartition("/")[2]), True
        return int(response.headers.get("Content-Length", -1)), False


def get_whole(location: str) -> bytes:
    """All bytes of a file."""
    with _get(location, {}) as response:
        content = b"".join(_chunks(response))
        return of_length(content, int(response.headers.get("Content-Length", len(content))))


def get_range(location: str, start: int, stop: int) -> bytes:
    """Bytes `start` to `stop` (exclusive) of a file."""
    with _get(location, {"Range": f"bytes={start}-{stop - 1}"}) as response:
        if response.status_code != 206:
            raise ShardReadError(f"{location}: the server stopped sending byte ranges")
        return of_length(b"".join(_chunks(response)), stop - start)


def download(location: str) -> BinaryIO:
    """A file, copied to a temporary one."""
    file = tempfile.TemporaryFile(prefix="s5-shard-")  # noqa: SIM115 - it is handed to the caller
    try:
        with _get(location, {}) as response:
            file.writelines(_chunks(response))
            expected = int(response.headers.get("Content-Length", file.tell()))
        if file.tell() != expected:
            raise OSError(f"{file.tell()} of {expected} bytes arrived")
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


def of_length(content: bytes, expected: int) -> bytes:
    """Return `content`, or raise an OSError unless it has `expected` bytes."""
    if len(content) != expected:
        raise OSError(f"{len(content)} of {expected} bytes arrived")
    return content


def _session() -> requests.Session:
    """One connection pool per thread and process: a pool must not cross a fork."""
    import requests

    if getattr(_connections, "process", None) != os.getpid():
        _connections.process, _connections.session = os.getpid(), requests.Session()
    return _connections.session


@contextmanager
def _get(location: str, headers: dict[str, str]) -> Iterator[requests.Response]:
    """A GET whose body is not read yet.

    `Accept-Encoding: identity` keeps byte counts those of the file.
    """
    response = _session().get(
        location, headers={"Accept-Encoding": "identity", **headers}, stream=True, timeout=_TIMEOUT_SECONDS
    )
    with response:
        if response.status_code in (404, 410):
            raise FileNotFoundError(
                f"{without_credentials(location)} does not exist (http status {response.status_code})"
            )
        response.raise_for_status()
        yield response


def _chunks(response: requests.Response) -> Iterator[bytes]:
    """The body as it arrives; an OSError where the connection breaks or stalls."""
    from urllib3.exceptions import HTTPError

    pace = Pace()
    try:
        while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
            pace.add(len(chunk))
            yield chunk
    except HTTPError as error:
        raise OSError(str(error)) from error
