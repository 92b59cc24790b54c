"""How slow a transfer may be before it is given up.

A time limit for each read of a socket does not stop a server that sends a byte now and then.
"""

import time

__all__ = ["Pace"]

STALL_SECONDS = 60.0
"""A transfer that brings less than `STALL_BYTES` in this time has stalled."""

STALL_BYTES = 60 * 1024

GRACE_SECONDS = 600.0
"""After this time a transfer must have brought `AVERAGE_BYTES` for each second since."""

AVERAGE_BYTES = 10 * 1024


class Pace:
    """Watches one transfer, which begins when this is made."""

    def __init__(self) -> None:
        self._begin = self._window_begin = time.monotonic()
        self._received = self._received_before_window = 0

    def add(self, count: int) -> None:
        """Note that bytes have arrived.

        Raises:
            TimeoutError: if the transfer has stalled, or is too slow overall.
        """
        now = time.monotonic()
        self._received += count
        seconds = now - self._window_begin
        if seconds > STALL_SECONDS:
            recent = self._received - self._received_before_window
            if recent < STALL_BYTES:
                raise TimeoutError(f"the transfer has stalled: {recent} bytes in {seconds:.0f} seconds")
            self._window_begin, self._received_before_window = now, self._received
        if self._received < (now - self._begin - GRACE_SECONDS) * AVERAGE_BYTES:
            raise TimeoutError(f"the transfer is too slow: {self._received} bytes in {now - self._begin:.0f} seconds")
