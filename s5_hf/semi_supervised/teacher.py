"""Who labels the weak views: the student itself, or a teacher that is the moving average of its weights."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import nn

from .method import Method
from .pseudo_labels import check_threshold
from .weight_average import WeightAverage

TEACHERS = ("student", "ema")
SCHEDULES = ("constant", "warmup")


@dataclass
class TaughtMethod(Method):
    """A method that learns from pseudo-labels; what such methods have in common about their teacher.

    Args:
        confidence_threshold: probability from which on a pseudo-label counts.
        unlabelled_from_step: before this step no pseudo-label counts, and an averaged teacher copies the student.
        teacher: `"student"`, the network itself, or `"ema"`, the exponential moving average of its weights.
        teacher_decay: decay of the average.
        teacher_schedule: `"constant"`, or `"warmup"`: min(1 - 1 / (t + 1), teacher_decay) with t steps since
            `unlabelled_from_step`. The latter is the plain mean at first: it forgets the weights of a warm start
            within a few steps, where a constant decay keeps them.

    Attributes:
        averaged: the averaged teacher, `None` before [`attach`] and where the student teaches itself.

    Raises:
        ValueError: if a number is out of range or a name unknown.
    """

    confidence_threshold: float = 0.95
    unlabelled_from_step: int = 0
    teacher: str = "student"
    teacher_decay: float = 0.996
    teacher_schedule: str = "constant"
    averaged: WeightAverage | None = field(default=None, init=False, repr=False, compare=False)
    strong_views: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_threshold(self.confidence_threshold)
        if not 0 <= self.teacher_decay <= 1:
            raise ValueError(f"teacher_decay must lie between 0 and 1, got {self.teacher_decay}")
        for name, known in (("teacher", TEACHERS), ("teacher_schedule", SCHEDULES)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be {' or '.join(known)}, got {getattr(self, name)!r}")

    @property
    def has_teacher(self) -> bool:
        """Whether there is an averaged teacher, whose weights a checkpoint must hold."""
        return self.teacher == "ema"

    @property
    def teacher_model(self) -> nn.Module | None:
        """The averaged teacher's network."""
        return None if self.averaged is None else self.averaged.model

    def attach(self, model: nn.Module) -> None:
        """Copy the network for an averaged teacher."""
        if self.has_teacher:
            self.averaged = WeightAverage(model)

    def labeller(self, model: nn.Module) -> nn.Module:
        """The network that labels the weak views for the student `model`.

        Raises:
            RuntimeError: if the averaged teacher was not made yet.
        """
        if not self.has_teacher:
            return model
        if self.averaged is None:
            raise RuntimeError(f"{self.name} has no teacher yet: call attach(model) before the first step")
        return self.averaged.model

    def after_step(self, model: nn.Module, step: int) -> None:
        """Let the teacher follow."""
        if self.averaged is not None:
            self.averaged.update(model, self.decay_at(step))

    def decay_at(self, step: int) -> float:
        """The teacher's decay after a step counted from 0; 0, a copy of the student, before `unlabelled_from_step`."""
        since = step - self.unlabelled_from_step
        if since < 0:
            return 0.0
        return (
            self.teacher_decay if self.teacher_schedule == "constant" else min(1 - 1 / (since + 1), self.teacher_decay)
        )

    def state_dict(self) -> dict[str, Any]:
        """The teacher's weights."""
        return {} if self.averaged is None else {"teacher": self.averaged.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the teacher's weights."""
        if self.averaged is not None:
            self.averaged.load_state_dict(state["teacher"])
