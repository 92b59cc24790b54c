"""DIOR-R: 800 px images with oriented boxes of 20 classes in XML files, split by lists of image names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from .annotations import parse_dior_xml
from .detection_builder import DOTA_TEXT_LAYOUT, DetectionBuilder, DetectionReader, Parser, parse_dota_text
from .errors import LayoutError
from .layouts import SPLIT_NAMES
from .shards import Record, Shard
from .storage import join

DESCRIPTION = (
    "JPEGImages-{trainval,test}/NAME.jpg (or JPEGImages), Annotations/Oriented Bounding Boxes/NAME.xml "
    "(or Annotations/obb/NAME.xml), "
    "ImageSets/Main/{train,val,trainval,test}.txt (or Main)"
)
ANNOTATION_FOLDERS = ("Oriented Bounding Boxes", "Oriented_Bounding_Boxes", "obb", "Annotations")
"""Folders of annotations, the most specific first: `Annotations` itself may hold horizontal boxes."""


class DIORR(DetectionBuilder):
    """The publisher's lists name images without extension; `trainval` and `test` are the official splits.

    `{trainval,test}/images` with `labelTxt` in DOTA text is understood as well.
    """

    DATASET = "s5-dior-r"
    RELEASE_FOLDERS = ("DIOR-R", "DIOR", "dior")
    PARSER: Parser = staticmethod(parse_dior_xml)

    def find_file_shards(self, root: str, files: Sequence[str]) -> dict[str, list[Shard]]:
        lists = _by_stem(files, ".txt", ("Main",))
        lists = {split: lists[split] for split in SPLIT_NAMES if split in lists}
        if lists:
            images = _by_stem(files, ".jpg", ("JPEGImages", "JPEGImages-trainval", "JPEGImages-test"))
            labels = _by_stem(files, ".xml", ANNOTATION_FOLDERS)
            records = {split: self._records(root, path, images, labels) for split, path in lists.items()}
            return self.file_shards(records, self.reader(root))
        found = DOTA_TEXT_LAYOUT.find(files)
        if not found:
            raise LayoutError(
                f"{root} has none of the known layouts of {self.DATASET}. Known:\n  - {DESCRIPTION}\n"
                f"  - {DOTA_TEXT_LAYOUT.description}"
            )
        reader = DetectionReader(self.storage, root, parse_dota_text, self.labels)
        return self.file_shards(found, reader)

    def _records(self, root: str, list_path: str, images: dict[str, str], labels: dict[str, str]) -> list[Record]:
        location = join(root, list_path)
        records = []
        for number, line in enumerate(self.storage.read_text(location).splitlines(), start=1):
            name = line.strip()
            if not name:
                continue
            name = name.removesuffix(".jpg")
            if name not in images:
                raise LayoutError(f"{location}, line {number}: there is no image {name}.jpg in JPEGImages*")
            if name not in labels:
                raise LayoutError(f"{location}, line {number}: image {name}.jpg has no annotation {name}.xml")
            records.append((images[name], labels[name], name))
        if not records:
            raise LayoutError(f"{location} names no images")
        return records


def _by_stem(files: Sequence[str], extension: str, folders: tuple[str, ...]) -> dict[str, str]:
    """Stem -> path of the files with an extension that lie in one of the folders; earlier folders go first."""
    paths = [PurePosixPath(path) for path in files if path.endswith(extension)]
    found = [path for folder in reversed(folders) for path in paths if path.parent.name == folder]
    return {path.stem: str(path) for path in found}
