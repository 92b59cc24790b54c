"""Configuration of SegEarth-OV, and how classes are written."""

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import CLIPConfig, PretrainedConfig

from .simfeatup import RADII

ATTENTIONS = ("vanilla", "maskclip", "sclip", "clearclip", "naclip", "segearth")
UPSAMPLERS = ("none", "bilinear", *RADII)


class SegEarthOVConfig(PretrainedConfig):
    """Configuration of [`SegEarthOVForSemanticSegmentation`]. The defaults are the published ones.

    Args:
        clip_config: a `CLIPConfig` (default: ViT-B/16 as OpenAI published it), as an object or a dictionary.
        classes: what to look for, one string per class with its synonyms separated by commas, such as
            `["building,roof,house", "road"]`. `encode_classes` of the model sets it.
        attention: of the last blocks: `vanilla`, `maskclip`, `sclip`, `clearclip`, `naclip` or `segearth`.
        last_n_layers: of how many of the last blocks the outputs are added.
        keep_residual: whether these outputs have the residual connection and the MLP.
        upsampler: of the features: `none` (the logits are resized), `bilinear`, `jbu_one` or `jbu_stack` (SimFeatUp).
        cls_lambda: share of the image's own similarity to a class that is added to that of each pixel.
        logit_scale: factor of the cosines before the softmax.
        window_size: side in pixels of the windows that an image is cut into; 0 for whole images.
        window_stride: pixels from one window to the next.
        window_batch_size: windows, of one image or of several, in one forward pass. It bounds memory.

    Raises:
        ValueError: for a value that is none of these, or classes as `read_classes`.
    """

    model_type = "segearth_ov"
    sub_configs = {"clip_config": CLIPConfig}  # noqa: RUF012 - the attribute's form is transformers' own

    def __init__(
        self,
        clip_config: CLIPConfig | Mapping[str, Any] | None = None,
        classes: Sequence[str] = (),
        attention: str = "segearth",
        last_n_layers: int = 1,
        keep_residual: bool = False,
        upsampler: str = "jbu_one",
        cls_lambda: float = -0.3,
        logit_scale: float = 50.0,
        window_size: int = 224,
        window_stride: int = 112,
        window_batch_size: int = 8,
        **kwargs: Any,
    ) -> None:
        # One assignment an argument, as in every configuration of transformers, which reads both from `__init__`.
        self.clip_config = make_clip_config(clip_config)
        self.attention = attention
        self.last_n_layers = last_n_layers
        self.keep_residual = keep_residual
        self.upsampler = upsampler
        self.cls_lambda = cls_lambda
        self.logit_scale = logit_scale
        self.window_size = window_size
        self.window_stride = window_stride
        self.window_batch_size = window_batch_size
        self.classes: list[str] = []
        super().__init__(**kwargs)
        self._check()
        if classes:
            self.name_classes(classes)

    @property
    def num_channels(self) -> int:
        """Channels of the images."""
        return self.clip_config.vision_config.num_channels

    @property
    def synonyms(self) -> list[list[str]]:
        """The synonyms of each class."""
        return read_classes(self.classes) if self.classes else []

    @property
    def prediction_settings(self) -> dict[str, Any]:
        """All of the configuration that changes predictions while the weights stay the same."""
        vision, text = self.clip_config.vision_config, self.clip_config.text_config
        of_clip = [[part.hidden_act, part.num_attention_heads, part.layer_norm_eps] for part in (vision, text)]
        names = ("classes", "attention", "last_n_layers", "keep_residual", "upsampler", "cls_lambda", "logit_scale")
        return {name: getattr(self, name) for name in (*names, "window_size", "window_stride")} | {"clip": of_clip}

    def name_classes(self, classes: Sequence[str]) -> None:
        """Set the classes; the label of each is its first synonym.

        Raises:
            ValueError: as `read_classes`.
        """
        synonyms = read_classes(classes)
        self.classes = [",".join(names) for names in synonyms]
        self.id2label = {index: names[0] for index, names in enumerate(synonyms)}
        self.label2id = {label: index for index, label in self.id2label.items()}

    def _check(self) -> None:
        for name, choices in (("attention", ATTENTIONS), ("upsampler", UPSAMPLERS)):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} is {getattr(self, name)!r}, expected one of {', '.join(choices)}")
        vision = self.clip_config.vision_config
        limits = {
            **({"window_size": (vision.patch_size, None)} if self.window_size != 0 else {}),
            "last_n_layers": (1, vision.num_hidden_layers),
            "window_stride": (1, self.window_size or None),
            "window_batch_size": (1, None),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not isinstance(value, int) or value < low or (high is not None and value > high):
                reach = f"from {low}" if high is None else f"from {low} to {high}"
                raise ValueError(f"{name} is {value!r}, expected a whole number {reach}")


def make_clip_config(clip_config: CLIPConfig | Mapping[str, Any] | None) -> CLIPConfig:
    """What may be given as `clip_config` as an object."""
    if clip_config is None:
        return CLIPConfig(vision_config={"patch_size": 16})
    if isinstance(clip_config, Mapping):
        return CLIPConfig(**clip_config)
    return clip_config


def read_classes(classes: Sequence[str]) -> list[list[str]]:
    """The synonyms of each class, without the blanks around them.

    ```python
    >>> from s5_hf.modeling.configuration_segearth_ov import read_classes
    >>> read_classes(["building, roof", "road"])
    [['building', 'roof'], ['road']]

    ```

    Raises:
        ValueError: if there are no classes, one has an empty synonym, or a name comes twice.
    """
    if isinstance(classes, str) or not all(isinstance(entry, str) for entry in classes):
        raise ValueError(f"classes are {classes!r}, expected a list of strings, such as ['building,roof', 'road']")
    if not classes:
        raise ValueError("there are no classes, expected at least one, such as 'building,roof'")
    synonyms = [[name.strip() for name in entry.split(",")] for entry in classes]
    for entry, names in zip(classes, synonyms, strict=True):
        if "" in names:
            raise ValueError(f"the class {entry!r} has an empty name, expected names separated by commas")
    seen: set[str] = set()
    for name in (name for names in synonyms for name in names):
        if name in seen:
            raise ValueError(f"the name {name!r} comes twice in the classes {list(classes)}")
        seen.add(name)
    return synonyms


__all__ = ["SegEarthOVConfig"]
