"""WBS-SI: water bodies in satellite images of many sizes, as published on Kaggle."""

from __future__ import annotations

from collections.abc import Sequence

from .binary_masks import BinaryEncoding
from .errors import LayoutError
from .layouts import IMAGE, Layout, always_train, find_records
from .segmentation_builder import SegmentationBuilder
from .shards import Shard
from .storage import join

VALIDATION_LIST = "wbs-si_val.txt"
PUBLISHER = Layout(
    description="Images/NAME.jpg, Masks/NAME.jpg; wbs-si_val.txt names those of val",
    images=rf"(?:.*/)?Images/(?P<name>[^/]+?){IMAGE}",
    labels=rf"(?:.*/)?Masks/(?P<name>[^/]+?){IMAGE}",
    split_of=always_train,
)


class WBSSI(SegmentationBuilder):
    """Images and masks, both JPEG. SegEarth-OV's `wbs-si_val.txt`, a name per line, makes a validation split.

    Without the list all images are in `train`.
    """

    DATASET = "s5-wbs-si"
    LAYOUTS = (PUBLISHER,)
    ENCODING = BinaryEncoding()
    SPLIT_LISTS = False

    def find_file_shards(self, root: str, files: Sequence[str]) -> dict[str, list[Shard]]:
        records = find_records(self.LAYOUTS, files, root, self.DATASET)[1]["train"]
        if VALIDATION_LIST not in files:
            return self._shards(root, files, {"train": records})
        location = join(root, VALIDATION_LIST)
        named = set(self.storage.read_text(location).split())
        unknown = sorted(named - {record[2] for record in records})
        if unknown:
            raise LayoutError(f"{location} names {len(unknown)} images that are not there, such as {unknown[0]}")
        split = {
            "train": [record for record in records if record[2] not in named],
            "val": [record for record in records if record[2] in named],
        }
        return self._shards(root, files, {name: found for name, found in split.items() if found})
