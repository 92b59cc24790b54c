"""What masked autoencoding on all images brings to supervised and to semi-supervised training, over several seeds.

    python benchmarks/s4p_mae.py s4p_few_labels_cpu --side 100 --positive 4 --mixed 0.05 --labelled 1 \
        --masked "--patch-size 8 --crop-size 64" --start "--total-steps 150 --learning-rate 1e-3" \
        -- --labelled-dir DATA --classes land water

A small ViT is trained on the images of train, without labels and without --mixed: once, for all seeds, with
mae_tiny_cpu and the options of --masked. Then each seed has two starts, supervised runs with the options of --start:
one from that encoder, one from new weights of the same network. The arms go on from either. A paired table compares
arms of one start, another one the same arm of both. The other options are those of s4p_effect.py.
"""

import shlex
from dataclasses import replace
from pathlib import Path

from s4p_effect import (
    ALL,
    LONGER,
    START,
    Trial,
    labelled_dir,
    pairs_of,
    print_differences,
    print_scores,
    read_trial,
    trial_parser,
)
from trial_images import prepared

from measuring import parse_with_options
from s5_hf.recipes import find_recipe
from s5_hf.training import MAERecipe, MaskedAutoencoding, carry_out

MASKED, NEW = "mae", "new"


def pretrained_encoder(options: str, images: Path, folder: Path) -> Path:
    """The encoder that masked autoencoding leaves in a folder; trained unless it is there."""
    encoder = folder / "encoder"
    if not encoder.exists():
        words = [str(find_recipe("mae_tiny_cpu", "mae")), "--dataset", "s5-images", "--data-dir", str(images)]
        words += [*shlex.split(options), "--output-dir", str(folder), "--resume", "auto"]
        carry_out(MaskedAutoencoding(MAERecipe.read(words)))
    return encoder


def begun(trial: Trial, name: str, words: list[str]) -> Trial:
    """The trial with one of the two starts, in a folder of its own."""
    start = shlex.join([*words, *shlex.split(trial.start or "")])
    return replace(trial, output=trial.output / name, start=start, results=[])


def main() -> None:
    parser = trial_parser(__doc__, "runs/s4p_mae")
    parser.add_argument("--start", required=True, help="options of the supervised runs that the arms start from")
    parser.add_argument("--masked", default="", help="options of the masked autoencoding")
    parser.add_argument("--methods", nargs="+", default=["supervised", "fixmatch", LONGER, ALL])
    arguments, trial = read_trial(parser)
    arms = [START, *arguments.methods]
    source = labelled_dir(parse_with_options(parser)[1])
    everything = prepared(source, trial.output / "everything", arguments.side, arguments.positive, 0)
    encoder = pretrained_encoder(arguments.masked, everything / "train" / "images", trial.output / "masked")
    weights = ["--backbone", "null", "--encoder", str(encoder)]
    trials = {MASKED: begun(trial, MASKED, weights), NEW: begun(trial, NEW, ["--backbone", str(encoder)])}
    for seed in arguments.seeds:
        for each in trials.values():
            each.carry_out_all(arguments.methods, seed)
    results = [
        {**result, "arm": f"{name}: {result['arm']}"}
        for name, each in trials.items()
        for result in each.of_seeds(arguments.seeds, arms)
    ]
    print_scores(results, [f"{name}: {arm}" for name in trials for arm in arms])
    within = [(f"{name}: {arm}", f"{name}: {known}") for name in trials for arm, known in pairs_of(arms)]
    print_differences(results, [*within, *((f"{MASKED}: {arm}", f"{NEW}: {arm}") for arm in arms)])


if __name__ == "__main__":
    main()
