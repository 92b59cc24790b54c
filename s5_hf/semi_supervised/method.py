"""What a semi-supervised method is, and the methods by name."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import torch
from torch import nn

from .batches import LabelledBatch, UnlabelledBatch
from .registry import made, registering


@dataclass(frozen=True)
class MethodOutput:
    """What a step gives.

    Attributes:
        loss: what is minimised, a scalar with gradient.
        scalars: named values to be logged, scalars without gradient, the same names at every step.
        class_counts: confident pseudo-label pixels of each class, float `(classes,)`, where there are any.
    """

    loss: torch.Tensor
    scalars: dict[str, torch.Tensor]
    class_counts: torch.Tensor | None = None


@dataclass
class Method(ABC):
    """A method turns (model, labelled batch, unlabelled batch, step) into a loss and named scalars.

    Subclasses are dataclasses: their fields are their options. Register one with [`register_method`].

    Attributes:
        strong_views: number of strong views that the method takes of every unlabelled image; 0 for a method that
            takes no unlabelled images.
        takes_labels: whether the method learns from labelled images; else it gets none.
        pastes: whether strong views take part in CutMix, which needs a partner for every image.
        changes_weights: whether the method changes weights of the network itself, besides the optimizer.
        has_teacher: whether there is a teacher, whose weights the method changes in [`after_step`].
        teacher_model: a network with averaged weights that the method keeps, `None` where it has none.
        frozen_teachers: folders and names of networks that only teach, with the sides of their images.
        labels_itself: whether the network or its average labels the weak views, where any are labelled.
    """

    name: ClassVar[str]
    strong_views: ClassVar[int] = 1
    takes_labels: ClassVar[bool] = True
    pastes: ClassVar[bool] = True
    changes_weights: ClassVar[bool] = False
    has_teacher: ClassVar[bool] = False
    teacher_model: ClassVar[nn.Module | None] = None
    frozen_teachers: ClassVar[Sequence[str]] = ()
    labels_itself: ClassVar[bool] = True

    @abstractmethod
    def __call__(
        self, model: nn.Module, labelled: LabelledBatch, unlabelled: UnlabelledBatch | None, step: int
    ) -> MethodOutput:
        """The loss of a step. `model` is in train mode and stays in it; it is called once with gradients."""

    def extend(self, model: nn.Module) -> None:  # noqa: B027 - most methods need nothing
        """Give the new bare network the parts that the method trains in it, before anything else sees it."""

    def attach(self, model: nn.Module) -> None:  # noqa: B027 - most methods need nothing
        """See the bare model once, before training and before it is wrapped for several processes."""

    def after_step(self, model: nn.Module, step: int) -> None:  # noqa: B027 - most methods need nothing
        """Called with the bare model after the optimizer's step `step`, counted from 0."""

    def frozen_passes(self, labelled: int, weak: int, strong: int) -> list[tuple[Callable[[torch.Tensor], Any], int]]:
        """The frozen teachers, each with how many of the images of a step it sees.

        Args:
            labelled, weak, strong: labelled images, weak views and strong views of a step.
        """
        return []

    @property
    def threshold_now(self) -> float | torch.Tensor | None:
        """Probability from which on a pseudo-label counts: a number, or one per class; `None` for another rule."""
        return None

    @property
    def has_state(self) -> bool:
        """Whether a checkpoint must hold something of the method."""
        return self.has_teacher

    def saved_state(self, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The weights of the network as users load it, from those of the network in training."""
        return state

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must hold besides the model."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027 - most methods need nothing
        """Restore a state from `state_dict`."""


METHODS: dict[str, type[Method]] = {}
"""Methods by name; filled by [`register_method`]."""

AnyMethod = TypeVar("AnyMethod", bound=type[Method])


def register_method(name: str) -> Callable[[AnyMethod], AnyMethod]:
    """Class decorator that makes a method known by name.

    Raises:
        ValueError: if the name is taken by another class.
    """
    return registering(METHODS, name)


def method_names() -> list[str]:
    """Names of the registered methods."""
    return sorted(METHODS)


def make_method(name: str, **options: Any) -> Method:
    """The method called `name`.

    Args:
        name: one of `method_names()`.
        **options: fields of its class.

    Raises:
        ValueError: if there is no such method, or it has no such option.
    """
    return made(METHODS, name, options)
