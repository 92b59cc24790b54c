"""Registration of the networks with the Auto classes of transformers, without importing either beforehand.

The Auto classes keep what is registered with them in dictionaries, one per class. Once transformers has made such a
dictionary, one that fills itself takes its place: the first look into it imports the networks and registers them, the
usual way. So the networks are there for every look, in every thread, and are not imported before one.
"""

import functools
import sys
import threading
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from .pipeline_names import IMAGE_TEXT_TO_MASK, ORIENTED_DETECTION

BACKBONES = ("S5ViT", "S5Dinov2", "S5Segformer", "S5EfficientNetLite")
CHANGE = "S5ChangeDetectionConfig"
CONFIGURATIONS = (*(f"{name}Config" for name in BACKBONES), "S5SegmentationConfig", "S5DetectionConfig", CHANGE)
OPEN_VOCABULARY = "SegEarthOVConfig"
HYPERSPECTRAL = "MambaHSIConfig"
ROADS = "SamRoadConfig"
REASONING = "SegEarthR1Config"
CAPTIONING = "MVCCConfig"
TRANSLATION = "SRUITConfig"


def networks() -> ModuleType:
    """The room of the networks, which is imported when it is asked for."""
    from ..modeling import __name__ as name

    return sys.modules[name]


def await_configurations(module: ModuleType) -> None:
    """Let `AutoConfig` find the configurations."""

    def register() -> None:
        modeling = networks()

        for name in (*CONFIGURATIONS, OPEN_VOCABULARY, HYPERSPECTRAL, ROADS, REASONING, CAPTIONING, TRANSLATION):
            config_class = getattr(modeling, name)
            module.AutoConfig.register(config_class.model_type, config_class, exist_ok=True)

    fill_when_asked(module.CONFIG_MAPPING, register)


def await_models(module: ModuleType) -> None:
    """Let `AutoModel`, `AutoBackbone` and the Auto classes of the tasks find the models."""
    for auto_class, names in (
        (
            module.AutoModel,
            {
                "S5ViTConfig": "S5ViTModel",
                CHANGE: "S5ForChangeDetection",
                ROADS: "SamRoadForRoadGraph",
                REASONING: "SegEarthR1ForPixelReasoning",
                CAPTIONING: "MVCCForChangeCaptioning",
                TRANSLATION: "SRUITModel",
            },
        ),
        (module.AutoBackbone, {f"{name}Config": f"{name}Backbone" for name in BACKBONES}),
        (
            module.AutoModelForSemanticSegmentation,
            {
                "S5SegmentationConfig": "S5ForSemanticSegmentation",
                OPEN_VOCABULARY: "SegEarthOVForSemanticSegmentation",
                HYPERSPECTRAL: "MambaHSIForSemanticSegmentation",
            },
        ),
        (module.AutoModelForObjectDetection, {"S5DetectionConfig": "S5ForOrientedObjectDetection"}),
    ):
        fill_when_asked(auto_class._model_mapping, functools.partial(register_models, auto_class, names))


def register_models(auto_class: type, names: Mapping[str, str]) -> None:
    """Register models of this package, by the names of their configurations, with an Auto class."""
    modeling = networks()

    for config_name, model_name in names.items():
        auto_class.register(getattr(modeling, config_name), getattr(modeling, model_name), exist_ok=True)


def await_image_processors(module: ModuleType) -> None:
    """Let `AutoImageProcessor` find the processors."""

    def register() -> None:
        modeling = networks()

        processors = dict.fromkeys(CONFIGURATIONS, modeling.S5ImageProcessor)
        processors[CHANGE] = modeling.S5ChangeImageProcessor
        processors[OPEN_VOCABULARY] = modeling.SegEarthOVImageProcessor
        processors[HYPERSPECTRAL] = modeling.MambaHSIImageProcessor
        processors[ROADS] = modeling.SamRoadProcessor
        processors[REASONING] = modeling.SegEarthR1ImageProcessor
        processors[CAPTIONING] = modeling.MVCCImageProcessor
        processors[TRANSLATION] = modeling.SRUITImageProcessor
        for name, processor in processors.items():
            module.AutoImageProcessor.register(
                getattr(modeling, name), slow_image_processor_class=processor, exist_ok=True
            )

    fill_when_asked(module.IMAGE_PROCESSOR_MAPPING, register)


def await_processors(module: ModuleType) -> None:
    """Let `AutoProcessor` find the processors with a tokenizer."""

    def register() -> None:
        modeling = networks()

        for name, processor in (
            (OPEN_VOCABULARY, modeling.SegEarthOVProcessor),
            (REASONING, modeling.SegEarthR1Processor),
            (CAPTIONING, modeling.MVCCProcessor),
        ):
            module.AutoProcessor.register(getattr(modeling, name), processor, exist_ok=True)

    fill_when_asked(module.PROCESSOR_MAPPING, register)


def await_pipelines(module: ModuleType) -> None:
    """Let `pipeline` make the pipelines of this package; other models still get those of transformers.

    They are subclasses of what transformers' own module imports, so they cannot be imported while that one is.
    """
    tasks = module.PIPELINE_REGISTRY.supported_tasks
    if ORIENTED_DETECTION not in tasks:
        tasks[ORIENTED_DETECTION] = {**tasks["object-detection"], "default": {}}
    if IMAGE_TEXT_TO_MASK not in tasks:
        tasks[IMAGE_TEXT_TO_MASK] = {**tasks["feature-extraction"], "default": {}, "type": "multimodal"}
    for kind in ("image-segmentation", "object-detection", ORIENTED_DETECTION, IMAGE_TEXT_TO_MASK):
        if not isinstance(tasks[kind], SelfFillingDict):
            tasks[kind] = SelfFillingDict(tasks[kind], functools.partial(show_pipeline, tasks, kind))


def show_pipeline(tasks: Mapping[str, dict[str, Any]], kind: str) -> None:
    """Name the pipeline of this package in transformers' table of tasks."""
    from .pipelines import PIPELINES

    tasks[kind]["impl"] = PIPELINES[kind]


def show_auto_image_processor(transformers: ModuleType) -> None:
    """Put the real `AutoImageProcessor` at the top of transformers where a placeholder stands there.

    Some versions (5.17 among them) take the class for one that needs torchvision, because its file mentions the word
    TorchvisionBackend, and without torchvision offer only a placeholder that raises. The class itself needs Pillow.
    """
    if getattr(transformers, "_object_missing_backend", {}).pop("AutoImageProcessor", None):
        vars(transformers).pop("AutoImageProcessor", None)  # a placeholder that was asked for already


def fill_when_asked(mapping: Any, register: Callable[[], None]) -> None:
    """Let `register` put entries into a mapping of transformers at the first look into what is registered there."""
    if not isinstance(mapping._extra_content, SelfFillingDict):
        mapping._extra_content = SelfFillingDict(mapping._extra_content, register)


class SelfFillingDict(dict):
    """A dictionary that has a function put further entries into it at the first look.

    Threads that come at the same time each call the function, which does no harm; to let them wait for one another
    could block those that import what the function imports.
    """

    def __init__(self, entries: dict, fill: Callable[[], None]) -> None:
        super().__init__(entries)
        self._fill = fill
        self._filled = False
        self._filling = threading.local()  # the function itself looks and writes, too

    def complete(self) -> None:
        """Call the function unless that was done, or is being done by this thread."""
        if self._filled or getattr(self._filling, "now", False):
            return
        self._filling.now = True
        try:
            self._fill()
            self._filled = True
        finally:
            self._filling.now = False

    def __reduce__(self) -> tuple:
        return dict, (dict(self),)


def _completing(method: Callable) -> Callable:
    """A method of dict that completes the dictionary before it looks."""

    @functools.wraps(method)
    def complete_and_look(self: SelfFillingDict, *arguments: Any, **keywords: Any) -> Any:
        self.complete()
        return method(self, *arguments, **keywords)

    return complete_and_look


for _name in (
    *("__contains__", "__delitem__", "__eq__", "__getitem__", "__iter__", "__len__", "__or__", "__repr__"),
    *("copy", "get", "items", "keys", "pop", "values"),
):
    setattr(SelfFillingDict, _name, _completing(getattr(dict, _name)))
