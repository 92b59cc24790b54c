"""A store, a Hub cache and a Hub of the test's own, and micro models under names of the test's own."""

import io
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from transformers.utils import hub as transformers_hub

from s5_hf.conversion import export_official
from s5_hf.conversion.official_tasks import task_settings
from s5_hf.hub import KNOWN_MODELS, KnownModel
from s5_hf.modeling import (
    S5ForSemanticSegmentation,
    S5ImageProcessor,
    S5SegmentationConfig,
    S5ViTBackbone,
    S5ViTConfig,
)
from s5_hf.modeling.configuration_s5_vit import VIT_SIZES
from tests.conftest import MICRO_VIT, randomise
from tests.hub.hub_server import LoopbackHub, serve

ENCODER = "s5-vit-micro"
SEGMENTER = "s5-vit-micro-upernet"


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Store, Hub cache and working directory under `tmp_path`; nothing of the user's is read or written."""
    monkeypatch.setenv("S5_HF_HOME", str(tmp_path / "store"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


@pytest.fixture(autouse=True)
def micro_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two more names in the table: a micro encoder and a micro segmenter, with official files."""
    monkeypatch.setitem(VIT_SIZES, "micro", {**MICRO_VIT, "out_indices": [1, 2, 3, 4]})  # for its number of heads
    vit = S5ViTConfig(**MICRO_VIT)
    segmentation = S5SegmentationConfig(vit, tasks=[task_settings("isaid", 16)], decoder_channels=16)
    for name, config, file in ((ENCODER, vit, "vit_m_s4p.pth"), (SEGMENTER, segmentation, "vit_m_s4p_upernet.pth")):
        monkeypatch.setitem(KNOWN_MODELS, name, KnownModel(name, config, official_file=file))


@pytest.fixture
def loopback_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    """A Hub on 127.0.0.1 that the client of this process talks to."""
    with serve() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
        template = hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        if hasattr(transformers_hub, "hf_api"):
            monkeypatch.setattr(transformers_hub.hf_api(), "endpoint", hub.endpoint)
        yield hub


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """No connection can be made; the addresses that were tried."""
    tried: list[object] = []

    def refuse(*arguments: object, **settings: object) -> None:
        tried.append(arguments)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return tried


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a micro encoder."""
    folder = tmp_path_factory.mktemp("encoder") / "model"
    randomise(S5ViTBackbone(S5ViTConfig(**MICRO_VIT))).save_pretrained(folder)
    S5ImageProcessor().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def segmenter_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a micro iSAID segmenter."""
    folder = tmp_path_factory.mktemp("segmenter") / "model"
    config = S5SegmentationConfig(S5ViTConfig(**MICRO_VIT), tasks=[task_settings("isaid", 16)], decoder_channels=16)
    randomise(S5ForSemanticSegmentation(config)).save_pretrained(folder)
    S5ImageProcessor().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def official_encoder(encoder_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The micro encoder as an official checkpoint."""
    return export_official(encoder_folder, tmp_path_factory.mktemp("official") / "vit.pth").read_bytes()


@pytest.fixture(scope="session")
def official_segmenter(segmenter_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The micro segmenter as an official checkpoint."""
    return export_official(segmenter_folder, tmp_path_factory.mktemp("official") / "vit.pth").read_bytes()


def folder_content(folder: Path) -> dict[str, bytes]:
    """The files of a folder, as a repository of the loopback Hub."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def store_entries(own_folders: Path) -> list[str]:
    """What lies in the store, locks aside."""
    store = own_folders / "store"
    return sorted(path.name for path in store.iterdir() if path.name != ".locks") if store.exists() else []


def checkpoint_bytes(content: object) -> bytes:
    """What `torch.save` writes."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()
