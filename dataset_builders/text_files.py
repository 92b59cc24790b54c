"""Small text files of a dataset: lists, tables and annotations."""

from __future__ import annotations

from .errors import SampleError
from .storage import Storage


def read_text(storage: Storage, location: str) -> str:
    """The text at `location`, without a byte order mark.

    Raises:
        FileNotFoundError: if there is no such file.
        SampleError: if it is not UTF-8 text.
    """
    try:
        return storage.read(location).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SampleError(f"{location}: not UTF-8 text ({error.reason} at byte {error.start})") from error
