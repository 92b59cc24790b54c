"""What all builders share: the registry's entry, finding shards by split, reading them, and errors on bad input."""

from __future__ import annotations

import hashlib
import logging
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import datasets
from datasets import Features
from datasets.exceptions import DatasetGenerationError

from .band_files import Band
from .band_images import BandReading, decode_column
from .errors import CorruptImageError, LayoutError
from .options import require_bands, require_number, require_whole_number
from .registry import DatasetEntry, get_entry
from .shard_files import find_shard_files
from .shards import Record, Sample, SampleReader, Shard, file_shards
from .storage import Storage, is_remote, join

logger = logging.getLogger(__name__)

CORRUPT_IMAGE_CHOICES = ("raise", "skip")


@dataclass
class BuilderConfig(datasets.BuilderConfig):
    """Options of every builder, given to `load_dataset` as keywords.

    Attributes:
        corrupt_images: `"raise"` stops with the name of the first file that is not an image or is cut short; `"skip"`
            decodes every image once more to notice all damage, leaves the broken ones out and logs their number.
        read_attempts: how often a broken remote read is tried before it raises.
        retry_wait: seconds before the second try; doubled after each further one.
    """

    version: str = "1.1.0"
    corrupt_images: str = "raise"
    read_attempts: int = 5
    retry_wait: float = 1.0

    def check(self) -> None:
        """Raise a ValueError for an option of the wrong kind; subclasses add their own options."""
        require_whole_number("read_attempts", self.read_attempts, 1, 1000)
        if isinstance(self.retry_wait, bool) or not isinstance(self.retry_wait, int | float) or self.retry_wait < 0:
            raise ValueError(f"retry_wait must be a number of seconds, got {self.retry_wait!r}")


@dataclass
class BandConfig(BuilderConfig):
    """Options of the builders that read images of any number of bands and any depth.

    Attributes:
        bands: which bands, by number from 1 or by name (description or colour), become the channels, in which order.
            By default all that do not mark transparency.
        nodata: pixels with this value in all bands hold no data; by default what each file says. Their mask becomes
            the ignore index.
    """

    bands: Sequence[Band] | None = None
    nodata: float | None = None

    @property
    def reading(self) -> BandReading:
        """How the images are read."""
        return BandReading(None if self.bands is None else tuple(self.bands), self.nodata)

    def check(self) -> None:
        super().check()
        if self.bands is not None:
            require_bands("bands", self.bands)
        if self.nodata is not None:
            require_number("nodata", self.nodata)


class Builder(datasets.GeneratorBasedBuilder):
    """Base of all builders. Subclasses set `DATASET`, and say in `find_file_shards` where the files are.

    Attributes:
        DATASET: name in the registry.
        RELEASE_FOLDERS: folders below `data_dir` in which releases keep this dataset; looked into when present.
    """

    BUILDER_CONFIG_CLASS = BuilderConfig
    BUILDER_CONFIGS = (BuilderConfig(name="default"),)
    DATASET: str
    RELEASE_FOLDERS: tuple[str, ...] = ()

    @property
    def entry(self) -> DatasetEntry:
        """What the registry knows."""
        return get_entry(self.DATASET)

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names of the chosen configuration."""
        return self.entry.labels_of(self.config.name)

    @property
    def storage(self) -> Storage:
        """How files are read."""
        token = self.token if isinstance(self.token, str) else None
        return Storage(self.config.read_attempts, self.config.retry_wait, token)

    @abstractmethod
    def columns(self) -> Features:
        """The columns of a sample."""

    @abstractmethod
    def find_file_shards(self, root: str, files: Sequence[str]) -> dict[str, list[Shard]]:
        """Shards by split for samples in files of their own.

        Args:
            root: the data directory.
            files: relative paths of what it holds.

        Raises:
            LayoutError: if the files have no known layout.
        """

    def file_shards(self, records: Mapping[str, Sequence[Record]], reader: SampleReader) -> dict[str, list[Shard]]:
        """Shards by split of samples whose records are known."""
        return {split: file_shards(f"{self.DATASET} {split}", found, reader) for split, found in records.items()}

    def find_shards(self) -> dict[str, list[Shard]]:
        """Shards by split, from Parquet or tar files where there are any, else from single files."""
        if self.config.corrupt_images not in CORRUPT_IMAGE_CHOICES:
            raise ValueError(
                f"corrupt_images must be one of {', '.join(CORRUPT_IMAGE_CHOICES)}, got {self.config.corrupt_images!r}"
            )
        if self.config.data_files is not None:
            files = {str(split): list(map(str, paths)) for split, paths in self.config.data_files.items()}
            return find_shard_files(self.storage, "", files, self.columns(), self.DATASET)
        root = self.root()
        files = self.list_files(root)
        for folder in self.RELEASE_FOLDERS:
            if any(path.startswith(f"{folder}/") for path in files):
                root = join(root, *folder.split("/"))
                files = [path.removeprefix(f"{folder}/") for path in files if path.startswith(f"{folder}/")]
                break
        return find_shard_files(self.storage, root, files, self.columns(), self.DATASET) or self.find_file_shards(
            root, files
        )

    def ordered_shards(self) -> dict[str, list[Shard]]:
        """Shards by split, the splits in the order of the registry, others behind them."""
        order = {split: position for position, split in enumerate(self.entry.splits)}
        return dict(sorted(self.find_shards().items(), key=lambda item: (order.get(item[0], len(order)), item[0])))

    def root(self) -> str:
        """The data directory as a local path or a URL.

        Raises:
            ValueError: if none was given.
            LayoutError: if a local one does not exist.
        """
        root = self.config.data_dir
        if not root:
            raise ValueError(
                f"{self.DATASET} needs data_dir=...: a local folder, an hf:// path or an http(s) URL with its files"
            )
        root = str(root).removeprefix("file://")
        if not is_remote(root):
            root = str(Path(root).expanduser().absolute())
            if not Path(root).is_dir():
                raise LayoutError(f"data_dir of {self.DATASET} does not exist: {root}")
        return root

    def list_files(self, root: str) -> list[str]:
        """Relative paths of all files below the data directory."""
        try:
            return self.storage.list_files(root)
        except FileNotFoundError as error:
            raise LayoutError(
                f"the files of {self.DATASET} at {root} cannot be listed ({error}). A web server needs an index.json, "
                "which s5_hf writes beside its shards, or folder listings; or name the shards with data_files=[...]"
            ) from error

    def _info(self) -> datasets.DatasetInfo:
        self.config.check()
        return datasets.DatasetInfo(
            description=self.entry.title,
            features=self.columns(),
            homepage=self.entry.homepage,
            license=self.entry.licence,
            citation=self.entry.citation,
        )

    def _split_generators(self, dl_manager: datasets.DownloadManager) -> list[datasets.SplitGenerator]:
        found = self.ordered_shards().items()
        return [datasets.SplitGenerator(name=split, gen_kwargs={"shards": list(shards)}) for split, shards in found]

    def _generate_examples(self, shards: list[Shard]) -> Iterator[tuple[str, Sample]]:
        skipped = 0
        for shard in shards:
            position = 0
            for rows in shard.stream():
                for row in range(len(rows)):
                    position += 1
                    try:
                        sample = rows[row]
                        if self.config.corrupt_images == "skip":
                            self._check_images(sample)
                    except CorruptImageError as error:
                        if self.config.corrupt_images == "raise":
                            raise
                        skipped += 1
                        logger.warning("skipped: %s", error)
                        continue
                    yield f"{shard.name}:{position}", sample
        if skipped:
            logger.warning("%s: %d corrupt images were skipped", self.DATASET, skipped)

    def download_and_prepare(self, *arguments, **options) -> None:
        """As in `datasets`, but files that were added, removed or changed since are not taken from an old cache."""
        fingerprint = self._fingerprint()
        if fingerprint and not self.config_id.endswith(fingerprint):
            self.config_id = f"{self.config_id}-{fingerprint}"
            self._cache_dir = self._output_dir = self._build_cache_dir()
        try:
            super().download_and_prepare(*arguments, **options)
        except DatasetGenerationError as error:
            # It says no more than that something is wrong; its cause names the file.
            if isinstance(error.__cause__, (OSError, ValueError)):
                raise error.__cause__ from error
            raise

    def _fingerprint(self) -> str:
        """A digest of the local folder and its files' names, sizes and times; empty for remote ones."""
        if self.config.data_files is not None or is_remote(str(self.config.data_dir or "")):
            return ""
        root = self.root()
        digest = hashlib.sha256(root.encode())
        for path in self.storage.list_files(root):
            status = Path(root, path).stat()
            digest.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
        return digest.hexdigest()[:16]

    def _check_images(self, sample: Sample) -> None:
        for name, feature in self.info.features.items():
            if isinstance(feature, datasets.Image) and sample.get(name) is not None:
                decode_column(feature, sample[name], f"{name} of {sample['id']}")
