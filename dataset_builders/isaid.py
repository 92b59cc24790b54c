"""iSAID: aerial images with 15 object classes. Masks hold class ids, or the colours of the publisher."""

from .labels import ISAID_PALETTE
from .layouts import COMMON_LAYOUTS, IMAGE, SPLIT, Layout, two_folders
from .masks import color_encoding
from .segmentation_builder import SegmentationBuilder

PUBLISHER = Layout(
    description="{train,val}/images/NAME.png, {train,val}/Semantic_masks/images/NAME_instance_color_RGB.png",
    images=rf"{SPLIT}/images/(?:images/)?(?P<name>[^/]+?){IMAGE}",
    labels=rf"{SPLIT}/Semantic_masks/(?:images/)?(?P<name>[^/]+?)_instance_color_RGB\.png",
)


class ISAID(SegmentationBuilder):
    """The release keeps four 512 px crops per tile; the publisher whole images with colour masks."""

    DATASET = "s5-isaid"
    RELEASE_FOLDERS = ("labeled/iSAID", "iSAID")
    LAYOUTS = (
        COMMON_LAYOUTS[0],
        PUBLISHER,
        two_folders(f"img_dir/{SPLIT}", f"ann_dir/{SPLIT}", suffix="(?:_instance_color_RGB)?"),
        COMMON_LAYOUTS[1],
    )
    ENCODING = color_encoding(ISAID_PALETTE)
