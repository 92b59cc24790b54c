"""The recipes of docs/architecture.md, "Where to add what": a toy of each, added from outside the package."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import typer
from datasets import load_dataset
from PIL import Image
from torch import nn
from transformers import AutoBackbone, AutoConfig, AutoModelForSemanticSegmentation, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BackboneOutput
from typer.testing import CliRunner

from s5_hf import cli
from s5_hf.dataset_builders.masks import MaskEncoding
from s5_hf.dataset_builders.registry import REGISTRY
from s5_hf.dataset_builders.segmentation_builder import SegmentationBuilder
from s5_hf.metrics import SegmentationMetrics
from s5_hf.modeling import S5ForSemanticSegmentation, S5SegmentationConfig
from s5_hf.modeling.configuration_s5_vit import BackboneConfigMixin  # transformers has moved both
from s5_hf.modeling.modeling_s5_vit import BackboneMixin
from s5_hf.semi_supervised import METHODS, LabelledBatch, Method, MethodOutput, make_method, register_method
from s5_hf.semi_supervised.losses import supervised_loss
from s5_hf.synthetic import SCENE_LABELS

STAGE_SETTINGS = {"stage_names", "out_features", "out_indices"}
PAGE = Path(__file__).resolve().parents[1] / "docs" / "architecture.md"


class ToyConfig(BackboneConfigMixin, PretrainedConfig):
    model_type = "toy-backbone"

    def __init__(self, channels=8, **settings):
        self.channels = channels
        self.stage_names = ["stem", "stage1", "stage2", "stage3", "stage4"]
        self.set_output_features_output_indices(out_features=None, out_indices=[1, 2, 3, 4])
        super().__init__(**{key: value for key, value in settings.items() if key not in STAGE_SETTINGS})


class ToyBackbone(BackboneMixin, PreTrainedModel):
    """Four maps at strides 4 to 32, each a pooled copy of the one before."""

    config_class = ToyConfig

    def __init__(self, config):
        super().__init__(config)
        if hasattr(self, "_init_backbone"):  # transformers < 5.3
            self._init_backbone(config)
        self.num_features = [config.channels] * 5
        self.stem = nn.Conv2d(3, config.channels, kernel_size=4, stride=4)
        self.post_init()

    def forward(self, pixel_values, **options):
        maps = [self.stem(pixel_values)]
        while len(maps) < 4:
            maps.append(nn.functional.avg_pool2d(maps[-1], 2))
        return BackboneOutput(feature_maps=tuple(maps))


class ToyLand(SegmentationBuilder):
    """Masks hold 10 for land and 20 for water."""

    DATASET = "toy-land"
    ENCODING = MaskEncoding(value_map={10: 0, 20: 1})


def test_a_network(tmp_path):
    AutoConfig.register(ToyConfig.model_type, ToyConfig)
    AutoBackbone.register(ToyConfig, ToyBackbone)
    config = S5SegmentationConfig(backbone_config=ToyConfig(), tasks={"scene": SCENE_LABELS}, decoder_channels=16)
    model = S5ForSemanticSegmentation(config).eval()
    assert isinstance(model.backbone, ToyBackbone)
    images = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        logits = model(images).logits
        model.save_pretrained(tmp_path)
        loaded = AutoModelForSemanticSegmentation.from_pretrained(tmp_path)
        assert logits.shape == (1, 6, 64, 96)
        assert torch.equal(loaded(images).logits, logits)


def test_a_dataset(tmp_path, monkeypatch):
    for folder in ("train/images", "train/masks"):
        (tmp_path / folder).mkdir(parents=True)
    Image.new("RGB", (8, 6), (10, 90, 30)).save(tmp_path / "train/images/a.png")
    mask = np.full((6, 8), 10, np.uint8)
    mask[:, 4:] = 20
    Image.fromarray(mask).save(tmp_path / "train/masks/a.png")
    entry = replace(
        REGISTRY["s5-image-mask"], name="toy-land", builder=f"{__name__}.ToyLand", labels=("land", "water")
    )
    monkeypatch.setitem(REGISTRY, "toy-land", entry)
    (sample,) = load_dataset("toy-land", data_dir=str(tmp_path), split="train", streaming=True)
    assert sample["id"] == "a"
    assert np.unique(np.asarray(sample["mask"])[:, :4]).tolist() == [0]
    assert np.unique(np.asarray(sample["mask"])[:, 4:]).tolist() == [1]


def test_a_method(monkeypatch):
    monkeypatch.setitem(METHODS, "toy_method", None)  # taken out again afterwards

    @register_method("toy_method")
    @dataclass
    class ToyMethod(Method):
        weight: float = 1.0

        def __call__(self, model, labelled, unlabelled, step):
            loss = self.weight * supervised_loss(model(labelled.pixel_values).logits, labelled.labels)
            return MethodOutput(loss, {"loss_supervised": loss.detach()})

    labelled = LabelledBatch(torch.zeros(2, 3, 4, 4), torch.ones(2, 4, 4, dtype=torch.long))

    def model(images):  # any network that gives logits; these are equal for both classes
        return SimpleNamespace(logits=torch.zeros(len(images), 2, *images.shape[2:], requires_grad=True))

    output = make_method("toy_method", weight=3.0)(model, labelled, None, step=0)
    assert output.loss.item() == pytest.approx(3 * np.log(2), rel=1e-6)


def test_a_metric():
    class Kappa(SegmentationMetrics):
        """Agreement beyond chance (Cohen, 1960), from the confusion matrix that is counted already."""

        def compute(self, **options):
            """The scores, and kappa in -1..1."""  # `evaluate` wants every one of these methods to have a docstring
            scores = super().compute(**options)
            shares = np.asarray(scores["confusion_matrix"]) / np.sum(scores["confusion_matrix"])
            chance = shares.sum(axis=0) @ shares.sum(axis=1)
            return {**scores, "kappa": float((np.trace(shares) - chance) / (1 - chance))}

    metric = Kappa(labels=["land", "water"])
    metric.add_batch(predictions=[[[0, 0], [1, 1]]], references=[[[0, 1], [1, 1]]])
    assert metric.compute()["kappa"] == pytest.approx(0.5)


def test_a_command(monkeypatch):
    monkeypatch.setattr(cli.app, "registered_commands", list(cli.app.registered_commands))  # put back afterwards

    def count(words: list[str]) -> None:
        """Count words."""
        typer.echo(f"{len(words)} words")

    def register(app: typer.Typer) -> None:
        app.command()(count)

    register(cli.app)
    result = CliRunner().invoke(cli.app, ["count", "one", "two"], catch_exceptions=False)
    assert (result.exit_code, result.output) == (0, "2 words\n")
    assert "Count words" in CliRunner().invoke(cli.app, ["--help"]).output


def test_every_recipe_of_the_page_has_a_test():
    recipes = [line[4:] for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("### A ")]
    tests = {name for name in vars(sys.modules[__name__]) if name.startswith("test_a_")}
    tests.add("test_a_kind_of_training")  # in tests/training/test_loop.py, beside what every training must do
    assert {f"test_{recipe.lower().replace(' ', '_')}" for recipe in recipes} == tests
