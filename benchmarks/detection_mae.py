"""Oriented detection with a small ViT: does masked autoencoding on the images of the training help it?

    OMP_NUM_THREADS=1 python benchmarks/detection_mae.py --hituav DATA/hituav --seeds 0 1 2

The encoder learns from the 160 training images of HIT-UAV without their labels (`mae_tiny_cpu`), once for all seeds.
The detector is that of `detection_pretrained_cpu` with a ViT, on images enlarged
twice, so that objects span more than a patch. For each seed:

- `masked`: from that encoder.
- `random`: the same network from random weights, as many steps.
- `random_longer`: from random weights, for the processor time of `masked` with its masked autoencoding.

The averaged weights after the last step are validated, once. Runs that are complete are not repeated, stopped ones
resume. What stands behind `--` goes to examples/finetune_detection.py.
"""

from argparse import Namespace
from fractions import Fraction
from pathlib import Path

from detection_runs import print_compared, seconds_of, timed_example, train_detector

from measuring import argument_parser, parse_with_options

NETWORK = {"hidden_size": 128, "num_hidden_layers": 6, "num_attention_heads": 4}
ENLARGED = ("--image-scale", "2", "--image-size", "256")
VALUES = ("--image-mean", "0.5", "0.5", "0.5", "--image-std", "0.25", "0.25", "0.25")
RUNS = ("masked", "random", "random_longer")
REFERENCE = "masked"


def folder_of(arguments: Namespace, run: str, seed: int) -> Path:
    """The folder of a run."""
    return arguments.output_dir / f"{run}-{seed}"


def train_encoder(arguments: Namespace, folder: Path) -> None:
    """Masked autoencoding on the training images."""
    words = ["mae_tiny_cpu", "--dataset", "s5-images", "--data-dir", str(arguments.hituav / "train" / "images")]
    for name, value in NETWORK.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    # Most patches of a thermal image are noise around a mean: normalised, they cannot be filled in.
    words += ["--normalized-targets", "false", "--crop-size", "160", "--scale-range", "1.5", "2.5", *VALUES]
    words += ["--total-steps", str(arguments.mae_steps), "--trackers", "none"]
    timed_example("pretrain_mae.py", words, folder, "encoder")


def words_of(arguments: Namespace, encoder: Path, run: str, seed: int) -> list[str]:
    """The options of a run."""
    words = [
        "detection_pretrained_cpu",
        f"--hituav.data-dir={arguments.hituav}",
        "--selection",
        "last",
        *VALUES,
        *ENLARGED,
    ]
    words += ["--validation-steps", "0", "--weight-average-decay", "0.99", "--layer-decay", "1", "--seed", str(seed)]
    steps = arguments.steps
    if run == REFERENCE:
        words += ["--encoder", str(encoder)]
    else:
        words += ["--encoder", "none", "--backbone", "s5_vit", *(f"{name}:{value}" for name, value in NETWORK.items())]
    if run == "random_longer":
        both = seconds_of(folder_of(arguments, REFERENCE, seed)) + seconds_of(encoder.parent)
        steps = round(steps * Fraction(both, seconds_of(folder_of(arguments, "random", seed))))
    return [*words, "--drop-path-rate", "0", "--total-steps", str(steps), *arguments.options]


def main() -> None:
    """Train the encoder and every run, and print scores and paired differences."""
    parser = argument_parser(__doc__)
    parser.add_argument("--hituav", type=Path, required=True, help="folder with {train,val}/images and labelTxt")
    parser.add_argument("--runs", nargs="+", choices=RUNS, default=list(RUNS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--mae-steps", type=int, default=600)
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--output-dir", type=Path, default=Path("runs/detection_mae"))
    arguments, arguments.options = parse_with_options(parser)
    mae = arguments.output_dir / "mae"
    train_encoder(arguments, mae)
    for seed in arguments.seeds:
        for run in arguments.runs:
            train_detector(words_of(arguments, mae / "encoder", run, seed), folder_of(arguments, run, seed))
    print(f"masked autoencoding: {seconds_of(mae) / 60:.1f} minutes of one core\n")
    print_compared(
        {run: [folder_of(arguments, run, seed) for seed in arguments.seeds] for run in arguments.runs}, "random"
    )


if __name__ == "__main__":
    main()
