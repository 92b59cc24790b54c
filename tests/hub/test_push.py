"""Pushed models: what lies in the repository, and that it loads where s5_hf is not installed."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from PIL import Image
from transformers import AutoBackbone, AutoModel, AutoModelForSemanticSegmentation

from s5_hf.hub import push, stage_for_hub
from s5_hf.modeling import S5ForSemanticSegmentation, S5ImageProcessor, S5ViTBackbone
from tests.hub.hub_server import LoopbackHub

NO_S5_HF = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "s5_hf":
            raise ModuleNotFoundError("s5_hf is not installed here")

sys.meta_path.insert(0, Block())
"""
WITHOUT_S5_HF = (
    NO_S5_HF
    + """
import numpy, torch
from transformers import AutoBackbone, AutoModel, AutoModelForSemanticSegmentation
# Not from the top: without torchvision transformers 5.17 hides the class there (with s5_hf it does not).
from transformers.models.auto.image_processing_auto import AutoImageProcessor

encoder, segmenter, staged, image_path, output, card = sys.argv[1:]
pixels = torch.from_numpy(numpy.load(image_path)["pixels"])
results = {}
with torch.no_grad():
    for name, source in (("pushed", segmenter), ("staged", staged)):
        model = AutoModelForSemanticSegmentation.from_pretrained(source, trust_remote_code=True)
        results[name] = model(pixels, task="roads").logits
    model = AutoModel.from_pretrained(encoder, trust_remote_code=True)
    results["encoder"] = model(pixels).last_hidden_state
    backbone = AutoBackbone.from_pretrained(encoder, trust_remote_code=True)
    results["finest"] = backbone(pixels).feature_maps[0]
    merged = AutoModelForSemanticSegmentation.from_pretrained(staged, trust_remote_code=True).merge_experts("roads")
    results["merged"] = merged(pixels).logits
processor = AutoImageProcessor.from_pretrained(encoder, trust_remote_code=True)
assert type(processor).__name__ == "S5ImageProcessor"
names = {}
exec(open(card, encoding="utf-8").read(), names)
results["class_map"] = names["class_map"]
assert not any(name.split(".")[0] == "s5_hf" for name in sys.modules)
numpy.savez(output, **{name: value.numpy() for name, value in results.items()})
"""
)


def snippet(card: str) -> str:
    """The Python code of a model card."""
    return re.search(r"```python\n(.+?)```", card, re.DOTALL)[1]


@pytest.fixture
def moe_folder(moe_model: S5ForSemanticSegmentation, own_folders: Path) -> Path:
    """A folder with a micro mixture of experts; tasks `fields` and `roads`."""
    folder = own_folders / "moe"
    moe_model.save_pretrained(folder)
    S5ImageProcessor(do_resize=True, size={"height": 64, "width": 80}).save_pretrained(folder)
    return folder


def test_a_pushed_model_loads_without_s5_hf(
    loopback_hub: LoopbackHub, moe_folder: Path, encoder_folder: Path, own_folders: Path
):
    push(moe_folder, "me/moe", license_name="apache-2.0")
    push(encoder_folder, "me/encoder")
    staged = own_folders / "staged"
    staged.mkdir()
    stage_for_hub(moe_folder, staged, "me/moe")

    image = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    Image.fromarray(image).save("image.png")
    pixels = S5ImageProcessor()(image, return_tensors="np")["pixel_values"]
    np.savez("image.npz", pixels=pixels)
    card = loopback_hub.repositories["me/moe"]["README.md"].decode()
    Path("card.py").write_text(snippet(card), encoding="utf-8")
    environment = {
        "HF_ENDPOINT": loopback_hub.endpoint,
        "HF_HOME": str(own_folders / "home"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "OMP_NUM_THREADS": "1",
    }
    arguments = ["me/encoder", "me/moe", str(staged), "image.npz", "out.npz", "card.py"]
    subprocess.run(
        [sys.executable, "-c", WITHOUT_S5_HF, *arguments],
        env={**minimal_environment(), **environment},
        check=True,
        timeout=120,
    )

    results = np.load("out.npz")
    with torch.no_grad():
        inputs = torch.from_numpy(pixels)
        expected = S5ForSemanticSegmentation.from_pretrained(moe_folder)(inputs, task="roads").logits
        finest = S5ViTBackbone.from_pretrained(encoder_folder)(inputs).feature_maps[0]
        tokens = AutoModel.from_pretrained(encoder_folder)(inputs).last_hidden_state
    for name in ("pushed", "staged"):
        np.testing.assert_array_equal(results[name], expected.numpy())
    np.testing.assert_allclose(results["merged"], expected.numpy(), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(results["finest"], finest.numpy())
    np.testing.assert_array_equal(results["encoder"], tokens.numpy())
    np.testing.assert_array_equal(results["class_map"], expected[0].argmax(0).numpy())


def minimal_environment() -> dict[str, str]:
    """What a process needs, without the settings of this one that concern the Hub."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "S5_HF", "TRANSFORMERS"))}


def test_a_pushed_model_loads_back_by_name(
    loopback_hub: LoopbackHub, encoder_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    address = push(encoder_folder, "me/encoder", private=True)
    assert address.startswith(f"{loopback_hub.endpoint}/me/encoder/commit/")
    assert loopback_hub.private == {"me/encoder": True}
    monkeypatch.setenv("S5_HF_REPO_S5_VIT_MICRO", "me/encoder")
    expected = S5ViTBackbone.from_pretrained(encoder_folder).state_dict()
    for source in ("s5-vit-micro", "me/encoder"):
        loaded = AutoModel.from_pretrained(source).state_dict()
        assert all(torch.equal(tensor, expected[name]) for name, tensor in loaded.items())
    assert type(AutoBackbone.from_pretrained("s5-vit-micro")) is S5ViTBackbone


def test_the_repository_holds_code_configuration_and_card(
    loopback_hub: LoopbackHub, moe_folder: Path, encoder_folder: Path
):
    metrics = {"roads": {"mIoU": 54.02, "OA": 90}}
    push(moe_folder, "me/moe", license_name="cc-by-4.0", metrics=metrics)
    files = loopback_hub.repositories["me/moe"]
    assert files["model.safetensors"] == (moe_folder / "model.safetensors").read_bytes()
    assert json.loads(files["config.json"])["auto_map"] == {
        "AutoConfig": "s5_networks.S5SegmentationConfig",
        "AutoModelForSemanticSegmentation": "s5_networks.S5ForSemanticSegmentation",
    }
    assert json.loads(files["preprocessor_config.json"])["size"] == {"height": 64, "width": 80}
    code = {name for name in files if name.endswith(".py")}
    assert {"s5_networks.py", "upernet.py", "necks.py", "image_processing_s5.py"} <= code
    for name in code:
        for imported in re.findall(r"^\s*from \.(\w+) import", files[name].decode(), re.MULTILINE):
            assert f"{imported}.py" in code

    card = ModelCard(files["README.md"].decode())
    assert card.data.license == "cc-by-4.0"
    assert card.data.pipeline_tag == "image-segmentation"
    assert "| roads | 0 ground, 1 road | 255 |" in card.text
    assert "| roads | mIoU | 54.02 |" in card.text and "| roads | OA | 90 |" in card.text

    push(encoder_folder, "me/encoder")
    files = loopback_hub.repositories["me/encoder"]
    assert "upernet.py" not in files
    card = ModelCard(files["README.md"].decode())
    assert card.data.pipeline_tag == "image-feature-extraction"
    assert card.data.license is None and "Not stated" in card.text


def test_pushing_again_replaces_the_files(loopback_hub: LoopbackHub, moe_folder: Path):
    push(moe_folder, "me/moe")
    push(moe_folder, "me/moe", license_name="mit")
    assert ModelCard(loopback_hub.repositories["me/moe"]["README.md"].decode()).data.license == "mit"


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ({"houses": {"mIoU": 1}}, "unknown task 'houses'; the model's tasks: fields, roads"),
        ({"mIoU": 1}, "give the metrics by task"),
        ({"roads": {"mIoU": "high"}}, "the metric 'mIoU' of 'roads' is 'high', expected a number"),
        ({"roads": {"mIoU": 1}, "fields": 3}, "metrics of 'fields' are 3"),
    ],
)
def test_metrics_that_do_not_fit_are_refused(metrics: dict, message: str, loopback_hub: LoopbackHub, moe_folder: Path):
    with pytest.raises(ValueError, match=message):
        push(moe_folder, "me/moe", metrics=metrics)
    assert loopback_hub.requests == []


def test_flat_metrics_will_do_for_one_task(segmenter_folder: Path, own_folders: Path):
    (own_folders / "stage").mkdir()
    stage_for_hub(segmenter_folder, own_folders / "stage", "me/segmenter", metrics={"mIoU": 61.5})
    assert "| isaid | mIoU | 61.5 |" in (own_folders / "stage" / "README.md").read_text(encoding="utf-8")
    assert isinstance(
        AutoModelForSemanticSegmentation.from_pretrained(own_folders / "stage"), S5ForSemanticSegmentation
    )


def test_folders_without_a_model_are_refused(loopback_hub: LoopbackHub, own_folders: Path):
    with pytest.raises(FileNotFoundError, match=r"nowhere is not a model folder: expected config\.json"):
        push(own_folders / "nowhere", "me/nothing")
    (own_folders / "bert").mkdir()
    (own_folders / "bert" / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    (own_folders / "bert" / "model.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="holds a 'bert' model, expected one of s5_vit, s5_dinov2, s5_segformer"):
        push(own_folders / "bert", "me/nothing")
    assert loopback_hub.requests == []


def test_a_refused_token_is_a_clear_error(loopback_hub: LoopbackHub, encoder_folder: Path):
    loopback_hub.token = "good"
    with pytest.raises(OSError, match=r"me/encoder was not uploaded: .*401"):
        push(encoder_folder, "me/encoder", token="bad")
    assert loopback_hub.repositories == {}
    push(encoder_folder, "me/encoder", token="good")
    assert "model.safetensors" in loopback_hub.repositories["me/encoder"]
