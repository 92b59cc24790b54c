"""A training of SegEarth-R1 on a few random pictures, for tests in this process and in others."""

from pathlib import Path

import numpy as np
from accelerate.state import AcceleratorState

from s5_hf.training.programs import run_training

SMALL = [
    *("--backbone", "swin", "embed_dim:8", "depths:[1,1,1,1]", "num_heads:[1,1,1,1]", "window_size:4"),
    *("--freeze_encoder", "false", "--image_size", "64", "--decoder_channels", "32", "--decoder_feedforward", "32"),
    *("--pixel_decoder_layers", "1", "--mask_decoder_layers", "1", "--projector_channels", "16"),
    *("--projector_heads", "2", "--language_width", "16", "--language_heads", "2", "--language_layers", "1"),
    *("--train_points", "32", "--num_workers", "0", "--trackers", "none", "--logging_steps", "1"),
    *("--total_steps", "4", "--checkpoint_steps", "2", "--learning_rate", "1e-3", "--warmup_share", "0"),
]
WORDS = ("where is it?", "the bright one", "show me what is large in this")


def questions(count: int, seed: int) -> list[dict[str, object]]:
    """Pictures with two questions each, and answers of different lengths."""
    generator = np.random.default_rng(seed)
    samples = []
    for index in range(count):
        image = generator.integers(0, 256, (40, 64, 3), np.uint8)
        for number in range(2):
            mask = np.zeros((40, 64), np.uint8)
            mask[10 * number : 10 * number + 20, 8:40] = 1
            words = {"question": WORDS[(index + number) % 3], "answer": "there " * (1 + index % 3)}
            samples.append({"image": image, "mask": mask, "id": f"{seed}-{index}:{number}", **words})
    return samples


def train(folder: Path, *arguments: str) -> None:
    """Train, with the data of these tests."""
    AcceleratorState._reset_state(reset_partial_state=True)
    data = (questions(6, 0), questions(2, 1))
    run_training("reasoning", [*SMALL, "--output_dir", str(folder), *arguments], data)
