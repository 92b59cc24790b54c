"""Actions that run once a module of another package has been imported."""

import importlib
import inspect
import sys
from pathlib import Path

import pytest

from s5_hf.integrations.import_hook import after_import


@pytest.fixture
def fresh_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module that is not imported yet; it counts how often its code runs."""
    name = "s5_hf_test_module"
    (tmp_path / f"{name}.py").write_text("def answer():\n    return 42\n\n\nvalue = 'own'\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, name, raising=False)
    yield name
    sys.modules.pop(name, None)
    finder = next(finder for finder in sys.meta_path if hasattr(finder, "actions"))
    finder.actions.pop(name, None)


def test_an_action_runs_after_import_and_after_every_reload(fresh_module: str):
    seen = []

    def action(module: object) -> None:
        seen.append(module.value)
        module.value = "changed"

    after_import(fresh_module, action)
    after_import(fresh_module, action)
    assert seen == [] and fresh_module not in sys.modules
    module = importlib.import_module(fresh_module)
    assert seen == ["own"] and module.value == "changed"
    assert type(module.__loader__) is type(module.__spec__.loader) is importlib.machinery.SourceFileLoader
    assert "return 42" in inspect.getsource(module.answer)
    importlib.reload(module)
    assert seen == ["own", "own"] and module.value == "changed"


def test_an_action_runs_at_once_for_what_is_imported(fresh_module: str):
    module = importlib.import_module(fresh_module)
    seen = []
    after_import(fresh_module, seen.append)
    assert seen == [module]


def test_looking_for_a_module_or_failing_to_import_it_runs_no_action(fresh_module: str, tmp_path: Path):
    seen = []
    after_import(fresh_module, seen.append)
    spec = importlib.util.find_spec(fresh_module)
    assert "return 42" in spec.loader.get_source(fresh_module) and seen == []
    (tmp_path / f"{fresh_module}.py").write_text("raise ImportError('broken')\n", encoding="utf-8")
    with pytest.raises(ImportError, match="broken"):
        importlib.import_module(fresh_module)
    assert seen == [] and fresh_module not in sys.modules
