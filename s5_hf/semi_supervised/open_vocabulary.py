"""Pseudo-labels of a frozen model that knows classes by their names: training without a single mask."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional
from transformers import AutoConfig, AutoModelForSemanticSegmentation, AutoProcessor, PretrainedConfig

from ..modeling.configuration_segearth_ov import SegEarthOVConfig, read_classes
from ..modeling.image_processing_s5 import IMAGENET_MEAN, IMAGENET_STD
from ..modeling.modeling_s5_segmentation import S5SegmenterOutput
from ..modeling.published_shapes import weights_are_left_out
from .batches import LabelledBatch, UnlabelledBatch
from .frozen_teacher import MeanAndStd, name_and_side, renormalised
from .method import MethodOutput, register_method
from .teacher import TaughtMethod, unsupervised_output


@register_method("open_vocabulary")
@dataclass
class OpenVocabulary(TaughtMethod):
    """L = weight * Lu: the student learns what a SegEarth-OV model says of the weak views, and nothing else.

    The teacher keeps its weights. It is no module of the student: no checkpoint and no average holds it. It labels
    pixels, so its patches need not be those of the student.

    Args:
        frozen_teachers: the teacher's folder or name, with `@side` to show it square images of that side.
        classes: one string per class, its synonyms separated by commas.
        image_mean, image_std: with which the student's images are normalised.

    Raises:
        ValueError: if not exactly one teacher is named, classes are missing or unfit, or an averaged teacher or a
            supervised phase is asked for.
    """

    takes_labels: ClassVar[bool] = False
    labels_itself: ClassVar[bool] = False
    frozen_teachers: list[str] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    image_mean: tuple[float, ...] = IMAGENET_MEAN
    image_std: tuple[float, ...] = IMAGENET_STD
    named_teacher: "NamedTeacher | None" = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.frozen_teachers) != 1:
            raise ValueError(
                "open_vocabulary needs one model in frozen_teachers, such as segearth-ov or a folder, got "
                f"{', '.join(self.frozen_teachers) or 'none'}"
            )
        if not self.classes:
            raise ValueError("open_vocabulary needs classes by their names, such as --classes building,roof road")
        read_classes(self.classes)
        if self.teacher != "student":
            raise ValueError(f"open_vocabulary has its teacher in frozen_teachers: leave out teacher: {self.teacher}")
        if self.unlabelled_from_step:
            raise ValueError(
                "open_vocabulary has no labels for a supervised phase: leave out unlabelled_from_step, got "
                f"{self.unlabelled_from_step}"
            )

    def extend(self, model: nn.Module) -> None:
        """Load the teacher; where weights are left out, see whether it fits.

        Raises:
            OSError: if there is no such teacher, or its tokenizer is missing.
            ValueError: if it is no open-vocabulary model, has other channels or fewer pixels than a patch, or a name
                is too long for it.
        """
        found = sum(len(labels) for labels in model.config.tasks.values())
        if found != len(self.classes):
            raise ValueError(f"the network has {found} classes, classes names {len(self.classes)}")
        name, side = name_and_side(self.frozen_teachers[0])
        if weights_are_left_out():
            if Path(name).is_dir():  # what has to be fetched is not known yet
                self.check(name, side, loaded(AutoConfig, name))
            return
        self.check(name, side, loaded(AutoConfig, name))
        network, processor = loaded(AutoModelForSemanticSegmentation, name), loaded(AutoProcessor, name)
        network.encode_classes(self.classes, processor)
        seen = (processor.image_processor.image_mean, processor.image_processor.image_std)
        self.named_teacher = NamedTeacher(network, side, (self.image_mean, self.image_std), seen)

    def check(self, name: str, side: int | None, config: PretrainedConfig) -> None:
        """Raise a ValueError unless a teacher takes names of classes, and images like those of the student."""
        if not isinstance(config, SegEarthOVConfig):
            raise ValueError(
                f"the teacher {name} is a {config.model_type!r} model, which has classes of its own; expected one "
                "that takes names of classes, such as segearth-ov"
            )
        if config.num_channels != len(self.image_mean):
            raise ValueError(
                f"the teacher {name} takes {config.num_channels} channels, the images have {len(self.image_mean)}"
            )
        patch_size = config.clip_config.vision_config.patch_size
        if side is not None and side < patch_size:
            raise ValueError(f"teacher {name}@{side}: the side is below a patch of the teacher, {patch_size} px")

    def attach(self, model: nn.Module) -> None:
        super().attach(model)
        self.labeller(model).to(next(model.parameters()).device)

    def labeller(self, model: nn.Module) -> nn.Module:
        """The teacher, whatever the student is.

        Raises:
            RuntimeError: if it was not loaded yet.
        """
        if self.named_teacher is None:
            raise RuntimeError(f"{self.name} has no teacher yet: call extend(model) before attach(model)")
        return self.named_teacher

    def frozen_passes(self, labelled: int, weak: int, strong: int) -> list[tuple[Callable[[torch.Tensor], Any], int]]:
        """The teacher labels the weak views."""
        return [(self.named_teacher, weak)]

    def __call__(
        self, model: nn.Module, labelled: LabelledBatch | None, unlabelled: UnlabelledBatch | None, step: int
    ) -> MethodOutput:
        own, views = self.label(model, unlabelled, step)
        logits = model(views[0].pixel_values).logits
        return unsupervised_output(self, step, [logits], own, views, unlabelled.ignored)


class NamedTeacher(nn.Module):
    """A frozen open-vocabulary model that sees the student's images normalised as it was trained.

    Args:
        network: with its classes.
        side: of the square images that it sees, in pixels; `None` for that of the student's.
        used: mean and deviation with which the student's images are normalised.
        wanted: those of the network.
    """

    def __init__(self, network: nn.Module, side: int | None, used: MeanAndStd, wanted: MeanAndStd) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.side, self.used, self.wanted = side, used, wanted

    def forward(self, pixel_values: torch.Tensor) -> S5SegmenterOutput:
        """Logits of images `(batch, channels, height, width)` in their own size, `(batch, classes, height, width)`."""
        images = renormalised(pixel_values, self.used, self.wanted)
        if self.side is not None:
            images = functional.interpolate(images, size=(self.side, self.side), mode="bilinear")
        return self.network(images, output_size=pixel_values.shape[2:])


def loaded(auto_class: Any, name: str) -> Any:
    """`auto_class.from_pretrained(name)`.

    Raises:
        FileNotFoundError: if it is not there, or cannot be read.
    """
    try:
        return auto_class.from_pretrained(name)
    except (OSError, ValueError) as error:
        reason = (str(error).splitlines() or ["not found"])[0]
        raise FileNotFoundError(f"the teacher {name} cannot be loaded: {reason}") from error
