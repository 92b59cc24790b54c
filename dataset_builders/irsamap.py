"""IRSAMap: land cover of ten classes on images of 1024 px, where buildings and roads may lie on top of the rest.

Read are the dense masks. The sparse ones of single classes and the vector files beside them have no published
description; they are not read.
"""

from __future__ import annotations

from collections.abc import Sequence

from .builder import BuilderConfig
from .labels import IRSAMAP_CODES
from .layouts import IMAGE, Layout, find_records
from .masks import MaskEncoding
from .registry import get_entry
from .segmentation_builder import SegmentationBuilder
from .shards import Shard

_FOLDERS = {"building_on_top": "SegLabel_rvwsb", "road_on_top": "SegLabel_vwsbr"}


class IRSAMap(SegmentationBuilder):
    """`{train,test}/image/NAME.png` with the masks in `SegLabel_rvwsb` or `SegLabel_vwsbr` beside it.

    The configuration chooses what a mask shows where a building and a road overlap. A value that is no known code is
    refused, among them 33 (lines of roads) and 40 (bare land), which masks are not said to hold.
    """

    DATASET = "s5-irsamap"
    RELEASE_FOLDERS = ("IRSAMap",)
    BUILDER_CONFIGS = tuple(BuilderConfig(name=name) for name in get_entry("s5-irsamap").configs)
    DEFAULT_CONFIG_NAME = "building_on_top"
    ENCODING = MaskEncoding({0: 255, **{code: index for index, code in enumerate(IRSAMAP_CODES)}})

    def find_file_shards(self, root: str, files: Sequence[str]) -> dict[str, list[Shard]]:
        folder = _FOLDERS[self.config.name]
        layout = Layout(
            description=f"{{train,test}}/image/NAME.png, {{train,test}}/{folder}/NAME.png",
            images=rf"(?P<split>train|test)/image/(?P<name>[^/]+?){IMAGE}",
            labels=rf"(?P<split>train|test)/{folder}/(?P<name>[^/]+?)\.png",
        )
        return self._shards(root, files, find_records((layout,), files, root, self.DATASET)[1])
