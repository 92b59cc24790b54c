"""LEVIR-CD: buildings that came and went in Texas, 637 pairs of 1024 px at 0.5 m.

Layouts: the publisher's page (https://justchenhao.github.io/LEVIR/), TorchGeo's loader, which unpacks all splits into
one folder, and the crops of 256 px with lists that BIT and ChangeFormer describe.
"""

from .layouts import IMAGE
from .pair_builder import ListedPairBuilder
from .pair_layouts import PairLayout, three_folders

_NAME = rf"(?P<name>(?P<split>train|val|test)_[^/]+?){IMAGE}"
NAMED_SPLITS = PairLayout(
    description="{A,B,label}/{train,val,test}_N.png",
    before=rf"A/{_NAME}",
    after=rf"B/{_NAME}",
    masks=(rf"label/{_NAME}",),
)


class LEVIRCD(ListedPairBuilder):
    """The publisher's images, or crops of them."""

    DATASET = "s5-levir-cd"
    RELEASE_FOLDERS = ("LEVIR-CD", "LEVIR-CD256", "LEVIR-CD-256")
    LAYOUTS = (three_folders("A", "B", "label"), NAMED_SPLITS)
