"""The datasets of a recipe: labelled, unlabelled and validation."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import load_dataset

from ...dataset_builders.registry import DatasetEntry, get_entry
from ...imaging.natural_colors import natural_palette
from ..batches import IndexedBatches, StreamedBatches
from ..image_input import band_options
from ..joint.splits import hold_out
from ..selection import require_honest
from ..views.sample_reader import ONE_IMAGE, SampleReader
from ..views.strong_draws import StrongDraws
from ..views.weak import SampleView, WeakView
from .labelled_choice import (
    balanced_choice,
    class_shares,
    covering_choice,
    curated_names,
    listed_choice,
    random_choice,
    read_names,
    shown_classes,
)
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
        validation_source: where these come from, in words.
        date_classes: of each date of a pair, where its labels are those of changes from one to another.
    """

    task: str
    labels: tuple[str, ...]
    palette: Sequence[tuple[int, int, int]]
    ignore_index: int
    labelled: Any
    unlabelled: Any | None
    validation: Sequence[Any] | None
    validation_source: str = "given"
    date_classes: tuple[str, ...] = ()


def load_data(
    settings: DataSettings, seed: int, with_unlabelled: bool, chooses_weights: bool = False
) -> SegmentationData:
    """Load what a recipe names.

    Args:
        settings: of the recipe.
        seed: chooses the labelled images where only some are used.
        with_unlabelled: whether the method takes unlabelled images.
        chooses_weights: whether the validation images choose the best weights.

    Raises:
        KeyError: for an unknown dataset.
        ValueError: if nothing says what the classes are, a split is missing, a selection is impossible, or weights
            would be chosen on images whose results are reported.
    """
    entry = get_entry(settings.labelled_dataset)
    labels = tuple(settings.classes) or entry.labels_of()
    if not labels:
        raise ValueError(f"{entry.name} does not know its classes: name them with classes: [...] in their order")
    options = {"classes": list(labels)} if not entry.labels else {}
    return load_datasets(settings, entry, labels, options, seed, with_unlabelled, chooses_weights)


def load_datasets(
    settings: DataSettings,
    entry: DatasetEntry,
    labels: tuple[str, ...],
    options: dict[str, Any],
    seed: int,
    with_unlabelled: bool,
    chooses_weights: bool,
) -> SegmentationData:
    """The datasets of a recipe whose labelled one is `entry` with the classes `labels`; see `load_data`.

    Args:
        settings, seed, with_unlabelled, chooses_weights: as for `load_data`.
        entry: of the labelled dataset.
        labels: class names.
        options: of its builder.
    """
    ignore_index = settings.ignore_index if entry.ignore_index is None else entry.ignore_index
    options = options | band_options(settings, entry)
    labelled = load_split(
        settings.labelled_dataset, settings.labelled_dir, settings.labelled_split, settings.streaming, options
    )
    labelled, validation, source = split_validation(settings, entry, labelled, options, chooses_weights)
    rest = None
    if settings.labelled_count is not None or settings.labelled_list is not None:
        chosen = choose_labelled(settings, labelled, seed, labels, ignore_index)
        others = sorted(set(range(len(labelled))) - set(chosen))
        labelled, rest = labelled.select(chosen), labelled.select(others)
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
    palette = entry.palette if entry.palette and not settings.classes else natural_palette(labels)
    task = entry.name.removeprefix("s5-").replace("-", "_")
    return SegmentationData(task, labels, palette, ignore_index, labelled, unlabelled, validation, source)


def load_split(name: str, data_dir: str | None, split: str, streaming: bool, options: dict[str, Any]) -> Any:
    """One split of a dataset of the registry."""
    get_entry(name)  # the error of the registry names what is known
    return load_dataset(name, data_dir=data_dir, split=split, streaming=streaming, **options)


def split_validation(
    settings: DataSettings, entry: DatasetEntry, labelled: Any, options: dict[str, Any], chooses_weights: bool
) -> tuple[Any, Any | None, str]:
    """Images to learn from, validation images (`None` for none), and where these come from, in words.

    Raises:
        ValueError: if images of a stream are to be held out, or weights would be chosen on images whose results are
            reported.
    """
    chosen, source = settings.validation_split, "none"
    if chosen == "none" or chosen is None:
        return labelled, None, source
    if chosen == "held_out":
        require_indexed(labelled, "validation_split: held_out")
        rest, validation = hold_out(labelled, settings.held_out_share, entry.name)
        source = f"{len(validation)} of {len(labelled)} labelled images, set aside (the last by name of each folder)"
        labelled = rest
    else:
        if chooses_weights:
            require_honest(entry, chosen)
        validation = load_split(settings.labelled_dataset, settings.labelled_dir, chosen, False, options)
        source = f"split {chosen}"
    if settings.validation_count is not None:
        validation = validation.select(range(min(len(validation), settings.validation_count)))
        source = f"{source}, the first {len(validation)} images"
    return labelled, validation, source


def choose_labelled(
    settings: DataSettings, dataset: Any, seed: int, labels: Sequence[str], ignore_index: int
) -> list[int]:
    """Positions of the labelled images that are learnt from.

    Raises:
        ValueError: if the dataset is streamed or too small, or the choice is impossible.
        FileNotFoundError: if there is no such list.
    """
    require_indexed(dataset, "labelled_count" if settings.labelled_list is None else "labelled_list")
    count = settings.labelled_count
    if settings.labelled_list is not None:
        ids = sample_ids(dataset)
        path = Path(settings.labelled_list)
        names = curated_names(path, ids) if settings.labelled_choice == "curated" else read_names(path)
        return sorted(listed_choice(ids, names, count, str(path)))
    if settings.labelled_choice == "covering":
        return covering_choice(shown_classes(class_shares(dataset, len(labels), ignore_index)), count, seed, labels)
    if settings.labelled_choice == "balanced":
        shares = class_shares(dataset, len(labels), ignore_index)
        return balanced_choice(shares, count, seed, settings.least_share, labels)
    return random_choice(len(dataset), count, seed)


def sample_ids(dataset: Any) -> list[str]:
    """The names of indexed samples, of `load_dataset` or in a list; where one has none, its number."""
    if hasattr(dataset, "column_names"):
        return [str(name) for name in dataset["id"]]
    return [str(sample.get("id", number)) for number, sample in enumerate(dataset)]


def require_indexed(dataset: Any, key: str) -> None:
    """Raise a ValueError for a stream, of which nothing can be selected."""
    if not hasattr(dataset, "select"):
        raise ValueError(f"{key} needs an indexed dataset: set streaming: false")


def labelled_batches(
    recipe: PretrainingRecipe,
    data: SegmentationData,
    rank: int,
    world_size: int,
    reader: SampleReader = ONE_IMAGE,
    strong: StrongDraws | None = None,
) -> IndexedBatches:
    """Endless labelled batches of a process; `strong` draws other colours for them."""
    view = SampleView(
        weak_view(recipe),
        recipe.run.seed,
        "labelled",
        len(data.labels),
        data.ignore_index,
        channels=len(recipe.data.image_mean),
        scaling=recipe.data.value_scaling,
        reader=reader,
        strong=strong,
    )
    return make_batches(data.labelled, view, recipe, recipe.optimizer.labelled_batch_size, 0, rank, world_size)


def unlabelled_batches(
    recipe: PretrainingRecipe,
    data: SegmentationData,
    rank: int,
    world_size: int,
    stream: str = "unlabelled",
    reader: SampleReader = ONE_IMAGE,
    strong: StrongDraws | None = None,
) -> IndexedBatches:
    """Endless unlabelled batches of a process; another `stream` has another order. `strong` draws strong views."""
    view = SampleView(
        weak_view(recipe),
        recipe.run.seed,
        stream,
        channels=len(recipe.data.image_mean),
        scaling=recipe.data.value_scaling,
        reader=reader,
        strong=strong,
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
    data = recipe.data
    return WeakView(
        data.crop_size,
        tuple(data.scale_range),
        rotation_probability=data.rotation_probability,
        vertical_flips=data.vertical_flips,
    )
