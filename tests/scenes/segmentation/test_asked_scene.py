"""A question about a whole scene: where it looks, what it writes, and what it refuses."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.predictors.question_segmenter import QuestionSegmenter, load_reasoner
from s5_hf.scenes import MapProducts, ask_scene
from s5_hf.scenes.segmentation.asked_scene import PlacedScene, look_from_afar
from s5_hf.scenes.source import ArrayScene
from tests.reasoning_models import QUESTIONS, SIDE, tiny_processor, tiny_reasoner, write_tiny_reasoner


class Bright(QuestionSegmenter):
    """Finds what is bright, and counts how often it looks."""

    def __init__(self) -> None:
        super().__init__(tiny_reasoner(), tiny_processor(), QUESTIONS[0], device="cpu")
        self.looks = 0

    def answer(self, image: torch.Tensor) -> torch.Tensor:
        self.looks += 1
        return 10 * image.mean(dim=0)


def read(path):
    with Image.open(path) as mask:
        return np.asarray(mask)


@pytest.fixture
def scene(tmp_path):
    """Dark, with a bright rectangle in one corner."""
    pixels = np.full((200, 300, 3), 20, np.uint8)
    pixels[130:190, 220:290] = 230
    Image.fromarray(pixels).save(tmp_path / "scene.png")
    return tmp_path / "scene.png"


def test_details_are_looked_at_where_the_whole_shows_something(tmp_path, scene):
    segmenter = Bright()
    said = []
    result = ask_scene(segmenter, scene, tmp_path / "few.png", overlap=0, progress=False, report=said.append)
    assert any("at 1/5 of its size, the scene shows where to look: " in line for line in said)
    expected = np.zeros((200, 300), np.uint8)
    expected[130:190, 220:290] = 1
    found = read(tmp_path / "few.png")
    assert np.array_equal(found, expected)
    few, segmenter.looks = segmenter.looks, 0
    ask_scene(segmenter, scene, tmp_path / "all.png", overlap=0, least=0, progress=False)
    assert np.array_equal(read(tmp_path / "all.png"), expected)
    assert segmenter.looks == 20 and few < 10
    assert [area.label for area in result.areas] == ["elsewhere", "answer"]
    assert result.areas[1].pixels == 60 * 70


def test_the_user_hears_what_was_not_looked_at_or_not_understood(tmp_path, scene):
    segmenter, said = Bright(), []
    Image.fromarray(np.full((200, 300, 3), 20, np.uint8)).save(tmp_path / "dark.png")
    ask_scene(segmenter, tmp_path / "dark.png", tmp_path / "none.png", progress=False, report=said.append)
    assert segmenter.looks == 1 and not read(tmp_path / "none.png").any()
    assert any(line.endswith("so no window is looked at; --least 0 looks everywhere") for line in said)
    question = "where could a zeppelin float, or a zeppelin land?"
    asked = QuestionSegmenter(tiny_reasoner(), tiny_processor(), question, device="cpu")
    assert asked.unknown_words == ["zeppelin", "or", "land"] and segmenter.unknown_words == []
    ask_scene(asked, scene, tmp_path / "asked.png", least=1, progress=False, report=said.append)
    assert "words that mean nothing to the model, which never read them: zeppelin, or, land" in said


def test_an_interrupted_question_leaves_no_map_and_resumes_to_the_same(tmp_path):
    scene = tmp_path / "tall.png"
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE * 16, SIDE, 3), np.uint8)
    Image.fromarray(pixels).save(scene)

    class Interrupted(Bright):
        def answer(self, image):
            if self.looks == 12:
                raise KeyboardInterrupt
            return super().answer(image)

    settings = {"overlap": 0, "least": 0, "progress": False}
    ask_scene(Bright(), scene, tmp_path / "whole.png", **settings)
    with pytest.raises(KeyboardInterrupt):
        ask_scene(Interrupted(), scene, tmp_path / "mask.png", **settings)
    assert not (tmp_path / "mask.png").exists() and (tmp_path / ".mask.png.partial").is_dir()
    with pytest.raises(FileExistsError, match=r"unfinished work of an earlier run; choose resume"):
        ask_scene(Bright(), scene, tmp_path / "mask.png", **settings)
    other = QuestionSegmenter(tiny_reasoner(), tiny_processor(), QUESTIONS[1], device="cpu")
    with pytest.raises(ValueError, match="unfinished work, but since then changed: "):
        ask_scene(other, scene, tmp_path / "mask.png", resume=True, **settings)
    resumed = Bright()
    ask_scene(resumed, scene, tmp_path / "mask.png", resume=True, **settings)
    assert (tmp_path / "mask.png").read_bytes() == (tmp_path / "whole.png").read_bytes()
    assert 0 < resumed.looks <= 8 and not (tmp_path / ".mask.png.partial").exists()


def test_where_to_look_is_a_channel_of_the_scene():
    pixels = np.zeros((5, 7, 3), np.uint8)
    places = np.array([[True, False, False, False], [False] * 4, [False, False, False, True]])
    placed = PlacedScene(ArrayScene(pixels), places, 2)
    rows, valid = placed.read_rows(1, 5)
    assert rows.shape == (4, 4, 7) and valid is None
    assert rows[3].tolist() == [[255, 255] + [0] * 5, [0] * 7, [0] * 7, [0] * 6 + [255]]
    whole = look_from_afar(ArrayScene(pixels), Bright(), least=0.5)
    assert (whole.read_rows(0, 5)[0][3] == 255).all()  # as small as the picture: one look is enough
    assert whole.fingerprint != placed.fingerprint


def test_a_window_is_what_the_processor_makes_of_it():
    model, processor = tiny_reasoner(), tiny_processor()
    segmenter = QuestionSegmenter(model, processor, QUESTIONS[1], device="cpu")
    picture = np.random.default_rng(0).integers(0, 256, (48, 80, 3), np.uint8)
    inputs = processor(picture, QUESTIONS[1])
    with torch.no_grad():
        (expected,) = processor.image_processor.post_process_logits(model(**inputs), [(48, 80)])
    # The processor rounds what it has resized to whole numbers.
    assert np.abs(segmenter.look_at(picture) - expected.sigmoid().numpy()).max() < 0.02
    assert segmenter.fingerprint != QuestionSegmenter(model, processor, QUESTIONS[0], device="cpu").fingerprint


def test_the_command(tmp_path, scene):
    model = write_tiny_reasoner(tmp_path / "model")
    words = ["ask", str(model), str(scene), QUESTIONS[0], str(tmp_path / "mask.png"), "--overlay", "--overlap", "0"]
    result = CliRunner().invoke(app, [*words, "--least", "0.3", "--polygons", ".geojson"])
    assert result.exit_code == 0, result.output
    assert "answer" in result.output and str(tmp_path / "mask.png") in result.output
    assert set(np.unique(read(tmp_path / "mask.png"))) <= {0, 1}
    with Image.open(tmp_path / "mask_overlay.png") as overlay:
        assert overlay.height == 200 and overlay.width > 300  # with a legend
    features = json.loads((tmp_path / "mask_polygons.geojson").read_text(encoding="utf-8"))["features"]
    assert all(feature["properties"]["label"] == "answer" for feature in features)
    with pytest.raises(FileExistsError, match=r"mask\.png"):
        CliRunner().invoke(app, words, catch_exceptions=False)
    sidecar = json.loads((tmp_path / "mask.json").read_text(encoding="utf-8"))
    assert QUESTIONS[0] in json.dumps(sidecar)


def test_what_cannot_be_asked_is_refused(tmp_path, scene):
    model = write_tiny_reasoner(tmp_path / "model")
    with pytest.raises(ValueError, match="question 1 of 1 is empty"):
        load_reasoner(model, " ", device="cpu")
    with pytest.raises(ValueError, match=r"prompt of \d+ tokens, the language model takes 256"):
        load_reasoner(model, "the roofs " * 200, device="cpu")
    with pytest.raises(ValueError, match="least must be a probability"):
        ask_scene(Bright(), scene, tmp_path / "out.png", least=2)
    with pytest.raises(ValueError, match="multiple of 16"):
        ask_scene(Bright(), scene, tmp_path / "out.png", window=SIDE + 1)
    with pytest.raises(FileNotFoundError):
        ask_scene(Bright(), tmp_path / "nothing.png", tmp_path / "out.png")
    (model / "tokenizer.json").unlink()
    with pytest.raises((OSError, ValueError)):
        load_reasoner(model, QUESTIONS[0], device="cpu")
    assert not (tmp_path / "out.png").exists() and MapProducts().polygons is None


def test_another_kind_of_model_is_refused(tmp_path):
    from tests.conftest import micro_segmentation_config

    micro_segmentation_config().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="answers no questions"):
        load_reasoner(tmp_path, "where?", device="cpu")
