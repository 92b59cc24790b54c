"""Oriented detection on real thermal images: one detector, and one mixture of experts with a second dataset.

    python benchmarks/detection.py --hituav DATA/hituav            # about half an hour on 2 cores
    python benchmarks/detection.py --hituav DATA/hituav -- --total-steps 2000

Trains `detection_tiny_cpu` from random weights: SDF on HIT-UAV (thermal images from a drone,
160 for training, 48 for validation), then MoE-MDF with synthetic aerial scenes (houses and cars, s5_hf.synthetic) as
the second task, with as many steps and the same images of HIT-UAV in the same order. The weights after the last step
are validated: none are chosen. What stands behind `--` goes to examples/finetune_detection.py. Runs that are complete
are not repeated, stopped ones resume.
"""

import os
import sys
from pathlib import Path

from measuring import argument_parser, parse_with_options, print_head, run_example
from s5_hf.modeling import S5ForOrientedObjectDetection
from s5_hf.synthetic import BOX_LABELS, write_synthetic_dataset
from s5_hf.training.run_folder import read_log

RECIPE = "detection_tiny_cpu"
SCENE_SIDE = 256
SCENES = {"train": (160, 0), "val": (32, 1)}
"""Number and seed of the synthetic scenes of a split."""


def write_scenes(folder: Path) -> None:
    """The second dataset; what is there already stays."""
    for split, (count, seed) in SCENES.items():
        folder.mkdir(parents=True, exist_ok=True)
        write_synthetic_dataset(folder / split, count, SCENE_SIDE, seed)


def row(folder: Path) -> str:
    """One line of the table: the validation at the end of a run."""
    entries = read_log(folder)
    final = next(entry for entry in reversed(entries) if "validation/mean/map50" in entry)
    seconds = [entry["seconds_per_step"] for entry in entries if "seconds_per_step" in entry]
    model = S5ForOrientedObjectDetection.from_pretrained(folder / "detector")
    cells = [folder.name, f"{model.num_parameters() / 1e6:.2f} M", str(final["step"])]
    cells.append(f"{sum(seconds) / len(seconds) * final['step'] / 60:.1f}")
    for task, labels in model.config.tasks.items():
        values = [f"**{final[f'validation/{task}/map50']:.1f}**"]
        for label in labels:
            objects = final[f"validation/{task}/objects/{label}"]
            values.append(f"{label} {final[f'validation/{task}/ap50/{label}']:.1f} ({objects:.0f})")
        cells.append(f"{task} {', '.join(values)}")
    return f"| {' | '.join([*cells, ''][:6])} |"


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--hituav", required=True, help="folder with {train,val}/images and labelTxt")
    parser.add_argument("--runs", nargs="+", choices=["sdf", "moe"], default=["sdf", "moe"])
    parser.add_argument("--output-dir", type=Path, default=Path("runs/detection_benchmark"))
    arguments, options = parse_with_options(parser)

    folders = []
    for mode in arguments.runs:
        names, second = ["hituav"], []
        if mode == "moe":
            scenes = arguments.output_dir / "scenes"
            write_scenes(scenes)
            names.append("scenes")
            # Cars of 9 px are enlarged to 18; two scenes a step, so that a run takes minutes.
            second = [
                *(f"--scenes.data-dir={scenes}", "--scenes.classes", *BOX_LABELS),
                *("--scenes.image-scale", "2", "--scenes.batch-size", "2"),
            ]
        folders.append(arguments.output_dir / mode)
        chosen = ["--mode", mode, "--datasets", *names, f"--hituav.data-dir={arguments.hituav}", *second]
        last = ("--selection", "last", "--validation-steps", "0")
        print(f"{mode}: training; output in {folders[-1].with_suffix('.log')}", file=sys.stderr)
        run_example("finetune_detection.py", [str(RECIPE), *last, *chosen, *options], folders[-1], "detector")
    print_head("run", "parameters", "steps", "minutes of training", "AP50, percent (objects)", "second task")
    print(*(row(folder) for folder in folders), sep="\n")
    print(f"\n{os.cpu_count()} cores, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'not set')}")


if __name__ == "__main__":
    main()
