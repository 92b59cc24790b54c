"""What one kind of training does in its own way. What all kinds do alike is in `setup.py` and `loop.py`."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic

import torch
from accelerate import Accelerator
from transformers import PreTrainedModel

from ..modeling.image_processing_s5 import S5ImageProcessor
from ..semi_supervised import MethodOutput
from .image_input import inherit_input, settle_input
from .optimizer import make_optimizer
from .recipe_reading import AnyRecipe
from .recipe_sections import ImageSettings, ViewSettings
from .schedules import learning_rate_factor
from .throughput import Throughput

STARTS = ("segmenter", "detector", "road_model", "translator", "encoder")
"""Keys of recipes that name a network to start from."""

StateDict = dict[str, torch.Tensor]


@dataclass
class Training:
    """What a kind of training sees of its run.

    Attributes:
        accelerator: of Accelerate.
        model: prepared, `None` once it is released; the bare one is `accelerator.unwrap_model(model)`.
    """

    accelerator: Accelerator
    model: torch.nn.Module | None


class TrainingKind(ABC, Generic[AnyRecipe]):
    """A kind of training: its data, network, step, validation and result.

    The methods stand in the order in which they are called: first those of the set-up, then those of the loop, then
    those of a checkpoint.

    Args:
        recipe: of the run, with the sections `data`, `optimizer` and `run`.

    Attributes:
        project: name of the kind for the trackers.
        model_folder: name of the folder of the whole network in a checkpoint.
        encoder_prefix: what the names of the encoder's weights begin with.
        validates: whether there is something to validate on; known once the data is loaded.
        total_steps: optimizer steps of the run; known once the data is loaded.
    """

    project: ClassVar[str]
    model_folder: ClassVar[str]
    encoder_prefix: ClassVar[str] = "backbone."
    validates: bool = False
    total_steps: int

    def __init__(self, recipe: AnyRecipe) -> None:
        self.recipe = recipe

    def load(self, processes: int) -> Mapping[str, Any]:
        """Load the data, and find out how its images become the input of the network; returns as `load_data`."""
        settings = getattr(self.recipe, "data", None)
        if not isinstance(settings, ImageSettings):  # a kind that learns from no images
            return self.load_data(processes)
        starts = (getattr(getattr(self.recipe, "model", None), name, None) for name in STARTS)
        inherited = inherit_input(settings, next((start for start in starts if start), None))
        datasets = self.load_data(processes)
        settle_input(settings, self.learned_from(), inherited)
        return datasets

    @property
    def needs_whole_weights(self) -> str:
        """What needs the whole weights on every process, in words, where something does; they must not be sharded.

        Low-rank adapters are merged into whole weights.
        """
        return "lora_rank" if getattr(getattr(self.recipe, "model", None), "lora_rank", 0) else ""

    def learned_from(self) -> Sequence[Any]:
        """The datasets that are learned from, known once the data is loaded; their images say what is measured."""
        return ()

    @abstractmethod
    def load_data(self, processes: int) -> Mapping[str, Any]:
        """Load what the recipe names, unless the run was given data; returns all datasets by name.

        Args:
            processes: that share the work.
        """

    def class_names(self) -> Mapping[str, Sequence[str]]:
        """The classes of every task, known once the data is loaded; empty where nothing has labels."""
        return {}

    @abstractmethod
    def make_model(self) -> torch.nn.Module:
        """The network at step 0, in train mode."""

    def attach(self, model: torch.nn.Module) -> list[Any]:
        """See the bare network before it is prepared; returns what has a state that checkpoints must hold."""
        return []

    def make_optimizer(self, model: torch.nn.Module, processes: int) -> torch.optim.Optimizer:
        """The optimizer of the bare network on each of so many processes, by default AdamW.

        Every group of it has an `initial_lr`.
        """
        settings = self.recipe.optimizer
        return make_optimizer(
            model,
            self.learning_rate(processes),
            settings.weight_decay,
            (settings.beta1, settings.beta2),
            settings.layer_decay,
            settings.encoder_rate,
            settings.decay_everything,
        )

    @abstractmethod
    def make_throughput(self, model: torch.nn.Module, processes: int) -> Throughput:
        """What measures the speed of the run."""

    def start(self, training: Training) -> None:
        """Everything is ready: write what the run leaves at its beginning."""

    def image_shape(self) -> torch.Size | None:
        """Shape `(batch, channels, height, width)` of a batch that the network takes; `None` where it is not known."""
        data = getattr(self.recipe, "data", None)
        if not isinstance(data, ViewSettings):
            return None
        return torch.Size((2, len(data.image_mean), data.crop_size, data.crop_size))

    def learning_rate(self, processes: int) -> float:
        """The highest learning rate of a run of so many processes."""
        return self.recipe.optimizer.learning_rate

    @property
    @abstractmethod
    def headline(self) -> str:
        """What is trained, for the first line of the output."""

    @property
    def teachers(self) -> Sequence[str]:
        """Folders and names of networks that only teach, as the recipe gives them."""
        return ()

    @property
    def shown(self) -> tuple[str, ...]:
        """Names of the values beside the progress bar."""
        return ("loss", "images_per_second", "mfu")

    @abstractmethod
    def batches(self, training: Training, taken: int) -> Iterator[Any]:
        """Batches of this process on the device, from number `taken` on, for ever."""

    def learning_rate_factor(self, step: int) -> float:
        """Factor of the learning rate at a step counted from 0."""
        settings = self.recipe.optimizer
        return learning_rate_factor(settings.schedule, step, self.total_steps, settings.warmup_steps)

    def gradient_clip(self, step: int) -> float | None:
        """The largest gradient norm at a step counted from 0; `None` for none."""
        return self.recipe.optimizer.gradient_clip

    def counted_together(self, batches: list[Any]) -> list[Any]:
        """The batches of the micro-steps of one step, so that their pixels count alike; here as they are."""
        return batches

    @abstractmethod
    def step(self, model: torch.nn.Module, batch: Any, step: int) -> MethodOutput:
        """The loss of a batch, with the named values to be logged."""

    def after_step(self, model: torch.nn.Module, step: int) -> None:
        """Follow the bare network after the optimizer's step `step`, counted from 0: a teacher, an average."""

    def observe(
        self, training: Training, step: int, values: Mapping[str, float], class_shares: list[float]
    ) -> dict[str, float]:
        """See the values of a step; returns more to be logged.

        Args:
            training: the run.
            step: counted from 0.
            values: named means over micro-steps and processes.
            class_shares: of the confident pseudo-labels, empty where there are none.
        """
        return {}

    def observations(self) -> dict[str, Any]:
        """What `observe` has gathered, as plain values; checkpoints hold it."""
        return {}

    def load_observations(self, found: Mapping[str, Any]) -> None:
        """Go on from what `observations` gave; empty where a checkpoint holds none."""

    def validate(self, training: Training, step: int) -> dict[str, float]:
        """Score the weights after `step` steps, and keep them where they are the best so far."""
        raise NotImplementedError(f"{type(self).__name__} does not validate")

    def report(self) -> None:
        """Write a page about the run so far; called on the main process, after a validation and at the end."""

    @property
    def processor(self) -> S5ImageProcessor:
        """The image processor that goes with the networks of the run."""
        return S5ImageProcessor(**self.input_settings())

    def input_settings(self) -> dict[str, Any]:
        """How the images become the input of the network, as an image processor takes it."""
        data = self.recipe.data
        scaling = data.value_scaling
        return {
            "image_mean": data.image_mean,
            "image_std": data.image_std,
            "value_scaling": None if scaling is None else scaling.to_dict(),
            "bands": data.band_list,
        }

    @property
    def followers(self) -> dict[str, PreTrainedModel]:
        """Networks that follow the trained one and are saved beside it, by the name of their folder."""
        return {}

    def saved_state(self, model: torch.nn.Module, state_dict: StateDict) -> StateDict:
        """The weights as a saved network has them, from those of the bare network."""
        return state_dict

    def save_networks(self, model: PreTrainedModel, folder: Path, state_dict: StateDict) -> None:
        """Save the whole network to `folder/<model_folder>`, its backbone to `folder/encoder`, and the followers."""
        prefix = self.encoder_prefix
        encoder = {name.removeprefix(prefix): tensor for name, tensor in state_dict.items() if name.startswith(prefix)}
        model.save_pretrained(folder / self.model_folder, state_dict=state_dict)
        model.backbone.save_pretrained(folder / "encoder", state_dict=encoder)
        for name, network in self.followers.items():
            network.save_pretrained(folder / name, state_dict=self.saved_state(network, network.state_dict()))
        for name in (self.model_folder, "encoder", *self.followers):
            self.processor.save_pretrained(folder / name)
