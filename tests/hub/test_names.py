"""The table of names, and the hook through which `from_pretrained` finds them."""

import importlib
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from transformers import (
    AutoBackbone,
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForSemanticSegmentation,
)
from transformers.utils import cached_file, hub

import s5_hf.integrations.known_names
from s5_hf.conversion.official_tasks import DETECTION_TASKS, MOE_MDF_TASKS
from s5_hf.hub import KNOWN_MODELS, count_parameters, known_model, repository_variable, store_folder
from s5_hf.integrations import install_integrations
from s5_hf.modeling import S5ForSemanticSegmentation, S5ImageProcessor, S5ViTBackbone, S5ViTModel
from tests.hub.conftest import ENCODER, SEGMENTER, store_entries
from tests.hub.hub_server import LoopbackHub

PUBLISHED_MILLIONS = {
    "s5-vit-b": 93.5,
    "s5-vit-b-upernet": 103.2,
    "s5-vit-b-moe": 160.4,
    "s5-vit-l-upernet": 327.4,
    "s5-vit-l-moe": 435.0,
    "s5-vit-h-upernet": 663.4,
    "s5-vit-h-moe": 824.5,
    "s5-vit-b-moe-det": 140.64,
    "s5-vit-l-moe-det": 380.91,
    "s5-vit-h-moe-det": 733.90,
}
OPTIONAL_FILES = (
    "adapter_config.json",
    "processor_config.json",
    "custom_generate/generate.py",
    "tokenizer_config.json",
)


@pytest.mark.parametrize(("name", "millions"), PUBLISHED_MILLIONS.items())
def test_sizes_are_the_published_ones(name: str, millions: float):
    assert count_parameters(KNOWN_MODELS[name].config) / 1e6 == pytest.approx(millions, abs=0.1)


def test_official_files():
    files = {name: model.official_file for name, model in KNOWN_MODELS.items() if "micro" not in name}
    assert len(files) == 20
    assert files["s5-vit-b"] == "vit_b_s4p.pth"
    assert files["s5-vit-l-upernet"] == "vit_l_s4p_upernet.pth"
    assert files["s5-vit-h-moe"] == files["s5-vit-h-moe-det"] == "s5_vit_h_moe_mdf.pth"
    assert all(file is None for name, file in files.items() if name.split("-")[2] in ("ti", "s"))


def test_every_name_has_a_configuration_and_a_processor_without_network(no_network: list[object]):
    for name, model in KNOWN_MODELS.items():
        config = AutoConfig.from_pretrained(name)
        assert type(config) is type(model.config)
        assert config.name_or_path == name
        vit = getattr(config, "backbone_config", config)
        tasks = MOE_MDF_TASKS if name.endswith("-moe") else DETECTION_TASKS if name.endswith("-moe-det") else ()
        assert vit.num_experts == len(tasks)
        if tasks:
            assert list(config.tasks) == list(tasks)
    assert type(AutoImageProcessor.from_pretrained("s5-vit-h")) is S5ImageProcessor
    assert no_network == []


def test_expert_channels():
    channels = {size: KNOWN_MODELS[f"s5-vit-{size}-moe"].config.backbone_config for size in ("ti", "s", "b", "l", "h")}
    assert {size: vit.expert_channels for size, vit in channels.items()} == {
        "ti": 48,
        "s": 96,
        "b": 256,
        "l": 256,
        "h": 256,
    }


def test_a_small_name_makes_an_untrained_model(no_network: list[object]):
    model = AutoModelForSemanticSegmentation.from_config(AutoConfig.from_pretrained("s5-vit-ti-moe"))
    assert isinstance(model, S5ForSemanticSegmentation)


@pytest.mark.parametrize("filename", OPTIONAL_FILES)
@pytest.mark.parametrize("in_store", [False, True])
def test_optional_files_are_absent_without_asking_the_network(
    filename: str, in_store: bool, no_network: list[object], encoder_folder: Path, own_folders: Path
):
    if in_store:
        shutil.copytree(encoder_folder, own_folders / "store" / ENCODER)
    assert cached_file(ENCODER, filename, _raise_exceptions_for_missing_entries=False) is None
    assert no_network == []


def test_a_missing_required_file_is_an_error(no_network: list[object]):
    with pytest.raises(OSError, match=r"vocab\.txt"):
        cached_file(ENCODER, "vocab.txt")


@pytest.mark.parametrize(
    "foreign", ["google/vit-base-patch16-224", "someone/s5-vit-b", "./s5-vit-b", "s5", Path("a/b")]
)
def test_foreign_names_pass_through_untouched(foreign: object, monkeypatch: pytest.MonkeyPatch):
    calls = []
    answer = ["file"]

    def original(*args: object, **kwargs: object) -> list[str]:
        calls.append((args, kwargs))
        return answer

    monkeypatch.setattr(hub, "cached_files", original)
    install_integrations(["known_names"])
    filenames, cache_dir, user_agent = ["config.json"], object(), {"a": "b"}
    assert hub.cached_files(foreign, filenames, cache_dir, user_agent=user_agent) is answer
    assert hub.cached_files(path_or_repo_id=foreign, filenames=filenames, subfolder="x") is answer
    (first, second) = calls
    assert first[0][0] is foreign and first[0][1] is filenames and first[0][2] is cache_dir
    assert first[1] == {"user_agent": user_agent} and first[1]["user_agent"] is user_agent
    assert second == ((foreign, filenames), {"subfolder": "x"})


@pytest.mark.skipif(not hasattr(hub, "resolve_revision"), reason="this transformers asks for no commit")
def test_the_commit_of_a_foreign_name_is_asked_for_and_of_a_known_one_not(loopback_hub: LoopbackHub):
    loopback_hub.repositories["someone/s5-vit-b"] = {"config.json": b"{}"}
    assert hub.resolve_revision("someone/s5-vit-b").resolved == hub.hf_api().model_info("someone/s5-vit-b").sha
    loopback_hub.requests.clear()
    assert hub.resolve_revision("s5-vit-b") is None
    assert hub.resolve_revision("s5-vit-b", "v1") == "v1"
    assert loopback_hub.requests == []


def test_installing_and_reloading_again_changes_nothing():
    installed = hub.cached_files
    install_integrations(["known_names"])
    importlib.reload(s5_hf.integrations.known_names)
    importlib.reload(s5_hf.integrations.switch).install_integrations(["known_names"])
    importlib.reload(s5_hf)
    assert hub.cached_files is installed
    assert AutoConfig.from_pretrained("s5-vit-h").hidden_size == 1280


def test_an_unknown_name_without_network_lists_the_known(no_network: list[object]):
    with pytest.raises(OSError, match=r"no model 's5-vit-bb'; did you mean 's5-vit-b'.*s5-vit-h-moe"):
        AutoConfig.from_pretrained("s5-vit-bb")


def test_small_sizes_have_no_official_weights(no_network: list[object], own_folders: Path):
    with pytest.raises(OSError, match=r"(?s)it has no such model.*No weights of s5-vit-ti are published") as raised:
        AutoModel.from_pretrained("s5-vit-ti")
    assert "from_config(AutoConfig.from_pretrained('s5-vit-ti'))" in str(raised.value)
    assert store_entries(own_folders) == []


def test_the_error_says_what_was_tried_and_what_helps(no_network: list[object], own_folders: Path):
    with pytest.raises(OSError) as raised:
        AutoModel.from_pretrained("s5-vit-l")
    message = str(raised.value)
    for part in (
        str(own_folders / "work" / "s5-vit-l"),
        str(own_folders / "store" / "s5-vit-l"),
        "S5_HF_REPO_S5_VIT_L is not set",
        "the official release lianglyu/S5: it is not in the Hub cache",
        "encoders converted by others BiliSakura/S5-transformers",
        "no network in this test",
        "`s5-hf pull s5-vit-l` downloads",
        "s5-hf convert vit_l_s4p.pth --store",
    ):
        assert part in message
    assert not (own_folders / "store").exists()


@pytest.mark.parametrize("offline", ["argument", "environment"])
def test_offline_is_respected(
    offline: str, no_network: list[object], monkeypatch: pytest.MonkeyPatch, own_folders: Path
):
    if offline == "environment":
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(OSError, match="downloads are switched off"):
        AutoModel.from_pretrained(ENCODER, local_files_only=offline == "argument")
    assert no_network == []


def test_all_classes_load_from_the_store(
    encoder_folder: Path, segmenter_folder: Path, own_folders: Path, no_network: list[object]
):
    shutil.copytree(encoder_folder, own_folders / "store" / ENCODER)
    shutil.copytree(segmenter_folder, own_folders / "store" / SEGMENTER)
    expected = S5ViTBackbone.from_pretrained(encoder_folder).embeddings.position_embeddings
    for auto_class, model_class in ((AutoModel, S5ViTModel), (AutoBackbone, S5ViTBackbone), (S5ViTModel, S5ViTModel)):
        model = auto_class.from_pretrained(ENCODER)
        assert type(model) is model_class
        assert torch.equal(model.embeddings.position_embeddings, expected)
    for auto_class in (AutoModelForSemanticSegmentation, S5ForSemanticSegmentation):
        assert auto_class.from_pretrained(SEGMENTER).config.num_labels == 16
    assert AutoImageProcessor.from_pretrained(SEGMENTER).size == {"height": 512, "width": 512}
    assert no_network == []


def test_a_local_folder_comes_before_the_store(encoder_folder: Path, own_folders: Path):
    shutil.copytree(encoder_folder, own_folders / "store" / ENCODER)
    local = S5ViTBackbone.from_pretrained(encoder_folder)
    with torch.no_grad():
        local.embeddings.position_embeddings.fill_(7)
    local.save_pretrained(ENCODER)
    assert (AutoModel.from_pretrained(ENCODER).embeddings.position_embeddings == 7).all()


def test_a_revision_makes_no_sense_in_the_store(encoder_folder: Path, own_folders: Path):
    shutil.copytree(encoder_folder, own_folders / "store" / ENCODER)
    assert isinstance(S5ViTModel.from_pretrained(ENCODER, revision="main"), S5ViTModel)
    with pytest.raises(OSError, match="no revision 'v2'"):
        S5ViTModel.from_pretrained(ENCODER, revision="v2")


def test_the_store_is_beside_the_hub_cache_unless_told(monkeypatch: pytest.MonkeyPatch, own_folders: Path):
    monkeypatch.setenv("S5_HF_HOME", str(own_folders / "elsewhere"))
    assert store_folder() == own_folders / "elsewhere"
    monkeypatch.delenv("S5_HF_HOME")
    assert store_folder() == own_folders / "s5_hf"


def test_repository_variable():
    assert repository_variable("s5-vit-b-upernet") == "S5_HF_REPO_S5_VIT_B_UPERNET"
    assert known_model("s5-vit-b").repository is None
