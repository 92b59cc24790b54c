r"""S4 pre-training (S4P): labelled and unlabelled images, one loop, any size and any number of devices.

    # a tiny network on one CPU, on your own folders train/images, train/masks, val/images, val/masks
    python examples/pretrain_s4p.py examples/recipes/s4p_tiny_cpu.yaml --labelled-dir my-data --classes land water

    # as published: ViT-B from MAE weights, iSAID with labels, RS4P-1M without, 8 GPUs
    accelerate launch --num_processes 8 examples/pretrain_s4p.py examples/recipes/s4p_vit_b.yaml \
        --labelled-dir data/iSAID --unlabelled-dir data/RS4P-1M --encoder my-mae-vit-b

    # stopped by Ctrl-C, a queue's SIGTERM or SIGUSR1, or a crash? The same command resumes it exactly:
    ... --resume auto

Every key of a recipe can be given on the command line, `--key null` for its default. The run's folder holds
recipe.yaml, environment.json, log.jsonl, TensorBoard files, panels/*.png, checkpoints/step-*, and at the end
segmenter/ and encoder/ for `from_pretrained`.
"""

from collections.abc import Sequence

import s5_hf  # noqa: F401 - makes names and datasets known
from s5_hf.scripts import run_script
from s5_hf.training import PretrainingRecipe, S4Pretraining, SegmentationData, carry_out


def main(arguments: Sequence[str] | None = None, data: SegmentationData | None = None) -> None:
    """Run a recipe from the command line, or with datasets of your own.

    Exits with 128 plus the signal's number when a signal stopped the run (its state is saved).
    """
    carry_out(S4Pretraining(PretrainingRecipe.read(arguments, __doc__), data))


if __name__ == "__main__":
    run_script(main)
