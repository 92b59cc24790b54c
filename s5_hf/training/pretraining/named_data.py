"""The datasets of a recipe without labels: classes are given by their names, and masks serve for validation only."""

from collections.abc import Sequence

from ...dataset_builders.registry import DatasetEntry, get_entry
from ...imaging.natural_colors import natural_palette
from ...modeling.configuration_segearth_ov import read_classes
from ..image_input import band_options
from .data import SegmentationData, load_split, split_validation
from .recipe import DataSettings

TASK = "named_classes"


def load_named_data(settings: DataSettings, chooses_weights: bool = False) -> SegmentationData:
    """Load the unlabelled images of a recipe, and validation images where it names a split.

    Args:
        settings: of the recipe; `classes` are names with synonyms, the first of which is the label.
        chooses_weights: whether the validation images choose the best weights.

    Raises:
        KeyError: for an unknown dataset.
        ValueError: if classes are missing or unfit, are not those of the validation images, or weights would be
            chosen on images whose results are reported.
    """
    synonyms = read_classes(settings.classes)
    labels = tuple(names[0] for names in synonyms)
    entry = get_entry(settings.labelled_dataset)
    validation, source = None, "none"
    if settings.validation_split not in (None, "none"):
        require_same_classes(entry, synonyms)
        options = ({"classes": list(labels)} if not entry.labels else {}) | band_options(settings, entry)
        _, validation, source = split_validation(settings, entry, None, options, chooses_weights)
    rest = settings.unlabelled_dataset == "rest"
    unlabelled = load_split(
        settings.labelled_dataset if rest else settings.unlabelled_dataset,
        settings.labelled_dir if rest else settings.unlabelled_dir,
        settings.labelled_split if rest else settings.unlabelled_split,
        settings.streaming,
        band_options(settings, entry if rest else get_entry(settings.unlabelled_dataset)),
    )
    ignore_index = settings.ignore_index if entry.ignore_index is None else entry.ignore_index
    return SegmentationData(TASK, labels, natural_palette(labels), ignore_index, None, unlabelled, validation, source)


def require_same_classes(entry: DatasetEntry, synonyms: Sequence[Sequence[str]]) -> None:
    """Raise a ValueError unless each class of a dataset is among the synonyms of the class with its id."""
    labels = entry.labels_of()
    if not labels:
        return
    given = [{simplified(name) for name in names} for names in synonyms]
    wanted = [simplified(label) for label in labels]
    if len(wanted) != len(given) or not all(label in names for label, names in zip(wanted, given, strict=True)):
        raise ValueError(
            f"the masks of {entry.name} show {', '.join(labels)}, in this order; the classes are "
            f"{', '.join(names[0] for names in synonyms)}: put each name of the dataset among the synonyms of its "
            "class, or set validation_split: none"
        )


def simplified(name: str) -> str:
    """A name in small letters with blanks between its words."""
    return " ".join(name.lower().replace("_", " ").replace("-", " ").split())
