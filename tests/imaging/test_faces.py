"""Folders offer their names without loading what is behind them."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

FOLDERS = ("s5_hf.imaging", "s5_hf.data", "s5_hf.preparation")


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_offered_name_is_there_and_none_is_that_of_a_module(folder):
    package = importlib.import_module(folder)
    modules = {path.stem for path in Path(package.__file__).parent.glob("*.py")}
    assert package.__all__ and set(package.__all__) <= set(dir(package))
    assert not modules & set(package.__all__)
    for name in package.__all__:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match=f"module '{folder}' has no attribute 'nothing'"):
        package.nothing  # noqa: B018


def test_importing_the_folders_loads_no_heavy_module():
    heavy = ("torch", "datasets", "numpy", "PIL", "rasterio", "pyarrow", "fsspec")
    code = (
        f"import sys\nimport {', '.join((*FOLDERS, 's5_hf.dataset_builders'))}\n"
        f"print([name for name in {heavy} if name in sys.modules])\n"
        "print([name for name in sys.modules if name.startswith(('s5_hf.imaging.', 's5_hf.data.'))])\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n[]\n"
