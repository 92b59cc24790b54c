"""Tokens of frozen teachers, as the student predicts them, and their fusion into its last feature map (RS-MTDF)."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

OWN_SHARE = 0.8


class TeacherFusion(nn.Module):
    """The last map of a plain ViT, and what it says about the tokens of every teacher.

    A translator turns the student's tokens into those of a teacher, which the distillation compares; a projection
    brings them back. The fused map is 0.8 of the student's and 0.2 of the projections' mean. No teacher is needed.

    Args:
        channels: of the student's map.
        teachers: entries with `name`, `hidden_size` (channels of the teacher's tokens), `translator_channels` (width
            inside the translator) and `image_size` (side in pixels of the square images that the teacher sees, or
            `None` where it sees what the student sees).

    Attributes:
        image_sizes: sides that the student's maps are needed for, besides the one of the images.
    """

    def __init__(self, channels: int, teachers: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        self.sides = [teacher["image_size"] for teacher in teachers]
        self.translators = nn.ModuleList(
            nn.Sequential(
                nn.Linear(channels, teacher["translator_channels"]),
                nn.ReLU(),
                nn.Linear(teacher["translator_channels"], teacher["hidden_size"]),
            )
            for teacher in teachers
        )
        self.projections = nn.ModuleList(nn.Linear(teacher["hidden_size"], channels) for teacher in teachers)
        for layer in self.modules():
            layer.starts_as_in_torch = isinstance(layer, nn.Linear)

    @property
    def image_sizes(self) -> list[int]:
        """See the class."""
        return sorted({side for side in self.sides if side is not None})

    def forward(
        self, feature_map: torch.Tensor, resized: Mapping[int, torch.Tensor]
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Fuse.

        Args:
            feature_map: the last map `(batch, channels, rows, columns)`.
            resized: the last maps of the same images at each of `image_sizes`, by the side.

        Returns:
            The fused map, of the same shape, and per teacher the predicted tokens `(batch, tokens, hidden_size)`.
        """
        translations, projected = [], 0
        for side, translate, project in zip(self.sides, self.translators, self.projections, strict=True):
            source = feature_map if side is None else resized[side]
            tokens = translate(source.flatten(2).transpose(1, 2))
            translations.append(tokens)
            as_map = tokens.transpose(1, 2).unflatten(2, source.shape[2:])
            if as_map.shape[2:] != feature_map.shape[2:]:
                as_map = functional.interpolate(
                    as_map, size=feature_map.shape[2:], mode="bilinear", align_corners=True
                )
            projected = projected + project(as_map.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        share = (1 - OWN_SHARE) / len(self.sides)
        return OWN_SHARE * feature_map + share * projected, translations
