"""Documentation that runs: the examples in docstrings, the Python blocks of the README and of its pages."""

import doctest
import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES_WITH_EXAMPLES = [
    "s5_hf.modeling.modeling_s5_vit",
    "s5_hf.modeling.modeling_s5_segmentation",
    "s5_hf.modeling.modeling_s5_detection",
]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")]
PAGES_WITH_EXAMPLES = [
    page.relative_to(ROOT).as_posix()
    for page in PAGES
    if "```python" in page.read_text(encoding="utf-8") and page.parent.name != "tutorials"  # see test_tutorials.py
]


@pytest.mark.parametrize("name", MODULES_WITH_EXAMPLES)
def test_docstring_examples(name):
    result = doctest.testmod(import_module(name))
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("page", PAGES_WITH_EXAMPLES)
def test_examples_of_a_page(page, tmp_path, monkeypatch):
    """All Python blocks of a page, one after the other in one namespace, in an empty folder."""
    if page == "docs/scenes.md":
        for needed in ("rasterio", "onnxruntime", "onnxscript"):
            pytest.importorskip(needed, reason=f"the page shows what needs {needed}: pip install 's5_hf[geo,onnx]'")
    if page == "docs/own_data.md":
        pytest.importorskip("pyogrio", reason="the page shows what needs pyogrio: pip install 's5_hf[geo]'")
    if page == "docs/roads.md":
        pytest.importorskip("shapely", reason="the page shows what needs shapely: pip install 's5_hf[geo]'")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("S5_HF_HOME", str(tmp_path / "store"))
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    namespace = {}
    for block in blocks:
        exec(compile(block, page, "exec"), namespace)
    assert any(tmp_path.iterdir()) or page == "docs/pretraining.md"  # which only defines a method


def test_examples_are_found_on_the_pages_that_show_code():
    assert {"README.md", "docs/data.md", "docs/detection.md", "docs/pretraining.md", "docs/scenes.md"} <= set(
        PAGES_WITH_EXAMPLES
    )


@pytest.mark.parametrize("page", sorted(path.relative_to(ROOT).as_posix() for path in PAGES))
def test_pages_name_files_that_exist(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    assert [link for link in links if not (ROOT / page).parent.joinpath(link).exists()] == []
