"""What unlabelled images bring, over several seeds: supervised training against semi-supervised methods, in pairs.

    python benchmarks/s4p_effect.py s4p_few_labels_cpu --side 100 --positive 4 --labelled 2 \
        --seeds 0 1 2 3 4 5 6 7 8 9 10 11 -- --labelled-dir DATA --classes land water

For each seed all arms have the same labelled images, the same weights at the start, and as many labelled images in a
step. The arms are methods, and three of supervised training:

- `supervised_strong`: the colours of the labelled images are changed as in the strong views of the methods
- `supervised_longer`: it makes more steps, so that it has the processor time of the slowest method of the same seed
- `all_labels`: it has the labels of all images: what could be gained at most

With --start all arms of a seed start from the last weights of one supervised run, which is made first: the recipe with
these options, in one string, in place of those behind `--`. Its time is part of none of them.

What stands behind `--` goes to examples/pretrain_s4p.py, of every arm and of the start. Runs that are complete already
are not repeated; each is a line of `results.jsonl`. With --side the images that are trained on are copies, reduced to
this side; with --mixed they are those that show every class; with --held-out they are validated on a part of train, to
choose settings without a look at val.
"""

import json
import math
import random
import shlex
import statistics
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy.stats import t as student

import s5_hf  # noqa: F401 - makes names and datasets known
from measuring import argument_parser, parse_with_options, print_head, print_row, spread, torch_in_words
from s5_hf.files.atomic import atomic_folder, write_text
from s5_hf.recipes import find_recipe
from s5_hf.training import PretrainingRecipe, S4Pretraining, carry_out
from s5_hf.training.pretraining.labelled_choice import balanced_choice
from s5_hf.training.run_folder import read_log

STRONG, LONGER, ALL, START = "supervised_strong", "supervised_longer", "all_labels", "start"
BASELINES = ("supervised", STRONG, LONGER)
FILTERS = {"images": Image.Resampling.BOX, "masks": Image.Resampling.NEAREST}
Result = dict[str, Any]


class TimedPretraining(S4Pretraining):
    """A run that notes the processor time at the end of each step."""

    def __init__(self, recipe: PretrainingRecipe) -> None:
        super().__init__(recipe)
        self.moments: list[float] = []

    def after_step(self, model: torch.nn.Module, step: int) -> None:
        """Read the clock, too."""
        super().after_step(model, step)
        self.moments.append(time.process_time())

    @property
    def seconds(self) -> float:
        """Processor time of all steps, without what comes before and after them; from some of them after a resume.

        NaN where fewer than two steps were left to make.
        """
        if len(self.moments) < 2:
            return math.nan
        return (self.moments[-1] - self.moments[0]) / (len(self.moments) - 1) * self.total_steps


def prepared(source: Path, target: Path, side: int, positive: int | None, held_out: int, mixed: float = 0.0) -> Path:
    """A copy of SPLIT/images and SPLIT/masks to train on; made once.

    Args:
        source: folder with the splits train and val.
        target: of the copy.
        side: no image of the copy is longer.
        positive: masks of the copy are 1 where they had this value and 0 elsewhere; `None` to keep them.
        held_out: so many images of train, drawn at random, are the copy's val; 0 for val itself.
        mixed: images in which a class has less than this share of the pixels, 0 to 1, are left out.
    """
    if target.exists():
        return target
    splits = {split: sorted((source / split / "images").iterdir()) for split in ("train", "val")}
    if held_out:
        left = set(random.Random(0).sample(splits["train"], held_out))
        splits = {"train": [path for path in splits["train"] if path not in left], "val": sorted(left)}
    with atomic_folder(target) as folder:
        for split, path in ((split, path) for split, paths in splits.items() for path in paths):
            mask = reduced(path.parents[1] / "masks" / f"{path.stem}.png", side, FILTERS["masks"])
            if positive is not None:
                mask = mask.point(lambda value: int(value == positive))
            if mixed and min(np.bincount(np.asarray(mask).ravel(), minlength=2)) < mixed * mask.width * mask.height:
                continue
            for kind, picture in (("masks", mask), ("images", reduced(path, side, FILTERS["images"]))):
                copy = folder / split / kind / f"{path.stem}.png"
                copy.parent.mkdir(parents=True, exist_ok=True)
                picture.save(copy)
    return target


def reduced(path: Path, side: int, filter_: Image.Resampling) -> Image.Image:
    """An image whose longest side is at most `side`."""
    with Image.open(path) as picture:
        factor = min(1.0, side / max(picture.size))
        return picture.resize([max(1, round(length * factor)) for length in picture.size], filter_)


def mask_of(path: Path) -> np.ndarray:
    """The values of a mask, `(height, width)`."""
    with Image.open(path) as mask:
        return np.asarray(mask)


def balanced_names(masks: Path, count: int, seed: int, share: float) -> list[str]:
    """Names of `count` images drawn by the seed, again and again until each class has the share of their pixels.

    Args:
        masks: folder of the masks that are drawn from.
        count: of the images.
        seed: of the draws.
        share: least one of every class, 0 to 1.

    Raises:
        ValueError: if none of 10,000 draws has it.
    """
    paths = sorted(masks.iterdir())
    pixels = [np.bincount(mask_of(path).ravel()) for path in paths]
    classes = max(len(counts) for counts in pixels)
    table = np.array([np.pad(counts, (0, classes - len(counts))) for counts in pixels])
    chosen = balanced_choice(table, count, seed, share, [f"class {number}" for number in range(classes)])
    return [paths[place].stem for place in chosen]


def run(recipe: str, arm: str, seed: int, folder: Path, options: Sequence[str], steps: int | None) -> Result:
    """Train one arm with one seed; `steps` in place of the recipe's."""
    method = "supervised" if arm in (*BASELINES, ALL, START) else arm
    words = [
        str(find_recipe(recipe, "s4p")),
        *options,
        "--method",
        method,
        "--seed",
        str(seed),
        "--output-dir",
        str(folder),
    ]
    words += ["--resume", "auto"]
    words += (
        ["--labelled-count", "null", "--labelled-list", "null", "--unlabelled-dataset", "null"] if arm == ALL else []
    )
    words += ["--strong-labelled-views", "true"] if arm == STRONG else []
    words += ["--total-steps", str(steps)] if steps else []
    kind = TimedPretraining(PretrainingRecipe.read(words))
    carry_out(kind)
    entries = read_log(folder)
    scores = next(entry for entry in reversed(entries) if "validation/miou" in entry)
    ratios = [entry["mask_ratio"] for entry in entries if "mask_ratio" in entry]
    health = {"mask_ratio": statistics.mean(ratios[-5:])} if ratios else {}
    iou = {key.removeprefix("validation/"): value for key, value in scores.items() if "iou" in key}
    return {"arm": arm, "seed": seed, "steps": kind.total_steps, "seconds": round(kind.seconds, 2), **iou, **health}


def steps_of(arm: str, seed: int, results: Iterable[Result]) -> int | None:
    """Steps of an arm where they are not the recipe's: those that the slowest method's time allows."""
    if arm != LONGER:
        return None
    of_seed = {result["arm"]: result for result in results if result["seed"] == seed}
    baseline = of_seed["supervised"]
    slowest = max(result["seconds"] for name, result in of_seed.items() if name not in (*BASELINES, ALL, START))
    return round(baseline["steps"] * slowest / baseline["seconds"])


def differences(results: Sequence[Result], arm: str, baseline: str) -> list[float]:
    """mIoU of an arm minus that of a baseline, for each seed that both have."""
    scores = {(result["arm"], result["seed"]): result["miou"] for result in results}
    seeds = sorted({result["seed"] for result in results})
    return [
        scores[arm, seed] - scores[baseline, seed]
        for seed in seeds
        if (arm, seed) in scores and (baseline, seed) in scores
    ]


def interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Confidence interval of the mean of a sample, by Student's t."""
    if len(values) < 2:
        return math.nan, math.nan
    half = student.ppf((1 + level) / 2, len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5
    return statistics.mean(values) - half, statistics.mean(values) + half


def report(results: Sequence[Result], arms: Sequence[str]) -> None:
    """Print the tables."""
    by_arm = {arm: [result for result in results if result["arm"] == arm] for arm in arms}
    keys = [key for key in results[0] if "iou" in key]
    print(f"mIoU and IoU in percent, mean ± standard deviation over seeds; {torch_in_words()}\n")
    print_head("arm", *keys, "steps", "processor seconds", "mask ratio at the end")
    for arm, found in by_arm.items():
        scores = (spread([result[key] for result in found], 1) for key in keys)
        steps = f"{statistics.mean(result['steps'] for result in found):.0f}"
        ratio = spread([result.get("mask_ratio") for result in found], 2)
        print_row(arm, *scores, steps, spread([result["seconds"] for result in found], 1), ratio)
    print()
    print_head("difference of mIoU, points", "mean", "95 % interval", "seeds ahead", "each seed")
    baselines = [arm for arm in (START, *BASELINES) if arm in arms]
    pairs = [
        (arm, known) for number, known in enumerate(baselines) for arm in arms if arm not in baselines[: number + 1]
    ]
    for arm, baseline in pairs:
        values = differences(results, arm, baseline)
        low, high = interval(values)
        ahead = f"{sum(value > 0 for value in values)} of {len(values)}"
        each = ", ".join(f"{value:+.1f}" for value in values)
        print_row(f"{arm} - {baseline}", f"{statistics.mean(values):+.1f}", f"{low:+.1f} to {high:+.1f}", ahead, each)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("recipe", help="name of a recipe of the package, or a file")
    parser.add_argument("--methods", nargs="+", default=["supervised", "fixmatch", "unimatch_v2", LONGER, ALL])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--side", type=int, help="longest side of the images that are trained on")
    parser.add_argument("--positive", type=int, help="the mask value that is learnt, against all others")
    parser.add_argument("--mixed", type=float, default=0.0, help="leave out images with less than this of a class")
    parser.add_argument("--start", help="options of the supervised run that the arms of a seed start from")
    parser.add_argument("--held-out", type=int, default=0, help="validate on so many images of train, not on val")
    parser.add_argument("--labelled", type=int, help="images with labels, drawn by the seed with --least-share")
    parser.add_argument("--least-share", type=float, default=0.2, help="of each class in their pixels")
    parser.add_argument("--output-dir", type=Path, default=Path("runs/s4p_effect"))
    arguments, options = parse_with_options(parser)
    arms = arguments.methods
    if LONGER in arms and not ("supervised" in arms and set(arms) - {*BASELINES, ALL}):
        parser.error(f"{LONGER} needs supervised and a method among --methods, whose processor time it gets")
    output, log = arguments.output_dir, arguments.output_dir / "results.jsonl"
    if arguments.side:
        place = options.index("--labelled-dir") + 1
        source = Path(options[place])
        copied = (arguments.side, arguments.positive, arguments.held_out, arguments.mixed)
        options[place] = str(prepared(source, output / "data", *copied))
    output.mkdir(parents=True, exist_ok=True)
    results = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []
    for seed in arguments.seeds:
        words = [*options]
        if arguments.labelled:
            masks = Path(options[options.index("--labelled-dir") + 1]) / "train" / "masks"
            names = balanced_names(masks, arguments.labelled, seed, arguments.least_share)
            write_text(output / f"labelled-{seed}.txt", "".join(f"{name}\n" for name in names))
            words += ["--labelled-list", str(output / f"labelled-{seed}.txt"), "--unlabelled-dataset", "rest"]
            words += ["--labelled-count", str(arguments.labelled)]
        weights = output / f"{START}-{seed}" / "segmenter"
        start = ["--backbone", "null", "--segmenter", str(weights)] if arguments.start else []
        ordered = sorted(arms, key=lambda arm: arm == LONGER)  # its steps follow from the others
        for arm in [START, *ordered] if start else ordered:
            if any((result["arm"], result["seed"]) == (arm, seed) for result in results):
                continue
            first = shlex.split(arguments.start) if arm == START else start
            steps = steps_of(arm, seed, results)
            results.append(run(arguments.recipe, arm, seed, output / f"{arm}-{seed}", [*words, *first], steps))
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(results[-1]) + "\n")
    shown = [START, *arms] if arguments.start else arms
    report([result for result in results if result["arm"] in shown and result["seed"] in arguments.seeds], shown)


if __name__ == "__main__":
    main()
