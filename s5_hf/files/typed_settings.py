"""Settings as dataclasses, made of the mappings that recipes hold."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import TypeVar

__all__ = ["settings_from"]

Settings = TypeVar("Settings")


def settings_from(kind: type[Settings], values: object, place: str) -> Settings:
    """A settings dataclass from a mapping, with checked keys and types.

    Raises:
        ValueError: naming the key, the value seen and what was expected.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{place} must be a mapping of names to values, got {values!r}")
    known = {entry.name: entry for entry in fields(kind)}
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f", did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"
            raise ValueError(f"{place} has an unknown key {key!r}{hint}")
    missing = [
        name
        for name, entry in known.items()
        if entry.default is MISSING and entry.default_factory is MISSING and name not in values
    ]
    if missing:
        raise ValueError(f"{place} lacks {', '.join(missing)}")
    hints = typing.get_type_hints(kind)
    for key, value in values.items():
        if not _fits(value, hints[key]):
            raise ValueError(f"{place}.{key} must be {_type_name(hints[key])}, got {value!r}")
    return kind(**values)


def _fits(value: object, hint: object) -> bool:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return any(_fits(value, argument) for argument in arguments)
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(item, arguments[0]) for item in value)
    if origin is not None and issubclass(origin, Mapping):
        return isinstance(value, Mapping)
    if origin is not None:  # a sequence
        return isinstance(value, list | tuple) and all(_fits(item, arguments[0]) for item in value)
    if hint in (int, float):
        return isinstance(value, int if hint is int else int | float) and not isinstance(value, bool)
    return value is None if hint is type(None) else isinstance(value, hint)


def _type_name(hint: object) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("collections.abc.", "")
