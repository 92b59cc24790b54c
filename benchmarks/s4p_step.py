"""Images per second of a whole S4P step, against the step as officially defined, and where the time goes.

    python benchmarks/s4p_step.py                                   # ViT-B, 512 px, batch 2 + 2 on the CPU, minutes
    python benchmarks/s4p_step.py --precision no                    # float32 throughout
    python benchmarks/s4p_step.py --device cuda --size l --batch-size 12 --repeats 10

All steps are written here, on the same weights, images and optimizer, and take turns in one process. The official one
takes a second unlabelled batch for CutMix with passes of its own, labels in float32 outside autocast, and makes its
strong views (two per image, of which one is thrown away) with Pillow on the host. This package's step pastes from the
same batch, labels in the precision of training, makes the strong views on the device, and takes the decoder's fusing
convolution before it enlarges the coarse levels. "official, as released" also has the attention of the release, which
asks for the weights and so cannot use SDPA; "official" has SDPA, as this package. Host work runs in the same
process for all, so that it counts; with workers it overlaps with the device.
"""

import argparse
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from statistics import median

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageFilter

from measuring import argument_parser, make_segmenter, now, print_head, print_row, torch_in_words
from s5_hf.modeling.upernet import UPerNetDecoder, resize_like
from s5_hf.semi_supervised.batches import paste
from s5_hf.semi_supervised.losses import consistency_loss, supervised_loss
from s5_hf.semi_supervised.pseudo_labels import cutmix, evaluating, label_weak_views
from s5_hf.synthetic import synthetic_scene
from s5_hf.training.batches import stack_rows
from s5_hf.training.optimizer import make_optimizer
from s5_hf.training.peaks import peak_flops
from s5_hf.training.pretraining.view_maker import ViewMaker
from s5_hf.training.throughput import segmenter_flops
from s5_hf.training.views.strong import box_masks
from s5_hf.training.views.strong_draws import StrongAugmentation, StrongDraws, draw_box
from s5_hf.training.views.weak import SampleView, WeakView

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLASSES = 16


class Clock:
    """Seconds by part of the step."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.seconds = device, defaultdict(float)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        start = now(self.device.type)
        yield
        self.seconds[name] += now(self.device.type) - start


class Bench:
    """The network, its images and both steps."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.size, self.batch, self.device = arguments.image_size, arguments.batch_size, torch.device(arguments.device)
        self.precision = arguments.precision
        torch.manual_seed(0)
        self.model = make_segmenter(arguments.size, self.size).to(self.device).train()
        if arguments.compile:
            self.model.compile()
        self.optimizer = make_optimizer(self.model, 5e-5, 0.01)
        self.images = [synthetic_scene(size=self.size, seed=seed).image for seed in range(3 * self.batch)]
        rng = np.random.default_rng(0)
        self.masks = [rng.integers(0, CLASSES, (self.size, self.size)).astype(np.uint8) for _ in self.images]
        self.view = SampleView(WeakView(self.size), 0, "bench", num_labels=CLASSES)
        self.makers = ViewMaker(self.device, MEAN, STD)

    def rows(self, start: int, step: int, strong: StrongDraws | None = None) -> dict[str, torch.Tensor]:
        """A batch of weak views, which both steps make the same way; with what is drawn for strong ones."""
        view = replace(self.view, strong=strong)
        samples = [
            {"id": str(index), "image": self.images[index], "mask": self.masks[index]}
            for index in range(start, start + self.batch)
        ]
        return stack_rows([view(sample, step) for sample in samples])

    def autocast(self) -> torch.autocast:
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float16
        return torch.autocast(self.device.type, dtype=dtype, enabled=self.precision != "no")

    def released_step(self, step: int) -> dict[str, float]:
        """The official step with the attention that writes its weights out."""
        self.model.backbone.config._attn_implementation = "eager"
        seconds = self.official_step(step)
        self.model.backbone.config._attn_implementation = "sdpa"
        return seconds

    def package_step(self, step: int) -> dict[str, float]:
        """FixMatch as this package makes it, part by part."""
        clock = Clock(self.device)
        with clock.part("weak views, host"):
            labelled_rows = self.rows(0, step)
            unlabelled_rows = self.rows(self.batch, step, StrongDraws(StrongAugmentation()))
        with clock.part("strong views"):
            labelled, unlabelled = self.makers.labelled(labelled_rows), self.makers.unlabelled(unlabelled_rows)
        with clock.part("pseudo-labels"), self.autocast():
            own, pasted = label_weak_views(self.model, unlabelled)
            mixed = cutmix(unlabelled, 0, own, pasted, 0.95)
        self.learn(clock, labelled, mixed.pixel_values, mixed.labels, mixed.confident, mixed.valid)
        return clock.seconds

    def official_step(self, step: int) -> dict[str, float]:
        """The step as officially defined, with the official decoder."""
        with official_decoders(self.model):
            return self.official_parts(step)

    def official_parts(self, step: int) -> dict[str, float]:
        """The official step, part by part."""
        clock = Clock(self.device)
        with clock.part("weak views, host"):
            rows = [self.rows(start, step) for start in (0, self.batch, 2 * self.batch)]
        with clock.part("strong views"):
            labelled = self.makers.labelled(rows[0])
            weak = [self.makers.labelled(batch).pixel_values for batch in rows[1:]]
            first = [self.pillow_views(batch) for batch in rows[1:]]
            for batch in rows[1:]:
                self.pillow_views(batch)  # the second strong view, which the official loop never uses
            generator = torch.Generator().manual_seed(step)
            boxes = torch.tensor([draw_box(generator, self.size, StrongAugmentation()) for _ in range(self.batch)])
            box = box_masks(boxes, self.size, self.device)
        with clock.part("pseudo-labels"), torch.no_grad(), evaluating(self.model):
            found = [self.model(images).logits.softmax(dim=1).max(dim=1) for images in weak]
        confidence = paste(found[0].values, found[1].values, box)
        labels = paste(found[0].indices, found[1].indices, box)
        valid = paste(*(batch["labels"].to(self.device) != 255 for batch in rows[1:]), box)
        self.learn(clock, labelled, paste(first[0], first[1], box), labels, (confidence >= 0.95) & valid, valid)
        return clock.seconds

    def learn(self, clock: Clock, labelled, strong, labels, confident, valid) -> None:
        """Forward and backward of the labelled and strong images, and the optimizer: the same for both."""
        with clock.part("forward"), self.autocast():
            logits = self.model(torch.cat([labelled.pixel_values, strong])).logits
            unsupervised = consistency_loss(logits[self.batch :], labels, confident, valid)
            loss = (supervised_loss(logits[: self.batch], labelled.labels) + unsupervised) / 2
        with clock.part("backward"):
            loss.backward()
        with clock.part("optimizer"):
            self.optimizer.step()
            self.optimizer.zero_grad()

    def pillow_views(self, rows: dict[str, torch.Tensor]) -> torch.Tensor:
        """Normalised strong views of a batch of weak ones, made with Pillow."""
        views = [
            pillow_strong_view(Image.fromarray(image.permute(1, 2, 0).numpy()), random.Random(int(seed)))
            for image, seed in zip(rows["image"], rows["seed"], strict=True)
        ]
        pixels = torch.stack([torch.from_numpy(np.asarray(view).copy()).permute(2, 0, 1) for view in views])
        return self.makers.labelled({"image": pixels, "labels": rows["labels"]}).pixel_values


@contextmanager
def official_decoders(model: torch.nn.Module) -> Iterator[None]:
    """Decoders as released, inside the block."""
    decoders = [module for module in model.modules() if isinstance(module, UPerNetDecoder)]
    for decoder in decoders:
        decoder.forward = partial(stacking_forward, decoder)
    try:
        yield
    finally:
        for decoder in decoders:
            del decoder.forward


def stacking_forward(decoder: UPerNetDecoder, feature_maps: list[torch.Tensor]) -> torch.Tensor:
    """The decoder as released: all levels enlarged and stacked, then convolved, whatever their memory format."""
    levels = [conv(level) for conv, level in zip(decoder.lateral_convs, feature_maps, strict=False)]
    levels.append(decoder._pool(feature_maps[-1]))
    for finer in range(len(levels) - 2, -1, -1):
        levels[finer] = levels[finer] + resize_like(levels[finer + 1], levels[finer])
    fine = [conv(level) for conv, level in zip(decoder.level_convs, levels, strict=False)] + levels[-1:]
    return decoder.fusion(torch.cat([fine[0], *(resize_like(level, fine[0]) for level in fine[1:])], dim=1))


def pillow_strong_view(image: Image.Image, rng: random.Random) -> Image.Image:
    """Colour jitter, grayscale and blur with Pillow, in the published ranges."""
    if rng.random() < 0.8:
        for operation in rng.sample(range(4), 4):
            if operation == 3:
                hue, saturation, value = image.convert("HSV").split()
                shift = round(rng.uniform(-0.25, 0.25) * 255)
                hue = Image.fromarray((np.asarray(hue).astype(np.int16) + shift).astype(np.uint8))
                image = Image.merge("HSV", (hue, saturation, value)).convert("RGB")
            else:
                enhancer = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)[operation]
                image = enhancer(image).enhance(rng.uniform(0.5, 1.5))
    if rng.random() < 0.2:
        image = image.convert("L").convert("RGB")
    if rng.random() < 0.5:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.1, 2.0)))
    return image


def measure(steps: dict[str, Callable[[int], dict[str, float]]], repeats: int) -> dict[str, list[dict[str, float]]]:
    """Parts of every timed step; the contestants take turns, after one step each to warm up."""
    for step in steps.values():
        step(0)
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in steps}
    for repeat in range(repeats):
        for name, step in steps.items():
            turns[name].append(step(repeat + 1))
    return turns


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--size", default="b", help="ViT size: ti, s, b, l or h (default b)")
    parser.add_argument("--image-size", type=int, default=512)
    parser.add_argument("--batch-size", type=int, default=2, help="labelled, and as many unlabelled images")
    parser.add_argument("--precision", default="bf16", choices=["no", "bf16", "fp16"], help="of mixed precision")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true")
    arguments = parser.parse_args()
    bench = Bench(arguments)
    steps = {
        "official, as released": bench.released_step,
        "official": bench.official_step,
        "s5_hf": bench.package_step,
    }
    turns = measure(steps, arguments.repeats)

    print(
        f"ViT-{arguments.size.upper()} + UPerNet, {arguments.image_size} px, batch {arguments.batch_size} + "
        f"{arguments.batch_size}, {arguments.device}, mixed precision {arguments.precision}, "
        f"{torch_in_words()}, median of {arguments.repeats}\n"
    )
    parts = list(turns["s5_hf"][0])
    print_head("step", "images/s", "speed / official", *(f"{part}, s" for part in parts))
    seconds = {name: median(sum(turn.values()) for turn in found) for name, found in turns.items()}
    for name, found in turns.items():
        row = [f"{median(turn[part] for turn in found):.3f}" for part in parts]
        rate, ratio = 2 * arguments.batch_size / seconds[name], seconds["official"] / seconds[name]
        print_row(name, f"{rate:.3f}", f"{ratio:.2f}", *row)
    peak = peak_flops(bench.device)
    if peak:
        flops = segmenter_flops(bench.model, (3, arguments.image_size, arguments.image_size)).of_step(
            2 * arguments.batch_size, arguments.batch_size
        )
        print(f"\nMFU of s5_hf: {flops / seconds['s5_hf'] / peak:.3f} of {peak / 1e12:.0f} TFLOP/s")


if __name__ == "__main__":
    main()
