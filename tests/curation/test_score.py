"""Scores: right, the same on any number of processes, unharmed by kill -9, and honest about what has no score."""

import io
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from s5_hf.curation import ScoreSettings, score_images
from s5_hf.curation.content import measure_content
from s5_hf.curation.entropy import patch_statistics
from s5_hf.curation.score_table import ScoreFolder
from s5_hf.curation.sources import ImageSource, open_images
from s5_hf.dataset_builders.errors import CorruptImageError
from s5_hf.files.locks import folder_lock
from s5_hf.modeling.image_processing_s5 import IMAGENET_MEAN, IMAGENET_STD
from s5_hf.predictors.feature_segmenter import Prediction, Segmenter
from s5_hf.predictors.image_probabilities import NonFiniteOutputError
from tests.curation.conftest import micro_model
from tests.fresh_process import FreshProcess, run_in_processes
from tests.shifted_weights import VARIABLE as SHIFT_WEIGHTS

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = ScoreSettings(patch_size=64, batch_size=4, part_size=5, background="soil", pseudo_masks=True, threads=2)
FLOATS = ("entropy", "entropy_renormalised", "entropy_with_background", "confidence")

SCRIPT = """
import sys
from s5_hf.curation import ScoreSettings, score_images
from s5_hf.predictors.feature_segmenter import Prediction, Segmenter
from s5_hf.curation.sources import ImageSource, open_images
from tests.shifted_weights import shift_if_asked

shift_if_asked()
model, archive, output = sys.argv[1:]
settings = ScoreSettings(patch_size=64, batch_size=4, part_size=2, background="soil", pseudo_masks=True, threads=1)
score_images(Segmenter.from_pretrained(model), open_images(ImageSource(folder=archive)), output, settings)
"""


ENVIRONMENT = {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


@pytest.fixture(scope="module")
def scored(segmenter, archive, tmp_path_factory) -> ScoreFolder:
    images = open_images(ImageSource(folder=str(archive)))
    return score_images(segmenter, images, tmp_path_factory.mktemp("scores"), SETTINGS)


def test_rows_are_the_patches_in_order(scored, images):
    table = scored.take(np.arange(scored.num_patches), ["id", "image", "left", "top", "width", "height", "source"])
    # Ten whole images, two of 80 x 64 and nine of 150 x 130, in the order of the list.
    assert scored.num_patches == 21
    assert [part.name for part in scored.parts] == [
        "part-000000.parquet",
        "part-000001.parquet",
        "part-000002.parquet",
    ]
    numbers = table["image"].to_pylist()
    assert numbers == sorted(numbers)
    assert sorted(set(numbers)) == list(range(12))
    row = table.slice(numbers.index(5) + 2, 1).to_pylist()[0]
    assert row == {
        "id": "north/scene11@86,0",
        "image": 5,
        "left": 86,
        "top": 0,
        "width": 64,
        "height": 64,
        "source": "north",
    }


def test_values_are_those_of_the_functions(scored, segmenter, archive):
    table = scored.take(np.arange(scored.num_patches), pq.read_schema(scored.parts[0]).names)
    row = next(row for row in table.to_pylist() if row["id"] == "south/scene04")
    pixels = np.asarray(Image.open(archive / "south" / "scene04.png"))
    prediction = segmenter(pixels[None])
    statistics = patch_statistics(prediction.logits, background=0)
    for name in FLOATS:
        assert row[name] == pytest.approx(getattr(statistics, name).item(), abs=1e-5)
    assert np.allclose(row["feature"], prediction.features[0], atol=1e-5)
    assert row["class_counts"] == statistics.class_counts[0].tolist()
    content = measure_content(pixels)
    assert (row["hash"], row["contrast"]) == (content.hash, pytest.approx(content.contrast, abs=1e-4))
    mask = np.asarray(Image.open(io.BytesIO(row["pseudo_mask"])))
    assert np.array_equal(mask, statistics.classes[0].numpy())
    assert row["problem"] is None
    assert row["label_counts"] is None


def test_batch_size_changes_nothing_but_rounding(scored, segmenter, images, tmp_path):
    settings = ScoreSettings(patch_size=64, batch_size=1, part_size=12, background=0, threads=1)
    other = score_images(segmenter, images, tmp_path / "scores", settings)
    columns = ["id", "class_counts", "hash", *FLOATS, "feature"]
    tables = [folder.take(np.arange(21), columns) for folder in (scored, other)]
    assert tables[0]["id"] == tables[1]["id"]
    assert tables[0]["hash"] == tables[1]["hash"]
    for name in FLOATS:
        assert np.allclose(*(table[name].to_numpy() for table in tables), atol=1e-5), name
    assert np.allclose(*(np.stack(table["feature"].to_pylist()) for table in tables), atol=1e-5)


def test_a_finished_part_is_never_redone(segmenter, images, tmp_path):
    score_images(segmenter, images, tmp_path, SETTINGS)
    before = contents(tmp_path)
    times = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    (tmp_path / "part-000001.parquet").unlink()
    (tmp_path / ".part-000001.parquet.abc.partial").write_bytes(b"left by a killed run")
    score_images(segmenter, images, tmp_path, SETTINGS)
    assert contents(tmp_path) == before
    for name, changed in times.items():
        assert (tmp_path / name).stat().st_mtime_ns == changed or name == "part-000001.parquet"


@pytest.fixture(scope="module")
def uninterrupted(model_folder, archive, tmp_path_factory) -> dict[str, bytes]:
    """The files that one process leaves, which scores the archive in parts of two images."""
    output = tmp_path_factory.mktemp("one") / "scores"
    process = FreshProcess(SCRIPT, model_folder, archive, output, **ENVIRONMENT)
    text = process.communicate(timeout=240)
    assert process.returncode == 0, text
    files = contents(output)
    assert len(files) == 7
    return files


@pytest.mark.parametrize(
    ("processes", "shift"),
    [
        pytest.param(2, {SHIFT_WEIGHTS: "3"}, id="two, with weights at other addresses"),
        pytest.param(4, {}, id="four"),
    ],
)
def test_any_number_of_processes_gives_the_same_files(
    model_folder, archive, uninterrupted, tmp_path, processes, shift
):
    output = tmp_path / "scores"
    run_in_processes(processes, SCRIPT, model_folder, archive, output, environment={**ENVIRONMENT, **shift})
    assert contents(output) == uninterrupted


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL on Windows")
def test_killed_and_run_again_equals_uninterrupted(model_folder, archive, uninterrupted, tmp_path):
    output = tmp_path / "killed"
    process = FreshProcess(SCRIPT, model_folder, archive, output, **ENVIRONMENT)
    deadline = time.monotonic() + 120
    while process.returncode is None and not list(output.glob("part-*.parquet")):
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.kill()
    assert process.returncode == -signal.SIGKILL
    process = FreshProcess(SCRIPT, model_folder, archive, output, **ENVIRONMENT)
    text = process.communicate(timeout=240)
    assert process.returncode == 0, text
    assert contents(output) == uninterrupted


def test_a_second_run_on_the_same_folder_is_refused_by_name(segmenter, images, tmp_path):
    output = tmp_path / "scores"
    with folder_lock(output):
        in_work = output / ".part-000000.parquet.0123456789abcdef.partial"
        in_work.write_bytes(b"of the first run")
        with pytest.raises(BlockingIOError, match="scores is in use by another run"):
            score_images(segmenter, images, output, SETTINGS)
        assert in_work.read_bytes() == b"of the first run"
    score_images(segmenter, images, output, SETTINGS)  # the first was killed
    assert [path.name for path in output.iterdir() if path.name.startswith(".")] == []


class SpoiledSegmenter(Segmenter):
    """Says NaN where the first pixel is red."""

    def __call__(self, patches):
        prediction = super().__call__(patches)
        red = torch.from_numpy((patches[:, 0, 0] == (255, 0, 0)).all(axis=1))
        logits = prediction.logits.clone()
        logits[red, 0, 3, 3] = float("nan")
        return Prediction(logits, prediction.features)


def test_nan_logits_stop_scoring_and_are_noted_where_corrupt_images_are_skipped(tmp_path, caplog):
    for name, colour in (("good", (0, 255, 0)), ("spoiled", (255, 0, 0))):
        Image.new("RGB", (32, 32), colour).save(tmp_path / f"{name}.png")
    segmenter = SpoiledSegmenter(micro_model(), IMAGENET_MEAN, IMAGENET_STD)
    images = open_images(ImageSource(folder=str(tmp_path)))
    with pytest.raises(NonFiniteOutputError, match=r"the patch at row 0, column 0 of 'spoiled' are not finite"):
        score_images(segmenter, images, tmp_path / "refused", ScoreSettings(patch_size=32))
    scores = score_images(segmenter, images, tmp_path / "scores", ScoreSettings(patch_size=32, corrupt_images="skip"))
    rows = scores.take(np.array([0, 1]), ["id", "entropy", "problem", "feature"]).to_pylist()
    assert rows[0]["problem"] is None
    assert rows[1] == {"id": "spoiled", "entropy": None, "problem": "the logits are not finite", "feature": None}
    assert "spoiled is left out: the logits are not finite" in caplog.text


def test_no_data_pixels_do_not_count(segmenter, tmp_path):
    half = np.random.default_rng(0).integers(1, 256, (32, 32, 3), dtype=np.uint8)
    half[:, 16:] = 0
    Image.fromarray(half).save(tmp_path / "half.png")
    Image.fromarray(np.zeros_like(half)).save(tmp_path / "none.png")
    images = open_images(ImageSource(folder=str(tmp_path)))
    scores = score_images(segmenter, images, tmp_path / "scores", ScoreSettings(patch_size=32, nodata=0))
    rows = scores.take(np.array([0, 1]), ["class_counts", "problem", "entropy"]).to_pylist()
    assert sum(rows[0]["class_counts"]) == 32 * 16
    logits = segmenter(half[None]).logits[..., :16]
    assert rows[0]["entropy"] == pytest.approx(patch_statistics(logits).entropy.item(), abs=1e-5)
    assert rows[1]["problem"] == "all pixels are no data"


def test_broken_images_stop_or_are_noted(segmenter, archive, tmp_path):
    content = (archive / "north" / "scene01.png").read_bytes()
    (tmp_path / "short.png").write_bytes(content[:2000])
    damaged = bytearray(content)
    damaged[3000:3100] = bytes(100)
    (tmp_path / "torn.png").write_bytes(bytes(damaged))
    (tmp_path / "whole.png").write_bytes(content)
    images = open_images(ImageSource(folder=str(tmp_path)))
    with pytest.raises(CorruptImageError, match="short"):
        score_images(segmenter, images, tmp_path / "scores", ScoreSettings(patch_size=64))
    assert not list((tmp_path / "scores").glob("*.parquet"))
    settings = ScoreSettings(patch_size=64, corrupt_images="skip")
    scores = score_images(segmenter, images, tmp_path / "scores", settings)
    rows = scores.take(np.arange(3), ["id", "problem"]).to_pylist()
    assert [row["id"] for row in rows] == ["unreadable:0", "torn", "whole"]
    assert [row["problem"] is None for row in rows] == [False, False, True]


def test_other_settings_are_refused(scored, segmenter, images):
    with pytest.raises(ValueError, match="patch_size was 64, now it is 32"):
        score_images(segmenter, images, scored.path, ScoreSettings(patch_size=32, part_size=5, background="soil"))
    other = Segmenter(micro_model(seed=3), IMAGENET_MEAN, IMAGENET_STD)
    with pytest.raises(ValueError, match=f"fingerprint was '{segmenter.fingerprint}'"):
        score_images(other, images, scored.path, SETTINGS)


def test_unfinished_folders_do_not_open(segmenter, images, tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no scores"):
        ScoreFolder.open(tmp_path)
    score_images(segmenter, images, tmp_path, SETTINGS)
    (tmp_path / "part-000002.parquet").unlink()
    with pytest.raises(FileNotFoundError, match="1 of 3 parts are missing, first part-000002"):
        ScoreFolder.open(tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"patch_size": 64, "stride": 65}, "stride 65 must not exceed patch_size 64"),
        ({"nodata": 256}, "0..255, got 256"),
        ({"corrupt_images": "warn"}, "got 'warn'"),
        ({"edges": "pad"}, "got 'pad'"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        ScoreSettings(**settings)
