"""ISPRS Vaihingen: near infrared, red and green at 9 cm, five classes and clutter (id 5, ignored)."""

from .isprs import ISPRSBuilder, TileSplit
from .layouts import COMMON_LAYOUTS, Layout

TRAIN_AREAS = ("1", "3", "5", "7", "11", "13", "15", "17", "21", "23", "26", "28", "30", "32", "34", "37")
VAL_AREAS = ("2", "4", "6", "8", "10", "12", "14", "16", "20", "22", "24", "27", "29", "31", "33", "35", "38")

PUBLISHER = Layout(
    description="top/top_mosaic_09cm_areaN.tif, gts_for_participants/top_mosaic_09cm_areaN.tif, split by area",
    images=r"(?:.*/)?top/top_mosaic_09cm_area(?P<tile>\d+)\.tif",
    labels=r"(?:.*/)?[^/]*(?:gts?|ground_truth)[^/]*/top_mosaic_09cm_area(?P<tile>\d+)(?:_noBoundary)?\.tif",
    split_of=TileSplit(TRAIN_AREAS, VAL_AREAS),
)


class Vaihingen(ISPRSBuilder):
    """Crops of 512 px in the release, `top_mosaic_09cm_area11_0.tif`, or whole tiles from the publisher."""

    DATASET = "s5-vaihingen"
    RELEASE_FOLDERS = ("labeled/vaihingen", "vaihingen", "Vaihingen")
    LAYOUTS = (*COMMON_LAYOUTS, PUBLISHER)
    RELEASE_NAMES = r"top_mosaic_09cm_area\d+_\d+"
    CROP_NAMES = r"area\d+(?:_\d+){4}"
