"""DOTA v1.0, v1.5 and v2.0: large aerial images with oriented boxes in text files."""

from collections.abc import Sequence

from .builder import BuilderConfig
from .detection_builder import DETECTION_SPLIT, UNSPLIT_LAYOUT, DetectionBuilder
from .layouts import IMAGE, Layout
from .registry import get_entry


class DOTA(DetectionBuilder):
    """The configuration chooses the classes and the publisher's folder `labelTxt-v1.0`, `-v1.5` or `-v2.0`.

    A plain `labelTxt` (or `annfiles`) serves every configuration. Folders of horizontal boxes (`..._hbb`) are passed
    over. The test split has no annotations: its objects are empty.
    """

    DATASET = "s5-dota"
    RELEASE_FOLDERS = ("DOTA", "dota")
    BUILDER_CONFIGS = tuple(BuilderConfig(name=name) for name in get_entry("s5-dota").configs)
    DEFAULT_CONFIG_NAME = "v2.0"

    def layouts(self) -> Sequence[Layout]:
        version = self.config.name
        folders = rf"(?:labelTxt-{version}/(?:(?![^/]*_hbb/)[^/]+/)*|labelTxt/|annfiles/)"
        split_layout = Layout(
            description=f"{{train,val,test}}/images/NAME.png, {{train,val}}/labelTxt-{version}/.../NAME.txt "
            "(or labelTxt/NAME.txt, annfiles/NAME.txt)",
            images=rf"{DETECTION_SPLIT}/images/(?:[^/]+/)*(?P<name>[^/]+?){IMAGE}",
            labels=rf"{DETECTION_SPLIT}/{folders}(?P<name>[^/]+?)\.txt",
            without_labels=("test",),
        )
        return (split_layout, UNSPLIT_LAYOUT)
