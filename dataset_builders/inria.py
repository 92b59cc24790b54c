"""Inria Aerial Image Labeling: buildings of five cities at 0.3 m, in tiles of 5000 px."""

from collections.abc import Mapping

from .binary_masks import BinaryEncoding
from .layouts import IMAGE, Layout
from .segmentation_builder import SegmentationBuilder

# Only the publisher's folder `train` has masks. FCtL divided it, and SegEarth-OV evaluates on its test tiles.
SPLITS = {
    "val": {
        "austin": (8, 9, 15, 17, 19, 27, 29),
        "chicago": (1, 6, 12, 24, 28),
        "kitsap": (5, 13, 18, 22, 30),
        "tyrol-w": (6, 10, 12, 19, 22, 24),
        "vienna": (7, 28, 29, 36),
    },
    "test": {
        "austin": (1, 7, 12, 22, 24, 36),
        "chicago": (10, 14, 23, 26),
        "kitsap": (9, 14, 25, 34, 35, 36),
        "tyrol-w": (1, 3, 25, 36),
        "vienna": (3, 6, 9, 11, 15, 18, 20),
    },
}


def split_of_tile(groups: Mapping[str, str]) -> str:
    """The split of a tile by its city and number."""
    city, number = groups["city"], int(groups["number"])
    return next((split for split, cities in SPLITS.items() if number in cities.get(city, ())), "train")


TILE = r"(?P<city>[a-z-]+?)(?P<number>\d+)"
PUBLISHER = Layout(
    description="train/images/CITYN.tif, train/gt/CITYN.tif, such as austin1.tif, split by tile",
    images=rf"(?:.*/)?train/images/{TILE}\.tif",
    labels=rf"(?:.*/)?train/gt/{TILE}\.tif",
    split_of=split_of_tile,
    identity=lambda groups: f"{groups['city']}{groups['number']}",
)
CROPS = Layout(
    description="img_dir/split_{val,test}/NAME.png, ann_dir/split_{val,test}/NAME.png",
    images=rf"(?:.*/)?img_dir/split_(?P<split>val|test)/(?P<name>[^/]+?){IMAGE}",
    labels=rf"(?:.*/)?ann_dir/split_(?P<split>val|test)/(?P<name>[^/]+?){IMAGE}",
)


class Inria(SegmentationBuilder):
    """The publisher's tiles, or the crops of 1000 px that SegEarth-OV's script makes of them."""

    DATASET = "s5-inria"
    RELEASE_FOLDERS = ("AerialImageDataset",)
    LAYOUTS = (CROPS, PUBLISHER)
    ENCODING = BinaryEncoding()
