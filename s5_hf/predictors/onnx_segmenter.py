"""An ONNX file as the network of a scene: onnxruntime in place of torch."""

from collections.abc import Sequence
from pathlib import Path

import torch

from ..export.onnx_file import INPUT, OUTPUT
from .onnx_network import OnnxNetwork

__all__ = ["OnnxSegmenter"]


class OnnxSegmenter(OnnxNetwork):
    """An exported segmenter with what `segment_scene` asks of one (`s5_hf.predictors.interfaces`).

    Args:
        path, providers, task: as `OnnxNetwork`.

    Attributes:
        num_labels, id2label: see `SceneSegmenter`.

    Raises:
        FileNotFoundError, ImportError, ValueError: as `OnnxNetwork`.
    """

    def __init__(self, path: str | Path, providers: Sequence[str] | None = None, task: str | None = None) -> None:
        super().__init__(path, ("segmentation",), providers, task)
        self.id2label = dict(enumerate(self.labels))
        self.num_labels = len(self.id2label)

    def predict(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Logits float32 `(batch, num_labels, height, width)` of normalised images `(batch, channels, height, width)`.

        Raises:
            ValueError: if height or width is not a multiple of the model's patch size.
        """
        multiple = self.metadata.size_multiple
        if pixel_values.shape[2] % multiple or pixel_values.shape[3] % multiple:
            raise ValueError(
                f"height and width must be multiples of {multiple}, got {pixel_values.shape[2]} x "
                f"{pixel_values.shape[3]}"
            )
        array = pixel_values.to(self.device, torch.float32).contiguous().numpy()
        return torch.from_numpy(self._session.run([OUTPUT], {INPUT: array})[0])
