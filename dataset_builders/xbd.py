"""xBD before disasters: buildings all over the world at 0.5 m or better, in tiles of 1024 px.

Sources of the layout: TorchGeo's XView2 (torchgeo/datasets/xview.py: the archives {train,test}_images_labels_targets,
whose targets are ids of damage), the README and utils/convert2png.py of github.com/michal2409/xView2, from which
SegEarth-OV takes the data (folder holdout; targets without `_target`), and its tools/dataset_converters/xBD.py, for
which every value from 1 on is a building.
"""

from .binary_masks import BinaryEncoding
from .layouts import IMAGE, Layout
from .segmentation_builder import SegmentationBuilder

FOLDERS = {"train": "train", "tier1": "train", "tier3": "train", "hold": "val", "holdout": "val", "test": "test"}
FOLDER = rf"(?:.*/)?(?P<folder>{'|'.join(FOLDERS)})"

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
