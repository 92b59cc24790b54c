"""What `prepare_scenes` gives back."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["PartCount", "PreparedScenes"]


@dataclass(frozen=True)
class PartCount:
    """What one part came to.

    Attributes:
        part: "train", "val" or "test".
        tiles: written.
        empty: tiles left out because they hold no data or no label.
        class_pixels: labelled pixels of each class, by name.
        ignored: pixels without a class.
    """

    part: str
    tiles: int
    empty: int
    class_pixels: dict[str, int]
    ignored: int

    def share(self, name: str) -> float:
        """Share of a class among the labelled pixels, in 0..1."""
        return self.class_pixels[name] / max(1, sum(self.class_pixels.values()))


@dataclass(frozen=True)
class PreparedScenes:
    """The result of `prepare_scenes`.

    Attributes:
        folder: the `data_dir` of `load_dataset("s5-image-mask", ...)`.
        classes: names in the order of their ids.
        parts: counts of each part that has tiles, those of earlier runs included.
        skipped: blocks of tiles that an earlier run had finished.
        warnings: what a user should know, a sentence each.
    """

    folder: Path
    classes: tuple[str, ...]
    parts: tuple[PartCount, ...]
    skipped: int
    warnings: tuple[str, ...]
