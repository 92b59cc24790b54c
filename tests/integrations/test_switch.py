"""Every touch of another library is on the page, and each can be switched off."""

from pathlib import Path

import pytest

from s5_hf.integrations import INTEGRATIONS, wanted_integrations
from tests.integrations.test_imports import run_python

PAGE = Path(__file__).resolve().parents[2] / "docs" / "integrations.md"

TOUCHED = """
import os, sys
if sys.argv[1] != "unset":
    os.environ["S5_HF_INTEGRATIONS"] = sys.argv[1]
import s5_hf
import datasets.load, transformers
from transformers.models.auto import configuration_auto, image_processing_auto, modeling_auto
from transformers.pipelines import PIPELINE_REGISTRY
from transformers.utils import hub

mappings = (
    configuration_auto.CONFIG_MAPPING,
    image_processing_auto.IMAGE_PROCESSOR_MAPPING,
    modeling_auto.AutoModel._model_mapping,
    modeling_auto.AutoBackbone._model_mapping,
    modeling_auto.AutoModelForSemanticSegmentation._model_mapping,
    modeling_auto.AutoModelForObjectDetection._model_mapping,
)
touched = {
    "auto_classes": all("SelfFilling" in type(mapping._extra_content).__name__ for mapping in mappings),
    "auto_backbone": modeling_auto.AutoBackbone.from_pretrained.__module__.startswith("s5_hf"),
    "pipelines": any(
        getattr(PIPELINE_REGISTRY.supported_tasks[kind]["impl"], "__module__", "").startswith("s5_hf")
        for kind in ("image-segmentation", "object-detection")
    ),
    "known_names": getattr(hub.cached_files, "finds_s5_models", False),
    "load_dataset": getattr(datasets.load.dataset_module_factory, "_knows_s5_datasets", False),
    "finder": any(type(finder).__module__.startswith("s5_hf") for finder in sys.meta_path),
}
print(*(name for name, is_touched in touched.items() if is_touched))
"""


@pytest.mark.parametrize(
    ("value", "touched"),
    [
        ("unset", ["auto_classes", "auto_backbone", "pipelines", "known_names", "load_dataset", "finder"]),
        ("none", []),
        ("auto_classes, load_dataset", ["auto_classes", "load_dataset", "finder"]),
    ],
)
def test_the_environment_chooses_what_is_changed_in_other_libraries(value, touched):
    assert run_python(TOUCHED, value).split() == touched


def test_an_integration_that_does_not_exist_is_refused(monkeypatch):
    monkeypatch.setenv("S5_HF_INTEGRATIONS", "auto_classes,pipeline")
    with pytest.raises(ValueError, match=r"no integration 'pipeline'; expected all, none, or some of auto_classes, "):
        wanted_integrations()


def test_the_page_lists_every_part_with_the_modules_that_it_changes():
    rows = [line.split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    listed = {row[0].strip("| `"): {name.strip("`") for name in row[1].split(", ")} for row in rows}
    assert listed == {name: {module for module, _ in touches} for name, touches in INTEGRATIONS.items()}
