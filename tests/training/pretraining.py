"""A micro pre-training run for tests: the example itself on a few random images."""

import importlib.util
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from PIL import Image
from safetensors.torch import load_file

from s5_hf.training import TrainingKind, carry_out
from s5_hf.training.pretraining.data import SegmentationData
from tests.fresh_process import run_in_processes

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


def run_example(name: str, output_dir: Path, arguments: Sequence[str], data: object = None) -> None:
    """Run an example script; later arguments go before earlier ones."""
    AcceleratorState._reset_state(reset_partial_state=True)  # several runs with other settings in one process
    example(name).main(["--output_dir", str(output_dir), *arguments], data)


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


def write_folders(root: Path, **counts: int) -> Path:
    """Folders `{split}/images` and `{split}/masks` of so many pairs of three classes; the splits differ."""
    for seed, (split, count) in enumerate(counts.items(), 1):
        for kind in ("images", "masks"):
            (root / split / kind).mkdir(parents=True)
        for index, sample in enumerate(random_samples(count, seed)):
            Image.fromarray(sample["image"]).save(root / split / "images" / f"{index}.png")
            Image.fromarray(sample["mask"]).save(root / split / "masks" / f"{index}.png")
    return root


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
    run_example("pretrain_s4p", output_dir, [*MICRO, *arguments], data or micro_data())


def pretrain_files(output_dir: Path, *arguments: str) -> None:
    """The same with the datasets that the arguments name."""
    run_example("pretrain_s4p", output_dir, [*MICRO, *arguments])


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of the segmenter that a run or a checkpoint holds."""
    return load_file(folder / "segmenter" / "model.safetensors")


def stop_by_sigterm(
    interrupt: Callable[[pytest.MonkeyPatch, Callable[[], None]], None],
    run: Callable[[], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Begin a run, send it SIGTERM where `interrupt` acts, and see how it ends: by that signal and with advice."""
    with pytest.MonkeyPatch.context() as patch:
        interrupt(patch, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(SystemExit) as stop:
            run()
    assert stop.value.code == 128 + signal.SIGTERM
    assert "Resume it with --resume auto" in capsys.readouterr().out


def stop_after_step(kind: TrainingKind, steps: int) -> None:
    """Carry a training out, and see SIGTERM end it after so many steps."""
    original = kind.after_step

    def stopped(model: torch.nn.Module, step: int) -> None:
        original(model, step)
        if step + 1 == steps:
            os.kill(os.getpid(), signal.SIGTERM)

    kind.after_step = stopped
    with pytest.raises(SystemExit) as stop:
        carry_out(kind)
    assert stop.value.code == 128 + signal.SIGTERM


def recorded_batches(monkeypatch: pytest.MonkeyPatch, method: type) -> list[tuple[object, object]]:
    """The labelled and the unlabelled batch of every step that a method makes from now on."""
    batches, original = [], method.__call__

    def call(self: object, model: object, labelled: object, unlabelled: object, step: int) -> object:
        batches.append((labelled, unlabelled))
        return original(self, model, labelled, unlabelled, step)

    monkeypatch.setattr(method, "__call__", call)
    return batches


HALVES = ("--labelled_batch_size", "1", "--unlabelled_batch_size", "2")


def run_in_two_processes(run: Callable[..., None], output_dir: Path, *arguments: str) -> None:
    """Call a function of these tests, with a folder and options, in two processes that talk over gloo."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        f"from {run.__module__} import {run.__name__}\n"
        f"{run.__name__}(Path(sys.argv[1]), *sys.argv[2:])\n"
        "print('ended')\n"
    )
    outputs = run_in_processes(2, code, output_dir, *arguments)
    assert all("ended" in output for output in outputs)
