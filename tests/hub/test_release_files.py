"""Files of other names than expected: found by size, told by content; and encoders that others have converted."""

from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load, save

from s5_hf.conversion import read_checkpoint
from s5_hf.hub import KNOWN_MODELS, KnownModel, pull, release_files
from s5_hf.hub.download import RepositoryFile
from s5_hf.hub.from_hub import OFFICIAL_REPOSITORY
from s5_hf.hub.names import count_bytes
from s5_hf.hub.release_files import candidates
from s5_hf.modeling import S5ForSemanticSegmentation, S5ViTBackbone
from tests.hub.conftest import ENCODER, SEGMENTER, store_entries
from tests.hub.hub_server import LoopbackHub

CONVERTED = "someone/S5-transformers"


@pytest.fixture
def exact_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Micro models are so small that names and numbers weigh more than three percent."""
    monkeypatch.setattr(release_files, "SMALL_BYTES", 60_000)


@pytest.fixture
def second_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository of converted encoders for the micro encoder."""
    known = KNOWN_MODELS[ENCODER]
    known = KnownModel(ENCODER, known.config, known.official_file, converted_repository=CONVERTED)
    monkeypatch.setitem(KNOWN_MODELS, ENCODER, known)


def files(**sizes: float) -> dict[str, RepositoryFile]:
    """Files of so many MB."""
    return {
        name.replace("__", "/").replace("_pth", ".pth"): RepositoryFile(int(size * 1e6))
        for name, size in sizes.items()
    }


def test_every_published_model_is_told_from_the_others_by_its_size():
    names = [name for name, model in KNOWN_MODELS.items() if model.official_file and "micro" not in name]
    listing = {
        f"{number}.pth": RepositoryFile(count_bytes(KNOWN_MODELS[name].config) + 90_000 + number)
        for number, name in enumerate(names)
    }
    for number, name in enumerate(names):
        assert candidates(listing, KNOWN_MODELS[name], "hub")[0] == f"{number}.pth", name


def test_the_file_of_the_name_comes_first_unless_its_size_is_of_another_model():
    model = KNOWN_MODELS["s5-vit-b"]
    right = count_bytes(model.config) / 1e6
    assert candidates(files(a_pth=right, x__vit_b_s4p_pth=right + 2, big_pth=900), model, "hub") == [
        "x/vit_b_s4p.pth",
        "a.pth",
    ]
    assert candidates(files(a_pth=right, vit_b_s4p_pth=641), model, "hub") == ["a.pth", "vit_b_s4p.pth"]


def test_files_of_other_names_are_found_by_size_and_told_by_content(
    exact_sizes: None,
    loopback_hub: LoopbackHub,
    official_encoder: bytes,
    official_segmenter: bytes,
    encoder_folder: Path,
    own_folders: Path,
):
    loopback_hub.repositories[OFFICIAL_REPOSITORY] = {
        "README.md": b"",
        "pretrain/ViT-Micro S5 [final].pth": official_encoder,
        "finetune/model_best.pth": official_segmenter,
        "huge.pth": bytes(3_000_000),
    }
    for name, model_class in ((ENCODER, S5ViTBackbone), (SEGMENTER, S5ForSemanticSegmentation)):
        assert isinstance(model_class.from_pretrained(pull(name)), model_class)
    assert not any("huge" in request for request in loopback_hub.requests)
    expected = S5ViTBackbone.from_pretrained(encoder_folder).state_dict()
    loaded = S5ViTBackbone.from_pretrained(ENCODER).state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in expected.items())
    assert store_entries(own_folders) == [ENCODER, SEGMENTER]


def test_files_of_the_right_size_and_other_content_are_listed(
    loopback_hub: LoopbackHub, official_segmenter: bytes, own_folders: Path
):
    content = {"a.pth": official_segmenter, "b.pth": b"\0" * len(official_segmenter)}
    loopback_hub.repositories[OFFICIAL_REPOSITORY] = content
    with pytest.raises(
        OSError, match=r"(?s)lianglyu/S5 \(a\.pth\): this model is not s5-vit-micro.*\(b\.pth\): .* cannot be read"
    ) as caught:
        pull(ENCODER)
    assert "s5-hf pull" not in str(caught.value)  # it was that command
    assert store_entries(own_folders) == []


@pytest.mark.parametrize("prefix", ["", "encoder.", "model.backbone."])
def test_an_encoder_that_others_converted_is_the_second_source(
    prefix: str,
    second_source: None,
    loopback_hub: LoopbackHub,
    official_encoder: bytes,
    own_folders: Path,
):
    (own_folders / "official.pth").write_bytes(official_encoder)
    state = read_checkpoint(own_folders / "official.pth")
    foreign = save({prefix + name: tensor.contiguous() for name, tensor in state.items()})
    loopback_hub.repositories[CONVERTED] = {
        "S5-ViT-M/config.json": b"{}",
        "S5-ViT-M/modeling_s5.py": b"raise SystemExit('executed')",
        "S5-ViT-M/model.safetensors": foreign,
    }
    model = S5ViTBackbone.from_pretrained(ENCODER)
    for ours, name in (
        ("embeddings.position_embeddings", "pos_embed"),
        ("feature_pyramid.stride8.weight", "fpn2.0.weight"),
    ):
        assert torch.equal(model.state_dict()[ours], state[name])
    assert not any("modeling_s5" in request for request in loopback_hub.requests)
    assert store_entries(own_folders) == [ENCODER]


def test_a_foreign_encoder_whose_names_do_not_map_one_to_one_is_refused_by_name(
    second_source: None, loopback_hub: LoopbackHub, official_encoder: bytes, own_folders: Path
):
    (own_folders / "official.pth").write_bytes(official_encoder)
    state = {name: tensor.contiguous() for name, tensor in read_checkpoint(own_folders / "official.pth").items()}
    without_token = {name: tensor for name, tensor in state.items() if name != "cls_token"}
    cases = (
        (without_token, r"tensors do not fit; missing \(1\): cls_token"),
        ({f"vit.{name}": tensor for name, tensor in state.items()} | {"extra": torch.zeros(1)}, "one prefix: extra"),
        (
            {name.replace("patch_embed", "patches"): tensor for name, tensor in state.items()},
            "does not name its tensors",
        ),
        ({**state, "fpn2.0.weight": torch.zeros(3)}, r"of another shape \(1\): fpn2\.0\.weight"),
    )
    for content, message in cases:
        loopback_hub.repositories[CONVERTED] = {"B/model.safetensors": save(content)}
        with pytest.raises(OSError, match=rf"{CONVERTED} \(B/model\.safetensors\): .*{message}") as caught:
            pull(ENCODER)
        assert "the official release lianglyu/S5: 404" in str(caught.value)
    assert load(save(state)).keys() == state.keys()
    assert store_entries(own_folders) == []


def test_pull_without_a_connection_does_not_recommend_itself_as_a_cure(
    no_network: list[object], monkeypatch: pytest.MonkeyPatch, own_folders: Path
):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(OSError, match="downloads are switched off") as caught:
        pull(ENCODER)
    assert "Where there is a connection, `s5-hf pull s5-vit-micro` downloads and converts them" in str(caught.value)
    assert str(own_folders / "store" / ENCODER) in str(caught.value).splitlines()[-2]
    assert no_network == []
