"""Does an up-sampler sharpen features? A linear probe on bilinear and on up-sampled features, scored at boundaries.

    s5-hf convert efficientnet-lite0-57934424.pth lite0
    s5-hf train simfeatup simfeatup_tiny_cpu --featurizer lite0 --data-dir my-city/train/images
    python benchmarks/upsampler_probe.py --featurizer lite0 --data-dir my-city --classes 5 --enlarge 2 \\
        --upsamplers runs/simfeatup_tiny_cpu/upsampler/simfeatup.safetensors --figure probe.png

`my-city` has train/images, train/masks, val/images and val/masks. The probe is one linear layer for each way of
enlarging, fitted on pixels of random crops of the training images, and scored on crops of the validation images.
Boundary F1 is the harmonic mean of two shares: of the predicted boundary pixels that lie within some pixels of a true
one, and of the true ones that lie as near to a predicted one. Two numbers need no probe:

- "at edges": how steep the features are within a pixel of true boundaries, over the mean of all pixels.
- "moved": the enlarged features, averaged in patches half a patch further on, are compared with what the network gives
  for these patches; the squared error as a share of that of bilinear features. More than 1 means that the up-sampler
  blurs, and has to be trained for longer.

One up-sampler per seed. "random" and "colours" are the two starts of a training, untrained.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from measuring import argument_parser, print_head, print_row, spread
from s5_hf.conversion import read_upsampler
from s5_hf.imaging import colorize_mask, default_palette
from s5_hf.modeling import SimFeatUpUpsampler
from s5_hf.training.simfeatup.colour_start import start_from_colours
from s5_hf.training.simfeatup.featurizer import Featurizer, load_featurizer

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PIXELS = 300  # of each training crop
DECAY = 1e-3
SHOWN = 6
MOVED = 20  # crops whose features are compared with those of moved patches


@dataclass(frozen=True)
class Crop:
    """A part of an image with its mask, and at the size that the network sees its pixels and their features."""

    image: np.ndarray
    mask: torch.Tensor
    pixels: torch.Tensor
    features: torch.Tensor


@dataclass(frozen=True)
class Score:
    """What a way of enlarging gives with one seed; boundaries are those of each tolerance: F1, precision, recall."""

    boundaries: dict[int, tuple[float, float, float]]
    miou: float
    at_edges: float
    maps: list[torch.Tensor]


def load_crops(
    folder: Path, count: int, size: int, seed: int, featurizer: Featurizer, enlarge: int, renumber: np.ndarray
) -> list[Crop]:
    """Random crops of random images, each image once before one comes again; masks with other numbers."""
    generator = np.random.default_rng(seed)
    masks = sorted((folder / "masks").iterdir())
    images = {path.stem: path for path in (folder / "images").iterdir()}
    crops = []
    for index in np.resize(generator.permutation(len(masks)), count):
        mask = np.asarray(Image.open(masks[index]))
        image = np.asarray(Image.open(images[masks[index].stem]).convert("RGB"))
        top, left = (int(generator.integers(0, side - size + 1)) for side in mask.shape)
        part = (slice(top, top + size), slice(left, left + size))
        seen = Image.fromarray(image[part]).resize((size * enlarge, size * enlarge), Image.Resampling.BICUBIC)
        unit = torch.from_numpy(np.array(seen)).permute(2, 0, 1)[None] / 255
        pixels = (unit - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
        labels = torch.from_numpy(renumber[mask[part]])
        crops.append(Crop(image[part], labels, pixels, featurizer.featurize(pixels)))
    return crops


def numbers(classes: int, only: list[int] | None) -> np.ndarray:
    """The number that each value of a mask becomes: with `only` these from 1 on, and the other classes 0."""
    found = np.arange(256, dtype=np.int64)
    if only:
        found[:classes] = 0
        found[only] = np.arange(1, len(only) + 1)
    return found


@torch.no_grad()
def enlarged(crop: Crop, upsampler: SimFeatUpUpsampler | None) -> torch.Tensor:
    """Features of every pixel of the mask, `(pixels, channels)`."""
    return at_size(crop, upsampler, crop.mask.shape)[0].flatten(1).T


def at_size(crop: Crop, upsampler: SimFeatUpUpsampler | None, size: torch.Size) -> torch.Tensor:
    """Features `(1, channels, height, width)`."""
    features = crop.features if upsampler is None else upsampler(crop.features, crop.pixels)
    return functional.interpolate(features, size=size, mode="bilinear")


@torch.no_grad()
def moved_error(crops: list[Crop], upsampler: SimFeatUpUpsampler | None, featurizer: Featurizer) -> float:
    """The squared error of enlarged features in patches half a patch further on, those at the border left out."""
    patch, errors = featurizer.patch_size, []
    inner = slice(patch // 2, -(patch // 2))
    for crop in crops:
        expected = featurizer.featurize(crop.pixels[:, :, inner, inner])
        features = at_size(crop, upsampler, crop.pixels.shape[2:])[:, :, inner, inner]
        difference = functional.avg_pool2d(features, patch) - expected
        errors.append(difference[:, :, 1:-1, 1:-1].square().mean().item())
    return float(np.mean(errors))


def fit_probe(features: torch.Tensor, labels: torch.Tensor, classes: int) -> torch.Tensor:
    """The weights of a linear layer, the last row its offsets, by L-BFGS."""
    weights = torch.zeros(features.shape[1] + 1, classes, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=60)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = functional.cross_entropy(features @ weights[:-1] + weights[-1], labels, ignore_index=255)
        value = value + DECAY * weights[:-1].square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    return weights.detach()


def score(
    upsampler: SimFeatUpUpsampler | None,
    train: list[Crop],
    val: list[Crop],
    classes: int,
    tolerances: list[int],
    seed: int,
) -> Score:
    """Fit a probe on training crops and score its maps of validation crops."""
    generator = torch.Generator().manual_seed(seed)
    chosen = [torch.randint(0, crop.mask.numel(), (PIXELS,), generator=generator) for crop in train]
    features = torch.cat([enlarged(crop, upsampler)[places] for crop, places in zip(train, chosen, strict=True)])
    labels = torch.cat([crop.mask.flatten()[places] for crop, places in zip(train, chosen, strict=True)])
    mean, deviation = features.mean(dim=0), features.std(dim=0) + 1e-6
    weights = fit_probe((features - mean) / deviation, labels, classes)
    confusion, maps, slopes = torch.zeros(classes, classes), [], torch.zeros(4)
    for crop in val:
        features = (enlarged(crop, upsampler) - mean) / deviation
        logits = features @ weights[:-1] + weights[-1]
        maps.append(logits.argmax(dim=1).view(crop.mask.shape))
        slope, edges = steepness(features.view(*crop.mask.shape, -1)), near(boundary(crop.mask), 1)
        slopes += torch.tensor([slope[edges].sum(), edges.sum(), slope.sum(), slope.numel()])
        known = crop.mask < classes
        pairs = crop.mask[known] * classes + maps[-1][known]
        confusion += torch.bincount(pairs, minlength=classes**2).view(classes, classes)
    unions = confusion.sum(dim=0) + confusion.sum(dim=1) - confusion.diag()
    miou = (confusion.diag() / unions.clamp(min=1)).mean().item()
    at_edges, everywhere = (slopes[::2] / slopes[1::2]).tolist()
    boundaries = {tolerance: boundary_score(val, maps, tolerance) for tolerance in tolerances}
    return Score(boundaries, miou, at_edges / everywhere, maps)


def boundary_score(val: list[Crop], maps: list[torch.Tensor], tolerance: int) -> tuple[float, float, float]:
    """F1, precision and recall of the boundaries of all maps together."""
    counts = torch.zeros(4)
    for crop, labels in zip(val, maps, strict=True):
        found, true = boundary(labels), boundary(crop.mask)
        hits, reached = (found & near(true, tolerance)).sum(), (true & near(found, tolerance)).sum()
        counts += torch.tensor([hits, found.sum(), reached, true.sum()])
    precision, recall = (counts[::2] / counts[1::2].clamp(min=1)).tolist()
    return 2 * precision * recall / max(precision + recall, 1e-9), precision, recall


def steepness(features: torch.Tensor) -> torch.Tensor:
    """How much features `(height, width, channels)` change from a pixel to its neighbours, `(height, width)`."""
    return torch.stack([change.square().sum(dim=2) for change in torch.gradient(features, dim=(0, 1))]).sum(0).sqrt()


def boundary(labels: torch.Tensor) -> torch.Tensor:
    """Pixels with a neighbour of another class."""
    found = torch.zeros(labels.shape, dtype=torch.bool)
    vertical, horizontal = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    found[1:] |= vertical
    found[:-1] |= vertical
    found[:, 1:] |= horizontal
    found[:, :-1] |= horizontal
    return found


def near(marked: torch.Tensor, distance: int) -> torch.Tensor:
    """Pixels within a distance, in rows and columns, of a marked one."""
    return functional.max_pool2d(marked[None].float(), 2 * distance + 1, 1, distance)[0] > 0


def draw(val: list[Crop], maps: list[list[torch.Tensor]], classes: int, path: Path) -> None:
    """Crops, masks and maps side by side."""
    palette = default_palette(classes)
    rows = [
        np.concatenate(
            [crop.image, *(np.asarray(colorize_mask(one.numpy().astype(np.uint8), palette)) for one in shown)], 1
        )
        for crop, *shown in zip(val[:SHOWN], [crop.mask for crop in val[:SHOWN]], *maps, strict=False)
    ]
    Image.fromarray(np.concatenate(rows).astype(np.uint8)).save(path)


def parse_arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("--featurizer", required=True)
    parser.add_argument("--upsamplers", nargs="+", required=True, help="one for each seed")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--classes", type=int, required=True, help="how many; larger values of masks are left out")
    parser.add_argument("--only", type=int, nargs="+", help="classes that are told apart; all others become one")
    parser.add_argument("--train-crops", type=int, default=40)
    parser.add_argument("--val-crops", type=int, default=60)
    parser.add_argument("--size", type=int, default=112, help="of the crops in pixels")
    parser.add_argument("--enlarge", type=int, default=1, help="how many times larger the network sees them")
    parser.add_argument("--tolerances", type=int, nargs="+", default=[3], help="in pixels; one table for each")
    parser.add_argument("--first-seed", type=int, default=0, help="to score up-samplers in processes of their own")
    parser.add_argument("--figure", type=Path, help="picture of crops, masks, bilinear and up-sampled maps")
    return parser.parse_args()


def ways_of_enlarging(channels: int, file: str, seed: int) -> dict[str, SimFeatUpUpsampler | None]:
    """Bilinear, both starts of a training, and the trained up-sampler."""
    trained = read_upsampler(file)
    ways: dict[str, SimFeatUpUpsampler | None] = {"bilinear": None}
    for start in ("random", "colours"):
        torch.manual_seed(seed)
        ways[start] = SimFeatUpUpsampler(channels, trained.kind).eval()
    start_from_colours(ways["colours"], MEAN, STD)
    return ways | {"simfeatup": trained}


def print_scores(scores: dict[str, list[Score]], errors: dict[str, list[float]], tolerance: int) -> None:
    """A table, and the F1 of each seed."""
    print_head(f"features, {tolerance} px", "boundary F1", "precision", "recall", "mIoU", "at edges", "moved")
    for name, found in scores.items():
        columns = [*zip(*(one.boundaries[tolerance] for one in found), strict=True), [one.miou for one in found]]
        shares = (spread([100 * value for value in column]) for column in columns)
        moved = [error / bilinear for error, bilinear in zip(errors[name], errors["bilinear"], strict=True)]
        print_row(name, *shares, spread([one.at_edges for one in found], 2), spread(moved, 2))
    seeds = {name: ", ".join(f"{100 * one.boundaries[tolerance][0]:.1f}" for one in scores[name]) for name in scores}
    print_row("F1 of each seed", *(f"{name}: {values}" for name, values in seeds.items()))


def main() -> None:
    arguments = parse_arguments()
    featurizer = load_featurizer(arguments.featurizer, MEAN, STD)
    names = ("bilinear", "random", "colours", "simfeatup")
    scores: dict[str, list[Score]] = {name: [] for name in names}
    errors: dict[str, list[float]] = {name: [] for name in names}
    renumber = numbers(arguments.classes, arguments.only)
    classes = len(arguments.only) + 1 if arguments.only else arguments.classes
    seen = (arguments.size, featurizer, arguments.enlarge, renumber)
    val = load_crops(arguments.data_dir / "val", arguments.val_crops, seen[0], 1000, *seen[1:])
    for seed, file in enumerate(arguments.upsamplers, arguments.first_seed):
        train = load_crops(arguments.data_dir / "train", arguments.train_crops, seen[0], seed, *seen[1:])
        for name, upsampler in ways_of_enlarging(featurizer.channels, file, seed).items():
            scores[name].append(score(upsampler, train, val, classes, arguments.tolerances, seed))
            errors[name].append(moved_error(val[:MOVED], upsampler, featurizer))
    for tolerance in arguments.tolerances:
        print_scores(scores, errors, tolerance)
    if arguments.figure:
        draw(val, [scores[name][0].maps for name in ("bilinear", "simfeatup")], classes, arguments.figure)


if __name__ == "__main__":
    main()
