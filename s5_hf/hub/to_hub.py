"""A model folder to the Hub, with its code and a model card, so that it also loads where s5_hf is not installed.

A plain CLIP needs no code of ours: it goes as it is, with a card.
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from huggingface_hub import HfApi
from transformers import AutoConfig, AutoProcessor, PretrainedConfig, ProcessorMixin
from transformers.dynamic_module_utils import get_relative_import_files

from ..files.json_files import read_json_object
from ..modeling import (
    MambaHSIConfig,
    MambaHSIImageProcessor,
    MVCCConfig,
    MVCCProcessor,
    S5ChangeImageProcessor,
    S5ImageProcessor,
    SamRoadConfig,
    SamRoadProcessor,
    SegEarthOVConfig,
    SegEarthOVProcessor,
    SegEarthR1Config,
    SegEarthR1Processor,
    SRUITConfig,
    SRUITImageProcessor,
)
from .download import DOWNLOAD_ERRORS, LIBRARY, reason
from .model_card import Metrics, check_metrics, model_card
from .model_folder import require_configuration, require_model_folder
from .name_form import is_of_this_family
from .names import NETWORKS, PLAIN_NETWORKS
from .store import is_model_folder, stored

# Which class `trust_remote_code=True` loads for which Auto class, by model type.
AUTO_CLASSES = {
    "s5_vit": {"AutoConfig": "S5ViTConfig", "AutoModel": "S5ViTModel", "AutoBackbone": "S5ViTBackbone"},
    "s5_dinov2": {"AutoConfig": "S5Dinov2Config", "AutoBackbone": "S5Dinov2Backbone"},
    "s5_segformer": {"AutoConfig": "S5SegformerConfig", "AutoBackbone": "S5SegformerBackbone"},
    "s5_efficientnet_lite": {"AutoConfig": "S5EfficientNetLiteConfig", "AutoBackbone": "S5EfficientNetLiteBackbone"},
    "s5_segmentation": {
        "AutoConfig": "S5SegmentationConfig",
        "AutoModelForSemanticSegmentation": "S5ForSemanticSegmentation",
    },
    "s5_detection": {
        "AutoConfig": "S5DetectionConfig",
        "AutoModelForObjectDetection": "S5ForOrientedObjectDetection",
    },
    "s5_change_detection": {"AutoConfig": "S5ChangeDetectionConfig", "AutoModel": "S5ForChangeDetection"},
    SamRoadConfig.model_type: {"AutoConfig": "SamRoadConfig", "AutoModel": "SamRoadForRoadGraph"},
    SegEarthOVConfig.model_type: {
        "AutoConfig": "SegEarthOVConfig",
        "AutoModelForSemanticSegmentation": "SegEarthOVForSemanticSegmentation",
    },
    SegEarthR1Config.model_type: {"AutoConfig": "SegEarthR1Config", "AutoModel": "SegEarthR1ForPixelReasoning"},
    MVCCConfig.model_type: {"AutoConfig": "MVCCConfig", "AutoModel": "MVCCForChangeCaptioning"},
    MambaHSIConfig.model_type: {
        "AutoConfig": "MambaHSIConfig",
        "AutoModelForSemanticSegmentation": "MambaHSIForSemanticSegmentation",
    },
    SRUITConfig.model_type: {"AutoConfig": "SRUITConfig", "AutoModel": "SRUITModel"},
}
PROCESSORS: Mapping[str, type[S5ImageProcessor] | type[ProcessorMixin]] = {
    "s5_change_detection": S5ChangeImageProcessor,
    SamRoadConfig.model_type: SamRoadProcessor,
    SegEarthOVConfig.model_type: SegEarthOVProcessor,
    SegEarthR1Config.model_type: SegEarthR1Processor,
    MVCCConfig.model_type: MVCCProcessor,
    MambaHSIConfig.model_type: MambaHSIImageProcessor,
    SRUITConfig.model_type: SRUITImageProcessor,
}
"""Processors of model types that have another one than S5ImageProcessor."""

PLAIN_FILES = (
    *("config.json", "preprocessor_config.json", "processor_config.json"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt"),
)
"""What a model of transformers may have beside its weights."""

# All classes are reached through one file. transformers copies only what a file itself imports (5.0), and makes one
# copy of the code per file it is sent to (5.20 and later), so that classes of two files would not fit together.
ENTRY = "s5_networks"
ENTRY_HEADER = '"""The S5 networks: everything that `trust_remote_code=True` loads, in one place."""\n\n'


def push(
    folder: str | Path,
    repository: str,
    *,
    private: bool = False,
    license_name: str | None = None,
    metrics: Mapping[str, object] | None = None,
    token: str | None = None,
) -> str:
    """Upload a model folder, its code and a model card to a Hub repository, which is made if it is missing.

    Args:
        folder: a folder of this package, or a known name that is in the store.
        repository: `owner/repository`.
        private: whether a new repository is private.
        license_name: licence of the weights as the Hub spells it, such as `apache-2.0`.
        metrics: what the card's table shows: `{"loveda": {"mIoU": 54.0}}`, or `{"mIoU": 54.0}` for one task.
        token: a token of the Hub with the right to write; by default the one of `hf auth login`.

    Returns:
        The address of the commit.

    Raises:
        FileNotFoundError, ValueError: if the folder holds another kind of model or the metrics do not fit; nothing is
            sent.
        OSError: if the Hub refuses or cannot be reached.
    """
    with tempfile.TemporaryDirectory(prefix="s5_hf_push_") as temporary:
        stage = Path(temporary)
        stage_for_hub(folder, stage, repository, license_name=license_name, metrics=metrics)
        api = HfApi(token=token, library_name=LIBRARY)
        try:
            api.create_repo(repository, private=private, exist_ok=True)
            commit = api.upload_folder(repo_id=repository, folder_path=stage, commit_message="Upload model with s5_hf")
        except DOWNLOAD_ERRORS as error:
            raise OSError(f"{repository} was not uploaded: {reason(error)}") from error
    return str(commit.commit_url)


def stage_for_hub(
    folder: str | Path,
    stage: Path,
    repository: str,
    *,
    license_name: str | None = None,
    metrics: Mapping[str, object] | None = None,
) -> None:
    """Fill the empty folder `stage` with what a repository holds: weights, configurations, code, model card.

    `from_pretrained(stage, trust_remote_code=True)` works without s5_hf. Arguments and errors as in `push`.
    """
    folder = model_folder(folder)
    require_configuration(folder / "config.json")
    config = AutoConfig.from_pretrained(folder)
    known = {**AUTO_CLASSES, **PLAIN_NETWORKS}
    if config.model_type not in known:
        raise ValueError(f"{folder} holds a {config.model_type!r} model, expected one of {', '.join(known)}")
    require_model_folder(folder)
    checked: Metrics = check_metrics(metrics, config)

    for weights in folder.glob("*.safetensors*"):
        shutil.copyfile(weights, stage / weights.name)
    put = put_plain_model if config.model_type in PLAIN_NETWORKS else put_own_model
    put(folder, stage, config)
    model_card(config, repository, license_name, checked).save(stage / "README.md")


def put_plain_model(folder: Path, stage: Path, config: PretrainedConfig) -> None:
    """Copy what a model of transformers itself has beside its weights to `stage`.

    Raises:
        FileNotFoundError: if it has no image processor, without which nobody knows how images are scaled.
    """
    if not (folder / "preprocessor_config.json").is_file():
        raise FileNotFoundError(
            f"{folder} has no preprocessor_config.json, which says how the images of a {config.model_type!r} model "
            "are scaled; save its image processor there (`save_pretrained`)"
        )
    for name in PLAIN_FILES:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, stage / name)


def put_own_model(folder: Path, stage: Path, config: PretrainedConfig) -> None:
    """Write configurations, processor and code of a model of this package to `stage`."""
    auto_map = entries(AUTO_CLASSES[config.model_type])
    write_json(stage / "config.json", {**read_json_object(folder / "config.json"), "auto_map": auto_map})
    generation = folder / "generation_config.json"
    if generation.is_file():
        shutil.copyfile(generation, stage / generation.name)
    processor_class = PROCESSORS.get(config.model_type, S5ImageProcessor)
    put_processor = put_whole_processor if issubclass(processor_class, ProcessorMixin) else put_image_processor
    put_processor(folder, stage, processor_class)
    classes = (type(config), NETWORKS[config.model_type], processor_class)
    copy_code([own_class.__module__ for own_class in classes], stage)


def put_image_processor(folder: Path, stage: Path, processor_class: type[S5ImageProcessor]) -> None:
    """Write the settings of a model's image processor to `stage`, the usual ones where it has none.

    Raises:
        FileNotFoundError: if it has none, and what it takes depends on what it has learned.
    """
    processor = folder / "preprocessor_config.json"
    if processor_class is MambaHSIImageProcessor and not processor.is_file():
        raise FileNotFoundError(f"{folder} has no {processor.name}, which says how the values of cubes are stretched")
    settings = read_json_object(processor) if processor.is_file() else processor_class().to_dict()
    processor_map = entries({"AutoImageProcessor": processor_class.__name__})
    write_json(stage / processor.name, {**settings, "auto_map": processor_map})


def put_whole_processor(folder: Path, stage: Path, processor_class: type[ProcessorMixin]) -> None:
    """Write a model's tokenizer and the settings of its image processor to `stage`.

    Raises:
        FileNotFoundError: if the folder lacks either.
    """
    missing = f"expected tokenizer.json and processor_config.json in {folder}: the model reads or writes words"
    try:
        processor = AutoProcessor.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise FileNotFoundError(f"{missing}; {error}") from error
    if not isinstance(processor, processor_class):
        raise FileNotFoundError(missing)
    processor.save_pretrained(stage)
    of_images = entries({"AutoImageProcessor": type(processor.image_processor).__name__})
    path = stage / "processor_config.json"
    settings = read_json_object(path)
    settings["image_processor"]["auto_map"] = of_images
    write_json(path, {**settings, "auto_map": {**of_images, **entries({"AutoProcessor": processor_class.__name__})}})


def model_folder(folder: str | Path) -> Path:
    """`folder` itself, or the store's where a known name is given and there is no such folder.

    Raises:
        FileNotFoundError: if there is no such folder, or no model in it.
    """
    path = Path(folder)
    if not path.exists() and is_of_this_family(str(folder)):
        path = stored(str(folder)) or path
    if not is_model_folder(path):
        raise FileNotFoundError(f"{path} is not a model folder: expected config.json and safetensors weights in it")
    return path


def entries(classes: Mapping[str, str]) -> dict[str, str]:
    """The `auto_map` of a configuration file: Auto class -> `file.Class`."""
    return {auto_class: f"{ENTRY}.{name}" for auto_class, name in classes.items()}


def copy_code(modules: Sequence[str], stage: Path) -> None:
    """Copy modules of `modeling/` and everything they import from it, and write the entry file."""
    files = {Path(sys.modules[module].__file__) for module in modules}
    for file in sorted(files):
        files.update(Path(needed) for needed in get_relative_import_files(file))
    for file in files:
        shutil.copyfile(file, stage / file.name)
    imports = [f"from .{file.stem} import *  # noqa: F403\n" for file in sorted(files)]
    (stage / f"{ENTRY}.py").write_text(ENTRY_HEADER + "".join(imports), encoding="utf-8")


def write_json(path: Path, content: dict) -> None:
    """Write an object as transformers writes its configurations."""
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
