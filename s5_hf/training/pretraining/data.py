"""The datasets of a recipe: labelled, unlabelled and validation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import load_dataset

from ...dataset_builders.registry import get_entry
from ...imaging.palettes import default_palette
from ..batches import IndexedBatches, StreamedBatches
from ..image_input import band_options
from ..views.weak import SampleView, WeakView
from .recipe import DataSettings, PretrainingRecipe


@dataclass(frozen=True)
class SegmentationData:
    """What a run learns from.

    Attributes:
        task: name of the task in the model.
        labels: class names in the order of their ids.
        palette: a colour per class.
        ignore_index: mask value without a class.
        labelled: samples with `image` and `mask`.
        unlabelled: samples with `image`; `None` for a method that takes none.
        validation: samples with `image` and `mask`, `None` for no validation.
    """

    task: str
    labels: tuple[str, ...]
    palette: Sequence[tuple[int, int, int]]
    ignore_index: int
    labelled: Any
    unlabelled: Any | None
    validation: Sequence[Any] | None


def load_data(settings: DataSettings, seed: int, with_unlabelled: bool) -> SegmentationData:
    """Load what a recipe names.

    Args:
        settings: of the recipe.
        seed: chooses the labelled images where only some are used.
        with_unlabelled: whether the method takes unlabelled images.

    Raises:
        KeyError: for an unknown dataset.
        ValueError: if nothing says what the classes are, a split is missing, or a selection is impossible.
    """
    entry = get_entry(settings.labelled_dataset)
    labels = tuple(settings.classes) or entry.labels_of()
    if not labels:
        raise ValueError(f"{entry.name} does not know its classes: name them with classes: [...] in their order")
    options = ({"classes": list(labels)} if not entry.labels else {}) | band_options(settings, entry)
    labelled = load_split(
        settings.labelled_dataset, settings.labelled_dir, settings.labelled_split, settings.streaming, options
    )
    rest = None
    if settings.labelled_count is not None:
        labelled, rest = split_off(labelled, settings.labelled_count, seed)
    unlabelled = None
    if with_unlabelled:
        unlabelled = rest
        if settings.unlabelled_dataset != "rest":
            unlabelled = load_split(
                settings.unlabelled_dataset,
                settings.unlabelled_dir,
                settings.unlabelled_split,
                settings.streaming,
                band_options(settings, get_entry(settings.unlabelled_dataset)),
            )
    validation = None
    if settings.validation_split is not None:
        validation = load_split(
            settings.labelled_dataset, settings.labelled_dir, settings.validation_split, False, options
        )
        if settings.validation_count is not None:
            validation = validation.select(range(min(len(validation), settings.validation_count)))
    palette = entry.palette if entry.palette and not settings.classes else default_palette(len(labels))
    ignore_index = settings.ignore_index if entry.ignore_index is None else entry.ignore_index
    task = entry.name.removeprefix("s5-").replace("-", "_")
    return SegmentationData(task, labels, palette, ignore_index, labelled, unlabelled, validation)


def load_split(name: str, data_dir: str | None, split: str, streaming: bool, options: dict[str, Any]) -> Any:
    """One split of a dataset of the registry."""
    get_entry(name)  # the error of the registry names what is known
    return load_dataset(name, data_dir=data_dir, split=split, streaming=streaming, **options)


def split_off(dataset: Any, count: int, seed: int) -> tuple[Any, Any]:
    """`count` samples chosen by the seed, and the others.

    Raises:
        ValueError: if the dataset is streamed or too small.
    """
    if not hasattr(dataset, "select"):
        raise ValueError("labelled_count needs an indexed dataset: set streaming: false")
    if count > len(dataset):
        raise ValueError(f"labelled_count is {count}, but the dataset has {len(dataset)} samples")
    order = np.random.default_rng(seed).permutation(len(dataset))
    return dataset.select(sorted(order[:count].tolist())), dataset.select(sorted(order[count:].tolist()))


def labelled_batches(recipe: PretrainingRecipe, data: SegmentationData, rank: int, world_size: int) -> IndexedBatches:
    """Endless labelled batches of a process."""
    view = SampleView(
        weak_view(recipe),
        recipe.run.seed,
        "labelled",
        len(data.labels),
        data.ignore_index,
        channels=len(recipe.data.image_mean),
        scaling=recipe.data.value_scaling,
    )
    return make_batches(data.labelled, view, recipe, recipe.optimizer.labelled_batch_size, 0, rank, world_size)


def unlabelled_batches(
    recipe: PretrainingRecipe, data: SegmentationData, rank: int, world_size: int, stream: str = "unlabelled"
) -> IndexedBatches:
    """Endless unlabelled batches of a process; another `stream` has another order."""
    view = SampleView(
        weak_view(recipe),
        recipe.run.seed,
        stream,
        channels=len(recipe.data.image_mean),
        scaling=recipe.data.value_scaling,
    )
    offset = 1 if stream == "unlabelled" else 2
    return make_batches(
        data.unlabelled, view, recipe, recipe.optimizer.unlabelled_batch_size, offset, rank, world_size
    )


def make_batches(
    dataset: Any, view: SampleView, recipe: PretrainingRecipe, batch_size: int, order: int, rank: int, world_size: int
) -> IndexedBatches | StreamedBatches:
    """Endless batches of an indexed or a streamed dataset; `order` tells the orders of one run apart."""
    indexed = hasattr(dataset, "__len__")
    return (IndexedBatches if indexed else StreamedBatches)(
        dataset,
        view,
        batch_size,
        seed=3 * recipe.run.seed + order,
        rank=rank,
        world_size=world_size,
        num_workers=recipe.data.num_workers,
    )


def weak_view(recipe: PretrainingRecipe) -> WeakView:
    """The weak view of a recipe."""
    return WeakView(recipe.data.crop_size, tuple(recipe.data.scale_range))
