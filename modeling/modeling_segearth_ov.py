"""SegEarth-OV: segmentation of aerial images into classes that are given by their names alone.

Source: SegEarth-OV (arXiv 2410.01768) and its official code; the numerics are those of the code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import AutoTokenizer, CLIPModel
from transformers.utils import can_return_tuple

from .clip_dense_features import dense_features
from .configuration_segearth_ov import SegEarthOVConfig, read_classes
from .dpt import initialise_as_torch
from .image_sizes import check_pixel_values
from .modeling_s5_segmentation import S5SegmenterOutput
from .pretrained_model import S5PreTrainedModel
from .processing_segearth_ov import SegEarthOVImageProcessor, SegEarthOVProcessor
from .simfeatup import RADII, JointBilateralUpsampler, SimFeatUpUpsampler

SMALLEST_NORM = 1e-12  # as in torch's own normalisation


class SegEarthOVForSemanticSegmentation(S5PreTrainedModel):
    """Open-vocabulary segmentation with CLIP.

    ```python
    >>> model = SegEarthOVForSemanticSegmentation.from_pretrained("my-open-model")  # doctest: +SKIP
    >>> model.encode_classes(["background", "building,roof,house", "road"])  # doctest: +SKIP
    >>> model(pixel_values).logits.argmax(dim=1)  # doctest: +SKIP

    ```

    Attributes:
        query_features: float `(queries, embedding)`, a unit vector for every synonym of every class. It is saved with
            the model, which then needs no tokenizer.
    """

    config_class = SegEarthOVConfig
    base_model_prefix = "clip"
    _no_split_modules = ["CLIPEncoderLayer", "CLIPVisionEmbeddings", "SimFeatUpUpsampler"]  # noqa: RUF012 - as in transformers

    def __init__(self, config: SegEarthOVConfig) -> None:
        super().__init__(config)
        channels = config.clip_config.projection_dim
        self.clip = CLIPModel(config.clip_config)
        self.upsampler = SimFeatUpUpsampler(channels, config.upsampler) if config.upsampler in RADII else None
        self.register_buffer("query_features", torch.zeros(sum(map(len, config.synonyms)), channels))
        self.post_init()

    @classmethod
    def from_clip(cls, clip: str | CLIPModel, **settings: Any) -> SegEarthOVForSemanticSegmentation:
        """A model on a CLIP; an up-sampler, which is not part of CLIP, starts with random weights.

        Args:
            clip: a `CLIPModel`, which is used and not copied, or what `CLIPModel.from_pretrained` takes.
            **settings: further arguments of `SegEarthOVConfig`.
        """
        if not isinstance(clip, CLIPModel):
            clip = CLIPModel.from_pretrained(clip)
        model = cls(SegEarthOVConfig(clip_config=clip.config, **settings))
        model.clip = clip
        return model.to(device=clip.device, dtype=clip.dtype)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d):  # those of the up-sampler: CLIP initialises its own
            initialise_as_torch(module)
        elif isinstance(module, JointBilateralUpsampler):
            nn.init.zeros_(module.range_temp)
            nn.init.ones_(module.sigma_spatial)
        elif module is self:
            nn.init.zeros_(self.query_features)

    def encode_classes(self, classes: Sequence[str], processor: SegEarthOVProcessor | None = None) -> None:
        """Set the classes, in the place of earlier ones.

        Args:
            classes: one string per class, its synonyms separated by commas: `["building,roof,house", "road"]`. They
                are names and nothing else.
            processor: with the tokenizer; by default the one beside the model that was loaded.

        Raises:
            OSError: no processor is given, and the model was not loaded from a folder or repository with one.
            ValueError: there are no classes, a name is empty, comes twice, or is too long for the text encoder.
        """
        synonyms = read_classes(classes)
        if processor is None:
            if not self.config.name_or_path:
                raise OSError("the model was not loaded from a folder: give encode_classes a SegEarthOVProcessor")
            # Not AutoProcessor, which does not know the class where it has come from the Hub with the model.
            source = self.config.name_or_path
            processor = SegEarthOVProcessor(
                SegEarthOVImageProcessor.from_pretrained(source), AutoTokenizer.from_pretrained(source)
            )
        queries = [name for names in synonyms for name in names]
        longest = self.config.clip_config.text_config.max_position_embeddings
        tokens = processor.encode_queries(queries, longest).to(self.device)
        self.query_features = self.encode_queries(tokens)
        self.config.name_classes(classes)

    @torch.no_grad()
    def encode_queries(self, input_ids: torch.Tensor) -> torch.Tensor:
        """The mean of what the text encoder makes of all prompts of a query.

        Args:
            input_ids: int64 `(queries, prompts, tokens)`.

        Returns:
            `(queries, embedding)`, of length 1.
        """
        was_training = self.clip.training
        self.clip.eval()
        features = []
        for prompts in input_ids:
            pooled = self.clip.text_model(input_ids=prompts).pooler_output
            of_prompts = functional.normalize(self.clip.text_projection(pooled), dim=-1)
            features.append(functional.normalize(of_prompts.mean(dim=0), dim=-1))
        self.clip.train(was_training)
        return torch.stack(features)

    @can_return_tuple
    def forward(
        self, pixel_values: torch.Tensor, output_size: Sequence[int] | None = None, **kwargs: object
    ) -> S5SegmenterOutput | tuple:
        """Segment images of any size; each is seen through windows that overlap.

        Args:
            pixel_values: normalised images `(batch, channels, height, width)`.
            output_size: height and width of the logits in place of those of the images. The similarities are resized
                before the softmax, as the official code does; to resize the logits is not quite the same.

        Returns:
            `logits` `(batch, classes, height, width)`, float32: the logarithm of the class probabilities of the
            paper. These are the largest of the probabilities of a class's synonyms, so their sum is at most 1; a
            softmax of the logits shares the rest among the classes in proportion.

        Raises:
            ValueError: for a wrong shape, or before classes were given.
        """
        check_pixel_values(pixel_values, self.config.num_channels)
        if not self.config.classes:
            raise ValueError("the model has no classes yet: call encode_classes(['building,roof', 'road', ...]) first")
        similarities = self.query_similarities(pixel_values)
        if output_size is not None and tuple(output_size) != tuple(pixel_values.shape[2:]):
            similarities = functional.interpolate(similarities, size=tuple(output_size), mode="bilinear")
        of_queries = (self.config.logit_scale * similarities).log_softmax(dim=1)
        counts = [len(names) for names in self.config.synonyms]
        return S5SegmenterOutput(
            logits=torch.stack([group.amax(dim=1) for group in of_queries.split(counts, dim=1)], dim=1)
        )

    def query_similarities(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """The mean over windows of the cosines of pixels and queries, `(batch, queries, height, width)`, float32."""
        batch_size, _, height, width = pixel_values.shape
        rows, columns = (self._window_starts(side) for side in (height, width))
        sides = tuple(min(self.config.window_size or side, side) for side in (height, width))
        places = [(image, top, left) for image in range(batch_size) for top in rows for left in columns]
        total = pixel_values.new_zeros(batch_size, len(self.query_features), height, width, dtype=torch.float32)
        counts = pixel_values.new_zeros(height, width, dtype=torch.float32)
        for top, left in ((top, left) for top in rows for left in columns):
            counts[top : top + sides[0], left : left + sides[1]] += 1
        for chunk in batches(places, self.config.window_batch_size):
            windows = torch.stack(
                [pixel_values[image, :, top : top + sides[0], left : left + sides[1]] for image, top, left in chunk]
            )
            for (image, top, left), similarities in zip(chunk, self.window_similarities(windows), strict=True):
                total[image, :, top : top + sides[0], left : left + sides[1]] += similarities
        return total / counts

    def window_similarities(self, windows: torch.Tensor) -> torch.Tensor:
        """The same of windows `(batch, channels, height, width)` that are seen as a whole."""
        height, width = windows.shape[2:]
        padding = [part for side in (width, height) for part in self._padding(side)]
        windows = functional.pad(windows, padding)  # zeros, the mean colour: around the window, as the official code
        image, patches = dense_features(
            self.clip, windows, self.config.attention, self.config.last_n_layers, self.config.keep_residual
        )
        if self.upsampler is not None:
            patches = self.upsampler(patches, windows.to(patches.dtype))
        elif self.config.upsampler == "bilinear":
            patches = functional.interpolate(patches, size=windows.shape[2:], mode="bilinear")
        # Divided by the norm after the product: a copy of the features less.
        norms = patches.norm(dim=1, keepdim=True).clamp(min=SMALLEST_NORM)
        similarities = torch.einsum("bchw,qc->bqhw", patches, self.query_features) / norms
        of_image = functional.normalize(image, dim=-1) @ self.query_features.T
        similarities = similarities + self.config.cls_lambda * of_image[:, :, None, None]
        if similarities.shape[2:] != windows.shape[2:]:
            similarities = functional.interpolate(similarities, size=windows.shape[2:], mode="bilinear")
        left, top = padding[0], padding[2]
        return similarities[:, :, top : top + height, left : left + width].float()

    def _padding(self, side: int) -> tuple[int, int]:
        """What is missing before and after a side to whole patches, as many as the up-sampler needs."""
        patch_size = self.config.clip_config.vision_config.patch_size
        smallest = 1 if self.upsampler is None else self.upsampler.smallest_grid
        missing = max(-(-side // patch_size), smallest) * patch_size - side
        return missing // 2, missing - missing // 2

    def _window_starts(self, side: int) -> list[int]:
        """Where windows begin along a side in pixels; the last one ends with the image."""
        window, stride = self.config.window_size or side, self.config.window_stride
        count = max(side - window + stride - 1, 0) // stride + 1
        return [max(min(index * stride, side - window), 0) for index in range(count)]


def batches(places: Sequence[tuple[int, int, int]], size: int) -> Iterator[Sequence[tuple[int, int, int]]]:
    """A sequence in parts of at most `size`."""
    return (places[start : start + size] for start in range(0, len(places), size))


__all__ = ["SegEarthOVForSemanticSegmentation"]
