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

import argparse
import json
import math
import shlex
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from scipy.stats import t as student
from trial_images import balanced_names, prepared

import s5_hf  # noqa: F401 - makes names and datasets known
from measuring import argument_parser, parse_with_options, print_head, print_row, spread, torch_in_words
from s5_hf.files.atomic import write_text
from s5_hf.recipes import find_recipe
from s5_hf.training import PretrainingRecipe, S4Pretraining, carry_out
from s5_hf.training.run_folder import read_log

STRONG, LONGER, ALL, START = "supervised_strong", "supervised_longer", "all_labels", "start"
BASELINES = ("supervised", STRONG, LONGER)
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


def run(
    recipe: str,
    arm: str,
    seed: int,
    folder: Path,
    options: Sequence[str],
    steps: int | None,
    method: str | None = None,
) -> Result:
    """Train one arm with one seed; `steps` in place of the recipe's, `method` where the arm's name does not say it."""
    method = method or ("supervised" if arm in (*BASELINES, ALL, START) else arm)
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


def print_scores(results: Sequence[Result], arms: Sequence[str]) -> None:
    """Print the table of the arms: mean and standard deviation over seeds."""
    by_arm = {arm: [result for result in results if result["arm"] == arm] for arm in arms}
    keys = [key for key in results[0] if "iou" in key]
    print(f"mIoU and IoU in percent, mean ± standard deviation over seeds; {torch_in_words()}\n")
    print_head("arm", *keys, "steps", "processor seconds", "mask ratio at the end", "mIoU of each seed")
    for arm, found in by_arm.items():
        scores = (spread([result[key] for result in found], 1) for key in keys)
        steps = f"{statistics.mean(result['steps'] for result in found):.0f}"
        ratio = spread([result.get("mask_ratio") for result in found], 2)
        each = ", ".join(f"{result['miou']:.1f}" for result in sorted(found, key=lambda result: result["seed"]))
        print_row(arm, *scores, steps, spread([result["seconds"] for result in found], 1), ratio, each)
    print()


def print_differences(results: Sequence[Result], pairs: Iterable[tuple[str, str]]) -> None:
    """Print the table of the differences between two arms of the same seed, with their interval."""
    print_head("difference of mIoU, points", "mean", "95 % interval", "seeds ahead", "each seed")
    for arm, baseline in pairs:
        values = differences(results, arm, baseline)
        low, high = interval(values)
        ahead = f"{sum(value > 0 for value in values)} of {len(values)}"
        each = ", ".join(f"{value:+.1f}" for value in values)
        print_row(f"{arm} - {baseline}", f"{statistics.mean(values):+.1f}", f"{low:+.1f} to {high:+.1f}", ahead, each)
    print()


def pairs_of(arms: Sequence[str]) -> list[tuple[str, str]]:
    """Each arm with each baseline among the arms; of two baselines, the more costly one first."""
    baselines = [arm for arm in (START, *BASELINES) if arm in arms]
    return [
        (arm, known) for number, known in enumerate(baselines) for arm in arms if arm not in baselines[: number + 1]
    ]


def labelled_dir(options: Sequence[str]) -> Path:
    """The folder of the labelled images that the options of a run name."""
    return Path(options[list(options).index("--labelled-dir") + 1])


@dataclass
class Trial:
    """Runs on one set of images, whose results stay on the disk.

    Attributes:
        recipe: name or file.
        output: folder of the runs and of `results.jsonl`.
        options: of every run, with `--labelled-dir`.
        labelled: images with labels that each seed draws; `None` to leave that to the recipe.
        least_share: of each class in the pixels of a draw.
        start: options of the run that the others of a seed start from; `None` for no such run.
        results: so far.
    """

    recipe: str
    output: Path
    options: Sequence[str]
    labelled: int | None = None
    least_share: float = 0.2
    start: str | None = None
    results: list[Result] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.output.mkdir(parents=True, exist_ok=True)
        lines = self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []
        self.results += [json.loads(line) for line in lines]

    @property
    def log(self) -> Path:
        """The file of the results."""
        return self.output / "results.jsonl"

    @property
    def data(self) -> Path:
        """The folder of the labelled images."""
        return labelled_dir(self.options)

    def weights(self, seed: int) -> Path:
        """Where a seed's start leaves its network."""
        return self.output / f"{START}-{seed}" / "segmenter"

    def draw(self, seed: int) -> list[str]:
        """Options that give the runs of a seed their labelled images, and the others without labels."""
        if not self.labelled:
            return []
        names = balanced_names(self.data / "train" / "masks", self.labelled, seed, self.least_share)
        write_text(self.output / f"labelled-{seed}.txt", "".join(f"{name}\n" for name in names))
        words = ["--labelled-list", str(self.output / f"labelled-{seed}.txt"), "--unlabelled-dataset", "rest"]
        return [*words, "--labelled-count", str(self.labelled)]

    def carry_out(self, arm: str, seed: int, words: Sequence[str] = (), method: str | None = None) -> None:
        """Train one arm with one seed, unless its result is known.

        Args:
            arm: its name; of the start, or of what begins with the start's weights where there is a start.
            seed: of the run.
            words: options beside those of the trial and of the draw.
            method: where the name of the arm does not say it.
        """
        if any((result["arm"], result["seed"]) == (arm, seed) for result in self.results):
            return
        begun = ["--backbone", "null", "--segmenter", str(self.weights(seed))] if self.start is not None else []
        first = shlex.split(self.start or "") if arm == START else begun
        options = [*self.options, *self.draw(seed), *first, *words]
        steps = steps_of(arm, seed, self.results)
        self.results.append(run(self.recipe, arm, seed, self.output / f"{arm}-{seed}", options, steps, method))
        with self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(self.results[-1]) + "\n")

    def carry_out_all(self, arms: Sequence[str], seed: int) -> None:
        """Train the start, if there is one, and the arms of a seed."""
        ordered = sorted(arms, key=lambda arm: arm == LONGER)  # its steps follow from the others
        for arm in ordered if self.start is None else [START, *ordered]:
            self.carry_out(arm, seed)

    def of_seeds(self, seeds: Sequence[int], arms: Sequence[str]) -> list[Result]:
        """The results of some arms and seeds."""
        return [result for result in self.results if result["arm"] in arms and result["seed"] in seeds]


def trial_parser(description: str | None, output: str) -> argparse.ArgumentParser:
    """A parser of what every trial is told."""
    parser = argument_parser(description)
    parser.add_argument("recipe", help="name of a recipe of the package, or a file")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--side", type=int, help="longest side of the images that are trained on")
    parser.add_argument("--positive", type=int, help="the mask value that is learnt, against all others")
    parser.add_argument("--mixed", type=float, default=0.0, help="leave out images with less than this of a class")
    parser.add_argument("--held-out", type=int, default=0, help="validate on so many images of train, not on val")
    parser.add_argument("--labelled", type=int, help="images with labels, drawn by the seed with --least-share")
    parser.add_argument("--least-share", type=float, default=0.2, help="of each class in their pixels")
    parser.add_argument("--output-dir", type=Path, default=Path(output))
    return parser


def read_trial(parser: argparse.ArgumentParser) -> tuple[argparse.Namespace, Trial]:
    """The arguments of a parser of `trial_parser`, and the trial that they describe, with its images prepared."""
    arguments, options = parse_with_options(parser)
    if arguments.side:
        copied = (arguments.side, arguments.positive, arguments.held_out, arguments.mixed)
        data = prepared(labelled_dir(options), arguments.output_dir / "data", *copied)
        options[options.index("--labelled-dir") + 1] = str(data)
    shared = (arguments.output_dir, options, arguments.labelled, arguments.least_share)
    return arguments, Trial(arguments.recipe, *shared, getattr(arguments, "start", None))


def main() -> None:
    parser = trial_parser(__doc__, "runs/s4p_effect")
    parser.add_argument("--methods", nargs="+", default=["supervised", "fixmatch", "unimatch_v2", LONGER, ALL])
    parser.add_argument("--start", help="options of the supervised run that the arms of a seed start from")
    arms = parse_with_options(parser)[0].methods
    if LONGER in arms and not ("supervised" in arms and set(arms) - {*BASELINES, ALL}):
        parser.error(f"{LONGER} needs supervised and a method among --methods, whose processor time it gets")
    arguments, trial = read_trial(parser)
    for seed in arguments.seeds:
        trial.carry_out_all(arms, seed)
    shown = arms if trial.start is None else [START, *arms]
    results = trial.of_seeds(arguments.seeds, shown)
    print_scores(results, shown)
    print_differences(results, pairs_of(shown))


if __name__ == "__main__":
    main()
