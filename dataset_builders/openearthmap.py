"""OpenEarthMap: global land cover at 0.25 to 0.5 m, class ids 0 (unknown) to 8 in GeoTIFF masks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import PurePosixPath

from .errors import LayoutError
from .layouts import COMMON_LAYOUTS
from .segmentation_builder import SegmentationBuilder
from .shards import Record, Shard
from .split_lists import parse_line
from .storage import join

logger = logging.getLogger(__name__)

SPLIT_FILES = {
    "train": ("train.txt", "train_wo_xBD.txt"),
    "val": ("val.txt", "val_wo_xBD.txt"),
}


class OpenEarthMap(SegmentationBuilder):
    """`CITY/images` and `CITY/labels`, split by the publisher's own `train.txt` and `val.txt`.

    A line names a tile, `aachen_1.tif`, or image and label, `aachen/images/aachen_1.tif aachen/labels/aachen_1.tif`,
    as in the release of S5 (separated by a tab, a comma or blanks). The lists also name tiles whose images come from
    another archive (xBD). Tiles without an image are left out and counted in the log; a tile with an image but
    without a label is an error.
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
        available = set(files)
        records = {split: self._records(root, name, available) for split, name in lists.items() if name is not None}
        return self._shards(root, files, records)

    def _records(self, root: str, list_name: str, available: set[str]) -> list[Record]:
        """Records of the tiles that a list names."""
        records: list[Record] = []
        missing = []
        location = join(root, list_name)
        for number, line in enumerate(self.storage.read_text(location).splitlines(), start=1):
            named = parse_line(line, (1, 2), location, number)
            if named is None:
                continue
            place = f"{location}, line {number}"
            image = named[0] if named[0] in available else _tile_path(named[0], "images", place)
            label = named[1] if named[-1] in available and len(named) == 2 else _tile_path(named[-1], "labels", place)
            if PurePosixPath(image).stem != PurePosixPath(label).stem:
                raise LayoutError(f"{place}: expected image and label of one tile, got {line[:200]!r}")
            if image not in available:
                missing.append(image)
            elif label not in available:
                raise LayoutError(f"{join(root, image)} has no label file {label}")
            else:
                records.append((image, label, PurePosixPath(image).stem))
        if not records:
            raise LayoutError(f"none of the {len(missing)} images in {list_name} is there, such as {missing[:1]}")
        if missing:
            logger.warning("%s: %d images that %s names are not there", self.DATASET, len(missing), list_name)
        return records


def _tile_path(named: str, folder: str, place: str) -> str:
    """The path of a tile's image or label by its name, such as `aachen_1.tif`.

    Raises:
        LayoutError: if that is not the name of a tile.
    """
    stem = PurePosixPath(named).stem
    city, separator, number = stem.rpartition("_")
    if not separator or not number:
        raise LayoutError(f"{place}: expected CITY_N.tif, got {named[:200]!r}")
    return f"{city}/{folder}/{stem}.tif"
