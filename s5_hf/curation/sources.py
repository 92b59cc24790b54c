"""Where images come from: folders of images and anything `load_dataset` loads, as one numbered list.

An image's number is its place in the list; parts, scores and selections name images by it. The list is the same on
every process and in every run as long as the files stay the same.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from ..dataset_builders.band_images import BandReading
from ..dataset_builders.credentials import without_credentials
from ..dataset_builders.errors import SampleError
from ..dataset_builders.images import is_image
from ..dataset_builders.samples import UnlabelledReader
from ..dataset_builders.shards import Block, file_shards
from ..dataset_builders.storage import Storage

if TYPE_CHECKING:
    from ..dataset_builders.shards import Sample

__all__ = ["ImageList", "ImageSource", "open_images"]


@dataclass(frozen=True)
class ImageSource:
    """One place with images: a folder, or a dataset.

    Attributes:
        folder: a folder of images in any subfolders, local, `hf://` or `http(s)://`. Subfolders called `masks`,
            `labels` and the like are skipped.
        dataset: or a name for `load_dataset`: of the registry (read lazily) or any other.
        data_dir, config, split: of the dataset.
        options: further keywords of `load_dataset`, such as `classes` of `s5-image-mask`.
        name: begins the ids and the `source` of images. Needed where sources share ids.
    """

    folder: str | None = None
    dataset: str | None = None
    data_dir: str | None = None
    config: str | None = None
    split: str = "train"
    options: dict[str, object] = field(default_factory=dict)
    name: str | None = None

    def __post_init__(self) -> None:
        if (self.folder is None) == (self.dataset is None):
            raise ValueError(
                f"a source needs either folder or dataset, got folder={self.folder!r} and dataset={self.dataset!r}"
            )

    def describe(self) -> dict[str, object]:
        """What is not at its default, for metadata; URLs are without passwords and tokens."""
        return without_credentials({key: value for key, value in asdict(self).items() if value not in (None, {})})


class ImageList:
    """The images of all sources, one after the other.

    Samples are raw: `image` (`{"bytes", "path"}`, still encoded), `id`, `source` and, where there is one, `mask`.
    """

    def __init__(self, sources: Sequence[ImageSource]) -> None:
        """Open the sources. Use `open_images`, which checks that there is something."""
        self.sources = tuple(sources)
        self._blocks: list[tuple[Block, ImageSource]] = [
            (block, source) for source in sources for block in _blocks_of(source)
        ]
        self._stops = list(accumulate(block.num_rows for block, _ in self._blocks))
        self._loaded: tuple[int, Sequence[Sample]] = (-1, ())

    def __len__(self) -> int:
        return self._stops[-1] if self._stops else 0

    def read(self, start: int, stop: int) -> Iterator[Sample | SampleError]:
        """The samples of a range of numbers, in order; what cannot be read is given as the error that says why."""
        for number in range(start, stop):
            try:
                yield self[number]
            except SampleError as error:
                yield error

    def __getitem__(self, number: int) -> Sample:
        """One sample. Reading in ascending order keeps each block in memory once.

        Raises:
            IndexError: if there is no such image.
            SampleError: if it cannot be read.
        """
        if not 0 <= number < len(self):
            raise IndexError(f"image {number} of a list of {len(self)}")
        index = bisect_right(self._stops, number)
        block, source = self._blocks[index]
        if self._loaded[0] != index:
            self._loaded = (index, block.load())
        sample = dict(self._loaded[1][number - self._stops[index] + block.num_rows])
        sample["id"] = _named(source.name, sample.get("id") or f"{number:09d}")
        sample["source"] = _source(sample.get("source"), source)
        return sample


def open_images(sources: ImageSource | Sequence[ImageSource]) -> ImageList:
    """The images of one source or several as one list.

    Raises:
        ValueError: if there are no images.
        FileNotFoundError: if a folder does not exist. Datasets raise what `load_dataset` raises.
    """
    sources = [sources] if isinstance(sources, ImageSource) else list(sources)
    images = ImageList(sources)
    if not len(images):
        places = ", ".join(str(source.folder or source.data_dir or source.dataset) for source in sources)
        raise ValueError(f"there are no images in: {places or 'no sources at all'}")
    return images


def _blocks_of(source: ImageSource) -> list[Block]:
    if source.folder is not None:
        from ..dataset_builders.unlabelled_builder import UnlabelledBuilder

        storage = Storage()
        listed = storage.list_files(source.folder)
        files = [(path,) for path in listed if is_image(path) and not UnlabelledBuilder.is_label(path)]
        title = source.name or Path(source.folder).name
        return file_shards(source.folder, files, UnlabelledReader(storage, source.folder, title, bands=BandReading()))

    from datasets import load_dataset

    from ..dataset_builders.dataset_blocks import blocks_of
    from ..dataset_builders.registry import REGISTRY

    streaming = source.dataset in REGISTRY  # its shards know their rows; others are prepared once and then indexed
    dataset = load_dataset(
        source.dataset,
        source.config,
        data_dir=source.data_dir,
        split=source.split,
        streaming=streaming,
        **source.options,
    )
    return blocks_of(dataset)


def _source(found: str | None, source: ImageSource) -> str:
    """The archive, and below it the sub-archive where the image names one."""
    if source.name is None:
        return found or Path(source.folder or source.dataset).name
    return source.name if found in (None, source.name) else f"{source.name}/{found}"


def _named(prefix: str | None, name: str) -> str:
    return f"{prefix}/{name}" if prefix else name
