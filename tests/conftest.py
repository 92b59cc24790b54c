"""What all tests share: the fixtures of the official code, where the real imagery lies, and micro models."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:
    # Before torch: several processes with several threads each wait for one another. Their children inherit it.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

from s5_hf.modeling import S5ForSemanticSegmentation, S5SegmentationConfig, S5ViTConfig
from tests.parity.fixtures import CompactFixtures, OfficialFixtures, WholeFixtures
from tests.shifted_weights import shift_if_asked

shift_if_asked()

TESTS = Path(__file__).resolve().parent
SHARED = TESTS.parents[1] / "shared"

MICRO_VIT = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "image_size": 64}
MICRO_TASKS = {"fields": ["soil", "crop", "water"], "roads": ["ground", "road"]}


# Few tests that take long: begun last, as those of few tests are by default, each would be waited for alone.
SLOW_FILES = {
    *("demo/test_demo.py", "export/test_detector_export.py", "export/test_export.py"),
    *("test_documentation.py", "test_gpu_check.py", "test_tutorials.py"),
}


def pytest_configure(config: pytest.Config) -> None:
    """Several processes take the files in the order of the tests, not by how many tests they hold."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow files first, then folder by folder."""
    items.sort(key=lambda item: item.path.relative_to(TESTS).as_posix() not in SLOW_FILES)


def pytest_collection_finish() -> None:
    """Keep what is imported out of later searches for garbage: every training ends with one, half a second without."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", params=["compact", "whole"])
def official_fixtures(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> OfficialFixtures:
    """What the official implementation made: the compact fixtures of this repository, and all where they are."""
    if request.param == "compact":
        return CompactFixtures(tmp_path_factory.mktemp("compact_fixtures"))
    folder = SHARED / "fixtures"
    if not folder.is_dir():
        pytest.skip(f"the whole fixtures of the official implementation are not at {folder}")
    return WholeFixtures(folder)


@pytest.fixture(scope="session")
def real_imagery() -> Path:
    """Folder with the real aerial imagery."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"the real imagery is not at {folder}")
    return folder


def micro_segmentation_config(num_experts: int = 0, **settings: object) -> S5SegmentationConfig:
    """A segmenter of a few thousand parameters; two tasks if it has experts, else one."""
    tasks = MICRO_TASKS if num_experts else {"fields": MICRO_TASKS["fields"]}
    vit = {**MICRO_VIT, "num_experts": num_experts, "expert_channels": 8, **settings}
    return S5SegmentationConfig(backbone_config=S5ViTConfig(**vit), tasks=tasks, decoder_channels=16)


def randomise(model: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Fill a model with weights large enough that every path shows in the output, batch norm statistics included."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if not tensor.is_floating_point():
                continue
            values = torch.randn(tensor.shape, generator=generator)
            fan_in = tensor[0].numel() if tensor.ndim > 1 else 1
            positive = name.endswith("running_var") or (tensor.ndim == 1 and name.endswith("weight"))
            tensor.copy_(1 + 0.1 * values.abs() if positive else values / max(fan_in, 4) ** 0.5)
    return model


@pytest.fixture
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Datasets of a test are built in a folder of their own."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets-cache"))


@pytest.fixture
def dense_model() -> S5ForSemanticSegmentation:
    """A dense micro segmenter with one task, in eval mode."""
    return randomise(S5ForSemanticSegmentation(micro_segmentation_config())).eval()


@pytest.fixture
def moe_model() -> S5ForSemanticSegmentation:
    """A micro mixture of experts with two tasks, in eval mode."""
    return randomise(S5ForSemanticSegmentation(micro_segmentation_config(num_experts=2))).eval()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """One thread for torch: sums over another number of threads round differently."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
