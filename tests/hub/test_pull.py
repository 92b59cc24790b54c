"""Known names from a loopback Hub: official release, repositories, and everything that goes wrong on the way."""

import contextlib
import os
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants, file_download
from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoModelForSemanticSegmentation

from s5_hf.conversion import convert_checkpoint
from s5_hf.dataset_builders import pace
from s5_hf.hub import KNOWN_MODELS, pull, stored
from s5_hf.modeling import S5ForSemanticSegmentation, S5ImageProcessor, S5ViTBackbone, S5ViTConfig
from tests.conftest import MICRO_VIT
from tests.hub.conftest import ENCODER, SEGMENTER, checkpoint_bytes, folder_content, store_entries
from tests.hub.hub_server import LoopbackHub, sha256

RELEASE = "lianglyu/S5"
ENCODER_FILE, SEGMENTER_FILE = "vit_m_s4p.pth", "vit_m_s4p_upernet.pth"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client waits a second before it tries again."""
    monkeypatch.setattr(file_download.time, "sleep", lambda seconds: None)


def cached_checkpoints(own_folders: Path) -> list[str]:
    """The complete files in the Hub cache; huggingface_hub 1 also keeps parts, from which it goes on later."""
    blobs = own_folders / "hub" / "models--lianglyu--S5" / "blobs"
    return sorted(path.name for path in blobs.iterdir() if path.suffix != ".incomplete") if blobs.exists() else []


def test_the_official_release_is_downloaded_and_converted_once(
    loopback_hub: LoopbackHub, official_segmenter: bytes, segmenter_folder: Path, own_folders: Path
):
    loopback_hub.repositories[RELEASE] = {SEGMENTER_FILE: official_segmenter}
    model = AutoModelForSemanticSegmentation.from_pretrained(SEGMENTER)
    expected = S5ForSemanticSegmentation.from_pretrained(segmenter_folder)
    for name, tensor in expected.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name
    assert model.config.id2label[1] == "ship"
    assert store_entries(own_folders) == [SEGMENTER]
    assert type(AutoImageProcessor.from_pretrained(SEGMENTER)) is S5ImageProcessor

    downloads = [request for request in loopback_hub.requests if request.startswith("GET /lianglyu/S5/resolve")]
    assert len(downloads) == 1
    loopback_hub.requests.clear()
    AutoModelForSemanticSegmentation.from_pretrained(SEGMENTER)
    assert not any("lianglyu" in request for request in loopback_hub.requests)


def test_pull_returns_the_folder_and_asks_nothing_the_second_time(
    loopback_hub: LoopbackHub, official_encoder: bytes, own_folders: Path
):
    loopback_hub.repositories[RELEASE] = {ENCODER_FILE: official_encoder}
    assert pull(ENCODER) == own_folders / "store" / ENCODER == stored(ENCODER)
    loopback_hub.requests.clear()
    assert pull(ENCODER) == own_folders / "store" / ENCODER
    assert loopback_hub.requests == []


def test_several_at_once_make_one_folder(
    loopback_hub: LoopbackHub, official_encoder: bytes, own_folders: Path, monkeypatch: pytest.MonkeyPatch
):
    """As the processes of one `accelerate launch` do."""
    loopback_hub.repositories[RELEASE] = {ENCODER_FILE: official_encoder}
    conversions = []

    def counting(*arguments: object, **settings: object) -> object:
        conversions.append(arguments)
        return convert_checkpoint(*arguments, **settings)

    monkeypatch.setattr("s5_hf.hub.from_hub.convert_checkpoint", counting)
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(pull, [ENCODER] * 4))
    assert folders == {own_folders / "store" / ENCODER}
    assert len(conversions) == 1


def test_a_file_in_the_hub_cache_needs_no_network(
    loopback_hub: LoopbackHub, official_encoder: bytes, own_folders: Path, monkeypatch: pytest.MonkeyPatch
):
    loopback_hub.repositories[RELEASE] = {ENCODER_FILE: official_encoder}
    pulled = pull(ENCODER)
    pulled.rename(own_folders / "away")
    loopback_hub.requests.clear()
    assert AutoModel.from_pretrained(ENCODER, local_files_only=True).config.hidden_size == 32
    assert loopback_hub.requests == []


@pytest.mark.parametrize("by", ["environment", "table"])
def test_a_repository_comes_before_the_release(
    by: str,
    loopback_hub: LoopbackHub,
    official_encoder: bytes,
    own_folders: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    if by == "environment":
        monkeypatch.setenv("S5_HF_REPO_S5_VIT_MICRO", "someone/encoder")
    else:
        known = KNOWN_MODELS[ENCODER]
        monkeypatch.setitem(KNOWN_MODELS, ENCODER, type(known)(ENCODER, known.config, ENCODER_FILE, "someone/encoder"))
    own = S5ViTBackbone(S5ViTConfig(**MICRO_VIT, drop_path_rate=0.25))
    with torch.no_grad():
        own.embeddings.position_embeddings.fill_(3)
    own.save_pretrained(own_folders / "own")
    loopback_hub.repositories[RELEASE] = {ENCODER_FILE: official_encoder}
    loopback_hub.repositories["someone/encoder"] = folder_content(own_folders / "own")

    assert AutoConfig.from_pretrained(ENCODER).drop_path_rate == 0.25
    assert (AutoModel.from_pretrained(ENCODER).embeddings.position_embeddings == 3).all()
    assert type(AutoImageProcessor.from_pretrained(ENCODER)) is S5ImageProcessor  # the repository has none
    assert store_entries(own_folders) == []  # the Hub's own cache keeps it
    assert AutoModel.from_pretrained(ENCODER, local_files_only=True).config.drop_path_rate == 0.25
    assert not any("lianglyu" in request for request in loopback_hub.requests)

    assert (AutoModel.from_pretrained(pull(ENCODER)).embeddings.position_embeddings == 3).all()
    assert store_entries(own_folders) == [ENCODER]


def test_a_repository_with_divided_weights(
    loopback_hub: LoopbackHub, encoder_folder: Path, own_folders: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("S5_HF_REPO_S5_VIT_MICRO", "someone/divided")
    encoder = S5ViTBackbone.from_pretrained(encoder_folder)
    encoder.save_pretrained(own_folders / "divided", max_shard_size="100KB")
    content = folder_content(own_folders / "divided")
    assert len([name for name in content if name.endswith(".safetensors")]) > 1
    loopback_hub.repositories["someone/divided"] = content
    for model in (S5ViTBackbone.from_pretrained(ENCODER), S5ViTBackbone.from_pretrained(pull(ENCODER))):
        for name, tensor in encoder.state_dict().items():
            assert torch.equal(model.state_dict()[name], tensor), name


def test_a_repository_that_fails_is_named_and_the_release_is_next(
    loopback_hub: LoopbackHub, official_encoder: bytes, monkeypatch: pytest.MonkeyPatch, own_folders: Path
):
    monkeypatch.setenv("S5_HF_REPO_S5_VIT_MICRO", "someone/missing")
    with pytest.raises(OSError, match=r"(?s)the Hub repository someone/missing: 404.*lianglyu/S5: 404"):
        AutoModel.from_pretrained(ENCODER)
    loopback_hub.repositories[RELEASE] = {ENCODER_FILE: official_encoder}
    assert AutoModel.from_pretrained(ENCODER).config.hidden_size == 32


def test_a_repository_without_a_model_is_refused(
    loopback_hub: LoopbackHub, segmenter_folder: Path, monkeypatch: pytest.MonkeyPatch, own_folders: Path
):
    monkeypatch.setenv("S5_HF_REPO_S5_VIT_MICRO", "someone/else")
    loopback_hub.repositories["someone/else"] = {"README.md": b"nothing"}
    with pytest.raises(OSError, match=r"someone/else has no model\.safetensors\.index\.json; its files: README\.md"):
        AutoModel.from_pretrained(ENCODER)
    loopback_hub.repositories["someone/else"] = folder_content(segmenter_folder)
    with pytest.raises(OSError, match="stands for a 's5_vit' model, this is a 's5_segmentation' model"):
        pull(ENCODER)
    assert store_entries(own_folders) == []


def test_a_release_without_the_file_lists_its_files(loopback_hub: LoopbackHub, own_folders: Path):
    loopback_hub.repositories[RELEASE] = {"README.md": b"", "weights/vit_base.pth": bytes(5_000_000)}
    with pytest.raises(
        OSError,
        match=r"lianglyu/S5 has no vit_m_s4p\.pth and no checkpoint of its size \(0\.4 MB\); its checkpoints: "
        r"weights/vit_base\.pth \(5\.0 MB\)",
    ):
        pull(ENCODER)
    assert not any("resolve" in request for request in loopback_hub.requests)
    assert store_entries(own_folders) == []


def test_a_download_that_breaks_off_once_is_resumed(
    loopback_hub: LoopbackHub, official_encoder: bytes, own_folders: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 500)
    loopback_hub.repositories[RELEASE] = {ENCODER_FILE: official_encoder}
    loopback_hub.broken_off[ENCODER_FILE] = [1000]
    with contextlib.suppress(OSError):  # huggingface_hub 2 goes on by itself, version 1 with the next call
        pull(ENCODER)
    assert pull(ENCODER) == own_folders / "store" / ENCODER
    assert loopback_hub.ranges == ["bytes=1000-"]


def test_a_download_that_keeps_breaking_off_leaves_nothing(
    loopback_hub: LoopbackHub, official_encoder: bytes, own_folders: Path
):
    loopback_hub.repositories[RELEASE] = {ENCODER_FILE: official_encoder}
    loopback_hub.broken_off[ENCODER_FILE] = [1000, *[0] * 20]
    with pytest.raises(OSError, match=r"lianglyu/S5 \(vit_m_s4p\.pth\): .*(closed|disconnected|incomplete)"):
        pull(ENCODER)
    assert store_entries(own_folders) == cached_checkpoints(own_folders) == []


@pytest.mark.parametrize("damage", ["content", "size"])
def test_damaged_content_is_refused_and_removed(
    damage: str, loopback_hub: LoopbackHub, official_encoder: bytes, own_folders: Path
):
    loopback_hub.repositories[RELEASE] = {ENCODER_FILE: official_encoder}
    changed = official_encoder[:-1] + bytes([official_encoder[-1] ^ 1])
    loopback_hub.damaged[ENCODER_FILE] = changed if damage == "content" else official_encoder[:-100]
    expected = sha256(official_encoder) if damage == "content" else str(len(official_encoder))
    with pytest.raises(OSError, match=expected):
        pull(ENCODER)
    assert store_entries(own_folders) == cached_checkpoints(own_folders) == []
    del loopback_hub.damaged[ENCODER_FILE]
    assert pull(ENCODER) == own_folders / "store" / ENCODER


def test_damaged_weights_of_a_repository_are_refused(
    loopback_hub: LoopbackHub, encoder_folder: Path, monkeypatch: pytest.MonkeyPatch, own_folders: Path
):
    monkeypatch.setenv("S5_HF_REPO_S5_VIT_MICRO", "someone/encoder")
    content = folder_content(encoder_folder)
    loopback_hub.repositories["someone/encoder"] = content
    loopback_hub.damaged["model.safetensors"] = content["model.safetensors"][:-1] + b"\x55"
    for load in (AutoModel.from_pretrained, pull):
        with pytest.raises(OSError, match=r"model\.safetensors arrived damaged"):
            load(ENCODER)
    assert store_entries(own_folders) == []


class Malicious:
    """Unpickling it would run a command."""

    def __reduce__(self) -> tuple:
        return (os.mkdir, ("ran",))


def test_official_files_that_are_not_the_model_are_refused(
    loopback_hub: LoopbackHub, official_encoder: bytes, own_folders: Path
):
    other = {"model": {"pos_embed": torch.zeros(1, 4, 8), "patch_embed.projection.weight": torch.zeros(8, 3, 16, 16)}}
    cases = {
        official_encoder[:5000]: "cannot be read, it is truncated",
        pickle.dumps({"model": Malicious()}, protocol=2): "is refused",
        checkpoint_bytes({"model": {"weight": torch.zeros(3)}}): "has an unknown layout",
        checkpoint_bytes(other): r"tensors do not fit; missing: layers\.0\.ffn",
    }
    for content, reason in cases.items():
        loopback_hub.repositories[RELEASE] = {ENCODER_FILE: content}
        with pytest.raises(OSError, match=reason):
            pull(ENCODER)
        assert store_entries(own_folders) == []
    assert not Path("ran").exists()


def test_an_official_file_of_another_size_is_refused(
    loopback_hub: LoopbackHub, official_encoder: bytes, own_folders: Path
):
    """The generated configuration must be that of the weights, so every difference is named."""
    loopback_hub.repositories[RELEASE] = {"vit_b_s4p.pth": official_encoder}
    with pytest.raises(OSError, match=r"this model is not s5-vit-b: hidden_size is 32 instead of 768; num_hidden"):
        AutoModel.from_pretrained("s5-vit-b")
    assert store_entries(own_folders) == []


def test_a_trickling_hub_is_given_up(
    loopback_hub: LoopbackHub, official_encoder: bytes, own_folders: Path, monkeypatch: pytest.MonkeyPatch
):
    loopback_hub.repositories[RELEASE] = {ENCODER_FILE: official_encoder}
    loopback_hub.trickling[ENCODER_FILE] = 0.01
    monkeypatch.setattr(pace, "STALL_SECONDS", 0.3)
    begin = time.monotonic()
    with pytest.raises(OSError, match=r"vit_m_s4p\.pth\): the transfer has stalled"):
        pull(ENCODER)
    assert time.monotonic() - begin < 20
    assert store_entries(own_folders) == []
    loopback_hub.trickling.clear()
    assert pull(ENCODER).is_dir()
