"""What unlabelled images bring: supervised against FixMatch against UniMatch V2, over several seeds.

    s5-hf train mae --dataset s5-image-mask --data-dir DATA --classes A B C \
        --hidden-size 128 --num-hidden-layers 8 --num-attention-heads 4 --decoder-hidden-size 64 \
        --decoder-num-hidden-layers 2 --decoder-num-attention-heads 4 --crop-size 192 --batch-size 16 \
        --total-steps 800 --warmup-steps 50 --learning-rate 1.5e-3 --num-workers 0 --output-dir runs/mae_tiny
    python benchmarks/s4p_effect.py s4p_tiny_cpu --seeds 0 1 2 -- \
        --labelled-dir DATA --classes A B C --encoder runs/mae_tiny/encoder

Every method starts from the same weights, sees the same labelled images and makes the same number of steps. What
stands behind `--` goes to examples/pretrain_s4p.py. Runs that are complete already are not repeated.
"""

import statistics
import subprocess
import sys
from pathlib import Path

from measuring import EXAMPLES, argument_parser, parse_with_options, print_head, print_row, spread
from s5_hf.training.run_folder import read_log

SCRIPT = EXAMPLES / "pretrain_s4p.py"


def final_scores(folder: Path) -> dict[str, float] | None:
    """The validation at the end of a complete run, with the last mask ratio; `None` if the run is not complete."""
    if not (folder / "segmenter").is_dir():
        return None
    entries = read_log(folder)
    ratios = [entry["mask_ratio"] for entry in entries if "mask_ratio" in entry]
    scores = next(entry for entry in reversed(entries) if "validation/miou" in entry)
    return {**scores, "mask_ratio": statistics.mean(ratios[-5:]) if ratios else float("nan")}


def run(recipe: Path, method: str, seed: int, folder: Path, options: list[str]) -> dict[str, float]:
    """The final scores of one run, made if need be."""
    if final_scores(folder) is None:
        command = [sys.executable, str(SCRIPT), str(recipe), *options, "--method", method, "--seed", str(seed)]
        subprocess.run([*command, "--output-dir", str(folder), "--resume", "auto"], check=True)
    return final_scores(folder)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--methods", nargs="+", default=["supervised", "fixmatch", "unimatch_v2"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--output-dir", type=Path, default=Path("runs/s4p_effect"))
    arguments, options = parse_with_options(parser)
    found: dict[str, list[dict[str, float]]] = {method: [] for method in arguments.methods}
    for seed in arguments.seeds:
        for method in arguments.methods:
            folder = arguments.output_dir / f"{method}-{seed}"
            found[method].append(run(arguments.recipe, method, seed, folder, options))

    classes = [key for key in found[arguments.methods[0]][0] if key.startswith("validation/iou/")]
    keys = ["validation/miou", *classes, "mask_ratio", "validation/confident_accuracy"]
    print_head("method", *(key.removeprefix("validation/") for key in keys))
    for method, scores in found.items():
        # mIoU and IoU are in percent, the others are shares.
        print_row(method, *(spread([score[key] for score in scores], 1 if "iou" in key else 3) for key in keys))
    print("\nmIoU of each seed, percent:")
    for method, scores in found.items():
        print(f"- {method}: {', '.join(format(score['validation/miou'], '.2f') for score in scores)}")


if __name__ == "__main__":
    main()
