r"""MAE initialisation on images without labels, because S4 pre-training starts from MAE weights.

    # a tiny encoder for examples/recipes/s4p_tiny_cpu.yaml, on one CPU
    python examples/pretrain_mae.py --dataset s5-million-aid --data-dir my-images --output-dir runs/mae_tiny \
        --hidden-size 128 --num-hidden-layers 8 --num-attention-heads 4 --decoder-hidden-size 64 --crop-size 192
    python examples/pretrain_s4p.py examples/recipes/s4p_tiny_cpu.yaml --encoder runs/mae_tiny/encoder ...

    # ViT-B on 8 GPUs
    accelerate launch --num_processes 8 examples/pretrain_mae.py --dataset s5-million-aid --data-dir data/MillionAID \
        --mixed-precision bf16 --batch-size 128 --total-steps 400000 --output-dir runs/mae_vit_b --streaming

The network is transformers' `ViTMAEForPreTraining`; encoder/ in the folder of the run is the S5 ViT made from it.
Options can also be given as a YAML file, before the others. Stopped by Ctrl-C, SIGTERM or SIGUSR1, the same command
resumes with --resume auto.
"""

from collections.abc import Sequence
from typing import Any

import s5_hf  # noqa: F401 - makes names and datasets known
from s5_hf.scripts import run_script
from s5_hf.training import MAERecipe, MaskedAutoencoding, carry_out


def main(arguments: Sequence[str] | None = None, samples: Any | None = None) -> None:
    """Run MAE from the command line, or on samples of your own.

    Exits with 128 plus the signal's number when a signal stopped the run (its state is saved).
    """
    carry_out(MaskedAutoencoding(MAERecipe.read(arguments, __doc__), samples))


if __name__ == "__main__":
    run_script(main)
