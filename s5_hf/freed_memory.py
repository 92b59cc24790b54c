"""Whether the C library keeps the memory that a program frees."""

import ctypes
import os
import sys

__all__ = ["keep_freed_memory"]

# Of mallopt in glibc's malloc.h, and what they are set to: never give memory back from the end of the heap; take what
# is below 32 MiB, the most that can be set, from the heap and not by a mapping of its own.
_TRIM_THRESHOLD, _NEVER = -1, -1
_MMAP_THRESHOLD, _LARGEST = -3, 2**25
_CHOSEN_BY_USER = ("MALLOC_", "LD_PRELOAD", "GLIBC_TUNABLES")


def keep_freed_memory() -> bool:
    """Let glibc keep freed memory for the next allocation; without effect where the C library is another.

    As it comes, glibc returns the memory of a large tensor to the system and gets it back for the next one, page by
    page and cleared: a fifth of the time of a small network on a processor, and a twentieth of that of a ViT-B
    (`benchmarks/allocator.py`). The peak stays the same; after it, the memory stays with the process. Programs of this
    package call it when they start. It leaves the allocator alone where the environment has settings for it.

    Returns:
        Whether freed memory is kept from now on.
    """
    if sys.platform != "linux" or any(name.startswith(_CHOSEN_BY_USER) for name in os.environ):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # a C library such as musl
        return False
    return bool(mallopt(_TRIM_THRESHOLD, _NEVER) and mallopt(_MMAP_THRESHOLD, _LARGEST))
