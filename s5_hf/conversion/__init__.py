"""Official S5 and MAE checkpoints to this package's folders, and back."""

from ..lazy_face import lazy_face

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "checkpoint_files": ("read_checkpoint",),
        "convert": ("ConversionReport", "convert_checkpoint", "export_official"),
    },
)
