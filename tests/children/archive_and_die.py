"""Export a profile or import an archive, and at the n-th change of the file system die by SIGKILL, or find the disk full.

argv: export|import state_dir archive kill|fill n. Says how many changes there were, if it gets to its end.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

from core.errors import OstlerError
from core.profiles.archive_export import export
from core.profiles.archive_import import import_
from tests.profiles import home_of

what, state_dir, archive, way, at = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4], int(sys.argv[5])
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "shutil.rmtree"}
count = 0


def on(event: str, args: tuple[object, ...]) -> None:
    """Audit hook: the interpreter says what it is about to do."""
    global count  # noqa: PLW0603 - a program of one page
    if event in CHANGES or (event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)):
        count += 1
        if count == at and way == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif count == at:
            fill(state_dir.parent / "filler")


def fill(path: Path) -> None:
    """Leave not a single block of the file system."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CREAT, 0o600)
    os.close(descriptor)
    for size in (1024 * 1024, 4096, 1):
        free = shutil.disk_usage(path.parent).free
        with path.open("ab", buffering=0) as file:
            while free > 0:
                try:
                    file.write(b"x" * size)
                except OSError:
                    break


sys.addaudithook(on)
try:
    if what == "export":
        export(home_of(state_dir), "anna", archive, with_secrets=True, overwrite=True)
    else:
        import_(home_of(state_dir), archive, archive.name, as_id=None)
except OstlerError as exc:
    sys.exit(f"{type(exc).__name__}: {exc}")
sys.stdout.write(f"{count}\n")
