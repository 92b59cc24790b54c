"""The faces of folders: every name loads, none is hidden by a module, and importing a face imports nothing heavy."""

import importlib
import pkgutil
import subprocess
import sys

import pytest

FACES = ("curation", "demo", "files", "metrics", "pages", "synthetic")


@pytest.mark.parametrize("room", FACES)
def test_every_name_of_a_face_loads_and_none_is_that_of_a_module(room):
    face = importlib.import_module(f"s5_hf.{room}")
    modules = {module.name for module in pkgutil.iter_modules(face.__path__)}
    assert face.__all__ == sorted(set(face.__all__))
    assert modules.isdisjoint(face.__all__)
    assert [name for name in face.__all__ if getattr(face, name, None) is None] == []
    with pytest.raises(AttributeError, match=f"module 's5_hf.{room}' has no attribute 'nothing'"):
        _ = face.nothing


def test_importing_the_faces_imports_nothing_heavy():
    imports = "; ".join(f"import s5_hf.{room}" for room in FACES)
    heavy = "{'torch', 'transformers', 'datasets', 'evaluate', 'pyarrow', 'sklearn', 'accelerate'}"
    script = f"import sys; {imports}; print(sorted({heavy} & sys.modules.keys()))"
    output = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert output.strip() == "[]"


def test_processes_that_read_datasets_do_not_load_the_networks():
    """Each process of `s5-hf prepare` and `s5-hf inspect` imports these; torch and transformers take seconds."""
    script = "import sys, s5_hf.data.inspection, s5_hf.preparation.isprs, s5_hf.preparation.dota"
    script += "; print(sorted({'torch', 'transformers'} & sys.modules.keys()))"
    output = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert output.strip() == "[]"
