"""What a semi-supervised method of oriented detection is, and the methods by name."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar

import torch
from torch import nn

from .method import MethodOutput
from .registry import made, registering


class LabelledObjects(Protocol):
    """Images of one or several tasks with their objects.

    Attributes:
        pixel_values: normalised `(batch, channels, height, width)`.
        labels: `boxes` `(n, 5)` and `class_labels` `(n,)` of each image.
        tasks: the task of each image.
        image_sizes: height and width of each image without its padding.
    """

    pixel_values: torch.Tensor
    labels: Sequence[Mapping[str, torch.Tensor]]
    tasks: Sequence[str]
    image_sizes: Sequence[Sequence[int]]


@dataclass(frozen=True)
class UnlabelledObjects:
    """Images without labels, in two views of the same pixels.

    Attributes:
        weak: normalised `(batch, channels, side, side)`, padded to the right and below.
        strong: the same with changed colours.
        tasks: the task of each image.
        image_sizes: height and width of each image without its padding.
    """

    weak: torch.Tensor
    strong: torch.Tensor
    tasks: list[str]
    image_sizes: list[list[int]]


@dataclass
class DetectionMethod(ABC):
    """A method turns (model, labelled images, unlabelled images, step) into a loss and named scalars.

    Subclasses are dataclasses: their fields are their options. Register one with [`register_detection_method`].

    Attributes:
        teacher_model: a network with averaged weights that the method keeps, `None` where it has none.
    """

    name: ClassVar[str]
    teacher_model: ClassVar[nn.Module | None] = None

    @abstractmethod
    def __call__(
        self,
        model: nn.Module,
        labelled: LabelledObjects,
        unlabelled: UnlabelledObjects,
        step: int,
        task_weights: Mapping[str, float],
    ) -> MethodOutput:
        """The loss of a step, in which each task counts by its weight.

        `model` is in train mode and stays in it; it is called once with gradients.
        """

    def attach(self, model: nn.Module) -> None:  # noqa: B027 - a method may need nothing
        """See the bare model once, before training and before it is wrapped for several processes."""

    def after_step(self, model: nn.Module, step: int) -> None:  # noqa: B027 - a method may need nothing
        """Called with the bare model after the optimizer's step `step`, counted from 0."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must hold besides the model."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027 - without a state there is nothing to do
        """Restore a state from `state_dict`."""


DETECTION_METHODS: dict[str, type[DetectionMethod]] = {}
"""Methods by name; filled by [`register_detection_method`]."""

AnyDetectionMethod = TypeVar("AnyDetectionMethod", bound=type[DetectionMethod])


def register_detection_method(name: str) -> Callable[[AnyDetectionMethod], AnyDetectionMethod]:
    """Class decorator that makes a method of detection known by name.

    Raises:
        ValueError: if the name is taken by another class.
    """
    return registering(DETECTION_METHODS, name)


def make_detection_method(name: str, **options: Any) -> DetectionMethod:
    """The method called `name`, a key of `DETECTION_METHODS`, with fields of its class.

    Raises:
        ValueError: if there is no such method, or it has no such option.
    """
    return made(DETECTION_METHODS, name, options)
