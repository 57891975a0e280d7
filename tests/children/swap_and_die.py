"""Swap a directory in, and die by SIGKILL just before the n-th change of the file system.

argv: new target exchange|no_exchange n
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

from core.workspaces import swap

new, target, way, dies_at = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
changes = 0


def change() -> None:
    """Count one change, or die before it."""
    global changes  # noqa: PLW0603 - a program of one page
    changes += 1
    if changes == dies_at:
        os.kill(os.getpid(), signal.SIGKILL)


def on(event: str, args: tuple[object, ...]) -> None:
    """Audit hook: the interpreter says what it is about to do."""
    if event in {"os.rename", "os.remove", "os.link"} and str(target.parent) in str(args[0]):
        change()


def exchange(first: Path, second: Path) -> bool:
    """Die before it or do it."""
    change()
    done: bool = getattr(swap, way)(first, second)
    change()
    return done


def remove(path: Path) -> None:
    """Die before it, in its midst, or do it."""
    change()
    next(path.glob("file-*")).unlink()
    shutil.rmtree(path)
    change()


sys.addaudithook(on)
swap.replace(new, target, remove, exchange=exchange)
