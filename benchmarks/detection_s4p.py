"""Oriented detection after S4P: does semi-supervised pre-training of the backbone help a detector?

    OMP_NUM_THREADS=1 python benchmarks/detection_s4p.py --hituav DATA/hituav --seeds 0 1 2

The boxes of the 160 training images of HIT-UAV are filled to masks. For each seed:

- `s4p`: `s4p_few_labels_cpu` on 32 of these masks and the other 128 images without theirs, first supervised, then
  FixMatch with an averaged teacher.
- `pretrained`: `detection_small_cpu`, which has the same backbone, from that segmenter, with the boxes of all images.
- `random`: the same detector from random weights, as many steps.
- `random_longer`: from random weights, for the processor time of `s4p` and `pretrained`.

The averaged weights after the last step are validated, once. Runs that are complete are not repeated, stopped ones
resume. What stands behind `--` goes to examples/finetune_detection.py.
"""

from argparse import Namespace
from fractions import Fraction
from pathlib import Path

import numpy as np
from detection_runs import LABELS, print_compared, seconds_of, timed_example, train_detector
from PIL import Image, ImageDraw

from measuring import argument_parser, parse_with_options

RUNS = ("pretrained", "random", "random_longer")
REFERENCE = "random"
S4P = (
    *("s4p_few_labels_cpu", "--classes", "background", *LABELS, "--labelled-count", "32"),
    *("--image-mean", "0.5", "0.5", "0.5", "--image-std", "0.25", "0.25", "0.25"),
    *("--crop-size", "128", "--validation-split", "none", "--panel-images", "0"),
)


def folder_of(arguments: Namespace, run: str, seed: int) -> Path:
    """The folder of a run."""
    return arguments.output_dir / f"{run}-{seed}"


def write_masks(hituav: Path, folder: Path) -> None:
    """The training images with masks of their boxes: 0 for background, classes from 1; what is there already stays."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for text in sorted((hituav / "train" / "labelTxt").glob("*.txt")):
        (source,) = (hituav / "train" / "images").glob(f"{text.stem}.*")
        with Image.open(source) as image:
            mask = Image.new("L", image.size)
            image.convert("RGB").save(folder / "images" / f"{text.stem}.png")
        for line in text.read_text(encoding="utf-8").splitlines():
            words = line.split()
            if len(words) >= 9 and words[8] in LABELS:
                corners = np.array(words[:8], dtype=float).reshape(4, 2)
                ImageDraw.Draw(mask).polygon([tuple(corner) for corner in corners], fill=1 + LABELS.index(words[8]))
        mask.save(folder / "masks" / f"{text.stem}.png")


def words_of(arguments: Namespace, run: str, seed: int) -> list[str]:
    """The options of a run."""
    words = ["detection_small_cpu", f"--hituav.data-dir={arguments.hituav}", "--selection", "last"]
    words += ["--validation-steps", "0", "--weight-average-decay", "0.99", "--seed", str(seed)]
    steps = arguments.steps
    if run == "pretrained":
        words += ["--backbone", "null", "--segmenter", str(folder_of(arguments, "s4p", seed) / "segmenter")]
    if run == "random_longer":
        both = sum(seconds_of(folder_of(arguments, name, seed)) for name in ("s4p", "pretrained"))
        steps = round(steps * Fraction(both, seconds_of(folder_of(arguments, "random", seed))))
    return [*words, "--total-steps", str(steps), *arguments.options]


def main() -> None:
    """Train every run of every seed, and print scores and paired differences."""
    parser = argument_parser(__doc__)
    parser.add_argument("--hituav", type=Path, required=True, help="folder with {train,val}/images and labelTxt")
    parser.add_argument("--runs", nargs="+", choices=RUNS, default=list(RUNS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--output-dir", type=Path, default=Path("runs/detection_s4p"))
    arguments, arguments.options = parse_with_options(parser)
    masks = arguments.output_dir / "masks"
    write_masks(arguments.hituav, masks / "train")
    for seed in arguments.seeds:
        first = [*S4P, "--labelled-dir", str(masks), "--seed", str(seed)]
        timed_example("pretrain_s4p.py", first, folder_of(arguments, "s4p", seed), "segmenter")
        for run in arguments.runs:
            train_detector(words_of(arguments, run, seed), folder_of(arguments, run, seed))
    s4p = [f"{seconds_of(folder_of(arguments, 's4p', seed)) / 60:.1f}" for seed in arguments.seeds]
    print(f"s4p: {', '.join(s4p)} minutes of one core\n")
    print_compared(
        {run: [folder_of(arguments, run, seed) for seed in arguments.seeds] for run in arguments.runs}, REFERENCE
    )


if __name__ == "__main__":
    main()
