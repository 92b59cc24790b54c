"""`dataset.json`: what a folder of prepared tiles says of itself, such as its classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .storage import is_remote

DESCRIPTION_FILE = "dataset.json"


def read_description(folder: str | Path) -> dict[str, Any] | None:
    """What the file of a local folder says; None where there is none, and of remote folders.

    Raises:
        ValueError: the file does not hold a list of class names.
    """
    path = Path(str(folder).removeprefix("file://")).expanduser() / DESCRIPTION_FILE
    if is_remote(str(folder)) or not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    classes = content.get("classes") if isinstance(content, dict) else None
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise ValueError(f"{path} does not describe a dataset: expected an object with a list of classes")
    return content


def described_classes(folder: str | Path | None) -> tuple[str, ...]:
    """The classes that a folder names in the order of their ids; empty where it names none.

    Raises:
        ValueError: as `read_description`.
    """
    description = None if folder is None else read_description(folder)
    return () if description is None else tuple(description["classes"])
