"""Operations on named profiles that die, or whose disk is full, at an exact place; one process for each, forked from this one.

Each line of standard input: the state directory; the operation; ``count``, ``kill`` or ``full``; and which change of the file
system it concerns, from 1; separated by tabs. ``kill`` dies right before the change, or, of a write, in its midst. ``full``
refuses that change and every later one that needs room. Answered by a line: exit code, how many changes there were, and
``done`` or what was raised.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.clock import ManualClock
from core.errors import OstlerError
from core.profiles import ProfileManager

Operation = Callable[[ProfileManager, Path], object]
OPERATIONS: dict[str, Operation] = {
    "create": lambda m, root: m.create("new", "telegram", template=root / "template", tags=["t"]),
    "import": lambda m, root: m.create("new", source=root / "legacy"),
    "clone": lambda m, _: m.clone("a", "new", with_session=True),
    "rename": lambda m, _: m.rename("a", "new"),
    "delete": lambda m, _: m.delete("a", force=True),
    "activate": lambda m, _: m.activate("b"),
    "deactivate": lambda m, _: m.deactivate(),
    "soft": lambda m, _: m.recover("broken"),
    "hard": lambda m, _: m.recover("a", "hard"),
    "keep-login": lambda m, _: m.recover("a", "hard", keep_login=True),
    "migrate": lambda m, root: m.migrate(root / "legacy"),
    "tag": lambda m, _: m.tag("a", add=["t"]),
}
NEEDS_ROOM = ("open", "write", "mkdir", "copy_file_range", "link", "symlink")
CHANGES = (*NEEDS_ROOM, "rename", "replace", "unlink", "remove", "rmdir", "fsync")
changes = 0


def wrap(name: str, mode: str, number: int) -> None:
    """Count each call of a function of ``os`` that changes the file system, and let one fail."""
    real = getattr(os, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        global changes  # noqa: PLW0603 - a program of one page
        if name == "open" and not args[1] & os.O_CREAT:
            return real(*args, **kwargs)
        changes += 1
        if mode == "kill" and changes == number:
            if name == "write":
                real(args[0], bytes(args[1][: len(args[1]) // 2]))
            os.kill(os.getpid(), signal.SIGKILL)
        if mode == "full" and changes >= number and name in NEEDS_ROOM:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(args[0]))
        return real(*args, **kwargs)

    setattr(os, name, call)


def perform(state_dir: str, operation: str, mode: str, number: int) -> str:
    """Do it, and say how it went."""
    manager = ProfileManager(state_dir, clock=ManualClock(1_795_300_000.0), lock_timeout=5, stop_grace=0.1)
    for name in CHANGES:
        wrap(name, mode, number)
    try:
        OPERATIONS[operation](manager, Path(state_dir).parent)
    except OstlerError as exc:
        return f"{changes} {type(exc).__name__}: {exc}"
    return f"{changes} done"


def forked(line: str) -> str:
    """Do what a line says in a process of its own; return the answer."""
    state_dir, operation, mode, number = line.rstrip("\n").split("\t")
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        os.dup2(2, 1)  # what is logged is no answer
        said = perform(state_dir, operation, mode, int(number))
        with os.fdopen(writer, "w") as pipe:
            pipe.write(" ".join(said.split()))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        said = pipe.read()
    return f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])} {said}"


if __name__ == "__main__":
    for asked in sys.stdin:
        sys.stdout.write(forked(asked) + "\n")
        sys.stdout.flush()
