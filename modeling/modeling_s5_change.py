"""S5 change detection: one backbone for both dates, and per task a decoder of what differs between them.

Source: the change-detection form of UniMatch V2 (arXiv 2410.10777): the maps of both dates pass the decoder as their
absolute difference, level by level. Classes of each date, which say from what to what, are this package's own.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import nn

from .change_classes import CHANGE_LABELS, from_to_logits
from .configuration_s5_change import S5ChangeDetectionConfig
from .image_sizes import check_pixel_values
from .modeling_s5_segmentation import S5ForSemanticSegmentation

DATES = 2


class S5ForChangeDetection(S5ForSemanticSegmentation):
    """What changed between two images of one place, for one or many tasks.

    `pixel_values` is `(batch, 2, channels, height, width)`: before, after. Everything else is as in
    [`S5ForSemanticSegmentation`], with one row of `labels` and `logits` per pair. The decoder sees
    `|before - after|` of every level, so the answer does not depend on the order of the dates.

    A task with `config.date_classes` also has a decoder and a classifier for the maps of each single date, the same
    for both. Its logits are log probabilities of `unchanged` and of every change `A to B`, see `from_to_logits`;
    `date_ids` takes the class of each date out of their ids. `hidden_states` and `attentions` have the dates as
    second axis.

    ```python
    >>> import torch, s5_hf
    >>> from s5_hf.modeling import S5ChangeDetectionConfig, S5ForChangeDetection, S5ViTConfig
    >>> vit = S5ViTConfig(hidden_size=32, num_hidden_layers=4, num_attention_heads=4)
    >>> model = S5ForChangeDetection(S5ChangeDetectionConfig(vit)).eval()
    >>> model.config.tasks
    {'change': ['unchanged', 'changed']}
    >>> model(torch.zeros(1, 2, 3, 60, 80)).logits.shape
    torch.Size([1, 2, 60, 80])

    ```
    """

    config_class = S5ChangeDetectionConfig
    images_per_row: ClassVar[int] = DATES

    def _make_heads(self, config: S5ChangeDetectionConfig) -> None:
        super()._make_heads(config)
        self.date_decoders, self.date_classifiers = nn.ModuleDict(), nn.ModuleDict()
        for index, name in enumerate(config.tasks):
            if name in config.date_classes:
                # The first decoder answers whether something changed; from what to what is asked of each date.
                self.classifiers[index] = self._new_classifier(len(CHANGE_LABELS))
                self.date_decoders[str(index)] = self._new_decoder()
                self.date_classifiers[str(index)] = self._new_classifier(len(config.date_classes[name]))

    def fuse_teachers(self, teachers: Sequence[Mapping[str, Any]]) -> None:
        """Raise a ValueError: teachers are fused into the maps of single images.

        Args:
            teachers: as a segmenter takes them.
        """
        raise ValueError(f"a change detector fuses no frozen teachers, got {len(teachers)}; choose another method")

    def _check_images(self, pixel_values: torch.Tensor) -> None:
        if pixel_values.ndim != 5 or pixel_values.shape[1] != DATES:
            raise ValueError(
                "pixel_values must have the shape (batch, 2, channels, height, width), before and after, "
                f"got {tuple(pixel_values.shape)}"
            )
        channels = getattr(self.backbone.config, "num_channels", pixel_values.shape[2])
        check_pixel_values(pixel_values.flatten(0, 1), channels)

    def _single_images(self, rows: torch.Tensor) -> torch.Tensor:
        return rows.flatten(0, 1)

    def _by_row(self, tensors: Sequence[torch.Tensor] | None) -> Sequence[torch.Tensor] | None:
        return None if tensors is None else [tensor.unflatten(0, (-1, DATES)) for tensor in tensors]

    def _group_logits(self, index: int, feature_maps: Sequence[torch.Tensor]) -> torch.Tensor:
        dates = [level.unflatten(0, (-1, DATES)) for level in feature_maps]
        change = super()._group_logits(index, [(level[:, 0] - level[:, 1]).abs() for level in dates])
        if str(index) not in self.date_decoders:
            return change
        features = self.dropout(self.date_decoders[str(index)](feature_maps))
        classes = self.date_classifiers[str(index)](features).unflatten(0, (-1, DATES))
        return torch.cat([change, classes[:, 0], classes[:, 1]], dim=1)

    def _task_logits(self, index: int, logits: torch.Tensor) -> torch.Tensor:
        if str(index) not in self.date_decoders:
            return logits
        return from_to_logits(logits[:, :DATES], *logits[:, DATES:].chunk(DATES, dim=1))

    def _append_heads(self, source: int, num_labels: int) -> None:
        name, index = list(self.config.tasks)[-1], len(self.decoders)
        classes = self.config.date_classes.get(name)
        super()._append_heads(source, num_labels if classes is None else len(CHANGE_LABELS))
        if classes is None:
            return
        known = self.date_decoders[str(source)] if str(source) in self.date_decoders else self.decoders[source]
        self.date_decoders[str(index)] = copy.deepcopy(known)
        self.date_classifiers[str(index)] = self._added_classifier(len(classes))


__all__ = ["S5ForChangeDetection"]
