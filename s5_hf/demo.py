"""The demonstration behind `s5-hf demo`: a scene, a checkpoint, a network, an overlay. It needs no network access."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForSemanticSegmentation

from .atomic import atomic_file
from .conversion import convert_checkpoint, export_official
from .modeling import S5ForSemanticSegmentation, S5SegmentationConfig, S5ViTConfig
from .synthetic import SCENE_LABELS, SCENE_PALETTE, SyntheticScene, synthetic_scene
from .visualization import add_legend, draw_oriented_boxes, overlay_mask, side_by_side

TASK = "scene"


def run_demo(output: str | Path, seed: int = 0, size: int = 600, report: Callable[[str], None] = print) -> Path:
    """Make a synthetic scene, send a random checkpoint through the official layout, segment, draw.

    The weights are random, so the prediction is texture, not a map: what the demonstration shows is that the way
    from an official file to a picture is whole.

    Args:
        output: folder for the results; results of an earlier run are replaced.
        seed: of the scene and of the weights.
        size: height and width of the scene in pixels (600 is, on purpose, no multiple of the patch size).
        report: takes one line per step.

    Returns:
        The overview picture.
    """
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    scene = synthetic_scene(size, seed)
    save_image(Image.fromarray(scene.image), output / "scene.png")
    report(f"scene       {output / 'scene.png'}  {size} x {size} px, {len(scene.boxes)} roofs and cars")

    official = write_random_official_checkpoint(output / "vit_ti_random.pth", seed)
    report(f"checkpoint  {official}  official layout, random weights")
    folder = output / "s5-vit-ti-random"
    shutil.rmtree(folder, ignore_errors=True)
    conversion = convert_checkpoint(official, folder, task=TASK, labels=SCENE_LABELS)
    report(f"converted   {folder}  recognised as: {conversion.kind}")

    classes = segment(folder, scene)
    report(f"segmented   {classes.shape[0]} x {classes.shape[1]} px, classes {sorted(np.unique(classes).tolist())}")
    overview = output / "overview.png"
    save_image(draw_overview(scene, classes), overview)
    report(f"overview    {overview}")
    return overview


def write_random_official_checkpoint(path: Path, seed: int) -> Path:
    """A randomly initialised ViT-Ti segmenter as a `.pth` file of the official layout."""
    config = S5SegmentationConfig(backbone_config=S5ViTConfig.from_size("ti"), tasks={TASK: SCENE_LABELS})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = S5ForSemanticSegmentation(config)
    source = path.with_suffix(".source")
    shutil.rmtree(source, ignore_errors=True)
    path.unlink(missing_ok=True)
    try:
        model.save_pretrained(source)
        return export_official(source, path)
    finally:
        shutil.rmtree(source, ignore_errors=True)


def segment(folder: Path, scene: SyntheticScene) -> np.ndarray:
    """Class ids `(height, width)` that the model in `folder` predicts for a scene."""
    processor = AutoImageProcessor.from_pretrained(folder)
    model = AutoModelForSemanticSegmentation.from_pretrained(folder)
    with torch.inference_mode():
        outputs = model(**processor(scene.image, return_tensors="pt"))
    return processor.post_process_semantic_segmentation(outputs)[0].numpy()


def draw_overview(scene: SyntheticScene, classes: np.ndarray) -> Image.Image:
    """Scene with boxes, true classes and prediction beside each other, with the legend."""
    image = Image.fromarray(scene.image)
    pictures = [
        draw_oriented_boxes(image, scene.boxes, labels=scene.box_labels),
        overlay_mask(image, scene.mask, SCENE_PALETTE),
        overlay_mask(image, classes, SCENE_PALETTE),
    ]
    captions = ["scene, roofs and cars", "true classes", "prediction of random weights"]
    return add_legend(side_by_side(pictures, captions), SCENE_LABELS, SCENE_PALETTE)


def save_image(image: Image.Image, path: Path) -> None:
    """Write a PNG so that a half-written one never carries its name."""
    with atomic_file(path) as temporary:
        image.save(temporary, format="PNG")
