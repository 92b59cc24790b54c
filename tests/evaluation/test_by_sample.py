"""Models that answer questions, write captions or translate dates: reports, counts, processes, and what is refused."""

import csv
import json
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModel, AutoProcessor
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.evaluation import EvaluationSettings, run_evaluation
from s5_hf.evaluation.by_sample.captioning import evaluate_captioner
from s5_hf.evaluation.by_sample.reasoning import evaluate_reasoner
from s5_hf.evaluation.by_sample.translation import evaluate_translator
from s5_hf.metrics import ReasoningCounts
from s5_hf.metrics.caption_scores import caption_scores_of
from s5_hf.modeling import SRUITConfig, SRUITImageProcessor, SRUITModel
from s5_hf.synthetic import synthetic_change, write_synthetic_changes
from tests.hub.test_push_others import tiny_captioner
from tests.reasoning_models import QUESTIONS, write_tiny_reasoner


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """One model of each kind, and data for each."""
    folder = tmp_path_factory.mktemp("by_sample")
    write_tiny_reasoner(folder / "reasoner")
    for part in tiny_captioner():
        part.save_pretrained(folder / "captioner")
    torch.manual_seed(0)
    SRUITModel(SRUITConfig(hidden_size=4, num_own_blocks=1)).save_pretrained(folder / "translator")
    SRUITImageProcessor().save_pretrained(folder / "translator")
    write_synthetic_changes(folder / "changes", {"test": 3}, seed=3)
    (folder / "questions").mkdir()
    rows = []
    for number, question in enumerate(QUESTIONS):
        change = synthetic_change(64, number)
        mask = np.zeros((64, 64), np.uint8)
        mask[8 * number : 30, 4:40] = 255
        for name, pixels in (("image", change.before), ("mask", mask)):
            Image.fromarray(pixels).save(folder / "questions" / f"{name}{number}.png")
        rows.append([f"image{number}.png", f"mask{number}.png", question])
        for date, pixels in (("before", change.before), ("after", change.after)):
            (folder / "pairs" / "test" / date).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / "pairs" / "test" / date / f"{number}.png")
    with (folder / "questions" / "test.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["image", "mask", "question"], *rows])
    return folder


DATA = {
    "reasoner": ("s5-image-question-mask", "questions"),
    "captioner": ("s5-levir-cc", "changes"),
    "translator": ("s5-image-pair-mask", "pairs"),
}


def settings(work, name, **changes):
    dataset, folder = DATA[name]
    return EvaluationSettings(
        **{"model": str(work / name), "dataset": dataset, "data_dir": str(work / folder), **changes}
    )


def evaluated(work, name, output, *more):
    dataset, folder = DATA[name]
    where = ["--dataset", dataset, "--data-dir", str(work / folder), "--output", str(output)]
    result = CliRunner().invoke(app, ["evaluate", str(work / name), *where, *more])
    assert result.exit_code == 0, result.output
    assert {"results.json", "results.md", "samples.png"} <= {path.name for path in output.iterdir()}
    return json.loads((output / "results.json").read_text(encoding="utf-8"))


def test_answers_are_counted_as_published(work, tmp_path):
    report = evaluated(work, "reasoner", tmp_path, "--kind", "referring")
    model = AutoModel.from_pretrained(work / "reasoner").eval()
    processor, counts = AutoProcessor.from_pretrained(work / "reasoner"), ReasoningCounts()
    overlaps = []
    for number, question in enumerate(QUESTIONS):
        image, mask = (Image.open(work / "questions" / f"{name}{number}.png") for name in ("image", "mask"))
        square = processor.image_processor.frame_mask(np.asarray(mask) // 255)
        with torch.no_grad():
            output = model(**processor(image, question, kind="referring"))
        overlaps.append(counts.update(processor.image_processor.frame_logits(output)[0] > 0, square))
    assert report["gIoU"] == pytest.approx(100 * np.mean(overlaps)) == report["value"]
    assert report["counts"]["images"] == 3 and report["counts"]["union"] == counts.totals[3]
    assert report["cIoU"] == pytest.approx(100 * report["counts"]["intersection"] / report["counts"]["union"])
    rows = json.loads((tmp_path / "answers.json").read_text(encoding="utf-8"))
    assert [row["question"] for row in rows] == QUESTIONS
    assert 100 * np.mean([row["iou"] for row in rows]) == pytest.approx(report["gIoU"])
    text = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert "prompts for referring" in text and "| gIoU | cIoU | P@0.5 |" in text


def test_captions_are_scored_on_words_and_on_numbers(work, tmp_path):
    report = evaluated(work, "captioner", tmp_path, "--beams", "2")
    rows = json.loads((tmp_path / "captions.json").read_text(encoding="utf-8"))
    assert len(rows) == 3 == report["images"] and all(len(row["references"]) == 5 for row in rows)
    words = [[one.replace(".", "").replace(",", " ,").split() for one in row["references"]] for row in rows]
    expected = caption_scores_of(words, [row["caption"].split() for row in rows])
    assert report["rouge_l"] == pytest.approx(100 * expected["rouge_l"])
    assert report["cider"] == pytest.approx(expected["cider"])
    assert report["value"] == report["bleu_4"] and report["unit"] == "percent, cider 0 to 10"
    assert set(report["on_token_numbers"]) == set(expected)
    assert "on_token_numbers:" in (tmp_path / "results.md").read_text(encoding="utf-8")


def test_translations_are_compared_with_the_other_date(work, tmp_path):
    report = evaluated(work, "translator", tmp_path)
    counts = report["counts"]
    truth = [synthetic_change(64, number) for number in range(3)]
    squared = sum(np.square(one.before.astype(float) - one.after).sum() for one in truth)
    assert counts["untranslated"] == pytest.approx(squared) and counts["count"] == 3 * 64 * 64 * 3
    together = counts["like_after"] + counts["like_before"]
    assert report["value"] == pytest.approx(10 * np.log10(255**2 * 2 * counts["count"] / together))
    assert report["unit"] == "dB" and not (tmp_path / "captions.json").exists()


EVALUATIONS = {"reasoner": evaluate_reasoner, "captioner": evaluate_captioner, "translator": evaluate_translator}


class Half:
    """One of two processes, whose counts stay by themselves."""

    num_processes, device = 2, torch.device("cpu")

    def __init__(self, number):
        self.process_index, self.is_main_process = number, number == 0

    def reduce(self, tensor, reduction):
        return tensor

    def main_process_first(self):
        return nullcontext()

    autocast = main_process_first


@pytest.mark.parametrize("name", DATA)
def test_processes_share_the_samples(work, accelerator, name):
    whole, *halves = (EVALUATIONS[name](settings(work, name), one) for one in (accelerator, Half(0), Half(1)))
    for count, value in whole.counts.items():
        assert sum(half.counts[count] for half in halves) == pytest.approx(value), count
    assert sorted((row for half in halves for row in half.rows), key=lambda row: row["number"]) == list(whole.rows)
    assert all(len(half.rows) < 3 for half in halves) and halves[0].sheet is not None and halves[1].sheet is None


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        (
            "reasoner",
            {"dataset": "s5-loveda"},
            "s5-loveda is a dataset for segmentation, the model is one for reasoning",
        ),
        ("reasoner", {"beams": 3}, "beams: not for a model that answers questions"),
        ("reasoner", {"kind": "telling"}, "kind is 'telling', expected one of reasoning, referring"),
        ("captioner", {"kind": "referring", "task": "city"}, "task, kind: not for a model that writes captions"),
        (
            "translator",
            {"protocol_changes": {"window": 64}, "precision": "bf16"},
            "window, precision: not for a model",
        ),
        ("translator", {"protocol": "sliding", "left_out": ("soil",)}, "left_out, protocol: not for a model"),
    ],
)
def test_settings_that_mean_nothing_are_refused(work, accelerator, name, changes, message):
    with pytest.raises(ValueError, match=message):
        run_evaluation(settings(work, name, **changes), accelerator)
