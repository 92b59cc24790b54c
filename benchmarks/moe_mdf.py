"""One model for two datasets against one model for each: SDF, MDF and MoE-MDF at equal steps per dataset.

    python benchmarks/moe_mdf.py --citymaps DATA/citymaps --massroads DATA/massroads       # about ten minutes, 2 cores
    python benchmarks/moe_mdf.py --citymaps ... --massroads ... --start plain              # from random weights
    python benchmarks/moe_mdf.py --citymaps ... --massroads ... --steps 1200 -- --crop-size 192

A tiny network is pre-trained once (S4P, s4p_tiny_cpu, on the first dataset); then every
contestant starts from those weights with moe_mdf_tiny_cpu, sees the same images of each dataset
in the same order, makes the same number of steps, and the weights after the last step are validated: none are chosen.
What stands behind `--` goes to examples/finetune_segmentation.py. Runs that are complete are not repeated, stopped
ones resume.
"""

import argparse
import os
import statistics
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm
from transformers.utils.logging import disable_progress_bar

from measuring import argument_parser, parse_with_options, print_head, print_row, run_example, spread
from s5_hf.modeling import S5ForSemanticSegmentation
from s5_hf.training.run_folder import read_log

DATASETS = ("citymaps", "massroads")
CITY_CLASSES = ("other", "building", "road", "park", "water")


@dataclass(frozen=True)
class Run:
    """One training run: a mode, its datasets, a seed."""

    mode: str
    datasets: tuple[str, ...]
    seed: int

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.mode}-{'-'.join(self.datasets)}-{self.seed}"


CONTESTANTS = {
    "SDF, two models": [("sdf", ("citymaps",)), ("sdf", ("massroads",))],
    "MDF": [("mdf", DATASETS)],
    "MoE-MDF": [("moe", DATASETS)],
}


def finetune(run: Run, arguments: argparse.Namespace, options: list[str], start: list[str], threads: int) -> None:
    """Make one of the compared runs."""
    folders = [f"--{name}.data_dir={getattr(arguments, name)}" for name in run.datasets]
    words = [
        *("moe_mdf_tiny_cpu", "--mode", run.mode, "--datasets", *run.datasets),
        *(*folders, *start, "--seed", str(run.seed), "--total-steps", str(arguments.steps), "--selection", "last"),
        *("--validation-steps", "0", "--trackers", "none", "--keep-checkpoints", "1", *options),
    ]
    run_example("finetune_segmentation.py", words, arguments.output_dir / run.name, "segmenter", threads)


def pretrain(arguments: argparse.Namespace) -> list[str]:
    """Make the weights that all start from; what names them on the command line."""
    if arguments.start == "plain":
        return []
    if arguments.start != "s4p":
        return ["--segmenter", arguments.start]
    folder = arguments.output_dir / "s4p"
    words = [
        *("s4p_tiny_cpu", "--labelled-dir", arguments.citymaps),
        *("--classes", *CITY_CLASSES, "--trackers", "none", "--validation-count", "4", "--keep-checkpoints", "1"),
    ]
    run_example("pretrain_s4p.py", words, folder, "segmenter", os.cpu_count() or 1)
    return ["--segmenter", str(folder / "segmenter")]


def scores(folder: Path) -> dict[str, float]:
    """The validation at the end of a run."""
    return next(entry for entry in reversed(read_log(folder)) if "validation/mean/miou" in entry)


def parameters(folder: Path) -> int:
    """Of the model that a run has left."""
    return S5ForSemanticSegmentation.from_pretrained(folder / "segmenter").num_parameters()


def print_table(arguments: argparse.Namespace) -> None:
    """One row per contestant, mean ± standard deviation over the seeds."""
    keys = ["citymaps/miou", "massroads/miou", "mean/miou", *(f"citymaps/iou/{name}" for name in CITY_CLASSES)]
    keys.append("massroads/iou/road")
    print_head("model", "parameters", *(key.replace("/iou/", " ") for key in keys))
    lines = []
    for contestant, parts in CONTESTANTS.items():
        found, count = [], 0
        for seed in arguments.seeds:
            folders = [arguments.output_dir / Run(mode, names, seed).name for mode, names in parts]
            merged = {name: value for folder in folders for name, value in scores(folder).items()}
            merged["validation/mean/miou"] = statistics.mean(merged[f"validation/{name}/miou"] for name in DATASETS)
            found.append(merged)
            count = sum(parameters(folder) for folder in folders)
        cells = [spread([entry[f"validation/{key}"] for entry in found]) for key in keys]
        print_row(contestant, f"{count / 1e6:.3f} M", *cells)
        by_seed = ", ".join(format(entry["validation/mean/miou"], ".2f") for entry in found)
        lines.append(f"- {contestant}: {by_seed}")
    print("\nmean mIoU of each seed, percent:", *lines, sep="\n")


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--citymaps", required=True, help="folder of the first dataset, five classes")
    parser.add_argument("--massroads", required=True, help="folder of the second dataset, two classes, 255 ignored")
    parser.add_argument("--start", default="s4p", help="s4p (made here), plain, or the folder of a dense segmenter")
    parser.add_argument("--steps", type=int, default=240, help="of every run")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs at a time, each with its threads")
    parser.add_argument("--output-dir", type=Path, default=Path("runs/moe_mdf"))
    arguments, options = parse_with_options(parser)

    disable_progress_bar()
    start = pretrain(arguments)
    parts = [part for parts in CONTESTANTS.values() for part in parts]
    runs = [Run(mode, names, seed) for seed in arguments.seeds for mode, names in parts]
    threads = max(1, (os.cpu_count() or 1) // arguments.jobs)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        jobs = [pool.submit(finetune, run, arguments, options, start, threads) for run in runs]
        for job in tqdm(jobs, "runs", disable=None):
            job.result()
    print_table(arguments)


if __name__ == "__main__":
    main()
