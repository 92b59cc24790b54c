"""Files that stay open between two reads, and are closed in the end."""

import atexit
import os
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

from .storage import Storage

__all__ = ["OpenFiles", "kept_open"]


class Closable(Protocol):
    """What holds something of the system until it is closed."""

    def close(self) -> None: ...


Opened = TypeVar("Opened", bound=Closable)


class OpenFiles(Generic[Opened]):
    """The files that were used last, kept open; those that have to make room are closed, and all when Python ends.

    Args:
        limit: how many are kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._files: OrderedDict[Hashable, Opened] = OrderedDict()
        atexit.register(self.close)

    def get(self, key: Hashable, open_file: Callable[[], Opened]) -> Opened:
        """The file of a key, opened if it is not. Each process has its own: file positions survive a fork."""
        key = (key, os.getpid())
        if key not in self._files:
            self._files[key] = open_file()
        self._files.move_to_end(key)
        while len(self._files) > self._limit:
            self._files.popitem(last=False)[1].close()
        return self._files[key]

    def close(self) -> None:
        """Close all files."""
        while self._files:
            self._files.popitem()[1].close()


_SHARDS: OpenFiles = OpenFiles(8)


def kept_open(storage: Storage, location: str, open_file: Callable[[], Opened]) -> Opened:
    """The shard at a location, opened if it is not or was written anew since."""
    return _SHARDS.get((storage, location, storage.stamp(location)), open_file)
