"""xBD before disasters: buildings all over the world at 0.5 m or better, in tiles of 1024 px."""

from .binary_masks import BinaryEncoding
from .layouts import IMAGE, Layout
from .segmentation_builder import SegmentationBuilder

FOLDERS = {"train": "train", "tier1": "train", "tier3": "train", "hold": "val", "test": "test"}
FOLDER = r"(?:.*/)?(?P<folder>train|tier1|tier3|hold|test)"

PUBLISHER = Layout(
    description="{train,tier3,hold,test}/images/NAME_pre_disaster.png, .../targets/NAME_pre_disaster_target.png",
    images=rf"{FOLDER}/images/(?P<name>[^/]+?_pre_disaster){IMAGE}",
    labels=rf"{FOLDER}/targets/(?P<name>[^/]+?_pre_disaster)(?:_target)?{IMAGE}",
    split_of=lambda groups: FOLDERS[groups["folder"]],
    identity=lambda groups: groups["name"],
)


class XBDPre(SegmentationBuilder):
    """The images before the disaster alone; targets hold 0, and 1 for buildings. `val` is the folder `hold`."""

    DATASET = "s5-xbd-pre"
    RELEASE_FOLDERS = ("xBD", "xbd")
    LAYOUTS = (PUBLISHER,)
    ENCODING = BinaryEncoding(least=1)
