"""Reading files from a local folder, an http(s) server or any fsspec file system (such as hf://) in one way.

A location is a string: a local path or a URL. Remote reads ask for byte ranges, are checked for their length and are
tried again when the connection breaks or stalls.
"""

from __future__ import annotations

import io
import json
import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar
from urllib.parse import quote, unquote

from .credentials import without_credentials
from .errors import DamagedShardError, ShardReadError
from .pace import Pace

if TYPE_CHECKING:
    import requests

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

INDEX_FILE = "index.json"
"""Lists the files or shards of a folder, for servers that list no folders. Written by `shard_index.write_index`."""

_TIMEOUT_SECONDS = 30
_READ_AHEAD_BYTES = 1 << 20
_connections = threading.local()


def is_remote(location: str) -> bool:
    """Whether `location` is a URL."""
    return "://" in location


def is_http(location: str) -> bool:
    """Whether `location` is an http or https URL."""
    return location.startswith(("http://", "https://"))


def join(root: str, *parts: str) -> str:
    """`parts` (posix-style relative paths) under `root`, a folder or URL prefix."""
    if is_http(root):
        return "/".join([root.rstrip("/"), *(quote(part.strip("/")) for part in parts)])
    if is_remote(root):
        return "/".join([root.rstrip("/"), *(part.strip("/") for part in parts)])
    return str(Path(root, *parts))


def read_index(storage: Storage, location: str) -> dict[str, list]:
    """The index of a folder at `location`: `files`, a list of names, and `shards`, a list of objects with `file`.

    Raises:
        DamagedShardError: if it is something else, such as the page of a server that answers everything.
    """
    content = storage.read(location)
    try:
        index = {"files": [], "shards": [], **json.loads(content)}
        if not all(isinstance(name, str) for name in index["files"]):
            raise TypeError("files must be names")
        for shard in index["shards"]:
            numbers = [*shard.get("rows", ()), *(number for span in shard.get("spans", ()) for number in span)]
            if not isinstance(shard["file"], str) or not all(isinstance(number, int) for number in numbers):
                raise TypeError(f"not a shard: {str(shard)[:100]}")
            if any(len(span) != 3 for span in shard.get("spans", ())):
                raise ValueError(f"spans are not start, stop and samples: {str(shard)[:100]}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedShardError(
            f"{location} is not an index of files and shards ({error}); it begins with {content[:40]!r}"
        ) from error
    return index


@dataclass(frozen=True)
class Storage:
    """How to read: how often a broken read is tried again, and with which credentials.

    Attributes:
        attempts: tries per read before `ShardReadError` is raised, at least 1.
        wait: seconds before the second try; doubled after each further one.
        token: Hub token for hf:// locations, `None` for the one stored by `hf auth login`.
    """

    attempts: int = 5
    wait: float = 1.0
    token: str | None = None

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"attempts must be at least 1, got {self.attempts}")

    def exists(self, location: str) -> bool:
        """Whether there is a file at `location`."""
        try:
            return self.size(location) is not None
        except FileNotFoundError:
            return False

    def size(self, location: str) -> int | None:
        """Bytes of the file at `location`; -1 where a server does not tell. Raises FileNotFoundError."""
        if not is_remote(location):
            return Path(location).stat().st_size if Path(location).is_file() else None
        if is_http(location):
            return self._probe(location)[0]
        file_system, path = self._file_system(location)
        return file_system.size(path) if file_system.isfile(path) else None

    def read(self, location: str) -> bytes:
        """All bytes of the file at `location`."""
        if not is_remote(location):
            return Path(location).read_bytes()
        if is_http(location):
            return self._retry(location, lambda: self._get_whole(location))
        file_system, path = self._file_system(location)
        return self._retry(location, lambda: file_system.cat_file(path))

    def read_range(self, location: str, start: int, stop: int) -> bytes:
        """Bytes `start` to `stop` (exclusive) of the file at `location`."""
        if not is_remote(location):
            with Path(location).open("rb") as file:
                file.seek(start)
                return file.read(stop - start)
        if is_http(location):
            return self._retry(location, lambda: self._get_range(location, start, stop))
        file_system, path = self._file_system(location)

        def fetch() -> bytes:
            # Without its cache the file fetches the range alone, not some megabytes more.
            with file_system.open(path, "rb", cache_type="none") as file:
                file.seek(start)
                return _of_length(file.read(stop - start), stop - start)

        return self._retry(location, fetch)

    def stamp(self, location: str) -> tuple[int, int]:
        """What changes when a local file is written anew: size and time. (0, 0) for remote ones."""
        if is_remote(location):
            return 0, 0
        status = Path(location).stat()
        return status.st_size, status.st_mtime_ns

    def open(self, location: str) -> BinaryIO:
        """A seekable binary file. Without byte ranges on the server it is first copied to a temporary file."""
        if not is_remote(location):
            return Path(location).open("rb")
        if is_http(location):
            size, has_ranges = self._probe(location)
            if not has_ranges:
                shown = without_credentials(location)
                logger.warning("%s: the server sends no byte ranges, so the whole file is downloaded", shown)
                return self._retry(location, lambda: self._download(location))
            return RangeFile(self, location, size)
        file_system, path = self._file_system(location)
        return RangeFile(self, location, file_system.size(path))

    def list_files(self, root: str) -> list[str]:
        """Relative posix paths of all files below `root`, sorted.

        An http server is asked for `index.json`, then for an HTML listing.

        Raises:
            FileNotFoundError: if the folder does not exist or cannot be listed.
        """
        if not is_remote(root):
            return _list_local(root)
        if is_http(root):
            return self._list_http(root)
        file_system, path = self._file_system(root)
        if not file_system.isdir(path):
            raise FileNotFoundError(f"no folder {without_credentials(root)}")
        prefix = path.rstrip("/") + "/"
        return sorted(name.removeprefix(prefix).lstrip("/") for name in file_system.find(path))

    def _list_http(self, root: str) -> list[str]:
        index = join(root, INDEX_FILE)
        if self.exists(index):
            content = read_index(self, index)
            return sorted([*content["files"], *(shard["file"] for shard in content["shards"])])
        import fsspec

        file_system = fsspec.filesystem("http")
        prefix = root.rstrip("/") + "/"
        try:
            found = file_system.find(prefix)
        except OSError as error:
            raise FileNotFoundError(without_credentials(f"{root} cannot be listed: {error}")) from None
        names = sorted(unquote(url.removeprefix(prefix)) for url in found if url.startswith(prefix))
        if not names:
            raise FileNotFoundError(f"{without_credentials(root)} lists no files")
        return names

    def _file_system(self, location: str) -> tuple:
        import fsspec

        options = {"token": self.token} if self.token and location.startswith("hf://") else {}
        return fsspec.core.url_to_fs(location, **options)

    def _retry(self, location: str, action: Callable[[], Result]) -> Result:
        """Run `action` until it succeeds; a missing file is not tried again."""
        wait = self.wait
        for attempt in range(1, self.attempts + 1):
            try:
                return action()
            except FileNotFoundError:
                raise
            except OSError as error:
                if attempt == self.attempts:
                    raise ShardReadError(f"reading {location} failed {attempt} times, last: {error}") from None
                problem = without_credentials(f"reading {location} failed ({error})")
                logger.warning("%s, attempt %d of %d", problem, attempt, self.attempts)
                time.sleep(wait)
                wait *= 2
        raise AssertionError("unreachable: the loop returns or raises")

    def _probe(self, location: str) -> tuple[int, bool]:
        """Size of a file on an http server (-1 where it does not tell) and whether it serves byte ranges."""

        def probe() -> tuple[int, bool]:
            with _http_get(location, headers={"Range": "bytes=0-0"}) as response:
                if response.status_code == 206:
                    return int(response.headers["Content-Range"].rpartition("/")[2]), True
                return int(response.headers.get("Content-Length", -1)), False

        return self._retry(location, probe)

    def _get_whole(self, location: str) -> bytes:
        with _http_get(location, headers={}) as response:
            content = b"".join(_chunks(response))
            return _of_length(content, int(response.headers.get("Content-Length", len(content))))

    def _get_range(self, location: str, start: int, stop: int) -> bytes:
        with _http_get(location, headers={"Range": f"bytes={start}-{stop - 1}"}) as response:
            if response.status_code != 206:
                raise ShardReadError(f"{location}: the server stopped sending byte ranges")
            return _of_length(b"".join(_chunks(response)), stop - start)

    def _download(self, location: str) -> BinaryIO:
        file = tempfile.TemporaryFile(prefix="s5-shard-")  # noqa: SIM115 - it is handed to the caller
        try:
            with _http_get(location, headers={}) as response:
                file.writelines(_chunks(response))
                expected = int(response.headers.get("Content-Length", file.tell()))
            if file.tell() != expected:
                raise OSError(f"{file.tell()} of {expected} bytes arrived")
        except BaseException:
            file.close()
            raise
        file.seek(0)
        return file


class RangeFile(io.RawIOBase):
    """A remote file as a read-only, seekable file object that fetches byte ranges through a `Storage`."""

    def __init__(self, storage: Storage, location: str, size: int) -> None:
        super().__init__()
        self._storage, self._location, self._size = storage, location, size
        self._position = self._start = 0
        self._buffer = b""

    def prefetch(self, start: int, stop: int) -> None:
        """Fetch bytes `start` to `stop` in one request, for the reads that follow."""
        self._start, self._buffer = start, self._storage.read_range(self._location, start, min(stop, self._size))

    def forget(self) -> None:
        """Let go of what was fetched ahead."""
        self._start, self._buffer = 0, b""

    def readall(self) -> bytes:
        return self.read(self._size - self._position)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, target: memoryview) -> int:
        count = max(0, min(len(target), self._size - self._position))
        if count == 0:
            return 0
        begin = self._position - self._start
        if not (begin >= 0 and begin + count <= len(self._buffer)):
            self.prefetch(self._position, self._position + max(count, _READ_AHEAD_BYTES))
            begin = 0
        target[:count] = self._buffer[begin : begin + count]
        self._position += count
        return count


def _list_local(root: str) -> list[str]:
    folder = Path(root)
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {root}")
    found = []
    for directory, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        relative = Path(directory).relative_to(folder).as_posix()
        prefix = "" if relative == "." else f"{relative}/"
        found += [prefix + name for name in names if not name.startswith(".")]
    return sorted(found)


def _of_length(content: bytes, expected: int) -> bytes:
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
def _http_get(location: str, headers: dict[str, str]) -> Iterator[requests.Response]:
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
    """The body as it arrives; an OSError where the connection breaks or hardly brings anything."""
    from urllib3.exceptions import HTTPError

    pace = Pace()
    try:
        while chunk := response.raw.read1(_READ_AHEAD_BYTES, decode_content=True):
            pace.add(len(chunk))
            yield chunk
    except HTTPError as error:
        raise OSError(str(error)) from error
