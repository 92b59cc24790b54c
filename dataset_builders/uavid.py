"""UAVid: oblique drone images in 4K of Dutch and Chinese streets, eight classes of which the two of cars are one.

Sources of the layout: the publisher's UAVidToolKit (github.com/YeLyuUT/UAVidToolKit: folders train, valid, test and
seq; colours in colorTransformer.py), the folders uavid_{train,val,test} of the release v1.5, and SegEarth-OV's
tools/dataset_converters/uavid.py, which reads labelled test images from test_gt.
"""

from .binary_masks import short_split
from .labels import UAVID_PALETTE
from .layouts import COMMON_LAYOUTS, IMAGE, Layout
from .masks import MaskEncoding
from .segmentation_builder import SegmentationBuilder

MOVING_CAR = (64, 0, 128)
CAR = 3
FOLDER = r"(?:.*/)?(?:uavid_)?(?P<split>train|valid|val|test)(?:_gt)?/(?P<sequence>seq\d+)"

PUBLISHER = Layout(
    description="uavid_{train,val,test}/seqN/Images/NAME.png, .../seqN/Labels/NAME.png, or {train,valid,test_gt}/...",
    images=rf"{FOLDER}/Images/(?P<name>[^/]+?){IMAGE}",
    labels=rf"{FOLDER}/Labels/(?P<name>[^/]+?)\.png",
    split_of=short_split,
    without_labels=("test",),
)


class UAVid(SegmentationBuilder):
    """The publisher's sequences, or crops in `img_dir` and `ann_dir`; ids are `seq16/000000` and so on."""

    DATASET = "s5-uavid"
    RELEASE_FOLDERS = ("UAVid", "uavid")
    LAYOUTS = (PUBLISHER, *COMMON_LAYOUTS)
    ENCODING = MaskEncoding(
        colors={**{color: index for index, color in enumerate(UAVID_PALETTE)}, MOVING_CAR: CAR},
    )
