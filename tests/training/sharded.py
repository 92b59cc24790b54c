"""Runs in two processes that share the weights; started by `test_sharing.py`, once with each rank."""

import shutil
import sys
from pathlib import Path

from accelerate import Accelerator, DistributedType, FullyShardedDataParallelPlugin
from accelerate.state import AcceleratorState, PartialState

from s5_hf.training import setup
from s5_hf.training.checkpointing.checkpoints import checkpoint_folders
from tests.training import pretraining
from tests.training.finetuning import finetune
from tests.training.pretraining import pretrain

SHORT = (
    "--total_steps",
    "2",
    "--checkpoint_steps",
    "1",
    "--validation_steps",
    "2",
    "--mixed_precision",
    "bf16",
    "--freeze_batch_norm",
)
TAUGHT = ("--teacher", "ema", "--weight_average_decay", "0.9", "--selection", "validation")
HALVES = ("--labelled_batch_size", "1", "--unlabelled_batch_size", "2")
SWIN = ("swin", "depths:[1,1,1,1]", "num_heads:[1,1,2,2]", "embed_dim:8", "window_size:4")
_make = setup.sharing_accelerator


def sharded_accelerator(*arguments: object) -> Accelerator:
    """The accelerator of a run with FSDP 2, which Accelerate itself offers on GPUs only."""
    accelerator = _make(*arguments)
    plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2, auto_wrap_policy="transformer_based_wrap", cpu_ram_efficient_loading=False
    )
    plugin.set_mixed_precision("bf16")
    AcceleratorState._shared_state["fsdp_plugin"] = plugin
    for state in (AcceleratorState, PartialState):
        state._shared_state["distributed_type"] = DistributedType.FSDP
    return accelerator


def main(folder: Path, rank: int) -> None:
    """A Swin, whole on both; then a run, the same run stopped and resumed, and a joint one, all sharded."""
    PartialState.destroy_process_group = lambda state, group=None: None  # the next run takes the same connection
    vit_sizes = pretraining.MICRO[:6]
    del pretraining.MICRO[:6]
    pretrain(folder / "swin", *SHORT, *HALVES, "--backbone", *SWIN)
    pretraining.MICRO[:0] = vit_sizes
    setup.sharing_accelerator = sharded_accelerator
    pretrain(folder / "whole", *SHORT, *TAUGHT, *HALVES)
    if rank == 0:
        shutil.copytree(folder / "whole", folder / "parts")
        shutil.rmtree(checkpoint_folders(folder / "parts" / "checkpoints")[-1])
        (folder / "copied").touch()
    finetune(folder / "joint", *SHORT, "--batch_size", "2")  # here the second process waits for the first
    pretrain(folder / "parts", *SHORT, *TAUGHT, *HALVES, "--resume", "auto")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
