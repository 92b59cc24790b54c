"""Training of SegEarth-R1 (arXiv 2504.09644): masks that answer questions, or that words refer to."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from ...modeling import SegEarthR1ForPixelReasoning, SegEarthR1Processor
from ...modeling.modeling_segearth_r1 import learned_tokens
from ...semi_supervised import MethodOutput
from ...semi_supervised.losses import mean_over_processes
from ..batches import SampleOrder, ViewedDatasets, load_in_order
from ..kind import StateDict, Training
from ..low_rank import merged_adapters
from ..sampled import SampledTraining
from ..schedules import learning_rate_factor
from .batches import QuestionCollation, QuestionGroups, QuestionView
from .network import make_network, make_processor
from .recipe import ReasoningRecipe
from .validation import validate_reasoner

Batch = dict[str, torch.Tensor]


class PixelReasoning(SampledTraining[ReasoningRecipe]):
    """Training of a network that answers questions with masks.

    The result, `reasoner/`, loads with `AutoModel` and `AutoProcessor`.

    Args:
        recipe: of the run.
        samples: `(train, validation or None)`, each with `image`, `mask`, `question`, `answer` and `id`, in place of
            what the recipe names.
    """

    # Every kind says these of itself; what kinds on one dataset share is in sampled.py.
    project = "reasoning"
    model_folder = "reasoner"
    headline = "reasoning"
    score = "gIoU"
    question_processor: SegEarthR1Processor
    groups: QuestionGroups

    def load_data(self, processes: int) -> Mapping[str, Any]:
        """Load the samples, and count the steps.

        Raises:
            FileExistsError: if a new run would replace a network.
            ValueError: if there are no samples.
        """
        self.load_samples()
        optimizer = self.recipe.optimizer
        self.groups = QuestionGroups(self.samples, self.recipe.data.questions_per_image > 1)
        per_step = optimizer.batch_size * optimizer.gradient_accumulation * processes
        self.total_steps = optimizer.total_steps or max(1, round(optimizer.epochs * len(self.groups) / per_step))
        self.question_processor = make_processor(self.recipe, self.samples)
        return {"train": self.samples, "validation": self.validation}

    def make_model(self) -> SegEarthR1ForPixelReasoning:
        """The network."""
        return make_network(self.recipe, len(self.question_processor.tokenizer))

    def image_shape(self) -> torch.Size:
        """Of a batch."""
        side = self.recipe.data.image_size
        return torch.Size((2, len(self.recipe.data.image_mean), side, side))

    @property
    def processor(self) -> SegEarthR1Processor:
        """Goes with the network."""
        return self.question_processor

    @property
    def learns_language(self) -> bool:
        """Whether answers are learned."""
        return self.recipe.model.language_weight > 0

    def learning_rate_factor(self, step: int) -> float:
        """With a warm-up over a share of the steps where its length is not given."""
        settings = self.recipe.optimizer
        warmup = settings.warmup_steps or int(settings.warmup_share * self.total_steps)
        return learning_rate_factor(settings.schedule, step, self.total_steps, warmup)

    def batches(self, training: Training, taken: int) -> Iterator[Batch]:
        """The arguments of the network from batch `taken` on, for ever."""
        data, run, accelerator = self.recipe.data, self.recipe.run, training.accelerator
        place = (accelerator.process_index, accelerator.num_processes)
        order = SampleOrder((len(self.groups),), (self.recipe.optimizer.batch_size,), (run.seed,), *place)
        view = QuestionView(self.question_processor, run.seed, data.questions_per_image)
        datasets = ViewedDatasets((self.groups,), (view,))
        collation = QuestionCollation(self.question_processor, data.kind, self.learns_language)
        for batch in load_in_order(datasets, order, taken, data.num_workers, collation):
            yield {name: tensor.to(accelerator.device, non_blocking=True) for name, tensor in batch.items()}

    def counted_together(self, batches: list[Batch]) -> list[Batch]:
        """The batches of a step with the tokens that all of them, on all processes, have on average."""
        if not self.learns_language:
            return batches
        tokens = torch.stack([learned_tokens(batch["labels"]) for batch in batches]).float().mean()
        mean = mean_over_processes(tokens)
        return [{**batch, "num_items_in_batch": mean} for batch in batches]

    def step(self, model: torch.nn.Module, batch: Batch, step: int) -> MethodOutput:
        """The weighted sum of the losses of masks and words."""
        output = model(**batch)
        return MethodOutput(output.loss, {name: value.detach() for name, value in output.loss_parts.items()})

    def scores(self, training: Training, step: int) -> dict[str, float]:
        """gIoU, cIoU and P@t in percent; the main process writes them and a picture beside them."""
        run = self.recipe.run
        panels = Path(run.output_dir) / "panels"
        return validate_reasoner(
            training.accelerator.unwrap_model(training.model),
            self.validation,
            self.question_processor,
            self.recipe.data.kind,
            training.accelerator,
            panels / f"step_{step:08d}.png" if run.panel_images else None,
            run.panel_images,
        )

    def saved_state(self, model: torch.nn.Module, state_dict: StateDict) -> StateDict:
        """With the adapters merged."""
        return merged_adapters(model, state_dict) if self.recipe.model.lora_rank else state_dict

    def save_networks(self, model: SegEarthR1ForPixelReasoning, folder: Path, state_dict: StateDict) -> None:
        """Save the network and its processor to `folder/reasoner`."""
        network, own = self.kept(model, state_dict)
        network.save_pretrained(folder / self.model_folder, state_dict=own)
        self.question_processor.save_pretrained(folder / self.model_folder)
