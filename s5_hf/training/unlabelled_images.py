"""What the kinds of training that learn from images without labels have in common."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch

from ..dataset_builders.registry import get_entry
from .batches import IndexedBatches, Row, StreamedBatches
from .image_input import band_options
from .kind import Training, TrainingKind
from .pretraining.data import load_split
from .recipe_reading import AnyRecipe
from .throughput import Throughput
from .views.sample_reader import ONE_IMAGE, SampleReader
from .views.strong import normalize, to_unit_range
from .views.weak import SampleView, WeakView

__all__ = ["UnlabelledTraining"]


class UnlabelledTraining(TrainingKind[AnyRecipe]):
    """A training on images without labels, for `total_steps` of its recipe's optimizer section.

    Args:
        recipe: of the run; its data section is an `UnlabelledSettings`.
        samples: with the columns of the reader, in place of what the recipe names.

    Attributes:
        reader: of the columns of a sample.
        result_folder: what a complete run leaves in its folder, which a new run does not replace.
    """

    reader: ClassVar[SampleReader] = ONE_IMAGE
    result_folder: ClassVar[str]

    def __init__(self, recipe: AnyRecipe, samples: Any | None = None) -> None:
        super().__init__(recipe)
        self.samples = samples
        self.total_steps = recipe.optimizer.total_steps

    def load_data(self, processes: int) -> Mapping[str, Any]:
        """Load the images.

        Raises:
            FileExistsError: if a new run would replace a result.
        """
        data, run = self.recipe.data, self.recipe.run
        result = Path(run.output_dir) / self.result_folder
        if run.resume is None and result.exists():
            raise FileExistsError(f"{result} exists already; remove it or choose another output_dir")
        if self.samples is None:
            options = self.builder_options()
            self.samples = load_split(data.dataset, data.data_dir, data.split, data.streaming, options)
        return {"images": self.samples}

    def builder_options(self) -> dict[str, Any]:
        """Options of the builder of the dataset."""
        data = self.recipe.data
        options = {"classes": data.classes} if data.classes else {}
        return options | band_options(data, get_entry(data.dataset))

    def learned_from(self) -> Sequence[Any]:
        """The images."""
        return (self.samples,)

    def make_throughput(self, model: torch.nn.Module, processes: int) -> Throughput:
        """Images per second."""
        settings = self.recipe.optimizer
        return Throughput(settings.batch_size * settings.gradient_accumulation * processes)

    def rows(self, training: Training, taken: int) -> Iterator[Row]:
        """Batches from number `taken` on, for ever, on the device.

        Each has `image`, normalised crops `(batch, channels, height, width)` or as the reader arranges them, and
        `seed`, int64 `(batch,)`, a random number of the image and epoch that does not depend on the processes.
        """
        data, run, accelerator = self.recipe.data, self.recipe.run, training.accelerator

        def to_device(rows: Row) -> Row:
            images = to_unit_range(rows["image"].to(accelerator.device, non_blocking=True))
            return {"image": normalize(images, data.image_mean, data.image_std), "seed": rows["seed"]}

        view = WeakView(data.crop_size, tuple(data.scale_range))
        source = (IndexedBatches if hasattr(self.samples, "__len__") else StreamedBatches)(
            self.samples,
            SampleView(
                *(view, run.seed, self.project),
                channels=len(data.image_mean),
                scaling=data.value_scaling,
                reader=self.reader,
            ),
            self.recipe.optimizer.batch_size,
            run.seed,
            accelerator.process_index,
            accelerator.num_processes,
            data.num_workers,
        )
        return map(to_device, source.start(taken))
