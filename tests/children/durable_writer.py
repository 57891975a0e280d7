"""Writes an envelope again and again; prints a line for each write that was acknowledged, until it is killed.

Arguments: the file; and, to die at an exact place: a function of ``os``, which call of it (from 1), and ``before``,
``after`` or ``within`` (half the bytes are written). The payload of generation g is ``{"n": g, "fill": ...}``.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

from core.envelope import EnvelopeFile


def die_at(name: str, nth: int, when: str) -> None:
    real = getattr(os, name)
    calls = 0

    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls < nth:
            return real(*args, **kwargs)
        if when == "within":
            real(args[0], bytes(args[1][: len(args[1]) // 2]))
        elif when == "after":
            with contextlib.suppress(OSError):  # a call that fails has an "after", too
                real(*args, **kwargs)
        return os.kill(os.getpid(), signal.SIGKILL)

    setattr(os, name, call)


file: EnvelopeFile[dict[str, Any]] = EnvelopeFile(Path(sys.argv[1]), dict[str, Any])
found = file.read()
number = 0 if found is None else found.generation
sys.stdout.write("ready\n")
sys.stdout.flush()
if len(sys.argv) > 2:
    die_at(sys.argv[2], int(sys.argv[3]), sys.argv[4])
while True:
    number += 1
    generation = file.write({"n": number, "fill": "x" * (number * 997 % 20_000)}, fence=1)
    if generation != number:
        sys.exit(f"generation {generation} where {number} was due")
    sys.stdout.write(f"{generation}\n")
    sys.stdout.flush()
