"""Training of MV-CC (arXiv 2410.23946): sentences that say what changed between two images."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from ...modeling import MVCCForChangeCaptioning, MVCCProcessor
from ...semi_supervised import MethodOutput
from ...semi_supervised.losses import mean_over_processes
from ..batches import SampleOrder, ViewedDatasets, load_in_order
from ..kind import StateDict, Training
from ..sampled import SampledTraining
from ..schedules import learning_rate_factor
from .batches import CaptionCollation, CaptionView, SentencePairs
from .network import make_network, make_processor
from .recipe import CaptioningRecipe
from .validation import validate_captioner

Batch = dict[str, torch.Tensor]


class ChangeCaptioning(SampledTraining[CaptioningRecipe]):
    """Training of a network that says what changed.

    The result, `captioner/`, loads with `AutoModel` and `AutoProcessor`.

    Args:
        recipe: of the run.
        samples: `(train, validation or None)`, each with `image_before`, `image_after`, `mask`, `captions` and `id`,
            in place of what the recipe names.
    """

    # Every kind says these of itself; what kinds on one dataset share is in sampled.py.
    project = "captioning"
    model_folder = "captioner"
    encoder_prefix = "encoder.video."
    headline = "captioning"
    score = "bleu_4"  # officially, too
    caption_processor: MVCCProcessor

    def load_data(self, processes: int) -> Mapping[str, Any]:
        """Load the samples, and count the steps.

        Raises:
            FileExistsError: if a new run would replace a network.
            ValueError: if there are no samples.
        """
        self.load_samples()
        optimizer = self.recipe.optimizer
        self.sentences = SentencePairs(self.samples, sentence_counts(self.samples))
        self.steps_per_epoch = len(self.sentences) / (
            optimizer.batch_size * optimizer.gradient_accumulation * processes
        )
        self.total_steps = optimizer.total_steps or max(1, round(optimizer.epochs * self.steps_per_epoch))
        self.caption_processor = make_processor(self.recipe, self.samples)
        return {"train": self.samples, "validation": self.validation}

    def make_model(self) -> MVCCForChangeCaptioning:
        """The network."""
        return make_network(self.recipe, len(self.caption_processor.tokenizer))

    @property
    def processor(self) -> MVCCProcessor:
        """Goes with the network."""
        return self.caption_processor

    def learning_rate_factor(self, step: int) -> float:
        """Halved every few epochs, as officially, or the course of the schedule."""
        settings = self.recipe.optimizer
        if not settings.halve_every:
            return learning_rate_factor(settings.schedule, step, self.total_steps, settings.warmup_steps)
        return 0.5 ** int(step / self.steps_per_epoch / settings.halve_every)

    def batches(self, training: Training, taken: int) -> Iterator[Batch]:
        """The arguments of the network from batch `taken` on, for ever."""
        run, accelerator = self.recipe.run, training.accelerator
        place = (accelerator.process_index, accelerator.num_processes)
        order = SampleOrder((len(self.sentences),), (self.recipe.optimizer.batch_size,), (run.seed,), *place)
        datasets = ViewedDatasets((self.sentences,), (CaptionView(self.caption_processor),))
        collation = CaptionCollation(self.caption_processor)
        for batch in load_in_order(datasets, order, taken, self.recipe.data.num_workers, collation):
            yield {name: tensor.to(accelerator.device, non_blocking=True) for name, tensor in batch.items()}

    def counted_together(self, batches: list[Batch]) -> list[Batch]:
        """The batches of a step with the words that all of them, on all processes, have on average."""
        padding = self.caption_processor.tokenizer.pad_token_id
        words = torch.stack([(batch["labels"][:, 1:] != padding).sum() for batch in batches]).float().mean()
        mean = mean_over_processes(words)
        return [{**batch, "num_items_in_batch": mean} for batch in batches]

    def step(self, model: torch.nn.Module, batch: Batch, step: int) -> MethodOutput:
        """The cross-entropy of the words."""
        loss = model(**batch).loss
        return MethodOutput(loss, {"words": loss.detach()})

    def scores(self, training: Training, step: int) -> dict[str, float]:
        """BLEU, METEOR, ROUGE-L and CIDEr-D; the sentences are in `captions/`."""
        return validate_captioner(
            training.accelerator.unwrap_model(training.model),
            self.validation,
            self.caption_processor,
            training.accelerator,
            Path(self.recipe.run.output_dir) / "captions" / f"step_{step:08d}.json",
        )

    def save_networks(self, model: MVCCForChangeCaptioning, folder: Path, state_dict: StateDict) -> None:
        """Save the network and its processor to `folder/captioner`."""
        model.save_pretrained(folder / self.model_folder, state_dict=state_dict)
        self.caption_processor.save_pretrained(folder / self.model_folder)


def sentence_counts(samples: Any) -> list[int]:
    """How many sentences each sample has, without a look at the images."""
    if hasattr(samples, "select_columns"):
        samples = samples.select_columns(["captions"])
    return [len(sample["captions"]) for sample in samples]
