"""The demonstration behind `s5-hf demo`: the whole way of S5 in miniature, on made-up scenes."""

from .run import DemoStopped, run_demo
from .settings import DemoSettings

__all__ = ["DemoSettings", "DemoStopped", "run_demo"]
