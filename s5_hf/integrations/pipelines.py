"""`pipeline("image-segmentation")`, `"object-detection"` and `"oriented-object-detection"` for models with tasks, and
`"image-text-to-mask"` for those that answer questions.

`pipeline`'s own argument `task` says what kind of pipeline it is, so the task of a model is given as `subtask`, when
the pipeline is made or in a call; a call also takes it as `task`. Models that are not of this package get the
pipelines of transformers, unchanged.
"""

from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from transformers import ImageSegmentationPipeline, ObjectDetectionPipeline, Pipeline, PretrainedConfig
from transformers.image_utils import load_image

from ..modeling import S5DetectionConfig, S5SegmentationConfig, SegEarthR1Config, SegEarthR1Output
from ..modeling.oriented_boxes import oriented_boxes_to_corners, oriented_boxes_to_horizontal
from ..predictors.tasks import choose_task
from .pipeline_names import IMAGE_TEXT_TO_MASK, ORIENTED_DETECTION


def chosen_task(config: PretrainedConfig, task: str | None) -> str:
    """The task a call is for; raises as `choose_task`."""
    return choose_task(config.tasks, task, option="subtask=...")


def task_parameters(subtask: str | None, task: str | None) -> dict[str, str]:
    """The task named by a user, if any, as a parameter of the steps of a pipeline."""
    if subtask is not None and task is not None and subtask != task:
        raise ValueError(f"subtask is {subtask!r} and task {task!r}; give one of them")
    name = task if subtask is None else subtask
    return {} if name is None else {"task": name}


class TaskPipelineMixin:
    """What both pipelines share. Stands before the pipeline of transformers, which models of others get.

    Attributes:
        original: that pipeline.
        model_type: of the models that this one is for.
        kinds: what transformers itself passes as `subtask`, which is not a task of a model.
    """

    original: ClassVar[type[Pipeline]]
    model_type: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]] = ()

    def __new__(cls, *args: Any, **kwargs: Any) -> Pipeline:
        model = kwargs.get("model", args[0] if args else None)
        # By model_type, not by class: the model may have been loaded with its code from the Hub.
        if getattr(getattr(model, "config", None), "model_type", None) == cls.model_type:
            return super().__new__(cls)
        return cls.original(*args, **kwargs)

    def check_model_type(self, supported_models: Any) -> None:
        """Nothing to check: only models of this package come here."""

    def _sanitize_parameters(
        self, subtask: str | None = None, task: str | None = None, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        preprocess, forward, postprocess = super()._sanitize_parameters(**kwargs)
        named = task_parameters(None if subtask in self.kinds else subtask, task)
        return preprocess, {**forward, **named}, {**postprocess, **named}


class S5ImageSegmentationPipeline(TaskPipelineMixin, ImageSegmentationPipeline):
    """Image segmentation with [`S5ForSemanticSegmentation`], of one task or several.

    Returns one entry per class that occurs in the image: `label`, `mask` (a Pillow image, 255 on the class) and
    `score` (None), as the pipeline of transformers does.
    """

    original = ImageSegmentationPipeline
    model_type = S5SegmentationConfig.model_type
    kinds = ("semantic",)  # the one kind of segmentation there is here

    def _forward(self, model_inputs: dict[str, Any], task: str | None = None) -> Any:
        target_size = model_inputs.pop("target_size")
        outputs = self.model(**model_inputs, task=chosen_task(self.model.config, task))
        outputs["target_size"] = target_size
        return outputs

    def postprocess(self, model_outputs: Any, task: str | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        labels = self.model.config.tasks[chosen_task(self.model.config, task)]
        classes = self.image_processor.post_process_semantic_segmentation(
            model_outputs, target_sizes=model_outputs["target_size"]
        )[0].numpy()
        return [
            {"score": None, "label": labels[index], "mask": Image.fromarray(np.uint8(255) * (classes == index))}
            for index in np.unique(classes).tolist()
        ]


class S5ObjectDetectionPipeline(TaskPipelineMixin, ObjectDetectionPipeline):
    """Oriented object detection with [`S5ForOrientedObjectDetection`], of one task or several.

    Returns one entry per object, best first: `score`, `label`, `box` (the horizontal hull in whole pixels, as in the
    pipeline of transformers) and `oriented_box`: `cx`, `cy`, `w`, `h` in pixels and `theta` in radians, clockwise on
    the screen.
    """

    original = ObjectDetectionPipeline
    model_type = S5DetectionConfig.model_type

    def _forward(self, model_inputs: dict[str, Any], task: str | None = None) -> Any:
        target_size = model_inputs.pop("target_size")
        outputs = self.model(**model_inputs, task=chosen_task(self.model.config, task))
        return type(outputs)({"target_size": target_size, **outputs})

    def postprocess(self, model_outputs: Any, threshold: float = 0.5, task: str | None = None) -> list[dict[str, Any]]:
        labels = self.model.config.tasks[chosen_task(self.model.config, task)]
        found = self.image_processor.post_process_oriented_object_detection(
            model_outputs, threshold, model_outputs["target_size"]
        )[0]
        return [
            {"score": score, "label": labels[label], **self.place(box), "oriented_box": oriented_box(box)}
            for score, label, box in zip(
                found["scores"].tolist(), found["labels"].tolist(), found["boxes"], strict=True
            )
        ]

    def place(self, box: torch.Tensor) -> dict[str, Any]:
        """Where an oriented box `(5,)` lies, as the entry of an object says it."""
        return {"box": self._get_bounding_box(oriented_boxes_to_horizontal(box))}


class S5OrientedObjectDetectionPipeline(S5ObjectDetectionPipeline):
    """Oriented object detection with [`S5ForOrientedObjectDetection`], of one task or several.

    ```python
    >>> from transformers import pipeline
    >>> detector = pipeline("oriented-object-detection", model="s5-vit-b-moe-det", subtask="dota")  # doctest: +SKIP
    >>> detector("harbour.png", threshold=0.3)[0]["polygon"]  # doctest: +SKIP
    [[812.4, 96.1], [873.0, 122.7], [866.2, 138.2], [805.6, 111.6]]

    ```

    Returns one entry per object, best first: `score`, `label`, `polygon` (four corners `[x, y]` in pixels, clockwise
    on the screen; they may lie beyond the image) and `oriented_box`, as [`S5ObjectDetectionPipeline`].

    Raises:
        ValueError: the model is not an oriented detector.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Pipeline:
        made = super().__new__(cls, *args, **kwargs)
        if not isinstance(made, cls):
            config = made.model.config
            raise ValueError(
                f"{config.name_or_path or type(made.model).__name__} is a model of the type {config.model_type!r}; "
                f"oriented-object-detection needs an oriented detector, {cls.model_type!r}"
            )
        return made

    def place(self, box: torch.Tensor) -> dict[str, Any]:
        """The corners of an oriented box `(5,)`."""
        return {"polygon": oriented_boxes_to_corners(box).tolist()}


class S5ImageTextToMaskPipeline(Pipeline):
    """Masks that answer questions, with [`SegEarthR1ForPixelReasoning`].

    ```python
    >>> from transformers import pipeline
    >>> answer = pipeline("image-text-to-mask", model="my-reasoner")  # doctest: +SKIP
    >>> answer("city.png", text="where could a boat float?")["mask"].save("water.png")  # doctest: +SKIP

    ```

    Returns `mask`, a Pillow image of the size of the image, 255 on the answer, and `score`, the mean probability of
    the answer there (0 where it is empty); a list of these for a list of images.

    Raises:
        ValueError: the model answers no questions, or there is no text.
    """

    _load_processor = True
    _load_image_processor = _load_feature_extractor = _load_tokenizer = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.model.config.model_type != SegEarthR1Config.model_type:
            raise ValueError(
                f"{self.model.config.name_or_path or type(self.model).__name__} is a model of the type "
                f"{self.model.config.model_type!r}; image-text-to-mask needs {SegEarthR1Config.model_type!r}"
            )

    def __call__(self, images: Any, text: str | None = None, **kwargs: Any) -> Any:
        """Answer a question about an image, or about each of a list: paths, URLs or Pillow images."""
        if not text:
            raise ValueError("image-text-to-mask needs text=..., a question or words that refer to something")
        return super().__call__(images, text=text, **kwargs)

    def _sanitize_parameters(
        self, text: str | None = None, kind: str = "reasoning", timeout: float | None = None, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        return {"text": text, "kind": kind, "timeout": timeout}, {}, {}

    def preprocess(self, image: Any, text: str, kind: str, timeout: float | None = None) -> dict[str, Any]:
        image = load_image(image, timeout=timeout)
        return {**self.processor(image, text, kind=kind), "target_size": image.size[::-1]}

    def _forward(self, model_inputs: dict[str, Any]) -> dict[str, Any]:
        target_size = model_inputs.pop("target_size")
        return {"mask_logits": self.model(**model_inputs).mask_logits, "target_size": target_size}

    def postprocess(self, model_outputs: dict[str, Any]) -> dict[str, Any]:
        outputs = SegEarthR1Output(mask_logits=model_outputs["mask_logits"])
        images = self.processor.image_processor
        (logits,) = images.post_process_logits(outputs, [model_outputs["target_size"]])
        mask = logits > 0
        score = logits[mask].sigmoid().mean().item() if mask.any() else 0.0
        return {"mask": Image.fromarray(np.uint8(255) * mask.numpy()), "score": score}


def oriented_box(box: torch.Tensor) -> dict[str, float]:
    """An oriented box `(5,)` by the names of its numbers."""
    return dict(zip(("cx", "cy", "w", "h", "theta"), box.tolist(), strict=True))


PIPELINES = {
    "image-segmentation": S5ImageSegmentationPipeline,
    "object-detection": S5ObjectDetectionPipeline,
    ORIENTED_DETECTION: S5OrientedObjectDetectionPipeline,
    IMAGE_TEXT_TO_MASK: S5ImageTextToMaskPipeline,
}
