"""Your own images and masks: in folders, or named by a CSV file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from datasets import Features

from .csv_tables import listed_path, rows_of
from .description import described_classes
from .errors import LayoutError
from .features import segmentation_features
from .layouts import COMMON_LAYOUTS, IMAGE, SPLIT_NAMES, Layout, always_train
from .mask_options import MaskConfig
from .masks import MaskEncoding
from .samples import SegmentationReader, sample_id
from .segmentation_builder import SegmentationBuilder
from .shards import Record, Shard
from .storage import join

UNSPLIT_LAYOUT = Layout(
    description="images/NAME, masks/NAME (or labels/NAME), all in train",
    images=rf"images/(?P<name>.+?){IMAGE}",
    labels=rf"(?:masks|labels)/(?P<name>.+?){IMAGE}",
    split_of=always_train,
)


@dataclass
class ImageMaskConfig(MaskConfig):
    """Options beyond those of every builder of masks of any kind.

    Attributes:
        csv: a file below `data_dir` with the columns `image,mask` and, if wanted, `split`. By default `train.csv`,
            `val.csv` and so on are looked for.
    """

    csv: str | None = None

    def check(self) -> None:
        super().check()
        if self.csv is not None and not isinstance(self.csv, str):
            raise ValueError(f"csv must be the name of a file, got {self.csv!r}")


class ImageMask(SegmentationBuilder):
    """`{train,val,test}/images` and `masks`, `images` and `masks` without splits, split lists, or a CSV file."""

    BUILDER_CONFIG_CLASS = ImageMaskConfig
    BUILDER_CONFIGS = (ImageMaskConfig(name="default"),)
    DATASET = "s5-image-mask"
    LAYOUTS = (*COMMON_LAYOUTS, UNSPLIT_LAYOUT)

    def columns(self) -> Features:
        return segmentation_features(self.config.reading.column)

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(self.config.classes or described_classes(self.config.data_dir))

    def encoding(self, root: str, files: Sequence[str], masks: Sequence[str]) -> MaskEncoding:
        """How the masks encode class ids, from the options.

        Raises:
            ValueError: if options contradict each other.
        """
        return self.config.encoding()

    def reader(self, root: str, files: Sequence[str], masks: Sequence[str]) -> SegmentationReader:
        reader = super().reader(root, files, masks)
        return replace(reader, bands=self.config.reading, ignore_index=self.config.ignore_index)

    def find_file_shards(self, root: str, files: Sequence[str]) -> dict[str, list[Shard]]:
        found = self._found_shards(root, files)
        first = next(shard for shards in found.values() for shard in shards)
        reader = first.reader.matching(first.records[0])
        return {split: [replace(shard, reader=reader) for shard in shards] for split, shards in found.items()}

    def _found_shards(self, root: str, files: Sequence[str]) -> dict[str, list[Shard]]:
        names = (
            [self.config.csv]
            if self.config.csv
            else [f"{split}.csv" for split in SPLIT_NAMES if f"{split}.csv" in files]
        )
        if not names:
            return super().find_file_shards(root, files)
        available = set(files)
        records: dict[str, list[Record]] = {}
        for name in names:
            if name not in available:
                raise LayoutError(f"{root} has no file {name}")
            for split, record in _csv_records(self.storage.read_text(join(root, name)), join(root, name), available):
                records.setdefault(split or _split_of(name), []).append(record)
        return self._shards(root, files, records)


def _csv_records(text: str, name: str, available: set[str]) -> list[tuple[str, Record]]:
    """(split or empty, record) of each row of a CSV file with a header line."""
    records = []
    for place, row in rows_of(text, name, ("image", "mask")):
        image, mask = (listed_path(row[column], available, place) for column in ("image", "mask"))
        records.append((row.get("split") or "", (image, mask, sample_id(image))))
    return records


def _split_of(csv_name: str) -> str:
    stem = csv_name.rpartition("/")[2].removesuffix(".csv")
    return stem if stem in SPLIT_NAMES else "train"
