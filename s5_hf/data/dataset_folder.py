"""A dataset below a folder or URL, opened through its builder to be looked through."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from datasets import Image

from ..dataset_builders.band_images import decode_column
from ..dataset_builders.registry import DatasetEntry, get_entry
from ..dataset_builders.shards import Block, Shard

__all__ = ["DatasetFolder", "DecodedImages", "decoded_images", "open_folder"]


@dataclass(frozen=True)
class DatasetFolder:
    """A dataset below a folder or URL, opened through its builder.

    Attributes:
        entry: what the registry knows.
        labels: class names of the configuration.
        ignore_index: mask value without a class.
        shards: the shards of each split.
        images: how the columns of images are decoded.
        image_columns: their names, one per date.
        mask_columns: names of the columns of class ids.
    """

    entry: DatasetEntry
    labels: tuple[str, ...]
    ignore_index: int | None
    shards: Mapping[str, Sequence[Shard]]
    images: Image = field(default_factory=Image)
    image_columns: tuple[str, ...] = ("image",)
    mask_columns: tuple[str, ...] = ("mask", "pseudo_mask")


def open_folder(
    dataset: str,
    data_dir: str | os.PathLike[str],
    config: str | None = None,
    split: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> DatasetFolder:
    """Find the shards of a dataset with its builder.

    Args:
        dataset: name in the registry.
        data_dir: local folder, `hf://` path or http(s) URL prefix.
        config: configuration of the dataset, its default if not given.
        split: a single split.
        options: further options of the builder, as `load_dataset` takes them.

    Raises:
        KeyError: the registry has no such dataset.
        LayoutError: `data_dir` does not exist or holds no layout that the builder knows.
        ValueError: an unknown split, configuration or option (lists the known).
    """
    entry = get_entry(dataset)
    entry.labels_of(config)
    known = {field.name for field in fields(entry.builder_class().BUILDER_CONFIG_CLASS)} - {"name", "data_dir"}
    if unknown := sorted(set(options or ()) - known):
        raise ValueError(f"{dataset} takes no option {unknown[0]!r}; it takes {', '.join(sorted(known))}.")
    builder = entry.builder_class()(config_name=config, data_dir=str(data_dir), **(options or {}))
    shards = builder.ordered_shards()
    if split is not None:
        if split not in shards:
            raise ValueError(f"{dataset} at {data_dir} has no split {split!r}; it has {', '.join(shards)}.")
        shards = {split: shards[split]}
    ignore_index = getattr(builder.config, "ignore_index", entry.ignore_index)
    columns = builder.info.features
    image_columns = tuple(name for name in columns if name.startswith("image"))
    masks = tuple(name for name in columns if name.startswith(("mask", "pseudo_mask")))
    # Where both dates have classes, the mask of changes is made of theirs.
    mask_columns = tuple(name for name in masks if name != "mask") if "mask_before" in masks else masks
    return DatasetFolder(
        entry, tuple(builder.labels), ignore_index, shards, columns[image_columns[0]], image_columns, mask_columns
    )


def decoded_images(folder: DatasetFolder, split: str) -> "DecodedImages":
    """The images of a split, decoded when they are asked for; damaged ones raise."""
    blocks = [block for shard in folder.shards[split] for block in shard.blocks()]
    return DecodedImages(tuple(blocks), folder.images, folder.image_columns)


@dataclass(frozen=True)
class DecodedImages:
    """Samples with `id` and decoded `image`, as [`measure_bands`] takes them.

    Attributes:
        blocks: of shards, read one sample at a time.
        images: how the columns of images are decoded.
        columns: their names; each date of a sample counts as an image.
    """

    blocks: tuple[Block, ...]
    images: Image
    columns: tuple[str, ...] = ("image",)

    def __len__(self) -> int:
        return len(self.columns) * sum(block.num_rows for block in self.blocks)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row, date = divmod(index, len(self.columns))
        for block in self.blocks:
            if row < block.num_rows:
                sample = block.load()[row]
                image = decode_column(self.images, sample[self.columns[date]], sample["id"])
                return {"id": sample["id"], "image": image}
            row -= block.num_rows
        raise IndexError(f"there are only {len(self)} images")
