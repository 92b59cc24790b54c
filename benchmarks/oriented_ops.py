"""Rotated IoU, NMS and RoIAlign: seconds and peak memory against a shapely loop and plain ways to write them in torch.

    python benchmarks/oriented_ops.py                        # on the CPU, and on a GPU if there is one; minutes
    python benchmarks/oriented_ops.py --operations iou       # one of iou, nms, roi-align
    python benchmarks/oriented_ops.py --repeats 5 --device cpu

The boxes are random, 1 to 61 px a side. "scene" spreads them over 1,000 px, as detections in an image; "crowd" over
60 px, so that most pairs meet. Where a contestant would take minutes it runs on a sample and the time is multiplied:
such rows say "extrapolated". "torch, plain" finds all crossings of the edges and all corners inside, sorts them by
angle and applies the shoelace formula, to every pair; its NMS takes one row per kept box; its RoIAlign is one
grid_sample. Peak memory is that of a process of its own, libraries included (on a GPU: of the allocator).
"""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median

import torch
from torch import Tensor
from torch.nn import functional

from measuring import argument_parser, in_own_process, peak_bytes, print_head, print_row, timed, torch_in_words
from s5_hf.modeling.non_maximum_suppression import rotated_nms
from s5_hf.modeling.oriented_boxes import oriented_boxes_to_corners
from s5_hf.modeling.rotated_iou import rotated_iou
from s5_hf.modeling.rotated_roi_align import roi_align_rotated

IOU_THRESHOLD = 0.5
SAMPLED_PAIRS = 40_000
OURS = "s5_hf"


@dataclass(frozen=True)
class Timing:
    seconds: float
    extrapolated: bool = False


@dataclass(frozen=True)
class Operation:
    """What is measured: how its input is made, and who computes it, the slowest baseline first."""

    prepare: Callable[[str], tuple[Tensor, ...]]
    contestants: dict[str, Callable[..., Timing]]


def random_boxes(count: int, extent: float, seed: int) -> Tensor:
    unit = torch.rand(count, 5, generator=torch.Generator().manual_seed(seed))
    return unit * torch.tensor([extent, extent, 60, 60, math.pi]) + torch.tensor([0, 0, 1, 1, -math.pi / 2])


def two_sets(extent: float, device: str) -> tuple[Tensor, Tensor]:
    return random_boxes(2000, extent, 1).to(device), random_boxes(2000, extent, 2).to(device)


def detections(count: int, extent: float, device: str) -> tuple[Tensor, Tensor]:
    scores = torch.rand(count, generator=torch.Generator().manual_seed(3))
    return random_boxes(count, extent, 1).to(device), scores.to(device)


def features_and_rois(device: str) -> tuple[Tensor, Tensor]:
    """The finest level of a 1,024 px image, and 512 boxes."""
    features = torch.randn(1, 256, 256, 256, generator=torch.Generator().manual_seed(4))
    rois = torch.cat([torch.zeros(512, 1), random_boxes(512, 1000, 5)], dim=1)
    return features.to(device), rois.to(device)


def shapely_iou(boxes1: Tensor, boxes2: Tensor) -> Timing:
    """A loop over pairs, on a sample of them."""
    import shapely

    polygons1, polygons2 = (
        [shapely.Polygon(corners) for corners in oriented_boxes_to_corners(boxes.cpu().double()).numpy()]
        for boxes in (boxes1, boxes2)
    )
    pairs = torch.randint(0, len(boxes1), (SAMPLED_PAIRS, 2), generator=torch.Generator().manual_seed(0)).tolist()

    def loop() -> None:
        for first, second in pairs:
            polygon1, polygon2 = polygons1[first], polygons2[second]
            shared = polygon1.intersection(polygon2).area
            _ = shared / (polygon1.area + polygon2.area - shared)

    return Timing(timed(loop, "cpu") * len(boxes1) * len(boxes2) / SAMPLED_PAIRS, extrapolated=True)


def plain_overlaps(first: Tensor, second: Tensor) -> Tensor:
    """IoU [n] of pairs: crossings and inner corners, sorted by angle around their mean."""
    corners1, corners2 = oriented_boxes_to_corners(first), oriented_boxes_to_corners(second)
    edges1, edges2 = corners1.roll(-1, -2) - corners1, corners2.roll(-1, -2) - corners2

    def cross(a: Tensor, b: Tensor) -> Tensor:
        return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]

    apart = corners2[:, None] - corners1[:, :, None]  # [n, 4, 4, 2]
    slope = cross(edges1[:, :, None], edges2[:, None])
    safe = torch.where(slope.abs() > 1e-14, slope, 1)
    along1, along2 = cross(apart, edges2[:, None]) / safe, cross(apart, edges1[:, :, None]) / safe
    crossing = (slope.abs() > 1e-14) & (along1 >= 0) & (along1 <= 1) & (along2 >= 0) & (along2 <= 1)
    points = [(corners1[:, :, None] + along1[..., None] * edges1[:, :, None]).flatten(1, 2)]
    valid = [crossing.flatten(1)]
    for corners, others, edges in ((corners1, corners2, edges2), (corners2, corners1, edges1)):
        points.append(corners)
        valid.append((cross(edges[:, None], corners[:, :, None] - others[:, None]) >= -1e-6).all(-1))
    points, valid = torch.cat(points, 1), torch.cat(valid, 1)  # [n, 24, 2], [n, 24]
    count = valid.sum(1, keepdim=True)
    points = points - ((points * valid[..., None]).sum(1) / count.clamp(min=1))[:, None]
    angle = torch.atan2(points[..., 1], points[..., 0]).masked_fill(~valid, math.inf)
    order = angle.argsort(1)
    points = points.gather(1, order[..., None].expand_as(points))
    points = torch.where(torch.arange(24, device=points.device)[:, None] < count[..., None], points, points[:, :1])
    shared = cross(points, points.roll(-1, 1)).sum(1).abs() / 2 * (count[:, 0] > 2)
    return shared / (first[:, 2] * first[:, 3] + second[:, 2] * second[:, 3] - shared)


def plain_iou(boxes1: Tensor, boxes2: Tensor) -> Timing:
    """Every pair, whether its boxes are near or not; on a sample of the rows."""
    rows = boxes1[: SAMPLED_PAIRS // len(boxes2)]

    def all_pairs() -> Tensor:
        return plain_overlaps(rows.repeat_interleave(len(boxes2), 0), boxes2.repeat(len(rows), 1))

    seconds = timed(all_pairs, boxes1.device.type)
    return Timing(seconds * len(boxes1) / len(rows), extrapolated=True)


def our_iou(boxes1: Tensor, boxes2: Tensor) -> Timing:
    return Timing(timed(lambda: rotated_iou(boxes1, boxes2), boxes1.device.type))


def greedy_comparisons(boxes: Tensor, scores: Tensor) -> int:
    """Pairs that the greedy loop looks at: every kept box with all that come after it."""
    rank = torch.empty(len(scores), dtype=torch.long, device=scores.device)
    rank[scores.argsort(descending=True)] = torch.arange(len(scores), device=scores.device)
    return int((len(scores) - 1 - rank[rotated_nms(boxes, scores, IOU_THRESHOLD)]).sum())


def shapely_nms(boxes: Tensor, scores: Tensor) -> Timing:
    """The time of a pair in the loop over pairs, times the pairs that the greedy loop looks at."""
    pairs = len(boxes) ** 2
    return Timing(shapely_iou(boxes, boxes).seconds / pairs * greedy_comparisons(boxes, scores), extrapolated=True)


def plain_nms(boxes: Tensor, scores: Tensor) -> Timing:
    """One row of IoU per kept box, with all boxes after it; on a sample of the rows."""
    ordered = boxes[scores.argsort(descending=True)]
    sample = range(max(2, SAMPLED_PAIRS // len(boxes)))

    def rows() -> None:
        for index in sample:
            rest = ordered[index + 1 :]
            _ = plain_overlaps(ordered[index].expand_as(rest), rest) > IOU_THRESHOLD

    compared = sum(len(boxes) - 1 - index for index in sample)
    seconds = timed(rows, boxes.device.type)
    return Timing(seconds / compared * greedy_comparisons(boxes, scores), extrapolated=True)


def our_nms(boxes: Tensor, scores: Tensor) -> Timing:
    return Timing(timed(lambda: rotated_nms(boxes, scores, IOU_THRESHOLD), boxes.device.type))


def plain_pool(features: Tensor, rois: Tensor) -> Tensor:
    """One grid_sample for all boxes; they are all of one image."""
    height, width = features.shape[-2:]
    steps = (torch.arange(14, device=rois.device) + 0.5) / 14 - 0.5
    cx, cy, w, h, theta = (rois[:, column, None, None] for column in range(1, 6))
    along, across = w / 4 * steps, h / 4 * steps[:, None]
    x = along * theta.cos() - across * theta.sin() + cx / 4 - 0.5
    y = along * theta.sin() + across * theta.cos() + cy / 4 - 0.5
    grid = torch.stack([x / (width - 1), y / (height - 1)], dim=-1) * 2 - 1  # [K, 14, 14, 2]
    sampled = functional.grid_sample(features, grid.view(1, -1, 14, 2), padding_mode="border", align_corners=True)
    inside = (x >= -1) & (x <= width) & (y >= -1) & (y <= height)
    return functional.avg_pool2d(sampled.view(-1, len(rois), 14, 14).transpose(0, 1) * inside[:, None], 2)


def our_pool(features: Tensor, rois: Tensor) -> Tensor:
    return roi_align_rotated(features, rois, output_size=7, spatial_scale=1 / 4)


def forward(pool: Callable[[Tensor, Tensor], Tensor], features: Tensor, rois: Tensor) -> Timing:
    return Timing(timed(lambda: pool(features, rois), features.device.type))


def forward_and_backward(pool: Callable[[Tensor, Tensor], Tensor], features: Tensor, rois: Tensor) -> Timing:
    features = features.clone().requires_grad_()
    return Timing(timed(lambda: pool(features, rois).sum().backward(), features.device.type))


IOU = {"shapely, loop": shapely_iou, "torch, plain": plain_iou, OURS: our_iou}
NMS = {"shapely, loop": shapely_nms, "torch, plain": plain_nms, OURS: our_nms}
OPERATIONS = {
    "iou, 2,000 x 2,000, scene": Operation(partial(two_sets, 1000), IOU),
    "iou, 2,000 x 2,000, crowd": Operation(partial(two_sets, 60), IOU),
    "nms, 2,000, scene": Operation(partial(detections, 2000, 1000), NMS),
    "nms, 20,000, scene": Operation(partial(detections, 20_000, 1000), NMS),
    "nms, 20,000, over 10,000 px": Operation(partial(detections, 20_000, 10_000), NMS),
    "roi-align, 512 x 256 channels": Operation(
        features_and_rois, {"torch, plain": partial(forward, plain_pool), OURS: partial(forward, our_pool)}
    ),
    "roi-align, 512 x 256 channels, with backward": Operation(
        features_and_rois,
        {
            "torch, plain": partial(forward_and_backward, plain_pool),
            OURS: partial(forward_and_backward, our_pool),
        },
    ),
}


def peak_memory(operation: str, contestant: str, device: str) -> float:
    """Peak memory in GiB of one call, in a process of its own."""
    return in_own_process(["--device", device, "--memory-of", operation, contestant])


def print_table(names: list[str], device: str, repeats: int) -> None:
    print(f"\n{device}, {torch_in_words()}, median of {repeats}\n")
    print_head("operation", "contestant", "seconds", "s5_hf is faster by", "peak memory, GiB")
    for name in names:
        operation = OPERATIONS[name]
        data = operation.prepare(device)
        operation.contestants[OURS](*data)  # warm-up
        timings = {
            contestant: [compute(*data) for _ in range(repeats)]
            for contestant, compute in operation.contestants.items()
        }
        ours = median(timing.seconds for timing in timings[OURS])
        for contestant, turns in timings.items():
            seconds = median(timing.seconds for timing in turns)
            shown = f"{seconds:.3f}" if seconds < 10 else f"{seconds:,.0f}"
            # The memory of a sample says nothing of the whole.
            memory = "" if turns[0].extrapolated else f"{peak_memory(name, contestant, device):.2f}"
            note = ", extrapolated" if turns[0].extrapolated else ""
            print_row(name, contestant, shown + note, f"{seconds / ours:,.1f} x", memory)


def parse_arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("--operations", nargs="+", choices=["iou", "nms", "roi-align"], help="default: all")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", choices=["cpu", "cuda"], help="default: the CPU, and a GPU if there is one")
    parser.add_argument("--memory-of", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    if arguments.memory_of:
        name, contestant = arguments.memory_of
        OPERATIONS[name].contestants[contestant](*OPERATIONS[name].prepare(arguments.device))
        print(peak_bytes(arguments.device) / 2**30)
        return
    wanted = tuple(arguments.operations or ["iou", "nms", "roi-align"])
    names = [name for name in OPERATIONS if name.startswith(wanted)]
    default = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    for device in [arguments.device] if arguments.device else default:
        print_table(names, device, arguments.repeats)


if __name__ == "__main__":
    main()
