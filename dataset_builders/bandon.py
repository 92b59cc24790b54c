"""BANDON: buildings in oblique aerial images of Chinese cities at up to three dates, 2283 pairs.

Layout: the publisher's page (https://github.com/fitzpchao/BANDON), and `labels` in val as Open-CD's script expects it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from .binary_masks import BinaryEncoding
from .errors import LayoutError
from .images import EXTENSIONS
from .layouts import IMAGE
from .masks import MaskEncoding
from .pair_builder import PREPARED_ENCODING, PairBuilder
from .pair_layouts import PairLayout
from .pair_samples import PairReader
from .samples import ImageFile
from .shards import Record, Shard

_IDS = "labels_unch0ch1ig255"
_MASK = re.compile(
    rf"(?P<split>train|val|test|test_ood)/(?:{_IDS}|labels)/(?P<city>[^/]+)/(?P<before>t\d)VS(?P<after>t\d)/"
    rf"(?P<name>[^/]+?){IMAGE}",
    re.IGNORECASE,
)
_DATES = "{train,val,test,test_ood}/imgs/CITY/{t1,t2,t3}/NAME.jpg, .../labels_unch0ch1ig255/CITY/t1VSt2/NAME.png"
_SPLIT = r"(?P<split>train|val|test|test_ood)"
_NAME = rf"(?P<name>[^/]+?){IMAGE}"
INDEX = PairLayout(
    description="{train,val,test}/imgs/{A,B}/NAME.jpg, .../labels_unch0ch1ig255_unch0ch255/NAME.png",
    before=rf"{_SPLIT}(?:_\d+)?/imgs/A/{_NAME}",
    after=rf"{_SPLIT}(?:_\d+)?/imgs/B/{_NAME}",
    masks=(rf"{_SPLIT}(?:_\d+)?/{_IDS}_unch0ch255/{_NAME}",),
    without_masks=(),
)


@dataclass(frozen=True)
class BandonReader(PairReader):
    """Masks in the folder `labels_unch0ch1ig255` hold what it says; those in others are black and white."""

    def mask_value(self, mask: ImageFile, *images: ImageFile) -> dict:
        return self.encoded(mask, BANDON.encoding_of(mask.location), images)


class BANDON(PairBuilder):
    """Every pair of dates that has a mask; ids are `CITY/t1VSt2/NAME`."""

    DATASET = "s5-bandon"
    RELEASE_FOLDERS = ("BANDON", "BANDON_Index")
    LAYOUTS = (INDEX,)
    ENCODING = BinaryEncoding(otherwise=f"it belongs in a folder called {_IDS}")

    @classmethod
    def encoding_of(cls, mask: str) -> MaskEncoding:
        return PREPARED_ENCODING if _IDS in mask.split("/") else cls.ENCODING

    def reader(self, root: str) -> BandonReader:
        return BandonReader(self.storage, root, self.ENCODING)

    def find_file_shards(self, root: str, files: Sequence[str]) -> dict[str, list[Shard]]:
        masks = [(path, match) for path in files if (match := _MASK.fullmatch(path)) is not None]
        if not masks:
            return super().find_file_shards(root, files)
        available = set(files)
        records: dict[str, list[Record]] = {}
        for path, match in masks:
            dates = [_image(match, date, available, path) for date in ("before", "after")]
            identity = f"{match['city']}/{match['before']}VS{match['after']}/{match['name']}"
            records.setdefault(match["split"].lower(), []).append((*dates, path, identity))
        return self.file_shards(records, self.reader(root))


def _image(match: re.Match[str], date: str, available: set[str], mask: str) -> str:
    """The image of one of the dates that the folder of a mask names.

    Raises:
        LayoutError: if there is none.
    """
    stem = f"{match['split']}/imgs/{match['city']}/{match[date]}/{match['name']}"
    found = next((stem + extension for extension in EXTENSIONS if stem + extension in available), None)
    if found is None:
        raise LayoutError(f"{mask} has no image {stem}.jpg; looked for the layout {_DATES}")
    return found
