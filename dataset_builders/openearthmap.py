"""OpenEarthMap: global land cover at 0.25 to 0.5 m, class ids 0 (unknown) to 8 in GeoTIFF masks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import PurePosixPath

from .errors import LayoutError
from .layouts import COMMON_LAYOUTS
from .samples import SegmentationReader
from .segmentation_builder import SegmentationBuilder
from .shards import Record, Shard, file_shards
from .storage import join

logger = logging.getLogger(__name__)

SPLIT_FILES = {
    "train": ("train.txt", "train_wo_xBD.txt"),
    "val": ("val.txt", "val_wo_xBD.txt"),
}


class OpenEarthMap(SegmentationBuilder):
    """`CITY/images` and `CITY/labels`, split by the publisher's own `train.txt` and `val.txt` with one tile per line.

    The lists also name tiles whose images come from another archive (xBD). Tiles without an image are left out and
    counted in the log; a tile with an image but without a label is an error.
    """

    DATASET = "s5-openearthmap"
    RELEASE_FOLDERS = ("labeled/OpenEarthMap", "OpenEarthMap_wo_xBD", "OpenEarthMap")
    LAYOUTS = COMMON_LAYOUTS
    SPLIT_LISTS = False

    def find_file_shards(self, root: str, files: Sequence[str]) -> dict[str, list[Shard]]:
        names = {PurePosixPath(path).name: path for path in files if "/" not in path and path.endswith(".txt")}
        lists = {
            split: next((names[name] for name in known if name in names), None) for split, known in SPLIT_FILES.items()
        }
        if not any(lists.values()):
            if any(path.count("/") == 2 and path.split("/")[1] == "labels" for path in files):
                raise LayoutError(f"{root} has CITY/labels folders but no train.txt or val.txt that split them")
            return super().find_file_shards(root, files)
        reader = SegmentationReader(self.storage, root, self.encoding(None))
        available = set(files)
        found = {}
        for split, name in lists.items():
            if name is not None:
                records = self._records(root, name, available)
                found[split] = file_shards(f"{self.DATASET} {split}", records, reader)
        return found

    def _records(self, root: str, list_name: str, available: set[str]) -> list[Record]:
        """Records of the tiles that a list names, such as `aachen_1.tif` in the folder `aachen`."""
        records: list[Record] = []
        missing = []
        for number, line in enumerate(self.storage.read(join(root, list_name)).decode("utf-8").splitlines(), start=1):
            tile = line.strip("\ufeff \t\r")
            if not tile:
                continue
            city, separator, rest = PurePosixPath(tile).stem.rpartition("_")
            if not separator or not rest or " " in tile:
                raise LayoutError(f"{join(root, list_name)}, line {number}: expected CITY_N.tif, got {line[:200]!r}")
            image, label = (f"{city}/{folder}/{PurePosixPath(tile).stem}.tif" for folder in ("images", "labels"))
            if image not in available:
                missing.append(image)
            elif label not in available:
                raise LayoutError(f"{join(root, image)} has no label file {label}")
            else:
                records.append((image, label, PurePosixPath(tile).stem))
        if not records:
            raise LayoutError(f"none of the {len(missing)} images in {list_name} is there, such as {missing[:1]}")
        if missing:
            logger.warning("%s: %d images that %s names are not there", self.DATASET, len(missing), list_name)
        return records
