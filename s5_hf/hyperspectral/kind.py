"""SPECIAL: a small network that learns one cube from uncertain first labels, and makes them better on the way.

Source: SPECIAL (arXiv 2501.16222) and its official code; the differences are in docs/differences.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from tqdm import tqdm

from ..imaging.windows import Window, even_windows
from ..modeling import MambaHSIConfig, MambaHSIForSemanticSegmentation, MambaHSIImageProcessor
from ..semi_supervised import MethodOutput
from ..semi_supervised.pseudo_labels import evaluating
from ..training.kind import StateDict, Training, TrainingKind
from ..training.throughput import Throughput
from .augmentation import CubeAugmentation
from .cube import HyperspectralCube
from .first_labels import confidence
from .label_refinement import RefinedLabels, principal_components, refine_labels
from .recipe import SpecialRecipe
from .value_stretch import ValueStretch

__all__ = ["CubeScores", "SpecialTraining", "marked_cross_entropy", "predict_window"]

NETWORK = "network"
"""Folder of the trained network in that of a run."""

MOST_COMPONENT_PIXELS = 1_000_000
"""Pixels of a cube from which its principal components are found, every n-th of more."""


@dataclass(frozen=True)
class CubeScores:
    """A cube with what is known of its classes beforehand.

    Attributes:
        cube: open.
        stretch: of its values.
        scores: float32 `(classes, height, width)`, 0 in all classes where nothing is known.
        labels: names of the classes.
    """

    cube: HyperspectralCube
    stretch: ValueStretch
    scores: np.ndarray
    labels: list[str]

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Stretched values float32 `(bands, height, width)` and where there is data, bool `(height, width)`."""
        values, valid = self.cube.read(window)
        stretched = self.stretch(values)
        stretched[:, ~valid] = 0
        return stretched, valid

    def scores_in(self, window: Window) -> np.ndarray:
        """The scores of a window."""
        return self.scores[:, window.top : window.bottom, window.left : window.right]


class SpecialTraining(TrainingKind[SpecialRecipe]):
    """Training on one cube. The result is `network/`, a `MambaHSIForSemanticSegmentation`.

    Args:
        recipe: of the run.
        known: the cube, and what is known of it.

    Raises:
        ValueError: no pixel with data has a first label.
    """

    project = "special"
    model_folder = NETWORK
    encoder_prefix = "mamba."
    headline = "special"

    def __init__(self, recipe: SpecialRecipe, known: CubeScores) -> None:
        super().__init__(recipe)
        self.known = known
        cube = known.cube
        windows = even_windows(cube.width, cube.height, recipe.refinement.window)
        self.windows = [window for window in windows if self._has_labels(window)]
        if not self.windows:
            raise ValueError(f"no pixel of {cube.name} has both data and a first label")

    def load_data(self, processes: int) -> Mapping[str, Any]:
        """The cube and the scores, so that a run is not resumed with others."""
        rounds, per_step = self.recipe.refinement, processes * self.recipe.optimizer.gradient_accumulation
        self.steps_per_epoch = -(-rounds.iterations * len(self.windows) // per_step)
        self.total_steps = rounds.epochs * self.steps_per_epoch
        name, known = self.known.cube.name, self.known
        return {"cube": [{"id": Path(name).name, "cube": known.cube.fingerprint, "scores": known.scores}]}

    def make_model(self) -> MambaHSIForSemanticSegmentation:
        """A new network."""
        id2label = dict(enumerate(self.known.labels))
        config = MambaHSIConfig(
            num_channels=len(self.known.cube.bands),
            id2label=id2label,
            label2id={label: index for index, label in id2label.items()},
        )
        return MambaHSIForSemanticSegmentation(config).train()

    def attach(self, model: torch.nn.Module) -> list[Any]:
        """The refinement follows the network."""
        self.refinement = Refinement(self, model)
        return [self.refinement]

    def make_throughput(self, model: torch.nn.Module, processes: int) -> Throughput:
        """Windows per second."""
        return Throughput(self.recipe.optimizer.gradient_accumulation * processes)

    @property
    def shown(self) -> tuple[str, ...]:
        """Names of the values beside the progress bar."""
        return ("loss", "random", "hard", "confident")

    def learning_rate_factor(self, step: int) -> float:
        """A cosine from the highest rate to the lowest."""
        settings = self.recipe.optimizer
        # The official code counts a step for every window of a round, so that the rate of several swings up and down.
        lowest = settings.lowest_rate / settings.learning_rate
        return lowest + (1 - lowest) * super().learning_rate_factor(step)

    def batches(self, training: Training, taken: int) -> Iterator[int]:
        """Numbers of the looks at the cube; window, augmentation and pixels of a look follow from its number."""
        accelerator = training.accelerator
        while True:
            yield taken * accelerator.num_processes + accelerator.process_index
            taken += 1

    def step(self, model: torch.nn.Module, batch: int, step: int) -> MethodOutput:
        """The loss of one look."""
        rounds, window = self.recipe.refinement, self.windows[batch % len(self.windows)]
        generator = np.random.default_rng([self.recipe.run.seed, batch])
        values, valid = self.known.read(window)
        device = next(model.parameters()).device
        augmentation = CubeAugmentation.draw(int(generator.integers(2**62)), rounds.noise)
        seen = augmentation(torch.from_numpy(values)[None].to(device))
        logits = augmentation.restore(model(seen).logits)[0]
        random = self._random_loss(logits, window, valid, generator)
        refined = self.refinement.labels if step >= rounds.warmup_epochs * self.steps_per_epoch else None
        hard, confident = (logits.new_zeros(()), logits.new_zeros(()))
        if refined is not None:
            rows, columns = slice(window.top, window.bottom), slice(window.left, window.right)
            targets = torch.from_numpy(refined.targets[:, rows, columns]).to(device)
            hard = marked_cross_entropy(logits, targets, refined.hard[rows, columns])
            confident = marked_cross_entropy(logits, targets, refined.confident[rows, columns])
        loss = random + rounds.hard_weight * hard + rounds.confident_weight * confident
        return MethodOutput(loss, {"random": random.detach(), "hard": hard.detach(), "confident": confident.detach()})

    def after_step(self, model: torch.nn.Module, step: int) -> None:
        """Refine the labels at the end of a round, once the warm-up is over."""
        made = step + 1
        rounds = self.recipe.refinement
        if made % self.steps_per_epoch == 0 and rounds.warmup_epochs * self.steps_per_epoch <= made < self.total_steps:
            self.refinement.renew(made)

    @property
    def processor(self) -> MambaHSIImageProcessor:
        """Goes with the network: the stretch of the cube."""
        stretch = self.known.stretch
        return MambaHSIImageProcessor.of_stretch(stretch.low, stretch.high, len(self.known.cube.bands))

    def save_networks(self, model: Any, folder: Path, state_dict: StateDict) -> None:
        """Save the network and its processor to `folder/network`."""
        model.save_pretrained(folder / self.model_folder, state_dict=state_dict)
        self.processor.save_pretrained(folder / self.model_folder)

    def _has_labels(self, window: Window) -> bool:
        _, valid = self.known.read(window)
        return bool((valid & (self.known.scores_in(window) > 0).any(axis=0)).any())

    def _random_loss(
        self, logits: torch.Tensor, window: Window, valid: np.ndarray, generator: np.random.Generator
    ) -> torch.Tensor:
        """The cross-entropy of pixels drawn for each first label, those with a clear first label most often."""
        scores = self.known.scores_in(window)
        first, sureness = scores.argmax(axis=0), confidence(scores)
        known = valid & (scores > 0).any(axis=0)
        marked = np.zeros(valid.shape, dtype=bool)
        for class_id in range(len(scores)):
            places = np.flatnonzero(known & (first == class_id) & (sureness > 0))
            if len(places):
                weights = sureness.reshape(-1)[places].astype(np.float64)
                drawn = generator.choice(places, self.recipe.refinement.samples, p=weights / weights.sum())
                marked.reshape(-1)[drawn] = True
        targets = functional.one_hot(torch.from_numpy(first), len(scores)).permute(2, 0, 1)
        return marked_cross_entropy(logits, targets.to(logits), marked)


class Refinement:
    """The refined labels of a run. A checkpoint holds the weights that they were made with, which give them again.

    Args:
        kind: of the run.
        model: the bare network.
    """

    def __init__(self, kind: SpecialTraining, model: torch.nn.Module) -> None:
        self._kind, self._model = kind, model
        self._step = 0
        self._weights: StateDict = {}
        self.labels: RefinedLabels | None = None

    def state_dict(self) -> dict[str, Any]:
        """The weights and the step of the last refinement."""
        return {"step": self._step, "weights": self._weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Make the labels of a checkpoint again."""
        self._step, self._weights = state["step"], dict(state["weights"])
        if self._weights:
            present = {name: tensor.clone() for name, tensor in self._model.state_dict().items()}
            self._model.load_state_dict(self._weights)
            self._refine()
            self._model.load_state_dict(present)

    def renew(self, step: int) -> None:
        """Refine with the weights after so many steps."""
        self._step = step
        self._weights = {name: tensor.detach().cpu().clone() for name, tensor in self._model.state_dict().items()}
        self._refine()

    def _refine(self) -> None:
        known = self._kind.known
        cube = known.cube
        probabilities = np.zeros(known.scores.shape, dtype=np.float32)
        valid = np.zeros((cube.height, cube.width), dtype=bool)
        for window in tqdm(self._kind.windows, desc="refinement", unit="window", disable=None, leave=False):
            values, has_data = known.read(window)
            rows, columns = slice(window.top, window.bottom), slice(window.left, window.right)
            probabilities[:, rows, columns] = predict_window(self._model, values)
            valid[rows, columns] = has_data
        generator = np.random.default_rng([self._kind.recipe.run.seed, self._step])
        self.labels = refine_labels(probabilities, self._components, valid, generator)

    @cached_property
    def _components(self) -> np.ndarray:
        """The principal components of every pixel, float32 `(height, width, 5)`."""
        known, cube = self._kind.known, self._kind.known.cube
        every = max(1, cube.height * cube.width // MOST_COMPONENT_PIXELS)
        spectra = [known.read(window)[0].reshape(len(cube.bands), -1).T[::every] for window in self._kind.windows]
        found = principal_components(np.concatenate(spectra))
        components = np.zeros((cube.height, cube.width, found.n_components_), dtype=np.float32)
        for window in self._kind.windows:
            values = known.read(window)[0]
            projected = found.transform(values.reshape(len(values), -1).T)
            place = components[window.top : window.bottom, window.left : window.right]
            place[:] = projected.reshape(place.shape)
        return components


@torch.no_grad()
def predict_window(model: torch.nn.Module, values: np.ndarray) -> np.ndarray:
    """Class probabilities float32 `(classes, height, width)` of stretched values `(bands, height, width)`."""
    device = next(model.parameters()).device
    with evaluating(model):
        logits = model(torch.from_numpy(values)[None].to(device)).logits[0]
    return logits.float().softmax(dim=0).cpu().numpy()


def marked_cross_entropy(logits: torch.Tensor, targets: torch.Tensor, marked: np.ndarray) -> torch.Tensor:
    """The mean cross-entropy with soft targets over marked pixels; 0 where none is marked.

    Args:
        logits, targets: `(classes, height, width)`; a target is a probability.
        marked: bool `(height, width)`.
    """
    weights = torch.from_numpy(marked).to(logits)
    losses = -(targets * logits.log_softmax(dim=0)).sum(dim=0)
    return (losses * weights).sum() / weights.sum().clamp(min=1)
