"""The package as a whole: pure torch and transformers where it must be."""

import ast
import sys
from pathlib import Path

import s5_hf.modeling


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
