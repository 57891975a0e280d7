"""Room for what does not need a disk, and would wait for it often."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_MEMORY, _ROOM = Path("/dev/shm"), 200 * 1024**2


@contextlib.contextmanager
def directory(otherwise: Path) -> Iterator[Path]:
    """Give a directory in memory where there is room, else the other one."""
    with contextlib.ExitStack() as stack:
        try:
            if shutil.disk_usage(_MEMORY).free > _ROOM:
                otherwise = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ostler-test-", dir=_MEMORY)))
        except OSError:
            pass  # there is none here, or it is not for us
        yield otherwise
