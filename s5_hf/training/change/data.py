"""The datasets of a change-detection recipe."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from ...dataset_builders.description import described_classes
from ...dataset_builders.registry import DatasetEntry, get_entry
from ...imaging.natural_colors import natural_palette
from ...modeling.change_classes import CHANGE_LABELS, from_to_labels
from ..pretraining.data import SegmentationData, load_datasets
from .pair_reader import DATE_MASKS, PairReader
from .recipe import ChangeDataSettings

OWN_DATASET = "s5-image-pair-mask"
CHANGE_COLORS = ((225, 225, 225), (214, 39, 40))


def load_change_data(
    settings: ChangeDataSettings, seed: int, with_unlabelled: bool, chooses_weights: bool
) -> SegmentationData:
    """Load the pairs that a recipe names; arguments as for `load_data` of S4 pre-training.

    Raises:
        KeyError: for an unknown dataset.
        ValueError: if a dataset holds no pairs, has no classes of both dates where `from_to` asks for them, or as
            `load_data`.
    """
    entry = require_pairs(settings.labelled_dataset)
    if with_unlabelled and settings.unlabelled_dataset != "rest":
        require_pairs(settings.unlabelled_dataset)
    own = own_classes(settings.classes, settings.labelled_dir, entry)
    options = {"classes": list(own)} if own and entry.name == OWN_DATASET else {}
    of_dates = has_date_masks(entry)
    labels = CHANGE_LABELS if of_dates or not (own or entry.labels) else own or entry.labels
    data = load_datasets(settings, entry, labels, options, seed, with_unlabelled, chooses_weights)
    if settings.from_to:
        return with_date_classes(data, entry, own or entry.labels[1:])
    colors = CHANGE_COLORS if labels == CHANGE_LABELS else natural_palette(labels)
    return dataclasses.replace(data, palette=colors)


def require_pairs(name: str) -> DatasetEntry:
    """The dataset of that name; a ValueError unless it has two dates."""
    entry = get_entry(name)
    if entry.task != "change":
        raise ValueError(f"{name} is a dataset for {entry.task}; change detection needs pairs of images of two dates")
    return entry


def own_classes(given: Sequence[str], data_dir: str | None, entry: DatasetEntry) -> tuple[str, ...]:
    """The classes that a recipe names, or that the folder of the user's own dataset does; empty for neither."""
    described = described_classes(data_dir) if entry.name == OWN_DATASET and not given else None
    return tuple(given) or tuple(described or ())


def has_date_masks(entry: DatasetEntry) -> bool:
    """Whether a dataset has masks of both dates."""
    return entry.labels[2:] != () and entry.name != OWN_DATASET


def with_date_classes(data: SegmentationData, entry: DatasetEntry, classes: Sequence[str]) -> SegmentationData:
    """The data with the labels of changes from one class to another.

    Raises:
        ValueError: if the dataset has no masks of both dates, or too many classes.
    """
    columns = getattr(data.labelled, "column_names", None) or DATE_MASKS
    if not set(DATE_MASKS) <= set(columns):
        raise ValueError(f"from_to needs masks of both dates; {entry.name} has the columns {', '.join(columns)}")
    labels = tuple(from_to_labels(classes))
    return dataclasses.replace(data, labels=labels, palette=natural_palette(labels), date_classes=tuple(classes))


def images_of_dates(dataset: Any) -> list[Any]:
    """The images of each date as datasets of their own, whose column is `image`; none of no dataset."""
    if dataset is None:
        return []
    columns = PairReader.columns
    if hasattr(dataset, "rename_column"):
        return [dataset.select_columns([column]).rename_column(column, "image") for column in columns]
    return [[{"image": sample[column]} for sample in dataset] for column in columns]
