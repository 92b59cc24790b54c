"""Your own images and masks: in folders, or named by a CSV file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from datasets import Features

from .builder import BandConfig
from .csv_tables import listed_path, rows_of
from .description import described_classes
from .errors import LayoutError
from .features import segmentation_features
from .layouts import COMMON_LAYOUTS, IMAGE, SPLIT_NAMES, Layout, always_train
from .masks import MaskEncoding
from .options import require_colors, require_mapping, require_names, require_whole_number, require_whole_numbers
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
class ImageMaskConfig(BandConfig):
    """Options beyond those of every builder of images of any depth.

    Attributes:
        classes: class names in the order of their ids; by default those that `dataset.json` in the folder names.
        ignore_values: stored mask values without a class; they become `ignore_index`.
        value_map: stored mask value -> class id, where the masks do not hold class ids.
        colours: RGB colour of each class in the order of the ids, for colour masks.
        ignore_index: value of pixels without a class.
        csv: a file below `data_dir` with the columns `image,mask` and, if wanted, `split`. By default `train.csv`,
            `val.csv` and so on are looked for.
    """

    classes: Sequence[str] | None = None
    ignore_values: Sequence[int] = ()
    value_map: Mapping[int, int] | None = None
    colours: Sequence[Sequence[int]] | None = None
    ignore_index: int = 255
    csv: str | None = None

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
        config = self.config
        if config.classes is not None and config.ignore_index < len(config.classes):
            raise ValueError(
                f"ignore_index {config.ignore_index} is the id of class {config.classes[config.ignore_index]!r}"
            )
        colors = {tuple(color): index for index, color in enumerate(config.colours or ())}
        return MaskEncoding(_value_map(config), colors)

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


def _value_map(config: ImageMaskConfig) -> dict[int, int] | None:
    ignored = {int(value): config.ignore_index for value in config.ignore_values}
    if config.value_map is not None:
        return {**{int(value): int(index) for value, index in config.value_map.items()}, **ignored}
    if all(value == index for value, index in ignored.items()):
        return None
    ids = range(len(config.classes) if config.classes is not None else 256)
    return {**{value: value for value in ids}, config.ignore_index: config.ignore_index, **ignored}


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
