"""The datasets of a fine-tuning recipe: one task each, with its training and its validation images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datasets import concatenate_datasets, load_dataset

from ...dataset_builders.errors import LayoutError
from ...dataset_builders.registry import REGISTRY, DatasetEntry, get_entry
from ...imaging.palettes import default_palette
from ..views.weak import IGNORED
from .class_map import ClassMap, MappedSamples
from .recipe import DatasetSettings

OWN_DATASET = "s5-image-mask"


@dataclass(frozen=True)
class TaskData:
    """What one task learns from.

    Attributes:
        name: of the task in the model.
        labels: class names in the order of their ids.
        palette: a colour per class.
        ignore_index: mask value without a class.
        train: indexed samples with `image` and `mask`.
        validation: samples with `image` and `mask`, `None` for no validation.
        validation_source: where they come from, in words.
        mean_excludes: classes left out of mIoU.
        class_map: name of the dataset and its mask values with their class ids, as a model's configuration holds them;
            `None` where masks hold the ids.
    """

    name: str
    labels: tuple[str, ...]
    palette: Sequence[tuple[int, int, int]]
    ignore_index: int
    train: Sequence[Any]
    validation: Sequence[Any] | None
    validation_source: str = "given"
    mean_excludes: tuple[str, ...] = ()
    class_map: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if len(self.train) == 0:
            raise ValueError(f"the task {self.name!r} has no training images")
        if self.validation is not None and len(self.validation) == 0:
            raise ValueError(f"the task {self.name!r} has no validation images; validation_split: none does without")


def load_task(settings: DatasetSettings, selection: str) -> TaskData:
    """Load one dataset of a recipe.

    Args:
        settings: of the dataset.
        selection: of the recipe; it decides on which images weights may be chosen.

    Raises:
        KeyError: for an unknown dataset.
        ValueError: if nothing says what the classes are, a split is missing or empty, or weights would be chosen on
            images whose results are published.
    """
    entry = get_entry(settings.dataset or default_dataset(settings.name))
    labels = task_labels(settings, entry)
    options = {"classes": list(labels)} if not entry.labels and not settings.class_map else {}
    if settings.mask_values is not None:
        options["mask_values"] = settings.mask_values
    try:
        splits = load_dataset(entry.name, data_dir=settings.data_dir, **options)
    except (LayoutError, ValueError) as error:
        raise ValueError(f"the images of the task {settings.name!r} cannot be loaded: {error}") from error
    train = train_split(settings, splits)
    train, validation, source = divide(settings, entry, splits, train, selection)
    if validation is not None and settings.validation_count is not None:
        validation = validation.select(range(min(len(validation), settings.validation_count)))
        source += f", the first {len(validation)} images"
    ignore_index = settings.ignore_index if entry.ignore_index is None else entry.ignore_index
    palette = entry.palette if entry.labels == labels and entry.palette else default_palette(len(labels))
    stored = None
    if settings.class_map:
        class_map = ClassMap.parse(settings.class_map, labels, ignore_index, settings.name)
        train = MappedSamples(train, class_map)
        validation = None if validation is None else MappedSamples(validation, class_map)
        ignore_index = IGNORED
        stored = {"dataset": entry.name, "values": class_map.values}
    excluded = entry.evaluation.excluded_classes if entry.evaluation and entry.labels == labels else ()
    return TaskData(
        name=settings.name,
        labels=labels,
        palette=palette,
        ignore_index=ignore_index,
        train=train,
        validation=validation,
        validation_source=source,
        mean_excludes=tuple(settings.mean_excludes) or excluded,
        class_map=stored,
    )


def default_dataset(task: str, own: str = OWN_DATASET) -> str:
    """`s5-<task>` where the registry has it, else a dataset of the user's own."""
    name = f"s5-{task}"
    return name if name in REGISTRY else own


def task_labels(settings: DatasetSettings, entry: DatasetEntry) -> tuple[str, ...]:
    """The classes of a task.

    Raises:
        ValueError: if the dataset has no masks or no classes, or others than the recipe says and no class_map.
    """
    if entry.task != "segmentation":
        raise ValueError(f"{settings.name}: {entry.name} is for {entry.task}, fine-tuning needs masks")
    given, known = tuple(settings.classes), entry.labels_of()
    if not given and not known:
        raise ValueError(
            f"{settings.name}: {entry.name} does not know its classes: name them with "
            f"--{settings.name}.classes in the order of their ids"
        )
    if given and known and given != known and not settings.class_map:
        raise ValueError(
            f"{settings.name}: {entry.name} has the classes {', '.join(known)}, the recipe says {', '.join(given)}; "
            "class_map says which mask value is which of them"
        )
    labels, weights = given or known, settings.class_weights
    if weights and len(weights) != len(labels):
        raise ValueError(f"{settings.name}.class_weights has {len(weights)} numbers for {len(labels)} classes")
    return labels


def train_split(settings: DatasetSettings, splits: Mapping[str, Any]) -> Any:
    """The training images, of one or several splits.

    Raises:
        ValueError: if there is no such split.
    """
    parts = [part.strip() for part in settings.train_split.split("+")]
    for part in parts:
        require_split(settings, splits, part)
    return splits[parts[0]] if len(parts) == 1 else concatenate_datasets([splits[part] for part in parts])


def divide(
    settings: DatasetSettings, entry: DatasetEntry, splits: Mapping[str, Any], train: Any, selection: str
) -> tuple[Any, Any | None, str]:
    """Training images, validation images and where these come from.

    Weights are never chosen on a split that results are reported on (`test`, or the split of the dataset's published
    protocol), unless the selection is `official_test_split`.

    Raises:
        ValueError: if the recipe asks for that, or for images that are trained on.
    """
    chosen = settings.validation_split
    if chosen == "auto":
        chosen = automatic_split(settings, entry, splits, selection)
    if chosen == "none":
        return train, None, "none"
    if chosen == "held_out":
        rest, held_out = hold_out(train, settings.held_out_share, settings.name)
        return (
            rest,
            held_out,
            f"{len(held_out)} of {len(train)} training images, set aside (the last by name of each folder)",
        )
    require_split(settings, splits, chosen)
    if chosen in settings.train_split.split("+"):
        raise ValueError(
            f"{settings.name}: the split {chosen!r} is trained on, so its scores mean nothing; "
            "validation_split: held_out sets training images aside, none does without"
        )
    if selection == "validation" and chosen in reported_splits(entry):
        raise ValueError(
            f"{settings.name}: results on the split {chosen!r} of {entry.name} are what one reports, so it must not "
            "choose the weights. Use validation_split: held_out, selection: last (nothing is chosen), or selection: "
            "official_test_split, which does as the official code"
        )
    return train, splits[chosen], f"split {chosen}"


def automatic_split(settings: DatasetSettings, entry: DatasetEntry, splits: Mapping[str, Any], selection: str) -> str:
    """The validation split that suits a selection: see the table in `examples/finetune_segmentation.py`."""
    trained = settings.train_split.split("+")
    reported = reported_splits(entry)
    usable = [split for split in splits if split not in trained and has_labels(splits[split])]
    if selection == "official_test_split":
        wanted = [split for split in reported if split in usable] + ["val"]
    elif selection == "validation":
        wanted = [split for split in ("val",) if split not in reported]
    else:
        wanted = ["val"]
    found = next((split for split in wanted if split in usable), None)
    if found is not None:
        return found
    return "held_out" if selection == "validation" else "none"


def reported_splits(entry: DatasetEntry) -> tuple[str, ...]:
    """Splits whose results one reports: `test`, and for a benchmark the split of its published protocol."""
    published = (entry.evaluation.split,) if entry.labels and entry.evaluation else ()
    return tuple(dict.fromkeys(("test", *published)))


def has_labels(split: Any) -> bool:
    """Whether the first sample of a split has a mask, or any an object (some test splits come without)."""
    if len(split) > 0 and "objects" in split[0]:
        return any(objects["category"] for objects in split["objects"])
    return len(split) > 0 and split[0].get("mask") is not None


def hold_out(samples: Any, share: float, task: str) -> tuple[Any, Any]:
    """The samples without the last share by name of each folder, and that share.

    Crops of one scene have names that follow each other, so that they mostly stay together; folders are cities or
    kinds of landscape, and each is represented.

    Raises:
        ValueError: if nothing would be left to train on.
    """
    names = [str(name) for name in samples["id"]]
    folders: dict[str, list[int]] = {}
    for index in sorted(range(len(names)), key=names.__getitem__):
        folders.setdefault(names[index].rpartition("/")[0], []).append(index)
    chosen = {index for folder in folders.values() for index in folder[len(folder) - round(share * len(folder)) :]}
    chosen = chosen or {max(range(len(names)), key=names.__getitem__)}
    if len(chosen) >= len(names):
        raise ValueError(f"the task {task!r} has {len(names)} training images, too few to set {len(chosen)} aside")
    rest = [index for index in range(len(names)) if index not in chosen]
    return samples.select(rest), samples.select(sorted(chosen))


def require_split(settings: DatasetSettings, splits: Mapping[str, Any], split: str) -> None:
    """Raise a ValueError unless the dataset has the split."""
    if split not in splits:
        found = ", ".join(splits) or "none"
        raise ValueError(f"{settings.name}: there is no split {split!r} in {settings.data_dir}; it has {found}")
