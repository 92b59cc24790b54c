"""DIOR-R: 800 px images with oriented boxes of 20 classes in XML files, split by lists of image names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from .annotations import parse_dior_xml
from .detection_builder import DOTA_TEXT_LAYOUT, DetectionBuilder, DetectionReader, Parser, parse_dota_text
from .errors import LayoutError
from .layouts import find_records
from .shards import Record, Shard, file_shards
from .storage import join

DESCRIPTION = (
    "JPEGImages-{trainval,test}/NAME.jpg (or JPEGImages), Annotations/Oriented Bounding Boxes/NAME.xml, "
    "ImageSets/Main/{train,val,trainval,test}.txt (or Main)"
)
SPLITS = ("train", "val", "trainval", "test")


class DIORR(DetectionBuilder):
    """The publisher's lists name images without extension; `trainval` and `test` are the official splits.

    `{trainval,test}/images` with `labelTxt` in DOTA text is understood as well.
    """

    DATASET = "s5-dior-r"
    RELEASE_FOLDERS = ("DIOR-R", "DIOR", "dior")
    PARSER: Parser = staticmethod(parse_dior_xml)

    def find_file_shards(self, root: str, files: Sequence[str]) -> dict[str, list[Shard]]:
        lists = _by_stem(files, ".txt", ("Main",))
        lists = {split: lists[split] for split in SPLITS if split in lists}
        if lists:
            reader = self.reader(root)
            images = _by_stem(files, ".jpg", ("JPEGImages", "JPEGImages-trainval", "JPEGImages-test"))
            labels = _by_stem(files, ".xml", ("Oriented Bounding Boxes", "Oriented_Bounding_Boxes", "Annotations"))
            return {
                split: file_shards(f"{self.DATASET} {split}", self._records(root, path, images, labels), reader)
                for split, path in lists.items()
            }
        if not DOTA_TEXT_LAYOUT.find(files):
            raise LayoutError(
                f"{root} has none of the known layouts of {self.DATASET}. Known:\n  - {DESCRIPTION}\n"
                f"  - {DOTA_TEXT_LAYOUT.description}"
            )
        reader = DetectionReader(self.storage, root, parse_dota_text, self.labels)
        _, records = find_records((DOTA_TEXT_LAYOUT,), files, root, self.DATASET)
        return {split: file_shards(f"{self.DATASET} {split}", pairs, reader) for split, pairs in records.items()}

    def _records(self, root: str, list_path: str, images: dict[str, str], labels: dict[str, str]) -> list[Record]:
        location = join(root, list_path)
        records = []
        for number, line in enumerate(self.storage.read(location).decode("utf-8").splitlines(), start=1):
            name = line.strip("\ufeff \t\r")
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
    """Stem -> path of the files with an extension that lie in one of the folders."""
    paths = (PurePosixPath(path) for path in files if path.endswith(extension))
    return {path.stem: str(path) for path in paths if path.parent.name in folders}
