"""What most tests start from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from core.clock import ManualClock
from core.events.recording import RecordingEvents
from tests.display import without_a_screen

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).resolve().parent.parent


@pytest.fixture
def clock() -> ManualClock:
    """A clock that moves when told to."""
    return ManualClock()


@pytest.fixture
def recorded() -> RecordingEvents:
    """A sink that keeps events and lets a test wait for one."""
    return RecordingEvents()


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """An empty state directory."""
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def log_dir(tmp_path: Path) -> Path:
    """An empty log directory."""
    path = tmp_path / "logs"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture(scope="session")
def display() -> Iterator[str]:
    """A display of our own; see ``tests.display.needs_display``."""
    with without_a_screen() as name:
        yield name


@pytest.fixture(scope="session")
def browser_executable() -> str:
    """The browser that Ostler itself would choose here; where none works, the test fails and says what to type."""
    found = subprocess.run(
        [sys.executable, "-m", "workers.browser.discover"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if found.returncode != 0:
        pytest.fail(f"no browser works here; type `make setup`, or set OSTLER_BROWSER.\n{found.stderr}", pytrace=False)
    return found.stdout.strip().splitlines()[0]
