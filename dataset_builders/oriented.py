"""Your own images with oriented boxes in DOTA text files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .builder import BuilderConfig
from .detection_builder import DetectionBuilder, DetectionReader
from .layouts import find_records
from .options import require_names


@dataclass
class OrientedConfig(BuilderConfig):
    """Options beyond those of every builder.

    Attributes:
        classes: class names in the order of their ids. Needed.
        ignored_classes: class names whose objects are left out.
    """

    classes: Sequence[str] | None = None
    ignored_classes: Sequence[str] = ()

    def check(self) -> None:
        super().check()
        if self.classes is not None:
            require_names("classes", self.classes)
        require_names("ignored_classes", self.ignored_classes)


class Oriented(DetectionBuilder):
    """`{train,val,test}/images` and `labelTxt`, or `images` and `labelTxt` without splits (all in train)."""

    BUILDER_CONFIG_CLASS = OrientedConfig
    BUILDER_CONFIGS = (OrientedConfig(name="default"),)
    DATASET = "s5-oriented"

    @property
    def labels(self) -> tuple[str, ...]:
        if not self.config.classes:
            raise ValueError(f"{self.DATASET} needs classes=[...]; the annotations name {self._annotated_classes()}")
        return tuple(self.config.classes)

    def reader(self, root: str) -> DetectionReader:
        return DetectionReader(self.storage, root, self.PARSER, self.labels, tuple(self.config.ignored_classes))

    def _annotated_classes(self) -> list[str]:
        root = self.root()
        reader = DetectionReader(self.storage, root, self.PARSER, ())
        _, splits = find_records(self.layouts(), self.list_files(root), root, self.DATASET)
        paths = [label for records in splits.values() for _, label, _ in records if label]
        return sorted({found.category for path in paths for found in reader.objects(path)})
