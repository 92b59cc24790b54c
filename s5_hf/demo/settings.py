"""How large the demonstration is."""

from dataclasses import dataclass

__all__ = ["DemoSettings"]

_LARGEST_CROP = 96
_PATCH = 16


@dataclass(frozen=True)
class DemoSettings:
    """Sizes of a demonstration. The defaults take some minutes on two cores.

    Attributes:
        seed: of all data and all trainings.
        size: side of the images in pixels, from 64.
        labelled: training images with labels of each of the two datasets, from 4.
        validation: validation images of each, from 1.
        archive: good images of the archive, from 8.
        steps: of every training, from 2.
        scene: side in pixels of the scene that is mapped at the end, from 64.
        shores: training tiles of the comparison beside the chain, of which a few have labels; from 8, or 0 for no
            comparison.

    Raises:
        ValueError: for a number that is too small.
    """

    seed: int = 0
    size: int = 192
    labelled: int = 16
    validation: int = 8
    archive: int = 48
    steps: int = 200
    scene: int = 640
    shores: int = 75

    def __post_init__(self) -> None:
        least = {
            "seed": 0,
            "size": 64,
            "labelled": 4,
            "validation": 1,
            "archive": 8,
            "steps": 2,
            "scene": 64,
            "shores": 0,
        }
        for name, smallest in least.items():
            if getattr(self, name) < smallest:
                raise ValueError(f"{name} of the demonstration must be at least {smallest}, got {getattr(self, name)}")
        if self.shores and self.shores < 8:
            raise ValueError(f"shores of the demonstration must be at least 8, or 0 for none, got {self.shores}")

    @property
    def crop(self) -> int:
        """Side of the training crops in pixels."""
        return min(_LARGEST_CROP, self.size // _PATCH * _PATCH)

    @property
    def target(self) -> int:
        """Images to choose from the archive."""
        return round(0.75 * self.archive)
