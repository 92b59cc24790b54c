"""LoveDA: rural and urban land cover at 0.3 m. Masks hold 1 to 7, and 0 (no data), which is ignored."""

from .layouts import COMMON_LAYOUTS, IMAGE, SPLIT, Layout
from .masks import MaskEncoding
from .segmentation_builder import SegmentationBuilder

IGNORE = 255

PUBLISHER = Layout(
    description="{Train,Val,Test}/{Rural,Urban}/images_png/N.png, .../masks_png/N.png",
    images=rf"(?:(?:Train|Val|Test)/)?{SPLIT}/(?P<domain>Rural|Urban)/images_png/(?P<name>[^/]+?){IMAGE}",
    labels=rf"(?:(?:Train|Val|Test)/)?{SPLIT}/(?P<domain>Rural|Urban)/masks_png/(?P<name>[^/]+?)\.png",
    without_labels=("test",),
)


class LoveDA(SegmentationBuilder):
    """Published by domain; ids are `Rural/0` and so on. The test split has no masks."""

    DATASET = "s5-loveda"
    RELEASE_FOLDERS = ("labeled/LoveDA", "labeled/loveda", "LoveDA", "loveda")
    LAYOUTS = (PUBLISHER, *COMMON_LAYOUTS)
    ENCODING = MaskEncoding(value_map={0: IGNORE, **{value: value - 1 for value in range(1, 8)}, IGNORE: IGNORE})
