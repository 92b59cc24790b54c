r"""Fine-tuning of oriented detection: one detector for one or many datasets, from pre-trained weights.

    # your own images with DOTA text files; folders train/images, train/labelTxt, val/images, val/labelTxt
    python examples/finetune_detection.py examples/recipes/detection_tiny_cpu.yaml --datasets ships \
        --ships.data-dir my-ships --ships.classes ship boat

    # one mixture of experts for two datasets, from the encoder of a segmenter
    ... --mode moe --datasets ships roofs --ships.data-dir ... --roofs.data-dir ... --segmenter runs/s4p/segmenter

    # as published: ViT-B after S4 pre-training, DIOR-R and DOTA-v2.0 (tiles of `s5-hf prepare`), 4 GPUs
    accelerate launch --num_processes 4 examples/finetune_detection.py examples/recipes/moe_det_vit_b.yaml \
        --dior.data-dir data/DIOR-R --dota.data-dir data/dota-tiles

    # stopped by Ctrl-C, a queue's SIGTERM or SIGUSR1, or a crash? The same command resumes it exactly:
    ... --resume auto

Every step takes images of every dataset through one forward pass; the loss is the sum of the tasks' losses. The run's
folder holds detector/, encoder/, panels/, log.jsonl, and best/mean (the whole model) and best/<task> (a dense detector
each), chosen by mAP at IoU 0.5. Which images choose (`selection`) is as in finetune_segmentation.py: never those whose
results one reports.
"""

from collections.abc import Sequence

import s5_hf  # noqa: F401 - makes names and datasets known
from s5_hf.scripts import run_script
from s5_hf.training import DetectionRecipe, DetectionTaskData, JointDetection, carry_out


def main(arguments: Sequence[str] | None = None, data: Sequence[DetectionTaskData] | None = None) -> None:
    """Run a recipe from the command line, or with datasets of your own.

    Exits with 128 plus the signal's number when a signal stopped the run (its state is saved).
    """
    carry_out(JointDetection(DetectionRecipe.read(arguments, __doc__), data))


if __name__ == "__main__":
    run_script(main)
