"""The classes and images of a dataset: which are learned from, and which may choose the best weights."""

from collections.abc import Mapping, Sequence
from typing import Any

from datasets import concatenate_datasets, load_dataset

from ...dataset_builders.errors import LayoutError
from ...dataset_builders.registry import REGISTRY, DatasetEntry, get_entry
from .recipe import DatasetSettings


def chosen_entry(settings: DatasetSettings, own: str) -> DatasetEntry:
    """The named dataset; by default `s5-<task>` where the registry has it, else `own`, for datasets of the user.

    Raises:
        KeyError: for an unknown dataset.
    """
    default = f"s5-{settings.name}"
    return get_entry(settings.dataset or (default if default in REGISTRY else own))


def chosen_classes(
    settings: DatasetSettings, entry: DatasetEntry, known: tuple[str, ...], advice: str = ""
) -> tuple[str, ...]:
    """The classes of a task.

    Args:
        settings: of the dataset; its `classes` are used where it does not know its own.
        entry: of the dataset.
        known: the classes of the dataset itself, empty for none.
        advice: ends the message about classes that differ.

    Raises:
        ValueError: if nothing says what the classes are, or the dataset has others than the recipe says.
    """
    given = tuple(settings.classes)
    if not given and not known:
        raise ValueError(
            f"{settings.name}: {entry.name} does not know its classes: name them with "
            f"--{settings.name}.classes in the order of their ids"
        )
    if given and known and given != known:
        raise ValueError(
            f"{settings.name}: {entry.name} has the classes {', '.join(known)}, the recipe says {', '.join(given)}"
            f"{advice}"
        )
    return given or known


def load_images(
    settings: DatasetSettings, entry: DatasetEntry, selection: str, config: str | None = None, **options: Any
) -> tuple[Any, Any | None, str]:
    """Training images, validation images (`None` for none) and where the latter come from.

    Args:
        settings: of the dataset.
        entry: of the dataset.
        selection: of the recipe; it decides on which images weights may be chosen.
        config: configuration of the dataset.
        options: of its builder.

    Raises:
        ValueError: if the images cannot be loaded, a split is missing, or weights would be chosen on images whose
            results are published.
    """
    try:
        splits = load_dataset(entry.name, config, data_dir=settings.data_dir, **options)
    except (LayoutError, ValueError) as error:
        raise ValueError(f"the images of the task {settings.name!r} cannot be loaded: {error}") from error
    return divide(settings, entry, splits, train_split(settings, splits), selection)


def train_split(settings: DatasetSettings, splits: Mapping[str, Any]) -> Any:
    """The training images, of one or several splits.

    Raises:
        ValueError: if there is no such split.
    """
    parts = trained_splits(settings, splits)
    for part in parts:
        require_split(settings, splits, part)
    return splits[parts[0]] if len(parts) == 1 else concatenate_datasets([splits[part] for part in parts])


def trained_splits(settings: DatasetSettings, splits: Mapping[str, Any]) -> list[str]:
    """The names of the splits that are trained on.

    Publishers and their tools keep `train` and `val` apart or together as `trainval`: one means the other where the
    dataset has only that.
    """
    parts = [part.strip() for part in settings.train_split.split("+")]
    if "trainval" in parts and "trainval" not in splits and {"train", "val"} <= set(splits):
        place = parts.index("trainval")
        return [*parts[:place], "train", "val", *parts[place + 1 :]]
    if {"train", "val"} <= set(parts) and "trainval" in splits and not {"train", "val"} & set(splits):
        return ["trainval", *(part for part in parts if part not in ("train", "val"))]
    return parts


def divide(
    settings: DatasetSettings, entry: DatasetEntry, splits: Mapping[str, Any], train: Any, selection: str
) -> tuple[Any, Any | None, str]:
    """Training images, the first `validation_count` validation images, and where these come from: see `choose`."""
    train, validation, source = choose(settings, entry, splits, train, selection)
    if validation is None or settings.validation_count is None:
        return train, validation, source
    validation = validation.select(range(min(len(validation), settings.validation_count)))
    return train, validation, f"{source}, the first {len(validation)} images"


def choose(
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
    if chosen in trained_splits(settings, splits):
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


def require_images(task: str, train: Sequence[Any], validation: Sequence[Any] | None) -> None:
    """Raise a ValueError unless a task has training images, and validation images if it is validated at all."""
    if len(train) == 0:
        raise ValueError(f"the task {task!r} has no training images")
    if validation is not None and len(validation) == 0:
        raise ValueError(f"the task {task!r} has no validation images; validation_split: none does without")


def automatic_split(settings: DatasetSettings, entry: DatasetEntry, splits: Mapping[str, Any], selection: str) -> str:
    """The validation split that suits a selection: see the help of `selection`."""
    trained = trained_splits(settings, splits)
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
