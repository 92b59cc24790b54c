"""Documentation that runs: the examples in docstrings and the Python blocks of the README."""

import doctest
import re
from importlib import import_module
from pathlib import Path

import pytest
import transformers

ROOT = Path(__file__).resolve().parents[1]
MODULES_WITH_EXAMPLES = [
    "s5_hf.modeling.modeling_s5_vit",
    "s5_hf.modeling.modeling_s5_segmentation",
    "s5_hf.modeling.modeling_s5_detection",
]


@pytest.mark.parametrize("name", MODULES_WITH_EXAMPLES)
def test_docstring_examples(name):
    result = doctest.testmod(import_module(name))
    assert result.attempted > 0
    assert result.failed == 0


def test_readme_examples(tmp_path, monkeypatch):
    """All Python blocks of the README, one after the other in one namespace, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("S5_HF_HOME", str(tmp_path / "store"))
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 3
    namespace = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), namespace)
    assert (tmp_path / "overlay.png").is_file()


def test_readme_names_files_that_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_transformers_is_recent_enough():
    assert int(transformers.__version__.split(".")[0]) >= 5
