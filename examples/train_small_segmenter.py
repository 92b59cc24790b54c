"""Train a small segmenter in a few minutes on a laptop: what curation needs to begin with.

    python examples/train_small_segmenter.py my-tiles my-segmenter --classes land building road park water

`my-tiles` holds `images/` and `masks/`, or `train/images` and `train/masks`. A plain supervised loop in one file:
random crops and flips, cross-entropy, AdamW, cosine. A segmenter that is to be good comes from S4 pre-training.
"""

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
from datasets import load_dataset
from torch.nn import functional
from tqdm import tqdm

import s5_hf  # noqa: F401 - makes the dataset and the networks known
from s5_hf.modeling import S5ForSemanticSegmentation, S5ImageProcessor, S5SegmentationConfig, S5ViTConfig
from s5_hf.scripts import run_script
from s5_hf.training.errors import NonFiniteWeightsError
from s5_hf.training.step_meter import non_finite_tensors

IGNORE_INDEX = 255


def load_tiles(folder: Path, labels: list[str], split: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """All images and masks, decoded: a small set fits into memory."""
    dataset = load_dataset("s5-image-mask", data_dir=str(folder), split=split, streaming=True, classes=labels)
    return [(np.asarray(sample["image"].convert("RGB")), np.asarray(sample["mask"])) for sample in dataset]


def check(arguments: argparse.Namespace) -> None:
    """Raise an error for numbers that cannot work, before any work is done."""
    if arguments.output.is_file():
        raise NotADirectoryError(f"{arguments.output} is a file; the segmenter needs a folder")
    if min(arguments.steps, arguments.batch_size) < 1 or arguments.minutes <= 0:
        raise ValueError("--steps and --batch-size must be at least 1, --minutes above 0")
    if arguments.crop < 16:
        raise ValueError(f"--crop must be at least 16 pixels, got {arguments.crop}")
    if arguments.hidden_size < 32 or arguments.hidden_size % 32:
        raise ValueError(f"--hidden-size must be a multiple of 32, got {arguments.hidden_size}")
    if arguments.layers < 4:
        raise ValueError(f"--layers must be at least 4, got {arguments.layers}")


def check_tiles(tiles: list[tuple[np.ndarray, np.ndarray]], arguments: argparse.Namespace) -> None:
    """Raise a ValueError for tiles that the crops do not fit into, or with other classes."""
    smallest = min(min(mask.shape) for _, mask in tiles)
    if smallest < arguments.crop:
        raise ValueError(f"{arguments.data} holds tiles of {smallest} pixels, less than --crop {arguments.crop}")
    highest = max((int(mask[mask != IGNORE_INDEX].max(initial=0)) for _, mask in tiles), default=0)
    if highest >= len(arguments.classes):
        raise ValueError(
            f"the masks of {arguments.data} hold the class {highest}, but --classes names {len(arguments.classes)}: "
            f"0 to {len(arguments.classes) - 1}"
        )


def random_batch(tiles: list, size: int, crop: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Random crops, flipped and turned: uint8 images (size, crop, crop, 3) and masks (size, crop, crop)."""
    images, masks = [], []
    for index in generator.integers(len(tiles), size=size):
        image, mask = tiles[index]
        top, left = (generator.integers(length - crop + 1) for length in mask.shape)
        turns, flip = generator.integers(4), generator.random() < 0.5
        for array, batch in ((image, images), (mask, masks)):
            array = np.rot90(array[top : top + crop, left : left + crop], turns)
            batch.append(array[:, ::-1] if flip else array)
    return np.stack(images), np.stack(masks)


@torch.inference_mode()
def mean_iou(model: torch.nn.Module, processor: S5ImageProcessor, tiles: list) -> float:
    """Mean intersection over union on whole tiles."""
    classes = model.config.num_labels
    matrix = np.zeros((classes, classes), dtype=np.int64)
    for image, mask in tiles:
        predicted = model(**processor(image, return_tensors="pt")).logits[0].argmax(0).numpy()
        valid = mask != IGNORE_INDEX
        matrix += np.bincount(mask[valid] * classes + predicted[valid], minlength=classes**2).reshape(classes, classes)
    union = matrix.sum(0) + matrix.sum(1) - matrix.diagonal()
    return float(np.mean(matrix.diagonal()[union > 0] / union[union > 0]))


def parse_arguments() -> argparse.Namespace:
    """What the command line says; raises an error for numbers that cannot work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--classes", nargs="+", required=True, help="class names in the order of their ids")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--crop", type=int, default=160)
    parser.add_argument("--hidden-size", type=int, default=128)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--decoder-channels", type=int, default=48)
    parser.add_argument("--learning-rate", type=float, default=6e-4)
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop earlier, with the schedule run out")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    check(arguments)
    return arguments


def main() -> None:
    arguments = parse_arguments()
    torch.manual_seed(arguments.seed)
    generator = np.random.default_rng(arguments.seed)
    tiles = load_tiles(arguments.data, arguments.classes, "train")
    check_tiles(tiles, arguments)

    vit = S5ViTConfig(
        hidden_size=arguments.hidden_size,
        num_hidden_layers=arguments.layers,
        num_attention_heads=arguments.hidden_size // 32,
        image_size=arguments.crop // 16 * 16,
        drop_path_rate=0.0,
    )
    config = S5SegmentationConfig(
        backbone_config=vit, tasks={"scene": arguments.classes}, decoder_channels=arguments.decoder_channels
    )
    model, processor = S5ForSemanticSegmentation(config), S5ImageProcessor()
    optimizer = torch.optim.AdamW(model.parameters(), lr=arguments.learning_rate, weight_decay=0.05)

    begin, progress = time.monotonic(), 0.0
    bar = tqdm(range(arguments.steps), unit="step")
    for step in bar:
        # Whichever runs out first, steps or minutes, decides how far the cosine has come.
        progress = max(step / arguments.steps, (time.monotonic() - begin) / 60 / arguments.minutes)
        if progress >= 1:
            break
        warm_up = min(1.0, (step + 1) / 30)
        for group in optimizer.param_groups:
            group["lr"] = arguments.learning_rate * warm_up * 0.5 * (1 + math.cos(math.pi * progress))

        images, masks = random_batch(tiles, arguments.batch_size, arguments.crop, generator)
        pixels = processor(list(images), return_tensors="pt")["pixel_values"]
        logits = model(pixels).logits
        loss = functional.cross_entropy(logits, torch.from_numpy(masks.astype(np.int64)), ignore_index=IGNORE_INDEX)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        bar.set_postfix(loss=f"{loss.item():.3f}")

    broken = non_finite_tensors(model)
    if broken:
        raise NonFiniteWeightsError(f"training has made weights NaN or infinite ({broken[0]}); nothing was saved")
    model.eval()
    model.save_pretrained(arguments.output)
    processor.save_pretrained(arguments.output)
    print(f"trained {step + 1} steps in {time.monotonic() - begin:.0f} s, saved {arguments.output}")
    print(f"mean IoU on 40 training tiles: {100 * mean_iou(model, processor, tiles[:40]):.1f} %")


if __name__ == "__main__":
    run_script(main)
