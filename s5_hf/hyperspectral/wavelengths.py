"""Wavelengths of bands in one unit."""

from collections.abc import Sequence

__all__ = ["in_nanometres"]

_IN_NANOMETRES = {"nanometers": 1.0, "nanometres": 1.0, "nm": 1.0, "micrometers": 1000.0, "micrometres": 1000.0}
_IN_NANOMETRES |= {"um": 1000.0, "µm": 1000.0, "μm": 1000.0, "microns": 1000.0}
_LARGEST_MICROMETRES = 100.0


def in_nanometres(centres: Sequence[float], unit: str) -> list[float]:
    """Wavelengths in nanometres; without a known unit, numbers up to 100 are taken for micrometres."""
    factor = _IN_NANOMETRES.get(unit.strip().lower())
    if factor is None:
        factor = 1000.0 if max(centres) <= _LARGEST_MICROMETRES else 1.0
    return [centre * factor for centre in centres]
