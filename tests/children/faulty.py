"""Does operations of ``tests/crash/operations.py`` with a fault in them: one JSON object a line in, one out.

In: ``{"operation", "state", "fault", "point"}``. A point is a call that changes a file system, counted from 1. Faults:
``none``; ``kill``: SIGKILL before it; ``torn``: SIGKILL in its midst, half of a write written; ``full``: from it on nothing
can be allocated any more; ``crowded``: the disk is as full as it is, but said to have room, as if others used it up after
that was asked. Out: ``{"exit", "calls", "error"}``: the exit code (3: an error of ours, 4: a traceback, -9: killed), the names
of the points in order, and what was raised.

Each operation runs in a fork, so that the imports are done once.
"""

from __future__ import annotations

import builtins
import errno
import io
import json
import logging
import os
import shutil
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
import structlog

from core.errors import OstlerError
from core.process.guard import die_with_parent
from core.workspaces import swap
from tests.crash.operations import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Callable

ALLOCATING = {"open", "write", "mkdir", "link", "symlink", "copy_file_range", "sendfile", "mkfifo"}
CHANGING = (
    *sorted(ALLOCATING), "fsync", "rename", "replace", "unlink", "remove", "rmdir", "chmod", "utime", "truncate", "ftruncate",
)  # fmt: skip
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class _Usage(NamedTuple):
    total: int
    used: int
    free: int


class Faults:
    """Counts points, and strikes at one of them."""

    def __init__(self, fault: str, point: int) -> None:
        self._fault = fault
        self._point = point
        self.calls: list[str] = []

    def install(self) -> None:
        for name in CHANGING:
            if hasattr(os, name):
                setattr(os, name, self._wrapped(name, getattr(os, name)))
        builtins.open = io.open = self._opening(io.open)  # type: ignore[assignment]
        for name in ("exchange", "sync_file_system"):
            wrapped = self._wrapped(name, getattr(swap, name))
            setattr(swap, name, wrapped)
            # the exchange is a default argument as well
            for function in (swap.replace, swap.recover):
                if "exchange" in (function.__kwdefaults__ or {}):
                    function.__kwdefaults__["exchange"] = swap.exchange
        if self._fault in ("full", "crowded"):
            shutil.disk_usage = lambda _path: _Usage(2**40, 0, 2**40)  # others use the room up after that was asked

    def _wrapped(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if name == "open" and not args[1] & _WRITING:
                return real(*args, **kwargs)
            self._pass(name, real, args)
            return real(*args, **kwargs)

        return call

    def _opening(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
            if isinstance(file, int) or not set(mode) & set("wax+"):
                return real(file, mode, *args, **kwargs)
            self._pass("open", real, (file,))
            return real(file, mode, *args, **kwargs)

        return call

    def _pass(self, name: str, real: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.calls.append(name)
        if self._fault == "full" and len(self.calls) >= self._point and name in ALLOCATING:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if len(self.calls) != self._point or self._fault not in ("kill", "torn"):
            return
        if self._fault == "torn":
            if name == "write":
                real(args[0], bytes(args[1][: len(args[1]) // 2]))
            elif name == "copy_file_range":
                real(args[0], args[1], max(1, os.fstat(args[0]).st_size // 2))
        os.kill(os.getpid(), signal.SIGKILL)


def _child(command: dict[str, Any], parent: int, answer: int) -> None:
    """Do it, and say on the pipe what there was to say, but for a death."""
    die_with_parent(parent)
    faults = Faults(command["fault"], command["point"])
    error, code = "", 0
    operation = OPERATIONS[command["operation"]]
    write = os.write
    faults.install()
    try:
        operation.act(Path(command["state"]))
    except OstlerError as exc:
        error, code = f"{type(exc).__name__}: {exc}", 3
    except BaseException:  # noqa: BLE001 - whatever it is, the test is told
        error, code = traceback.format_exc(), 4
    write(answer, json.dumps({"calls": faults.calls, "error": error[-4000:]}).encode())
    os._exit(code)


def main() -> None:
    parent = os.getpid()
    anyio.run(anyio.sleep, 0)  # loads what each fork would load again
    # standard output is for answers
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            _child(json.loads(line), parent, writing)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            said = pipe.read()
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        sys.stdout.write(json.dumps({"calls": [], "error": "", **json.loads(said or b"{}"), "exit": code}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
