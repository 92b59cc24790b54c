"""SegEarth-R1 against its official code: every part, masks, losses and their gradients, prompts and images."""

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch.testing import assert_close
from transformers import AutoBackbone, PreTrainedTokenizerFast

from s5_hf.conversion.segearth_r1_layout import DEAD, from_release, own_name, release_config, to_release
from s5_hf.modeling import (
    SegEarthR1Config,
    SegEarthR1ForPixelReasoning,
    SegEarthR1ImageProcessor,
    SegEarthR1Processor,
)
from s5_hf.modeling.modeling_segearth_r1 import learned_tokens, mean_of_question
from s5_hf.modeling.point_mask_loss import mask_losses
from s5_hf.modeling.prompt_sequence import ANSWER, IMAGE, REFER, SEGMENT, fill_places
from tests.parity.fixtures import Sample, sample
from tests.parity.reasoning_fixtures import TOLERANCE, arrays, draw, settings, weight

MODEL, SWIN, DATA = "segearth-r1-model", "segearth-r1-swin", "segearth-r1-data"
STAGES = ["stage1", "stage2", "stage3", "stage4"]
PLACES = {IMAGE: "<image>", REFER: "<refer>", SEGMENT: "<seg>", ANSWER: "<answer>"}


def assert_like(actual: torch.Tensor, expected: torch.Tensor | Sample) -> None:
    if isinstance(expected, Sample):
        assert tuple(actual.shape) == tuple(expected.shape)
        actual, expected = sample(actual, expected.step), expected.values
    assert_close(actual.detach(), expected, **TOLERANCE)


@pytest.fixture(scope="module")
def model():
    notes = settings(MODEL)
    mask, former = notes["config"]["mask"], notes["config"]["mask"]["MASK_FORMER"]
    config = SegEarthR1Config(
        backbone_config={
            "model_type": "swin",
            "embed_dim": 128,
            "depths": [1, 1, 1, 1],
            "num_heads": [1, 1, 1, 1],
            "out_features": STAGES,
        },
        language_config={"model_type": "phi", **notes["config"]["phi"]},
        image_size=notes["config"]["image_size"],
        decoder_channels=former["HIDDEN_DIM"],
        pixel_decoder_layers=mask["SEM_SEG_HEAD"]["TRANSFORMER_ENC_LAYERS"],
        mask_decoder_layers=former["DEC_LAYERS"] - 1,
        mask_decoder_feedforward=former["DIM_FEEDFORWARD"],
        train_points=former["TRAIN_NUM_POINTS"],
    )
    network = SegEarthR1ForPixelReasoning(config).eval()
    tensors = {key: weight(key, tuple(shape)) for key, shape in notes["keys"].items()}
    for key, first in notes["check"].items():
        assert tensors[key].flatten()[0].item() == pytest.approx(first, rel=1e-6)
    converted = from_release(tensors, heads=4)
    missing, unexpected = network.load_state_dict(converted, strict=False)
    assert not unexpected and all(name.startswith("backbone.") for name in missing)
    return network


@pytest.fixture(scope="module")
def maps():
    shapes = {"res2": (128, 64), "res3": (256, 32), "res4": (512, 16), "res5": (1024, 8)}
    return [draw(f"feat.{name}", (2, channels, side, side)) for name, (channels, side) in shapes.items()]


@pytest.fixture(scope="module")
def prompts():
    inputs = settings(MODEL)["inputs"]
    return fill_places(inputs["input_ids"], inputs["labels"], inputs["refer"], inputs["answer"], visual_tokens=4)


def test_sequences(prompts):
    fixture = arrays(MODEL)
    assert torch.equal(prompts.attention_mask, fixture["attention_mask"])
    assert torch.equal(prompts.labels, fixture["new_labels"])
    assert torch.equal(prompts.refer_mask.long(), fixture["new_refer"])


@torch.no_grad()
def test_every_part(model, maps, prompts):
    fixture = arrays(MODEL)
    assert_like(model.connector(maps[-1]), fixture["visual_tokens"])
    embeddings = model.embed_prompts(prompts.input_ids, prompts.attention_mask, maps[-1])
    assert_like(embeddings, fixture["inputs_embeds"])
    hidden = model.read_prompts(prompts.input_ids, prompts.attention_mask, maps[-1])
    assert_like(hidden, fixture["hidden"])
    assert_like(model.lm_head(hidden), fixture["logits"])
    first, second = model.projector.embeddings(mean_of_question(hidden, prompts.refer_mask), maps[-1])
    assert_like(first, fixture["E0"])
    assert_like(second, fixture["E1"])
    query = model.make_query(hidden, prompts.refer_mask, maps[-1])
    assert_like(query, fixture["query"])
    pixels = model.mask_decoder.pixel_decoder(maps, output_hidden_states=False, output_attentions=False)
    assert_like(pixels.mask_features[:1, ::8], fixture["mask_features_0"])
    for level, name, images, every in zip(
        pixels.multi_scale_features, ("res5", "res4", "res3"), (2, 1, 1), (1, 4, 8), strict=True
    ):
        assert_like(level[:images, ::every], fixture[f"memory_{name}"])


@torch.no_grad()
def test_masks(model, maps, prompts):
    fixture = arrays(MODEL)
    output = model(feature_maps=maps, **prompts.as_inputs())
    masks = [*output.auxiliary_logits, output.mask_logits]
    assert_like(masks[0], fixture["masks_first"])
    assert_like(masks[-1], fixture["masks_last"])
    for row, name in enumerate(("mean", "std")):
        found = torch.stack([getattr(one, name)((1, 2, 3)) for one in masks])
        assert_close(found, fixture["masks_stats"][:, row], **TOLERANCE)
    binary = SegEarthR1ImageProcessor(size=256).frame_logits(output) > 0
    bits = torch.from_numpy(np.packbits(binary.numpy()))
    assert torch.equal(bits, fixture["pred_bits"])
    assert torch.equal(binary.sum((1, 2)).float(), fixture["pred_area"])


@torch.no_grad()
def test_answers_cannot_change_masks(model, maps, prompts):
    inputs = settings(MODEL)["inputs"]
    short = [ids[: ids.index(REFER) + 1] for ids in inputs["input_ids"]]
    alone = fill_places(short, short, inputs["refer"], [[], []], visual_tokens=4)
    whole = model(feature_maps=maps, **prompts.as_inputs()).mask_logits
    assert_like(model(feature_maps=maps, **alone.as_inputs()).mask_logits, whole)


@torch.no_grad()
def test_where_everything_is_blocked_nothing_is(model, maps, prompts):
    hidden = model.read_prompts(prompts.input_ids, prompts.attention_mask, maps[-1])
    query = model.make_query(hidden, prompts.refer_mask, maps[-1])
    decoder = model.mask_decoder
    pixels = decoder.pixel_decoder(maps, output_hidden_states=False, output_attentions=False)
    embedding = decoder.decoder.mask_predictor.mask_embedder(decoder.decoder.layernorm(query))
    features = -embedding.transpose(1, 2)[..., None].expand(-1, -1, 64, 64)
    outputs = decoder.decode(query, pixels.multi_scale_features, features)
    assert_like(torch.stack([one[:, 0, 0, 0] for one in outputs]), arrays(MODEL)["blocked_values"])


def test_losses_and_gradients(model, maps, prompts):
    fixture, notes = arrays(MODEL), settings(MODEL)
    y, x = torch.meshgrid(torch.arange(256), torch.arange(256), indexing="ij")
    masks = torch.stack([(y - 90) ** 2 + (x - 140) ** 2 < 60**2, (x > 150) & (y > 100)])
    model.zero_grad()
    output = model(feature_maps=maps, **{**prompts.as_inputs(), "labels": prompts.labels})
    outputs = [*output.auxiliary_logits, output.mask_logits]
    # The official code draws for the last output first.
    order = [*range(1, 10), 0]
    places = [(fixture["points_over"][index], fixture["points_rand"][index]) for index in order]
    cross_entropy, dice = mask_losses(outputs, masks, places, uncertain=147)
    assert_like(cross_entropy, fixture["loss_mask_each"])
    assert_like(dice, fixture["loss_dice_each"])
    language = output.loss_parts["language"]
    assert_like(language, fixture["loss_llm"])
    assert learned_tokens(prompts.labels) == (prompts.labels[:, 1:] != -100).sum()
    loss = 5 * cross_entropy.sum() + 5 * dice.sum() + language
    assert_like(5 * cross_entropy.sum(), fixture["loss_mask"])
    assert_like(5 * dice.sum(), fixture["loss_dice"])
    assert_like(loss, fixture["loss"])
    loss.backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    norms = to_release(gradients, heads=4)
    compared = 0
    for key, expected in notes["grad_norms"].items():
        if expected is None:
            assert DEAD.match(key)
        elif "query_key_value" not in key and own_name(key) in gradients:
            # Interleaving does not change a norm; these are stored in three parts.
            assert gradients[own_name(key)].norm().item() == pytest.approx(expected, rel=2e-4, abs=2e-5), key
            compared += 1
        else:
            assert norms[key].norm().item() == pytest.approx(expected, rel=2e-4, abs=2e-5), key
            compared += 1
    assert compared > 200
    model.zero_grad()


@torch.no_grad()
def test_vision_encoder():
    notes = settings(SWIN)
    tensors = {
        key: weight(key, tuple(shape)) for key, shape in notes["keys"].items() if not key.endswith("position_index")
    }
    own = from_release({f"model.vision_tower.{key.removeprefix('swin.')}": one for key, one in tensors.items()}, 1)
    sizes = {"model_type": "swin", **notes["config"], "out_features": STAGES}
    backbone = AutoBackbone.from_config(SegEarthR1Config(backbone_config=sizes).backbone_config).eval()
    missing, unexpected = backbone.load_state_dict(
        {name.removeprefix("backbone."): one for name, one in own.items()}, strict=False
    )
    assert not unexpected and set(missing) == {"swin.layernorm.weight", "swin.layernorm.bias"}
    found = backbone(draw("swin.images", (1, 3, 72, 96))).feature_maps
    for index, feature_map in enumerate(found):
        assert_like(feature_map, arrays(SWIN)[f"res{index + 2}"])


def test_fused_attention_is_interleaved_head_by_head():
    name = "model.layers.0.self_attn.query_key_value.weight"
    fused = weight(name, (144, 48))
    own = from_release({name: fused}, heads=4)
    rows = fused.view(4, 3, 12, 48)
    for index, part in enumerate(("q_proj", "k_proj", "v_proj")):
        assert torch.equal(own[f"language_model.layers.0.self_attn.{part}.weight"], rows[:, index].reshape(48, 48))
    assert torch.equal(to_release(own, heads=4)[name], fused)


def stand_in_tokenizer() -> PreTrainedTokenizerFast:
    """Words as GPT-2 splits text, which is how Phi's tokenizer does; every piece of the fixture is one token."""
    notes = settings(DATA)
    pieces = [piece for name in ("reason", "refer_train", "refer_eval") for piece in notes[name]["pieces"]]
    names = {piece.replace(" ", "Ġ").replace("\n", "Ċ") for piece in [*pieces, *notes["refer_pieces"]]}
    vocabulary = {name: index for index, name in enumerate(["<unk>", *sorted(names)])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="<unk>", eos_token="<|endoftext|>", bos_token="<|endoftext|>"
    )
    SegEarthR1Processor.add_tokens(tokenizer)
    return tokenizer


def pieces_of(tokenizer: PreTrainedTokenizerFast, ids: list[int]) -> list[str]:
    return [
        PLACES.get(one) or tokenizer.convert_ids_to_tokens(one).replace("Ġ", " ").replace("Ċ", "\n") for one in ids
    ]


@pytest.mark.parametrize(("kind", "name"), [("reasoning", "reason"), ("referring", "refer_train")])
def test_prompts(kind, name):
    tokenizer, expected = stand_in_tokenizer(), settings(DATA)[name]
    processor = SegEarthR1Processor(SegEarthR1ImageProcessor(size=64), tokenizer)
    ids, labels = processor.template(kind, answered=True)
    assert pieces_of(tokenizer, ids) == expected["pieces"]
    assert [one != -100 for one in labels] == expected["supervised"]
    assert (
        pieces_of(tokenizer, processor.template(kind, answered=False)[0])
        == expected["pieces"][: len(ids)][: expected["pieces"].index("<refer>") + 1]
    )
    assert (
        settings(DATA)["refer_eval"]["pieces"][: expected["pieces"].index("<image>")]
        == expected["pieces"][: expected["pieces"].index("<image>")]
    )
    question = processor.encode_prompts(["where can planes park?"], kind=kind)
    refer = question.input_ids[question.refer_mask].tolist()
    assert pieces_of(tokenizer, refer) == settings(DATA)["refer_pieces"]


@pytest.mark.parametrize("name", ["wide", "tall", "square"])
def test_images_and_masks(name):
    fixture = arrays(DATA)
    processor = SegEarthR1ImageProcessor(size=64, do_normalize=False, do_rescale=False)
    batch = processor(fixture[f"{name}_image"].numpy(), fixture[f"{name}_mask"].numpy(), return_tensors="pt")
    # OpenCV resizes bytes with numbers of 11 bits: one level of difference at most.
    assert (batch["pixel_values"][0] - fixture[f"{name}_pixels"]).abs().max() <= 1
    assert torch.equal(batch["labels"], fixture[f"{name}_labels"].long())


def test_sizes_are_read_from_the_tensors():
    notes = settings(MODEL)
    shapes = {key: torch.empty(shape, device="meta") for key, shape in notes["keys"].items()}
    swin = {
        key.replace("swin.", "model.vision_tower.", 1): torch.empty(shape, device="meta")
        for key, shape in settings(SWIN)["keys"].items()
    }
    config = release_config({**shapes, **swin}, heads=4)
    assert (config.image_size, config.vocab_size, config.hidden_size) == (256, 120, 48)
    assert (config.decoder_channels, config.decoder_heads, config.projector_heads) == (64, 8, 8)
    assert (config.pixel_decoder_layers, config.mask_decoder_layers, config.mask_decoder_feedforward) == (2, 9, 96)
    assert config.backbone_config.num_heads == [1, 2, 4, 8] and config.backbone_config.window_size == 4
    with pytest.raises(ValueError, match="num_attention_heads"):
        release_config(shapes)
