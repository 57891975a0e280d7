"""A display without a screen, for tests of browsers that show windows."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

WITH_WINDOWS = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "microsoft-edge"))), None)
"""A browser that can show them; None if there is none here."""

needs_windows = pytest.mark.skipif(
    WITH_WINDOWS is None, reason="needs a browser that is no headless shell: apt-get install chromium"
)
needs_display = pytest.mark.skipif(
    shutil.which("Xvfb") is None or WITH_WINDOWS is None,
    reason="needs Xvfb and a browser with windows: apt-get install xvfb chromium",
)


@contextmanager
def without_a_screen() -> Iterator[str]:
    """Run a display of our own; give its name."""
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1024x768x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as said:
        number = said.readline().strip()
    try:
        yield f":{number}"
    finally:
        server.terminate()
        server.wait(10)
