r"""Fine-tuning: one model for one or many datasets, from pre-trained weights.

    # one mixture of experts for two of your own datasets, on one CPU; folders train/images, train/masks, val/...
    python examples/finetune_segmentation.py examples/recipes/moe_mdf_tiny_cpu.yaml \
        --citymaps.data-dir my-city --massroads.data-dir my-roads --segmenter runs/s4p_tiny_cpu/segmenter

    # datasets of your own without a file, a shared encoder with a decoder for each
    python examples/finetune_segmentation.py --mode mdf --encoder s5-vit-b --datasets city roads \
        --city.data-dir my-city --city.classes other building road --roads.data-dir my-roads --roads.classes no yes

    # one of a recipe's datasets alone
    ... --mode sdf --datasets citymaps

    # as published: ViT-B after S4 pre-training, four datasets, 8 GPUs
    accelerate launch --num_processes 8 examples/finetune_segmentation.py examples/recipes/moe_mdf_vit_b.yaml \
        --vaihingen.data-dir data/vaihingen --potsdam.data-dir data/potsdam \
        --openearthmap.data-dir data/OpenEarthMap --loveda.data-dir data/LoveDA

    # stopped by Ctrl-C, a queue's SIGTERM or SIGUSR1, or a crash? The same command resumes it exactly:
    ... --resume auto

Every step takes images of every dataset through one forward pass; the loss is the sum of the tasks' losses. The run's
folder holds what a pre-training run's does, and best/mean (the whole model) and best/<task> (a dense model each).

Which images choose the best weights (`selection`), where validation_split is auto:

    validation (default)    split val; where results on val are what one reports (the S5 benchmarks), or there is no
                            val, a held-out share of the training images. The split test is refused.
    last                    none: all is trained to the end; val, if there is one, is only looked at
    official_test_split     the split whose results are published, as the official code does; printed and recorded
"""

from collections.abc import Sequence

import s5_hf  # noqa: F401 - makes names and datasets known
from s5_hf.scripts import run_script
from s5_hf.training import JointSegmentation, SegmentationRecipe, TaskData, carry_out


def main(arguments: Sequence[str] | None = None, data: Sequence[TaskData] | None = None) -> None:
    """Run a recipe from the command line, or with datasets of your own.

    Exits with 128 plus the signal's number when a signal stopped the run (its state is saved).
    """
    carry_out(JointSegmentation(SegmentationRecipe.read(arguments, __doc__), data))


if __name__ == "__main__":
    run_script(main)
