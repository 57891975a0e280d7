"""Create, fill, look at and clean up clones again and again, in several threads, until killed or for some rounds.

argv: base profile, directory of clones, threads, rounds (0: for ever), what SIGTERM does (``die``, ``exit`` or ``clean``)
Prints ``ready`` before the first one, and at the end how many were created and how often the limit was met.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
import time

from core.workspaces import ProfileLimitError, WorkspaceManager

base, root, threads, rounds, on_term = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
manager = WorkspaceManager(base, max_profiles=5, max_concurrent_clones=2, temp_directory=root)
counts = {"created": 0, "limit": 0}


def terminate(*_: object) -> None:
    """End as a program may that was asked to."""
    if on_term == "clean":
        manager.cleanup_all_profiles()
    sys.exit(0)


def created(name: str) -> bool:
    """Create one, unless there are as many as may be."""
    try:
        manager.create_profile(name)
    except ProfileLimitError:
        counts["limit"] += 1
        return False
    counts["created"] += 1
    return True


def work(name: str) -> None:
    """Use one worker's profile, as often as was asked for."""
    for turn in itertools.count(1) if not rounds else range(rounds):
        while not created(name):
            time.sleep(0.002)
        manager.list_profiles()
        if turn % 3 == 0:
            assert manager.copy_base_profile(name)
        assert manager.validate_profile(name)
        assert manager.cleanup_profile(name)


if on_term != "die":
    signal.signal(signal.SIGTERM, terminate)
print("ready", flush=True)
helpers = [threading.Thread(target=work, args=(f"p{os.getpid()}-{n}",), daemon=True) for n in range(1, threads)]
for helper in helpers:
    helper.start()
work(f"p{os.getpid()}-0")
for helper in helpers:
    helper.join()
print(counts["created"], counts["limit"], flush=True)
