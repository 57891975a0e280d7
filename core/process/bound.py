"""Becomes another program that does not outlive the process that started it: ``bound.py PARENT_PID PROGRAM ARGUMENT…``."""

from __future__ import annotations

import os
import sys

from core.errors import ControlLost
from core.process.guard import die_with_parent


def main(arguments: list[str]) -> int:
    """Become the program; return only if that fails."""
    try:
        die_with_parent(int(arguments[0]))
        os.execvp(arguments[1], arguments[1:])  # noqa: S606 - what the user named, and no shell
    except ControlLost:
        return 1
    except OSError as exc:
        sys.stderr.write(f"{arguments[1]}: {exc.strerror}\n")
        return 127


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
