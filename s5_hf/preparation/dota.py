"""DOTA: large images with oriented boxes, cut into 1024 px patches that overlap by 200 px."""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..dataset_builders.options import require_splits, require_whole_number
from ..imaging.polygon_clipping import inside_shares
from ..imaging.rasters import open_raster
from ..imaging.windows import column_windows
from .dota_text import DotaBoxes, format_boxes, read_boxes
from .manifest import CutTile, RawTile
from .runner import FoundTiles, TileCutter
from .sources import image_files, only_one, split_of
from .writing import save_image

__all__ = ["DotaCutter"]

_LOOKED_FOR = (
    "images in a subfolder such as train/images, labels of the same name in train/labelTxt-{config}, train/labelTxt "
    "or the like (horizontal boxes are left out); test needs no labels"
)
_HORIZONTAL = re.compile(r"hbb|reclabel", re.IGNORECASE)
_VERSION = re.compile(r"v(\d)\.?(\d)", re.IGNORECASE)


@dataclass(frozen=True)
class DotaCutter(TileCutter):
    """Cut DOTA. A patch of image P0000 is `{split}/images/P0000__1024__<left>___<top>.png`, its boxes in `labelTxt`.

    Windows slide by 824 px, the last one is shifted back to end at the border, a smaller image is padded with the
    mean colour. A patch keeps the boxes of which at least 0.7 of the area is inside, with their corners moved but not
    cut, so that a corner may lie outside the patch. Patches without boxes are written too, with an empty label.

    Attributes:
        config: version of the labels, "v1.0", "v1.5" or "v2.0"; decides the classes.
        labels: class names of each version.
        overlap: pixels that neighbouring patches share.
        kept_share: share of a box's area that must be inside a patch.
        drop_empty: splits in which patches without boxes are left out.
        patch_size: side of a patch in pixels.
    """

    SETTINGS = ("dataset", "config", "patch_size", "overlap", "kept_share", "drop_empty", "bands")
    labels: Mapping[str, tuple[str, ...]]
    config: str = "v2.0"
    dataset: str = "s5-dota"
    patch_size: int = 1024
    overlap: int = 200
    kept_share: float = 0.7
    drop_empty: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.config not in self.labels:
            raise ValueError(f"{self.dataset} has no configuration {self.config!r}; known: {', '.join(self.labels)}.")
        require_whole_number(f"{self.dataset}: overlap in pixels", self.overlap, 0, self.patch_size - 1)
        require_splits(f"{self.dataset}: drop_empty", self.drop_empty, ("train", "val", "trainval"))

    def find_tiles(self, raw: Path) -> FoundTiles:
        images: dict[tuple[str, str], list[Path]] = defaultdict(list)
        without_split = 0
        for path in image_files(raw):
            split = split_of(path, raw)
            if split is None:
                without_split += 1
            else:
                images[split, path.stem].append(path)
        looked_for = _LOOKED_FOR.format(config=self.config)
        if not images:
            raise FileNotFoundError(f"No images of {self.dataset} below {raw}. Looked for {looked_for}.")
        labels = self._label_files(raw)
        tiles = []
        for split, name in sorted(images):
            image = only_one(images[split, name], f"The image of {self.dataset} {split} tile {name}")
            assert image is not None
            label = None if split == "test" else self._label_of(image, labels.get((split, name), []), looked_for)
            tiles.append(RawTile(name, split, image, label))
        notes = (f"images outside train, val, trainval and test, left out: {without_split}",) if without_split else ()
        return FoundTiles(tuple(tiles), notes)

    def _label_files(self, raw: Path) -> dict[tuple[str, str], list[Path]]:
        """Oriented label files by split and image, of whatever version."""
        labels: dict[tuple[str, str], list[Path]] = defaultdict(list)
        for path in sorted(raw.rglob("*.txt")):
            split = split_of(path, raw)
            if split and not any(_HORIZONTAL.search(part) for part in path.relative_to(raw).parts):
                labels[split, path.stem].append(path)
        return labels

    def _label_of(self, image: Path, candidates: list[Path], looked_for: str) -> Path:
        """The label of the version asked for, else the single one that names no version."""
        versions: dict[str | None, list[Path]] = defaultdict(list)
        for path in candidates:
            # The last folder decides: DOTA-v2.0 archives may hold DOTA-v1.5 labels.
            found = next((match for part in reversed(path.parts[:-1]) if (match := _VERSION.search(part))), None)
            versions[f"v{found[1]}.{found[2]}" if found else None].append(path)
        label = only_one(versions.get(self.config) or versions.get(None, []), f"The label of {image}")
        if label is None:
            others = f" There are labels of {', '.join(sorted(map(str, versions)))}." if versions else ""
            raise FileNotFoundError(f"{image} has no {self.config} label.{others} Looked for {looked_for}.")
        return label

    def cut(self, tile: RawTile, folder: Path) -> CutTile:
        boxes = read_boxes(tile.label, self.labels[self.config]) if tile.label else DotaBoxes.none()
        labels, images, empty, written = [], [], 0, 0
        touched, kept_somewhere = np.zeros(len(boxes), dtype=bool), np.zeros(len(boxes), dtype=bool)
        with open_raster(tile.image, self.scaling, self.bands) as raster:
            windows = column_windows(raster.width, raster.height, self.patch_size, self.patch_size - self.overlap)
            for window in windows:
                shares = inside_shares(boxes.polygons, window)
                kept = shares >= self.kept_share
                touched |= shares > 0
                kept_somewhere |= kept
                if not kept.any() and tile.split in self.drop_empty:
                    empty += 1
                    continue
                name = f"{tile.name}__{self.patch_size}__{window.left}___{window.top}"
                images.append(f"{tile.split}/images/{name}.png")
                save_image(raster, window, folder / images[-1])
                if tile.label:
                    labels.append(f"{tile.split}/labelTxt/{name}.txt")
                    path = folder / labels[-1]
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(format_boxes(boxes, kept, window), encoding="utf-8")
                    written += int(kept.sum())
        return CutTile(
            files=(*labels, *images),
            crops=len(images),
            empty=empty,
            objects=written,
            cut_off=int((touched & ~kept_somewhere).sum()),
        )
