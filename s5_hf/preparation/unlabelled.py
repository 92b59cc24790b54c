"""Archives without labels (MillionAID, SAMRS, STAR): images of any size, cut into patches for curation."""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ..dataset_builders.images import EXTENSIONS
from ..dataset_builders.registry import get_entry
from ..imaging.rasters import open_raster
from ..imaging.windows import Window, row_windows
from .manifest import CutTile, RawTile
from .runner import FoundTiles, TileCutter
from .sources import image_files

__all__ = ["UnlabelledCutter"]

_JPEG_QUALITY = 95


@dataclass(frozen=True)
class UnlabelledCutter(TileCutter):
    """Cut every image into patches that do not overlap, except for the last in a row or column, which is shifted back.

    Written as JPEG files of quality 95, with the folders of the archive kept: `<folder>/<image>_<left>_<top>.jpg`.
    An image that is no larger than a patch in one direction keeps its size there.

    Attributes:
        dataset: the dataset's name.
        patch_size: side of a patch in pixels.
    """

    SETTINGS = ("dataset", "patch_size", "bands")
    dataset: str
    patch_size: int = 512

    def find_tiles(self, raw: Path) -> FoundTiles:
        is_label = get_entry(self.dataset).builder_class().is_label
        tiles, names, in_label_folders = [], set(), 0
        for path in image_files(raw):
            relative = path.relative_to(raw)
            if is_label(relative.as_posix()):
                in_label_folders += 1
                continue
            name = relative.with_suffix("").as_posix()
            if name in names:
                raise ValueError(f"{path}: another image of this folder has the same name with another ending.")
            names.add(name)
            tiles.append(RawTile(name, "train", path))
        if not tiles:
            suffixes = ", ".join(f"*{suffix}" for suffix in sorted(EXTENSIONS))
            raise FileNotFoundError(
                f"No images of {self.dataset} below {raw}. Looked for {suffixes} in any subfolder."
            )
        notes = (f"images in folders of labels, left out: {in_label_folders}",) if in_label_folders else ()
        return FoundTiles(tuple(tiles), notes)

    def cut(self, tile: RawTile, folder: Path) -> CutTile:
        files = []
        with open_raster(tile.image, self.scaling, self.bands) as raster:
            for window in row_windows(raster.width, raster.height, self.patch_size, self.patch_size):
                files.append(f"{tile.name}_{window.left}_{window.top}.jpg")
                inside = Window(*window[:2], min(window.right, raster.width), min(window.bottom, raster.height))
                path = folder / files[-1]
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(raster.read(inside)).save(path, quality=_JPEG_QUALITY)
        return CutTile(files=tuple(files), crops=len(files))
