"""The package as a whole: light to import, pure torch and transformers where it must be."""

import ast
import subprocess
import sys
from pathlib import Path

import s5_hf.modeling

# datasets, and pandas with it, has to be there: `load_dataset` is taught the names. It takes a third of a second.
HEAVY = ("evaluate", "accelerate", "matplotlib", "sklearn", "rasterio", "shapely", "scipy")


def test_import_is_light():
    code = (
        "import sys, torch, transformers\n"
        "from transformers import PreTrainedModel, AutoModel, AutoBackbone, AutoImageProcessor, pipeline\n"
        "before = set(sys.modules)\n"
        "import s5_hf\n"
        f"print(*(name for name in {HEAVY!r} if name in set(sys.modules) - before))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert result.stdout.split() == []


def test_modeling_imports_torch_and_transformers_only():
    """So that a model can travel to the Hub with its code."""
    allowed = {"torch", "transformers", "numpy", "PIL", *sys.stdlib_module_names}
    for path in Path(s5_hf.modeling.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                roots = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                roots = {node.module.split(".")[0]} if node.level == 0 else set()
                assert node.level <= 1, f"{path.name} reaches outside modeling/"
            else:
                continue
            assert roots <= allowed, f"{path.name} imports {roots - allowed}"
