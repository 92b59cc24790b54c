"""RS-MTDF against its official code: one step with given tokens of the teachers, inference, and CLIP's tokens."""

import re

import pytest
import torch
from torch.testing import assert_close
from transformers import CLIPVisionConfig, CLIPVisionModel

from s5_hf.conversion.unimatch_v2_layout import join_attention, unimatch_v2_name
from s5_hf.semi_supervised import RSMTDF, LabelledBatch, UnlabelledBatch
from s5_hf.semi_supervised.frozen_teacher import FrozenTeacher
from s5_hf.training.optimizer import make_optimizer
from tests.parity.ssl_fixtures import TOLERANCE, load, micro_model, parameter_names, summary

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FUSION_NAMES = (
    (r"^fusion\.translators\.0\.", "feature_translator_for_dino.layer."),
    (r"^fusion\.translators\.1\.", "feature_translator_for_clip.layer."),
    (r"^fusion\.projections\.0\.", "project_dino."),
    (r"^fusion\.projections\.1\.", "project_clip."),
)


class GivenTokens:
    """A teacher that answers from a file; it is asked for labelled and strong images in one batch."""

    def __init__(self, tokens):
        self.given = tokens

    def tokens(self, pixel_values, mean, std):
        assert len(pixel_values) == len(self.given)
        return self.given


def official_name(name):
    for pattern, replacement in FUSION_NAMES:
        if re.match(pattern, name):
            return re.sub(pattern, replacement, name)
    return unimatch_v2_name(name)


def published(state):
    return join_attention({official_name(name): tensor for name, tensor in state.items()})


@pytest.fixture
def model(tmp_path):
    model = micro_model(tmp_path).train()
    shared = {"translator_channels": 16}
    model.fuse_teachers(
        [
            {"name": "dino", "hidden_size": 20, "image_size": None, **shared},
            {"name": "clip", "hidden_size": 1024, "image_size": 224, **shared},
        ]
    )
    weights = load("rs_mtdf", "weights/")
    own = {name: weights[official_name(name)] for name in model.state_dict() if name.startswith("fusion.")}
    model.load_state_dict(own, strict=False)
    assert len(own) == len(weights) == 12
    return model


@pytest.fixture
def method(model):
    image, token, channel = (torch.arange(size) for size in (5, 256, 1024))
    place = 7 * image[:, None, None] + 3 * token[:, None] + 5 * channel + token[:, None] * channel
    method = RSMTDF(confidence_threshold=0.65)
    method.attach(model)
    clip = ((place % 31) - 15) / 16
    method.loaded = [GivenTokens(load("rs_mtdf", "teacher/")["dino_patch_tokens"]), GivenTokens(clip)]
    return method


def test_a_step(model, method):
    batch, inputs, scalars = load("micro", "batch/"), load("rs_mtdf", "inputs/"), load("rs_mtdf", "scalars/")
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer = make_optimizer(model, 2e-3, 0.01, encoder_rate=0.25, decay_everything=True)
    unlabelled = UnlabelledBatch(
        weak=batch["weak"],
        strong=(batch["strong1"],),
        ignored=inputs["ignore_mask"] == 255,
        boxes=(inputs["boxes"] == 1,),
        reverse=True,
    )
    output = method(model, LabelledBatch(batch["labelled"], batch["labels"].long()), unlabelled, step=0)
    for ours, official in (
        ("loss_supervised", "loss_x"),
        ("loss_unsupervised", "loss_s"),
        ("loss_distillation", "dis_loss"),
    ):
        assert_close(output.scalars[ours].double(), scalars[official], rtol=1e-5, atol=1e-5)
    assert_close(output.loss.detach().double(), scalars["loss_all"], rtol=1e-5, atol=1e-5)
    output.loss.backward()
    gradients = {
        name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        for name, parameter in model.named_parameters()
    }
    optimizer.step()
    changes = {name: tensor - start[name] for name, tensor in model.state_dict().items()}
    for found, kind in ((published(gradients), "gradient"), (published(changes), "student_change")):
        for name, row in zip(parameter_names("rs_mtdf"), load("rs_mtdf")[f"checks/{kind}"], strict=True):
            if not name.endswith("attn.qkv.bias"):  # the gradient of its key third is rounding noise
                assert (summary(found[name]) - row).norm() <= 2e-3 * row.norm() + 1e-7, (kind, name)
    for name, gradient in load("rs_mtdf", "gradient/").items():
        assert_close(published(gradients)[name], gradient, **TOLERANCE, msg=name)
    method.after_step(model, 0)
    teacher = method.teacher_model.state_dict()
    assert all(torch.equal(teacher[name], tensor) for name, tensor in model.state_dict().items())


@torch.no_grad()
def test_inference_needs_no_teacher(model, tmp_path):
    model.eval().save_pretrained(tmp_path / "fused")
    again = type(model).from_pretrained(tmp_path / "fused")
    logits = again(load("micro", "batch/")["weak"][:1]).logits
    assert_close(logits[..., ::3, ::3], load("rs_mtdf")["inference/logits_of_first_weak_image_strided_3"], **TOLERANCE)


@torch.no_grad()
def test_tokens_of_clip():
    """The last block before the final norm, without the class token, of images normalised for the student."""
    fixture, heads = load("rs_mtdf", "clip_tower/"), int(load("rs_mtdf", "clip_tower/")["heads"])
    weights = load("rs_mtdf", "clip_tower/weights/visual.")
    network = CLIPVisionModel(
        CLIPVisionConfig(
            hidden_size=16,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=heads,
            image_size=42,
            patch_size=14,
            hidden_act="quick_gelu",
        )
    ).eval()
    state = {
        "embeddings.class_embedding": weights["class_embedding"],
        "embeddings.patch_embedding.weight": weights["conv1.weight"],
        "embeddings.position_embedding.weight": weights["positional_embedding"],
    }
    for ours, official in (("pre_layrnorm", "ln_pre"), ("post_layernorm", "ln_post")):
        state |= {f"{ours}.{kind}": weights[f"{official}.{kind}"] for kind in ("weight", "bias")}
    parts = {"self_attn.out_proj": "attn.out_proj", "layer_norm1": "ln_1", "layer_norm2": "ln_2"}
    parts |= {"mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
    for block in range(2):
        source, target = f"transformer.resblocks.{block}", f"encoder.layers.{block}"
        for kind in ("weight", "bias"):
            state |= {
                f"{target}.{ours}.{kind}": weights[f"{source}.{theirs}.{kind}"] for ours, theirs in parts.items()
            }
            thirds = weights[f"{source}.attn.in_proj_{kind}"].chunk(3)
            state |= {
                f"{target}.self_attn.{name}_proj.{kind}": third for name, third in zip("qkv", thirds, strict=True)
            }
    missing = network.load_state_dict(state, strict=False)
    assert not missing.unexpected_keys and set(missing.missing_keys) <= {"embeddings.position_ids"}
    teacher = FrozenTeacher("clip", network, 42, 14, 16, mean=MEAN, std=STD)
    assert_close(teacher.tokens(fixture["image"], MEAN, STD), fixture["patch_features"], **TOLERANCE)
    # The same images, as a student with another normalisation has them.
    pixels = fixture["image"] * torch.tensor(STD).view(3, 1, 1) + torch.tensor(MEAN).view(3, 1, 1)
    tokens = teacher.tokens(pixels / 0.5 - 1, (0.5,) * 3, (0.5,) * 3)
    assert_close(tokens, fixture["patch_features"], **TOLERANCE)
