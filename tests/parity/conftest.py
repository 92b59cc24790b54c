"""Parity tests compare with fixtures that the official implementation made (float32, rtol 1e-4, atol 1e-5)."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from s5_hf.conversion import convert_checkpoint


@pytest.fixture(scope="session")
def converted(official_fixtures: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Convert a fixture checkpoint (once) and give its folder."""
    folder = tmp_path_factory.mktemp("converted")

    def convert(name: str, **settings: object) -> Path:
        output = folder / name
        if not output.exists():
            convert_checkpoint(official_fixtures / f"{name}.pth", output, num_attention_heads=4, **settings)
        return output

    return convert


@pytest.fixture(scope="session")
def arrays(official_fixtures: Path) -> Callable[[str], dict[str, torch.Tensor]]:
    """Load the arrays of a fixture as tensors."""

    def load(name: str) -> dict[str, torch.Tensor]:
        with np.load(official_fixtures / f"{name}.npz") as content:
            return {key: torch.from_numpy(np.asarray(content[key])) for key in content.files}

    return load


def assert_close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    """The project's tolerance for official numerics."""
    torch.testing.assert_close(actual.detach(), expected, rtol=1e-4, atol=1e-5)
