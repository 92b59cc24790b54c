"""Tables of samples as CSV files with a header line."""

from __future__ import annotations

import csv
import io
import posixpath
from collections.abc import Sequence

from .errors import LayoutError, SampleError


def rows_of(text: str, name: str, needed: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """(place for messages, values by column) of each row; with the line endings of any system.

    Args:
        text: content of the file.
        name: of the file, for messages.
        needed: columns that every row fills.

    Raises:
        SampleError: if a column or a value is missing, or there are no rows.
    """
    reader = csv.DictReader(io.StringIO(text, newline=None))
    rows = []
    try:
        missing = set(needed) - set(reader.fieldnames or ())
        if missing:
            expected = f"{', '.join(needed[:-1])} and {needed[-1]}"
            raise SampleError(f"{name}, line 1: expected a header with {expected}, got {reader.fieldnames}")
        for row in reader:
            place = f"{name}, line {reader.line_num}"
            if None in row or not all(row[column] for column in needed):
                described = " and ".join(f"{'an' if column[0] in 'aeiou' else 'a'} {column}" for column in needed)
                raise SampleError(f"{place}: expected {described}, got {row}")
            rows.append((place, row))
    except csv.Error as error:
        raise SampleError(f"{name}, line {reader.line_num}: not a CSV table ({error})") from error
    if not rows:
        raise SampleError(f"{name} names no samples")
    return rows


def listed_path(written: str, available: set[str], place: str) -> str:
    """The file that a table means, by a path from the data directory; backslashes and `./` are understood.

    Raises:
        LayoutError: if there is no such file below the data directory.
    """
    if written in available:
        return written
    path = posixpath.normpath(written.replace("\\", "/"))
    if path.startswith(("../", "/")):
        raise LayoutError(f"{place}: {written} is not below the data directory, from which paths count")
    if path not in available:
        raise LayoutError(f"{place}: there is no file {written}")
    return path
