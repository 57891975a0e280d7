"""Runs a program that outlives neither its end nor its parent's: ``bound.py PARENT_PID STATUS_FD PROGRAM ARGUMENT…``.

Writes the program's exit code to ``STATUS_FD``, as ``subprocess`` gives it, and then waits to be killed. On Linux whatever
the program started stays a descendant of this process, daemons in sessions of their own among it, so that all of it can be
found and ended; if the parent dies, it is ended from here.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import ControlLost
from core.process.guard import die_with_parent

if TYPE_CHECKING:
    from types import FrameType

_PR_SET_CHILD_SUBREAPER = 36
_NOT_FOUND = 127


def main(arguments: list[str]) -> int:
    """Run the program and wait; return only if there is nobody to run it for."""
    parent, status, command = int(arguments[0]), int(arguments[1]), arguments[2:]
    signal.signal(signal.SIGTERM, _end)
    try:
        die_with_parent(parent)
    except ControlLost:
        return 1
    _adopt_orphans()
    code = _NOT_FOUND
    try:
        code = subprocess.call(command, start_new_session=True)  # noqa: S603 - what the user named, and no shell
    except OSError as exc:
        sys.stderr.write(f"{command[0]}: {exc.strerror}\n")
        sys.stderr.flush()
    os.write(status, str(code).encode())
    os.close(status)
    while True:
        signal.pause()


def _adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends; elsewhere than on Linux its marks must do."""
    if sys.platform == "linux":
        zero = ctypes.c_ulong(0)
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1), zero, zero, zero)


def _end(number: int, frame: FrameType | None) -> None:
    """End everything below, and this: the children of what is killed become children of this process, and come next."""
    del number, frame
    refused: set[int] = set()
    while children := _children() - refused:
        for pid in children:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except PermissionError:  # another user's by now
                refused.add(pid)
    os._exit(1)


def _children() -> set[int]:
    """Return the children of this process, of which zombies are some; elsewhere than on Linux they are not known."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # the name stands in parentheses and may itself hold blanks and parentheses
            parent = int(path.read_bytes().rpartition(b")")[2].split()[1])
        except OSError:
            continue  # it has ended
        if parent == os.getpid():
            found.add(int(path.parent.name))
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
