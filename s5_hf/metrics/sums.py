"""Counts that add up over images, tiles and processes.

Such dataclasses look alike because they are lists of sums, with the scores that follow from them.
"""

from dataclasses import fields
from typing import TypeVar

__all__ = ["Sums"]

AnySums = TypeVar("AnySums", bound="Sums")


class Sums:
    """Base of dataclasses whose fields are numbers: they add up field by field."""

    def __add__(self: AnySums, other: AnySums) -> AnySums:
        return type(self)(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))
