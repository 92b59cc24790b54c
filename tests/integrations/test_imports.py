"""What `import s5_hf` costs, and that everything it promises holds in whatever order libraries are imported."""

import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s5_hf import integrations
from s5_hf.modeling import S5ForSemanticSegmentation, S5ImageProcessor, S5ViTBackbone, S5ViTConfig
from tests.conftest import MICRO_VIT, micro_segmentation_config

LIBRARIES = (
    "torch",
    "transformers",
    "datasets",
    "huggingface_hub",
    "accelerate",
    "numpy",
    "PIL",
    "pyarrow",
    "sklearn",
)


def run_python(code: str, *arguments: object) -> str:
    """The output of a program in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-c", code, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_import_help_and_version_import_no_library():
    code = (
        "import sys, contextlib, io\n"
        f"loaded = lambda: [name for name in {LIBRARIES!r} if name in sys.modules]\n"
        "import s5_hf\n"
        "print('import', *loaded())\n"
        "from s5_hf import cli\n"
        "for words in ('--help', '--version', 'predict --help', 'curate score --help', 'pull --help'):\n"
        "    sys.argv = ['s5-hf', *words.split()]\n"
        "    try:\n"
        "        with contextlib.redirect_stdout(io.StringIO()) as printed: cli.main()\n"
        "    except SystemExit as end:\n"
        "        assert not end.code and printed.getvalue(), words\n"
        "    print(words.split()[0], *loaded())\n"
    )
    assert run_python(code).splitlines() == ["import", "--help", "--version", "predict", "curate", "pull"]


def test_import_adds_nothing_but_this_package_to_transformers():
    code = (
        "import sys, transformers\n"
        "before = set(sys.modules)\n"
        "import s5_hf\n"
        "added = {name.split('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)\n"
        "print(*sorted(added))"
    )
    assert [name for name in run_python(code).split() if not name.startswith("__editable__")] == ["s5_hf"]


FIRST = """
import importlib, os, sys
import numpy, pandas, PIL.Image, pyarrow, sklearn, torch, torch.distributed  # the package changes none of them
import transformers

def is_imported_in_a_process_of_its_own(name):
    child = os.fork()
    if child == 0:
        try:
            importlib.import_module(name)
        except ImportError as error:
            print(name, error)
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(child, 0)

for name in sys.argv[1:]:
    is_imported_in_a_process_of_its_own(name)

import s5_hf
from s5_hf.integrations import INTEGRATIONS

light = set(sys.modules)
for changes in INTEGRATIONS.values():
    for library, _ in changes:
        importlib.import_module(library)
print(*(name for name in sys.modules if name.startswith("s5_hf") and name not in light))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork a process")
def test_every_integration_can_be_imported_first_and_changed_libraries_import_none_of_it():
    """With tests/test_architecture.py, which finds no circle among the modules, this holds for every module.

    A library that imported modules of this package while it is imported itself would close such a circle.
    """
    modules = [f"s5_hf.integrations.{module.name}" for module in pkgutil.iter_modules(integrations.__path__)]
    assert "s5_hf.integrations.pipelines" in modules
    assert run_python(FIRST, *modules) == "\n"


PROMISES = """
import os, sys
from pathlib import Path
folder = Path(sys.argv[1])
os.environ["S5_HF_HOME"] = str(folder / "store")

def check_promises():
    from datasets import load_dataset
    from transformers import AutoBackbone, AutoConfig, AutoImageProcessor, AutoModel, pipeline
    from transformers import AutoModelForSemanticSegmentation
    import transformers

    assert AutoConfig.from_pretrained("s5-vit-b").hidden_size == 32
    assert AutoConfig.from_pretrained("s5-vit-l-moe").num_labels is not None
    assert type(AutoModel.from_pretrained("s5-vit-b")).__name__ == "S5ViTModel"
    assert type(AutoBackbone.from_pretrained("s5-vit-b")).__name__ == "S5ViTBackbone"
    assert type(AutoImageProcessor.from_pretrained("s5-vit-b")).__name__ == "S5ImageProcessor"
    assert type(transformers.AutoImageProcessor.from_pretrained("s5-vit-b")).__name__ == "S5ImageProcessor"
    segmenter = AutoModelForSemanticSegmentation.from_pretrained(folder / "segmenter")
    assert type(segmenter).__name__ == "S5ForSemanticSegmentation"
    pipe = pipeline("image-segmentation", model=str(folder / "segmenter"))
    assert pipe(str(folder / "data" / "images" / "a.png"))
    data_dir = str(folder / "data")
    dataset = load_dataset("s5-image-mask", data_dir=data_dir, split="train", streaming=True, classes=["x"])
    assert next(iter(dataset))["id"] == "a"
"""

ORDERS = {
    "s5_hf_first_and_all_reloaded": """
import s5_hf
check_promises()
import importlib
for name in (
    "transformers.utils.hub", "transformers.models.auto.configuration_auto", "transformers.models.auto.modeling_auto",
    "transformers.models.auto.image_processing_auto", "datasets.load", "s5_hf",
):
    importlib.reload(sys.modules[name])
from transformers.models.auto.modeling_auto import AutoModel
from datasets.load import load_dataset
assert type(AutoModel.from_pretrained("s5-vit-b")).__name__ == "S5ViTModel"
assert load_dataset("s5-image-mask", data_dir=str(folder / "data"), split="train", classes=["x"]).num_rows == 1
""",
    "s5_hf_last": """
from transformers import AutoBackbone, AutoConfig, AutoImageProcessor, AutoModel, pipeline
from datasets import load_dataset
import s5_hf
check_promises()
""",
    "networks_first": """
from s5_hf.modeling import S5ViTConfig
check_promises()
""",
}


@pytest.fixture(scope="module")
def promised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with an encoder under a known name, a segmenter with its processor, and one labelled image."""
    folder = tmp_path_factory.mktemp("promised")
    encoder = folder / "store" / "s5-vit-b"
    S5ViTBackbone(S5ViTConfig(**MICRO_VIT)).save_pretrained(encoder)
    S5ForSemanticSegmentation(micro_segmentation_config()).save_pretrained(folder / "segmenter")
    for place in (encoder, folder / "segmenter"):
        S5ImageProcessor().save_pretrained(place)
    for name, pixels in (("images", np.zeros((64, 64, 3), np.uint8)), ("masks", np.zeros((64, 64), np.uint8))):
        (folder / "data" / name).mkdir(parents=True)
        Image.fromarray(pixels).save(folder / "data" / name / "a.png")
    return folder


# Each program in a fork of its own, which has what takes long to import and what the package does not change.
IN_FORKS = """
import os, sys, traceback
import numpy, pandas, PIL.Image, pyarrow, sklearn, torch, torch.distributed

def is_right(program):
    child = os.fork()
    if child == 0:
        try:
            exec(program, {"__name__": "__main__"})
        except BaseException:
            print(program, traceback.format_exc(), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0

sys.exit(not all([is_right(program) for program in sys.argv.pop().split("# next program")]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork a process")
def test_every_promise_holds_in_any_order_of_imports(promised: Path):
    run_python(IN_FORKS, promised, "# next program".join(PROMISES + order for order in ORDERS.values()))


@pytest.mark.skipif(hasattr(os, "fork"), reason="tested in forks, which are quicker")
@pytest.mark.parametrize("order", list(ORDERS))
def test_every_promise_holds_in_any_order_of_imports_without_forks(order: str, promised: Path):
    run_python(PROMISES + ORDERS[order], promised)


WORKERS = """
import os, sys, threading
from pathlib import Path
os.environ["S5_HF_HOME"] = str(Path(sys.argv[1]) / "store")
import s5_hf

class Widths:
    def __len__(self):
        return 2

    def __getitem__(self, index):
        from transformers import AutoConfig

        return AutoConfig.from_pretrained("s5-vit-b").hidden_size

if __name__ == "__main__":
    import pickle

    # Imported here, because transformers' own modules import one another in circles, which threads at once can break.
    from transformers import AutoBackbone, AutoConfig, AutoImageProcessor, AutoModel, PreTrainedModel

    assert "s5_hf.modeling" not in sys.modules
    found, start = [], threading.Barrier(6)

    def load(auto_class):
        start.wait()
        found.append(type(auto_class.from_pretrained("s5-vit-b")).__name__)

    classes = [AutoModel, AutoModel, AutoBackbone, AutoConfig, AutoImageProcessor, AutoModel]
    threads = [threading.Thread(target=load, args=(auto_class,)) for auto_class in classes]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(found) == ["S5ImageProcessor", "S5ViTBackbone", "S5ViTConfig"] + ["S5ViTModel"] * 3, found

    from torch.utils.data import DataLoader
    from transformers.models.auto.modeling_auto import MODEL_MAPPING

    loader = DataLoader(Widths(), batch_size=None, num_workers=1, multiprocessing_context="spawn")
    assert list(loader) == [32, 32]
    config = AutoConfig.from_pretrained("s5-vit-b")
    assert pickle.loads(pickle.dumps(config)).hidden_size == 32
    assert pickle.loads(pickle.dumps(AutoImageProcessor.from_pretrained("s5-vit-b"))).size
    assert pickle.loads(pickle.dumps(MODEL_MAPPING))[type(config)].__name__ == "S5ViTModel"
"""


def test_threads_at_once_workers_and_pickles_know_the_names(promised: Path, tmp_path: Path):
    script = tmp_path / "workers.py"
    script.write_text(WORKERS, encoding="utf-8")
    command = [sys.executable, "-W", "ignore", str(script), str(promised)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr


def test_faces_are_light_and_every_name_loads_when_it_is_asked_for():
    code = (
        "import sys, s5_hf\n"
        "from s5_hf import conversion, hub, integrations\n"
        "names = [name for name in s5_hf.__all__ if not name.startswith('__')]\n"
        "assert set(names) <= set(dir(s5_hf))\n"
        f"print(*(name for name in {LIBRARIES!r} if name in sys.modules))\n"
        "print(*(f'{name}={getattr(s5_hf, name).__module__}' for name in names))\n"
        "faces = (conversion, hub, integrations)\n"
        "assert all(getattr(face, name) is not None for face in faces for name in face.__all__)\n"
    )
    libraries, names = run_python(code).splitlines()
    assert libraries == ""
    found = dict(pair.split("=") for pair in names.split())
    assert {name: module.split(".")[1] for name, module in found.items()} == {
        **dict.fromkeys(("S5DetectionConfig", "S5SegmentationConfig", "S5ViTConfig", "S5ViTModel"), "modeling"),
        **dict.fromkeys(("S5ForOrientedObjectDetection", "S5ForSemanticSegmentation", "S5ImageProcessor"), "modeling"),
        **dict.fromkeys(("S5ChangeDetectionConfig", "S5ChangeImageProcessor", "S5ForChangeDetection"), "modeling"),
        "detect_scene": "scenes",
        "segment_scene": "scenes",
        "pull": "hub",
    }
