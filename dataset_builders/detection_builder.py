"""Base of the oriented detection datasets: pairs of an image and an annotation file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from datasets import Features

from .annotations import OrientedObject, as_columns, parse_dota_text
from .builder import Builder
from .features import detection_features
from .layouts import IMAGE, Layout, always_train, find_records
from .samples import ImageReader
from .shards import Record, Sample, Shard
from .storage import join

Parser = Callable[[str, str], list[OrientedObject]]

DETECTION_SPLIT = r"(?P<split>trainval|train|val|test)"
DOTA_TEXT_LAYOUT = Layout(
    description="{train,val,test}/images/NAME, {train,val}/labelTxt/NAME.txt (or annfiles/NAME.txt)",
    images=rf"{DETECTION_SPLIT}/images/(?P<name>[^/]+?){IMAGE}",
    labels=rf"{DETECTION_SPLIT}/(?:labelTxt|annfiles)/(?P<name>[^/]+?)\.txt",
    without_labels=("test",),
)


UNSPLIT_LAYOUT = Layout(
    description="images/NAME, labelTxt/NAME.txt, all in train",
    images=rf"images/(?P<name>[^/]+?){IMAGE}",
    labels=r"labelTxt/(?P<name>[^/]+?)\.txt",
    split_of=always_train,
)


@dataclass(frozen=True)
class DetectionReader(ImageReader):
    """Reads (image, annotation, id) records; the annotation may be empty for splits without labels."""

    parse: Parser
    labels: tuple[str, ...]
    ignored: tuple[str, ...] = ()

    def read(self, record: Record) -> Sample:
        image = self.image(record[0])
        objects = self.objects(record[1]) if record[1] else []
        columns = as_columns(objects, self.labels, self.ignored, join(self.root, record[1] or record[0]))
        return {"image": image.value, "objects": columns, "id": record[2]}

    def objects(self, path: str) -> list[OrientedObject]:
        """The annotated objects of one file."""
        location = join(self.root, path)
        return self.parse(self.storage.read_text(location), location)


class DetectionBuilder(Builder):
    """Finds image and annotation pairs by the known layouts.

    Attributes:
        LAYOUTS: where the files may be, tried in order.
        PARSER: reads one annotation file.
    """

    LAYOUTS: tuple[Layout, ...] = (DOTA_TEXT_LAYOUT, UNSPLIT_LAYOUT)
    PARSER: Parser = staticmethod(parse_dota_text)

    def columns(self) -> Features:
        return detection_features(self.labels)

    def layouts(self) -> Sequence[Layout]:
        """The layouts of the chosen configuration."""
        return self.LAYOUTS

    def reader(self, root: str) -> DetectionReader:
        """What turns records below `root` into samples."""
        return DetectionReader(self.storage, root, self.PARSER, tuple(self.labels))

    def find_file_shards(self, root: str, files: Sequence[str]) -> dict[str, list[Shard]]:
        return self.file_shards(find_records(self.layouts(), files, root, self.DATASET)[1], self.reader(root))
