"""Metrics: `evaluate` modules that load from this package, never from the network."""

from .oriented_average_precision import OrientedAveragePrecision

__all__ = ["OrientedAveragePrecision"]
