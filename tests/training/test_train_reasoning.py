"""SegEarth-R1 on a few pictures: what a run leaves, exact resumption, processes, adapters, and what is refused."""

import shutil

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from safetensors.torch import load_file
from torch.testing import assert_close
from transformers import AutoModel, AutoProcessor, Mask2FormerConfig, Mask2FormerModel, PhiForCausalLM

from s5_hf.modeling import SegEarthR1ForPixelReasoning, SegEarthR1Processor
from s5_hf.training import CheckpointError, ReasoningRecipe, read_log
from s5_hf.training.kind import Training
from s5_hf.training.reasoning.batches import QuestionGroups, QuestionView
from s5_hf.training.reasoning.kind import PixelReasoning
from s5_hf.training.reasoning.network import load_mask_former, make_network
from s5_hf.training.reasoning.word_tokenizer import word_tokenizer
from tests.numerics import assert_equal_but_for_rounding
from tests.reasoning_models import TINY_PHI, tiny_processor, tiny_reasoner
from tests.training.best_weights import assert_best_kept
from tests.training.pretraining import run_in_two_processes
from tests.training.reasoning import SMALL, questions, train

CHOSEN = ("--selection", "validation", "--validation_steps", "2")


def weights(folder):
    return load_file(folder / "reasoner" / "model.safetensors")


def masks_of(folder):
    """The logits of a trained network for one sample."""
    sample = questions(1, 3)[0]
    inputs = AutoProcessor.from_pretrained(folder / "reasoner")(sample["image"], sample["question"])
    with torch.no_grad():
        return AutoModel.from_pretrained(folder / "reasoner")(**inputs).mask_logits


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reasoning") / "run"
    train(folder, "--batch_size", "2", "--questions_per_image", "2", *CHOSEN)
    return folder


def test_a_run_leaves_a_network_that_answers(whole):
    log = read_log(whole)
    for entry in (one for one in log if "loss" in one):
        parts = 5 * entry["cross_entropy"] + 5 * entry["dice"] + entry["language"]
        assert entry["loss"] == pytest.approx(parts, rel=1e-4)
    assert 0 <= log[-1]["validation/gIoU"] <= 100 and "validation/P@0.5" in log[-1]
    assert list((whole / "panels").glob("*.png"))
    assert_best_kept(whole, "reasoner", "gIoU")
    AutoProcessor.from_pretrained(whole / "best" / "mean")
    model = AutoModel.from_pretrained(whole / "reasoner")
    processor = AutoProcessor.from_pretrained(whole / "reasoner")
    assert isinstance(model, SegEarthR1ForPixelReasoning) and isinstance(processor, SegEarthR1Processor)
    sample = questions(1, 3)[0]
    inputs = processor(sample["image"], sample["question"])
    assert model(**inputs).mask_logits.shape == (1, 1, 16, 16)


def test_it_resumes_exactly(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "again")
    shutil.rmtree(tmp_path / "again" / "checkpoints" / "step-00000004")
    shutil.rmtree(tmp_path / "again" / "best")
    train(tmp_path / "again", "--batch_size", "2", "--questions_per_image", "2", "--resume", "auto", *CHOSEN)
    expected = weights(whole)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights(tmp_path / "again").items())
    assert (tmp_path / "again" / "best" / "mean" / "scores.json").is_file()
    with pytest.raises(CheckpointError, match="holds checkpoints already"):
        train(whole, "--batch_size", "2")


def test_two_processes_equal_one(whole, tmp_path):
    run_in_two_processes(train, tmp_path / "two", "--batch_size", "1", "--questions_per_image", "2")
    # Weights without influence, such as biases of keys, have gradients of roundings, which Adam makes steps.
    expected, found = masks_of(whole), masks_of(tmp_path / "two")
    assert (found - expected).abs().max() < 2e-3 * expected.abs().max()
    assert expected.std() > 0.01 * expected.abs().max()
    one, two = (read_log(folder)[0] for folder in (whole, tmp_path / "two"))
    assert two["loss"] == pytest.approx(one["loss"], rel=1e-5)
    assert two["language"] == pytest.approx(one["language"], rel=1e-5)


class Wrapped(torch.nn.Module):
    """A network as processes share it: its forward pass waits for theirs."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, **inputs):
        raise AssertionError("the wrapper was called")


def test_the_bare_network_is_validated_and_keeps_its_modes(monkeypatch):
    recipe = ReasoningRecipe.read([*SMALL, "--panel_images", "0", "--output_dir", "x"])
    kind = PixelReasoning(recipe, (questions(1, 0), questions(1, 1)))
    kind.question_processor, model = tiny_processor(), tiny_reasoner().train()
    model.backbone.eval()
    modes = [module.training for module in model.modules()]
    AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(cpu=True)
    monkeypatch.setattr(accelerator, "unwrap_model", lambda wrapped: wrapped.module)
    scores = kind.scores(Training(accelerator, Wrapped(model)), 0)
    assert 0 <= scores["gIoU"] <= 100
    assert [module.training for module in model.modules()] == modes


def test_questions_about_an_image_share_its_features():
    model, processor = tiny_reasoner(), tiny_processor()
    samples = questions(2, 0)
    view = QuestionView(processor, seed=3, per_image=3)
    row = view(QuestionGroups(samples, grouped=True)[1], epoch=0)
    again = view(QuestionGroups(samples, grouped=True)[1], epoch=0)
    assert row["questions"] == again["questions"] and torch.equal(row["point_seeds"], again["point_seeds"])
    assert row["mask_labels"].shape == (3, 64, 64) and len(QuestionGroups(samples, grouped=False)) == 4
    prompts = processor.encode_prompts(row["questions"]).as_inputs()
    del prompts["labels"]
    image = row["pixel_values"][None]
    shared = model(pixel_values=image, image_rows=torch.zeros(3, dtype=torch.int64), **prompts).mask_logits
    alone = model(pixel_values=image.expand(3, -1, -1, -1), **prompts).mask_logits
    assert_equal_but_for_rounding(shared, alone)


class Columns(list):
    """Samples as a table that notes which columns are asked for."""

    def __init__(self, samples, asked):
        super().__init__(samples)
        self.asked = asked

    def select_columns(self, names):
        self.asked.append(sorted(names))
        return [{name: sample[name] for name in names} for sample in self]


def test_an_image_is_read_once_for_all_its_questions():
    asked, samples = [], questions(2, 0)
    view = QuestionView(tiny_processor(), seed=3, per_image=3)
    row = view(QuestionGroups(Columns(samples, asked), grouped=True)[1], epoch=0)
    assert asked == [["image"], ["answer", "mask", "question"]]
    plain = view(QuestionGroups(samples, grouped=True)[1], epoch=0)
    assert row["questions"] == plain["questions"] and torch.equal(row["mask_labels"], plain["mask_labels"])
    assert torch.equal(row["pixel_values"], plain["pixel_values"])


@pytest.mark.parametrize("width", [32, 34])
def test_positions_of_a_new_vit_are_those_of_the_decoder(width):
    vit = ("--backbone", "s5_vit", f"hidden_size:{width}", "num_hidden_layers:4", "num_attention_heads:2")
    model = make_network(ReasoningRecipe.read([*SMALL, *vit, "patch_size:8", "--output_dir", "x"]), 50)
    found = model.backbone.embeddings.position_embeddings[0].unflatten(0, (8, 8))
    if width % 4:
        assert found.abs().max() < 0.2  # drawn, with a deviation of 0.02
        return
    angles = 2 * torch.pi * torch.arange(1, 9) / 8
    assert_close(found[:, 3, 0], angles.sin(), atol=1e-4, rtol=0)  # of the row
    assert_close(found[5, :, width // 2 + 1], angles.cos(), atol=1e-4, rtol=0)  # of the column


def test_adapters_of_a_language_model_are_merged(tmp_path):
    pytest.importorskip("peft", reason="low-rank adapters need the extra 'lora'")
    tokenizer = word_tokenizer(["where is it?"])
    language = PhiForCausalLM(type(tiny_reasoner().config.language_config)(**{**TINY_PHI, "vocab_size": 50}))
    language.save_pretrained(tmp_path / "language")
    tokenizer.save_pretrained(tmp_path / "language")
    words = [*SMALL, "--language_model", str(tmp_path / "language"), "--lora_rank", "2", "--output_dir", "x"]
    recipe = ReasoningRecipe.read(words)
    model = make_network(recipe, len(tokenizer))
    trained = {name for name, one in model.language_model.named_parameters() if one.requires_grad}
    assert any("lora_A" in name for name in trained) and "embed_tokens.weight" in trained
    assert not any("base_layer" in name for name in trained)
    base = model.language_model.layers[0].mlp.fc1.base_layer.weight
    assert torch.equal(base, language.model.layers[0].mlp.fc1.weight)
    assert model.lm_head.weight.shape[0] == len(tokenizer)
    train(tmp_path / "run", *words[len(SMALL) : -2], "--batch_size", "2", "--freeze_encoder", "true", *CHOSEN)
    saved = weights(tmp_path / "run")
    assert load_file(tmp_path / "run" / "best" / "mean" / "model.safetensors").keys() == saved.keys()
    assert not any("lora" in name or "base_layer" in name for name in saved)
    changed = saved["language_model.layers.0.mlp.fc1.weight"] - base
    assert np.linalg.matrix_rank(changed.detach().numpy(), tol=1e-7) <= 2 and changed.abs().max() > 0


def test_decoders_start_from_a_mask2former():
    model = tiny_reasoner()
    config = model.config.mask_former_config
    config.backbone_config = model.backbone.config
    torch.manual_seed(5)
    source = Mask2FormerModel(config)
    load_mask_former(model, source)
    decoder = model.mask_decoder
    assert torch.equal(decoder.level_embed.weight, source.transformer_module.level_embed.weight)
    given = source.pixel_level_module.decoder.state_dict()
    assert torch.equal(decoder.pixel_decoder.adapter_1[0].weight, given["adapter_1.0.weight"])
    assert decoder.pixel_decoder.layer_1[0].bias.abs().max() == 0
    assert torch.equal(
        model.backbone.state_dict()["swin.embeddings.norm.weight"],
        source.pixel_level_module.encoder.state_dict()["swin.embeddings.norm.weight"],
    )
    other = Mask2FormerConfig(**{**config.to_dict(), "hidden_dim": 64, "feature_size": 64, "mask_feature_size": 64})
    with pytest.raises(ValueError, match="mask_former has decoders of other sizes"):
        load_mask_former(model, Mask2FormerModel(other))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--dataset", "s5-loveda"], "s5-loveda is for segmentation, expected one with questions and masks"),
        (["--lora_rank", "2"], "lora_rank is for a language model that was trained before"),
        (["--questions_per_image", "0"], "questions_per_image must be at least 1"),
        (["--warmup_share", "1"], "warmup_share 1.0"),
        (["--train_points", "0"], "train_points must be at least 1"),
    ],
)
def test_settings_that_cannot_work(words, message):
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        ReasoningRecipe.read([*SMALL, *words])
