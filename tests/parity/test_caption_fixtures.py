"""MV-CC against its official code: frames, masks, words, decoder, loss, gradients, sentences, scores."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from s5_hf.metrics.caption_scores import bleu, caption_scores_of, cider_d, meteor, rouge_l
from s5_hf.modeling import MVCCConfig, MVCCForChangeCaptioning
from s5_hf.modeling.processing_mvcc import MVCCImageProcessor, frame_indices, mask_cells
from s5_hf.training.captioning.caption_words import MARKS, caption_tokenizer, caption_words, words_of
from tests.parity.caption_fixtures import FIXTURES, TOLERANCE, settings


@pytest.fixture
def model():
    sizes = settings()["decoder"]
    config = MVCCConfig(
        vocab_size=sizes["vocab"],
        feature_size=sizes["feature_dim"],
        hidden_size=sizes["feature_dim"],
        num_hidden_layers=sizes["layers"],
        num_attention_heads=sizes["heads"],
    )
    model = MVCCForChangeCaptioning(config).eval()
    model.decoder.load_state_dict(FIXTURES.tensors("decoder/weights/"))
    return model


def features():
    return torch.from_numpy(FIXTURES.arrays["fusion/features"]).float()


def masks():
    return torch.from_numpy(FIXTURES.arrays["fusion/masks"])


@pytest.mark.parametrize("sizes", settings()["get_index"])
def test_frames_that_are_looked_at(sizes):
    frames, wanted = map(int, sizes.split(","))
    assert frame_indices(frames, wanted).tolist() == settings()["get_index"][sizes]


def test_views():
    processor = MVCCImageProcessor(side=28)
    frames, views = FIXTURES.arrays["clip/frames"], FIXTURES.arrays["clip/views"][0]
    assert np.array_equal(views[0], views[1])  # the released "sub-image" and "global" views are one
    np.testing.assert_allclose(
        processor.normalized(frames[FIXTURES.arrays["clip/index"]]), views[0], rtol=1e-4, atol=2e-5
    )


def test_mask_at_the_grid_and_tokens_that_stay(model):
    np.testing.assert_array_equal(mask_cells(FIXTURES.arrays["mask/in"], 16), FIXTURES.arrays["mask/grid"])
    memory = model.encoder(features=features(), change_mask=masks()).last_hidden_state
    assert torch.equal((memory != 0).any(dim=-1), torch.from_numpy(FIXTURES.arrays["fusion/kept"]))


def test_words():
    splitter, sentences = caption_tokenizer(MARKS), [entry["raw"] for entry in settings()["tokenize"]]
    for entry in settings()["tokenize"]:
        assert ["<START>", *words_of(splitter, entry["raw"]), "<END>"] == entry["tokens"]
    words = caption_words(sentences, least_count=2)
    assert {word: index for index, word in enumerate(words)} == settings()["build_vocab_min2"]
    tokenizer = caption_tokenizer(words)
    assert [tokenizer(sentence)["input_ids"] for sentence in sentences] == settings()["encode_unk"]
    padded = tokenizer(sentences, padding="max_length", max_length=20)["input_ids"]
    np.testing.assert_array_equal(padded, FIXTURES.arrays["data/token_all"])


def test_scores_loss_and_gradients(model):
    seen = features().requires_grad_()
    captions, order = (
        torch.from_numpy(FIXTURES.arrays["decoder/captions"]),
        torch.from_numpy(FIXTURES.arrays["decoder/sort"]),
    )
    output = model(features=seen, change_mask=masks(), labels=captions)
    assert_close(output.logits[order], torch.from_numpy(FIXTURES.arrays["decoder/scores"]), rtol=1e-4, atol=5e-5)
    assert output.loss.item() == pytest.approx(FIXTURES.arrays["decoder/loss"].item(), rel=1e-5)
    output.loss.backward()
    expected = FIXTURES.tensors("decoder/grad/")
    assert set(expected) == {name for name, _ in model.decoder.named_parameters()}
    for name, parameter in model.decoder.named_parameters():
        assert_close(parameter.grad, expected[name], msg=lambda text, name=name: f"{name}: {text}", **TOLERANCE)


@pytest.mark.parametrize("key", ["sample", "sample_with_end_bias"])
def test_greedy_sentences(model, key):
    expected = settings()[key]
    if key == "sample_with_end_bias":
        with torch.no_grad():
            model.decoder.wdc.bias[3] += expected["added"]
        expected = expected["sequences"]
    length = settings()["decoder"]["max_length"] + 1
    for row, (feature, mask) in enumerate(zip(features(), masks(), strict=True)):
        memory = model.encoder(features=feature[None], change_mask=mask[None])
        assert model.generate(encoder_outputs=memory, max_length=length)[0].tolist() == expected[row]


@pytest.mark.parametrize("as_words", [False, True])
def test_scores_of_captions(as_words):
    references, captions = settings()["metric_references"], settings()["metric_hypotheses"]
    if as_words:
        references = [[list(map(str, reference)) for reference in found] for found in references]
        captions = [list(map(str, caption)) for caption in captions]
    expected = {name.lower(): score for name, score in settings()["metrics"].items()}
    assert caption_scores_of(references, captions) == pytest.approx(expected)
    single = settings()["per_item"]
    assert [rouge_l(*pair) for pair in zip(references, captions, strict=True)] == pytest.approx(single["ROUGE_L"])
    assert cider_d(references, captions) == pytest.approx(single["CIDEr"])
    alone = [([found], [caption]) for found, caption in zip(references, captions, strict=True)]
    assert [meteor(*pair) for pair in alone] == pytest.approx(single["METEOR"])
    np.testing.assert_allclose(np.transpose([bleu(*pair) for pair in alone]), single["Bleu"], rtol=1e-6)
