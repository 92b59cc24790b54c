"""SAM's everything mode at 1,024 points of a 1,024 px image: what it adds to the peak memory of a process.

    OMP_NUM_THREADS=1 python benchmarks/change_masks.py              # some minutes on a CPU
    python benchmarks/change_masks.py --sam base --device cuda       # SAM of the size ViT-B

The baseline keeps all candidates as full planes until boxes are compared, 3 per point, a byte per pixel. Both
contestants see the same logits and keep every candidate: the worst case. "discs" are drawn around the points, about as
large as roofs, without a network; "sam" has random weights, so that its masks cover the image in specks, and their
boxes all of it. Memory is what the search adds to the peak of a process of its own; "batch" is what the logits of
one batch of points take.
"""

import argparse
import json

import numpy as np
import torch
from transformers import SamConfig, SamModel, SamVisionConfig

from measuring import argument_parser, in_own_process, peak_bytes, print_head, print_row, torch_in_words
from s5_hf.change.everything_mode import EverythingSettings, PromptPoints, everything, point_grid
from s5_hf.change.masks import Masks
from s5_hf.change.sam import SamPrompts
from s5_hf.synthetic import synthetic_scene

PLANES, OURS = "all masks as full planes", "s5_hf"
RADII = (8, 16, 32)
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "global_attn_indexes": [1]}


def discs(side: int) -> PromptPoints:
    """Draws three discs around each point."""
    rows, columns = torch.meshgrid(*[torch.arange(side, dtype=torch.float32)] * 2, indexing="ij")

    def prompt(points: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        x, y = (torch.from_numpy(points[:, axis]).float()[:, None, None] for axis in (0, 1))
        distance = torch.hypot(columns - x, rows - y)
        return torch.stack([radius - distance for radius in RADII], dim=1), torch.full((len(points), 3), 0.9)

    return prompt


def random_sam(size: str, side: int, device: str) -> PromptPoints:
    """A SAM with random weights that has seen an image."""
    torch.manual_seed(0)
    vision = SamVisionConfig(**({} if size == "base" else SMALL))
    model = SamModel(SamConfig(vision_config=vision)).eval().to(device)
    return SamPrompts(model, synthetic_scene(size=side, seed=0).image).at_points


def full_planes(prompt: PromptPoints, side: int, settings: EverythingSettings) -> Masks:
    """The baseline."""
    points = point_grid(settings.points_per_side, side, side)
    planes, scores = np.zeros((3 * len(points), side, side), dtype=bool), []
    for start in range(0, len(points), settings.points_per_batch):
        logits, quality = prompt(points[start : start + settings.points_per_batch])
        planes[3 * start : 3 * start + 3 * len(logits)] = (logits.flatten(0, 1) > 0).cpu().numpy()
        scores.append(quality.flatten().cpu().numpy())
    masks = Masks.from_planes(planes, np.concatenate(scores))
    return masks.select(masks.nms(settings.iou_threshold))


def measure(arguments: argparse.Namespace) -> dict[str, float]:
    """One contestant, in this process."""
    side = arguments.side
    prompt = discs(side) if arguments.masks == "discs" else random_sam(arguments.sam, side, arguments.device)
    settings = EverythingSettings(
        arguments.points, arguments.per_batch, quality=-1e9, stability=-1, stability_offset=0, minimum_region=0
    )
    prompt(point_grid(1, side, side))  # what the first call sets up
    before = peak_bytes(arguments.device)
    if arguments.contestant == OURS:
        masks = everything(prompt, side, side, settings)
    else:
        masks = full_planes(prompt, side, settings)
    added = peak_bytes(arguments.device) - before
    return {"added": added / 2**30, "masks": len(masks)}


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--masks", nargs="+", default=["discs", "sam"], choices=["discs", "sam"])
    parser.add_argument("--sam", default="small", choices=["small", "base"], help="size of the image encoder")
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--points", type=int, default=32, help="points per side")
    parser.add_argument("--per-batch", type=int, default=16)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--contestant", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contestant:
        arguments.masks = arguments.masks[0]
        print(json.dumps(measure(arguments)))
        return
    batch = arguments.per_batch * 3 * arguments.side**2 * 4 / 2**30
    print(f"{arguments.points**2} points, {arguments.side} px, batch {batch:.2f} GiB; {torch_in_words()}\n")
    print_head("masks", "contestant", "added to the peak, GiB", "of the baseline", "survivors")
    common = [
        f"--{name.replace('_', '-')}={getattr(arguments, name)}" for name in ("sam", "side", "points", "per_batch")
    ]
    for masks in arguments.masks:
        baseline = None
        for contestant in (PLANES, OURS):
            words = ["--masks", masks, *common, f"--device={arguments.device}", f"--contestant={contestant}"]
            found = in_own_process(words)
            baseline = baseline or found["added"]
            share = f"{found['added'] / baseline:.2f}"
            print_row(masks, contestant, f"{found['added']:.2f}", share, str(found["masks"]))


if __name__ == "__main__":
    main()
