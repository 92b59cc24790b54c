"""RRSIS-D: words that refer to something in an aerial image, and its mask (arXiv 2312.12470)."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from datasets import Features

from .builder import Builder
from .coco_masks import coco_mask
from .errors import LayoutError, SampleError
from .features import question_features
from .masks import encode_mask
from .samples import ImageReader
from .shards import Record, Sample, Shard
from .storage import join

REFERENCES, INSTANCES = "refs(unc).p", "instances.json"
FOLDERS = ("rrsisd", "rrssid", "")
IMAGES = ("images/rrsisd/JPEGImages", "images/JPEGImages", "JPEGImages")


class PlainUnpickler(pickle.Unpickler):
    """Reads numbers, texts, lists and dictionaries; whatever else a pickle asks for, it could run any code."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise SampleError(f"the pickle asks for {module}.{name}, expected numbers, texts, lists and dictionaries only")


@dataclass(frozen=True)
class RunReader(ImageReader):
    """Reads (image, annotation as JSON, id, words) records."""

    def read(self, record: Record) -> Sample:
        image = self.image(record[0])
        width, height = image.header.size
        mask = coco_mask(json.loads(record[1]), height, width, f"the annotation of {record[2]}")
        return {
            "image": image.value,
            "mask": {"bytes": encode_mask(np.ascontiguousarray(mask)), "path": None},
            "question": record[3],
            "answer": "",
            "id": record[2],
        }


class RRSISD(Builder):
    """`rrsisd/refs(unc).p`, `rrsisd/instances.json` and `images/rrsisd/JPEGImages`, the first sentence of each.

    An image is found by its own number, and a mask is the union of its parts. The code of SegEarth-R1 takes the number
    of the reference for that of the image, and adds parts up.
    """

    DATASET = "s5-rrsis-d"
    RELEASE_FOLDERS = ("rs_ref_seg/RRSIS-D", "RRSIS-D")

    def columns(self) -> Features:
        return question_features()

    def find_file_shards(self, root: str, files: Sequence[str]) -> dict[str, list[Shard]]:
        available = set(files)
        references, instances = (self._notes(root, available, name) for name in (REFERENCES, INSTANCES))
        folder = next((one for one in IMAGES if any(path.startswith(f"{one}/") for path in files)), None)
        if folder is None:
            raise LayoutError(f"{root} has no images, looked for {', '.join(IMAGES)}")
        records = find_references(
            load_references(self.storage.read(references), references),
            json.loads(self.storage.read_text(instances)),
            folder,
            available,
        )
        return self.file_shards(records, RunReader(self.storage, root))

    @staticmethod
    def _notes(root: str, available: set[str], name: str) -> str:
        """Where a file of notes lies."""
        for folder in FOLDERS:
            path = f"{folder}/{name}".lstrip("/")
            if path in available:
                return join(root, path)
        raise LayoutError(f"{root} has no {name}, expected it in {FOLDERS[0]}/")


def load_references(content: bytes, name: str) -> list[dict[str, Any]]:
    """The references of a pickle of Python 2 or 3, of which nothing is run.

    Raises:
        SampleError: if it asks for more than plain values, or is damaged.
    """
    try:
        found = PlainUnpickler(io.BytesIO(content), encoding="latin1").load()
    except SampleError as error:
        raise SampleError(f"{name} is refused: {error}") from None
    except (pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError, AttributeError) as error:
        raise SampleError(f"{name} cannot be read: {error}") from None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise SampleError(f"{name} holds no list of references")
    return found


def find_references(
    references: Sequence[Mapping[str, Any]], instances: Mapping[str, Any], folder: str, available: set[str]
) -> dict[str, list[Record]]:
    """Records (image, annotation, id, words) by split.

    Raises:
        SampleError: if a reference names an image or an annotation that there is not, or has no words.
        LayoutError: if the file of an image is missing.
    """
    images = {image["id"]: image["file_name"] for image in instances.get("images", ())}
    parts = {one["id"]: one["segmentation"] for one in instances.get("annotations", ())}
    records: dict[str, list[Record]] = {}
    for reference in references:
        name = f"reference {reference.get('ref_id')}"
        if reference.get("image_id") not in images or reference.get("ann_id") not in parts:
            raise SampleError(
                f"{name}: there is no image {reference.get('image_id')} with an annotation {reference.get('ann_id')}"
            )
        sentences = [one.get("sent", "").strip() for one in reference.get("sentences", ())]
        if not sentences or not sentences[0]:
            raise SampleError(f"{name} has no sentence")
        path = f"{folder}/{images[reference['image_id']]}"
        if path not in available:
            raise LayoutError(f"{name}: there is no file {path}")
        annotation = json.dumps(parts[reference["ann_id"]])
        record = (path, annotation, str(reference["ref_id"]), sentences[0])
        records.setdefault(str(reference["split"]), []).append(record)
    return records
