"""Where the C library keeps memory."""

from __future__ import annotations

import ctypes

from core.process.identity import LINUX

_M_ARENA_MAX = -8
"""Of glibc's ``malloc.h``."""


def share_one_heap() -> bool:
    """Have all threads of this process use one heap; whether there was anything to be done.

    Each attempt has threads of its own for a while. glibc gives a thread a heap apart from the others and keeps what it once
    took, so that an orchestrator would grow for thousands of attempts. Threads of Python seldom allocate at the same time.
    """
    if not LINUX:
        return False
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1))
    except AttributeError:
        return False  # another library than glibc
