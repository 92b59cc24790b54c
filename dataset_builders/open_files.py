"""Shards that stay open between two reads, and are closed in the end."""

import atexit
import os
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Protocol, TypeVar

from .storage import Storage

__all__ = ["kept_open"]

_MOST_FILES = 8


class Closable(Protocol):
    """What holds a resource of the system until it is closed."""

    def close(self) -> None: ...


Opened = TypeVar("Opened", bound=Closable)
_files: OrderedDict[Hashable, Closable] = OrderedDict()


def kept_open(storage: Storage, location: str, open_file: Callable[[], Opened]) -> Opened:
    """The shard at a location, opened if it is not open yet, or was rewritten since.

    The shards that were used last stay open; those that have to make room are closed, and all when Python ends. Each
    process has its own: file positions survive a fork.
    """
    key = storage, location, storage.stamp(location), os.getpid()
    if key not in _files:
        _files[key] = open_file()
    _files.move_to_end(key)
    while len(_files) > _MOST_FILES:
        _files.popitem(last=False)[1].close()
    return _files[key]


@atexit.register
def _close_all() -> None:
    while _files:
        _files.popitem()[1].close()
