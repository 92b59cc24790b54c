"""Other classes than those of a dataset: mask values mapped to the classes of a task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..views.weak import IGNORED

UNMAPPED = -1
IGNORE_WORD = "ignore"


@dataclass(frozen=True)
class ClassMap:
    """From mask values to class ids; 255 is ignored.

    Attributes:
        table: class id of each value from 0 to 255, -1 where there is none.
        task: name for error messages.
    """

    table: tuple[int, ...]
    task: str

    @classmethod
    def parse(cls, entries: Sequence[str], classes: Sequence[str], ignore_index: int, task: str) -> "ClassMap":
        """From entries such as `3:road`, `4:1` or `5:ignore`.

        Args:
            entries: mask value and class, by name or id, or `ignore`.
            classes: of the task.
            ignore_index: mask value that is ignored where no entry names it.
            task: name for error messages.

        Raises:
            ValueError: for a value out of 0..255 or named twice, or a class that the task does not have.
        """
        table = [UNMAPPED] * 256
        for entry in entries:
            value, separator, target = entry.partition(":")
            if not separator or not value.strip().isdigit() or int(value) > 255:
                raise ValueError(f"{task}.class_map: expected VALUE:CLASS with a value from 0 to 255, got {entry!r}")
            if table[int(value)] != UNMAPPED:
                raise ValueError(f"{task}.class_map names the mask value {int(value)} twice")
            table[int(value)] = class_id(target.strip(), classes, task)
        for value in (ignore_index, IGNORED):
            if table[value] == UNMAPPED:
                table[value] = IGNORED
        return cls(tuple(table), task)

    @classmethod
    def from_values(cls, values: Mapping[str | int, int], task: str) -> "ClassMap":
        """From mask values and the class ids they become, as a model's configuration holds them."""
        table = [UNMAPPED] * 256
        for value, target in values.items():
            table[int(value)] = int(target)
        return cls(tuple(table), task)

    @property
    def values(self) -> dict[str, int]:
        """Mask values, as text for JSON, and the class ids they become."""
        return {str(value): target for value, target in enumerate(self.table) if target != UNMAPPED}

    def apply(self, mask: np.ndarray, name: str) -> np.ndarray:
        """Class ids of a mask, uint8.

        Raises:
            ValueError: naming values and file, if a value of the mask is not mapped.
        """
        values = np.asarray(mask)
        found = np.asarray(self.table, dtype=np.int16)[values]
        if (found == UNMAPPED).any():
            missing = np.unique(values[found == UNMAPPED])[:10].tolist()
            mapped = [value for value, target in enumerate(self.table) if target != UNMAPPED]
            raise ValueError(
                f"{self.task}.class_map leaves the mask values {missing} of {name} unmapped; it maps {mapped}. "
                "Add VALUE:CLASS or VALUE:ignore"
            )
        return found.astype(np.uint8)


def class_id(target: str, classes: Sequence[str], task: str) -> int:
    """The id of a class given by name or id; 255 for `ignore`.

    Raises:
        ValueError: if the task has no such class.
    """
    if target in classes:
        return list(classes).index(target)
    if target == IGNORE_WORD:
        return IGNORED
    if target.isdigit() and int(target) < len(classes):
        return int(target)
    raise ValueError(
        f"{task}.class_map names the class {target!r}; the classes are {', '.join(classes)}, or '{IGNORE_WORD}'"
    )


@dataclass(frozen=True)
class MappedSamples:
    """Samples whose masks hold the classes of a task."""

    samples: Sequence[Mapping[str, Any]]
    class_map: ClassMap

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        sample = dict(self.samples[index])
        if sample.get("mask") is not None:
            name = getattr(sample["mask"], "filename", "") or repr(str(sample.get("id", index)))
            sample["mask"] = self.class_map.apply(np.asarray(sample["mask"]), name)
        return sample
