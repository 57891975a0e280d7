"""Gets a shell into the checkout's own virtual environment. Standard library only: it runs before anything is installed."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
NEEDED = ("anyio", "filelock", "msgspec", "playwright", "psutil", "structlog")


def enter() -> None:
    """Return if this interpreter has what is needed; else re-run the command in ``.venv``, or say what to type."""
    venv = CHECKOUT / ".venv"
    if Path(sys.prefix).resolve() != venv.resolve():
        python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        if python.exists():
            os.execv(python, [str(python), *sys.orig_argv[1:]])  # noqa: S606 - the very same command, in its own environment
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(f"Ostler is not set up here ({', '.join(missing)} missing). Type: make -C {CHECKOUT} setup")
