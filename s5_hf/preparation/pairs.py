"""Datasets of changes: both dates and the mask cut alike into crops that do not overlap."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..dataset_builders.errors import CorruptImageError
from ..dataset_builders.images import decode
from ..dataset_builders.registry import get_entry
from ..imaging.rasters import Raster, open_raster, unlimited_pixels
from ..imaging.windows import Window, row_windows
from .manifest import CutTile, RawTile
from .runner import FoundTiles, TileCutter
from .writing import check_label_size, save_image, save_label

__all__ = ["PairCutter"]

_IGNORE_INDEX = 255


@dataclass(frozen=True)
class PairCutter(TileCutter):
    """Cut pairs in any layout that the builder of the dataset knows.

    Written as `SPLIT/{before,after,mask}/NAME_LEFT_TOP.png`; masks hold class ids. The last crop of a row or column is
    shifted back to end at the border; pairs smaller than a crop keep their size.

    Attributes:
        dataset: the dataset's name.
        patch_size: side of a crop in pixels. 256 for LEVIR-CD, WHU-CD and S2Looking and 1024 for BANDON are the sizes
            that DynamicEarth (arXiv 2501.12931) and most others use.
    """

    SETTINGS = ("dataset", "patch_size", "bands")
    dataset: str
    patch_size: int = 256

    def find_tiles(self, raw: Path) -> FoundTiles:
        if not raw.is_dir():
            raise FileNotFoundError(f"{raw} is not a folder. Give the folder that holds the publisher's files.")
        builder = get_entry(self.dataset).builder_class()(data_dir=str(raw))
        tiles = []
        for split, shards in builder.ordered_shards().items():
            for shard in shards:
                root = Path(shard.reader.root)
                for before, after, mask, name in shard.records:
                    label = root / mask if mask else None
                    tiles.append(RawTile(name.replace("/", "_"), split, root / before, label, root / after))
        return FoundTiles(tuple(tiles))

    def cut(self, tile: RawTile, folder: Path) -> CutTile:
        assert tile.later is not None
        masks, images = [], []
        with (
            open_raster(tile.image, self.scaling, self.bands) as before,
            open_raster(tile.later, self.scaling, self.bands) as after,
        ):
            ids = None if tile.label is None else self._class_ids(tile, tile.label, before)
            if (before.width, before.height) != (after.width, after.height):
                raise ValueError(
                    f"{tile.image} is {before.width} x {before.height} px, {tile.later} {after.width} x {after.height}"
                )
            for window in row_windows(before.width, before.height, self.patch_size, self.patch_size):
                inside = Window(*window[:2], min(window.right, before.width), min(window.bottom, before.height))
                name = f"{tile.name}_{window.left}_{window.top}.png"
                for date, raster in (("before", before), ("after", after)):
                    images.append(f"{tile.split}/{date}/{name}")
                    save_image(raster, inside, folder / images[-1])
                if ids is not None:
                    masks.append(f"{tile.split}/mask/{name}")
                    save_label(ids, inside, _IGNORE_INDEX, folder / masks[-1])
        return CutTile(files=(*masks, *images), crops=len(images) // 2)

    def _class_ids(self, tile: RawTile, label: Path, raster: Raster) -> np.ndarray:
        """The mask of a tile as class ids `(height, width)`."""
        try:
            with unlimited_pixels():
                mask = decode(str(label), str(label))
        except CorruptImageError as error:
            raise OSError(f"{label} cannot be read as a mask: {error.__cause__}") from error
        encoding = get_entry(self.dataset).builder_class().encoding_of(label.as_posix())
        ids = encoding.class_ids(mask, str(label))
        check_label_size(tile, raster, ids)
        return ids
