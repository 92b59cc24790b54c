"""Sentences about changes: data, training, resuming, sentences by `generate`, and what is refused."""

import json

import numpy as np
import pytest
import torch
from datasets import load_dataset
from PIL import Image
from transformers import AutoModel, AutoProcessor
from typer.testing import CliRunner

import s5_hf  # noqa: F401 - makes names and datasets known
from s5_hf.change import caption_scene_changes, load_captioner
from s5_hf.cli import app
from s5_hf.dataset_builders.errors import LayoutError, SampleError
from s5_hf.imaging.windows import Window
from s5_hf.metrics.caption_scores import caption_scores_of, meteor
from s5_hf.modeling import (
    MambaHSIConfig,
    MambaHSIForSemanticSegmentation,
    MVCCConfig,
    MVCCForChangeCaptioning,
    MVCCImageProcessor,
    MVCCProcessor,
)
from s5_hf.synthetic import synthetic_change, write_synthetic_changes
from s5_hf.synthetic.changes import NO_CHANGE
from s5_hf.training import CaptioningRecipe, ChangeCaptioning, carry_out, read_log
from s5_hf.training.captioning.caption_words import MARKS, caption_tokenizer
from tests.fresh_process import run_in_processes
from tests.training.best_weights import assert_best_kept, assert_same_best
from tests.training.pretraining import stop_after_step

VIDEO = ["videomae", *("hidden_size:16", "num_hidden_layers:1", "num_attention_heads:2", "intermediate_size:16")]
VIDEO += ["patch_size:16", "num_frames:2"]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return write_synthetic_changes(tmp_path_factory.mktemp("changes") / "data", {"train": 6, "val": 2}, seed=3)


def tiny(pairs, **settings):
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "backbone": VIDEO, "image_size": 32}
    run = {"num_workers": 0, "total_steps": 4, "batch_size": 4, "checkpoint_steps": 1, "trackers": ["none"]}
    return CaptioningRecipe.make(
        **{
            **small,
            **run,
            "data_dir": str(pairs),
            "least_count": 2,
            "freeze_encoder": False,
            "dropout": 0.0,
            **settings,
        }
    )


def weights(folder):
    return MVCCForChangeCaptioning.from_pretrained(folder / "captioner").state_dict()


def test_made_up_changes():
    changes = [synthetic_change(64, seed) for seed in range(20)]
    assert any(not change.thing for change in changes)
    for change in changes:
        assert len(change.captions) == 5 and change.mask.any() == bool(change.thing)
        if change.thing:
            assert all(change.thing in one and change.place in one for one in change.captions)
            rows, columns = np.nonzero(change.mask)
            middle = ["north" if rows.mean() < 32 else "south", "west" if columns.mean() < 32 else "east"]
            assert change.place == " ".join(middle)
        else:
            assert change.captions == NO_CHANGE
    assert np.array_equal(synthetic_change(64, 3).after, changes[3].after)


def test_builder(pairs, tmp_path):
    rows = list(load_dataset("s5-levir-cc", data_dir=str(pairs), split="train", streaming=True))
    assert [row["id"] for row in rows] == [f"train_{index:06d}" for index in range(6)]
    assert all(len(row["captions"]) == 5 and row["image_after"].size == (64, 64) for row in rows)
    assert {int(value) for row in rows for value in np.unique(row["mask"])} == {0, 1}
    content = json.loads((pairs / "LevirCCcaptions.json").read_text(encoding="utf-8"))
    for name in ("A", "B"):
        (tmp_path / "images/test" / name).mkdir(parents=True)
    with pytest.raises(LayoutError, match=r"has no LevirCCcaptions\.json"):
        load_dataset("s5-levir-cc", data_dir=str(tmp_path), split="test")
    for broken, message in (
        ("{", "is not valid JSON"),
        ('{"images": []}', "at least one image"),
        (json.dumps({"images": [{"filename": "test_1.png", "sentences": []}]}), "expected a split"),
        (json.dumps({"images": [{"filename": "test_1.png"}]}), "expected filename and sentences"),
    ):
        (tmp_path / "LevirCCcaptions.json").write_text(broken, encoding="utf-8")
        with pytest.raises(SampleError, match=message):
            load_dataset("s5-levir-cc", data_dir=str(tmp_path), split="test")
    (tmp_path / "LevirCCcaptions.json").write_text(
        json.dumps({"images": [{**content["images"][0], "split": "test"}]}), encoding="utf-8"
    )
    with pytest.raises(LayoutError, match=r"there is no file images/test/A/train_000000\.png"):
        load_dataset("s5-levir-cc", data_dir=str(tmp_path), split="test")


def test_a_training_resumes_exactly_and_leaves_a_captioner(pairs, tmp_path):
    chosen = {"selection": "validation", "validation_steps": 2}
    carry_out(ChangeCaptioning(tiny(pairs, output_dir=str(tmp_path / "whole"), **chosen)))
    parts = {"output_dir": str(tmp_path / "parts"), **chosen}
    first = ChangeCaptioning(tiny(pairs, **parts))
    stop_after_step(first, 2)
    carry_out(ChangeCaptioning(tiny(pairs, **parts, resume="auto")))
    for name, tensor in weights(tmp_path / "whole").items():
        assert torch.equal(tensor, weights(tmp_path / "parts")[name]), name

    scores = read_log(tmp_path / "whole")[-1]
    assert {"validation/bleu_4", "validation/cider", "validation/meteor"} <= set(scores)
    written = sorted((tmp_path / "whole" / "captions").glob("*.json"))
    assert [len(json.loads(path.read_text(encoding="utf-8"))) for path in written] == [2, 2]
    assert assert_best_kept(tmp_path / "whole", "captioner", "bleu_4")["validation"] == "split val"
    assert_same_best(tmp_path / "whole", tmp_path / "parts")

    model, processor = (
        kind.from_pretrained(tmp_path / "whole" / "best" / "mean") for kind in (AutoModel, AutoProcessor)
    )
    change = synthetic_change(64, 1)
    inputs = processor(change.before, change.after, np.uint8(255) * change.mask, text=list(change.captions[:1]))
    assert model(**inputs).loss.isfinite()
    del inputs["labels"]
    for beams in (1, 2):
        (sentence,) = processor.decode_captions(model.generate(**inputs, num_beams=beams))
        assert isinstance(sentence, str) and "<" not in sentence


TWO = """
import sys
from pathlib import Path
from tests.captioning.test_captioning import tiny
from s5_hf.training import ChangeCaptioning, carry_out
carry_out(ChangeCaptioning(tiny(Path(sys.argv[1]), output_dir=sys.argv[2], batch_size=2)))
"""


def test_two_processes_with_half_the_batch_equal_one(pairs, tmp_path):
    carry_out(ChangeCaptioning(tiny(pairs, output_dir=str(tmp_path / "one"))))
    run_in_processes(2, TWO, pairs, tmp_path / "two")
    for name, tensor in weights(tmp_path / "one").items():
        torch.testing.assert_close(weights(tmp_path / "two")[name], tensor, rtol=0, atol=2e-5, msg=name)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dataset": "s5-loveda"}, "is for segmentation, expected one with sentences"),
        ({"freeze_encoder": True}, "cannot stay as it is"),
        ({"max_length": 2}, "expected room for a word"),
        ({"mask_gate": "half"}, "mask_gate"),
        ({"hidden_size": 15}, "multiple of the 2 attention heads"),
        ({"image_size": 40}, "multiple of the patches of 16 px"),
        ({"backbone": ["vit"]}, "is not a video encoder"),
        ({"least_count": 99}, "no word comes 99 times"),
    ],
)
def test_settings_that_are_refused(pairs, tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        carry_out(ChangeCaptioning(tiny(pairs, output_dir=str(tmp_path / "run"), **settings)))


def test_gates_of_a_mask():
    features, mask = torch.ones(1, 2 * 5, 8), torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    sizes = {"vocab_size": 6, "feature_size": 8, "hidden_size": 8, "num_attention_heads": 2, "memory_frames": 1}
    kept = {}
    for gate in ("none", "hard", "soft"):
        model = MVCCForChangeCaptioning(MVCCConfig(mask_gate=gate, **sizes))
        kept[gate] = model.encoder(features=features, change_mask=mask).last_hidden_state[0, :, 0]
    assert kept["none"].tolist() == [1] * 10
    assert kept["hard"].tolist() == [0, 1, 0, 0, 0] * 2  # the token of the whole image is closed, as released
    assert kept["soft"].tolist() == [0.5, 1, 0.5, 0.5, 0.5] * 2
    with pytest.raises(ValueError, match=r"a mask of 3 x 3 cells gives 10 tokens to a view, which does not fit 12"):
        model.encoder(features=torch.ones(1, 12, 8), change_mask=torch.ones(1, 3, 3))
    with pytest.raises(ValueError, match="one of them"):
        model.encoder()
    with pytest.raises(ValueError, match="no video encoder"):
        model.encoder(pixel_values=torch.ones(1, 2, 3, 8, 8))


def test_words_and_scores_that_are_refused():
    with pytest.raises(ValueError, match="after the marks"):
        caption_tokenizer(["a", *MARKS])
    with pytest.raises(ValueError, match="expected captions"):
        caption_scores_of([], [])
    with pytest.raises(ValueError, match="1 captions and 2 lists"):
        meteor([["a"], ["b"]], [["a"]])
    assert caption_scores_of([[["a", "b", "c", "d"]]], [["a", "b", "c", "d"]])["meteor"] == pytest.approx(1)


def tiny_captioner(folder, channels=3):
    words = [*MARKS, "a", "roof", "appears"]
    video = {"model_type": "videomae", "image_size": 32, "patch_size": 16, "num_frames": 2, "hidden_size": 8}
    video |= {"num_channels": channels, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    sizes = {"vocab_size": len(words), "feature_size": 8, "hidden_size": 8, "num_attention_heads": 2}
    torch.manual_seed(0)
    MVCCForChangeCaptioning(
        MVCCConfig(video_config=video, memory_frames=1, leading_tokens=0, max_length=5, **sizes)
    ).save_pretrained(folder)
    images = MVCCImageProcessor(side=32, grid=2, image_mean=[0.5] * channels, image_std=[0.5] * channels)
    MVCCProcessor(images, caption_tokenizer(words, 5)).save_pretrained(folder)
    return folder


def test_sentences_about_scenes(tmp_path):
    captioner = load_captioner(tiny_captioner(tmp_path / "model"))
    generator = np.random.default_rng(0)
    for name in ("2019", "2024"):
        pixels = generator.integers(0, 255, (300, 520, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    changed = np.zeros((300, 520), np.uint8)
    changed[290, 10], changed[10, 515], changed[:, 300] = 1, 2, 255
    Image.fromarray(changed).save(tmp_path / "map.png")
    (tmp_path / "map.json").write_text(json.dumps({"format": "s5_hf scene result 1", "nodata": 255}), encoding="utf-8")
    scenes = (tmp_path / "2019.png", tmp_path / "2024.png", tmp_path / "out")
    path, captions = caption_scene_changes(captioner, *scenes, maps=[tmp_path / "map.png"], dates=("2019", ""))
    assert [caption.window for caption in captions] == [Window(347, 0, 520, 150), Window(0, 150, 173, 300)]
    features = json.loads(path.read_text(encoding="utf-8"))["features"]
    assert [feature["properties"]["caption"] for feature in features] == [caption.text for caption in captions]
    assert features[1]["geometry"]["coordinates"][0][2] == [173, 300]
    with pytest.raises(FileExistsError):
        caption_scene_changes(captioner, *scenes)
    assert len(caption_scene_changes(captioner, *scenes, overwrite=True)[1]) == 6
    Image.fromarray(changed[:100]).save(tmp_path / "map.png")
    with pytest.raises(ValueError, match=r"has 520 x 100 pixels, .* 520 x 300"):
        caption_scene_changes(captioner, *scenes, maps=[tmp_path / "map.png"], overwrite=True)
    assert len(json.loads(path.read_text(encoding="utf-8"))["features"]) == 6  # what was there stays
    MambaHSIForSemanticSegmentation(MambaHSIConfig(num_channels=4)).save_pretrained(tmp_path / "other")
    with pytest.raises(ValueError, match="expected one of s5-hf train captioning"):
        load_captioner(tmp_path / "other")


@pytest.mark.parametrize("decoder", [["bert"], ["gpt2", "n_inner:32"]])
def test_a_decoder_of_transformers_learns_and_writes(pairs, tmp_path, decoder):
    words = {"max_length": 12, "total_steps": 8, "learning_rate": 1e-2, "checkpoint_steps": 8}
    words |= {"logging_steps": 1, "validation_split": "none"}
    carry_out(ChangeCaptioning(tiny(pairs, output_dir=str(tmp_path), decoder=decoder, **words)))
    losses = [entry["loss"] for entry in read_log(tmp_path) if "loss" in entry]
    assert losses[-1] < 0.9 * losses[0]
    model = AutoModel.from_pretrained(tmp_path / "captioner").eval()
    processor = AutoProcessor.from_pretrained(tmp_path / "captioner")
    assert model.config.decoder_config.model_type == decoder[0] and model.config.hidden_size == 16
    assert model.config.decoder_config.num_hidden_layers == 1
    change = synthetic_change(64, 1)
    mask = np.uint8(255) * change.mask
    inputs = processor(change.before, change.after, mask, text=list(change.captions[:1]))
    with torch.no_grad():
        logits = model(**inputs).logits
        longer = {**inputs, "labels": torch.cat([inputs["labels"], inputs["labels"].new_zeros(1, 2)], dim=1)}
        torch.testing.assert_close(model(**longer).logits[:, : logits.shape[1]], logits, rtol=1e-4, atol=1e-5)
        del inputs["labels"]
        (greedy,) = model.generate(**inputs)
        assert 2 <= len(model.generate(**inputs, num_beams=2)[0]) <= 12
    assert greedy[0] == 2 and len(greedy) <= 12
    (kept,) = model.generate(**{**inputs, "change_mask": torch.zeros_like(inputs["change_mask"])}, max_length=4)
    assert len(kept) <= 4


def test_decoders_of_transformers_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="hidden_size is 24, the decoder's is 16: expected the same"):
        MVCCConfig(hidden_size=24, decoder_config={"model_type": "bert", "hidden_size": 16})
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    short = {"model_type": "bert", "max_position_embeddings": 8, **small}
    with pytest.raises(ValueError, match="has 8 places, captions have up to 41"):
        MVCCForChangeCaptioning(MVCCConfig(decoder_config=short))
    with pytest.raises(ValueError, match="a 'phi' cannot look at features: expected a decoder with cross-attention"):
        MVCCForChangeCaptioning(MVCCConfig(decoder_config={"model_type": "phi", **small}))


def write_bands(path, count):
    rasterio = pytest.importorskip("rasterio", reason='needs: pip install "s5_hf[geo]"')
    pixels = np.random.default_rng(count).integers(0, 255, (count, 40, 50), dtype=np.uint8)
    size = {"height": 40, "width": 50, "count": count, "dtype": "uint8"}
    place = rasterio.transform.from_origin(500000, 4000000, 1, 1)
    with rasterio.open(path, "w", driver="GTiff", crs="EPSG:32618", transform=place, **size) as file:
        file.write(pixels)
    return path


def test_scenes_with_other_bands_than_the_captioner(tmp_path):
    """They are refused before any map is made, and read where there is one band for each channel."""
    three, four = (tiny_captioner(tmp_path / f"of_{count}", count) for count in (3, 4))
    scenes = [write_bands(tmp_path / f"{year}.tif", 5) for year in (2019, 2024)]
    words = ["change", *map(str, scenes), str(tmp_path / "out"), "--model", str(tmp_path / "of_3"), "--caption"]
    with pytest.raises(ValueError, match=r"takes 3 channels, and of .*2019\.tif the bands 1, 2, 3, 4, 5 were chosen"):
        CliRunner().invoke(app, [*words, str(three)], catch_exceptions=False)
    with pytest.raises(OSError, match="nowhere"):
        CliRunner().invoke(app, [*words, str(tmp_path / "nowhere")], catch_exceptions=False)
    assert not (tmp_path / "out").exists()
    wide = write_bands(tmp_path / "wide.tif", 4)
    with pytest.raises(ValueError, match=r"takes 4 channels, and of .*2019\.tif"):
        caption_scene_changes(load_captioner(four), wide, scenes[0], tmp_path / "out")
    later = write_bands(tmp_path / "later.tif", 4)
    _, captions = caption_scene_changes(load_captioner(four), wide, later, tmp_path / "out")
    assert [caption.window for caption in captions] == [Window(0, 0, 50, 40)]
