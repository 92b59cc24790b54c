"""RS-MTDF: distillation from several frozen teachers, and their fusion into the student."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from .batches import LabelledBatch, UnlabelledBatch
from .frozen_teacher import FrozenTeacher, load_frozen_teacher
from .losses import supervised_loss
from .method import MethodOutput, register_method
from .teacher import TaughtMethod, taught_output

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@register_method("rs_mtdf")
@dataclass
class RSMTDF(TaughtMethod):
    """L = (Ls + Lu + Ld) / 3; Ld is the mean squared error between predicted and real tokens of frozen teachers.

    The averaged student labels the weak views; there is one strong view and no channel dropout. The student predicts
    the tokens of every teacher and adds them to its last map, in inference too, which needs no teacher.

    Args:
        frozen_teachers: folders or names, as `load_frozen_teacher` takes them; published are DINOv2-B and CLIP-L/14 at
            224 px for a DINOv2-S.
        translator_channels: width inside the translators.
        image_mean, image_std: with which the student's images are normalised.
    """

    teacher: str = "ema"
    teacher_schedule: str = "warmup"
    frozen_teachers: list[str] = field(default_factory=list)
    translator_channels: int = 1024
    image_mean: tuple[float, ...] = IMAGENET_MEAN
    image_std: tuple[float, ...] = IMAGENET_STD
    loaded: list[FrozenTeacher] = field(default_factory=list, init=False, repr=False, compare=False)
    fusion: nn.Module | None = field(default=None, init=False, repr=False, compare=False)

    def extend(self, model: nn.Module) -> None:
        """Load the teachers and give the network its fusion.

        Raises:
            FileNotFoundError: if a teacher is missing.
            ValueError: if none is named, or one has other patches than the network.
        """
        if not self.frozen_teachers:
            raise ValueError("rs_mtdf needs frozen_teachers: names or folders of vision transformers, one at least")
        self.loaded = [load_frozen_teacher(word) for word in self.frozen_teachers]
        patch_size = getattr(model.backbone.config, "patch_size", None)
        for teacher in self.loaded:
            if teacher.patch_size != patch_size:
                raise ValueError(
                    f"the teacher {teacher.name} has patches of {teacher.patch_size} px, the student's backbone has "
                    f"{patch_size}: their tokens cannot be compared; take a teacher with the student's patches"
                )
        model.fuse_teachers([self.description(teacher) for teacher in self.loaded])

    def description(self, teacher: FrozenTeacher) -> dict[str, Any]:
        """A teacher as the network's configuration lists it."""
        return {
            "name": teacher.name,
            "hidden_size": teacher.hidden_size,
            "translator_channels": self.translator_channels,
            "image_size": teacher.image_size,
        }

    def attach(self, model: nn.Module) -> None:
        super().attach(model)
        self.fusion = model.fusion
        device = next(model.parameters()).device
        for teacher in self.loaded:
            teacher.network.to(device)

    def frozen_passes(self, labelled: int, weak: int, strong: int) -> list[tuple[Callable[[torch.Tensor], Any], int]]:
        """Every teacher sees what the student learns from."""
        statistics = {"mean": self.image_mean, "std": self.image_std}
        return [(partial(teacher.tokens, **statistics), labelled + strong) for teacher in self.loaded]

    def __call__(
        self, model: nn.Module, labelled: LabelledBatch, unlabelled: UnlabelledBatch | None, step: int
    ) -> MethodOutput:
        own, views = self.label(model, unlabelled, step)
        images = torch.cat([labelled.pixel_values, views[0].pixel_values])
        with recorded_translations(self.fusion) as translations:
            logits = model(images).logits
        count = len(labelled.labels)
        loss_supervised = supervised_loss(logits[:count], labelled.labels, labelled.count)
        taught = taught_output(self, step, loss_supervised, [logits[count:]], own, views, unlabelled.ignored)
        distillation = self._distillation(translations, images)
        return replace(
            taught,
            loss=(2 * taught.loss + distillation) / 3,
            scalars={**taught.scalars, "loss_distillation": distillation.detach()},
        )

    def _distillation(self, translations: list[torch.Tensor], images: torch.Tensor) -> torch.Tensor:
        errors = [
            functional.mse_loss(predicted.float(), teacher.tokens(images, self.image_mean, self.image_std).float())
            for predicted, teacher in zip(translations, self.loaded, strict=True)
        ]
        return sum(errors) / len(errors)


@contextmanager
def recorded_translations(fusion: nn.Module) -> Iterator[list[torch.Tensor]]:
    """The tokens that the network predicts for its teachers inside the block, one tensor per teacher."""
    translations: list[torch.Tensor] = []

    def record(module: nn.Module, arguments: tuple, output: tuple) -> None:
        translations[:] = output[1]

    handle = fusion.register_forward_hook(record)
    try:
        yield translations
    finally:
        handle.remove()
