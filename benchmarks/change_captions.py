"""Sentences about made-up changes: does a tiny captioner learn what appeared, and where?

    python benchmarks/change_captions.py --seeds 0 1 2

Writes pairs of images with five sentences each, trains `captioning_tiny_cpu` on them for every seed, and prints the
scores on held-out pairs, the share of sentences that name the right thing and place, and a few of them.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

from s5_hf.synthetic import write_synthetic_changes
from s5_hf.synthetic.changes import PLACES, THINGS
from s5_hf.training import read_log, run_training

PAIRS = {"train": 1500, "val": 200}


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--gate", default="none", choices=["none", "hard", "soft"], help="what the true mask does")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = write_synthetic_changes(Path(folder) / "data", PAIRS, size=64, seed=1)
        for seed in arguments.seeds:
            run = Path(folder) / f"run_{seed}"
            words = ["captioning_tiny_cpu", "--data-dir", str(data), "--seed", str(seed), "--output-dir", str(run)]
            words += ["--total-steps", str(arguments.steps), "--mask-gate", arguments.gate, "--trackers", "none"]
            began = time.process_time()
            run_training("captioning", words)
            seconds = time.process_time() - began
            report(run, seed, seconds)


def report(run: Path, seed: int, seconds: float) -> None:
    """Print the scores of a run and some of its sentences."""
    last = [row for row in read_log(run) if "validation/bleu_4" in row][-1]
    names = ("bleu_1", "bleu_4", "meteor", "rouge_l", "cider")
    scores = ", ".join(f"{name} {last[f'validation/{name}']:.2f}" for name in names)
    written = json.loads(sorted((run / "captions").glob("*.json"))[-1].read_text(encoding="utf-8"))
    right = [said(row["caption"]) == said(row["references"][0]) for row in written]
    print(
        f"seed {seed}: {scores}; thing and place right {sum(right) / len(right):.1%}; {seconds:.0f} s of a processor"
    )
    for row in written[:6]:
        print(f"  {row['caption']}   <- {row['references'][0]}")


def said(sentence: str) -> tuple[str, ...]:
    """The thing and the place that a sentence names."""
    return tuple(name for name in (*THINGS, *PLACES) if name in sentence)


if __name__ == "__main__":
    main()
