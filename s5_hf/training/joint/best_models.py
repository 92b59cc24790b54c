"""The weights that were best in validation: of all tasks on average, and of every task by itself.

    run/best/mean/       the whole model with the best mean of the tasks' scores
    run/best/<task>/     a dense model of one task, with its expert and decoder, from the step that was best for it

Each folder loads with `from_pretrained` and holds scores.json: step, scores, and how they were selected, and
manifest.json: size and digest of every file.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, ProcessorMixin

from ...files.disk_space import WRITE_ERRORS, full_disk_in_words, tensor_bytes
from ...modeling.image_processing_s5 import S5ImageProcessor
from ..checkpointing.folder_swap import recover, replaced
from ..checkpointing.manifest import write_manifest
from ..errors import CheckpointError
from ..kind import StateDict

MEAN = "mean"
PERCENT = "percent"

Processor = S5ImageProcessor | ProcessorMixin


class BestModels:
    """Keeps the best weights of a run.

    Args:
        folder: of the best models.
        processor: saved beside each.
        selection: what goes into scores.json beside the scores.
        unit: of the scores, for people.
    """

    def __init__(self, folder: Path, processor: Processor, selection: Mapping[str, Any], unit: str = PERCENT) -> None:
        self.folder, self.processor, self.selection, self.unit = folder, processor, dict(selection), unit

    def improved(self, scores: Mapping[str, float]) -> list[str]:
        """Which of the scores (by task, and `mean`) are above the best so far; a NaN never is."""
        return [name for name, score in scores.items() if score > self.best_score(name)]

    def best_score(self, name: str) -> float:
        """The best score so far, minus infinity for none.

        Raises:
            CheckpointError: naming the file that is broken.
        """
        path = self.folder / name / "scores.json"
        recover(self.folder / name)  # lost between two renames when the process was killed
        if not path.is_file():
            return float("-inf")
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            best = float(record["best"])
            return best if "unit" in record else 100 * best  # as release 0.1.0 wrote it
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{path} does not say how good the best weights are: {error!r}") from error

    def keep(self, step: int, scores: Mapping[str, float], model: PreTrainedModel, state_dict: StateDict) -> list[str]:
        """Write the weights for every score that is the best so far; for the main process.

        Args:
            step: optimizer steps that were made.
            scores: by task, and `mean`.
            model: the bare model; with `merge_experts` where its `config.tasks` are several.
            state_dict: its weights as they are saved, without adapters.

        Returns:
            The names of what was written.

        Raises:
            CheckpointError: if the folder cannot be written; the former best stays.
        """
        names = self.improved(scores)
        if not names:
            return []
        several = len(getattr(model.config, "tasks", ())) > 1
        # New networks draw new weights before they are filled: the run's own random numbers must not notice.
        with torch.random.fork_rng(devices=[]):
            try:
                for name in names:
                    if several and name != MEAN:
                        whole = type(model)(model.config)
                        whole.load_state_dict(state_dict)
                        dense = whole.merge_experts(name)
                        self._write(name, dense, dense.state_dict(), step, scores)
                    else:
                        self._write(name, model, state_dict, step, scores)
            except WRITE_ERRORS as error:
                raise CheckpointError(f"the best weights of step {step} could not be written: {error}") from error
        return names

    def _write(
        self, name: str, model: PreTrainedModel, state_dict: StateDict, step: int, scores: Mapping[str, float]
    ) -> None:
        description = {"best": scores[name], "unit": self.unit, "step": step, "scores": dict(scores), **self.selection}
        final = self.folder / name
        needed = tensor_bytes(state_dict)
        with full_disk_in_words(final, needed), replaced(final) as temporary:
            model.save_pretrained(temporary, state_dict=state_dict)
            self.processor.save_pretrained(temporary)
            (temporary / "scores.json").write_text(json.dumps(description, indent=2), encoding="utf-8")
            write_manifest(temporary)
