"""Options of builders as users give them, on the command line as JSON: refused where they are of another kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral, Real

__all__ = [
    "require_bands",
    "require_colors",
    "require_mapping",
    "require_names",
    "require_number",
    "require_splits",
    "require_whole_number",
    "require_whole_numbers",
]


def require_bands(option: str, value: object) -> None:
    """Raise a ValueError unless `value` is a list of different bands: numbers from 1, or names."""
    known = _is_list(value) and all(
        (_is_whole(band) and band >= 1) or (isinstance(band, str) and band) for band in value
    )
    if not known or not value:
        raise ValueError(
            f'{option} must be a list of numbers from 1 or names, such as {option}=[4, "red"], got {value!r}'
        )
    if len(set(value)) != len(value):
        raise ValueError(f"{option} holds a band twice: {list(value)}")


def require_number(option: str, value: object) -> None:
    """Raise a ValueError unless `value` is a number; NaN is one."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError(f"{option} must be a number, got {value!r}")


def require_names(option: str, value: object) -> None:
    """Raise a ValueError unless `value` is a list of different names."""
    if not _is_list(value) or not all(isinstance(name, str) and name for name in value):
        raise ValueError(f'{option} must be a list of names, such as {option}=["land", "water"], got {value!r}')
    if len(set(value)) != len(value):
        raise ValueError(f"{option} holds a name twice: {list(value)}")


def require_splits(option: str, value: Sequence[str], known: Sequence[str]) -> None:
    """Raise a ValueError unless all splits in `value` are known."""
    if unknown := sorted(set(value) - set(known)):
        raise ValueError(f"{option} names the split {unknown[0]!r}; known: {', '.join(known)}")


def require_whole_numbers(option: str, value: object) -> None:
    """Raise a ValueError unless `value` is a list of whole numbers."""
    if not _is_list(value) or not all(_is_whole(number) for number in value):
        raise ValueError(f"{option} must be a list of whole numbers, such as {option}=[0, 255], got {value!r}")


def require_colors(option: str, value: object) -> None:
    """Raise a ValueError unless `value` is a list of colours, three whole numbers from 0 to 255 each."""
    if not _is_list(value) or not all(_is_color(color) for color in value):
        raise ValueError(f"{option} must be a list of colours, such as {option}=[[0, 0, 255]], got {value!r}")


def require_mapping(option: str, value: object) -> None:
    """Raise a ValueError unless `value` maps whole numbers (also as text, as in JSON) to whole numbers."""
    if not isinstance(value, Mapping) or not all(_is_digits(key) and _is_digits(value[key]) for key in value):
        raise ValueError(f'{option} must map numbers to numbers, such as {option}={{"7": 1}}, got {value!r}')


def require_whole_number(option: str, value: object, least: int, most: int) -> None:
    """Raise a ValueError unless `value` is a whole number in a range."""
    if not _is_whole(value) or not least <= value <= most:
        raise ValueError(f"{option} must be a whole number between {least} and {most}, got {value!r}")


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_digits(value: object) -> bool:
    return _is_whole(value) or (isinstance(value, str) and value.isdigit())


def _is_color(value: object) -> bool:
    return _is_list(value) and len(value) == 3 and all(_is_whole(level) and 0 <= level <= 255 for level in value)
