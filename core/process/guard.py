"""What a worker does so that it does not outlive its orchestrator.

The control channel's end of file is the rule, on every system; this is the kernel's word for it on Linux, which also
reaches a worker that does not read its channel. Subreapers are not needed: a tree is found by its marks, not by parentage.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from core.errors import ControlLost

_PR_SET_PDEATHSIG = 1


def die_with_parent(expected_ppid: int) -> bool:
    """Ask for SIGTERM at the parent's death; return whether this system can.

    Linux sends it when the *thread* that spawned us ends: workers are therefore spawned from the loop's thread.

    Args:
        expected_ppid: ``os.getppid()`` as read first thing; if the parent has changed since, it died before we asked.

    Raises:
        ControlLost: the parent is gone already.
    """
    supported = False
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        # four unsigned longs by the kernel's signature; ctypes would pass ints
        zero = ctypes.c_ulong(0)
        supported = bool(libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGTERM), zero, zero, zero) == 0)
    if os.getppid() != expected_ppid:
        raise ControlLost(f"the parent process {expected_ppid} is gone")
    return supported
