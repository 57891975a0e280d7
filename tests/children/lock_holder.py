"""Holds a profile's lock. Arguments: state directory, profile ID, what; and one of:

``wait``: print ``held``, or ``refused``, and hold it until standard input ends.
``grandchild``: start a process that inherits all it can and lives on, print its ID, then the same.
``race``: take and release it as often as the next argument says, each time writing to a file that no two may have open at
once; print how often that worked.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from core.clock import SystemClock
from core.errors import ProfileHeld
from core.profiles.lock import FileProfileLocks

state_dir, profile_id, what, mode = Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
locks = FileProfileLocks(state_dir, SystemClock())


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if mode == "race":
    inside = state_dir / "inside"
    say("ready")
    sys.stdin.readline()
    done = 0
    while done < int(sys.argv[5]):
        try:
            with locks.hold(profile_id, what):
                os.close(os.open(inside, os.O_CREAT | os.O_EXCL))  # raises if somebody else is in here
                os.sched_yield()
                inside.unlink()
                done += 1
        except ProfileHeld:
            continue
    say(str(done))
else:
    try:
        with locks.hold(profile_id, what):
            if mode == "grandchild":
                grandchild = subprocess.Popen(
                    ["/bin/sleep", "60"], close_fds=False, start_new_session=True, stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                )  # fmt: skip
                say(str(grandchild.pid))
            say("held")
            sys.stdin.read()
    except ProfileHeld as exc:
        say(f"refused: {exc}")
