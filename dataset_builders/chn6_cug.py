"""CHN6-CUG: roads of six Chinese cities at 0.5 m, in tiles of 512 px."""

from .binary_masks import BinaryEncoding
from .layouts import IMAGE, Layout
from .segmentation_builder import SegmentationBuilder

SPLIT = r"(?:.*/)?(?P<split>train|val)"

PUBLISHER = Layout(
    description="{train,val}/images/NAME_sat.jpg, {train,val}/gt/NAME_mask.png",
    images=rf"{SPLIT}/images/(?P<name>[^/]+?)(?:_sat)?{IMAGE}",
    labels=rf"{SPLIT}/gt/(?P<name>[^/]+?)(?:_mask)?{IMAGE}",
)


class CHN6CUG(SegmentationBuilder):
    """The publisher's tiles."""

    DATASET = "s5-chn6-cug"
    RELEASE_FOLDERS = ("CHN6-CUG",)
    LAYOUTS = (PUBLISHER,)
    ENCODING = BinaryEncoding()
