"""Your own images, of any number of bands and any depth, with oriented boxes in DOTA text files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from datasets import Features

from .builder import BandConfig
from .detection_builder import DetectionBuilder, DetectionReader
from .features import detection_features
from .layouts import find_records
from .options import require_names
from .shards import Shard


@dataclass
class OrientedConfig(BandConfig):
    """Options beyond those of every builder of images of any depth.

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

    def columns(self) -> Features:
        return detection_features(self.labels, self.config.reading.column)

    def reader(self, root: str) -> DetectionReader:
        ignored, bands = tuple(self.config.ignored_classes), self.config.reading
        return DetectionReader(self.storage, root, self.PARSER, self.labels, ignored, bands=bands)

    def find_file_shards(self, root: str, files: Sequence[str]) -> dict[str, list[Shard]]:
        found = super().find_file_shards(root, files)
        first = next(shard for shards in found.values() for shard in shards)
        reader = first.reader.matching(first.records[0])
        return {split: [replace(shard, reader=reader) for shard in shards] for split, shards in found.items()}

    def _annotated_classes(self) -> list[str]:
        root = self.root()
        reader = DetectionReader(self.storage, root, self.PARSER, ())
        _, splits = find_records(self.layouts(), self.list_files(root), root, self.DATASET)
        paths = [label for records in splits.values() for _, label, _ in records if label]
        return sorted({found.category for path in paths for found in reader.objects(path)})
