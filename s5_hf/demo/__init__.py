"""The demonstration behind `s5-hf demo`: the whole of S5 in miniature, a project on synthetic scenes."""

from ..lazy_face import lazy_face

__getattr__, __dir__, __all__ = lazy_face(__name__, {"run": ("run_demo",), "settings": ("DemoSettings",)})
