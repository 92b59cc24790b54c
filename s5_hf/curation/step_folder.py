"""What the steps share: a JSON file in a step's folder says how its content was made.

Later steps read these facts, and a run that is repeated compares them before it resumes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..files.atomic import write_text
from ..files.json_files import read_json_object

__all__ = ["claim_folder", "first_difference", "read_facts", "write_facts"]


def write_facts(file: Path, facts: Mapping[str, Any]) -> None:
    """Write the facts of a step."""
    write_text(file, json.dumps(facts, indent=1))


def read_facts(file: Path, content: str, command: str) -> dict[str, Any]:
    """The facts of a finished step.

    Args:
        file: where they are.
        content: what the folder should hold, in a word.
        command: of `s5-hf curate`, which makes it.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file.parent} holds no {content} (no {file.name}): run s5-hf curate {command} first")
    return read_json_object(file)


def claim_folder(file: Path, facts: Mapping[str, Any], other: str) -> None:
    """Write the facts of a step that begins, or check that the folder was begun with the same.

    Args:
        file: for the facts.
        facts: all that the content of the folder depends on.
        other: what the folder holds if its facts differ, in words.

    Raises:
        ValueError: if they differ.
    """
    if not file.is_file():
        write_facts(file, facts)
        return
    found = read_json_object(file)
    key = first_difference(found, facts)
    if key is not None:
        raise ValueError(
            f"{file.parent} holds {other}: its {key} was {found.get(key)!r}, now it is {facts[key]!r}. "
            "Choose another folder or remove this one"
        )


def first_difference(found: Mapping[str, Any], expected: Mapping[str, Any]) -> str | None:
    """The first expected key that was not found, or with another value."""
    return next((key for key in expected if found.get(key) != expected[key]), None)
