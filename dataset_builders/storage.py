"""Reading files from a local folder, an http(s) server or any fsspec file system (such as hf://) in one way.

A location is a string: a local path or a URL. Remote reads ask for byte ranges, are checked for their length and are
tried again when the connection breaks or stalls.

What fsspec does here: it finds and reads all file systems except two, lists folders of http servers, and its buffered
file with the read-ahead cache serves remote files (`RangeFile`). What it lacks, as of version 2026.9:

- Its http file system is as fast, but tries nothing again and knows no slowest pace: it waits for a server that
  trickles until the limit of the whole request, 5 minutes, which also ends large transfers over slow lines. Where a
  server ignores ranges, `cat_file(url, 0, 10)` returns the whole file; a broken connection raises an error of aiohttp
  that is not an OSError; and the size of a file takes a HEAD request, which signed URLs refuse. So `http_files` makes
  the requests.
- Whole-file caches (`filecache`, `simplecache`) download a shard before its first sample; streams read a shard's
  blocks once per epoch and must not fill the disk. `blockcache` fetches blocks of one size, a row group takes several.
- Its local file system looks up the status of each file that it lists; archives of a million images only need names.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar
from urllib.parse import quote, unquote

import fsspec
from fsspec.spec import AbstractBufferedFile

from . import http_files
from .credentials import without_credentials
from .errors import SampleError, ShardReadError
from .shard_format import INDEX_FILE, parse_index

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

_READ_AHEAD_BYTES = 1 << 20


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
            return self._retry(location, lambda: http_files.probe(location))[0]
        file_system, path = self._file_system(location)
        return file_system.size(path) if file_system.isfile(path) else None

    def read(self, location: str) -> bytes:
        """All bytes of the file at `location`."""
        if not is_remote(location):
            return Path(location).read_bytes()
        if is_http(location):
            return self._retry(location, lambda: http_files.get_whole(location))
        file_system, path = self._file_system(location)
        return self._retry(location, lambda: file_system.cat_file(path))

    def read_text(self, location: str) -> str:
        """The text at `location`, without a byte order mark.

        Raises:
            FileNotFoundError: if there is no such file.
            SampleError: if it is not UTF-8 text.
        """
        try:
            return self.read(location).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise SampleError(f"{location}: not UTF-8 text ({error.reason} at byte {error.start})") from error

    def read_range(self, location: str, start: int, stop: int) -> bytes:
        """Bytes `start` to `stop` (exclusive) of the file at `location`."""
        if not is_remote(location):
            with Path(location).open("rb") as file:
                file.seek(start)
                return file.read(stop - start)
        if is_http(location):
            return self._retry(location, lambda: http_files.get_range(location, start, stop))
        file_system, path = self._file_system(location)

        def fetch() -> bytes:
            # Without its cache the file fetches the range alone, not some megabytes more.
            with file_system.open(path, "rb", cache_type="none") as file:
                file.seek(start)
                return http_files.of_length(file.read(stop - start), stop - start)

        return self._retry(location, fetch)

    def stamp(self, location: str) -> tuple[int, int]:
        """What changes when a local file is rewritten: size and time. (0, 0) for remote ones."""
        if is_remote(location):
            return 0, 0
        status = Path(location).stat()
        return status.st_size, status.st_mtime_ns

    def open(self, location: str) -> BinaryIO:
        """A seekable binary file. Without byte ranges on the server it is first copied to a temporary file."""
        if not is_remote(location):
            return Path(location).open("rb")
        if is_http(location):
            size, has_ranges = self._retry(location, lambda: http_files.probe(location))
            if not has_ranges:
                shown = without_credentials(location)
                logger.warning("%s: the server sends no byte ranges, so the whole file is downloaded", shown)
                return self._retry(location, lambda: http_files.download(location))
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
            content = parse_index(self.read(index), index)
            return sorted([*content["files"], *(shard["file"] for shard in content["shards"])])
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


class RangeFile(AbstractBufferedFile):
    """A remote file as a seekable file object with fsspec's read-ahead cache, filled through a `Storage`."""

    def __init__(self, storage: Storage, location: str, size: int) -> None:
        super().__init__(None, location, block_size=_READ_AHEAD_BYTES, size=size)
        self._storage = storage

    def prefetch(self, start: int, stop: int) -> None:
        """Fetch bytes `start` to `stop` in one request, for the reads that follow."""
        stop = min(stop, self.size)
        self.cache.cache = self._fetch_range(start, stop)
        self.cache.start, self.cache.end = start, stop

    def forget(self) -> None:
        """Let go of what was fetched ahead."""
        self.cache.start, self.cache.end, self.cache.cache = 0, 0, b""

    def _fetch_range(self, start: int, end: int) -> bytes:
        return self._storage.read_range(self.path, start, end)


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
