"""ISPRS Potsdam: aerial RGB at 5 cm, five classes and clutter (id 5, ignored)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from .isprs import ISPRSBuilder, TileSplit
from .layouts import COMMON_FOLDERS, COMMON_LAYOUTS, IMAGE, Layout, readable, two_folders


def _tiles(columns_of_rows: Mapping[int, Sequence[int]]) -> tuple[str, ...]:
    return tuple(f"{row}_{column}" for row, columns in columns_of_rows.items() for column in columns)


TRAIN_TILES = _tiles({**dict.fromkeys((2, 3, 4, 5), (10, 11, 12)), **dict.fromkeys((6, 7), range(7, 13))})
VAL_TILES = _tiles({**dict.fromkeys((2, 3), (13, 14)), **dict.fromkeys((4, 5, 6), (13, 14, 15)), 7: (13,)})

PUBLISHER = Layout(
    description="2_Ortho_RGB/top_potsdam_T_RGB.tif, 5_Labels_all/top_potsdam_T_label.tif, split by tile",
    images=r"(?:.*/)?2_Ortho_RGB/(?:.*/)?top_potsdam_(?P<tile>\d+_\d+)_RGB\.tif",
    labels=r"(?:.*/)?5_Labels[^/]*/(?:.*/)?top_potsdam_(?P<tile>\d+_\d+)_label(?:_noBoundary)?\.tif",
    split_of=TileSplit(TRAIN_TILES, VAL_TILES),
)


def crop_id(groups: Mapping[str, str]) -> str:
    """The id of a crop of the release: the name of its tile and the number of the crop."""
    return f"{groups['tile']}_crop_{groups['crop']}"


def release_layout(images: str, labels: str) -> Layout:
    """Crops called `TILE_RGB_crop_N` in one folder, their masks called `TILE_label_crop_N` in another."""
    return replace(
        two_folders(images, labels),
        description=f"{readable(images)}/TILE_RGB_crop_N.tif, {readable(labels)}/TILE_label_crop_N.tif",
        images=rf"{images}/(?P<tile>[^/]+?)_(?:RGB|IRRG|RGBIR)_crop_(?P<crop>\d+){IMAGE}",
        labels=rf"{labels}/(?P<tile>[^/]+?)_label(?:_noBoundary)?_crop_(?P<crop>\d+){IMAGE}",
        identity=crop_id,
    )


RELEASE_LAYOUTS = tuple(release_layout(*folders) for folders in COMMON_FOLDERS)


class Potsdam(ISPRSBuilder):
    """Crops of 512 px in the release, or whole 6000 px tiles from the publisher."""

    DATASET = "s5-potsdam"
    RELEASE_FOLDERS = ("labeled/potsdam", "potsdam", "Potsdam")
    LAYOUTS = (*RELEASE_LAYOUTS, *COMMON_LAYOUTS, PUBLISHER)
    RELEASE_NAMES = r"top_potsdam_\d+_\d+_(?:RGB|IRRG|RGBIR|label)(?:_noBoundary)?_crop_\d+"
    CROP_NAMES = r"\d+_\d+(?:_\d+){4}"
