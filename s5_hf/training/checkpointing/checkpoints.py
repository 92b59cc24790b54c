"""Checkpoints of a run: atomic, the last few kept, complete enough to resume exactly.

    run/checkpoints/step-00002000/
        segmenter/   config.json, model.safetensors: for AutoModelForSemanticSegmentation.from_pretrained
                     (detector/ in a run that trains one: for AutoModelForObjectDetection)
                     (mae/ in a run of masked autoencoding: for ViTMAEForPreTraining)
        encoder/     the backbone alone: for AutoModel and AutoBackbone
        average/     the segmenter with averaged weights, where the recipe asks for them
        state/       what Accelerate saves (weights, optimizer, scaler, RNG of every process)
        run.json     step, recipe, and what was observed so far
        data.json.gz    names and sizes of all samples, see `data_listing.py`
        manifest.json   size and digest of every file

The data's position and the schedule follow from the step. A run is resumed only if files and data are as it left
them.
"""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed

from ...files.disk_space import full_disk_in_words, tensor_bytes
from ..errors import CheckpointError
from ..every_process import answer_of_main_process, on_every_process, on_main_process
from ..kind import StateDict, TrainingKind
from ..recipe_reading import differing_keys
from .data_listing import FILE_NAME as DATA_FILE
from .data_listing import DataListing
from .division import BATCH_SIZES, MICRO_STEPS, other_division
from .folder_swap import replaced
from .manifest import changed_files, write_manifest
from .resumption import AUTO, FORCE, load_state, require_unchanged

FOLDER_NAME = re.compile(r"^step-(\d+)$")
# What a run resumes from; the networks beside it are for users.
RESUMED_PARTS = ("state", "run.json", DATA_FILE)


class Checkpoints:
    """Writes and reads the checkpoints of one run.

    Args:
        kind: of training, with the run's recipe; it saves the networks.
        accelerator: whose prepared model, optimizer and scaler are saved.

    Attributes:
        data: what the run learns from; set before anything is saved or loaded.
    """

    data: DataListing

    def __init__(self, kind: TrainingKind, accelerator: Accelerator) -> None:
        self.kind, self.recipe, self.accelerator = kind, kind.recipe, accelerator
        self.folder = Path(kind.recipe.run.output_dir) / "checkpoints"

    def save(self, step: int, model: torch.nn.Module) -> Path:
        """Write the checkpoint after `step` steps. All processes call it together.

        Args:
            step: optimizer steps that were made.
            model: the prepared model.

        Raises:
            CheckpointError: on every process if one of them could not write; nothing half-written stays behind.
        """
        final = self.folder / f"step-{step:08d}"
        temporary = self.folder / f".step-{step:08d}.partial"
        on_main_process(self.accelerator, self._remove_leftovers)
        bare_model = self.accelerator.unwrap_model(model)
        state_dict = self.kind.saved_state(bare_model, self.accelerator.get_state_dict(model))
        error = on_every_process(self.accelerator, lambda: self._write(temporary, step, bare_model, state_dict))
        if error is None:
            error = on_main_process(self.accelerator, lambda: self._publish(temporary, final))
        if error is not None:
            if self.accelerator.is_main_process:
                shutil.rmtree(temporary, ignore_errors=True)
            raise CheckpointError(
                f"the checkpoint of step {step} could not be written to {self.folder}: {error}. {self.last_good()}"
            )
        return final

    def load(self, folder: Path) -> int:
        """Resume from a checkpoint; returns the number of steps that were made. The main process says what it is.

        Raises:
            CheckpointError: on every process, if it is incomplete or changed, belongs to another recipe, or the data
                has changed; the message names files, keys and samples. With `resume: force` changed files and data are
                warned about.
        """
        description = answer_of_main_process(self.accelerator, lambda: read_description(folder))
        divided_anew = self._require_same_run(folder, description)
        force = self.recipe.run.resume == FORCE
        require_unchanged(self.accelerator, folder, lambda: self._changes(folder), force)
        self._load_state(folder, force, with_random_numbers=not divided_anew)
        if divided_anew:
            set_seed(self.recipe.run.seed + description["step"], device_specific=True)
        self.kind.load_observations(description.get("observations", {}))  # earlier versions saved none
        return description["step"]

    def _load_state(self, folder: Path, force: bool, with_random_numbers: bool) -> None:
        """Load what every process has saved; all stop if one of them cannot."""

        def load() -> None:
            load_state(self.accelerator, folder / "state", force, with_random_numbers)

        error = on_every_process(self.accelerator, load, (CheckpointError,), "another process could not load its part")
        if isinstance(error, CheckpointError):
            raise error
        if error is not None:
            raise CheckpointError(f"{folder} cannot be loaded: {error}")

    def _require_same_run(self, folder: Path, description: Mapping[str, Any]) -> bool:
        """Raise a CheckpointError if a checkpoint belongs to another run; whether its steps are divided otherwise.

        The same images of a step may be divided among other numbers of processes and micro-steps.
        """
        saved, before, now = description["recipe"], description["processes"], self.accelerator.num_processes
        differing = differing_keys(saved, self.recipe)
        dividing = {key for key in differing if key.rpartition(".")[2] in (MICRO_STEPS, *BATCH_SIZES)}
        others = {key: values for key, values in differing.items() if key not in dividing}
        if before == now:
            others |= {key: differing[key] for key in dividing if other_division(saved, before, self.recipe, now)}
        if others:
            listed = "; ".join(f"{key}: {former!r} then, {value!r} now" for key, (former, value) in others.items())
            raise CheckpointError(f"{folder} belongs to another recipe. Keys that differ: {listed}")
        if before == now and not dividing:
            return False
        refused = other_division(saved, before, self.recipe, now)
        if refused:
            raise CheckpointError(
                f"{folder} was written by {before} process(es), this run has {now}, and its steps cannot be divided "
                f"otherwise: {refused}"
            )
        return True

    def to_resume(self) -> Path | None:
        """The folder that the recipe's `resume` means, `None` for a new run: the main process looks and tells.

        Raises:
            CheckpointError: on every process, if a run would mix its checkpoints with those of another.
        """
        return answer_of_main_process(self.accelerator, self._chosen)

    def _chosen(self) -> Path | None:
        resume, found = self.recipe.run.resume, newest(self.folder)
        if resume in (AUTO, FORCE):
            return found
        if resume is not None:
            chosen = Path(resume).resolve()
            if not chosen.is_dir():
                raise CheckpointError(f"{resume} is not the folder of a checkpoint; --resume {AUTO} takes the newest")
            if chosen.parent == self.folder.resolve() and found is not None and chosen.name < found.name:
                raise CheckpointError(
                    f"{chosen} is not the newest checkpoint of its run, which is {found.name}: choose another "
                    "output_dir to branch off, or remove the later ones"
                )
            return chosen
        if found is not None:
            raise CheckpointError(
                f"{self.folder} holds checkpoints already, up to {found.name}: resume with --resume auto, "
                "or choose another output_dir"
            )
        return None

    def last_good(self) -> str:
        """A sentence that says where the last good checkpoint is."""
        found = newest(self.folder)
        return "There is no earlier checkpoint." if found is None else f"The last good checkpoint is {found}."

    def _changes(self, folder: Path) -> list[str]:
        """How a checkpoint and the data differ from what they were when it was written."""
        return [*changed_files(folder, RESUMED_PARTS), *self.data.changes_since(folder)]

    def _write(self, temporary: Path, step: int, model: torch.nn.Module, state_dict: StateDict) -> None:
        with full_disk_in_words(self.folder, self._bytes_needed(state_dict)):
            self.accelerator.save_state(str(temporary / "state"))
            if not self.accelerator.is_main_process:
                return
            self.kind.save_networks(model, temporary, state_dict)
            self.data.save(temporary)
            description = {
                "step": step,
                "processes": self.accelerator.num_processes,
                "recipe": self.recipe.to_dict(),
                "observations": self.kind.observations(),
            }
            (temporary / "run.json").write_text(json.dumps(description, indent=2), encoding="utf-8")

    def _bytes_needed(self, state_dict: StateDict) -> int:
        """Bytes of a checkpoint, about: weights and two moments, the model, its encoder, and what follows it."""
        prefix = self.kind.encoder_prefix
        encoder = [tensor for name, tensor in state_dict.items() if name.startswith(prefix)]
        return (4 + len(self.kind.followers)) * tensor_bytes(state_dict) + tensor_bytes(encoder)

    def _remove_leftovers(self) -> None:
        """Remove what a killed run left half-written or half-removed."""
        for leftover in self.folder.glob(".step-*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def _publish(self, temporary: Path, final: Path) -> None:
        with full_disk_in_words(self.folder, 0):
            write_manifest(temporary)  # all processes have written
        if final.exists():  # the same step again, after a resume
            remove_folder(final)
        temporary.replace(final)
        for old in checkpoint_folders(self.folder)[: -self.recipe.run.keep_checkpoints]:
            remove_folder(old)


def copy_result(checkpoint: Path, output_dir: Path) -> None:
    """Copy the networks of the last checkpoint to where a user looks for the result of a run."""
    for source in checkpoint.iterdir():
        if source.is_dir() and source.name != "state":
            final = output_dir / source.name
            needed = sum(path.stat().st_size for path in source.rglob("*"))
            with full_disk_in_words(final, needed), replaced(final) as temporary:
                shutil.copytree(source, temporary, dirs_exist_ok=True)


def remove_folder(folder: Path) -> None:
    """Remove a checkpoint so that no half of it keeps its name if the process is killed meanwhile."""
    hidden = folder.with_name(f".{folder.name}.removed")
    shutil.rmtree(hidden, ignore_errors=True)
    folder.replace(hidden)
    shutil.rmtree(hidden, ignore_errors=True)


def checkpoint_folders(folder: Path) -> list[Path]:
    """Finished checkpoints, oldest first."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if FOLDER_NAME.match(path.name) and path.is_dir()]
    return sorted(found, key=lambda path: int(FOLDER_NAME.match(path.name)[1]))


def newest(folder: Path) -> Path | None:
    """The last finished checkpoint, `None` if there is none."""
    found = checkpoint_folders(folder)
    return found[-1] if found else None


def read_description(folder: Path) -> dict[str, Any]:
    """Step, processes and recipe of a checkpoint.

    Raises:
        CheckpointError: if the folder is not a checkpoint.
    """
    path = folder / "run.json"
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder} is not the checkpoint of a run: {error}") from error
    kinds = {"step": int, "processes": int, "recipe": dict}
    known = description if isinstance(description, dict) else {}
    wrong = [key for key, kind in kinds.items() if not isinstance(known.get(key), kind)]
    if wrong:
        raise CheckpointError(f"{path} is not the description of a checkpoint: it lacks {', '.join(wrong)}")
    return description
