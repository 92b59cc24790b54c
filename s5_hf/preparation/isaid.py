"""iSAID: DOTA-v1 images and colour masks, tiled to 1024 px, each tile cut into four 512 px crops."""

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from ..dataset_builders.options import require_splits, require_whole_number
from ..imaging.rasters import open_raster
from ..imaging.windows import column_windows, quarters
from .labels import Colors, read_label
from .manifest import CutTile, RawTile
from .runner import FoundTiles, TileCutter
from .sources import image_files, only_one, split_of
from .writing import check_label_size, save_image, save_label

__all__ = ["IsaidCutter"]

_IMAGE = re.compile(r"(?P<tile>P\d{4})\.(?:png|jpg|tif|tiff)", re.IGNORECASE)
_LABEL = re.compile(r"(?P<tile>P\d{4})_instance_color_RGB\.png", re.IGNORECASE)
_LOOKED_FOR = "P0000.png and P0000_instance_color_RGB.png (and so on) in any subfolder of one named train or val"


@dataclass(frozen=True)
class IsaidCutter(TileCutter):
    """Cut iSAID. Crop k of tile n of image P0000 is `{train,val}/images/P0000_000n_crop_k.png`, its ids in `masks`.

    The release has 38,936 train crops (9,734 tiles) and 21,188 val crops (5,297 tiles). 5,297 is the number of 1024 px
    windows that the DOTA tools cut out of the val images at an overlap of 200 px; there are far more than 9,734 in
    the train images, so the release must leave out train tiles, as these tools do with tiles without objects. This is
    concluded from the counts, not documented by the release: `overlap` and `keep_empty` are there to change it.

    Attributes:
        colors: the class id of each label colour.
        overlap: pixels that neighbouring tiles share.
        keep_empty: splits in which tiles without any object stay.
        tile_size: side of a tile in pixels.
        color_tolerance: grey levels by which a label colour may be off.
    """

    SETTINGS = ("dataset", "tile_size", "overlap", "keep_empty", "color_tolerance", "bands")
    colors: Colors
    dataset: str = "s5-isaid"
    ignore_index: int = 255
    tile_size: int = 1024
    overlap: int = 200
    keep_empty: tuple[str, ...] = ("val",)
    color_tolerance: int = 0

    def __post_init__(self) -> None:
        require_whole_number(f"{self.dataset}: overlap in pixels", self.overlap, 0, self.tile_size - 1)
        require_splits(f"{self.dataset}: keep_empty", self.keep_empty, ("train", "val"))

    def find_tiles(self, raw: Path) -> FoundTiles:
        images: dict[tuple[str, str], list[Path]] = defaultdict(list)
        labels: dict[tuple[str, str], list[Path]] = defaultdict(list)
        without_split = 0
        for path in image_files(raw):
            image, label = _IMAGE.fullmatch(path.name), _LABEL.fullmatch(path.name)
            split = split_of(path, raw)
            if (image or label) and split not in ("train", "val"):
                without_split += 1
            elif image:
                images[split, image["tile"]].append(path)
            elif label:
                labels[split, label["tile"]].append(path)
        if not images:
            raise FileNotFoundError(f"No tiles of {self.dataset} below {raw}. Looked for {_LOOKED_FOR}.")
        tiles = []
        for split, name in sorted(images):
            image = only_one(images[split, name], f"The image of {self.dataset} {split} tile {name}")
            label = only_one(labels.get((split, name), []), f"The label of {self.dataset} {split} tile {name}")
            if label is None:
                raise FileNotFoundError(f"{image} has no label. Looked for {_LOOKED_FOR}.")
            tiles.append(RawTile(name, split, image, label))
        notes = (f"files outside train and val, left out: {without_split}",) if without_split else ()
        return FoundTiles(tuple(tiles), notes)

    def cut(self, tile: RawTile, folder: Path) -> CutTile:
        assert tile.label is not None
        labels, images, empty = [], [], 0
        with open_raster(tile.image, self.scaling, self.bands) as raster:
            label = read_label(tile.label, self.colors, self.color_tolerance)
            check_label_size(tile, raster, label)
            windows = column_windows(raster.width, raster.height, self.tile_size, self.tile_size - self.overlap)
            for number, window in enumerate(windows):
                ids = label[window.top : window.bottom, window.left : window.right]
                if not ids.any() and tile.split not in self.keep_empty:
                    empty += 4
                    continue
                for part, crop in enumerate(quarters(window)):
                    name = f"{tile.name}_{number:04d}_crop_{part}.png"
                    labels.append(f"labeled/iSAID/{tile.split}/masks/{name}")
                    images.append(f"labeled/iSAID/{tile.split}/images/{name}")
                    save_label(label, crop, self.ignore_index, folder / labels[-1])
                    save_image(raster, crop, folder / images[-1])
        return CutTile(files=(*labels, *images), crops=len(images), empty=empty)
