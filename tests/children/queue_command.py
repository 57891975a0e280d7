"""A queue command that leaves a daemon: ``queue_command.py KIND [hang]``. Pids go to the files ``daemon`` and ``own``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
PRINT = [sys.executable, "-c", "while True: print(1)"]


def leave(kind: str) -> int:
    """Start a daemon and return its pid."""
    if kind == "session":
        return subprocess.Popen(SLEEP, start_new_session=True).pid
    if kind == "environment":
        return subprocess.Popen(SLEEP, start_new_session=True, env={}).pid
    if kind == "printing":
        return subprocess.Popen(PRINT, start_new_session=True).pid
    # the one in between ends at once, so that nobody is the daemon's parent any more
    between = "import subprocess as s, sys; print(s.Popen(sys.argv[1:], start_new_session=True, env={}, stdout=s.DEVNULL).pid)"
    found = subprocess.run([sys.executable, "-c", between, *SLEEP], stdout=subprocess.PIPE, check=True, env={})
    return int(found.stdout.split()[0])


def main(kind: str, *hang: str) -> None:
    """Print a feed, leave a daemon, and hang if asked to, deaf to being asked to end."""
    if hang:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.stdout.write("[]")
    sys.stdout.flush()
    for name, pid in (("daemon", leave(kind)), ("own", os.getpid())):
        Path(f"{name}.new").write_text(str(pid))
        Path(f"{name}.new").rename(name)
    if hang:
        time.sleep(60)


if __name__ == "__main__":
    main(*sys.argv[1:])
