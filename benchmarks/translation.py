"""What the translation of the second date brings to the search for changes: false changes with and without it.

    python benchmarks/translation.py DATA --folder results --seeds 0 1 2

DATA holds {train,val}/{images,masks} with images of one date and masks of buildings. roof_pairs.py makes pairs of it
with roofs of other images pasted in; the second date of every pair is seen in winter (`in_winter`). A translator is
trained on the pairs of `train` without their masks. Then two simple detectors look at the pairs of `val`:

- `pixels`: the distance of colours, smoothed
- `features`: the angle between features of a small convolutional network with random weights

and compare the first date with the second one as it is (`none`), with mean and deviation of each channel as in the
first date (`matched`), translated to the look of the first date (`translated`), and translated and compared with the
first date after it went through the network too (`both`).
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from roof_pairs import SIDE, make_pairs
from scipy import ndimage
from sklearn.metrics import roc_auc_score
from torch.nn import functional

import s5_hf  # noqa: F401 - makes names and datasets known
from measuring import argument_parser, parse_with_options, print_head, print_row
from s5_hf.change.comparison import pixel_change_scores
from s5_hf.files.atomic import write_text
from s5_hf.modeling import SRUITImageProcessor, SRUITModel
from s5_hf.training import run_training

FOUND = 0.8
"""Share of the changed pixels that a threshold finds."""
MARGIN = 4
"""Pixels around a change that count neither way."""
SEASON = {"plants": (0.9, -0.4, -0.1), "gain": (0.72, 0.82, 1.0), "offset": (0.03, 0.05, 0.10), "gamma": 1.25}


def in_winter(scene: np.ndarray, generator: np.random.Generator, second: bool) -> np.ndarray:
    """A camera of roof_pairs.py: the first date as it is, the second with brown plants in blue light; noise. uint8."""
    seen = scene / 255
    if second:
        green = np.clip(seen[..., 1] - seen[..., [0, 2]].mean(axis=2), 0, None)[..., None]
        seen = np.clip(seen + green * 2 * np.array(SEASON["plants"]), 0, 1) ** SEASON["gamma"]
        seen = seen * np.array(SEASON["gain"]) + np.array(SEASON["offset"])
        seen = ndimage.shift(seen, (*generator.uniform(-0.5, 0.5, 2), 0), order=1, mode="nearest")
    seen = seen + generator.normal(0, 0.01, seen.shape)
    return np.clip(seen * 255, 0, 255).astype(np.uint8)


def read_pairs(folder: Path) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Both dates and what changed, bool, of every pair of a split."""
    for path in sorted((folder / "mask").iterdir()):
        before, after, mask = (
            np.asarray(Image.open(folder / kind / path.name)) for kind in ("before", "after", "mask")
        )
        yield before, after, mask > 0


def unchanged_pairs(source: Path, count: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Pairs of places where nothing changed but the season."""
    for number, path in enumerate(sorted((source / "val" / "images").iterdir())[:count]):
        generator = np.random.default_rng([2, number])
        place = np.asarray(Image.open(path).convert("RGB"))[-SIDE:, -SIDE:].astype(np.float32)
        dates = [in_winter(place, generator, second) for second in (False, True)]
        yield *dates, np.zeros((SIDE, SIDE), dtype=bool)


def by_pixels(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The distance of colours, averaged over a few pixels."""
    distance = np.linalg.norm(before.astype(np.float32) - after, axis=2)
    return ndimage.gaussian_filter(distance, 2)


class ByFeatures:
    """The angle between features of two random convolutions; the same weights every time."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.kernels = [torch.randn(32, channels, 5, 5, generator=generator) for channels in (3, 32)]

    def __call__(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """The angle of every pixel."""
        seen = [self.features(image) for image in (before, after)]
        return pixel_change_scores(*seen, *before.shape[:2]).numpy()

    def features(self, image: np.ndarray) -> torch.Tensor:
        """`(channels, rows, columns)` for every 4 x 4 pixels."""
        values = torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None] / 127.5 - 1
        for kernel in self.kernels:
            values = functional.conv2d(values, kernel / kernel[0].numel() ** 0.5, stride=2, padding=2).relu()
        return values[0]


def matched(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The second date with mean and deviation of each channel as in the first."""
    axes = (0, 1)
    scaled = (after - after.mean(axes)) / after.std(axes) * before.std(axes) + before.mean(axes)
    return np.clip(scaled.round(), 0, 255).astype(np.uint8)


class Translator:
    """A trained translator."""

    def __init__(self, folder: Path) -> None:
        self.model = SRUITModel.from_pretrained(folder).eval()
        self.processor = SRUITImageProcessor.from_pretrained(folder)

    @torch.inference_mode()
    def to_before(self, image: np.ndarray, date: str) -> np.ndarray:
        """An image of a date with the look of the first."""
        values = self.processor(image, return_tensors="pt")["pixel_values"]
        output = self.model.decode(self.model.encode(values, date), "before")
        return self.processor.post_process_translation(type("Output", (), {"pixel_values": output}))[0]


def dates_compared(translator: Translator, before: np.ndarray, after: np.ndarray) -> dict[str, tuple[np.ndarray, ...]]:
    """What each arm compares."""
    translated = translator.to_before(after, "after")
    return {
        "none": (before, after),
        "matched": (before, matched(before, after)),
        "translated": (before, translated),
        "both": (translator.to_before(before, "before"), translated),
    }


def measure(source: Path, pairs: Path, translator: Translator, count: int, pictures: Path) -> list[dict[str, object]]:
    """A line for every detector and arm."""
    detectors: dict[str, Callable] = {"pixels": by_pixels, "features": ByFeatures()}
    scores: dict[tuple[str, str], list[list[np.ndarray]]] = {}
    for number, (before, after, mask) in enumerate([*read_pairs(pairs / "val")][:count]):
        near = ndimage.binary_dilation(mask, iterations=MARGIN)
        compared = dates_compared(translator, before, after)
        if number < 3:
            rows = [before, after, compared["translated"][1], compared["both"][0]]
            pictures.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.concatenate(rows, axis=1)).save(pictures / f"pair_{number}.png")
        for arm, dates in compared.items():
            for name, detector in detectors.items():
                values = detector(*dates)
                parts = scores.setdefault((name, arm), [[], [], []])
                parts[0].append(values[mask])
                parts[1].append(values[~near])
    for before, after, _ in unchanged_pairs(source, count):
        for arm, dates in dates_compared(translator, before, after).items():
            for name, detector in detectors.items():
                scores[name, arm][2].append(detector(*dates).reshape(-1))
    lines = []
    for (name, arm), parts in scores.items():
        changed, same, unchanged = (np.concatenate(part) for part in parts)
        threshold = np.quantile(changed, 1 - FOUND)
        truth = np.repeat([1, 0], [len(changed), len(same)])
        lines.append(
            {
                "detector": name,
                "arm": arm,
                "false_in_changed_pairs": round(100 * float((same >= threshold).mean()), 2),
                "false_in_unchanged_pairs": round(100 * float((unchanged >= threshold).mean()), 2),
                "auroc": round(float(roc_auc_score(truth, np.concatenate([changed, same]))), 4),
                "found_at_5_percent_false": round(100 * float((changed >= np.quantile(same, 0.95)).mean()), 2),
            }
        )
    return lines


def main() -> None:
    """Make pairs, train, measure, print."""
    parser = argument_parser(__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--folder", type=Path, default=Path("results_translation"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--count", type=int, default=24, help="pairs of val that are looked at")
    arguments, options = parse_with_options(parser)
    pairs = make_pairs(arguments.data, arguments.folder / "pairs", camera=in_winter)
    for seed in arguments.seeds:
        run = arguments.folder / f"seed_{seed}"
        words = ["translation_tiny_cpu", "--data-dir", str(pairs), "--seed", str(seed), "--output-dir", str(run)]
        if not (run / "translator").exists():
            run_training("translation", [*words, "--resume", "auto", *options])
        translator = Translator(run / "translator")
        lines = measure(arguments.data, pairs, translator, arguments.count, run / "pictures")
        write_text(run / "results.json", json.dumps(lines, indent=1))
        print(f"seed {seed}")
        print_head(*lines[0])
        for line in lines:
            print_row(*map(str, line.values()))


if __name__ == "__main__":
    main()
