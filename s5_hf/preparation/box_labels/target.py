"""Where labels are written to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .labelled_images import BoxNotes, LabelledImage

__all__ = ["LabelTarget", "number"]

NO_DIFFICULT = "marks of difficult objects, which the format does not have"


@dataclass(frozen=True)
class LabelTarget:
    """Labels to be written.

    Attributes:
        folder: an empty one.
        images: with their boxes.
        classes: class names in the order of their ids.
        notes: takes what is lost.
    """

    folder: Path
    images: Sequence[LabelledImage]
    classes: tuple[str, ...]
    notes: BoxNotes

    def size_of(self, image: LabelledImage) -> tuple[int, int]:
        """Height and width of an image.

        Raises:
            ValueError: they are not known.
        """
        if image.size is None:
            raise ValueError(
                f"the size of the image {image.name} is not known: give the folder of the images (--images)"
            )
        return image.size

    def write(self, name: str, text: str) -> None:
        """Write a file, given by its name below the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")

    def without_difficult(self, image: LabelledImage) -> None:
        """Note what a format without such marks loses."""
        for difficult in image.difficult:
            if difficult:
                self.notes.add(NO_DIFFICULT, image.name)


def number(value: float, decimals: int = 3) -> str:
    """A number with so many digits after the point at most."""
    text = f"{value:.{decimals}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
