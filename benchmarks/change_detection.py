"""What unlabelled pairs bring to change detection: supervised training against FixMatch and UniMatch V2, in pairs.

    python benchmarks/change_detection.py DATA --labelled 4 --seeds 0 1 2

DATA holds {train,val}/{images,masks} with images of one date and masks of buildings; roof_pairs.py makes pairs of it,
with roofs of other images pasted in, another light and season, and a small shift. For each seed all arms have the
same labelled pairs, weights at the start, number of steps and labelled crops in a step:

- `supervised`: the labelled pairs alone
- `fixmatch`: with an averaged teacher, and the other pairs without labels
- `unimatch_v2`: the same with two strong views and channel dropout
- `all_labels`: supervised, with the labels of all pairs: what could be gained at most

What stands behind `--` goes to the training of every arm. Runs that are complete already are not repeated; each is a
line of `results.jsonl`.
"""

import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from roof_pairs import make_pairs
from s4p_effect import Result, differences, interval

import s5_hf  # noqa: F401 - makes names and datasets known
from measuring import argument_parser, parse_with_options, print_head, print_row, spread, torch_in_words
from s5_hf.files.atomic import write_text
from s5_hf.recipes import find_recipe
from s5_hf.training import ChangeDetection, ChangeRecipe, carry_out
from s5_hf.training.pretraining.labelled_choice import random_choice
from s5_hf.training.run_folder import read_log

ALL = "all_labels"
SCORES = ("change_iou", "change_f1")


def run(recipe: str, arm: str, seed: int, folder: Path, options: Sequence[str]) -> Result:
    """Train one arm with one seed."""
    method = "supervised" if arm == ALL else arm
    words = [str(find_recipe(recipe, "change")), *options, "--method", method, "--seed", str(seed)]
    words += ["--output-dir", str(folder), "--resume", "auto"]
    if arm == ALL:
        words += ["--labelled-count", "null", "--labelled-list", "null", "--unlabelled-dataset", "null"]
    if method == "supervised":
        words += ["--unlabelled-from-step", "null", "--supervised-schedule", "null"]
    kind = ChangeDetection(ChangeRecipe.read(words))
    began = time.process_time()
    carry_out(kind)
    seconds = round(time.process_time() - began, 1)
    entry = next(entry for entry in reversed(read_log(folder)) if "validation/change_iou" in entry)
    scores = {name: entry[f"validation/{name}"] for name in SCORES}
    return {
        "arm": arm,
        "seed": seed,
        "steps": kind.total_steps,
        "seconds": seconds,
        "miou": scores[SCORES[0]],
        **scores,
    }


def report(results: Sequence[Result], arms: Sequence[str]) -> None:
    """Print the tables."""
    print(f"IoU and F1 of changed pixels in percent, mean ± standard deviation over seeds; {torch_in_words()}\n")
    print_head("arm", *SCORES, "steps", "processor seconds", "IoU of each seed")
    for arm in arms:
        found = [result for result in results if result["arm"] == arm]
        scores = (spread([result[key] for result in found], 1) for key in SCORES)
        each = ", ".join(f"{result['change_iou']:.1f}" for result in found)
        print_row(arm, *scores, str(found[0]["steps"]), spread([result["seconds"] for result in found], 0), each)
    print()
    print_head("difference of IoU, points", "mean", "95 % interval", "each seed")
    for arm in arms:
        values = differences(results, arm, "supervised")
        if arm != "supervised" and values:
            low, high = interval(values)
            each = ", ".join(f"{value:+.1f}" for value in values)
            print_row(f"{arm} - supervised", f"{statistics.mean(values):+.1f}", f"{low:+.1f} to {high:+.1f}", each)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("data", type=Path, help="folder with {train,val}/{images,masks}")
    parser.add_argument("--recipe", default="change_few_labels_cpu", help="name of a recipe of the package, or a file")
    parser.add_argument("--methods", nargs="+", default=["supervised", "fixmatch", "unimatch_v2", ALL])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--labelled", type=int, default=4, help="labelled pairs")
    parser.add_argument("--building", type=int, default=1, help="value of buildings in the masks")
    parser.add_argument("--limit", type=int, help="at most so many pairs of a split")
    parser.add_argument("--output-dir", type=Path, default=Path("runs/change_detection"))
    arguments, options = parse_with_options(parser)
    torch.set_num_threads(1)
    output, log = arguments.output_dir, arguments.output_dir / "results.jsonl"
    output.mkdir(parents=True, exist_ok=True)
    pairs = make_pairs(arguments.data, output / "pairs", arguments.building, arguments.limit)
    results = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []
    names = sorted(path.stem for path in (pairs / "train" / "mask").iterdir())
    for seed in arguments.seeds:
        chosen = [names[place] for place in random_choice(len(names), arguments.labelled, seed)]
        write_text(output / f"labelled-{seed}.txt", "".join(f"{name}\n" for name in chosen))
        words = [*options, "--labelled-dir", str(pairs), "--labelled-list", str(output / f"labelled-{seed}.txt")]
        words += ["--labelled-count", str(arguments.labelled)]
        for arm in arguments.methods:
            if any((result["arm"], result["seed"]) == (arm, seed) for result in results):
                continue
            results.append(run(arguments.recipe, arm, seed, output / f"{arm}-{seed}", words))
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(results[-1]) + "\n")
    report([result for result in results if result["seed"] in arguments.seeds], arguments.methods)


if __name__ == "__main__":
    main()
