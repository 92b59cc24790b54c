"""A micro pre-training run for tests: the example itself on a few random images."""

import importlib.util
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from s5_hf.training.pretraining.data import SegmentationData

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "examples"

MICRO = [
    *("--hidden_size", "32", "--num_hidden_layers", "4", "--num_attention_heads", "4", "--decoder_channels", "16"),
    *("--crop_size", "64", "--num_workers", "0", "--labelled_batch_size", "2", "--unlabelled_batch_size", "4"),
    *("--confidence_threshold", "0.4", "--learning_rate", "1e-3", "--total_steps", "20", "--checkpoint_steps", "5"),
    *("--validation_steps", "10", "--logging_steps", "1", "--trackers", "none", "--image_mean", "0.5", "0.5", "0.5"),
]


def example(name: str) -> ModuleType:
    """An example script as a module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def random_samples(count: int, seed: int, size: int = 72) -> list[dict[str, object]]:
    """Images in blocks of one colour per class, so that there is something to learn."""
    rng = np.random.default_rng(seed)
    colours = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]])
    samples = []
    for index in range(count):
        mask = rng.integers(0, 3, (size // 24, size // 24)).repeat(24, 0).repeat(24, 1)
        image = np.clip(colours[mask] + rng.normal(0, 20, (size, size, 3)), 0, 255).astype(np.uint8)
        samples.append({"id": f"{seed}-{index}", "image": image, "mask": mask.astype(np.uint8)})
    return samples


def micro_data(**changes: object) -> SegmentationData:
    """8 labelled, 16 unlabelled, 3 validation images of three classes."""
    values = {
        "task": "blocks",
        "labels": ("red", "green", "blue"),
        "palette": ((255, 0, 0), (0, 255, 0), (0, 0, 255)),
        "ignore_index": 255,
        "labelled": random_samples(8, 1),
        "unlabelled": [{"id": s["id"], "image": s["image"]} for s in random_samples(16, 2)],
        "validation": random_samples(3, 3),
    }
    return SegmentationData(**{**values, **changes})


def pretrain(output_dir: Path, *arguments: str, data: SegmentationData | None = None) -> None:
    """Run the example with the micro recipe; later arguments go before earlier ones."""
    _run(output_dir, arguments, data or micro_data())


def pretrain_files(output_dir: Path, *arguments: str) -> None:
    """The same with the datasets that the arguments name."""
    _run(output_dir, arguments, None)


def _run(output_dir: Path, arguments: Sequence[str], data: SegmentationData | None) -> None:
    AcceleratorState._reset_state(reset_partial_state=True)  # several runs with other settings in one process
    example("pretrain_s4p").main([*MICRO, "--output_dir", str(output_dir), *arguments], data)


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of the segmenter that a run or a checkpoint holds."""
    return load_file(folder / "segmenter" / "model.safetensors")


def driver(code: str, *arguments: object, **environment: str) -> subprocess.Popen:
    """Start Python with this repository's tests importable, and with this process's number of threads.

    A sum over another number of threads rounds differently, and runs are compared bit for bit.
    """
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads()), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


TWO_PROCESSES = """
import sys
from pathlib import Path
from tests.training.pretraining import pretrain
pretrain(Path(sys.argv[1]), *sys.argv[2:])
print("ended")
"""
HALVES = ("--labelled_batch_size", "1", "--unlabelled_batch_size", "2")


def pretrain_in_two_processes(output_dir: Path, *arguments: str) -> None:
    """The micro recipe in two processes that talk over gloo."""
    in_two_processes(TWO_PROCESSES, output_dir, *arguments)


def in_two_processes(code: str, *arguments: object) -> None:
    """Run Python code, which prints "ended" last, in two processes that talk over gloo."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    processes = [
        driver(
            code,
            *arguments,
            RANK=str(rank),
            LOCAL_RANK=str(rank),
            WORLD_SIZE="2",
            MASTER_ADDR="127.0.0.1",
            MASTER_PORT=str(port),
            ACCELERATE_USE_CPU="true",
        )
        for rank in (0, 1)
    ]
    try:
        outputs = [process.communicate(timeout=240)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()  # nothing to one that has ended
    assert [process.returncode for process in processes] == [0, 0], "\n".join(outputs)
    assert all("ended" in output for output in outputs)
