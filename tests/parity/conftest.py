"""Parity tests compare with fixtures that the official implementation made (float32, rtol 1e-4, atol 1e-5)."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from s5_hf.conversion import convert_checkpoint
from tests.parity.fixtures import OfficialFixtures, Sample, sample


@pytest.fixture(scope="session")
def converted(official_fixtures: OfficialFixtures, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Convert a fixture checkpoint (once) and give its folder."""
    folder = tmp_path_factory.mktemp("converted")

    def convert(name: str, **settings: object) -> Path:
        output = folder / name
        if not output.exists():
            convert_checkpoint(official_fixtures.checkpoint(name), output, num_attention_heads=4, **settings)
        return output

    return convert


@pytest.fixture(scope="session")
def arrays(official_fixtures: OfficialFixtures) -> Callable[[str], dict[str, torch.Tensor | Sample]]:
    """Load the arrays of a fixture as tensors."""
    return official_fixtures.arrays


def assert_close(actual: torch.Tensor, expected: torch.Tensor | Sample) -> None:
    """The project's tolerance for official numerics; of a sampled tensor, the elements that are kept."""
    assert actual.shape == expected.shape
    if isinstance(expected, Sample):
        actual, expected = sample(actual, expected.step), expected.values
    torch.testing.assert_close(actual.detach(), expected, rtol=1e-4, atol=1e-5)
