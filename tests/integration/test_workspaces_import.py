"""What a worker that starts has to import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def test_a_worker_starts_without_the_manager_of_clones():
    """The adapter for runs does not bring in what only scripts need; asking the package for the manager does."""
    program = (
        "import sys, core.workspaces.files; print('core.workspaces.manager' in sys.modules); "
        "from core.workspaces import WorkspaceManager; print('core.workspaces.manager' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "False\nTrue\n"
