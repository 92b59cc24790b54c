"""The unit of reports: whatever is printed, logged or written to a file is in percent."""

from typing import Any

__all__ = ["in_percent"]


def in_percent(scores: Any) -> Any:
    """The same data with every floating-point number, a share in 0..1, in percent; whole numbers are counts and stay.

    Metrics give shares, as the modules of `evaluate` do; training logs, best models and reports hold percent.
    """
    if isinstance(scores, dict):
        return {name: in_percent(value) for name, value in scores.items()}
    return 100 * scores if isinstance(scores, float) else scores
