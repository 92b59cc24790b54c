"""What an exported file says about itself."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Literal

from ..hub.normalization import InputSettings
from ..imaging.natural_colors import natural_palette
from ..imaging.palettes import default_palette
from ..modeling import S5ForOrientedObjectDetection, S5ForSemanticSegmentation
from ..version import __version__

PREFIX = "s5_hf."

NOTHING = -1.0
"""The score of an object that does not exist: a detector's file gives the same number of entries for every image."""

Kind = Literal["segmentation", "objects", "boxes"]


@dataclass(frozen=True)
class ExportMetadata:
    """All that is needed to use an exported segmenter without this package.

    An image in 0..255 becomes `pixel_values` by `(value * rescale_factor - image_mean) / image_std`, channel by
    channel; class k of the logits is `labels[k]`, drawn in `palette[k]` (red, green, blue, 0..255).

    Attributes:
        size_multiple: height and width of the input must be multiples of this.
        version: of the package that made the file.
        value_scaling: `low` and `high` of each channel: the range that becomes 0..255 first, clipped and rounded.
        bands: of a file that become the channels. Both are left out of a file for images of 8 bits.
        kind: what the file gives: `"segmentation"`, `"objects"`, or `"boxes"`, before non-maximum suppression. Files
            of earlier versions have none and are for segmentation.
    """

    task: str
    labels: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    image_mean: tuple[float, ...]
    image_std: tuple[float, ...]
    rescale_factor: float
    size_multiple: int
    version: str = __version__
    value_scaling: dict[str, list[float]] | None = None
    bands: tuple[int | str, ...] | None = None
    kind: Kind = "segmentation"

    @classmethod
    def of(
        cls,
        dense: S5ForSemanticSegmentation | S5ForOrientedObjectDetection,
        settings: InputSettings,
        size_multiple: int | None = None,
        kind: Kind = "segmentation",
    ) -> "ExportMetadata":
        """The metadata of a dense model and of its images; `size_multiple` is the patch size if not given."""
        ((task, labels),) = dense.config.tasks.items()
        return cls(
            task=task,
            labels=tuple(labels),
            palette=tuple(natural_palette(labels) if kind == "segmentation" else default_palette(len(labels))),
            image_mean=tuple(map(float, settings.image_mean)),
            image_std=tuple(map(float, settings.image_std)),
            rescale_factor=1 / 255,
            size_multiple=size_multiple or dense.backbone.config.patch_size,
            kind=kind,
            value_scaling=None if settings.value_scaling is None else settings.value_scaling.to_dict(),
            bands=settings.bands,
        )

    def to_strings(self) -> dict[str, str]:
        """Keys `s5_hf.task`, `s5_hf.labels`, ... with JSON values: the form of ONNX metadata."""
        return {
            PREFIX + name: json.dumps(value, ensure_ascii=False)
            for name, value in asdict(self).items()
            if value is not None
        }

    @classmethod
    def from_strings(cls, strings: Mapping[str, str], name: object) -> "ExportMetadata":
        """Read what `to_strings` gave.

        Args:
            strings: as an ONNX file holds them; other keys are left alone.
            name: of the file, for the error.

        Raises:
            ValueError: if a key is missing or its value is damaged.
        """
        optional = ("value_scaling", "bands", "kind")
        known = [field.name for field in fields(cls) if field.name not in optional or PREFIX + field.name in strings]
        missing = [name for name in known if PREFIX + name not in strings]
        if missing:
            raise ValueError(
                f"{name} was not written by `s5-hf export`: its metadata lacks "
                f"{', '.join(PREFIX + name for name in missing)}"
            )
        try:
            values = {key: json.loads(strings[PREFIX + key]) for key in known}
            values["palette"] = tuple((int(red), int(green), int(blue)) for red, green, blue in values["palette"])
            for key in {"labels", "image_mean", "image_std", "bands"} & set(values):
                values[key] = tuple(values[key])
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name} holds damaged metadata: {error}") from error
        return cls(**values)


__all__ = ["NOTHING", "ExportMetadata", "Kind"]
