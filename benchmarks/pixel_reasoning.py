"""Does a small network learn to answer questions about made-up scenes with masks, on one core and from nothing?

    python benchmarks/pixel_reasoning.py --seeds 3

For each seed it trains the recipe `reasoning_tiny_cpu` on scenes with questions, asks questions about scenes that it
has not seen, and prints gIoU, cIoU, P@0.5 and the seconds of the processor. Pictures of the validation stay in the
folder of each run. Words behind `--` are keys of the recipe.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from measuring import argument_parser, parse_with_options


def run(folder: Path, seed: int, words: list[str]) -> dict[str, float]:
    """Scores of a seed in percent, and the seconds of the processor."""
    from accelerate.state import AcceleratorState

    from s5_hf.synthetic import write_synthetic_questions
    from s5_hf.training import read_log, run_training

    data, output = folder / f"questions-{seed}", folder / f"run-{seed}"
    for split, count, first in (("train", 160, 1000 * seed + 1), ("val", 16, 1000 * seed + 900)):
        if not (data / f"{split}.csv").exists():
            write_synthetic_questions(data, count, seed=first, split=split)
    AcceleratorState._reset_state(reset_partial_state=True)
    began = time.process_time()
    keys = ["--data_dir", str(data), "--output_dir", str(output), "--seed", str(seed), "--trackers", "none"]
    run_training("reasoning", ["reasoning_tiny_cpu", *keys, "--resume", "auto", *words])
    scores = next(entry for entry in reversed(read_log(output)) if "validation/gIoU" in entry)
    named = {name: scores[f"validation/{name}"] for name in ("gIoU", "cIoU", "P@0.5")}
    return {**named, "seconds": time.process_time() - began}


def main() -> None:
    """Train every seed and print a table."""
    parser = argument_parser(__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=None, help="kept, and resumed from; a temporary one by default")
    arguments, words = parse_with_options(parser)
    with tempfile.TemporaryDirectory() as temporary:
        found = [run(arguments.folder or Path(temporary), seed, words) for seed in range(arguments.seeds)]
    print("| seed | gIoU | cIoU | P@0.5 | processor seconds |\n|---|---|---|---|---|")
    for seed, scores in enumerate(found):
        print(f"| {seed} | " + " | ".join(f"{value:.1f}" for value in scores.values()) + " |")
    means = [statistics.mean(scores[name] for scores in found) for name in found[0]]
    print("| mean | " + " | ".join(f"{value:.1f}" for value in means) + " |")


if __name__ == "__main__":
    main()
