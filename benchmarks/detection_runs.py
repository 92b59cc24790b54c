"""What the benchmarks of detection share: runs of the example with their processor time, and the scores they leave."""

import os
import resource
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from measuring import print_head, print_row, run_example, spread
from s5_hf.training.run_folder import read_log

LABELS = ("Person", "Car", "Bicycle", "OtherVehicle")
"""Of HIT-UAV."""


def train_detector(words: Sequence[str], folder: Path) -> None:
    """Make a run of examples/finetune_detection.py, unless it is complete; its seconds are added up in a file.

    Args:
        words: its arguments, except the folder.
        folder: of the run; `folder.log` has its output, `folder.seconds` the processor time of each start.

    Raises:
        SystemExit: if it fails.
    """
    timed_example("finetune_detection.py", words, folder, "detector")


def timed_example(script: str, words: Sequence[str], folder: Path, result: str) -> None:
    """`run_example`, with the processor time of each start in `folder.seconds`."""
    print(f"{folder.name}: training; output in {folder.with_suffix('.log')}", file=sys.stderr)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        run_example(script, words, folder, result)
    finally:
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        with folder.with_suffix(".seconds").open("a", encoding="utf-8") as seconds:
            seconds.write(f"{used:.0f}\n")


def seconds_of(folder: Path) -> int:
    """Processor time of a run, over all its starts."""
    return sum(map(int, folder.with_suffix(".seconds").read_text(encoding="utf-8").split()))


def last_validation(folder: Path) -> dict[str, float]:
    """The entry of a run's log with the validation at its end."""
    return next(entry for entry in reversed(read_log(folder)) if "validation/mean/map50" in entry)


def scores_of(folder: Path, task: str = "hituav", labels: Sequence[str] = LABELS) -> dict[str, float]:
    """Average precision at IoU 0.5, percent, of that validation: the mean over classes and each class."""
    final = last_validation(folder)
    return {"mean": final[f"validation/{task}/map50"]} | {
        label: final[f"validation/{task}/ap50/{label}"] for label in labels
    }


def print_compared(folders: Mapping[str, Sequence[Path]], reference: str) -> None:
    """Print mean and standard deviation over the seeds of each run, and its differences from another, seed by seed.

    Args:
        folders: of each run, by its name, in the order of the seeds.
        reference: name of the run from which differences are taken; without it there are none.
    """
    found = {run: [scores_of(folder) for folder in of_seeds] for run, of_seeds in folders.items()}
    print_head("run", "seeds", "minutes of one core", "mean AP50, percent", *LABELS)
    for run, scores in found.items():
        minutes = [seconds_of(folder) / 60 for folder in folders[run]]
        cells = (spread([one[key] for one in scores]) for key in ("mean", *LABELS))
        print_row(run, str(len(scores)), spread(minutes), *cells)
    print(f"\n{os.cpu_count()} cores, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'not set')}\n")
    if reference in found:
        print_head(f"run minus {reference}, of each seed", "mean AP50", *LABELS)
        for run, scores in found.items():
            pairs = list(zip(scores, found[reference], strict=True))
            cells = (", ".join(f"{one[key] - other[key]:+.1f}" for one, other in pairs) for key in ("mean", *LABELS))
            print_row(run, *cells)
