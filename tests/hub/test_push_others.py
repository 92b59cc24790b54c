"""Models that read or write words, see cubes, draw roads or give images: their cards' snippets run without s5_hf."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from PIL import Image
from transformers import AutoModel, VideoMAEConfig
from transformers.models.auto.image_processing_auto import AutoImageProcessor
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.hub import stage_for_hub
from s5_hf.hub.model_card import model_card
from s5_hf.hub.names import NETWORKS, PLAIN_NETWORKS
from s5_hf.hub.purposes import PURPOSES
from s5_hf.hub.to_hub import AUTO_CLASSES
from s5_hf.modeling import (
    MambaHSIConfig,
    MambaHSIForSemanticSegmentation,
    MambaHSIImageProcessor,
    MVCCConfig,
    MVCCForChangeCaptioning,
    MVCCImageProcessor,
    MVCCProcessor,
    S5Dinov2Config,
    SamRoadProcessor,
    SRUITConfig,
    SRUITImageProcessor,
    SRUITModel,
)
from s5_hf.predictors import load_segmenters
from s5_hf.synthetic import synthetic_change
from s5_hf.training.captioning.caption_words import MARKS, caption_tokenizer
from tests.hub.hub_server import LoopbackHub
from tests.hub.test_push import NO_S5_HF, minimal_environment, snippet
from tests.modeling.test_samroad import micro_model
from tests.open_models import tiny_model, write_tiny_model
from tests.open_models import tiny_processor as open_processor
from tests.reasoning_models import TINY_VIT, tiny_processor, write_tiny_reasoner

WITHOUT_S5_HF = (
    NO_S5_HF
    + """
import json, numpy, torch
from pathlib import Path

torch.manual_seed(0)
found = {}
for card in json.loads(sys.argv[1]):
    names = {}
    exec(Path(card).read_text(encoding="utf-8"), names)
    found[Path(card).stem] = names["RESULT"]
assert not any(name.split(".")[0] == "s5_hf" for name in sys.modules)
numpy.savez("found.npz", **{name: numpy.asarray(value) for name, value in found.items()})
"""
)
RESULTS = {  # what a snippet leaves, by the name of the model
    "open": "class_map",
    "reasoner": "mask",
    "captioner": "sentence",
    "cube": "class_map",
    "translator": "image_like_after",
    "clip": "features.detach()",
    "roads": "[part.numpy() for part in processor.post_process_road_masks(outputs, 0.5, 0.5)]",
}
QUESTION = "where would a helicopter land?"


def tiny_captioner() -> tuple[MVCCForChangeCaptioning, MVCCProcessor]:
    """A captioner of 32 px with random weights, and its processor."""
    torch.manual_seed(0)
    video = VideoMAEConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=32,
        num_frames=2,
    )
    settings = {"hidden_size": 16, "num_attention_heads": 2, "memory_frames": 1, "leading_tokens": 0}
    words = [*MARKS, "house", "new", "road"]
    config = MVCCConfig(video, vocab_size=len(words), feature_size=16, max_length=8, **settings)
    images = MVCCImageProcessor(side=32, grid=2)
    return MVCCForChangeCaptioning(config).eval(), MVCCProcessor(images, caption_tokenizer(words, 8))


def write_others(folder: Path) -> dict[str, object]:
    """Write models of each kind and the files that their snippets open; what each makes of them."""
    change = synthetic_change(64, seed=1)
    for name, pixels in (("image", change.before), ("before", change.before), ("after", change.after)):
        Image.fromarray(pixels).save(folder / f"{name}.png")
    Image.fromarray(np.uint8(255) * change.mask).save(folder / "changed.png")
    cube = np.random.default_rng(0).uniform(50, 900, (16, 20, 6)).astype(np.float32)
    np.save(folder / "cube.npy", cube)
    torch.manual_seed(0)
    labels = {0: "soil", 1: "crop_1", 2: "water"}
    made = {
        "cube": (
            MambaHSIForSemanticSegmentation(MambaHSIConfig(num_channels=6, id2label=labels)).eval(),
            MambaHSIImageProcessor.of_stretch(100.0, 800.0, 6),
        ),
        "translator": (SRUITModel(SRUITConfig(hidden_size=4, num_own_blocks=1)).eval(), SRUITImageProcessor()),
        "captioner": tiny_captioner(),
        "roads": (micro_model().eval(), SamRoadProcessor()),
    }
    for name, parts in made.items():
        for part in parts:
            part.save_pretrained(folder / name)
    write_tiny_model(folder / "open")
    tiny_model().clip.save_pretrained(folder / "clip")
    settings = {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 32}}
    settings["crop_size"] = {"height": 32, "width": 32}
    (folder / "clip" / "preprocessor_config.json").write_text(json.dumps(settings), encoding="utf-8")
    write_tiny_reasoner(folder / "reasoner", backbone_config=TINY_VIT)
    with torch.no_grad():
        return expected_results(folder, made, change, cube)


@pytest.fixture(scope="module")
def others(tmp_path_factory) -> tuple[Path, dict[str, object]]:
    """The folder of the models and of the files that the snippets open, and what comes out."""
    folder = tmp_path_factory.mktemp("others")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the other process
    try:
        return folder, write_others(folder)
    finally:
        torch.set_num_threads(threads)


def expected_results(folder: Path, made: dict, change: object, cube: np.ndarray) -> dict[str, object]:
    """What the models make of the files, by the classes of this package."""
    image = Image.fromarray(change.before)
    segmenter = NETWORKS["segearth_ov"].from_pretrained(folder / "open").eval()
    segmenter.encode_classes(["background", "building,roof,house", "road"])
    of_image = open_processor()
    reasoner = NETWORKS["segearth_r1"].from_pretrained(folder / "reasoner").eval()
    captioner, of_pairs = made["captioner"]
    network, of_cubes = made["cube"]
    translator, of_dates = made["translator"]
    clip, of_clip = AutoModel.from_pretrained(folder / "clip"), AutoImageProcessor.from_pretrained(folder / "clip")
    pair = of_pairs(change.before, change.after, np.uint8(255) * change.mask)
    roads, of_crops = made["roads"]
    outputs = roads(**of_crops(image, return_tensors="pt"))
    return {
        "clip": clip.get_image_features(**of_clip(image, return_tensors="pt")).pooler_output[0],
        "roads": [part.numpy() for part in of_crops.post_process_road_masks(outputs, 0.5, 0.5)],
        "open": of_image.post_process_semantic_segmentation(
            segmenter(**of_image(image, return_tensors="pt")), [(64, 64)]
        )[0],
        "reasoner": tiny_processor().post_process_masks(reasoner(**tiny_processor()(image, QUESTION)), [(64, 64)])[0],
        "captioner": of_pairs.decode_captions(captioner.generate(**pair, num_beams=3))[0],
        "cube": network(**of_cubes(cube, return_tensors="pt")).logits[0].argmax(0),
        "translator": of_dates.post_process_translation(
            translator(**of_dates(image, return_tensors="pt"), to="after")
        )[0],
    }


def test_the_snippets_of_the_cards_run_without_s5_hf(own_folders: Path, others: tuple[Path, dict]):
    folder, expected = others
    cards = []
    for name, result in RESULTS.items():
        stage = own_folders / "staged" / name
        stage.mkdir(parents=True)
        stage_for_hub(folder / name, stage, str(stage))
        code = snippet((stage / "README.md").read_text(encoding="utf-8"))
        cards.append(str(own_folders / f"{name}.py"))
        Path(cards[-1]).write_text(f"{code}\nRESULT = {result}\n", encoding="utf-8")
    environment = {**minimal_environment(), "HF_HOME": str(own_folders / "home"), "OMP_NUM_THREADS": "1"}
    program = [sys.executable, "-c", WITHOUT_S5_HF, json.dumps(cards)]
    subprocess.run(program, env=environment, cwd=folder, check=True, timeout=120)
    found = np.load(folder / "found.npz")
    for name, value in expected.items():
        assert np.asarray(value).shape == found[name].shape, name
        if name == "captioner":
            assert found[name].item() == value
        elif name == "clip":
            np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5)
        else:
            assert np.mean(np.asarray(value) == found[name]) > 0.99, name


def test_cards_tell_strangers_what_the_models_are_for(own_folders: Path, others: tuple[Path, dict]):
    folder, _ = others
    cards = {}
    for name in RESULTS:
        (own_folders / f"staged_{name}").mkdir()
        stage_for_hub(folder / name, own_folders / f"staged_{name}", f"me/{name}", metrics={"val": {"score": 5}})
        cards[name] = ModelCard.load(own_folders / f"staged_{name}" / "README.md")
    assert {card.data.pipeline_tag for card in cards.values()} == {
        *("image-segmentation", "image-to-text", "image-to-image", "image-feature-extraction")
    }
    for word, name in (
        ("0 soil, 1 crop&#95;1, 2 water", "cube"),
        ("same units", "cube"),
        ("s5_vit and phi", "reasoner"),
        ("Masks that answer questions", "reasoner"),
        ("mvcc and videomae", "captioner"),
        ("a mask of what changed", "captioner"),
        ("as we read the paper", "translator"),
        ("Those that you name", "open"),
        ("SAM-Road++", "roads"),
        ("outputs.probabilities[0]", "roads"),
        ("AlignEarth", "clip"),
    ):
        assert word in cards[name].text, (word, name)
    assert "road-graph" in cards["roads"].data.tags
    assert all("| val | score | 5 |" in card.text for card in cards.values())
    assert (own_folders / "staged_reasoner" / "tokenizer.json").is_file()
    assert (own_folders / "staged_captioner" / "generation_config.json").is_file()


def test_every_registered_model_can_be_pushed():
    assert set(AUTO_CLASSES) == set(NETWORKS) == set(PURPOSES) - set(PLAIN_NETWORKS)
    assert "AutoBackbone" in model_card(S5Dinov2Config(), "me/encoder", None, {}).text
    text = model_card(MVCCConfig(hidden_size=16, feature_size=24), "me/captioner", None, {}).text
    assert "model.generate(features=features" in text and "(batch, tokens, 24)" in text


def test_a_model_that_reads_words_is_pushed_with_its_tokenizer(loopback_hub: LoopbackHub, others: tuple[Path, dict]):
    result = CliRunner().invoke(app, ["push", str(others[0] / "reasoner"), "me/reasoner"])
    assert result.exit_code == 0, result.output
    files = loopback_hub.repositories["me/reasoner"]
    settings = json.loads(files["processor_config.json"])
    assert settings["auto_map"]["AutoProcessor"] == "s5_networks.SegEarthR1Processor"
    assert settings["image_processor"]["auto_map"] == {"AutoImageProcessor": "s5_networks.SegEarthR1ImageProcessor"}
    assert {"tokenizer.json", "model.safetensors", "description_projector.py", "s5_networks.py"} <= set(files)


def test_a_plain_clip_is_pushed_without_code(loopback_hub: LoopbackHub, others: tuple[Path, dict]):
    result = CliRunner().invoke(app, ["push", str(others[0] / "clip"), "me/radar-clip", "--license", "mit"])
    assert result.exit_code == 0, result.output
    files = loopback_hub.repositories["me/radar-clip"]
    assert {"README.md", "config.json", "model.safetensors", "preprocessor_config.json"} <= set(files)
    assert not [name for name in files if name.endswith(".py")]
    assert "auto_map" not in json.loads(files["config.json"])
    assert "trust_remote_code" not in files["README.md"].decode()


def test_models_that_lack_what_they_need_are_refused(own_folders: Path, others: tuple[Path, dict]):
    for name in ("captioner", "cube", "clip"):
        shutil.copytree(others[0] / name, own_folders / name)
    (own_folders / "stage").mkdir()
    (own_folders / "clip" / "preprocessor_config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"no preprocessor_config\.json, which says how the images"):
        stage_for_hub(own_folders / "clip", own_folders / "stage", "me/model")
    shutil.rmtree(own_folders / "stage")
    (own_folders / "stage").mkdir()
    (own_folders / "captioner" / "tokenizer.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"expected tokenizer\.json .*captioner: the model reads or writes"):
        stage_for_hub(own_folders / "captioner", own_folders / "stage", "me/model")
    with pytest.raises(ValueError, match="has learned a hyperspectral cube, whose values are not those of images"):
        load_segmenters(own_folders / "cube", None, ["cpu"])
    (own_folders / "cube" / "preprocessor_config.json").unlink()
    with pytest.raises(FileNotFoundError, match="says how the values of cubes are stretched"):
        stage_for_hub(own_folders / "cube", own_folders / "stage", "me/model")
