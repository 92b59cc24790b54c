"""Options of the builders of users' own masks: class names, and how masks hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .builder import BandConfig
from .masks import MaskEncoding
from .options import require_colors, require_mapping, require_names, require_whole_number, require_whole_numbers


@dataclass
class MaskConfig(BandConfig):
    """Options beyond those of every builder of images of any depth.

    Attributes:
        classes: class names in the order of their ids; by default those that `dataset.json` in the folder names.
        ignore_values: stored mask values without a class; they become `ignore_index`.
        value_map: stored mask value -> class id, where the masks do not hold class ids.
        colours: RGB colour of each class in the order of the ids, for colour masks.
        ignore_index: value of pixels without a class.
    """

    classes: Sequence[str] | None = None
    ignore_values: Sequence[int] = ()
    value_map: Mapping[int, int] | None = None
    colours: Sequence[Sequence[int]] | None = None
    ignore_index: int = 255

    def check(self) -> None:
        super().check()
        require_whole_number("ignore_index", self.ignore_index, 0, 255)
        require_whole_numbers("ignore_values", self.ignore_values)
        for option, require in (
            ("classes", require_names),
            ("value_map", require_mapping),
            ("colours", require_colors),
        ):
            if getattr(self, option) is not None:
                require(option, getattr(self, option))

    def encoding(self) -> MaskEncoding:
        """How the masks encode class ids.

        Raises:
            ValueError: if options contradict each other.
        """
        if self.classes is not None and self.ignore_index < len(self.classes):
            raise ValueError(
                f"ignore_index {self.ignore_index} is the id of class {self.classes[self.ignore_index]!r}"
            )
        colors = {tuple(color): index for index, color in enumerate(self.colours or ())}
        return MaskEncoding(self._stored_values(), colors)

    def _stored_values(self) -> dict[int, int] | None:
        """Stored value -> class id; `None` where the masks hold class ids."""
        ignored = {int(value): self.ignore_index for value in self.ignore_values}
        if self.value_map is not None:
            return {**{int(value): int(index) for value, index in self.value_map.items()}, **ignored}
        if all(value == index for value, index in ignored.items()):
            return None
        ids = range(len(self.classes) if self.classes is not None else 256)
        return {**{value: value for value in ids}, self.ignore_index: self.ignore_index, **ignored}
