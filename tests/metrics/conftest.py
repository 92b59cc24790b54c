"""What the tests of metrics share."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Folders that `evaluate` makes, and modules that it copies there: not in the user's caches, none left over."""
    modules = tmp_path / "modules"
    monkeypatch.setattr("evaluate.config.HF_METRICS_CACHE", str(tmp_path / "metrics"))
    monkeypatch.setattr("evaluate.config.HF_MODULES_CACHE", str(modules))
    monkeypatch.syspath_prepend(modules)
    forget_copies()
    yield
    forget_copies()


def forget_copies() -> None:
    """Unload the copies of modules, which `evaluate` imports as `evaluate_modules`."""
    for name in [name for name in sys.modules if name.startswith("evaluate_modules")]:
        del sys.modules[name]
    importlib.invalidate_caches()
