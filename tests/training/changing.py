"""A micro training of a change detector for tests, on squares that came between two dates."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from accelerate.state import AcceleratorState
from PIL import Image

from s5_hf.training import run_training
from s5_hf.training.pretraining.data import SegmentationData

MICRO = [
    *("--hidden_size", "32", "--num_hidden_layers", "4", "--num_attention_heads", "4", "--decoder_channels", "16"),
    *("--crop_size", "32", "--num_workers", "0", "--labelled_batch_size", "2", "--unlabelled_batch_size", "4"),
    *("--confidence_threshold", "0.4", "--learning_rate", "1e-3", "--total_steps", "4", "--checkpoint_steps", "2"),
    *("--validation_steps", "0", "--logging_steps", "1", "--trackers", "none", "--drop_path_rate", "0"),
    *("--classifier_dropout", "0", "--image_mean", "0.5", "0.5", "0.5", "--scale_range", "1", "1"),
]


def pair_samples(count: int, seed: int, size: int = 32, date_classes: int = 0) -> list[dict[str, object]]:
    """Pairs of noise, in the second of which a bright square lies; the mask says where."""
    rng = np.random.default_rng(seed)
    samples = []
    for index in range(count):
        before = rng.integers(60, 120, (size, size, 3), dtype=np.uint8)
        after, mask = before.copy(), np.zeros((size, size), dtype=np.uint8)
        top, left = rng.integers(0, size - 12, 2)
        after[top : top + 12, left : left + 12] = 230
        mask[top : top + 12, left : left + 12] = 1
        sample = {"id": f"{seed}-{index}", "image_before": before, "image_after": after, "mask": mask}
        if date_classes:
            sample |= {"mask_before": mask * (1 + index % date_classes), "mask_after": mask * date_classes}
        samples.append(sample)
    return samples


def pair_data(**changes: object) -> SegmentationData:
    """6 labelled, 8 unlabelled and 3 validation pairs."""
    values = {
        "task": "squares",
        "labels": ("unchanged", "changed"),
        "palette": ((225, 225, 225), (214, 39, 40)),
        "ignore_index": 255,
        "labelled": pair_samples(6, 1),
        "unlabelled": pair_samples(8, 2),
        "validation": pair_samples(3, 3),
    }
    return SegmentationData(**{**values, **changes})


def write_pairs(root: Path, **counts: int) -> Path:
    """Folders `{split}/{before,after,mask}` of so many pairs; the splits differ."""
    for seed, (split, count) in enumerate(counts.items(), 1):
        for sample in pair_samples(count, seed):
            for folder in ("before", "after", "mask"):
                path = root / split / folder / f"{sample['id']}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = sample["mask"] * 255 if folder == "mask" else sample[f"image_{folder}"]
                Image.fromarray(pixels).save(path)
    return root


def train_change(output_dir: Path, *arguments: str, data: SegmentationData | None = None) -> None:
    """Train on the micro pairs; later arguments go before earlier ones."""
    _run(output_dir, arguments, data or pair_data())


def train_change_files(output_dir: Path, *arguments: str) -> None:
    """The same with the datasets that the arguments name."""
    _run(output_dir, arguments, None)


def _run(output_dir: Path, arguments: Sequence[str], data: SegmentationData | None) -> None:
    AcceleratorState._reset_state(reset_partial_state=True)  # several runs with other settings in one process
    run_training("change", [*MICRO, "--output_dir", str(output_dir), *arguments], data)
