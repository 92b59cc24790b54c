"""`pipeline("image-segmentation")` and `pipeline("object-detection")` for models with tasks.

`pipeline`'s own argument `task` says what kind of pipeline it is, so the task of a model is given as `subtask`, when
the pipeline is made or in a call; a call also takes it as `task`. Models that are not of this package get the
pipelines of transformers, unchanged.
"""

from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import ImageSegmentationPipeline, ObjectDetectionPipeline, Pipeline, PretrainedConfig

from ..modeling import S5DetectionConfig, S5SegmentationConfig
from ..modeling.oriented_boxes import oriented_boxes_to_horizontal
from ..predictors.tasks import choose_task

# What transformers itself calls the one kind of segmentation there is here.
SEMANTIC = "semantic"


def is_of_type(model: Any, model_type: str) -> bool:
    """Whether a model has a configuration of this type, also one loaded with its code from the Hub."""
    return getattr(getattr(model, "config", None), "model_type", None) == model_type


def chosen_task(config: PretrainedConfig, task: str | None) -> str:
    """The task a call is for; raises as `choose_task`."""
    return choose_task(config.tasks, task, option="subtask=...")


def task_parameters(subtask: str | None, task: str | None) -> dict[str, str]:
    """The task named by a user, if any, as a parameter of the steps of a pipeline."""
    if subtask is not None and task is not None and subtask != task:
        raise ValueError(f"subtask is {subtask!r} and task {task!r}; give one of them")
    name = task if subtask is None else subtask
    return {} if name is None else {"task": name}


class S5ImageSegmentationPipeline(ImageSegmentationPipeline):
    """Image segmentation with [`S5ForSemanticSegmentation`], of one task or several.

    Returns one entry per class that occurs in the image: `label`, `mask` (a Pillow image, 255 on the class) and
    `score` (None), as the pipeline of transformers does.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Pipeline:
        model = kwargs.get("model", args[0] if args else None)
        if is_of_type(model, S5SegmentationConfig.model_type):
            return super().__new__(cls)
        return ImageSegmentationPipeline(*args, **kwargs)

    def check_model_type(self, supported_models: Any) -> None:
        """Nothing to check: only models of this package come here."""

    def _sanitize_parameters(
        self, subtask: str | None = None, task: str | None = None, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        preprocess, forward, postprocess = super()._sanitize_parameters(**kwargs)
        named = task_parameters(None if subtask == SEMANTIC else subtask, task)
        return preprocess, {**forward, **named}, {**postprocess, **named}

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


class S5ObjectDetectionPipeline(ObjectDetectionPipeline):
    """Oriented object detection with [`S5ForOrientedObjectDetection`], of one task or several.

    Returns one entry per object, best first: `score`, `label`, `box` (the horizontal hull in whole pixels, as in the
    pipeline of transformers) and `oriented_box`: `cx`, `cy`, `w`, `h` in pixels and `theta` in radians, clockwise on
    the screen.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Pipeline:
        model = kwargs.get("model", args[0] if args else None)
        if is_of_type(model, S5DetectionConfig.model_type):
            return super().__new__(cls)
        return ObjectDetectionPipeline(*args, **kwargs)

    def check_model_type(self, supported_models: Any) -> None:
        """Nothing to check: only models of this package come here."""

    def _sanitize_parameters(
        self, subtask: str | None = None, task: str | None = None, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        preprocess, forward, postprocess = super()._sanitize_parameters(**kwargs)
        named = task_parameters(subtask, task)
        return preprocess, {**forward, **named}, {**postprocess, **named}

    def _forward(self, model_inputs: dict[str, Any], task: str | None = None) -> Any:
        target_size = model_inputs.pop("target_size")
        outputs = self.model(**model_inputs, task=chosen_task(self.model.config, task))
        return type(outputs)({"target_size": target_size, **outputs})

    def postprocess(self, model_outputs: Any, threshold: float = 0.5, task: str | None = None) -> list[dict[str, Any]]:
        labels = self.model.config.tasks[chosen_task(self.model.config, task)]
        found = self.image_processor.post_process_oriented_object_detection(
            model_outputs, threshold, model_outputs["target_size"]
        )[0]
        hulls = oriented_boxes_to_horizontal(found["boxes"])
        return [
            {
                "score": score,
                "label": labels[label],
                "box": self._get_bounding_box(hull),
                "oriented_box": oriented_box(box),
            }
            for score, label, hull, box in zip(
                found["scores"].tolist(), found["labels"].tolist(), hulls, found["boxes"], strict=True
            )
        ]


def oriented_box(box: torch.Tensor) -> dict[str, float]:
    """An oriented box `(5,)` by the names of its numbers."""
    return dict(zip(("cx", "cy", "w", "h", "theta"), box.tolist(), strict=True))


PIPELINES = {"image-segmentation": S5ImageSegmentationPipeline, "object-detection": S5ObjectDetectionPipeline}
