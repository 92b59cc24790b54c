"""The demonstration behind `s5-hf demo`: the whole of S5 in miniature, on made-up scenes."""

from ..lazy_face import lazy_face

__getattr__, __dir__, __all__ = lazy_face(
    __name__, {"run": ("DemoStopped", "run_demo"), "settings": ("DemoSettings",)}
)
