"""Potsdam and Vaihingen: aerial tiles of the ISPRS benchmark, cut into 512 px crops."""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..dataset_builders import isprs, potsdam, vaihingen
from ..imaging.rasters import open_raster
from ..imaging.windows import row_windows
from .labels import Colors, read_label
from .manifest import CutTile, RawTile
from .runner import FoundTiles, TileCutter
from .sources import image_files, only_one
from .writing import check_label_size, save_image, save_label

__all__ = ["IsprsCutter", "potsdam_cutter", "vaihingen_cutter"]

_LABEL_FOLDER = re.compile(r"label|ground_?truth|gts|annotation|mask|ann_dir", re.IGNORECASE)


@dataclass(frozen=True)
class IsprsCutter(TileCutter):
    """Cut ISPRS tiles: train crops overlap by half (stride 256), val crops do not (stride 512).

    Written as `{train,val}/images/<tile>_<left>_<top>_<right>_<bottom>.png`, the ids under the same name in `masks`:
    0 to 4, and 5 for clutter. (mmsegmentation's crops have the same names, lie in `img_dir` and `ann_dir` and count
    from 1; the list of finished tiles tells ours from those.)

    Attributes:
        dataset: the dataset's name.
        colors: the class id of each label colour.
        ignore_index: the id of what lies beyond a tile.
        splits: the official tiles of each split.
        image_name: regular expression of image file names; its group `tile` is the tile's name, and the text
            `IMAGERY` in it stands for `imagery`.
        label_name: the same for label files. Where it matches images too, the folder's name tells them apart.
        looked_for: how a message describes the files.
        imagery: which of the publisher's versions of the images, such as RGB, IRRG or RGBIR; None if there is one.
        crop_size: side of a crop in pixels.
        strides: pixels between crops, per split.
        color_tolerance: grey levels by which a label colour may be off.
    """

    SETTINGS = ("dataset", "imagery", "crop_size", "color_tolerance", "bands", "strides")
    dataset: str
    colors: Colors
    splits: Mapping[str, tuple[str, ...]]
    image_name: str
    label_name: str
    looked_for: str
    imagery: str | None = None
    ignore_index: int = isprs.CLUTTER
    crop_size: int = 512
    strides: Mapping[str, int] = field(default_factory=lambda: {"train": 256, "val": 512})
    color_tolerance: int = 0

    def __post_init__(self) -> None:
        if (self.imagery is None) == ("IMAGERY" in self.image_name):
            raise ValueError(f"{self.dataset} has a single version of its images, not {self.imagery!r}.")

    def find_tiles(self, raw: Path) -> FoundTiles:
        images: dict[str, list[Path]] = defaultdict(list)
        labels: dict[str, list[Path]] = defaultdict(list)
        image_name = re.compile(self.image_name.replace("IMAGERY", re.escape(self.imagery or "")))
        label_name = re.compile(self.label_name)
        for path in image_files(raw):
            in_label_folder = any(_LABEL_FOLDER.search(part) for part in path.relative_to(raw).parts[:-1])
            image, label = image_name.fullmatch(path.name), label_name.fullmatch(path.name)
            if label and (in_label_folder or not image):
                labels[label["tile"]].append(path)
            elif image:
                images[image["tile"]].append(path)
        if not images:
            raise FileNotFoundError(f"No tiles of {self.dataset} below {raw}. Looked for {self._looked_for()}.")

        tiles, missing = [], []
        for split, names in self.splits.items():
            for name in names:
                image = only_one(images.get(name, []), f"The image of {self.dataset} tile {name}")
                if image is None:
                    missing.append(name)
                    continue
                tiles.append(RawTile(name, split, image, self._label_of(name, labels, raw)))
        return FoundTiles(tuple(tiles), self._notes(images, missing))

    def _looked_for(self) -> str:
        return self.looked_for.replace("IMAGERY", self.imagery or "")

    def _label_of(self, name: str, labels: Mapping[str, list[Path]], raw: Path) -> Path:
        candidates = labels.get(name, [])
        # The participants' archive of Vaihingen repeats part of the complete one; labels with ignored class borders
        # are meant for scoring and only taken where there are no others.
        for preferred in (r"complete", r"^(?!.*noboundary)"):
            candidates = [path for path in candidates if re.search(preferred, path.as_posix().lower())] or candidates
        label = only_one(candidates, f"The label of {self.dataset} tile {name}")
        if label is None:
            raise FileNotFoundError(
                f"Tile {name} of {self.dataset} has an image but no label below {raw}. "
                f"Looked for {self._looked_for()}."
            )
        return label

    def _notes(self, images: Mapping[str, list[Path]], missing: list[str]) -> tuple[str, ...]:
        notes = []
        official = {name for names in self.splits.values() for name in names}
        if missing:
            notes.append(f"{len(missing)} of {len(official)} official tiles are missing: {', '.join(missing)}")
        if others := sorted(set(images) - official):
            notes.append(f"tiles outside the official split, left out: {', '.join(others)}")
        return tuple(notes)

    def cut(self, tile: RawTile, folder: Path) -> CutTile:
        assert tile.label is not None
        labels, images = [], []
        with open_raster(tile.image, self.scaling, self.bands) as raster:
            label = read_label(tile.label, self.colors, self.color_tolerance)
            check_label_size(tile, raster, label)
            for window in row_windows(raster.width, raster.height, self.crop_size, self.strides[tile.split]):
                name = f"{tile.name}_{'_'.join(map(str, window))}.png"
                labels.append(f"{tile.split}/masks/{name}")
                images.append(f"{tile.split}/images/{name}")
                save_label(label, window, self.ignore_index, folder / labels[-1])
                save_image(raster, window, folder / images[-1])
        return CutTile(files=(*labels, *images), crops=len(images))


def potsdam_cutter() -> IsprsCutter:
    """Potsdam: `top_potsdam_2_10_RGB.tif` or its IRRG or RGBIR twin, with `top_potsdam_2_10_label.tif`."""
    return IsprsCutter(
        dataset="s5-potsdam",
        colors=isprs.RELEASE_ENCODING.colors,
        splits={"train": potsdam.TRAIN_TILES, "val": potsdam.VAL_TILES},
        image_name=r"top_potsdam_(?P<tile>\d+_\d+)_IMAGERY\.(?:tif|tiff|png)",
        label_name=r"top_potsdam_(?P<tile>\d+_\d+)_label(?:_noBoundary)?\.(?:tif|tiff|png)",
        looked_for="top_potsdam_2_10_IMAGERY.tif and top_potsdam_2_10_label.tif (and so on) in any subfolder",
        imagery="RGB",
    )


def vaihingen_cutter() -> IsprsCutter:
    """Vaihingen: `top_mosaic_09cm_area1.tif`, once in a folder of images and once in a folder of labels."""
    areas = {"train": vaihingen.TRAIN_AREAS, "val": vaihingen.VAL_AREAS}
    name = r"top_mosaic_09cm_(?P<tile>area\d+)\.(?:tif|tiff|png)"
    return IsprsCutter(
        dataset="s5-vaihingen",
        colors=isprs.RELEASE_ENCODING.colors,
        splits={split: tuple(f"area{area}" for area in numbers) for split, numbers in areas.items()},
        image_name=name,
        label_name=name.replace(r"\.", r"(?:_noBoundary)?\."),
        looked_for=(
            "top_mosaic_09cm_area1.tif (and so on) in any subfolder, labels under the same name in a subfolder "
            "such as gts_for_participants or ..._ground_truth_COMPLETE"
        ),
    )
