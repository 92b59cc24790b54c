"""Your own images of two dates, and masks of what changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from datasets import Features

from .binary_masks import BinaryEncoding
from .description import described_classes
from .features import pair_features
from .layouts import IMAGE, always_train
from .mask_options import MaskConfig
from .masks import MaskEncoding
from .pair_builder import PairBuilder
from .pair_layouts import PairLayout, three_folders
from .pair_samples import PairReader
from .shards import Shard

UNSPLIT = PairLayout(
    description="{before,after,mask}/NAME, all in train",
    before=rf"before/(?P<name>[^/]+?){IMAGE}",
    after=rf"after/(?P<name>[^/]+?){IMAGE}",
    masks=(rf"mask/(?P<name>[^/]+?){IMAGE}",),
    split_of=always_train,
)
BLACK_AND_WHITE = BinaryEncoding(otherwise='name the classes: classes=["unchanged", "changed"]')


@dataclass
class ImagePairMaskConfig(MaskConfig):
    """As `MaskConfig`, but masks are black and white where no option says otherwise: unchanged and changed."""


class ImagePairMask(PairBuilder):
    """`{train,val,test}/{before,after,mask}/NAME`; masks need not be there in `test` and in `unlabelled`.

    Without classes, masks hold 0 or black for unchanged and 1 or white for changed. With `classes` (or with the
    classes of a `dataset.json`) they hold class ids and `ignore_index`.
    """

    BUILDER_CONFIG_CLASS = ImagePairMaskConfig
    BUILDER_CONFIGS = (ImagePairMaskConfig(name="default"),)
    DATASET = "s5-image-pair-mask"
    LAYOUTS = (three_folders("A", "B", "label"), UNSPLIT)

    def columns(self) -> Features:
        return pair_features(self.config.reading.column)

    @property
    def labels(self) -> tuple[str, ...]:
        return self._named_classes() or self.entry.labels

    def encoding(self) -> MaskEncoding:
        """How masks encode class ids, from the options.

        Raises:
            ValueError: if options contradict each other.
        """
        config = self.config
        given = config.value_map is not None or config.colours is not None or len(config.ignore_values) > 0
        return config.encoding() if given or self._named_classes() else BLACK_AND_WHITE

    def reader(self, root: str) -> PairReader:
        return PairReader(
            self.storage, root, self.encoding(), bands=self.config.reading, ignore_index=self.config.ignore_index
        )

    def prepared_reader(self, root: str) -> PairReader:
        return self.reader(root)

    def find_file_shards(self, root: str, files: Sequence[str]) -> dict[str, list[Shard]]:
        found = super().find_file_shards(root, files)
        first = next(shard for shards in found.values() for shard in shards)
        reader = first.reader.matching(first.records[0])
        return {split: [replace(shard, reader=reader) for shard in shards] for split, shards in found.items()}

    def _named_classes(self) -> tuple[str, ...]:
        return tuple(self.config.classes or described_classes(self.config.data_dir))
