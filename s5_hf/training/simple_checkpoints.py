"""One checkpoint of a run with a fixed set of settings, replaced each time: for runs that keep no history."""

import json
import shutil
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from .errors import CheckpointError


class SimpleCheckpoints:
    """Saves and loads what Accelerate prepared, with the step.

    Args:
        folder: of the checkpoint.
        accelerator: whose state is saved.
        settings: of the run; a checkpoint of other settings is refused.
    """

    def __init__(self, folder: Path, accelerator: Accelerator, settings: dict[str, Any]) -> None:
        self.folder, self.accelerator, self.settings = folder, accelerator, settings

    def save(self, step: int) -> None:
        """Write the state after `step` steps; the former one is there until the new one is complete."""
        temporary = self.folder.with_name(f".{self.folder.name}.partial")
        former = self.folder.with_name(f".{self.folder.name}.former")
        if self.accelerator.is_main_process:
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(former, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        self.accelerator.save_state(str(temporary))
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            described = {"step": step, "settings": self.settings}
            (temporary / "run.json").write_text(json.dumps(described), encoding="utf-8")
            if self.folder.exists():
                self.folder.replace(former)
            temporary.replace(self.folder)
            shutil.rmtree(former, ignore_errors=True)
        self.accelerator.wait_for_everyone()

    def load(self) -> int:
        """Take up the state; the number of steps that were made, 0 where there is no checkpoint.

        Raises:
            CheckpointError: if it belongs to other settings.
        """
        path = self.folder / "run.json"
        if not path.is_file():
            return 0
        described = json.loads(path.read_text(encoding="utf-8"))
        differing = [
            f"{key}: {described['settings'].get(key)!r} then, {value!r} now"
            for key, value in self.settings.items()
            if described["settings"].get(key) != value
        ]
        if differing:
            raise CheckpointError(f"{self.folder} belongs to other settings: {'; '.join(differing)}")
        self.accelerator.load_state(str(self.folder))
        return described["step"]
