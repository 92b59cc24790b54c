"""How the images of a run become the input of its network: channels, ranges of values, mean and deviation.

A recipe may leave all of it to the network that the run starts from, or to the training images. What was found is
written into the recipe, so that it is seen, saved, and the same when the run is resumed.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset, IterableDataset
from tqdm import tqdm

from ..data.band_statistics import measure_bands
from ..dataset_builders.band_images import BandImage
from ..dataset_builders.builder import BandConfig
from ..dataset_builders.registry import DatasetEntry
from ..imaging.decoded_pixels import image_kind
from .recipe_sections import ImageSettings

PROCESSOR_FILE = "preprocessor_config.json"


def band_options(settings: ImageSettings, entry: DatasetEntry) -> dict[str, Any]:
    """Options of the builder of a dataset: which bands it reads, and what holds no data.

    Raises:
        ValueError: if the recipe names some, and the dataset has images of one kind only.
    """
    given = {
        name: value
        for name, value in (("bands", settings.band_list), ("nodata", settings.nodata))
        if value is not None
    }
    if given and not issubclass(entry.builder_class().BUILDER_CONFIG_CLASS, BandConfig):
        raise ValueError(f"{entry.name} has images of one kind, so that {' and '.join(given)} cannot be chosen")
    return given


def inherit_input(settings: ImageSettings, start: str | None) -> bool:
    """Take bands, range, mean and deviation from the network that a run starts from, where the recipe names none.

    Only a folder whose image processor has ranges or bands gives any: all others are for RGB images of 8 bits. A
    recipe that names another number of bands takes none.

    Returns:
        Whether mean and deviation were taken.
    """
    path = Path(start or "") / PROCESSOR_FILE
    if start is None or not path.is_file():
        return False
    found = json.loads(path.read_text(encoding="utf-8"))
    scaling = found.get("value_scaling")
    if scaling is None and found.get("bands") is None:
        return False
    if settings.bands is not None and len(settings.bands) != len(found["image_mean"]):
        return False
    if settings.bands is None and found.get("bands") is not None:
        settings.bands = [str(band) for band in found["bands"]]
    if settings.value_range is None and scaling is not None:
        settings.value_range = [
            number for pair in zip(scaling["low"], scaling["high"], strict=True) for number in pair
        ]
        if not is_own(settings):
            settings.image_mean, settings.image_std = list(found["image_mean"]), list(found["image_std"])
            return True
    return False


def is_own(settings: ImageSettings) -> bool:
    """Whether a recipe has a mean or a deviation other than the defaults."""
    default = type(settings)()
    return (settings.image_mean, settings.image_std) != (default.image_mean, default.image_std)


def settle_input(settings: ImageSettings, datasets: Sequence[Any], inherited: bool = False) -> None:
    """Measure what a recipe leaves open, and write it there.

    RGB images of 8 bits keep the mean and deviation of the recipe and are not looked at.

    Args:
        settings: of the recipe; changed in place.
        datasets: that are learned from.
        inherited: whether range, mean and deviation are those of another network; they are measured anew where that
            is for another number of channels.

    Raises:
        ValueError: if mean, deviation or range are for another number of channels than the images have, or as
            `measure_bands`.
    """
    looked_at = [dataset for dataset in datasets if dataset is not None]
    if not looked_at or not all(map(may_be_deep, looked_at)):
        return  # what is learned together has one kind of images, and one dataset has RGB only
    if any(hasattr(dataset, "__len__") and len(dataset) == 0 for dataset in looked_at):
        return  # an empty dataset is refused where its batches are made
    channels, kind = image_kind(first_image(looked_at[0]))
    if inherited and len(settings.image_mean) != channels:
        default = type(settings)()
        settings.image_mean, settings.image_std, settings.value_range = default.image_mean, default.image_std, None
    own = is_own(settings)
    if own and len(settings.image_mean) != channels:
        raise ValueError(
            f"the images have {channels} channels, image_mean has {len(settings.image_mean)}: leave image_mean and "
            "image_std out, and they are measured"
        )
    if kind == "uint8" and settings.value_range is None and len(settings.image_mean) == channels:
        return
    known = settings.value_range is not None and own
    if not known:
        found = measure_bands(looked_at, tuple(settings.value_percentiles), settings.value_range)
        if not own:
            settings.image_mean, settings.image_std = list(found.image_mean), list(found.image_std)
        if found.value_scaling is not None:
            pairs = zip(found.value_scaling.low, found.value_scaling.high, strict=True)
            settings.value_range = [number for pair in pairs for number in pair]
        tqdm.write(
            f"measured on {found.images} training images: {channels} channels of {kind}, ranges "
            f"{settings.value_range or 'as they are'}, mean {settings.image_mean}, deviation {settings.image_std}"
        )
    if settings.value_scaling is not None:
        settings.value_scaling.require_depth(kind, "a training image")


def may_be_deep(dataset: Any) -> bool:
    """Whether images may be others than those that Pillow reads as 8 bits."""
    if isinstance(dataset, (Dataset, IterableDataset)):
        return isinstance((dataset.features or {}).get("image"), BandImage)
    return True


def first_image(dataset: Any) -> Any:
    """The first image of a dataset.

    Raises:
        ValueError: if it has none.
    """
    sample: Mapping[str, Any] | None = next(iter(dataset), None)
    if sample is None or sample.get("image") is None:
        raise ValueError("the training images are empty: there is no first image")
    return sample["image"]
