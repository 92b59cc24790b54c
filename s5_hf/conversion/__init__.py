"""Official S5, MAE, CLIP and SimFeatUp checkpoints to this package's folders, and back."""

from ..lazy_face import lazy_face

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "checkpoint_files": ("read_checkpoint",),
        "convert": ("convert_checkpoint", "export_official"),
        "filling": ("ConversionReport",),
        "open_vocabulary": ("read_upsampler",),
    },
)
