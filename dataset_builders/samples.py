"""Raw samples from single files: images stay encoded, masks are brought to class ids, sizes are compared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from .errors import CorruptImageError, SampleError
from .images import ImageHeader, check_complete, decode, read_header
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
    if not masks:
        check_complete(content, name)
        return
    header = read_header(content, name)
    for mask in masks:
        check_sizes(header, read_header(_content(mask, f"mask of {name}"), f"mask of {name}"), name)


def _content(image: dict | None, name: str) -> bytes:
    if image is None or image.get("bytes") is None:
        raise CorruptImageError(f"{name}: the shard holds no bytes for it")
    return image["bytes"]


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


def read_image_file(storage: Storage, location: str) -> ImageFile:
    """Look at the image at `location`; remote ones are fetched.

    Raises:
        CorruptImageError: if it is not an image or is cut short.
        FileNotFoundError: if there is no such file.
    """
    content = storage.read(location) if is_remote(location) else location
    return ImageFile(location, content, read_header(content, location))


def read_mask_value(mask: ImageFile, encoding: MaskEncoding) -> dict:
    """What the Image feature takes for a mask: the file itself where it holds class ids, else a new PNG."""
    if encoding.keeps(mask.header.mode):
        return mask.value
    decoded = decode(mask.content, mask.location)
    return {"bytes": encode_mask(encoding.class_ids(decoded, mask.location)), "path": None}


@dataclass(frozen=True)
class ImageReader:
    """Base of the readers of records whose first path is that of an image.

    Attributes:
        storage: how files are read.
        root: the data directory, which paths are relative to.
    """

    storage: Storage
    root: str

    def image(self, record: Record) -> ImageFile:
        """The image of a record."""
        return read_image_file(self.storage, join(self.root, record[0]))

    def mask(self, record: Record, image: ImageFile) -> ImageFile | None:
        """The mask of a record, as large as its image; `None` where the record names none."""
        if len(record) < 2 or not record[1]:
            return None
        mask = read_image_file(self.storage, join(self.root, record[1]))
        check_sizes(image.header, mask.header, image.location)
        return mask


@dataclass(frozen=True)
class SegmentationReader(ImageReader):
    """Reads (image, mask, id) records; the mask may be empty for splits without labels, the id may be left out."""

    encoding: MaskEncoding

    def read(self, record: Record) -> Sample:
        image = self.image(record)
        mask = self.mask(record, image)
        return {
            "image": image.value,
            "mask": None if mask is None else read_mask_value(mask, self.encoding),
            "id": record[2] if len(record) > 2 else sample_id(record[0]),
        }


@dataclass(frozen=True)
class UnlabelledReader(ImageReader):
    """Reads (image,) records. `source` is the first folder of the path, or `default_source` without one."""

    default_source: str

    def read(self, record: Record) -> Sample:
        source = self.source_of(record[0])
        return {"image": self.image(record).value, "id": sample_id(record[0]), "source": source}

    def source_of(self, path: str) -> str:
        folders = [part for part in PurePosixPath(path).parts[:-1] if part not in ("images", "image", "train", ".")]
        return folders[0] if folders else self.default_source


@dataclass(frozen=True)
class CuratedReader(ImageReader):
    """Reads (image,) and (image, pseudo-mask) records of RS4P-1M."""

    default_source: str

    def read(self, record: Record) -> Sample:
        image = self.image(record)
        mask = self.mask(record, image)
        return {
            "image": image.value,
            "id": sample_id(record[0]),
            "source": self.default_source,
            "pseudo_mask": None if mask is None else mask.value,
            "entropy": None,
            "cluster": None,
        }
