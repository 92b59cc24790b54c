"""One checkpoint of a run with a fixed set of settings, replaced each time: for runs that keep no history."""

import json
import shutil
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from ...files.disk_space import full_disk_in_words
from ..errors import CheckpointError
from ..every_process import on_every_process, on_main_process
from .data_listing import DataListing
from .folder_swap import clear_leftovers, partial, recover, swap_in
from .manifest import changed_files, write_manifest
from .resumption import AUTO, FORCE, load_state, require_unchanged


class SimpleCheckpoints:
    """Saves and loads what Accelerate prepared, with the step.

    Args:
        folder: of the checkpoint.
        accelerator: whose state is saved.
        settings: of the run; a checkpoint of other settings is refused.
        data: what the run learns from; a checkpoint of a run on other data is refused.
    """

    def __init__(self, folder: Path, accelerator: Accelerator, settings: dict[str, Any], data: DataListing) -> None:
        self.folder, self.accelerator, self.settings, self.data = folder, accelerator, settings, data

    def save(self, step: int, needed: int) -> None:
        """Write the state after `step` steps; the former one is there until the new one is complete.

        Args:
            step: optimizer steps that were made.
            needed: bytes that the state takes, about.

        Raises:
            CheckpointError: on every process if one could not write; the former checkpoint stays.
        """
        temporary = partial(self.folder)
        on_main_process(self.accelerator, lambda: clear_leftovers(self.folder))
        error = on_every_process(self.accelerator, lambda: self._write(temporary, step, needed))
        if error is None:
            error = on_main_process(self.accelerator, lambda: self._publish(temporary))
        if error is not None:
            if self.accelerator.is_main_process:
                shutil.rmtree(temporary, ignore_errors=True)
            raise CheckpointError(f"the checkpoint of step {step} could not be written to {self.folder}: {error}")

    def to_resume(self, resume: str | None) -> Path | None:
        """The folder that `resume` means, `None` for a new run.

        Args:
            resume: `auto` or `force` for the run's own checkpoint if there is one, the folder of one, or `None`.

        Raises:
            CheckpointError: if there is no such checkpoint, or a new run would replace one.
        """
        on_main_process(self.accelerator, lambda: recover(self.folder) and None)
        own = self.folder if self.folder.exists() else None
        if resume in (AUTO, FORCE):
            return own
        if resume is not None:
            if not Path(resume).is_dir():
                raise CheckpointError(f"{resume} is no folder of a checkpoint; --resume {AUTO} takes that of the run")
            return Path(resume)
        if own is not None:
            raise CheckpointError(
                f"{own} is the checkpoint of a run: go on with --resume {AUTO}, or choose another output_dir"
            )
        return None

    def load(self, folder: Path, force: bool = False) -> int:
        """Take up the state of a folder; returns the number of steps that were made.

        Args:
            folder: of a checkpoint.
            force: warn where files or data have changed, in place of an error.

        Raises:
            CheckpointError: if it belongs to other settings, or files or data have changed; the message names them.
        """
        described = read_description(folder)
        differing = [
            f"{key}: {described['settings'].get(key)!r} then, {value!r} now"
            for key, value in self.settings.items()
            if described["settings"].get(key) != value
        ]
        if differing:
            raise CheckpointError(f"{folder} belongs to other settings: {'; '.join(differing)}")
        require_unchanged(self.accelerator, folder, lambda: self._changes(folder), force)
        load_state(self.accelerator, folder, force)
        return described["step"]

    def _changes(self, folder: Path) -> list[str]:
        """How a checkpoint and the data differ from what they were when it was written."""
        return [*changed_files(folder), *self.data.changes_since(folder)]

    def _write(self, temporary: Path, step: int, needed: int) -> None:
        with full_disk_in_words(self.folder, needed):
            self.accelerator.save_state(str(temporary))
            if self.accelerator.is_main_process:
                self.data.save(temporary)
                described = {"step": step, "settings": self.settings}
                (temporary / "run.json").write_text(json.dumps(described), encoding="utf-8")

    def _publish(self, temporary: Path) -> None:
        with full_disk_in_words(self.folder, 0):
            write_manifest(temporary)  # all processes have written
        swap_in(self.folder)


def read_description(folder: Path) -> dict[str, Any]:
    """Step and settings of a checkpoint.

    Raises:
        CheckpointError: naming the file, if it holds none.
    """
    path = folder / "run.json"
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder} is no checkpoint of a run: {error}") from error
    known = described if isinstance(described, dict) else {}
    if not isinstance(known.get("step"), int) or not isinstance(known.get("settings"), dict):
        raise CheckpointError(f"{path} is not the description of a checkpoint: it lacks step or settings")
    return described
