"""What to evaluate on what, and how."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .loop import LoopSettings

__all__ = ["EvaluationSettings"]


@dataclass(frozen=True)
class EvaluationSettings:
    """What to evaluate on what, and how.

    Attributes:
        model: a folder, a Hub repository or a known name.
        dataset: name in the registry.
        data_dir: folder, `hf://` path or http(s) URL with its files.
        split: the split; that of the published numbers if left out.
        task: of a model with several tasks; if left out, the one called as the dataset without `s5-`.
        output: folder for the report, `None` to write none.
        protocol: a name of `PROTOCOLS`, for detection of `DETECTION_PROTOCOLS`.
        protocol_changes: attributes of [`SegmentationProtocol`], or for detection of [`DetectionProtocol`], that
            differ from the protocol.
        left_out: classes that means leave out; those of the published numbers if left out. Not for detection.
        leave_out_absent: whether means also leave out classes that no mask of the split shows. Not for detection,
            where they always do.
        by_position: whether class names of model and dataset may differ.
        apply_class_map: whether masks hold what the model's class map translates to its classes. By default they do
            where the model was trained with one on this dataset, and no option of the builder says what masks hold.
        options: of the dataset's builder.
        precision: `"fp32"`, `"bf16"`, or `"auto"`: bf16 where the device has it natively.
        loop: batch size, workers, class maps or result files.
        classes: what an open-vocabulary model is to look for, in the order of the dataset's classes, each with
            synonyms after commas; by default those that it was saved with, or else the published ones.
        names: version of the published classes, `"v1"` or `"v2"` (Potsdam and Vaihingen differ); also sets the
            classes of a model that was saved with others.
        kind: of the prompt of a model that answers questions, `"reasoning"` or `"referring"`; by default what suits
            the dataset.
        beams: of the search of a model that writes captions.
    """

    model: str
    dataset: str
    data_dir: str | None = None
    split: str | None = None
    task: str | None = None
    output: str | Path | None = None
    protocol: str = "published"
    protocol_changes: dict[str, Any] = field(default_factory=dict)
    left_out: tuple[str, ...] | None = None
    leave_out_absent: bool = False
    by_position: bool = False
    apply_class_map: bool | None = None
    options: dict[str, Any] = field(default_factory=dict)
    precision: str = "fp32"
    loop: LoopSettings = field(default_factory=LoopSettings)
    classes: tuple[str, ...] | None = None
    names: str | None = None
    kind: str | None = None
    beams: int = 1
