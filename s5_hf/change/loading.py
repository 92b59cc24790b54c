"""The parts of a search by the names of their models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskGeneration,
    AutoModelForZeroShotObjectDetection,
    AutoProcessor,
    PreTrainedModel,
)

from ..conversion.model_check import load_checked
from ..hub.model_folder import require_model_folder
from ..predictors.devices import default_device, usable_device
from ..predictors.named_classes import takes_any_classes
from ..predictors.torch_network import read_input_settings
from ..predictors.torch_segmenter import load_segmenters
from .chosen_classes import ChosenClasses
from .everything_mode import EverythingSettings
from .features import ModelFeatures
from .interfaces import MaskProposer, ObjectFinder, Recognizer
from .sam import SamEverything
from .search import INSTANCE_ANGLE, IdentifyMaskCompare, MaskCompareIdentify, SearchChanges
from .segmenter_recognizer import OFFICIAL_SIDE, SegmenterObjects, SegmenterRecognizer
from .superpixels import Superpixels
from .text_detector import TextDetector

__all__ = ["PIPELINES", "SUPERPIXELS", "SearchSettings", "load_search"]

PIPELINES = ("mci", "imc")
SUPERPIXELS = "superpixels"
BACKGROUND_NAME = "background"


@dataclass(frozen=True)
class SearchSettings:
    """The parts of a search for changes, and its thresholds.

    Attributes:
        pipeline: `"mci"` (mask, compare, identify) or `"imc"` (identify, mask, compare).
        proposals: what finds masks: a SAM, or `"superpixels"`. For `"imc"` with a detector, the SAM that fills boxes.
        features: what describes places: any vision model.
        recognition: what knows classes: a segmenter of this package or of transformers, an open-vocabulary one, or for
            `"imc"` a zero-shot detector too.
        least_angle: degrees by which features must turn; None for Otsu's threshold of each window.
        land_cover: whether any change of class counts, and not only objects on a background.
        threshold: lowest probability of a class.
        side: of the square that the recognition sees, in pixels; None for the size of the window.
        everything: of a SAM.
        superpixel_area: pixels per superpixel.
        compare_lone_date: of `"imc"`: whether objects are compared too where the other date has none of the class.

    Raises:
        ValueError: the pipeline is unknown.
    """

    pipeline: str = "mci"
    proposals: str = "facebook/sam-vit-huge"
    features: str = "facebook/dinov2-base"
    recognition: str = "segearth-ov"
    least_angle: float | None = INSTANCE_ANGLE
    land_cover: bool = False
    threshold: float = 0.0
    side: int | None = OFFICIAL_SIDE
    everything: EverythingSettings = field(default_factory=EverythingSettings)
    superpixel_area: int = 256
    compare_lone_date: bool = True

    def __post_init__(self) -> None:
        if self.pipeline not in PIPELINES:
            raise ValueError(f"the pipeline must be one of {', '.join(PIPELINES)}, got {self.pipeline!r}")


def load_search(
    classes: Sequence[str], settings: SearchSettings | None = None, device: str | torch.device | None = None
) -> SearchChanges:
    """A search for changes of named classes.

    Args:
        classes: those that are looked for. For a model that takes any: one string per class, its synonyms separated
            by commas. A leading `background` may be given with synonyms of what the objects stand on.
        settings: the models and thresholds.
        device: where they run; the first GPU, or else the processor, if left out.

    Raises:
        OSError: there is no such model, or it has no image processor.
        ValueError: a model does not know a class, or a setting is out of range.
    """
    settings = settings or SearchSettings()
    device = usable_device(device or default_device())
    features = _load(AutoModel, settings.features, device)
    read = read_input_settings(settings.features)
    extractor = ModelFeatures(features, read.image_mean, read.image_std)
    if settings.pipeline == "imc":
        finder = _finder(classes, settings, device)
        return IdentifyMaskCompare(finder, extractor, settings.least_angle, settings.compare_lone_date)
    return MaskCompareIdentify(
        _proposer(settings, device),
        extractor,
        _recognizer(classes, settings, device),
        settings.least_angle,
        instances=not settings.land_cover,
        threshold=settings.threshold,
    )


def _proposer(settings: SearchSettings, device: torch.device) -> MaskProposer:
    if settings.proposals == SUPERPIXELS:
        return Superpixels(settings.superpixel_area)
    return SamEverything(_load(AutoModelForMaskGeneration, settings.proposals, device), settings.everything)


def _recognizer(classes: Sequence[str], settings: SearchSettings, device: torch.device) -> Recognizer:
    """The segmenter, which sees the image at the side of the settings."""
    if takes_any_classes(settings.recognition):
        named = list(classes)
        if not named or named[0].split(",")[0].strip() != BACKGROUND_NAME:
            named = [BACKGROUND_NAME, *named]
        segmenter = load_segmenters(settings.recognition, devices=[device], classes=named)[0]
        return SegmenterRecognizer(segmenter, settings.side)
    segmenter = load_segmenters(settings.recognition, devices=[device])[0]
    wanted = [name for name in classes if name != BACKGROUND_NAME]
    return ChosenClasses(SegmenterRecognizer(segmenter, settings.side), wanted)


def _finder(classes: Sequence[str], settings: SearchSettings, device: torch.device) -> ObjectFinder:
    if not _is_text_detector(settings.recognition):
        return SegmenterObjects(_recognizer(classes, settings, device))
    wanted = [text for text in classes if text.split(",")[0].strip() != BACKGROUND_NAME]
    return TextDetector(
        _load(AutoModelForZeroShotObjectDetection, settings.recognition, device),
        AutoProcessor.from_pretrained(settings.recognition),
        _load(AutoModelForMaskGeneration, settings.proposals, device),
        wanted,
        threshold=settings.threshold,
    )


def _is_text_detector(name: str) -> bool:
    if name.endswith(".onnx"):
        return False
    require_model_folder(name)
    return type(AutoConfig.from_pretrained(name)) in AutoModelForZeroShotObjectDetection._model_mapping


def _load(model_class: type, name: str, device: torch.device) -> PreTrainedModel:
    require_model_folder(name)
    return load_checked(model_class, name).eval().to(device)
