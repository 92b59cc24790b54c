"""Base of the unlabelled archives: every image below the data directory, whatever the folders, bands and depth."""

from __future__ import annotations

from collections.abc import Sequence

from datasets import Features

from .builder import BandConfig, Builder
from .errors import LayoutError
from .features import unlabelled_features
from .images import is_image
from .samples import UnlabelledReader
from .shards import Shard, file_shards

LABEL_FOLDERS = frozenset(
    {"masks", "labels", "label", "semantic_masks", "instance_masks", "hbox", "rhbox", "sgg", "annotations"}
)
"""Folders whose pictures are labels, not images; compared in lower case."""


class UnlabelledBuilder(Builder):
    """All images in one split, `train`. `source` is the first folder of a path, so sub-archives can be told apart."""

    BUILDER_CONFIG_CLASS = BandConfig
    BUILDER_CONFIGS = (BandConfig(name="default"),)

    def columns(self) -> Features:
        return unlabelled_features(self.config.reading.column)

    def find_file_shards(self, root: str, files: Sequence[str]) -> dict[str, list[Shard]]:
        images = [(path,) for path in files if is_image(path) and not self.is_label(path)]
        if not images:
            raise LayoutError(
                f"{root} holds no images (.jpg, .png, .tif ...) for {self.DATASET}, only {len(files)} files"
            )
        reader = UnlabelledReader(self.storage, root, self.entry.title, bands=self.config.reading).matching(images[0])
        return {"train": file_shards(self.DATASET, images, reader)}

    @staticmethod
    def is_label(path: str) -> bool:
        """Whether a folder of the path says that the picture is a label."""
        return any(folder.lower() in LABEL_FOLDERS for folder in path.split("/")[:-1])
