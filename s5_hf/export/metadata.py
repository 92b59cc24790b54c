"""What an exported file says about itself."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields

from ..imaging.palettes import default_palette
from ..modeling import S5ForSemanticSegmentation
from ..version import __version__

PREFIX = "s5_hf."


@dataclass(frozen=True)
class ExportMetadata:
    """All that is needed to use an exported segmenter without this package.

    An image in 0..255 becomes `pixel_values` by `(value * rescale_factor - image_mean) / image_std`, channel by
    channel; class k of the logits is `labels[k]`, drawn in `palette[k]` (red, green, blue, 0..255).

    Attributes:
        size_multiple: height and width of the input must be multiples of this.
        version: of the package that made the file.
    """

    task: str
    labels: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    image_mean: tuple[float, ...]
    image_std: tuple[float, ...]
    rescale_factor: float
    size_multiple: int
    version: str = __version__

    @classmethod
    def of(
        cls, dense: S5ForSemanticSegmentation, image_mean: Sequence[float], image_std: Sequence[float]
    ) -> "ExportMetadata":
        """The metadata of a dense model and its normalisation on the scale 0..1."""
        ((task, labels),) = dense.config.tasks.items()
        return cls(
            task=task,
            labels=tuple(labels),
            palette=tuple(default_palette(len(labels))),
            image_mean=tuple(map(float, image_mean)),
            image_std=tuple(map(float, image_std)),
            rescale_factor=1 / 255,
            size_multiple=dense.backbone.config.patch_size,
        )

    def to_strings(self) -> dict[str, str]:
        """Keys `s5_hf.task`, `s5_hf.labels`, ... with JSON values: the form of ONNX metadata."""
        return {PREFIX + name: json.dumps(value, ensure_ascii=False) for name, value in asdict(self).items()}

    @classmethod
    def from_strings(cls, strings: Mapping[str, str], name: object) -> "ExportMetadata":
        """Read what `to_strings` gave.

        Args:
            strings: as an ONNX file holds them; other keys are left alone.
            name: of the file, for the error.

        Raises:
            ValueError: if a key is missing or its value is damaged.
        """
        missing = [field.name for field in fields(cls) if PREFIX + field.name not in strings]
        if missing:
            raise ValueError(
                f"{name} was not written by `s5-hf export`: its metadata lacks "
                f"{', '.join(PREFIX + name for name in missing)}"
            )
        try:
            values = {field.name: json.loads(strings[PREFIX + field.name]) for field in fields(cls)}
            values["palette"] = tuple((int(red), int(green), int(blue)) for red, green, blue in values["palette"])
            for key in ("labels", "image_mean", "image_std"):
                values[key] = tuple(values[key])
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name} holds damaged metadata: {error}") from error
        return cls(**values)


__all__ = ["ExportMetadata"]
