"""What a run says while it trains: to the log, to the trackers, and to the terminal."""

import math
from collections.abc import Mapping
from pathlib import Path

from tqdm import tqdm

from .run_folder import RunLog
from .setup import ReadyTraining


class Progress:
    """The log of a run and its progress bar, on the main process.

    Args:
        training: the run; entries of its log after the first step are removed.
    """

    def __init__(self, training: ReadyTraining) -> None:
        self.accelerator, self.shown = training.accelerator, training.kind.shown
        main = training.accelerator.is_main_process
        first, total = training.first_step, training.kind.total_steps
        self.log = RunLog(Path(training.kind.recipe.run.output_dir), first) if main else None
        self.bar = tqdm(initial=first, total=total, unit="step", disable=not main, leave=False)

    def say(self, line: str) -> None:
        """Write a line above the bar."""
        if self.accelerator.is_main_process:
            tqdm.write(line)

    def advance(self) -> None:
        """A step was made."""
        self.bar.update()

    def report(self, step: int, values: Mapping[str, float]) -> None:
        """Write values to trackers and log, and those that the kind shows beside the bar."""
        self.accelerator.log({name: value for name, value in values.items() if math.isfinite(value)}, step=step)
        if self.log is not None:
            self.log.write(step, values)
        found = {name: f"{values[name]:.3g}" for name in self.shown if name in values}
        if found:
            self.bar.set_postfix(found)

    def close(self) -> None:
        """Remove the bar."""
        self.bar.close()
