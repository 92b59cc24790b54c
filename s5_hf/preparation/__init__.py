"""From publishers' raw tiles to the official crops: `prepare` and what it is made of."""

from .preparation import PreparationSummary, prepare

__all__ = ["PreparationSummary", "prepare"]
