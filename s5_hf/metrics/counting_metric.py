"""The frame of the modules of `evaluate`: they count at once, write no files, and need no network."""

from abc import ABC, abstractmethod
from typing import Any

import evaluate
import numpy as np
import torch


class CountingMetric(evaluate.Metric, ABC):
    """A module of `evaluate` over counts.

    Unlike other modules it writes no files: `add` and `add_batch` count at once. On several processes each adds its
    own images, every image in one process only, and all call `compute(accelerator=accelerator)`.

    Args:
        counts: with `update(prediction, reference)`, `reduce(accelerator)`, `scores()` and `reset()`.
        **options: those of every module of `evaluate`.

    Raises:
        ValueError: if `num_process` is given.
    """

    def __init__(self, counts: Any, **options: Any) -> None:
        if options.get("num_process", 1) != 1:
            raise ValueError("give compute(accelerator=...) to sum over processes; num_process is not used")
        self.counts = counts
        super().__init__(**options)

    @abstractmethod  # so that evaluate, which takes the first class it finds in a module, does not take this one
    def _info(self) -> evaluate.MetricInfo: ...

    def add(self, *, prediction: Any = None, reference: Any = None, **kwargs: Any) -> None:
        """Count one image."""
        _require_both({"prediction": prediction, "reference": reference, **kwargs})
        self.counts.update(_class_map(prediction), _class_map(reference))

    def add_batch(self, *, predictions: Any = None, references: Any = None, **kwargs: Any) -> None:
        """Count several images."""
        _require_both({"predictions": predictions, "references": references, **kwargs})
        if len(predictions) != len(references):
            raise ValueError(f"{len(predictions)} predictions for {len(references)} references")
        for prediction, reference in zip(predictions, references, strict=True):
            self.add(prediction=prediction, reference=reference)

    def compute(
        self, *, predictions: Any = None, references: Any = None, accelerator: Any = None, **kwargs: Any
    ) -> dict[str, Any]:
        """The scores of all images added since the last call, and of those given here."""
        if predictions is not None or references is not None or kwargs:
            self.add_batch(predictions=predictions, references=references, **kwargs)
        counts = self.counts if accelerator is None else self.counts.reduce(accelerator)
        scores = counts.scores()
        self.counts.reset()
        return scores


def _require_both(inputs: dict[str, Any]) -> None:
    given = [name for name, value in inputs.items() if value is not None]
    expected = list(inputs)[:2]
    if given != expected:
        raise ValueError(f"expected {' and '.join(expected)}, got {', '.join(given) or 'nothing'}")


def _class_map(values: Any) -> torch.Tensor | np.ndarray:
    return values if isinstance(values, torch.Tensor) else np.asarray(values)
