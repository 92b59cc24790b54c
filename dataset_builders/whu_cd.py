"""WHU-CD: buildings of Christchurch in 2012 and 2016, as two large images.

Layouts: both releases of the publisher (https://gpcv.whu.edu.cn/data/building_dataset.html) as public scripts read
them, and crops in folders of splits or with lists, as BIT and ChangeFormer describe.
"""

from .layouts import always_train
from .pair_builder import ListedPairBuilder
from .pair_layouts import PairLayout, three_folders

WHOLE_IMAGES = PairLayout(
    description="{2012,2016}/whole_image/{train,test}/image/YEAR_{train,test}.tif, change_label/{train,test}/"
    "change_label.tif",
    before=r"(?:.*/)?2012/whole_image/(?P<split>train|test)/image/2012_(?:train|test)\.tif",
    after=r"(?:.*/)?2016/whole_image/(?P<split>train|test)/image/2016_(?:train|test)\.tif",
    masks=(r"(?:.*/)?change_label/(?P<split>train|test)/change_label\.tif",),
    identity=lambda groups: groups["split"].lower(),
    without_masks=(),
)
WITHOUT_SPLITS = PairLayout(
    description="before/before.tif, after/after.tif, change label/change_label.tif, all in train",
    before=r"(?:.*/)?before/before\.tif",
    after=r"(?:.*/)?after/after\.tif",
    masks=(r"(?:.*/)?change.label/change_label\.tif",),
    split_of=always_train,
    identity=lambda groups: "whole",
)


class WHUCD(ListedPairBuilder):
    """The publisher's two images, which `s5-hf prepare` cuts, or crops of them."""

    DATASET = "s5-whu-cd"
    RELEASE_FOLDERS = ("WHU-CD", "WHU-CD-256")
    LAYOUTS = (three_folders("A", "B", "label"), WHOLE_IMAGES, WITHOUT_SPLITS)
