"""What most tests start from."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog

from core.clock import ManualClock
from core.events.recording import RecordingEvents
from tests import fast, real_profile
from tests.display import without_a_screen

if TYPE_CHECKING:
    from collections.abc import Iterator

# other tests beside these must not hold a fleet up; what is about the host's load asks for it
os.environ.setdefault("OSTLER_ADMISSION", "off")
# started in the background by a shell we would ignore ^C, and so would all that tests start and interrupt
signal.signal(signal.SIGINT, signal.default_int_handler)
CHECKOUT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _log_as_ever() -> Iterator[None]:
    """A command that a test runs in this process says where logs go; the next test's are not its business."""
    yield
    structlog.reset_defaults()


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


@pytest.fixture(scope="session")
def real_state(tmp_path_factory: pytest.TempPathFactory, browser_executable: str) -> Path:
    """A state directory that a real browser has filled, see ``tests/real_profile.py``; to be copied, not to be changed."""
    state = tmp_path_factory.mktemp("real") / "state"
    state.mkdir(mode=0o700)
    real_profile.make(state, browser_executable)
    return state


@pytest.fixture
def fast_path(tmp_path: Path) -> Iterator[Path]:
    """A directory of the test's own, see ``tests/fast.py``."""
    with fast.directory(tmp_path) as path:
        yield path
