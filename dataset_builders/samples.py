"""Raw samples from single files: images stay encoded, masks are brought to class ids, sizes are compared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TypeVar

import numpy as np

from .band_images import BandReading
from .errors import CorruptImageError, SampleError
from .images import ImageHeader, check_complete, decode, is_tiff, read_header
from .masks import MaskEncoding, encode_mask
from .shards import Record, Sample
from .storage import Storage, is_remote, join


def check_sizes(image: ImageHeader, mask: ImageHeader, name: str) -> None:
    """Raise SampleError unless image and mask have one size."""
    if image.size != mask.size:
        raise SampleError(
            f"{name}: the image has {image.size[0]} x {image.size[1]} pixels, its mask {mask.size[0]} x {mask.size[1]}"
        )


def check_encoded(image: dict | None, masks: Iterable[dict | None], name: str) -> None:
    """Check the encoded image and masks of a raw sample: they are complete and of one size.

    Raises:
        CorruptImageError: if one is missing its bytes, is not an image or is cut short.
        SampleError: if sizes differ.
    """
    content = _content(image, name)
    masks = [mask for mask in masks if mask is not None]
    deep = is_tiff(content)  # perhaps: Pillow knows only some kinds of TIFF
    if not masks and not deep:
        check_complete(content, name)
        return
    header = BandReading().header(content, name) if deep else read_header(content, name)
    for mask in masks:
        check_sizes(header, read_header(_content(mask, f"mask of {name}"), f"mask of {name}"), name)


def _content(image: dict | None, name: str) -> bytes:
    if image is None or image.get("bytes") is None:
        raise CorruptImageError(f"{name}: the shard holds no bytes for it")
    return image["bytes"]


def mask_path(record: Record) -> str:
    """The path of the mask of an (image, mask) record; empty where it names none."""
    return record[1] if len(record) > 1 else ""


def sample_id(path: str) -> str:
    """The id of a sample: the path of its image without the extension."""
    return str(PurePosixPath(path).with_suffix(""))


@dataclass(frozen=True)
class ImageFile:
    """An encoded image: bytes of a remote one, the path of a local one."""

    location: str
    content: bytes | str
    header: ImageHeader

    @property
    def value(self) -> dict:
        """What the Image feature takes. Local files stay on disk until they are decoded."""
        if isinstance(self.content, bytes):
            return {"bytes": self.content, "path": PurePosixPath(self.location).name}
        return {"bytes": None, "path": self.content}


def read_image_file(storage: Storage, location: str, bands: BandReading | None = None) -> ImageFile:
    """Look at the image at `location`; remote ones are fetched.

    Args:
        storage: how it is read.
        location: path or URL.
        bands: how images of any depth are read; `None` for what Pillow reads only.

    Raises:
        CorruptImageError: if it is not an image or is cut short.
        SampleError: if a band is missing.
        FileNotFoundError: if there is no such file.
    """
    content = storage.read(location) if is_remote(location) else location
    header = read_header(content, location) if bands is None else bands.header(content, location)
    return ImageFile(location, content, header)


def read_mask_value(mask: ImageFile, encoding: MaskEncoding) -> dict:
    """What the Image feature takes for a mask: the file itself where it holds class ids, else a new PNG."""
    if encoding.keeps(mask.header.mode):
        return mask.value
    decoded = decode(mask.content, mask.location)
    return {"bytes": encode_mask(encoding.class_ids(decoded, mask.location)), "path": None}


AnyReader = TypeVar("AnyReader", bound="ImageReader")


@dataclass(frozen=True)
class ImageReader:
    """Base of the readers of records whose first path is that of an image.

    Attributes:
        storage: how files are read.
        root: the data directory, which paths are relative to.
        bands: how images of any depth are read; `None` where all are left to Pillow.
        first: location and kind of the first image, which the others must match where one of them is an array.
    """

    storage: Storage
    root: str
    bands: BandReading | None = field(default=None, kw_only=True)
    first: tuple[str, str] | None = field(default=None, kw_only=True)

    def image(self, path: str) -> ImageFile:
        """The image at a path below the data directory.

        Raises:
            SampleError: if its bands differ from those of the first image.
        """
        image = read_image_file(self.storage, join(self.root, path), self.bands)
        if self.first is not None and self.first[1] != image.header.mode:
            name, kind = self.first
            if " of " in kind or " of " in image.header.mode:
                raise SampleError(
                    f"{image.location} gives {image.header.mode}, but {name} gives {kind}: the images of a dataset "
                    "must have the same bands and type; choose bands that all have with bands=[...]"
                )
        return image

    def matching(self: AnyReader, record: Record) -> AnyReader:
        """This reader, for images like that of a record; unchanged if that one cannot be read, which shows later."""
        try:
            image = read_image_file(self.storage, join(self.root, record[0]), self.bands)
        except (SampleError, OSError):
            return self
        return replace(self, first=(image.location, image.header.mode))

    def mask(self, path: str, image: ImageFile) -> ImageFile | None:
        """The mask at a path below the data directory, as large as its image; `None` for an empty path."""
        if not path:
            return None
        mask = read_image_file(self.storage, join(self.root, path))
        check_sizes(image.header, mask.header, image.location)
        return mask


@dataclass(frozen=True)
class MaskReader(ImageReader):
    """Base of the readers of masks that hold class ids.

    Attributes:
        encoding: how masks encode class ids.
        ignore_index: what masks hold where an image holds no data.
    """

    encoding: MaskEncoding
    ignore_index: int = field(default=255, kw_only=True)

    def mask_value(self, mask: ImageFile, *images: ImageFile) -> dict:
        """What the Image feature takes for a mask: `ignore_index` where one of its images holds no data."""
        return self.encoded(mask, self.encoding, images)

    def encoded(self, mask: ImageFile, encoding: MaskEncoding, images: Sequence[ImageFile]) -> dict:
        """As `mask_value`, with an encoding that is not that of all masks."""
        valid = [] if self.bands is None else [self.bands.valid(image.content, image.location) for image in images]
        valid = [where for where in valid if where is not None]
        if not valid:
            return read_mask_value(mask, encoding)
        class_ids = encoding.class_ids(decode(mask.content, mask.location), mask.location)
        kept = np.where(np.logical_and.reduce(valid), class_ids, np.uint8(self.ignore_index))
        return {"bytes": encode_mask(kept), "path": None}


@dataclass(frozen=True)
class SegmentationReader(MaskReader):
    """Reads (image, mask, id) records; the mask may be empty for splits without labels, the id may be left out."""

    def read(self, record: Record) -> Sample:
        image = self.image(record[0])
        mask = self.mask(mask_path(record), image)
        return {
            "image": image.value,
            "mask": None if mask is None else self.mask_value(mask, image),
            "id": record[2] if len(record) > 2 else sample_id(record[0]),
        }


@dataclass(frozen=True)
class UnlabelledReader(ImageReader):
    """Reads (image,) records. `source` is the first folder of the path, or `default_source` without one."""

    default_source: str

    def read(self, record: Record) -> Sample:
        source = self.source_of(record[0])
        return {"image": self.image(record[0]).value, "id": sample_id(record[0]), "source": source}

    def source_of(self, path: str) -> str:
        folders = [part for part in PurePosixPath(path).parts[:-1] if part not in ("images", "image", "train", ".")]
        return folders[0] if folders else self.default_source


@dataclass(frozen=True)
class CuratedReader(ImageReader):
    """Reads (image,) and (image, pseudo-mask) records of RS4P-1M."""

    default_source: str

    def read(self, record: Record) -> Sample:
        image = self.image(record[0])
        mask = self.mask(mask_path(record), image)
        return {
            "image": image.value,
            "id": sample_id(record[0]),
            "source": self.default_source,
            "pseudo_mask": None if mask is None else mask.value,
            "entropy": None,
            "cluster": None,
        }
